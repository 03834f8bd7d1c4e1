//! Guests that were renamed in the documents.

use insta::assert_snapshot;
use pvx_core::address::Address;
use pvx_core::desired::{ApplyChanges, Guest, Ha, Power};
use pvx_core::live;
use pvx_core::plan::Intent;
use pvx_core::state::Memory;

use crate::lab::{Lab, identity, made};

/// `k3s/w01` is made and running; documents call it `profile/name` now.
fn renamed(profile: &str, name: &str, change: impl FnOnce(&mut Guest)) -> Lab {
    let mut lab = made(change);
    let old = lab.desired.profiles.remove(0);
    let mut guest = lab.guest(profile, name);
    guest.moved_from = Some(old.guests[0].address.clone());
    match profile {
        "vm" => lab.standalone(guest),
        _ => lab.profile(profile, vec![guest]),
    }
    lab
}

#[test]
fn a_new_name_in_the_same_profile() {
    let mut lab = renamed("k3s", "w09", |_| {});
    assert_snapshot!(lab.apply());
    assert!(lab.get(1000, "smbios1").contains(&identity("k3s", "w09")));
    assert_eq!(lab.memory.addresses().collect::<Vec<_>>(), [&Address::new("k3s", "w09")]);
    // `moved` may stay in the document, or go.
    lab.first().moved_from = None;
    assert_eq!(lab.apply(), "nothing to do");
}

/// The new mark waits for a boot that nobody needs: it is written in every mode, and no guest is
/// rebooted or held back for it.
#[test]
fn whatever_may_happen_to_it() {
    for mode in [ApplyChanges::Manual, ApplyChanges::Live, ApplyChanges::Reboot] {
        let mut lab = renamed("web", "w01", |_| {});
        lab.options.apply_changes = mode;
        assert!(lab.plan(Intent::Apply).held.is_empty(), "{mode:?}");
        let text = lab.apply();
        assert!(text.contains("(Pending)") && !text.contains("reboot"), "{mode:?}: {text}");
        assert!(lab.plan(Intent::Apply).is_empty(), "{mode:?}");
    }
}

#[test]
fn another_profile() {
    let mut lab = renamed("web", "w01", |_| {});
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "tags"), "pvx-web;web");
}

#[test]
fn a_profile_s_guest_becomes_a_standalone_vm() {
    let mut lab = renamed("vm", "gitea", |_| {});
    assert!(lab.apply().contains("name=gitea"));
    assert_eq!(lab.get(1000, "tags"), "pvx-vm.gitea;vm");
}

#[test]
fn the_old_profile_does_not_take_it_for_an_orphan() {
    let mut lab = renamed("web", "w01", |_| {});
    lab.profile("k3s", vec![]);
    lab.desired.profiles.reverse();
    let text = lab.apply();
    assert!(text.contains("was k3s/w01 in the documents") && !text.contains("destroy"), "{text}");
}

#[test]
fn what_was_managed_before_is_reset_under_the_new_name() {
    let mut lab = renamed("web", "w01", |guest| {
        guest.spec.set("onboot", "1");
        guest.spec.ha = Some(Ha::default());
    });
    let text = lab.apply();
    assert!(text.contains("-onboot") && text.contains("ha 1000 remove"), "{text}");
}

#[test]
fn rules_of_the_old_name_go() {
    let rule = || Some(Ha { nodes: [("pve1".to_owned(), 0)].into(), ..Ha::default() });
    let mut lab = renamed("web", "w01", |guest| guest.spec.ha = rule());
    lab.first().spec.ha = rule();
    assert_snapshot!(lab.apply());
}

#[test]
fn without_memory_it_is_found_by_its_identity() {
    let mut lab = renamed("web", "w01", |_| {});
    lab.memory = Memory::default();
    assert!(lab.apply().contains("configure 1000"));
}

/// A run that was cut off, and a pending uuid that somebody took back.
#[test]
fn a_new_mark_with_the_old_uuid_counts() {
    let mut lab = renamed("web", "w01", |_| {});
    lab.config(1000, "tags", "pvx-web;web");
    assert_snapshot!(lab.apply());
}

#[test]
fn one_without_its_mark_is_said_and_not_made_again() {
    let mut lab = renamed("web", "w01", |_| {});
    lab.config(1000, "tags", "k3s");
    let text = lab.apply();
    assert!(text.contains("× lost-mark: guest 1000 'w01'") && !text.contains("clone"), "{text}");
}

#[test]
fn two_of_the_old_identity_are_both_left_alone() {
    let mut lab = renamed("web", "w01", |_| {});
    let uuid = identity("k3s", "w01");
    let config = [("name", "w01"), ("tags", "k3s;pvx-k3s"), ("smbios1", uuid.as_str())];
    lab.live(1005, "pve2", false, &config);
    let text = lab.apply();
    assert!(text.contains("× same-identity") && !text.contains('@'), "{text}");
}

#[test]
fn one_that_cannot_be_read_is_not_made_again() {
    let mut lab = renamed("web", "w01", |_| {});
    lab.snapshot.guests.remove(&1000);
    lab.snapshot.inventory.nodes.get_mut("pve1").unwrap().online = false;
    let text = lab.apply();
    assert!(text.contains("i perhaps-there: web/w01 is not made: guest 1000"), "{text}");
}

#[test]
fn when_both_are_there_the_new_one_is_used() {
    let mut lab = made(|_| {});
    let mut second = lab.guest("k3s", "w02");
    second.power = Power::Running;
    lab.desired.profiles[0].guests.push(second);
    lab.apply();
    lab.desired.profiles[0].guests.remove(0);
    lab.first().moved_from = Some(Address::new("k3s", "w01"));
    assert_snapshot!(lab.apply());
}

#[test]
fn one_whose_old_address_is_wanted_too_was_not_moved() {
    let mut lab = made(|_| {});
    let mut second = lab.guest("k3s", "w02");
    second.moved_from = Some(Address::new("k3s", "w01"));
    lab.desired.profiles[0].guests.push(second);
    let text = lab.apply();
    assert!(text.contains("clone 100→1001") && !text.contains("configure 1000"), "{text}");
}

#[test]
fn destroy_takes_it_by_what_it_still_is() {
    let mut lab = renamed("web", "w01", |_| {});
    assert_snapshot!(lab.destroy());
}

#[test]
fn a_target_of_the_old_name_destroys_nothing() {
    let mut lab = renamed("web", "w01", |_| {});
    lab.profile("k3s", vec![]);
    lab.options.targets = vec!["web".into()];
    lab.first().spec.set("cores", "4");
    assert!(lab.apply().contains("configure 1000"));
    assert_eq!(live::identity("lab", "web", "w01").to_string().len(), 36);
}
