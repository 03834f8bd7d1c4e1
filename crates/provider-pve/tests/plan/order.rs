//! Order between guests, and `--target`.

use std::collections::BTreeSet;

use insta::assert_snapshot;

use crate::lab::Lab;

fn chain() -> Lab {
    let mut lab = Lab::new();
    let mut guests: Vec<_> = ["cp01", "cp02", "w01"].map(|n| lab.guest("k3s", n)).into();
    guests[2].after = BTreeSet::from([guests[0].address.clone(), guests[1].address.clone()]);
    lab.profile("k3s", guests);
    lab
}

#[test]
fn starts_wait_for_starts_and_nothing_else_waits() {
    assert_snapshot!(chain().apply());
}

#[test]
fn a_start_waits_for_one_that_exists_and_is_stopped() {
    let mut lab = chain();
    lab.apply();
    for vmid in [1000, 1002] {
        lab.snapshot.guests.get_mut(&vmid).unwrap().running = false;
    }
    assert_snapshot!(lab.apply());
}

#[test]
fn targets_by_address_profile_and_key() {
    let mut lab = chain();
    let other = lab.guest("vm", "gitea");
    lab.standalone(other);
    let made = |lab: &mut Lab, target: &str| {
        lab.options.targets = vec![target.to_owned()];
        let plan = lab.plan(pvx_core::plan::Intent::Apply);
        let changes: Vec<_> = plan.changes.iter().map(|c| c.address.to_string()).collect();
        (changes.join(" "), plan.is_blocked())
    };
    assert_eq!(made(&mut lab, "k3s/cp02"), ("k3s/cp02".into(), false));
    assert_eq!(made(&mut lab, "k3s"), ("k3s/cp01 k3s/cp02 k3s/w01".into(), false));
    assert_eq!(made(&mut lab, "vm/gitea"), ("vm/gitea".into(), false));
    assert_eq!(made(&mut lab, "vm.gitea"), ("vm/gitea".into(), false));
    for typo in ["k3s/wo1", "k4s", "gitea/x", "gitea"] {
        assert_eq!(made(&mut lab, typo), (String::new(), true), "{typo}");
    }
}

#[test]
fn a_target_may_be_an_orphan() {
    let mut lab = chain();
    lab.apply();
    lab.desired.profiles[0].guests.truncate(1);
    lab.options.targets = vec!["k3s/w01".into()];
    let plan = lab.plan(pvx_core::plan::Intent::Apply);
    let changes: Vec<_> = plan.changes.iter().map(|c| (c.verb, c.vmid)).collect();
    assert_eq!(changes, [(pvx_core::plan::Verb::Destroy, 1002)]);
    assert!(!plan.is_blocked());
}
