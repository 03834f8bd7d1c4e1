//! Disks that are made: empty, or filled from another volume; or that were detached before and are
//! attached again.

use pvx_core::desired::Disk;
use pvx_core::plan::{Effect, Finding};

use super::super::differ::Differ;
use super::super::effect;
use super::{bad_option, existing, removed};
use crate::codec::{Drive, PropertyError, Size};

pub(super) fn boot_disk(differ: &mut Differ<'_>, bytes: u64) {
    disk(differ, "scsi0", &Disk { size: Some(bytes), ..Disk::default() });
}

pub(super) fn disk(differ: &mut Differ<'_>, slot: &str, wanted: &Disk) {
    differ.manage(&format!("disks.{slot}"));
    if wanted.erase {
        differ.manage(&format!("disks.{slot}.on_removal"));
    }
    existing::check_iothread(differ, slot, wanted);
    // What it costs is decided when all is known.
    let effect = Effect::Live;
    if let Some((mut drive, size)) = removed::detached_before(differ, slot) {
        let words = format!("{} again", drive.file());
        set_options(differ, slot, wanted, None, &mut drive);
        differ.attribute(slot, None, Some(&words), effect);
        differ.make(slot, &drive.to_string());
        if let Some(bytes) = wanted.size.filter(|bytes| size.is_some_and(|size| size < *bytes)) {
            grow(differ, slot, bytes);
        }
        return;
    }
    let storage = wanted.storage.as_ref().or(differ.wanted.spec.storage.as_ref());
    let (Some(storage), true) = (storage, wanted.size.is_some() || wanted.import_from.is_some())
    else {
        let text = format!("disk {slot} is to be made and has no size or no storage");
        let finding = Finding::error("disk-incomplete", text);
        differ.finding(finding.help("give `size`, and `storage` here or in the defaults"));
        return;
    };
    let Ok(mut drive) = new_drive(storage, wanted) else {
        let text = format!("'{storage}' cannot be the name of a storage");
        differ.finding(
            Finding::error("storage-name", text).help("storages are named as in `pvesm status`"),
        );
        return;
    };
    set_options(differ, slot, wanted, wanted.format.as_ref(), &mut drive);
    let size = wanted.size.map(|bytes| Size::from_bytes(bytes).to_string());
    let source = wanted.import_from.as_ref().map(|source| format!("from {source}"));
    let place = Some(format!("on {storage}"));
    let words: Vec<String> = [size, source, place].into_iter().flatten().collect();
    differ.attribute(slot, None, Some(&words.join(" ")), effect);
    differ.make(slot, &drive.to_string());
    if let (Some(bytes), Some(_)) = (wanted.size, &wanted.import_from) {
        grow(differ, slot, bytes);
    }
    differ.allocates_on(&storage.clone());
}

/// A disk grows when it is there: at once, or after the cold boot that brings it.
fn grow(differ: &mut Differ<'_>, slot: &str, bytes: u64) {
    let value = differ.current(slot);
    match effect::of_change(slot, None, value.as_deref(), differ.live).effect {
        Effect::Live => differ.resize(slot, bytes),
        _ => existing::later(differ, slot, bytes),
    }
}

fn new_drive(storage: &str, wanted: &Disk) -> Result<Drive, PropertyError> {
    match &wanted.import_from {
        Some(source) => Drive::import(storage, source),
        None => Drive::allocate(storage, Size::from_bytes(wanted.size.unwrap_or_default())),
    }
}

fn set_options(
    differ: &mut Differ<'_>,
    slot: &str,
    wanted: &Disk,
    format: Option<&String>,
    drive: &mut Drive,
) {
    let format = format.iter().map(|f| ("format", *f)).collect::<Vec<_>>();
    let options = wanted.options.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in format.into_iter().chain(options) {
        differ.manage(&format!("disks.{slot}.{name}"));
        if drive.set(name, value).is_err() {
            differ.finding(bad_option(slot, name, value));
        }
    }
}
