//! Places and obstacles: is everything there that a plan uses, is there room for it, and does
//! nothing stand in its way? `course` follows the plan step by step; each other file is one
//! question about what happens on the way.
//!
//! An error is said only where Proxmox VE would certainly refuse, or a storage certainly run full;
//! of what could not be read nothing is concluded.

mod addresses;
mod bridges;
mod course;
mod known;
mod memory;
mod moves;
mod room;
mod storages;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use crate::address::Address;
use crate::desired::Guest;
use crate::live::GuestRef;
use crate::plan::{Finding, Plan};
use crate::planner::Input;

pub use known::{
    Bridge, Interface, Known, Listed, Migration, NodeMemory, Other, Replication, Snapshotted,
    StorageState, Volumes,
};

use course::Course;

/// What has to be asked. Every member is one request for each of its items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// State of all storages, by node (`/nodes/N/storage`).
    pub storages: BTreeSet<String>,
    /// Which storages are sparse (`/storage`).
    pub storage_options: bool,
    /// Volumes of a content type, by node and storage.
    pub volumes: BTreeSet<(String, String, String)>,
    /// Bridges, by node.
    pub bridges: BTreeSet<String>,
    /// Memory and swap, by node.
    pub memory: BTreeSet<String>,
    /// Guests of other people, for their MAC and IP addresses.
    pub others: Vec<GuestRef>,
    /// What keeps a guest from moving, with the node it goes to.
    pub migrations: BTreeSet<(GuestRef, String)>,
    /// Disks that snapshots hold, of guests.
    pub snapshots: BTreeSet<GuestRef>,
    /// Replication jobs.
    pub replication: bool,
}

/// What has to be asked for a plan; nothing for an empty one.
pub(super) fn questions(plan: &Plan, input: &Input<'_>) -> Asked {
    if plan.is_empty() {
        return Asked::default();
    }
    let course = Course::of(plan, input);
    let mut asked = Asked::default();
    storages::ask(&course, input, &mut asked);
    room::ask(&course, input, &mut asked);
    bridges::ask(&course, &mut asked);
    memory::ask(&course, input, &mut asked);
    addresses::ask(&course, input, &mut asked);
    moves::ask(&course, &mut asked);
    let online = |node: &String| input.snapshot.inventory.nodes.get(node).is_none_or(|n| n.online);
    asked.storages.retain(online);
    asked.bridges.retain(online);
    asked.volumes.retain(|(node, ..)| online(node));
    asked
}

/// What would make the plan fail.
pub(super) fn check(plan: &Plan, input: &Input<'_>, known: &Known) -> Vec<Finding> {
    if plan.is_empty() {
        return Vec::new();
    }
    let course = Course::of(plan, input);
    let look = Look { input, known, guests: Guests::of(input), said: &plan.findings };
    let mut found = storages::check(&look, &course);
    found.extend(room::check(&look, &course));
    found.extend(bridges::check(&look, &course));
    found.extend(memory::check(&look, &course));
    found.extend(addresses::check(&look, &course));
    found.extend(moves::check(&look, &course));
    found
}

/// What a check looks at.
struct Look<'a> {
    input: &'a Input<'a>,
    known: &'a Known,
    guests: Guests<'a>,
    /// What the planner said already.
    said: &'a [Finding],
}

impl Look<'_> {
    /// A finding about a guest, at the first of these keys that its document says.
    fn at(&self, finding: Finding, address: &Address, paths: &[&str]) -> Finding {
        let finding = finding.about(address);
        match self.guests.0.get(address) {
            Some((_, guest)) => {
                let said = paths.iter().find_map(|path| guest.places.get(*path));
                finding.at(said.copied().unwrap_or(guest.span))
            }
            None => finding,
        }
    }

    /// A finding about what several guests share: it is shown where one of them asks for it.
    fn shown_at(&self, finding: Finding, address: &Address, paths: &[&str]) -> Finding {
        Finding { address: None, ..self.at(finding, address, paths) }
    }

    /// Did the planner say this of the guest?
    fn is_said(&self, code: &str, address: &Address) -> bool {
        self.said.iter().any(|f| f.code == code && f.address.as_ref() == Some(address))
    }

    /// The place of a guest in the documents.
    fn order(&self, address: &Address) -> usize {
        self.guests.0.get(address).map_or(usize::MAX, |(place, _)| *place)
    }
}

/// The documents' guests and their order.
struct Guests<'a>(BTreeMap<&'a Address, (usize, &'a Guest)>);

impl<'a> Guests<'a> {
    fn of(input: &Input<'a>) -> Self {
        let all = input.desired.guests().enumerate();
        Self(all.map(|(place, guest)| (&guest.address, (place, guest))).collect())
    }
}
