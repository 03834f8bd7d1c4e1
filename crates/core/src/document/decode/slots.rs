//! Mappings whose keys are slots: `disks` and `networks`.

use std::collections::BTreeMap;

use super::super::yaml::{Entry, Node};
use super::fields::Fields;
use super::value;
use super::vm::{PlacesByPath, is_slot};
use crate::diagnostic::Diagnostic;

/// What kind of slots.
pub(super) struct Slots {
    /// The mapping's key.
    pub(super) key: &'static str,
    /// Names before the number, and the highest number of each.
    pub(super) buses: &'static [(&'static str, u32)],
    /// One word for people.
    pub(super) what: &'static str,
    /// Which there are.
    pub(super) help: &'static str,
}

/// Reads what is in one slot: its node, the slot, its path (`disks.scsi1`).
type Read<T> = fn(&Node, &str, &str, &mut PlacesByPath, &mut Vec<Diagnostic>) -> Option<T>;

/// Takes all slots of a mapping; names that are no slots are problems and left out.
pub(super) fn take<T>(
    fields: &mut Fields<'_, '_>,
    places: &mut PlacesByPath,
    slots: &Slots,
    read: Read<T>,
) -> BTreeMap<String, T> {
    let mut found = BTreeMap::new();
    for entry in fields.named(slots.key) {
        let slot = &entry.key.value;
        if !is_slot(slot, slots.buses) {
            fields.problems.push(not_a_slot(entry, slots));
            continue;
        }
        let path = format!("{}.{slot}", slots.key);
        places.insert(path.clone(), entry.key.span);
        if let Some(value) = read(&entry.value, slot, &path, places, fields.problems) {
            found.insert(slot.clone(), value);
        }
    }
    found
}

fn not_a_slot(entry: &Entry, slots: &Slots) -> Diagnostic {
    let name = value::quoted(&entry.key.value);
    Diagnostic::error("unknown-slot", format!("{name} is not a {} slot", slots.what))
        .at(entry.key.span, "not known")
        .help(slots.help)
}
