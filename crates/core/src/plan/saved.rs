//! A plan in a file: what was planned, from what, and for whom, so that it can be carried out
//! later exactly, or refused. Pure: the clock and the file are the caller's.
//!
//! The file is JSON. Its checksum tells damage and careless edits; it does not prove who wrote it.
//! Nothing depends on that: before a saved plan is carried out it is made again from the documents
//! and the cluster ([`check`]), and one that differs is refused.

pub mod check;
mod format;
#[cfg(test)]
mod tests;

pub use format::{Unreadable, is_saved_plan};

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ActionKind, Change, Plan, Verb};
use crate::address::Address;
use crate::live::Snapshot;
use crate::planner::{Options, Seat};

/// The version of the file's form. A reader refuses a newer one.
pub const FORMAT: u32 = 1;

/// A plan, and all that it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// [`FORMAT`].
    #[serde(rename = "pvx_plan")]
    pub format: u32,
    /// The version of pvx that made it.
    pub pvx: String,
    /// When it was made.
    pub made: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// The cluster it was made for.
    pub cluster: Cluster,
    /// Paths of documents as they were named, relative to the root; empty: the usual folders.
    pub paths: Vec<String>,
    /// Every file that took part.
    pub documents: BTreeSet<Document>,
    /// Variables whose values are from outside the documents.
    pub variables: BTreeMap<String, Variable>,
    /// What was said beside the documents.
    pub options: Options,
    /// Live guests that the plan's actions change or read.
    pub guests: BTreeMap<u32, Seen>,
    /// The plan.
    pub plan: Plan,
}

/// What tells one cluster from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name, or that of a node on its own.
    pub name: String,
    /// SHA-256 fingerprint of the certificate authority that every cluster makes for itself;
    /// absent when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub authority: Option<String>,
    /// Its nodes.
    pub nodes: BTreeSet<String>,
}

/// A file that took part.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Document {
    /// Relative to the root; absolute when it is outside.
    pub path: String,
    /// SHA-256 of its bytes in lower-case hex.
    pub sha256: String,
}

/// A variable whose value is from outside the documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// `--var`, `--var-file`, or its name in the environment.
    pub from: String,
    /// SHA-256 of its value; none of a sensitive variable, because the hash of a short secret
    /// gives it away.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
}

/// A guest as the plan saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its name on Proxmox VE.
    pub name: String,
    /// The node it was on.
    pub node: String,
    /// SHA-1 of its stored configuration.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// Did it run?
    pub running: bool,
}

/// The live guests that the plan's actions change or read: members, templates, keepers.
pub fn guests(plan: &Plan, snapshot: &Snapshot) -> BTreeMap<u32, Seen> {
    let seen = |vmid: u32| {
        if let Some(guest) = snapshot.guests.get(&vmid) {
            return Some(Seen {
                name: guest.name().to_owned(),
                node: guest.node.clone(),
                digest: guest.digest.clone(),
                running: guest.running,
            });
        }
        let listed = snapshot.inventory.guests.get(&vmid)?;
        Some(Seen {
            name: listed.name.clone().unwrap_or_default(),
            node: listed.node.clone(),
            digest: None,
            running: listed.status == "running",
        })
    };
    touched(plan).into_iter().filter_map(|vmid| Some((vmid, seen(vmid)?))).collect()
}

impl Saved {
    /// Where new guests go. A foreign guest that is gone meanwhile leaves a lower VMID, one that came
    /// takes room: neither makes another plan of it while these can still be had.
    pub fn seats(&self) -> BTreeMap<Address, Seat> {
        let new = self.plan.changes.iter().filter(|change| change.verb == Verb::Create);
        let seat = |c: &Change| Seat { vmid: c.vmid, node: c.node.clone() };
        new.map(|change| (change.address.clone(), seat(change))).collect()
    }
}

/// VMIDs that the plan's actions name: those of guests that are there, and of those that come.
fn touched(plan: &Plan) -> BTreeSet<u32> {
    let others = |kind: &ActionKind| match kind {
        ActionKind::Clone { source, .. } => Some(*source),
        ActionKind::Reassign { target, .. } => Some(*target),
        _ => None,
    };
    plan.actions
        .iter()
        .flat_map(|action| [Some(action.vmid), others(&action.kind)])
        .flatten()
        .collect()
}

/// Lower-case hex of the SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
