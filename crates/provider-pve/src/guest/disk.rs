//! Drives: which there are, and what differs. `existing` has the disks that are there, `add` those
//! that are made, `removed` those that documents no longer name, `cdrom` and `firmware` the rest.

mod add;
mod cdrom;
mod existing;
mod firmware;
mod removed;

use pvx_core::live::Guest;
use pvx_core::plan::Finding;
use pvx_core::provider::Volume;

use super::differ::Differ;
use super::identity::disk_in;
use crate::codec::{Boot, Drive, Size};

pub(super) use firmware::default_efidisk;

/// Is this key a slot for drives (qemu-server `QemuServer/Drive.pm`, valid_drive_names)?
pub(super) fn is_slot(key: &str) -> bool {
    is_numbered(key) || key == "efidisk0" || key == "tpmstate0"
}

/// Is it a slot of a bus, which documents name under `disks` and `cdroms`?
fn is_numbered(key: &str) -> bool {
    let whole = |text: &str, n: &u8| n.to_string() == text;
    let number = |prefix: &str| {
        let text = key.strip_prefix(prefix)?;
        text.parse::<u8>().ok().filter(|n| whole(text, n))
    };
    let below = |prefix: &str, bound: u8| number(prefix).is_some_and(|n| n < bound);
    below("scsi", 31) || below("virtio", 16) || below("sata", 6) || below("ide", 4)
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

pub(super) fn compare(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    let boot = boot_disk(differ.live);
    if let Some(bytes) = spec.boot_disk {
        differ.manage("disk");
        differ.speak_of("disk");
        match &boot {
            Some(slot) if spec.disks.get(slot).is_none_or(|disk| disk.size.is_none()) => {
                existing::grow(differ, slot, bytes);
            }
            Some(_) => {}
            None if differ.live.config.is_empty() => add::boot_disk(differ, bytes),
            None => differ.finding(
                Finding::error("no-boot-disk", "the guest has no disk that `disk` could size")
                    .help("give the slot by name under `disks`"),
            ),
        }
    }
    for (slot, disk) in &spec.disks {
        differ.speak_of(format!("disks.{slot}"));
        match differ.stored(slot).map(Drive::parse) {
            Some(Ok(drive)) if !drive.is_cdrom() => existing::compare(differ, slot, disk, &drive),
            Some(_) => taken(differ, slot),
            None => add::disk(differ, slot, disk),
        }
    }
    differ.speak_of_all();
    cdrom::compare(differ);
    firmware::compare(differ);
    removed::compare(differ, boot.as_deref());
}

/// The slot holds something that is no disk: a cloud-init drive, a CD-ROM.
fn taken(differ: &mut Differ<'_>, slot: &str) {
    let held = match differ.stored(slot).unwrap_or_default() {
        seed if seed.contains("cloudinit") => "the cloud-init drive".to_owned(),
        other => other.to_owned(),
    };
    let finding = Finding::error("disk-slot", format!("slot {slot} holds no disk but {held}"));
    differ.finding(finding.help("give the disk another slot, or free this one"));
}

fn bad_option(slot: &str, name: &str, value: &str) -> Finding {
    let text = format!("disk {slot}: '{name}: {value}' cannot be an option of a drive");
    Finding::error("drive-option", text).help("write the value without commas, or take it out")
}
