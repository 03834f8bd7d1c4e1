//! Disks that documents no longer name, and disks that they never named.
//!
//! What becomes of a disk is remembered with the guest: `disks.scsi1` was managed and is detached
//! when it no longer is; `disks.scsi1.on_removal` says that its bytes go then; `detached.scsi1=V`
//! is the volume that a detached disk left behind; `erase.V` a volume whose bytes still have to go;
//! `found.scsi2` a disk that came with the template.

use std::collections::BTreeSet;

use pvx_core::plan::{Effect, Finding};
use pvx_core::provider::Detach;

use super::super::differ::Differ;
use super::super::identity::{disk_in, is_provisional};
use super::super::{effect, unnamed};
use super::is_numbered;
use crate::codec::{Drive, Size, parse_boolean};

pub(super) fn compare(differ: &mut Differ<'_>, boot: Option<&str>) {
    // The disk that a guest boots from came with it: only options of it were said.
    for slot in dropped(differ).into_iter().filter(|slot| Some(slot.as_str()) != boot) {
        detach(differ, &slot);
    }
    remember_detached(differ);
    erase_waiting(differ);
    unmanaged(differ, boot);
}

/// Slots with a disk that documents named before and do not name now.
fn dropped(differ: &Differ<'_>) -> BTreeSet<String> {
    let named = |slot: &str| {
        let spec = differ.wanted.spec;
        spec.disks.contains_key(slot) || spec.cdroms.contains_key(slot)
    };
    let has_disk = |slot: &str| differ.stored(slot).is_some_and(|v| disk_in(slot, v).is_some());
    let paths = differ.managed_before("disks.");
    let slots = paths.filter_map(|path| path.split('.').nth(1)).filter(|slot| is_numbered(slot));
    slots.filter(|slot| !named(slot) && has_disk(slot)).map(str::to_owned).collect()
}

/// Proxmox takes no drive from a protected guest (qemu-server, update_vm_api). Said, and tried again
/// when it is not protected any more.
pub(super) fn is_protected(differ: &mut Differ<'_>, path: &str, slot: &str) -> bool {
    let protected = protects(differ);
    if protected {
        let before: Vec<&str> = differ.managed_before(path).filter(|p| is_below(p, path)).collect();
        for path in before {
            differ.manage(path);
        }
        let text = format!("drive {slot} stays: the guest is protected, and gives none away");
        let finding = Finding::warning("drive-protected", text);
        differ.finding(finding.help("say `protection: false` to have it detached"));
    }
    protected
}

/// Is the guest protected when disks are taken from it?
fn protects(differ: &Differ<'_>) -> bool {
    {
        let said = differ.wanted.spec.text("protection").and_then(parse_boolean);
        said.unwrap_or(differ.live.is_protected())
    }
}

/// What it costs to take this drive away.
pub(super) fn effect_of(differ: &Differ<'_>, slot: &str) -> Effect {
    effect::of_change(slot, differ.stored(slot), None, differ.live).effect
}

fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn detach(differ: &mut Differ<'_>, slot: &str) {
    if is_protected(differ, &format!("disks.{slot}"), slot) {
        return;
    }
    let Some(drive) = differ.stored(slot).and_then(|v| Drive::parse(v).ok()) else { return };
    let volume = drive.file().to_owned();
    let size = drive.size().map(|size| size.to_string());
    let before = size.as_ref().map_or_else(|| volume.clone(), |size| format!("{size} {volume}"));
    let erase = differ.wanted.managed_before.contains(&format!("disks.{slot}.on_removal"));
    let effect = effect_of(differ, slot);
    let waits = effect != Effect::Live;
    if erase && !waits {
        let unused = differ.take_unused();
        differ.gone(slot, &before, None, Effect::DataLoss);
        differ.detach(Detach { slot: slot.to_owned(), erase: Some((unused, volume)) });
        return;
    }
    differ.gone(slot, &before, Some("detached"), effect);
    differ.detach(Detach { slot: slot.to_owned(), erase: None });
    let unused = (!waits).then(|| differ.take_unused());
    if erase {
        differ.manage(&format!("erase.{volume}"));
    } else {
        let size = size.map_or_else(String::new, |size| format!(",size={size}"));
        differ.manage(&format!("detached.{slot}={volume}{size}"));
    }
    differ.speak_of(format!("disks.{slot}"));
    differ.finding(detached(differ.live.vmid, slot, &volume, unused.as_deref(), erase));
    differ.speak_of_all();
}

/// Where the bytes are, and how to be rid of them. The slot of what waits for a cold boot is known
/// when it has come.
fn detached(vmid: u32, slot: &str, volume: &str, unused: Option<&str>, erase: bool) -> Finding {
    let (text, help) = match (unused, erase) {
        (Some(unused), _) => (
            format!(
                "disk {slot} is detached: its bytes stay in {volume}, as {unused} of guest {vmid}"
            ),
            format!(
                "name it again to have it back; to be rid of it: `qm set {vmid} --delete {unused}`"
            ),
        ),
        (None, false) => (
            format!("disk {slot} is detached at the next cold boot: its bytes stay in {volume}"),
            "name it again to have it back; to be rid of it, delete it under Hardware".to_owned(),
        ),
        (None, true) => (
            format!(
                "disk {slot} is detached at the next cold boot, and erased by the apply after that"
            ),
            "shut the guest down and apply again to have it done now".to_owned(),
        ),
    };
    Finding::note("disk-detached", text).help(help)
}

/// The disk that lay in this slot before, when its volume still is with the guest: as a drive, and
/// its size in bytes.
pub(super) fn detached_before(differ: &Differ<'_>, slot: &str) -> Option<(Drive, Option<u64>)> {
    let prefix = format!("detached.{slot}=");
    let mut left = differ.managed_before(&prefix).filter_map(|path| path.strip_prefix(&prefix));
    left.find_map(|text| {
        let drive = Drive::parse(text).ok()?;
        let there = is_unused(differ, drive.file()) || waits_to_go(differ, slot, drive.file());
        there.then(|| (drive.clone(), drive.size().map(Size::bytes)))
    })
}

/// The `unusedN` that holds this volume.
fn unused_with<'a>(differ: &Differ<'a>, volume: &str) -> Option<&'a str> {
    let mut config = differ.live.config.iter().filter(|(key, _)| key.starts_with("unused"));
    config.find(|(_, value)| value.split(',').next() == Some(volume)).map(|(key, _)| key.as_str())
}

fn is_unused(differ: &Differ<'_>, volume: &str) -> bool {
    unused_with(differ, volume).is_some()
}

/// Is it still in its slot until the next cold boot?
fn waits_to_go(differ: &Differ<'_>, slot: &str, volume: &str) -> bool {
    let holds = |text: &String| text.split(',').next() == Some(volume);
    let mut pending = differ.live.pending.iter();
    pending.any(|p| p.key == slot && p.running.as_ref().is_some_and(holds))
}

/// A detached disk is remembered as long as it is there and its slot is not wanted again.
fn remember_detached(differ: &mut Differ<'_>) {
    let paths: Vec<&str> = differ.managed_before("detached.").collect();
    for path in paths {
        let left = path.strip_prefix("detached.").and_then(|rest| rest.split_once('='));
        let Some((slot, text)) = left else { continue };
        let volume = text.split(',').next().unwrap_or_default();
        let there = is_unused(differ, volume) || waits_to_go(differ, slot, volume);
        if there && !differ.wanted.spec.disks.contains_key(slot) {
            differ.manage(path);
        }
    }
}

/// Volumes that were to be erased and could not be while the guest ran.
fn erase_waiting(differ: &mut Differ<'_>) {
    let paths: Vec<&str> = differ.managed_before("erase.").collect();
    for path in paths {
        let volume = path.strip_prefix("erase.").unwrap_or_default();
        let unused = unused_with(differ, volume);
        if unused.is_some() && protects(differ) {
            differ.manage(path);
        } else if let Some(unused) = unused {
            differ.gone(unused, volume, None, Effect::DataLoss);
            differ.erase(unused, volume);
        } else if differ.live.pending.iter().any(|p| waits_to_go(differ, &p.key, volume)) {
            differ.manage(path);
        }
    }
}

/// Disks that no document ever named are reported and left alone. What came with the template is
/// no news.
fn unmanaged(differ: &mut Differ<'_>, boot: Option<&str>) {
    let fresh = is_provisional(differ.live);
    let mut strangers = Vec::new();
    let live = differ.live;
    for (slot, value) in live.config.iter().filter(|(key, _)| is_numbered(key)) {
        let Some(drive) = disk_in(slot, value) else { continue };
        let spec = differ.wanted.spec;
        let was = differ.wanted.managed_before;
        if Some(slot.as_str()) == boot
            || spec.disks.contains_key(slot)
            || was.contains(&format!("disks.{slot}"))
        {
            continue;
        }
        let found = format!("found.{slot}");
        if fresh || unnamed::is(&drive) || was.contains(&found) {
            differ.manage(&found);
        } else {
            let size = drive.size().map_or_else(String::new, |size| format!(" ({size})"));
            strangers.push(format!("{slot}{size}"));
        }
    }
    if !strangers.is_empty() {
        let list = strangers.join(", ");
        let are = if strangers.len() == 1 { "is" } else { "are" };
        let text = format!("{list} {are} named in no document: left alone");
        differ.finding(Finding::note("disk-unmanaged", text));
    }
}
