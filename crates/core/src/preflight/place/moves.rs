//! What keeps a guest from moving to another node. Of disks that cannot move to another storage the
//! planner itself says so.

use super::course::{Course, Moved, Volume};
use super::known::{Migration, Replication};
use super::{Asked, Look};
use crate::live::GuestRef;
use crate::plan::Finding;

pub(super) fn ask(course: &Course, asked: &mut Asked) {
    for moved in &course.moved {
        let guest = GuestRef { vmid: moved.vmid, node: moved.node.clone() };
        // A guest that has snapshots names the last one.
        if moved.config.contains_key("parent") && !moved.local.is_empty() {
            asked.snapshots.insert(guest.clone());
        }
        asked.migrations.insert((guest, moved.target.clone()));
        asked.replication |= moved.online;
    }
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        course.moved.iter().flat_map(|moved| migration(look, course, moved)).collect();
    found.extend(course.moved.iter().filter_map(|moved| replicated(look, moved)));
    found.extend(course.moved.iter().filter_map(|moved| snapshotted(look, moved)));
    found
}

fn migration(look: &Look<'_>, course: &Course, moved: &Moved) -> Vec<Finding> {
    let answers = &look.known.migrations;
    let known = answers.iter().find(|m| m.vmid == moved.vmid && m.target == moved.target);
    let Some(known) = known else { return Vec::new() };
    let here = |key: &String| moved.config.contains_key(key);
    let there = |storage: &String| moved.storages.contains(storage);
    let Migration { devices, unmapped, held, storages, apart, .. } = known;
    let target = &moved.target;
    let list =
        |all: Vec<&String>| all.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut found = Vec::new();
    let mut say = |why: String, help: String| {
        let text = format!("{} ({}) cannot move to {target}: {why}", moved.address, moved.vmid);
        let finding = Finding::error("migrate-refused", text).help(help);
        found.push(look.at(finding, &moved.address, &["node"]));
    };
    let keys = list(devices.iter().filter(|key| here(key)).collect());
    if !keys.is_empty() {
        let help = format!("take {keys} away, use a mapping, or leave it on {}", moved.node);
        say(format!("{keys} is a device of {}", moved.node), help);
    }
    let keys = list(unmapped.iter().filter(|key| here(key)).collect());
    if !keys.is_empty() {
        let help = format!("map the device of {keys} on {target} too");
        say(format!("the mapping of {keys} has no device there"), help);
    }
    let keys = list(held.iter().filter(|key| here(key) && moved.online).collect());
    if !keys.is_empty() {
        let help =
            "stop it first; a PCI mapping whose devices can move says `live-migration-capable`";
        let help = help.to_owned();
        say(format!("{keys} cannot move while it runs"), help);
    }
    let names = list(storages.iter().filter(|name| there(name)).collect());
    if !names.is_empty() {
        let help = format!("make {names} available on {target}, or move its disks first");
        say(format!("that node has no {names}"), help);
    }
    // One that the plan takes away from there is in nobody's way for long.
    let leaves = |sid: &String| {
        let vmid = sid.strip_prefix("vm:").and_then(|number| number.parse::<u32>().ok());
        vmid.is_some_and(|vmid| {
            let moves = course.guests.get(&vmid).is_some_and(|state| state.node != *target);
            moves || course.gone.contains(&vmid)
        })
    };
    let names = list(apart.iter().filter(|sid| !moved.ha_changed && !leaves(sid)).collect());
    if !names.is_empty() {
        let help = "change the HA rule, or choose another node".to_owned();
        say(format!("HA rules keep it apart from {names}, which is there"), help);
    }
    found
}

/// A running guest moves only to where it is replicated (qemu-server `API2/Qemu.pm`, migrate_vm).
fn replicated(look: &Look<'_>, moved: &Moved) -> Option<Finding> {
    let mut jobs = look.known.replication.iter().filter(|job| job.vmid == moved.vmid);
    let first = jobs.clone().next().filter(|_| moved.online)?;
    if jobs.any(|job| job.target == moved.target) {
        return None;
    }
    let text = format!(
        "{} ({}) cannot move to {} while it runs: it is replicated to {} alone (job {})",
        moved.address, moved.vmid, moved.target, first.target, first.id
    );
    let help = format!(
        "move it to {}, replicate it to {} too, or `pvesr delete {}`",
        first.target, moved.target, first.id
    );
    let finding = Finding::error("replicated", text).help(help);
    Some(look.at(finding, &moved.address, &["node"]))
}

/// Snapshots of disks that are copied go along with ZFS, Btrfs and files of qcow2, and never while
/// the guest runs (qemu-server `QemuMigrate.pm`, scan_local_volumes).
fn snapshotted(look: &Look<'_>, moved: &Moved) -> Option<Finding> {
    let known = look.known.snapshots.iter().find(|s| s.vmid == moved.vmid)?;
    // What is replicated there has its snapshots there already.
    let there = |job: &Replication| job.vmid == moved.vmid && job.target == moved.target;
    if moved.online && look.known.replication.iter().any(there) {
        return None;
    }
    let inventory = &look.input.snapshot.inventory;
    let goes_along = |volume: &Volume| {
        let plugin = inventory.storage(&moved.node, &volume.storage).map(|s| s.plugin.as_str());
        let plugin = plugin.unwrap_or_default();
        plugin.is_empty()
            || matches!(plugin, "zfspool" | "btrfs")
            || volume.volid.ends_with(".qcow2")
    };
    let stays = |volume: &&Volume| moved.online || !goes_along(volume);
    let held = moved.local.iter().filter(stays).find_map(|volume| {
        let holds = |(_, volumes): &&(String, Vec<String>)| volumes.contains(&volume.volid);
        known.volumes.iter().find(holds).map(|(name, _)| (name, volume))
    });
    let (snapshot, volume) = held?;
    let text = format!(
        "{} ({}) cannot move to {}: snapshot {snapshot} holds {}, on a storage of its node",
        moved.address, moved.vmid, moved.target, volume.volid
    );
    let help = format!("`qm delsnapshot {} {snapshot}`, or leave it on {}", moved.vmid, moved.node);
    let finding = Finding::error("migrate-refused", text).help(help);
    Some(look.at(finding, &moved.address, &["node"]))
}
