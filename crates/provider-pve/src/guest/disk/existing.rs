//! Disks that are there: grown, moved, their options set. Never shrunk: bytes would go.

use pvx_core::desired::Disk;
use pvx_core::plan::{Effect, Finding};
use pvx_core::provider::DiskMove;

use super::super::differ::Differ;
use super::super::unnamed;
use super::bad_option;
use crate::codec::{self, Drive, Size};

/// Storages round sizes up: LVM to extents of 4 MiB, others to less. Such a disk is not too large.
const EXTENT: u64 = 4 << 20;

pub(super) fn compare(differ: &mut Differ<'_>, slot: &str, wanted: &Disk, drive: &Drive) {
    differ.manage(&format!("disks.{slot}"));
    if wanted.erase {
        differ.manage(&format!("disks.{slot}.on_removal"));
    }
    if let Some(bytes) = wanted.size {
        grow(differ, slot, bytes);
    }
    let moves = relocate(differ, slot, wanted.storage.as_deref(), wanted.format.as_deref(), drive);
    if !same_option("iothread", drive.get("iothread"), "1") {
        check_iothread(differ, slot, wanted);
    }
    options(differ, slot, wanted, drive, moves);
}

/// Options are one value with the volume: one that has to wait makes all of them wait.
fn options(differ: &mut Differ<'_>, slot: &str, wanted: &Disk, drive: &Drive, moves: bool) {
    // A move gives the volume another name, which nobody knows before.
    let unnamed = if moves && !unnamed::is(drive) { unnamed::moved(drive) } else { None };
    let mut changed = unnamed.unwrap_or_else(|| drive.clone());
    let mut list: Vec<(String, Option<String>, Option<String>)> = Vec::new();
    for (name, value) in &wanted.options {
        differ.manage(&format!("disks.{slot}.{name}"));
        let before = drive.get(name).map(str::to_owned);
        if same_option(name, before.as_deref(), value) {
            continue;
        }
        if changed.set(name, value).is_ok() {
            list.push((name.clone(), before, Some(value.clone())));
        } else {
            differ.finding(bad_option(slot, name, value));
        }
    }
    list.extend(dropped_options(differ, slot, &mut changed));
    // What waits has the size of before, which would come back.
    let waits = differ.live.pending.iter().any(|pending| pending.key == slot);
    if list.is_empty() && !(waits && differ.grown(slot).is_some()) {
        return;
    }
    for (name, before, after) in &list {
        let path = format!("{slot}.{name}");
        differ.attribute(&path, before.as_deref(), after.as_deref(), Effect::Live);
    }
    if let Some(bytes) = differ.grown(slot) {
        // Written after it has grown. A size can always stand in a property string.
        let _ = changed.set("size", &Size::from_bytes(bytes).to_string());
    }
    differ.set(slot, &changed.to_string());
}

/// Options that documents said before and do not say now go back to Proxmox's default.
fn dropped_options(
    differ: &Differ<'_>,
    slot: &str,
    drive: &mut Drive,
) -> Vec<(String, Option<String>, Option<String>)> {
    let prefix = format!("disks.{slot}.");
    let mut dropped = Vec::new();
    for path in differ.managed_before(&prefix).collect::<Vec<_>>() {
        let name = path.strip_prefix(&prefix).unwrap_or_default();
        if differ.is_dropped(path)
            && !matches!(name, "size" | "format")
            && let Some(before) = drive.remove(name)
        {
            dropped.push((name.to_owned(), Some(before), None));
        }
    }
    dropped
}

/// Options compare as Proxmox compares them: `discard=on` is a word, `ssd=1` is a boolean, and an
/// option that is not there has its default.
fn same_option(name: &str, stored: Option<&str>, wanted: &str) -> bool {
    let drive = |value: &str| format!("x:y,{name}={value}");
    let stored = stored.map_or_else(|| "x:y".to_owned(), drive);
    codec::equal("scsi0", &stored, &drive(wanted))
}

/// QEMU has an I/O thread for each disk of such a controller alone; for others Proxmox only warns
/// in the start's log (qemu-server, config_to_command).
pub(super) fn check_iothread(differ: &mut Differ<'_>, slot: &str, wanted: &Disk) {
    let asked = wanted.options.get("iothread").is_some_and(|v| v == "1");
    let controller = differ.wanted.spec.text("scsihw").or(differ.stored("scsihw"));
    let controller = controller.unwrap_or("lsi").to_owned();
    if asked && slot.starts_with("scsi") && controller != "virtio-scsi-single" {
        let text =
            format!("disk {slot}: Proxmox ignores its iothread with the controller {controller}");
        let finding = Finding::warning("iothread-ignored", text);
        differ.finding(finding.help("say `scsihw: virtio-scsi-single`, or leave iothread away"));
    }
}

pub(super) fn grow(differ: &mut Differ<'_>, slot: &str, bytes: u64) {
    let live = differ.stored(slot).and_then(|text| Drive::parse(text).ok()).and_then(|d| d.size());
    let Some(live) = live else {
        let text = format!("the size of disk {slot} is not known: it is left as it is");
        differ.finding(Finding::warning("disk-size-unknown", text));
        return;
    };
    if live.bytes() < bytes && comes_later(differ, slot) {
        later(differ, slot, bytes);
        return;
    }
    let wanted = Size::from_bytes(bytes);
    let (path, before, after) = (format!("{slot}.size"), live.to_string(), wanted.to_string());
    if live.bytes() < bytes {
        differ.attribute(&path, Some(&before), Some(&after), Effect::Live);
        differ.resize(slot, bytes);
    } else if live.bytes() > bytes.checked_next_multiple_of(EXTENT).unwrap_or(u64::MAX) {
        let text =
            format!("disk {slot} has {live}, the document says {wanted}: Proxmox cannot shrink it");
        let help = format!(
            "write {live} into the document, or have the guest made anew with --replace: what is \
             on its disks is lost then"
        );
        differ.finding(Finding::error("disk-shrink", text).help(help));
        differ.only_anew(&path, Some(&before), Some(&after));
    }
}

/// Does the disk come with the next cold boot? Until then Proxmox does not know it and cannot grow
/// it (qemu-server, resize_vm).
fn comes_later(differ: &Differ<'_>, slot: &str) -> bool {
    let waits = differ.live.pending.iter().find(|pending| pending.key == slot);
    differ.live.running && waits.is_some_and(|pending| pending.running.is_none())
}

/// Says that a disk grows when it is there.
pub(super) fn later(differ: &mut Differ<'_>, slot: &str, bytes: u64) {
    let size = Size::from_bytes(bytes);
    let text = format!("disk {slot} comes with the next cold boot, and can grow to {size} then");
    let finding = Finding::note("disk-grows-later", text);
    differ.finding(finding.help("apply again when the guest has been shut down and started"));
}

/// The format of the disk's volume, when it is one of files or of qcow2: its name ends in it.
fn format_of(drive: &Drive) -> Option<&str> {
    let known = |format: &&str| matches!(*format, "raw" | "qcow2" | "vmdk");
    let named = drive.file().rsplit_once('.').map(|(_, end)| end);
    drive.get("format").or(named).filter(known)
}

/// Moves a disk that documents put elsewhere by name; `true` when it is moved. A storage that is
/// said for the guest as a whole moves no disk: it is where new ones are made.
pub(super) fn relocate(
    differ: &mut Differ<'_>,
    slot: &str,
    storage: Option<&str>,
    format: Option<&str>,
    drive: &Drive,
) -> bool {
    let Some(from) = drive.storage().map(str::to_owned) else { return false };
    let to = storage.unwrap_or(&from).to_owned();
    let live = format_of(drive).map(str::to_owned);
    let other_format = match (format, &live) {
        (Some(format), Some(live)) => format != live,
        // Without a format in its name it is raw, and its storage knows nothing else.
        (Some(format), None) if to == from && !unnamed::is(drive) && format != "raw" => {
            let text =
                format!("disk {slot} stays raw: {from} has no files, the document says {format}");
            let finding = Finding::warning("disk-format", text);
            differ.finding(finding.help("leave `format` away, or give it another storage"));
            false
        }
        _ => false,
    };
    if to == from && !other_format {
        return false;
    }
    if let Some(finding) = unmovable(differ, slot, &to) {
        differ.finding(finding);
        return false;
    }
    if to != from {
        differ.attribute(&format!("{slot}.storage"), Some(&from), Some(&to), Effect::Move);
    }
    if other_format {
        let path = format!("{slot}.format");
        differ.attribute(&path, live.as_deref(), format, Effect::Move);
    }
    let format = format.map(str::to_owned);
    differ.move_disk(DiskMove { slot: slot.to_owned(), from, storage: to, format });
    true
}

/// What Proxmox would refuse, or what would harm, is left and said (qemu-server, move_vm_disk and
/// clone_disk).
fn unmovable(differ: &Differ<'_>, slot: &str, to: &str) -> Option<Finding> {
    let live = differ.live;
    let (why, help) = if live.config.contains_key("parent") {
        ("the guest has snapshots, and they hold it", "delete them, then plan again")
    } else if live.running && slot == "tpmstate0" {
        ("it cannot be moved while the guest runs", "shut the guest down, then plan again")
    } else if live.pending.iter().any(|p| p.key == slot) {
        // What waits names the old volume, which the next boot would look for in vain.
        ("changes of it wait for a cold boot", "shut the guest down and start it, then plan again")
    } else {
        return None;
    };
    let text = format!("disk {slot} is not moved to {to}: {why}");
    Some(Finding::warning("disk-not-moved", text).help(help))
}
