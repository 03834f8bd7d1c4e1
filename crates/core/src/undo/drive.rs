//! Drives: what came goes, what was detached is attached again, what moved moves back. What grew
//! stays, and what was erased is gone.

use super::walk::Walk;
use crate::live::Guest;
use crate::plan::{Action, ActionKind, Effect};
use crate::provider::Volume;

/// The volume of a drive's value (`shared:1001/vm-1001-disk-0.raw`).
pub(super) fn file(value: &str) -> &str {
    value.split(',').next().unwrap_or_default()
}

fn options(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').skip(1)
}

fn is_cdrom(value: &str) -> bool {
    options(value).any(|option| option == "media=cdrom")
}

fn volume(walk: &Walk<'_>, slot: &str, value: &str) -> Option<Volume> {
    let config = [(slot.to_owned(), value.to_owned())].into();
    walk.input.kind.volumes(&Guest { config, ..Guest::default() }).pop()
}

/// The options of one value with the volume, and so the size, of another.
pub(super) fn on_volume(volume: &str, options_of: &str) -> String {
    let size = options(volume).find(|option| option.starts_with("size="));
    let others = options(options_of).filter(|option| !option.starts_with("size="));
    let all: Vec<&str> = std::iter::once(file(volume)).chain(others).chain(size).collect();
    all.join(",")
}

/// What is written so that a drive has its former options; none when it has them.
pub(super) fn options_of(
    walk: &Walk<'_>,
    vmid: u32,
    slot: &str,
    was: &str,
    is: &str,
) -> Option<String> {
    if file(was) == file(is) || is_cdrom(was) || is_cdrom(is) {
        let value = if is_cdrom(was) { was.to_owned() } else { on_volume(is, was) };
        return (!same(&value, is)).then_some(value);
    }
    // Its volume has another name by now, or will have: the name is looked up when it is written.
    let guest = walk.guests.get(&vmid)?;
    let value = walk.input.kind.with_disk(guest, slot, was).config.remove(slot)?;
    (!same(&on_volume(is, was), is)).then_some(value)
}

/// Are these one value, whatever the order of the options?
fn same(a: &str, b: &str) -> bool {
    let sorted = |value: &str| {
        let mut pieces: Vec<String> = value.split(',').map(str::to_owned).collect();
        pieces.sort();
        pieces
    };
    sorted(a) == sorted(b)
}

/// A drive that came in this run goes, with the volume that was made for it.
pub(super) fn take_out(walk: &mut Walk<'_>, vmid: u32, slot: &str) {
    let Some(value) = walk.is(vmid, slot) else { return };
    let found = volume(walk, slot, &value).filter(|v| v.is_own() && !v.cloudinit);
    walk.tell(slot, Some(value.clone()), None);
    walk.step_on(
        vmid,
        ActionKind::Detach { disk: slot.to_owned() },
        Effect::Live,
        storage(&value).into_iter().collect(),
    );
    walk.follow(vmid, slot, None);
    walk.drives = true;
    let Some(volume) = found else { return };
    let unused = next_unused(walk, vmid);
    walk.follow(vmid, &unused, Some(format!("{}:{}", volume.storage, volume.name)));
    let kind = ActionKind::Erase { disk: unused.clone() };
    walk.step_on(vmid, kind, Effect::DataLoss, vec![volume.storage]);
    walk.follow(vmid, &unused, None);
}

/// Proxmox takes the lowest free one (pve-guest-common, add_unused_volume).
fn next_unused(walk: &Walk<'_>, vmid: u32) -> String {
    let mut names = (0_u16..256).map(|n| format!("unused{n}"));
    names.find(|name| walk.is(vmid, name).is_none()).unwrap_or_default()
}

/// A drive that was detached comes back to its slot.
pub(super) fn attach(walk: &mut Walk<'_>, vmid: u32, slot: &str) {
    let (Some(was), None) = (walk.was(vmid, slot), walk.is(vmid, slot)) else { return };
    let own = volume(walk, slot, &was).is_some_and(|v| v.is_own() && !v.cloudinit);
    let Some(guest) = walk.guests.get(&vmid) else { return };
    let unused = guest
        .config
        .iter()
        .find(|(key, value)| key.starts_with("unused") && file(value) == file(&was))
        .map(|(key, _)| key.clone());
    // Until its next cold boot a running guest may still have it.
    let waits = guest.pending.iter().any(|pending| pending.key == slot);
    if own && unused.is_none() && !waits {
        return; // its bytes are gone, as is said of the action that erased them
    }
    // Proxmox makes a cloud-init drive anew; of any other it takes what is there.
    let (value, background) = match volume(walk, slot, &was) {
        Some(volume) if volume.cloudinit => (fresh_cloudinit(&volume, &was), true),
        _ => (was.clone(), false),
    };
    let set = [(slot.to_owned(), value)].into();
    let kind = ActionKind::Configure { set, delete: Vec::new(), background };
    walk.step_on(vmid, kind, Effect::Live, storage(&was).into_iter().collect());
    walk.tell(slot, None, Some(was.clone()));
    walk.follow(vmid, slot, Some(was));
    if let Some(unused) = unused {
        walk.follow(vmid, &unused, None);
    }
    walk.drives = true;
    walk.wrote = true;
}

fn fresh_cloudinit(volume: &Volume, was: &str) -> String {
    let name = format!("{}:cloudinit", volume.storage);
    let others = options(was).filter(|option| !option.starts_with("size="));
    std::iter::once(name.as_str()).chain(others).collect::<Vec<_>>().join(",")
}

fn storage(value: &str) -> Option<String> {
    file(value).split_once(':').map(|(storage, _)| storage.to_owned())
}

/// A disk that moved goes back to the storage, and into the format, that it had.
pub(super) fn move_back(walk: &mut Walk<'_>, vmid: u32, slot: &str) {
    let (Some(was), Some(is)) = (walk.was(vmid, slot), walk.is(vmid, slot)) else { return };
    let (Some(before), Some(now)) = (volume(walk, slot, &was), volume(walk, slot, &is)) else {
        return;
    };
    let formats = (format(&before), format(&now));
    if before.name == now.name || (before.storage == now.storage && formats.0 == formats.1) {
        return;
    }
    if before.is_linked() && !now.is_linked() {
        walk.lose(format!("{slot} is a full copy now, and no linked clone any more"));
    }
    let kind = ActionKind::MoveDisk {
        disk: slot.to_owned(),
        storage: before.storage.clone(),
        format: formats.0,
    };
    walk.tell(&format!("{slot}.storage"), Some(now.storage.clone()), Some(before.storage.clone()));
    walk.step_on(vmid, kind, Effect::Move, vec![now.storage, before.storage]);
    // The name that it gets is not known; options and size go with it.
    let moved = walk.guests.get(&vmid).map(|guest| walk.input.kind.with_disk(guest, slot, &was));
    let moved = moved.and_then(|guest| guest.config.get(slot).cloned());
    walk.follow(vmid, slot, moved.map(|moved| on_volume(&moved, &is)).or(Some(was)));
}

/// The format that a volume's name tells of.
fn format(volume: &Volume) -> Option<String> {
    let (_, extension) = volume.name.rsplit_once('.')?;
    matches!(extension, "raw" | "qcow2" | "vmdk").then(|| extension.to_owned())
}

/// A disk that grew stays so.
pub(super) fn grown(walk: &mut Walk<'_>, vmid: u32, slot: &str) {
    let size = |value: Option<String>| value.and_then(|v| volume(walk, slot, &v)?.size);
    let (was, is) = (size(walk.was(vmid, slot)), size(walk.is(vmid, slot)));
    if was.is_some() && was != is {
        walk.lose(format!("{slot} stays as large as it is: disks never shrink"));
    }
}

/// Erased bytes do not come back.
pub(super) fn erased(walk: &mut Walk<'_>, action: &Action, disk: &str) {
    let volume = action.preconditions.iter().find_map(|p| match p {
        crate::plan::Precondition::Holds { volume, .. } => Some(volume.as_str()),
        _ => None,
    });
    let volume = volume.unwrap_or(disk).to_owned();
    walk.lose(format!("{volume} was erased: its bytes do not come back"));
}
