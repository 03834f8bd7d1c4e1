//! Disks: grown, added, their options set. Never shrunk, moved or removed here: bytes would go.

use std::collections::BTreeSet;

use pvx_core::desired::Disk;
use pvx_core::live::Guest;
use pvx_core::plan::{Effect, Finding};
use pvx_core::provider::Volume;

use super::differ::Differ;
use super::identity::disk_in;
use super::unnamed;
use crate::codec::{self, Boot, Drive, Size, format_boolean};

/// Is this key a slot for drives (qemu-server `QemuServer/Drive.pm`, valid_drive_names)?
pub(super) fn is_slot(key: &str) -> bool {
    let number = |prefix: &str| key.strip_prefix(prefix).and_then(|n| n.parse::<u8>().ok());
    let below = |prefix: &str, bound: u8| number(prefix).is_some_and(|n| n < bound);
    below("scsi", 31)
        || below("virtio", 16)
        || below("sata", 6)
        || below("ide", 4)
        || key == "efidisk0"
        || key == "tpmstate0"
}

/// Volumes on storages that the guest's configuration refers to.
pub(super) fn volumes(guest: &Guest) -> Vec<Volume> {
    let drives = guest.config.iter().filter(|(key, _)| is_slot(key) || key.starts_with("unused"));
    let volume = |(slot, value): (&String, &String)| {
        let drive = Drive::parse(value).ok()?;
        let storage = drive.storage()?;
        let name = drive.file().split_once(':').map_or("", |(_, name)| name);
        Some(Volume {
            slot: slot.clone(),
            storage: storage.to_owned(),
            name: name.to_owned(),
            size: drive.size().map(Size::bytes),
            cloudinit: drive.is_cloudinit(),
            iso: drive.is_cdrom() && !drive.is_cloudinit(),
        })
    };
    drives.filter_map(volume).collect()
}

/// The disk that the guest boots from: the first disk of the boot order, else the usual first
/// slots.
pub(super) fn boot_disk(guest: &Guest) -> Option<String> {
    let is_disk = |slot: &str| guest.config.get(slot).is_some_and(|v| disk_in(slot, v).is_some());
    let boot = guest.config.get("boot").and_then(|text| Boot::parse(text).ok());
    let ordered = boot.iter().flat_map(|b| b.devices().map(str::to_owned).collect::<Vec<_>>());
    let named = guest.config.get("bootdisk").cloned();
    let usual = ["scsi0", "virtio0", "sata0", "ide0"].map(str::to_owned);
    ordered.chain(named).chain(usual).find(|slot| is_disk(slot))
}

/// Storages round sizes up: LVM to extents of 4 MiB, others to less. Such a disk is not too large.
const EXTENT: u64 = 4 << 20;

pub(super) fn compare(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    let boot = boot_disk(differ.live);
    if let Some(bytes) = spec.boot_disk {
        differ.manage("disk");
        match &boot {
            Some(slot) if spec.disks.get(slot).is_none_or(|disk| disk.size.is_none()) => {
                grow(differ, slot, bytes);
            }
            Some(_) => {}
            None if differ.live.config.is_empty() => add_boot_disk(differ, bytes),
            None => differ.finding(
                Finding::error("no-boot-disk", "the guest has no disk that `disk` could size")
                    .help("give the slot by name under `disks`"),
            ),
        }
    }
    for (slot, disk) in &spec.disks {
        match differ.stored(slot).map(Drive::parse) {
            Some(Ok(drive)) if !drive.is_cdrom() => existing(differ, slot, disk, &drive),
            Some(_) => taken(differ, slot),
            None => add(differ, slot, disk),
        }
    }
    kept(differ);
}

/// A disk that documents no longer name stays: only its owner may say that its bytes can go.
fn kept(differ: &mut Differ<'_>) {
    let before: BTreeSet<String> = differ
        .managed_before("disks.")
        .filter_map(|path| path.split('.').nth(1).map(str::to_owned))
        .filter(|slot| !differ.wanted.spec.disks.contains_key(slot))
        .filter(|slot| differ.live.config.contains_key(slot))
        .collect();
    for slot in before {
        differ.manage(&format!("disks.{slot}"));
        let text = format!("disk {slot} is no longer in the documents and stays attached");
        let finding = Finding::note("disk-kept", text);
        differ.finding(finding.help("detach it by hand when its data may go"));
    }
}

/// The slot holds something that is no disk: a cloud-init drive, a CD-ROM.
fn taken(differ: &mut Differ<'_>, slot: &str) {
    let held = differ.stored(slot).unwrap_or_default().to_owned();
    let finding = Finding::error("disk-slot", format!("slot {slot} holds no disk but {held}"));
    differ.finding(finding.help("give the disk another slot, or free this one"));
}

fn existing(differ: &mut Differ<'_>, slot: &str, wanted: &Disk, drive: &Drive) {
    differ.manage(&format!("disks.{slot}"));
    if let Some(bytes) = wanted.size {
        grow(differ, slot, bytes);
    }
    if let (Some(storage), Some(live)) = (&wanted.storage, drive.storage())
        && storage != live
        && !unnamed::is(drive)
    // the clone decides, and the next plan sees
    {
        let text =
            format!("disk {slot} is on {live}, the document says {storage}: it is not moved");
        let finding = Finding::warning("disk-storage", text);
        differ.finding(
            finding.help("move it with `qm disk move`, or write its storage into the document"),
        );
    }
    let mut changed = drive.clone();
    let mut dirty = false;
    for (name, value) in &wanted.options {
        let path = format!("disks.{slot}.{name}");
        differ.manage(&path);
        let before = drive.get(name);
        if same_option(name, before, value) {
            continue;
        }
        if changed.set(name, value).is_ok() {
            let path = format!("{slot}.{name}");
            differ.attribute(&path, before, Some(value), Effect::Live);
            dirty = true;
        } else {
            differ.finding(bad_option(slot, name, value));
        }
    }
    dirty |= reset_options(differ, slot, &mut changed);
    if dirty {
        if let Some(bytes) = differ.grown(slot) {
            // Written after it has grown. A size can always stand in a property string.
            let _ = changed.set("size", &Size::from_bytes(bytes).to_string());
        }
        differ.set(slot, &changed.to_string());
    }
}

/// Options that documents said before and do not say now go back to Proxmox's default.
fn reset_options(differ: &mut Differ<'_>, slot: &str, drive: &mut Drive) -> bool {
    let prefix = format!("disks.{slot}.");
    let mut dirty = false;
    for path in differ.managed_before(&prefix).collect::<Vec<_>>() {
        let name = path.strip_prefix(&prefix).unwrap_or_default();
        if differ.is_dropped(path)
            && !matches!(name, "size" | "format")
            && let Some(before) = drive.remove(name)
        {
            let path = format!("{slot}.{name}");
            differ.attribute(&path, Some(&before), None, Effect::Live);
            dirty = true;
        }
    }
    dirty
}

/// Options compare as Proxmox compares them: `discard=on` is a word, `ssd=1` is a boolean, and an
/// option that is not there has its default.
fn same_option(name: &str, stored: Option<&str>, wanted: &str) -> bool {
    let drive = |value: &str| format!("x:y,{name}={value}");
    let stored = stored.map_or_else(|| "x:y".to_owned(), drive);
    codec::equal("scsi0", &stored, &drive(wanted))
}

fn grow(differ: &mut Differ<'_>, slot: &str, bytes: u64) {
    let live = differ.stored(slot).and_then(|text| Drive::parse(text).ok()).and_then(|d| d.size());
    let Some(live) = live else {
        let text = format!("the size of disk {slot} is not known: it is left as it is");
        differ.finding(Finding::warning("disk-size-unknown", text));
        return;
    };
    let wanted = Size::from_bytes(bytes);
    if live.bytes() < bytes {
        let path = format!("{slot}.size");
        let (before, after) = (live.to_string(), wanted.to_string());
        differ.attribute(&path, Some(&before), Some(&after), Effect::Live);
        differ.resize(slot, bytes);
    } else if live.bytes() > bytes.checked_next_multiple_of(EXTENT).unwrap_or(u64::MAX) {
        let text =
            format!("disk {slot} has {live}, the document says {wanted}: Proxmox cannot shrink it");
        let finding = Finding::error("disk-shrink", text);
        differ.finding(
            finding.help(format!("write {live} into the document, or make the guest anew")),
        );
    }
}

fn add_boot_disk(differ: &mut Differ<'_>, bytes: u64) {
    add(differ, "scsi0", &Disk { size: Some(bytes), ..Disk::default() });
}

fn add(differ: &mut Differ<'_>, slot: &str, wanted: &Disk) {
    differ.manage(&format!("disks.{slot}"));
    let storage = wanted.storage.as_ref().or(differ.wanted.spec.storage.as_ref());
    let (Some(storage), Some(bytes)) = (storage, wanted.size) else {
        let text = format!("disk {slot} is to be made and has no size or no storage");
        let finding = Finding::error("disk-incomplete", text);
        differ.finding(finding.help("give `size`, and `storage` here or in the defaults"));
        return;
    };
    let Ok(mut drive) = Drive::allocate(storage, Size::from_bytes(bytes)) else {
        let text = format!("'{storage}' cannot be the name of a storage");
        differ.finding(Finding::error("storage-name", text));
        return;
    };
    let format = wanted.format.iter().map(|f| ("format", f));
    let options = wanted.options.iter().map(|(name, value)| (name.as_str(), value));
    for (name, value) in format.chain(options) {
        differ.manage(&format!("disks.{slot}.{name}"));
        if drive.set(name, value).is_err() {
            differ.finding(bad_option(slot, name, value));
        }
    }
    let size = Size::from_bytes(bytes).to_string();
    let what = format!("{size} on {storage}");
    differ.attribute(slot, None, Some(&what), Effect::Live);
    differ.set(slot, &drive.to_string());
    differ.allocates_on(&storage.clone());
}

fn bad_option(slot: &str, name: &str, value: &str) -> Finding {
    let text = format!("disk {slot}: '{name}: {value}' cannot be an option of a drive");
    Finding::error("drive-option", text)
}

/// OVMF keeps its variables on a disk of its own (qemu-server: `efidisk0`, 4m type).
pub(super) fn efidisk(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    if spec.text("bios") != Some("ovmf") || spec.disks.contains_key("efidisk0") {
        return;
    }
    let Some(storage) = &spec.storage else {
        let finding =
            Finding::error("efidisk-storage", "a guest with OVMF needs a storage for its EFI disk");
        differ.finding(finding.help("give `storage`, or defaults.storage in cluster-config.yaml"));
        return;
    };
    let keys = format_boolean(spec.efidisk_pre_enrolled_keys.unwrap_or(false));
    let value = format!("{storage}:1,efitype=4m,pre-enrolled-keys={keys}");
    differ.attribute("efidisk0", None, Some(&format!("on {storage}")), Effect::Live);
    differ.set("efidisk0", &value);
    differ.allocates_on(&storage.clone());
}
