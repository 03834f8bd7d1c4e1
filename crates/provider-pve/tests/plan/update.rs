//! Guests that are there and differ.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use pvx_core::desired::{CloneMode, Disk, Network, Placement, Power};
use pvx_core::live::Pending;

use crate::lab::{GIB, LOCAL, clone_of, made};

#[test]
fn unchanged_is_empty() {
    assert_eq!(made(|_| {}).apply(), "nothing to do");
}

#[test]
fn cores_of_a_running_guest_wait_for_its_reboot() {
    let mut lab = made(|_| {});
    lab.first().spec.set("cores", "4");
    assert_snapshot!(lab.apply());
}

#[test]
fn cores_of_a_stopped_guest() {
    let mut lab = made(|g| g.power = Power::Unmanaged);
    lab.first().spec.set("cores", "4");
    assert_snapshot!(lab.apply());
}

#[test]
fn a_value_that_waits_is_said_and_not_planned_again() {
    let mut lab = made(|_| {});
    let pending =
        Pending { key: "cores".into(), running: Some("1".into()), next: Some("2".into()) };
    lab.snapshot.guests.get_mut(&1000).unwrap().pending.push(pending);
    assert_snapshot!(lab.apply(), @"i pending: k3s/w01 at its next cold boot: cores 1 → 2 (nowhere)");
}

#[test]
fn a_disk_grows_and_never_shrinks() {
    let mut lab = made(|g| g.spec.boot_disk = Some(10 * GIB));
    lab.first().spec.boot_disk = Some(20 * GIB);
    assert_snapshot!(lab.apply());
    lab.first().spec.boot_disk = Some(5 * GIB);
    assert_snapshot!(lab.apply(), @"× disk-shrink: disk scsi0 has 20G, the document says 5G: Proxmox cannot shrink it");
}

#[test]
fn the_size_of_the_boot_disk_beside_its_options() {
    let mut lab = made(|g| g.spec.boot_disk = Some(10 * GIB));
    let options = BTreeMap::from([("ssd".to_owned(), "1".to_owned())]);
    lab.first().spec.disks.insert("scsi0".into(), Disk { options, ..Disk::default() });
    lab.first().spec.boot_disk = Some(20 * GIB);
    assert_snapshot!(lab.apply());
}

#[test]
fn a_second_disk_comes_and_goes() {
    let mut lab = made(|_| {});
    let disk = Disk { size: Some(5 * GIB), storage: Some("local-lvm".into()), ..Disk::default() };
    lab.first().spec.disks.insert("scsi1".into(), disk);
    assert_snapshot!(lab.apply());
    lab.first().spec.disks.clear();
    assert_snapshot!("a_second_disk_goes", lab.apply());
    assert_eq!(lab.get(1000, "scsi1"), "");
    assert_eq!(lab.get(1000, "unused0"), "local-lvm:vm-1000-disk-scsi1");
    assert_eq!(lab.apply(), "nothing to do");
}

#[test]
fn a_disk_on_a_storage_that_is_not_there() {
    let mut lab = made(|_| {});
    let disk = Disk { size: Some(5 * GIB), storage: Some("nowhere".into()), ..Disk::default() };
    lab.first().spec.disks.insert("scsi1".into(), disk);
    assert!(lab.apply().contains("× storage-missing: node pve1 has no storage nowhere"));
}

#[test]
fn tags_are_the_documents() {
    let mut lab = made(|_| {});
    lab.config(1000, "tags", "by-hand;k3s;pvx-k3s");
    lab.first().spec.tags.insert("gpu".into());
    assert_snapshot!(lab.apply());
}

#[test]
fn a_bridge_changes_and_mac_and_hand_set_options_stay() {
    let net = |bridge: &str| Network { bridge: Some(bridge.into()), ..Network::default() };
    let mut lab = made(|g| drop(g.spec.networks.insert("net0".into(), net("vmbr0"))));
    lab.config(1000, "net0", "virtio=BC:24:11:12:34:56,bridge=vmbr0,firewall=1,rate=50");
    assert_eq!(lab.apply(), "nothing to do");
    lab.first().spec.networks.insert("net0".into(), net("vmbr9"));
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "net0"), "virtio=BC:24:11:12:34:56,bridge=vmbr9,firewall=1,rate=50");
}

#[test]
fn power_alone() {
    let mut lab = made(|_| {});
    lab.snapshot.guests.get_mut(&1000).unwrap().running = false;
    assert_snapshot!("start", lab.apply());
    lab.first().power = Power::Stopped;
    assert_snapshot!("stop", lab.apply());
}

#[test]
fn another_node_while_it_runs() {
    let mut lab = made(|_| {});
    lab.first().placement = Placement::Node("pve3".into());
    lab.first().spec.set("cores", "4");
    assert_snapshot!(lab.apply());
}

#[test]
fn another_node_with_local_disks() {
    let mut lab = made(|g| g.origin = clone_of(LOCAL, CloneMode::Full));
    lab.first().placement = Placement::Node("pve3".into());
    assert_snapshot!("online", lab.apply());
    lab.snapshot.guests.get_mut(&1000).unwrap().running = false;
    lab.first().placement = Placement::Node("pve2".into());
    assert_snapshot!("offline", lab.apply());
}

#[test]
fn a_local_disk_that_is_added_moves_along() {
    let mut lab = made(|_| {});
    let disk = Disk { size: Some(GIB), storage: Some("local-lvm".into()), ..Disk::default() };
    lab.first().spec.disks.insert("scsi1".into(), disk);
    lab.first().placement = Placement::Node("pve3".into());
    assert_snapshot!(lab.apply());
}

#[test]
fn another_node_that_is_offline() {
    let mut lab = made(|_| {});
    lab.snapshot.inventory.nodes.get_mut("pve3").unwrap().online = false;
    lab.first().placement = Placement::Node("pve3".into());
    assert_snapshot!(lab.apply());
}

#[test]
fn a_locked_guest_is_not_written_to() {
    let mut lab = made(|_| {});
    lab.config(1000, "lock", "backup");
    assert_eq!(lab.apply(), "nothing to do");
    lab.first().spec.set("cores", "4");
    assert!(lab.apply().contains("× locked: k3s/w01 (1000) is locked: backup"));
}

#[test]
fn what_cannot_move_is_said_before_anything_is_tried() {
    let linked = "local-lvm:102/base-102-disk-0.raw/1000/vm-1000-disk-0.qcow2,size=3G";
    for (slot, value, why) in [
        ("scsi0", linked, "it is a linked clone"),
        ("ide2", "local:iso/tools.iso,media=cdrom", "it has an ISO"),
    ] {
        let mut lab = made(|guest| guest.placement = Placement::Node("pve1".into()));
        lab.config(1000, slot, value);
        lab.first().placement = Placement::Node("pve2".into());
        let text = lab.apply();
        assert!(text.contains("× cannot-move: k3s/w01 (1000) cannot move to pve2"), "{text}");
        assert!(text.contains(why), "{text}");
        assert!(!text.contains("migrate"), "{text}");
    }
}
