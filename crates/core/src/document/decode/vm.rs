//! The keys that describe a virtual machine, in a node group and in a standalone spec alike.

use std::collections::BTreeMap;

use super::super::size::GIB;
use super::fields::Fields;
use super::{cdrom, cloudinit, disk, firmware, ha, names, network, raw, setting};
use crate::desired::{CloneMode, GuestSpec, Power};
use crate::diagnostic::{Diagnostic, Span, Spanned};
use crate::schema::SCSI_CONTROLLERS;

/// Where values are said, by path (`disks.scsi1.size`).
pub(crate) type PlacesByPath = BTreeMap<String, Span>;

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
    keys.spec.settings = setting::take(fields, &mut keys.places);
    scsi_controller(fields, &mut keys);
    keys.spec.raw = raw::take(fields, &mut keys);
    let storage = fields.parsed("storage", names::identifier);
    keys.spec.storage = keys.place("storage", storage);
    let disk = fields.bytes("disk", GIB);
    keys.spec.boot_disk = keys.place("disk", disk);
    let power = power(fields);
    keys.power = keys.place("power", power);
    let clone = clone_mode(fields);
    keys.clone = keys.place("clone", clone);
    keys.tags = fields.parsed_list("tags", names::tag);
    if let Some(tag) = keys.tags.first() {
        keys.places.insert("tags".to_owned(), tag.span);
    }
    keys.spec.disks = disk::take(fields, &mut keys.places);
    keys.spec.cdroms = cdrom::take(fields, &mut keys.places);
    keys.spec.efidisk = firmware::efidisk(fields, &mut keys.places);
    keys.spec.tpmstate = firmware::tpmstate(fields, &mut keys.places);
    keys.spec.networks = network::take(fields, &mut keys.places);
    keys.spec.ha = ha::take(fields, &mut keys.places);
    let pool = fields.parsed("pool", ha::pool);
    keys.spec.pool = keys.place("pool", pool);
    if let Some(cloudinit) = cloudinit::take(fields, &mut keys.places) {
        keys.spec.cloudinit = cloudinit;
        keys.has_cloudinit = true;
    }
    keys
}

/// `scsihw` is Proxmox's name, `scsi_controller` the one of `cluster-config.yaml`.
fn scsi_controller(fields: &mut Fields<'_, '_>, keys: &mut VmKeys) {
    let Some(config) = fields.word("scsi_controller", SCSI_CONTROLLERS) else { return };
    if let Some(proxmox) = keys.places.get("scsihw") {
        fields.problems.push(
            Diagnostic::error("duplicate-key", "the SCSI controller is given twice")
                .at(config.span, "again here")
                .at(*proxmox, "first here")
                .help("'scsihw' and 'scsi_controller' are the same key; keep one of the two"),
        );
        return;
    }
    keys.places.insert("scsihw".to_owned(), config.span);
    keys.spec.set("scsihw", config.value);
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
