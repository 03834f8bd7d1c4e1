//! CD-ROM drives: `cdroms`.

use std::collections::BTreeMap;

use super::super::yaml::Node;
use super::fields::{self, Fields};
use super::names;
use super::slots::{self, Slots};
use super::vm::PlacesByPath;
use crate::diagnostic::Diagnostic;

const SLOTS: Slots = Slots {
    key: "cdroms",
    // A virtio disk is no CD-ROM drive to QEMU.
    buses: &[("scsi", 30), ("sata", 5), ("ide", 3)],
    what: "CD-ROM",
    help: "slots are scsi0-scsi30, sata0-sata5 and ide0-ide3; ide2 is the usual one",
};

/// Takes `cdroms`: what is in each drive.
pub(crate) fn take(
    fields: &mut Fields<'_, '_>,
    places: &mut PlacesByPath,
) -> BTreeMap<String, String> {
    slots::take(fields, places, &SLOTS, read)
}

/// `none`, `cdrom`, or a volume.
fn read(
    node: &Node,
    slot: &str,
    path: &str,
    places: &mut PlacesByPath,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    let medium = |text: &str| match text {
        "none" | "cdrom" => Ok(text.to_owned()),
        _ => names::volume(text).map_err(|why| format!("{why}; or is `none` or `cdrom`")),
    };
    let value = fields::parsed(node, slot, medium, problems)?;
    places.insert(path.to_owned(), value.span);
    Some(value.value)
}
