//! The keys that describe a virtual machine, in a node group and in a standalone spec alike.

use std::collections::BTreeMap;

use super::super::size::{GIB, MIB};
use super::fields::Fields;
use super::{cdrom, cloudinit, disk, firmware, names, network, value};
use crate::desired::{CloneMode, GuestSpec, Power};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// Where values are said, by path (`disks.scsi1.size`).
pub(crate) type PlacesByPath = BTreeMap<String, Span>;

/// Firmware (qemu-server, QemuServer.pm `bios`).
const BIOS: [&str; 2] = ["seabios", "ovmf"];
/// SCSI controllers (qemu-server, QemuServer.pm `scsihw`).
pub(crate) const SCSIHW: [&str; 6] =
    ["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"];
/// Guest systems (qemu-server, QemuServer.pm `ostype`).
const OSTYPE: [&str; 13] = [
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24",
    "l26", "solaris",
];
/// Memory in MiB: Proxmox VE takes 16 and more (qemu-server, QemuServer/Memory.pm) and names no
/// end; 16 TiB only catches slips.
const MEMORY_MIB: std::ops::RangeInclusive<u64> = 16..=16 * 1024 * 1024;
/// Bytes of a description (qemu-server, QemuServer.pm `description`).
const LONGEST_DESCRIPTION: usize = 8 * 1024;

/// The VM keys of one mapping.
#[derive(Debug, Clone, Default)]
pub(crate) struct VmKeys {
    /// What they ask for; tags are kept apart.
    pub(crate) spec: GuestSpec,
    pub(crate) tags: Vec<Spanned<String>>,
    pub(crate) power: Option<Power>,
    pub(crate) clone: Option<CloneMode>,
    /// `cloudinit` is there, even if empty.
    pub(crate) has_cloudinit: bool,
    pub(crate) places: PlacesByPath,
}

impl VmKeys {
    /// Keeps the place of a value and gives the value.
    fn place<T>(&mut self, path: &str, value: Option<Spanned<T>>) -> Option<T> {
        value.map(|value| {
            self.places.insert(path.to_owned(), value.span);
            value.value
        })
    }
}

/// Takes all VM keys out of `fields`.
pub(crate) fn take(fields: &mut Fields<'_, '_>) -> VmKeys {
    let mut keys = VmKeys::default();
    take_hardware(fields, &mut keys);
    take_options(fields, &mut keys);
    keys.spec.disks = disk::take(fields, &mut keys.places);
    keys.spec.cdroms = cdrom::take(fields, &mut keys.places);
    keys.spec.efidisk = firmware::efidisk(fields, &mut keys.places);
    keys.spec.tpmstate = firmware::tpmstate(fields, &mut keys.places);
    keys.spec.networks = network::take(fields, &mut keys.places);
    if let Some(cloudinit) = cloudinit::take(fields, &mut keys.places) {
        keys.spec.cloudinit = cloudinit;
        keys.has_cloudinit = true;
    }
    keys
}

fn take_hardware(fields: &mut Fields<'_, '_>, keys: &mut VmKeys) {
    let cores = fields.integer("cores", 1..=8192);
    keys.spec.cores = keys.place("cores", cores);
    let sockets = fields.integer("sockets", 1..=64);
    keys.spec.sockets = keys.place("sockets", sockets);
    let memory = memory(fields);
    keys.spec.memory = keys.place("memory", memory);
    let cpu = fields.parsed("cpu", names::option);
    keys.spec.cpu = keys.place("cpu", cpu);
    let bios = fields.word("bios", &BIOS);
    keys.spec.bios = keys.place("bios", bios);
    let machine = fields.parsed("machine", names::option);
    keys.spec.machine = keys.place("machine", machine);
    let scsihw = scsihw(fields);
    keys.spec.scsihw = keys.place("scsihw", scsihw);
    let storage = fields.parsed("storage", names::identifier);
    keys.spec.storage = keys.place("storage", storage);
    let disk = fields.bytes("disk", GIB);
    keys.spec.boot_disk = keys.place("disk", disk);
}

fn take_options(fields: &mut Fields<'_, '_>, keys: &mut VmKeys) {
    let ostype = fields.word("ostype", &OSTYPE);
    keys.spec.ostype = keys.place("ostype", ostype);
    let agent = fields.boolean("agent");
    keys.spec.agent = keys.place("agent", agent);
    let onboot = fields.boolean("onboot");
    keys.spec.onboot = keys.place("onboot", onboot);
    let protection = fields.boolean("protection");
    keys.spec.protection = keys.place("protection", protection);
    let description = fields.take("description").and_then(|node| {
        let text = value::long_text(node, "description", LONGEST_DESCRIPTION, fields.problems)?;
        Some(text.map(|text| text.trim_end().to_owned()))
    });
    keys.spec.description = keys.place("description", description);
    let power = power(fields);
    keys.power = keys.place("power", power);
    let clone = clone_mode(fields);
    keys.clone = keys.place("clone", clone);
    keys.tags = fields.parsed_list("tags", names::tag);
    if let Some(tag) = keys.tags.first() {
        keys.places.insert("tags".to_owned(), tag.span);
    }
}

/// MiB; a bare number counts in MiB.
fn memory(fields: &mut Fields<'_, '_>) -> Option<Spanned<u64>> {
    let bytes = fields.bytes("memory", MIB)?;
    let mib = bytes.value / MIB;
    if bytes.value % MIB != 0 || !MEMORY_MIB.contains(&mib) {
        let range = format!("{} to {} MiB, in whole MiB", MEMORY_MIB.start(), MEMORY_MIB.end());
        fields.problems.push(value::out_of_range(bytes.span, "memory", range));
        return None;
    }
    Some(Spanned::new(mib, bytes.span))
}

/// `scsihw` is Proxmox's name, `scsi_controller` the one of `cluster-config.yaml`.
fn scsihw(fields: &mut Fields<'_, '_>) -> Option<Spanned<String>> {
    let proxmox = fields.word("scsihw", &SCSIHW);
    let config = fields.word("scsi_controller", &SCSIHW);
    if let (Some(proxmox), Some(config)) = (&proxmox, &config) {
        fields.problems.push(
            Diagnostic::error("duplicate-key", "the SCSI controller is given twice")
                .at(config.span, "again here")
                .at(proxmox.span, "first here")
                .help("'scsihw' and 'scsi_controller' are the same key; keep one of the two"),
        );
    }
    proxmox.or(config)
}

fn power(fields: &mut Fields<'_, '_>) -> Option<Spanned<Power>> {
    let word = fields.word("power", &["running", "stopped", "unmanaged"])?;
    Some(word.map(|word| match word.as_str() {
        "stopped" => Power::Stopped,
        "unmanaged" => Power::Unmanaged,
        _ => Power::Running,
    }))
}

/// `clone: full|linked`, on groups, profiles and standalone specs.
pub(crate) fn clone_mode(fields: &mut Fields<'_, '_>) -> Option<Spanned<CloneMode>> {
    let word = fields.word("clone", &["full", "linked"])?;
    Some(word.map(|word| if word == "linked" { CloneMode::Linked } else { CloneMode::Full }))
}

/// A slot such as `scsi1`: one of `buses`, each with its highest index, and a plain number.
pub(crate) fn is_slot(name: &str, buses: &[(&str, u32)]) -> bool {
    buses.iter().any(|(bus, highest)| {
        name.strip_prefix(bus).is_some_and(|index| {
            index.parse::<u32>().is_ok_and(|n| n <= *highest && n.to_string() == index)
        })
    })
}
