//! Disks that move, come, go, and what they wait for.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use pvx_core::desired::{Disk, Placement};
use pvx_core::plan::Intent;

use crate::lab::{GIB, Lab, made};

fn data(change: impl FnOnce(&mut Disk)) -> Disk {
    let mut disk = Disk { size: Some(5 * GIB), storage: Some("shared".into()), ..Disk::default() };
    change(&mut disk);
    disk
}

/// A guest with a second disk.
fn with_data(change: impl FnOnce(&mut Disk)) -> Lab {
    made(|g| drop(g.spec.disks.insert("scsi1".into(), data(change))))
}

#[test]
fn a_disk_moves_before_its_options_are_written_and_before_it_grows() {
    let mut lab = with_data(|_| {});
    let ssd = BTreeMap::from([("ssd".to_owned(), "1".to_owned())]);
    lab.first().spec.disks.insert("scsi1".into(), data(|d| d.options = ssd));
    lab.apply();
    let options = BTreeMap::from([("cache".to_owned(), "none".to_owned())]);
    let disk = data(|d| {
        d.storage = Some("local-lvm".into());
        d.size = Some(8 * GIB);
        d.options = options;
    });
    lab.first().spec.disks.insert("scsi1".into(), disk);
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "scsi1"), "local-lvm:vm-1000-moved-scsi1,cache=none,size=8G");
}

#[test]
fn a_disk_to_a_storage_that_is_not_there_stays() {
    let mut lab = with_data(|_| {});
    let disk = data(|d| d.storage = Some("nowhere".into()));
    lab.first().spec.disks.insert("scsi1".into(), disk);
    assert!(lab.apply().contains("× storage-missing: node pve1 has no storage nowhere"));
    // The reader is sent to the disk.
    let said = pvx_core::diagnostic::Span { start: 2, len: 1, ..lab.first().span };
    lab.first().places.insert("disks.scsi1".into(), said);
    let plan = lab.plan(Intent::Apply);
    let missing = plan.findings.iter().find(|f| f.code == "storage-missing").unwrap();
    assert_eq!(missing.span, Some(said));
}

#[test]
fn a_disk_moves_before_its_guest_does() {
    let mut lab = with_data(|_| {});
    let disk = data(|d| d.storage = Some("local-lvm".into()));
    lab.first().spec.disks.insert("scsi1".into(), disk);
    lab.first().placement = Placement::Node("pve2".into());
    assert_snapshot!(lab.apply());
}

#[test]
fn bytes_go_where_that_was_said() {
    let mut lab = with_data(|d| d.erase = true);
    lab.first().spec.disks.clear();
    assert_snapshot!(lab.apply());
    assert_eq!((lab.get(1000, "scsi1"), lab.get(1000, "unused0")), ("", ""));
}

#[test]
fn a_detached_disk_comes_back_when_it_is_named_again() {
    let mut lab = with_data(|_| {});
    let disks = lab.first().spec.disks.clone();
    lab.first().spec.disks.clear();
    lab.apply();
    assert_eq!(lab.get(1000, "unused0"), "shared:vm-1000-disk-scsi1");
    lab.first().spec.disks = disks;
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "scsi1"), "shared:vm-1000-disk-scsi1,size=5G");
    assert_eq!(lab.get(1000, "unused0"), "");
}

/// The note tells where the bytes are then; held back, they stay where they are.
#[test]
fn what_is_held_back_is_not_said_to_be_detached() {
    use pvx_core::desired::ApplyChanges::{Live, Manual};
    for (mode, notes) in [(Live, 1), (Manual, 0)] {
        let mut lab = with_data(|_| {});
        lab.first().spec.disks.clear();
        lab.options.apply_changes = mode;
        let plan = lab.plan(Intent::Apply);
        assert_eq!(plan.held.len(), 1 - notes, "{mode:?}");
        let detached = plan.findings.iter().filter(|f| f.code == "disk-detached");
        assert_eq!(detached.count(), notes, "{mode:?}: {:?}", plan.findings);
    }
}

#[test]
fn a_disk_that_is_filled_from_another_grows_when_it_is_there() {
    let filled = |d: &mut Disk| d.import_from = Some("local:import/x.qcow2".into());
    let mut lab = made(|_| {});
    lab.first().spec.disks.insert("scsi1".into(), data(filled));
    assert_snapshot!("filled_later", lab.apply());
    let mut lab = Lab::new();
    let mut guest = lab.guest("vm", "gitea");
    guest.origin = pvx_core::desired::Origin::Empty;
    guest.spec.disks.insert("scsi0".into(), data(filled));
    lab.standalone(guest);
    assert_snapshot!("filled_when_made", lab.apply());
}

#[test]
fn cdroms_come_change_and_go() {
    let mut lab = made(|g| drop(g.spec.cdroms.insert("ide2".into(), "none".into())));
    assert_eq!(lab.get(1000, "ide2"), "none,media=cdrom");
    lab.first().spec.cdroms.insert("ide2".into(), "local:iso/x.iso".into());
    let text = lab.apply();
    assert!(text.contains("ide2 none → local:iso/x.iso (Live)"), "{text}");
    lab.first().spec.cdroms.clear();
    assert!(lab.apply().contains("detach 1000 ide2"));
    assert_eq!(lab.get(1000, "ide2"), "");
}

#[test]
fn a_disk_added_by_hand_is_said_and_left_alone() {
    let mut lab = made(|_| {});
    lab.config(1000, "scsi5", "shared:vm-1000-disk-9,size=1G");
    let text = lab.apply();
    assert_snapshot!(text, @"i disk-unmanaged: scsi5 (1G) is named in no document: left alone");
    assert_eq!(lab.apply(), text);
}

#[test]
fn a_disk_of_the_template_is_no_news() {
    let mut lab = Lab::new();
    lab.config(crate::lab::SHARED, "scsi7", "shared:base-100-disk-7,size=1G");
    let guest = lab.guest("k3s", "w01");
    lab.profile("k3s", vec![guest]);
    lab.apply();
    assert_eq!(lab.apply(), "nothing to do");
}

#[test]
fn what_may_not_happen_now_is_held_back_and_not_forgotten() {
    use pvx_core::desired::ApplyChanges::{Live, Manual};
    let mut lab = with_data(|_| {});
    lab.first().spec.disks.insert("scsi1".into(), data(|d| d.storage = Some("local-lvm".into())));
    lab.first().apply_changes = Some(Manual);
    let plan = lab.settle(pvx_core::plan::Intent::Apply);
    assert!(plan.is_empty(), "{}", crate::text::of(&plan));
    assert!(lab.get(1000, "scsi1").starts_with("shared:"));
    lab.first().spec.disks.clear();
    assert!(lab.settle(pvx_core::plan::Intent::Apply).is_empty());
    lab.first().apply_changes = Some(Live);
    assert!(lab.apply().contains("detach 1000 scsi1"));
    assert_eq!(lab.get(1000, "unused0"), "shared:vm-1000-disk-scsi1");
}
