//! Are storages and the volumes that are only read there, on the node where they are needed?

use std::collections::BTreeSet;

use super::course::{Course, Placed, Read, Volume};
use super::known::{Migration, StorageState};
use super::words;
use super::{Asked, Look};
use crate::address::Address;
use crate::plan::Finding;
use crate::planner::Input;

pub(super) fn ask(course: &Course, input: &Input<'_>, asked: &mut Asked) {
    for placed in &course.placed {
        asked.storages.insert(placed.node.clone());
    }
    let inventory = &input.snapshot.inventory;
    for read in &course.read {
        let volume = &read.volume;
        asked.storages.insert(volume.node.clone());
        // What is not there has no volumes, and need not be asked.
        if inventory.storages.is_empty()
            || inventory.storage(&volume.node, &volume.storage).is_some()
        {
            let content = read.content.to_owned();
            asked.volumes.insert((volume.node.clone(), volume.storage.clone(), content));
        }
    }
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut said: BTreeSet<(&str, &str)> = BTreeSet::new();
    for placed in &course.placed {
        let (node, storage) = (placed.node.as_str(), placed.storage.as_str());
        if let Some(state) = look.known.storage(node, storage)
            && !state.active
            && !is_on_the_way(look, placed)
            && said.insert((node, storage))
        {
            let paths = disk_paths(&placed.slot);
            found.push(unavailable(look, state, &placed.address, &paths));
        }
    }
    for read in &course.read {
        found.extend(readable(look, course, read, &mut said));
    }
    found
}

/// Where a guest moves to, the storage is what keeps it from moving.
fn is_on_the_way(look: &Look<'_>, placed: &Placed) -> bool {
    let lacks = |m: &Migration| m.target == placed.node && m.storages.contains(&placed.storage);
    look.known.migrations.iter().any(lacks)
}

/// Keys that may say where a disk is, the nearest first.
pub(super) fn disk_paths(slot: &str) -> Vec<String> {
    let below = ["storage", "size"].map(|key| format!("disks.{slot}.{key}"));
    let mut paths = below.to_vec();
    paths.push(format!("disks.{slot}"));
    paths.push("storage".to_owned());
    paths.push("disk".to_owned());
    paths
}

pub(super) fn at_paths(
    look: &Look<'_>,
    finding: Finding,
    address: &Address,
    paths: &[String],
) -> Finding {
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    look.at(finding, address, &paths)
}

fn unavailable(
    look: &Look<'_>,
    state: &StorageState,
    address: &Address,
    paths: &[String],
) -> Finding {
    let StorageState { node, storage, .. } = state;
    let (text, help) = if state.enabled {
        (
            format!("storage {storage} cannot be reached from {node} right now"),
            format!("see `pvesm status --storage {storage}` on {node}, then plan again"),
        )
    } else {
        (
            format!("storage {storage} is switched off for {node}"),
            format!("`pvesm set {storage} --disable 0`, or add {node} to its nodes"),
        )
    };
    let finding = Finding::error("storage-unavailable", text).help(help);
    at_paths(look, finding, address, paths)
}

/// An ISO on a storage that is not meant for any. Whether it is there, lists do not tell then; a
/// guest does not start with it (qemu-server, check_volume_storage_type), and nothing else minds.
fn not_meant(look: &Look<'_>, read: &Read, course: &Course, paths: &[String]) -> Option<Finding> {
    let Read { address, volume, content, .. } = read;
    let starts = course.started.iter().any(|started| started.address == *address);
    if *content != "iso" || !starts {
        return None;
    }
    let Volume { storage, volid, .. } = volume;
    let text = format!("storage {storage} does not take ISOs: {address} cannot start with {volid}");
    let help = format!(
        "add `iso` to its content types (`pvesm set {storage} --content …`), or take the ISO from another storage"
    );
    let finding = Finding::error("storage-content", text).help(help);
    Some(at_paths(look, finding, address, paths))
}

/// The storage of an ISO or of an image, and the volume itself.
fn readable<'c>(
    look: &Look<'_>,
    course: &Course,
    read: &'c Read,
    said: &mut BTreeSet<(&'c str, &'c str)>,
) -> Option<Finding> {
    let (node, storage) = (read.volume.node.as_str(), read.volume.storage.as_str());
    let slot = &read.slot;
    let key = if read.content == "iso" { "cdroms" } else { "disks" };
    let import = format!("{key}.{slot}.import_from");
    let paths = vec![import, format!("{key}.{slot}"), slot.clone()];
    let at = |finding| Some(at_paths(look, finding, &read.address, &paths));
    let inventory = &look.input.snapshot.inventory;
    let Some(state) = look.known.storage(node, storage) else {
        if !look.known.has_storages(node) || inventory.storage(node, storage).is_some() {
            return None;
        }
        let names: Vec<&str> = look
            .known
            .storages
            .iter()
            .filter(|s| s.node == node)
            .map(|s| s.storage.as_str())
            .collect();
        let text = format!("node {node} has no storage {storage}, of {}", read.volume.volid);
        let help = words::choice(storage, &format!("node {node}"), &names);
        return at(Finding::error("storage-missing", text).help(help));
    };
    if !state.active {
        return said
            .insert((node, storage))
            .then(|| unavailable(look, state, &read.address, &paths));
    }
    if !state.content.iter().any(|kind| kind == read.content) {
        return not_meant(look, read, course, &paths);
    }
    let shared = inventory.is_shared(storage);
    let list = look.known.volumes(node, storage, read.content, false)?;
    if list.iter().any(|volume| volume.volid == read.volume.volid) {
        return None;
    }
    let place = words::storage(node, storage, shared);
    let owner = if shared { "the cluster".to_owned() } else { format!("node {node}") };
    let text = format!("{owner} has no {}", read.volume.volid);
    let names: Vec<&str> = list.iter().map(|volume| volume.volid.as_str()).collect();
    let help = match names.is_empty() {
        true => format!("{place} holds nothing of type {}: upload it there", read.content),
        false => words::choice(&read.volume.volid, &place, &names),
    };
    // What is inside an archive (`local:import/x.ova/disk.vmdk`) is not listed.
    let archive = names.iter().any(|name| read.volume.volid.starts_with(&format!("{name}/")));
    if archive { None } else { at(Finding::error("volume-missing", text).help(help)) }
}
