//! Pools and HA: set, changed, removed; each plan is followed by an empty one.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use pvx_core::desired::{Affinity, CloneMode, Guest, Ha, HaState, Origin, Placement, Power};
use pvx_core::plan::Intent;
use pvx_core::state::Memory;

use crate::lab::{GIB, Lab, SHARED, clone_of, made};

fn pool(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn a_pool_is_joined_changed_and_left() {
    let mut lab = made(|_| {});
    lab.first().spec.pool = pool("blue");
    assert_snapshot!(lab.apply());
    lab.first().spec.pool = pool("green");
    assert_snapshot!(lab.apply());
    lab.first().spec.pool = None;
    assert_snapshot!(lab.apply());
    assert_eq!(lab.pool(1000), None);
}

#[test]
fn a_pool_that_documents_never_named_stays() {
    let mut lab = made(|_| {});
    lab.snapshot.inventory.guests.get_mut(&1000).unwrap().pool = pool("blue");
    assert_eq!(lab.apply(), "nothing to do");
    // Nor does one stay out of it that was put there while nobody remembers.
    lab.first().spec.pool = pool("blue");
    assert_eq!(lab.apply(), "nothing to do");
    lab.first().spec.pool = None;
    lab.memory = Memory::default();
    assert_eq!(lab.apply(), "nothing to do");
}

#[test]
fn a_new_guest_is_made_in_its_pool() {
    for origin in [clone_of(SHARED, CloneMode::Full), Origin::Empty] {
        let lab = made(|guest| {
            guest.spec.pool = pool("blue");
            guest.origin = origin.clone();
            guest.spec.disks.entry("scsi0".into()).or_default().size = Some(4 * GIB);
            guest.spec.storage = Some("shared".into());
        });
        assert_eq!(lab.pool(1000), pool("blue"));
    }
}

#[test]
fn a_pool_that_is_not_there() {
    let mut lab = made(|_| {});
    lab.first().spec.pool = pool("red");
    assert_snapshot!(lab.apply());
    assert!(lab.plan(Intent::Apply).is_blocked());
}

fn ha(change: impl FnOnce(&mut Ha)) -> Option<Ha> {
    let mut ha = Ha::default();
    change(&mut ha);
    Some(ha)
}

fn nodes(list: &[(&str, u32)]) -> BTreeMap<String, u32> {
    list.iter().map(|(node, priority)| ((*node).to_owned(), *priority)).collect()
}

#[test]
fn ha_comes_changes_and_goes() {
    let mut lab = made(|_| {});
    lab.first().spec.ha = ha(|_| {});
    assert_snapshot!(lab.apply());
    lab.first().spec.ha = ha(|ha| {
        ha.max_restart = Some(3);
        ha.failback = Some(false);
        ha.comment = Some("the database".into());
        ha.nodes = nodes(&[("pve1", 2), ("pve2", 0)]);
        ha.strict = Some(true);
    });
    assert_snapshot!(lab.apply());
    lab.first().spec.ha = ha(|ha| ha.nodes = nodes(&[("pve1", 2), ("pve3", 1)]));
    assert_snapshot!(lab.apply());
    lab.first().spec.ha = ha(|_| {});
    assert_snapshot!(lab.apply());
    lab.first().spec.ha = None;
    assert_snapshot!(lab.apply());
    assert_eq!(*lab.ha(), pvx_core::live::Ha::default());
}

#[test]
fn defaults_and_old_names_are_no_difference() {
    let mut lab = made(|guest| guest.spec.ha = ha(|_| {}));
    for state in [None, Some("enabled"), Some("started")] {
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let stored = [text("max_restart", "1"), text("comment", "by hand")];
        let stored = stored.into_iter().chain(state.map(|state| text("state", state)));
        lab.ha().resources.insert(1000, stored.collect());
        lab.first().spec.ha = ha(|ha| (ha.max_restart, ha.failback) = (Some(1), Some(true)));
        assert_eq!(lab.apply(), "nothing to do", "{state:?}");
    }
}

#[test]
fn ha_that_documents_never_named_is_left_alone() {
    let mut lab = made(|_| {});
    lab.ha().resources.insert(1000, [("state".to_owned(), "stopped".to_owned())].into());
    assert_eq!(lab.apply(), "nothing to do");
}

#[test]
fn a_new_guest_starts_before_it_is_under_ha() {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.spec.ha = ha(|ha| ha.nodes = nodes(&[("pve1", 0)]));
    lab.profile("k3s", vec![guest]);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_new_guest_is_made_where_the_manager_wants_it() {
    for placement in [Placement::Spread, Placement::Pack] {
        let mut lab = Lab::new();
        let mut guest = lab.guest("k3s", "w01");
        guest.placement = placement;
        guest.spec.ha = ha(|ha| ha.nodes = nodes(&[("pve2", 1), ("pve3", 2)]));
        lab.profile("k3s", vec![guest]);
        let node = |lab: &Lab| lab.plan(Intent::Apply).changes[0].node.clone();
        assert_eq!(node(&lab), "pve3");
        lab.snapshot.inventory.nodes.get_mut("pve3").unwrap().online = false;
        assert_eq!(node(&lab), "pve2");
        lab.snapshot.inventory.nodes.get_mut("pve2").unwrap().online = false;
        assert_eq!(node(&lab), "pve1", "not strict, and better than nowhere");
        lab.first().spec.ha.as_mut().unwrap().strict = Some(true);
        assert!(lab.apply().contains("× no-node"));
    }
}

#[test]
fn what_the_manager_does_is_said() {
    let mut lab = made(|guest| guest.spec.ha = ha(|_| {}));
    lab.first().power = Power::Unmanaged;
    for (state, effect) in
        [(HaState::Stopped, "Stop"), (HaState::Started, "Start"), (HaState::Ignored, "Live")]
    {
        lab.first().spec.ha = ha(|ha| ha.state = state);
        let text = lab.apply();
        assert!(text.contains(&format!("→ {} ({effect})", state.word())), "{text}");
    }
}

#[test]
fn a_rule_changes_before_its_guest_moves() {
    let mut lab = made(|guest| {
        guest.placement = Placement::Node("pve1".into());
        guest.spec.ha = ha(|ha| (ha.nodes, ha.strict) = (nodes(&[("pve1", 0)]), Some(true)));
    });
    lab.first().placement = Placement::Node("pve2".into());
    lab.first().spec.ha = ha(|ha| (ha.nodes, ha.strict) = (nodes(&[("pve2", 0)]), Some(true)));
    assert_snapshot!(lab.apply());
}

#[test]
fn a_rule_that_was_disabled_by_hand_holds_again() {
    let mut lab = made(|guest| guest.spec.ha = ha(|ha| ha.nodes = nodes(&[("pve1", 0)])));
    lab.ha().rules.get_mut("pvx-k3s_w01").unwrap().insert("disable".into(), "1".into());
    assert_snapshot!(lab.apply());
}

/// A profile of three guests in one group, all made already.
fn group(affinity: Option<Affinity>) -> Lab {
    let mut lab = Lab::new();
    let guests = ["w01", "w02", "w03"].map(|name| {
        let mut guest = lab.guest("k3s", name);
        guest.spec.ha = ha(|ha| ha.affinity = affinity);
        guest
    });
    lab.profile("k3s", guests.into());
    lab.apply();
    lab
}

fn each(lab: &mut Lab, change: impl Fn(&mut Guest)) {
    lab.desired.profiles[0].guests.iter_mut().for_each(change);
}

#[test]
fn affinity_is_one_rule_for_the_group() {
    let mut lab = group(None);
    each(&mut lab, |guest| guest.spec.ha = ha(|ha| ha.affinity = Some(Affinity::Apart)));
    assert_snapshot!("apart", lab.apply());
    each(&mut lab, |guest| guest.spec.ha = ha(|ha| ha.affinity = Some(Affinity::Together)));
    assert_snapshot!("together", lab.apply());
    let last = lab.desired.profiles[0].guests.pop().unwrap();
    assert_snapshot!("one_goes", lab.apply());
    lab.desired.profiles[0].guests.push(last);
    assert_snapshot!("one_comes", lab.apply());
    each(&mut lab, |guest| guest.spec.ha = ha(|ha| ha.nodes = nodes(&[("pve1", 2), ("pve2", 1)])));
    assert_snapshot!("priorities_instead", lab.apply());
    each(&mut lab, |guest| guest.spec.ha = None);
    assert_snapshot!("all_gone", lab.apply());
}

#[test]
fn a_group_that_is_made_anew_gets_its_rule_anew() {
    let mut lab = group(Some(Affinity::Together));
    let before = lab.ha().rules["pvx-k3s_group_workers"].clone();
    assert_eq!(before["resources"], "vm:1000,vm:1001,vm:1002");
    for vmid in 1000..=1002 {
        lab.snapshot.guests.remove(&vmid);
        lab.snapshot.inventory.guests.remove(&vmid);
    }
    lab.live(1000, "pve1", false, &[("name", "theirs")]);
    lab.live(1001, "pve1", false, &[("name", "theirs")]);
    lab.live(1002, "pve1", false, &[("name", "theirs")]);
    lab.apply();
    assert_eq!(lab.ha().rules["pvx-k3s_group_workers"]["resources"], "vm:1003,vm:1004,vm:1005");
}

#[test]
fn affinity_that_proxmox_would_refuse() {
    let mut lab = group(Some(Affinity::Apart));
    let fourth = {
        let mut guest = lab.guest("k3s", "w04");
        guest.spec.ha = ha(|ha| ha.affinity = Some(Affinity::Apart));
        guest
    };
    lab.desired.profiles[0].guests.push(fourth);
    let text = lab.apply();
    assert!(
        text.contains("× ha-affinity-nodes: 4 guests of group workers cannot be apart on 3 nodes"),
        "{text}"
    );

    lab.desired.profiles[0].guests.truncate(1);
    let text = lab.apply();
    assert!(text.contains("i ha-affinity-alone") && text.contains("remove rule"), "{text}");
    assert!(lab.ha().rules.is_empty());

    let mut lab = group(Some(Affinity::Apart));
    lab.first().spec.ha = ha(|ha| ha.affinity = Some(Affinity::Together));
    assert!(lab.apply().contains("× ha-affinity-mixed"));
}

#[test]
fn a_target_is_put_under_ha_alone() {
    let mut lab = group(None);
    each(&mut lab, |guest| guest.spec.ha = None);
    lab.apply();
    each(&mut lab, |guest| guest.spec.ha = ha(|ha| ha.affinity = Some(Affinity::Apart)));
    lab.options.targets = vec!["k3s/w02".into()];
    let text = lab.apply();
    assert!(text.contains("ha 1001 add") && !text.contains("rule pvx"), "{text}");
    lab.options.targets.clear();
    assert!(lab.apply().contains("add rule pvx-k3s_group_workers"));
}

#[test]
fn destroy_leaves_no_rule() {
    let mut lab = group(Some(Affinity::Together));
    lab.destroy();
    assert_eq!(*lab.ha(), pvx_core::live::Ha::default());
}
