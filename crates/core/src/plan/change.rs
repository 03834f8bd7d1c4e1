//! What happens to one guest, for people: verbs, attributes before and after, and what it costs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::ActionId;
use crate::address::Address;
use crate::desired::{ApplyChanges, OnFailure};
use crate::diagnostic::Position;

/// The one word for what happens to a guest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Made from a template or from nothing.
    Create,
    /// Its configuration or disks change.
    Change,
    /// It moves to another node, and may change too.
    Migrate,
    /// It is only started or shut down.
    Power,
    /// It goes, with its disks, and is made anew.
    Replace,
    /// It goes, with its disks.
    Destroy,
}

/// What a change costs, from nothing to everything (law 2). No code branches on it once it is in a
/// plan.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Takes effect at once and nobody notices: on a running guest without a reboot, on a stopped
    /// one in any case.
    Live,
    /// Part of making the guest.
    Create,
    /// The guest starts.
    Start,
    /// Written now, waits for the next cold boot of the running guest.
    Pending,
    /// A disk is copied to another storage.
    Move,
    /// The guest moves to another node.
    Migrate,
    /// The guest is rebooted so that it takes effect.
    Reboot,
    /// The guest is shut down, changed and started again.
    Offline,
    /// The guest is shut down and stays so.
    Stop,
    /// The guest is removed and made anew.
    Replace,
    /// The guest goes; none of its bytes do.
    Destroy,
    /// Bytes are lost for ever.
    DataLoss,
}

/// One attribute, before and after, in the documents' words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttributeChange {
    /// The attribute: `cores`, `scsi0.size`, `net0.bridge`.
    pub path: String,
    /// Value before; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// Value after; absent when it goes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// What it costs.
    pub effect: Effect,
    /// Why, in a few words.
    pub reason: String,
}

/// What differs on a running guest and is not written now (`apply_changes`). A guest may have
/// nothing else: then it is no change of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// The guest.
    pub address: Address,
    /// Its VMID.
    pub vmid: u32,
    /// What may happen to it now.
    pub mode: ApplyChanges,
    /// What is held back, with the effect that it would have.
    pub attributes: Vec<AttributeChange>,
}

/// Facts about a guest that a reader wants on its line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Facts {
    /// What it is made from, in words: `full clone of debian-13 (100)`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
    /// Cores in all sockets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cores: Option<u32>,
    /// Memory in MiB.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory: Option<u64>,
    /// Disks with their sizes in bytes; for a guest that goes: what is lost.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub disks: Vec<(String, u64)>,
    /// Disks that outlive a guest that goes, with their sizes in bytes.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub kept: Vec<(String, u64)>,
    /// Addresses as documents give them (`10.0.0.62/24`).
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<String>,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tags: Vec<String>,
    /// MAC addresses that documents give.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub macs: Vec<String>,
    /// The pool it is made in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pool: Option<String>,
    /// The state that the HA manager keeps it in (`started`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ha: Option<String>,
}

/// What happens to one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The guest.
    pub address: Address,
    /// What happens.
    pub verb: Verb,
    /// Its VMID.
    pub vmid: u32,
    /// The node it is on, or comes to.
    pub node: String,
    /// The node it moves to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// Is it running before?
    pub running: bool,
    /// What a reader wants to know of it.
    pub facts: Facts,
    /// Attributes that change. Empty for a guest that comes or goes.
    pub attributes: Vec<AttributeChange>,
    /// The dearest effect of all.
    pub effect: Effect,
    /// Why this guest is touched at all.
    pub reason: String,
    /// Where the documents ask for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// What becomes of a guest that is made when an action of it fails. Plans of an older pvx do not
    /// say: it stays.
    #[serde(skip_serializing_if = "OnFailure::is_keep", default)]
    pub on_failure: OnFailure,
    /// The actions that carry it out, in order.
    pub actions: Vec<ActionId>,
}
