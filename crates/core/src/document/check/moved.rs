//! `moved`: who was someone else before.

use std::collections::BTreeMap;

use crate::address::Address;
use crate::desired::{Desired, Guest};
use crate::diagnostic::Diagnostic;

/// A former address is nobody's now, and at most one guest's.
pub(super) fn check(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let moved = || desired.guests().filter_map(|guest| Some((guest, guest.moved_from.as_ref()?)));
    // Most documents have none, and then nothing needs to be looked up.
    if moved().next().is_none() {
        return;
    }
    let now: BTreeMap<&Address, &Guest> =
        desired.guests().map(|guest| (&guest.address, guest)).collect();
    let mut first: BTreeMap<&Address, &Guest> = BTreeMap::new();
    for (guest, from) in moved() {
        let at = guest.place("moved");
        if let Some(there) = now.get(from) {
            let message = format!("{} cannot have been {from}", guest.address);
            let why = if there.address == guest.address {
                "that is what it is called now".to_owned()
            } else {
                format!("{from} is a guest of these documents")
            };
            problems.push(
                Diagnostic::error("moved-to-another", message)
                    .at(at, why)
                    .at(there.place("name"), format!("{from} is wanted here"))
                    .help("take 'moved' out once every cluster has the new name"),
            );
        } else if let Some(other) = first.insert(from, guest) {
            let message =
                format!("{} and {} cannot both have been {from}", other.address, guest.address);
            problems.push(
                Diagnostic::error("moved-twice", message)
                    .at(at, format!("{} was {from}", guest.address))
                    .at(other.place("moved"), format!("{} was {from}", other.address))
                    .help("a guest has one successor: keep one of the two"),
            );
        }
    }
}
