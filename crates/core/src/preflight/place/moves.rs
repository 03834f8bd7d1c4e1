//! What keeps a guest from moving to another node, or a disk to another storage.

use super::course::{Course, Moved, Rehoused};
use super::known::Migration;
use super::{Asked, Look};
use crate::live::GuestRef;
use crate::plan::Finding;

pub(super) fn ask(course: &Course, asked: &mut Asked) {
    for moved in &course.moved {
        let guest = GuestRef { vmid: moved.vmid, node: moved.node.clone() };
        asked.migrations.insert((guest, moved.target.clone()));
        asked.replication |= moved.online;
    }
    for rehoused in &course.rehoused {
        let state = course.guests.get(&rehoused.guest.vmid);
        let before = state.and_then(|state| state.before.as_ref());
        // A guest that ever had a snapshot names the last one.
        if let Some(live) = before.filter(|live| live.config.contains_key("parent")) {
            asked.snapshots.insert(live.reference());
        }
    }
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    let mut found: Vec<Finding> =
        course.moved.iter().flat_map(|moved| migration(look, moved)).collect();
    found.extend(course.moved.iter().filter_map(|moved| replicated(look, moved)));
    found.extend(course.rehoused.iter().filter_map(|disk| snapshotted(look, disk)));
    found
}

fn migration(look: &Look<'_>, moved: &Moved) -> Vec<Finding> {
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
        let help = "stop it first, or set `live-migration-capable` on the mapping".to_owned();
        say(format!("{keys} cannot move while it runs"), help);
    }
    let names = list(storages.iter().filter(|name| there(name)).collect());
    if !names.is_empty() {
        let help = format!("make {names} available on {target}, or move its disks first");
        say(format!("that node has no {names}"), help);
    }
    if !apart.is_empty() {
        let names = list(apart.iter().collect());
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

/// The old volume of a disk cannot go while a snapshot holds it.
fn snapshotted(look: &Look<'_>, disk: &Rehoused) -> Option<Finding> {
    let known = look.known.snapshots.iter().find(|s| s.vmid == disk.guest.vmid)?;
    let holds = |(_, volumes): &&(String, Vec<String>)| volumes.contains(&disk.volume.volid);
    let names: Vec<&str> =
        known.volumes.iter().filter(holds).map(|(name, _)| name.as_str()).collect();
    let first = names.first()?;
    let text = format!(
        "{} of {} cannot move to another storage: snapshot {} holds it",
        disk.slot,
        disk.address,
        names.join(", ")
    );
    let help =
        format!("`qm delsnapshot {} {first}`, or leave the disk where it is", disk.guest.vmid);
    let finding = Finding::error("disk-in-snapshot", text).help(help);
    let paths = super::storages::disk_paths(&disk.slot);
    Some(super::storages::at_paths(look, finding, &disk.address, &paths))
}
