//! What may happen to a running guest now, and in which order.

use insta::assert_snapshot;
use pvx_core::desired::{ApplyChanges, Disk, Network, Placement, Power};
use pvx_core::live::Pending;
use pvx_core::plan::Intent;

use crate::lab::{Lab, made};

/// A guest that may boot from a disk which documents name no more: it cannot go while it runs.
fn boots_from_it() -> Lab {
    let disk = Disk { size: Some(5 << 30), storage: Some("shared".into()), ..Disk::default() };
    let mut lab = made(|guest| drop(guest.spec.disks.insert("scsi1".into(), disk.clone())));
    lab.config(1000, "boot", "order=scsi0;scsi1;net0");
    lab.first().spec.disks.clear();
    lab
}

#[test]
fn a_reboot_comes_last_and_where_the_guest_is_then() {
    let mut lab = made(|_| {});
    lab.options.apply_changes = ApplyChanges::Reboot;
    lab.first().spec.set("cores", "4");
    lab.first().spec.set("onboot", "1");
    lab.first().placement = Placement::Node("pve3".into());
    assert_snapshot!(lab.apply());
}

#[test]
fn no_reboot_without_need() {
    let mut lab = made(|_| {});
    lab.options.apply_changes = ApplyChanges::Reboot;
    lab.first().spec.set("onboot", "1");
    assert!(!lab.apply().contains("reboot"));
    let vga = Pending { key: "vga".into(), running: None, next: Some("std".into()) };
    lab.snapshot.guests.get_mut(&1000).unwrap().pending.push(vga);
    assert_snapshot!(lab.apply(), @"i pending: k3s/w01 at its next cold boot: vga unset → std (nowhere)");
}

#[test]
fn what_cannot_change_while_it_runs_is_held_back() {
    let mut lab = boots_from_it();
    lab.first().spec.set("cores", "4");
    assert_snapshot!(lab.apply());
    assert!(lab.get(1000, "scsi1").starts_with("shared:"));
    // The second plan has nothing to do, and still says so.
    let plan = lab.plan(Intent::Apply);
    assert!(plan.is_empty());
    assert_eq!(plan.held[0].attributes[0].path, "scsi1");
    assert_eq!(plan.held.len(), 1);
}

#[test]
fn what_cannot_change_while_it_runs_takes_a_stop() {
    let mut lab = boots_from_it();
    lab.options.apply_changes = ApplyChanges::Reboot;
    lab.first().spec.set("onboot", "1");
    lab.first().spec.set("cores", "4");
    let net = Network { bridge: Some("vmbr1".into()), ..Network::default() };
    lab.first().spec.networks.insert("net0".into(), net);
    lab.first().placement = Placement::Node("pve3".into());
    assert_snapshot!(lab.apply());
    assert!(lab.snapshot.guests[&1000].running);
}

#[test]
fn a_guest_that_is_to_stop_is_changed_at_rest() {
    for mode in [ApplyChanges::Manual, ApplyChanges::Live, ApplyChanges::Reboot] {
        let mut lab = boots_from_it();
        lab.options.apply_changes = mode;
        lab.first().spec.set("cores", "4");
        lab.first().power = Power::Stopped;
        assert_snapshot!("at_rest", lab.apply());
    }
}

#[test]
fn manual_writes_what_no_guest_can_notice() {
    let mut lab = made(|guest| guest.spec.boot_disk = Some(10 << 30));
    lab.first().apply_changes = Some(ApplyChanges::Manual);
    lab.first().spec.set("cores", "4");
    lab.first().spec.boot_disk = Some(20 << 30);
    lab.first().spec.tags.insert("gpu".into());
    lab.first().spec.set("description", "a\nb");
    assert_snapshot!(lab.apply());
}

/// A guest that depends on another is rebooted after it.
#[test]
fn reboots_keep_the_order_of_starts() {
    let mut lab = Lab::new();
    let (first, mut second) = (lab.guest("k3s", "a"), lab.guest("k3s", "b"));
    second.after.insert(first.address.clone());
    lab.profile("k3s", vec![second, first]);
    lab.apply();
    lab.options.apply_changes = ApplyChanges::Reboot;
    for guest in &mut lab.desired.profiles[0].guests {
        guest.spec.set("cores", "4");
    }
    assert_snapshot!(lab.apply());
}
