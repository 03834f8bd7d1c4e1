//! Is there room on storages for what the plan makes, and for what is promised already?
//!
//! A thick volume (LVM, ZFS that is not sparse) takes its whole size when it is made; of others
//! only the bytes that are copied are certain, the rest is a promise.

use std::collections::BTreeMap;

use super::course::{Course, Placed, Volume};
use super::known::StorageState;
use super::storages::{at_paths, disk_paths};
use super::words::{self, size};
use super::{Asked, Look};
use crate::plan::{Finding, Weight};
use crate::planner::Input;

/// A store of bytes: a shared storage, or a storage of a node.
type Store = (Option<String>, String);

/// What a plan does to a store.
#[derive(Default)]
struct Load<'c> {
    placed: Vec<&'c Placed>,
    removed: Vec<&'c Volume>,
    /// A node that can tell of it.
    node: String,
}

fn loads<'c>(course: &'c Course, input: &Input<'_>) -> BTreeMap<Store, Load<'c>> {
    let store = |node: &str, storage: &str| {
        let shared = input.snapshot.inventory.is_shared(storage);
        ((!shared).then(|| node.to_owned()), storage.to_owned())
    };
    let mut loads: BTreeMap<Store, Load<'c>> = BTreeMap::new();
    for placed in &course.placed {
        let load = loads.entry(store(&placed.node, &placed.storage)).or_default();
        load.node.clone_from(&placed.node);
        load.placed.push(placed);
    }
    for volume in &course.removed {
        if let Some(load) = loads.get_mut(&store(&volume.node, &volume.storage)) {
            load.removed.push(volume);
        }
    }
    loads
}

pub(super) fn ask(course: &Course, input: &Input<'_>, asked: &mut Asked) {
    let inventory = &input.snapshot.inventory;
    let there = |node: &str, storage: &str| {
        inventory.storages.is_empty() || inventory.storage(node, storage).is_some()
    };
    for ((_, storage), load) in loads(course, input) {
        let node = &load.node;
        if there(node, &storage) {
            asked.volumes.insert((node.clone(), storage.clone(), "images".to_owned()));
        }
        let plugin = inventory.storage(node, &storage).map_or("", |s| s.plugin.as_str());
        asked.storage_options |= matches!(plugin, "zfspool" | "zfs");
    }
    let sources = course.placed.iter().filter(|p| !p.linked).filter_map(|p| p.source.as_ref());
    for source in sources.filter(|source| there(&source.node, &source.storage)) {
        let content = content_of(source).to_owned();
        let shared = inventory.is_shared(&source.storage);
        let known = |(_, storage, kind): &&(String, String, String)| {
            shared && *storage == source.storage && *kind == content
        };
        if !asked.volumes.iter().any(|volumes| known(&volumes)) {
            asked.volumes.insert((source.node.clone(), source.storage.clone(), content));
        }
    }
}

fn content_of(volume: &Volume) -> &'static str {
    if volume.volid.contains(":import/") { "import" } else { "images" }
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    let mut found = Vec::new();
    for ((_, storage), mut load) in loads(course, look.input) {
        load.placed.sort_by_key(|placed| look.order(&placed.address));
        let Some(state) = look.known.storage(&load.node, &storage) else { continue };
        if state.total > 0 && state.active {
            found.extend(store(look, state, &load));
        }
    }
    found
}

/// Is the whole size of a volume taken when it is made?
fn is_thick(look: &Look<'_>, node: &str, storage: &str) -> bool {
    let inventory = &look.input.snapshot.inventory;
    match inventory.storage(node, storage).map_or("", |found| found.plugin.as_str()) {
        "lvm" => true,
        "zfspool" | "zfs" => look.known.thick.iter().any(|name| name == storage),
        _ => false,
    }
}

/// Bytes that a new disk certainly takes.
fn written(look: &Look<'_>, placed: &Placed, thick: bool) -> u64 {
    if placed.linked {
        return 0;
    }
    if thick {
        return placed.size;
    }
    let Some(source) = &placed.source else { return 0 };
    listed(look, source).and_then(|(used, _)| used).unwrap_or(0)
}

/// Those of them that leave no doubt: of an image that is imported a list shows how long its file
/// is, which may have holes.
fn surely(look: &Look<'_>, placed: &Placed, thick: bool) -> u64 {
    let imported = placed.source.as_ref().is_some_and(|source| content_of(source) == "import");
    if imported && !thick { 0 } else { written(look, placed, thick) }
}

/// Bytes that a volume takes, where its storage tells, and its size.
fn listed(look: &Look<'_>, volume: &Volume) -> Option<(Option<u64>, u64)> {
    let content = content_of(volume);
    let shared = look.input.snapshot.inventory.is_shared(&volume.storage);
    let list = look.known.volumes(&volume.node, &volume.storage, content, shared)?;
    let found = list.iter().find(|listed| listed.volid == volume.volid)?;
    // Of what is imported a list shows the size of the file.
    let used = if content == "import" { Some(found.size) } else { found.used };
    Some((used, found.size))
}

fn store(look: &Look<'_>, state: &StorageState, load: &Load<'_>) -> Option<Finding> {
    let StorageState { node, storage, .. } = state;
    let thick = is_thick(look, node, storage);
    let sum = |bytes: fn(&Look<'_>, &Placed, bool) -> u64| {
        load.placed.iter().fold(0_u64, |sum, placed| sum.saturating_add(bytes(look, placed, thick)))
    };
    let taken = sum(written);
    let freed = load.removed.iter().filter_map(|volume| {
        let (used, size) = listed(look, volume)?;
        Some(used.filter(|_| !thick).unwrap_or(size))
    });
    let room = state.free.saturating_add(freed.sum());
    let place = words::storage(node, storage, look.input.snapshot.inventory.is_shared(storage));
    // It is about all of them: shown at one.
    let shown = |finding, placed: &Placed| {
        let finding = at_paths(look, finding, &placed.address, &disk_paths(&placed.slot));
        Finding { address: None, ..finding }
    };
    if taken > room {
        let (weight, needs) = match sum(surely) > room {
            true => (Weight::Error, "needs"),
            false => (Weight::Warning, "may need"),
        };
        let text = format!("{place} has {} free, this plan {needs} {}", size(room), size(taken));
        let help = "make room there, or give disks another `storage`";
        let first = first_beyond(look, load, room, thick)?;
        let finding = Finding::new(weight, "storage-full", text).help(help);
        return Some(shown(finding, first));
    }
    if thick {
        return None;
    }
    let free = room - taken;
    let asked: u64 =
        load.placed.iter().map(|p| p.size.saturating_sub(written(look, p, false))).sum();
    if asked == 0 {
        return None;
    }
    let promised = promised(look, state, load)?.saturating_add(asked);
    let ratio = look.input.desired.scope.overcommit.storage;
    let committed = state.total.saturating_sub(free).saturating_add(promised);
    if committed as f64 <= state.total as f64 * ratio.unwrap_or(1.0) {
        return None;
    }
    let text =
        format!("{place} has {} free after this plan, {} are promised", size(free), size(promised));
    let first = first_asking(look, load)?;
    let finding = match ratio {
        Some(ratio) => Finding::error("storage-overcommitted", text).help(format!(
            "make room there, give disks another `storage`, or raise preflight.overcommit.storage ({ratio})"
        )),
        None => Finding::warning("storage-overcommitted", text)
            .help("it runs full when guests write all they may: make room there, or give disks another `storage`"),
    };
    Some(shown(finding, first))
}

/// Bytes that guests which are there may still write.
fn promised(look: &Look<'_>, state: &StorageState, load: &Load<'_>) -> Option<u64> {
    let StorageState { node, storage, .. } = state;
    let shared = look.input.snapshot.inventory.is_shared(storage);
    let list = look.known.volumes(node, storage, "images", shared)?;
    let goes = |volid: &str| load.removed.iter().any(|volume| volume.volid == volid);
    // A template's disks are never written to again.
    let is_base =
        |volid: &str| volid.rsplit(['/', ':']).next().unwrap_or(volid).starts_with("base-");
    let stays = list.iter().filter(|v| !goes(&v.volid) && !is_base(&v.volid));
    let (mut known, mut unknown) = (0_u64, 0_u64);
    for volume in stays {
        match volume.used {
            Some(used) => known = known.saturating_add(volume.size.saturating_sub(used)),
            None => unknown = unknown.saturating_add(volume.size),
        }
    }
    Some(known.saturating_add(unknown.saturating_sub(if unknown > 0 { state.used } else { 0 })))
}

/// The first disk that does not fit any more.
fn first_beyond<'c>(
    look: &Look<'_>,
    load: &Load<'c>,
    room: u64,
    thick: bool,
) -> Option<&'c Placed> {
    let mut sum = 0_u64;
    load.placed.iter().copied().find(|placed| {
        sum = sum.saturating_add(written(look, placed, thick));
        sum > room
    })
}

/// The first disk that is promised more than it takes.
fn first_asking<'c>(look: &Look<'_>, load: &Load<'c>) -> Option<&'c Placed> {
    load.placed.iter().copied().find(|placed| placed.size > written(look, placed, false))
}
