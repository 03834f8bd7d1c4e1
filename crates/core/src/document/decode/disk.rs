//! `disks`: further disks by slot.

use std::collections::BTreeMap;

use super::super::size::GIB;
use super::super::yaml::{Kind, Node};
use super::fields::Fields;
use super::slots::{self, Slots};
use super::vm::PlacesByPath;
use super::{names, setting, value};
use crate::desired::Disk;
use crate::diagnostic::Diagnostic;
use crate::schema::{DRIVE, Property, Shape};

/// Buses and their highest slot (qemu-server, Drive.pm `MAX_SCSI_DISKS` and neighbours).
const BUSES: [(&str, u32); 4] = [("scsi", 30), ("virtio", 15), ("sata", 5), ("ide", 3)];

/// Takes `disks`.
pub(crate) fn take(
    fields: &mut Fields<'_, '_>,
    places: &mut PlacesByPath,
) -> BTreeMap<String, Disk> {
    slots::take(fields, places, &SLOTS, read)
}

const SLOTS: Slots = Slots {
    key: "disks",
    buses: &BUSES,
    what: "disk",
    help: "slots are scsi0-scsi30, virtio0-virtio15, sata0-sata5 and ide0-ide3",
};

/// `40G`, or a mapping.
fn read(
    node: &Node,
    slot: &str,
    path: &str,
    places: &mut PlacesByPath,
    problems: &mut Vec<Diagnostic>,
) -> Option<Disk> {
    match node.kind {
        Kind::Null => return Some(Disk::default()),
        Kind::Map(_) => {}
        _ => {
            let size = value::bytes(node, slot, GIB, problems)?;
            places.insert(format!("{path}.size"), size.span);
            return Some(Disk { size: Some(size.value), ..Disk::default() });
        }
    }
    let mut fields = Fields::open(node, slot, "a disk", problems)?;
    let mut disk = Disk::default();
    if let Some(size) = fields.bytes("size", GIB) {
        places.insert(format!("{path}.size"), size.span);
        disk.size = Some(size.value);
    }
    if let Some(storage) = fields.parsed("storage", names::identifier) {
        places.insert(format!("{path}.storage"), storage.span);
        disk.storage = Some(storage.value);
    }
    if let Some(format) = fields.word("format", &["raw", "qcow2", "vmdk"]) {
        places.insert(format!("{path}.format"), format.span);
        disk.format = Some(format.value);
    }
    if let Some(source) = fields.parsed("import_from", names::volume) {
        places.insert(format!("{path}.import_from"), source.span);
        disk.import_from = Some(source.value);
    }
    take_fate(&mut fields, &mut disk, path, places);
    for Property { name, shape, .. } in DRIVE.properties {
        let Some(node) = fields.take(name) else { continue };
        if let Some(buses) = buses_of(name)
            && !buses.contains(&bus(slot))
        {
            fields.problems.push(not_on_this_bus(node, slot, name, buses));
            continue;
        }
        if let Some(text) = option(node, name, *shape, fields.problems) {
            let (stored, text) = as_stored(name, text);
            places.insert(format!("{path}.{stored}"), node.span);
            if disk.options.insert(stored.to_owned(), text).is_some() {
                let what = format!("says the same limit as '{stored}', which is there too");
                fields.problems.push(value::bad_value(node.span, name, &what));
            }
        }
    }
    fields.finish();
    Some(disk)
}

/// What becomes of the disk when documents no longer name it, or its guest goes.
fn take_fate(fields: &mut Fields<'_, '_>, disk: &mut Disk, path: &str, places: &mut PlacesByPath) {
    let keep = fields.boolean("keep");
    let fate = fields.word("on_removal", &["detach", "erase"]);
    if let Some(keep) = &keep {
        places.insert(format!("{path}.keep"), keep.span);
        disk.keep = keep.value;
    }
    if let Some(fate) = &fate {
        places.insert(format!("{path}.on_removal"), fate.span);
        disk.erase = fate.value == "erase";
    }
    if let (Some(keep), Some(fate)) = (keep, fate)
        && disk.keep
        && disk.erase
    {
        fields.problems.push(
            Diagnostic::error("kept-and-erased", "a disk cannot be both kept and erased")
                .at(fate.span, "its bytes go here")
                .at(keep.span, "and stay here")
                .help("keep one of the two keys"),
        );
    }
}

/// Proxmox takes limits in bytes a second as another spelling of MiB a second, and stores those; it
/// gets the number wrong on the way (qemu-server, parse_drive: `my $bps = defined(delete …)`), so it
/// is done here.
fn as_stored(name: &'static str, text: String) -> (&'static str, String) {
    let stored = match name {
        "bps" => "mbps",
        "bps_rd" => "mbps_rd",
        "bps_wr" => "mbps_wr",
        _ => return (name, text),
    };
    let Ok(bytes) = text.parse::<u64>() else { return (name, text) };
    // Thousandths of a MiB, rounded up: a limit never becomes none.
    let thousandths = (u128::from(bytes) * 1000).div_ceil(1 << 20);
    let digits = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
    (stored, digits.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// The buses whose disks have an option; `None`: all of them (qemu-server, Drive.pm: the formats of
/// `ide`, `scsi`, `sata` and `virtio`).
fn buses_of(option: &str) -> Option<&'static [&'static str]> {
    match option {
        "model" => Some(&["ide"]),
        "product" | "vendor" | "queues" | "scsiblock" => Some(&["scsi"]),
        "iothread" | "ro" => Some(&["scsi", "virtio"]),
        "ssd" | "wwn" => Some(&["scsi", "sata", "ide"]),
        _ => None,
    }
}

fn bus(slot: &str) -> &str {
    slot.trim_end_matches(|c: char| c.is_ascii_digit())
}

fn not_on_this_bus(node: &Node, slot: &str, option: &str, buses: &[&str]) -> Diagnostic {
    Diagnostic::error("option-of-another-bus", format!("disk '{slot}' cannot have '{option}'"))
        .at(node.span, format!("not on {}", bus(slot)))
        .help(format!("only {} disks have it", buses.join(", ")))
}

/// A drive option as Proxmox VE spells it: `true` is `1`, except for `discard: on`.
fn option(node: &Node, name: &str, shape: Shape, problems: &mut Vec<Diagnostic>) -> Option<String> {
    if let ("discard", Kind::Bool(on)) = (name, &node.kind) {
        return Some(if *on { "on" } else { "ignore" }.to_owned());
    }
    if matches!(name, "product" | "vendor") {
        return shown_name(node, name, problems);
    }
    if !matches!(shape, Shape::Token | Shape::Line(_)) {
        return setting::scalar(node, name, shape, problems);
    }
    let text = value::text(node, name, problems)?;
    if text.value.contains(',') || names::option(&text.value).is_err() {
        let what = "must be printable ASCII without spaces, quotes and commas";
        problems.push(value::bad_value(node.span, name, what));
        return None;
    }
    Some(text.value)
}

/// What a SCSI disk calls itself (qemu-server, Drive.pm: `[A-Za-z0-9\-_\s]{,16}`, `{,8}`). Blanks at
/// its ends would be lost on the way.
fn shown_name(node: &Node, name: &str, problems: &mut Vec<Diagnostic>) -> Option<String> {
    let longest = if name == "vendor" { 8 } else { 16 };
    let text = value::text(node, name, problems)?.value;
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_ ".contains(c);
    if !text.is_empty() && text.len() <= longest && text.trim() == text && text.chars().all(valid) {
        return Some(text);
    }
    let shape = format!("must be letters, digits, '-', '_' and blanks inside, at most {longest}");
    problems.push(value::bad_value(node.span, name, shape));
    None
}
