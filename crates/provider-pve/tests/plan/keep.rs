//! Disks that outlive their guest: put away when it goes, brought back when it is made, and neither
//! lost nor made twice wherever a run is cut off.

use insta::assert_snapshot;
use pvx_core::desired::{Disk, Placement};
use pvx_core::plan::{ActionKind, Intent, Plan, lint};
use pvx_core::preflight::place::{Listed, StorageState, Volumes};
use pvx_core::preflight::{self, Answers};
use pvx_core::state::Memory;

use crate::lab::{GIB, Lab, made};

/// A guest with a disk that outlives it.
fn keeping() -> Lab {
    made(|g| {
        let disk = Disk {
            size: Some(5 * GIB),
            storage: Some("local-lvm".into()),
            keep: true,
            ..Disk::default()
        };
        g.spec.disks.insert("scsi1".into(), disk);
    })
}

/// The volume of the kept disk, wherever it is: guest and slot.
fn whereabouts(lab: &Lab) -> Vec<String> {
    let guests = lab.snapshot.guests.values();
    let disks = guests.flat_map(|guest| {
        let drives = guest.config.iter().filter(|(_, v)| v.contains("-disk-scsi1"));
        drives.map(|(slot, _)| format!("{} {slot}", guest.vmid))
    });
    disks.collect()
}

#[test]
fn a_destroy_puts_it_away_and_the_next_apply_brings_it_back() {
    let mut lab = keeping();
    assert_eq!(lab.get(1000, "tags"), "k3s;pvx-k3s;pvx-keep.scsi1");
    assert_snapshot!("destroy", lab.destroy());
    assert_eq!(whereabouts(&lab), ["1001 scsi1"]);
    assert_snapshot!("destroy_again", lab.destroy());
    assert_snapshot!("apply", lab.apply());
    assert_eq!(whereabouts(&lab), ["1000 scsi1"]);
    assert!(!lab.snapshot.guests.contains_key(&1001));
}

#[test]
fn nothing_of_it_needs_local_state() {
    let mut lab = keeping();
    lab.memory = Memory::default();
    lab.destroy();
    lab.memory = Memory::default();
    lab.apply();
    assert_eq!(whereabouts(&lab), ["1000 scsi1"]);
}

#[test]
fn a_guest_that_leaves_the_documents_leaves_it_too() {
    let mut lab = keeping();
    let guest = lab.desired.profiles[0].guests.remove(0);
    lab.memory = Memory::default();
    assert_snapshot!("orphan", lab.apply());
    assert_eq!(whereabouts(&lab), ["1001 scsi1"]);
    assert_snapshot!("orphan_again", lab.apply());
    lab.desired.profiles[0].guests.push(guest);
    lab.apply();
    assert_eq!(whereabouts(&lab), ["1000 scsi1"]);
}

#[test]
fn erase_kept_takes_it_too() {
    let mut lab = keeping();
    lab.options.erase_kept = true;
    assert_snapshot!("with_the_guest", lab.destroy());
    assert_eq!(whereabouts(&lab), [""; 0]);
    let mut lab = keeping();
    lab.destroy();
    lab.options.erase_kept = true;
    assert_snapshot!("without_the_guest", lab.destroy());
    assert_eq!(whereabouts(&lab), [""; 0]);
}

#[test]
fn it_follows_its_guest_to_another_node() {
    let mut lab = keeping();
    lab.destroy();
    lab.first().placement = Placement::Node("pve3".into());
    assert_snapshot!(lab.apply());
    assert_eq!(whereabouts(&lab), ["1000 scsi1"]);
}

#[test]
fn what_documents_change_meanwhile_is_done_when_it_is_back() {
    let mut lab = keeping();
    lab.destroy();
    let disk = lab.first().spec.disks.get_mut("scsi1").unwrap();
    disk.size = Some(9 * GIB);
    disk.options.insert("ssd".into(), "1".into());
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "scsi1"), "local-lvm:vm-1000-disk-scsi1,size=9G,ssd=1");
}

/// Put away and brought back it is neither written again nor out of the way of others.
#[test]
fn it_frees_no_space_when_its_guest_is_made_anew() {
    let mut lab = keeping();
    lab.options.replace = vec!["k3s/w01".to_owned()];
    let other =
        Disk { size: Some(100 * GIB), storage: Some("local-lvm".into()), ..Disk::default() };
    lab.first().spec.disks.insert("scsi2".into(), other);
    let place = ("pve1".to_owned(), "local-lvm".to_owned());
    lab.snapshot.inventory.storages.get_mut(&place).unwrap().plugin = "lvm".to_owned();
    let volid = lab.get(1000, "scsi1").split(',').next().unwrap().to_owned();
    let (node, storage) = place;
    let list = vec![Listed { volid, size: 60 * GIB, used: None }];
    let state = StorageState {
        node: node.clone(),
        storage: storage.clone(),
        enabled: true,
        active: true,
        total: 200 * GIB,
        used: 150 * GIB,
        free: 50 * GIB,
        content: vec!["images".to_owned()],
    };
    let content = "images".to_owned();
    let mut answers = Answers::default();
    answers.places.storages.push(state);
    answers.places.volumes.push(Volumes { node, storage, content, list });
    let mut plan = lab.plan(Intent::Apply);
    preflight::check(&mut plan, &lab.input(), &answers);
    let full = plan.findings.iter().find(|finding| finding.code == "storage-full").unwrap();
    assert_eq!(full.message, "local-lvm on pve1 has 50 GiB free, this plan needs 100 GiB");
}

/// Carries out the first `count` actions.
fn cut_off(lab: &mut Lab, plan: &Plan, count: usize) {
    let mut begun = plan.clone();
    begun.outcomes.clear();
    let all = plan.actions.sequence().unwrap();
    let mut actions = pvx_core::plan::ActionGraph::default();
    let mut before = None;
    for id in all.iter().take(count) {
        let id = actions.add(plan.actions.get(*id).unwrap().clone());
        if let Some(before) = before.replace(id) {
            actions.order(before, id);
        }
    }
    begun.actions = actions;
    lab.carry_out(&begun);
}

#[test]
fn wherever_a_destroy_is_cut_off_it_goes_on_and_nothing_is_lost() {
    let steps = keeping().plan(Intent::Destroy).actions.len();
    for count in 0..=steps {
        for then in [Intent::Destroy, Intent::Apply] {
            let mut lab = keeping();
            let plan = lab.plan(Intent::Destroy);
            cut_off(&mut lab, &plan, count);
            let next = lab.settle(then);
            assert_eq!(lint::check(&next), []);
            assert!(!next.is_blocked(), "{count} {then:?}: {}", crate::text::of(&next));
            let place = match then {
                Intent::Destroy => "1001 scsi1",
                Intent::Apply | Intent::Undo => "1000 scsi1",
            };
            assert_eq!(whereabouts(&lab), [place], "{count} {then:?}");
            assert_eq!(lab.snapshot.guests.contains_key(&1001), then == Intent::Destroy);
        }
    }
}

#[test]
fn wherever_a_return_is_cut_off_it_goes_on_and_nothing_is_lost() {
    let away = || {
        let mut lab = keeping();
        lab.destroy();
        lab
    };
    let steps = away().plan(Intent::Apply).actions.len();
    for count in 0..=steps {
        for then in [Intent::Destroy, Intent::Apply] {
            let mut lab = away();
            let plan = lab.plan(Intent::Apply);
            cut_off(&mut lab, &plan, count);
            lab.memory = Memory::default();
            let next = lab.settle(then);
            assert!(!next.is_blocked(), "{count} {then:?}: {}", crate::text::of(&next));
            let found = whereabouts(&lab);
            assert_eq!(found.len(), 1, "{count} {then:?}: {found:?}");
            assert_eq!(lab.snapshot.guests.contains_key(&1000), then == Intent::Apply);
        }
    }
}

#[test]
fn a_keeper_that_cannot_be_read_keeps_its_guest_from_being_made_without_it() {
    let mut lab = keeping();
    lab.destroy();
    lab.snapshot.guests.remove(&1001);
    assert!(lab.apply().contains("× kept-unread: guest 1001 may hold kept disks of k3s/w01"));
}

/// A guest whose destroy was cut off when its disk was put away.
fn half_gone() -> Lab {
    let mut lab = keeping();
    let plan = lab.plan(Intent::Destroy);
    cut_off(&mut lab, &plan, 3);
    assert_eq!(whereabouts(&lab), ["1001 scsi1"]);
    lab
}

#[test]
fn a_guest_that_stayed_gets_its_disk_back_before_anything_else_is_written() {
    let mut lab = half_gone();
    lab.first().spec.set("cores", "4");
    let disk = lab.first().spec.disks.get_mut("scsi1").unwrap();
    disk.options.insert("ssd".into(), "1".into());
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "scsi1"), "local-lvm:vm-1000-disk-scsi1,size=5G,ssd=1");
}

#[test]
fn a_guest_that_stayed_gets_no_other_disk_while_its_own_cannot_be_read() {
    let mut lab = half_gone();
    lab.snapshot.guests.remove(&1001);
    assert!(lab.apply().contains("× kept-unread: guest 1001 may hold kept disks of k3s/w01"));
    lab.first().spec.disks.clear();
    assert!(!lab.apply().contains("kept-unread"), "it needs none");
}

#[test]
fn a_keeper_that_is_locked_is_waited_for() {
    let mut lab = keeping();
    lab.destroy();
    lab.config(1001, "lock", "backup");
    assert!(lab.apply().contains("× locked: guest 1001, which keeps its disks, is locked: backup"));
    lab.options.erase_kept = true;
    assert!(lab.destroy().contains("× locked: guest 1001, which keeps disks of k3s/w01"));
}

#[test]
fn a_copy_of_a_keeper_is_not_taken_for_it() {
    let mut lab = keeping();
    lab.destroy();
    let mut copy = lab.snapshot.guests[&1001].clone();
    copy.config.insert("smbios1".into(), "uuid=33333333-3333-4333-8333-333333333333".into());
    let config: Vec<_> = copy.config.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    lab.live(1005, "pve2", false, &config);
    let text = lab.apply();
    assert!(text.contains("! copied-mark: guest 1005 carries the tag of a keeper"), "{text}");
    assert!(lab.snapshot.guests.contains_key(&1005));
}

#[test]
fn what_proxmox_would_refuse_half_way_is_refused_before() {
    let mut lab = keeping();
    lab.config(1000, "parent", "before");
    assert!(lab.destroy().contains("× keep-snapshots: a disk of k3s/w01 (1000) cannot be kept"));
    let mut lab = keeping();
    for storage in lab.snapshot.inventory.storages.values_mut() {
        storage.plugin = "iscsi".into();
    }
    assert!(lab.destroy().contains("× keep-storage: "));
    let mut lab = keeping();
    lab.desired.scope.vms.last = 1000;
    assert!(lab.destroy().contains("× no-vmid-left: "));
}

#[test]
fn a_slot_that_the_template_fills_is_said() {
    let mut lab = keeping();
    lab.destroy();
    let disk = lab.first().spec.disks.remove("scsi1").unwrap();
    lab.config(crate::lab::SHARED, "scsi1", "shared:base-100-disk-1,size=1G");
    lab.first().spec.disks.insert("scsi1".into(), Disk { storage: None, ..disk });
    let text = lab.apply();
    assert!(text.contains("! kept-slot-taken: k3s/w01 has a disk in scsi1"), "{text}");
    assert_eq!(whereabouts(&lab).len(), 2, "the template's, and the kept one");
}

#[test]
fn detached_disks_that_go_too_are_said() {
    let mut lab = keeping();
    lab.config(1000, "unused0", "shared:vm-1000-disk-9");
    let text = lab.destroy();
    assert!(
        text.contains(
            "i detached-lost: detached disks go with k3s/w01 too: unused0 (shared:vm-1000-disk-9)"
        ),
        "{text}"
    );
}

#[test]
fn the_keeper_is_removed_with_proof() {
    let mut lab = keeping();
    lab.destroy();
    let plan = lab.plan(Intent::Apply);
    let destroy = plan.actions.iter().find(|a| a.kind == ActionKind::Destroy).unwrap();
    assert_eq!(destroy.vmid, 1001);
    let mut bare = plan.clone();
    bare.actions = pvx_core::plan::ActionGraph::default();
    for action in plan.actions.iter() {
        let mut action = action.clone();
        if action.vmid == 1001 {
            action.preconditions.clear();
        }
        bare.actions.add(action);
    }
    let complaints: Vec<_> = lint::check(&bare).into_iter().map(|f| f.message).collect();
    let text = complaints.join("\n");
    assert!(text.contains("destroys without proof of ownership"), "{text}");
    assert!(text.contains("k3s/w01 touches guest 1001, which is not it"), "{text}");
}
