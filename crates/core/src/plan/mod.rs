//! A plan is data (law 1): serialisable, versioned and complete. What is shown is what is run.

mod action;
pub mod again;
mod change;
mod checked;
mod finding;
mod graph;
pub mod lint;
mod privilege;
pub mod saved;
mod schema;
pub(crate) mod storage;
#[cfg(test)]
mod tests;

pub use action::{Action, ActionId, ActionKind, HaChange, Precondition, Reason};
pub use change::{AttributeChange, Change, Effect, Facts, Held, Verb};
pub use checked::{Checked, Verdict};
pub use finding::{Finding, Weight};
pub use graph::{ActionGraph, GraphError};
pub use privilege::{Privilege, Use, aggregate as aggregate_privileges};
pub use schema::json_schema;
pub use storage::Store;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::state::Remembered;

/// The version of the serialised form. A reader refuses a newer one.
pub const VERSION: u32 = 4;

/// What the tag of a guest begins with that only holds kept disks; the profile's key follows.
pub const KEEPER: &str = "pvx-kept.";

/// What the tag of a guest begins with that has a disk to keep; the slot follows.
pub const KEEPS: &str = "pvx-keep.";

/// What the plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// Make the cluster as the documents say.
    Apply,
    /// Remove everything the documents own.
    Destroy,
    /// Take back what a run that failed has changed.
    Undo,
}

/// Everything that will be done, why, and what will not be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// [`VERSION`].
    pub version: u32,
    /// Apply or destroy.
    pub intent: Intent,
    /// Name of the live cluster the plan was made for.
    pub cluster: String,
    /// Number of nodes that answered, and of all nodes.
    pub nodes: (usize, usize),
    /// False when the cluster refuses writes.
    pub quorate: bool,
    /// What the plan says of each profile.
    pub profiles: Vec<ProfileSummary>,
    /// What happens, guest by guest, in the order of the documents.
    pub changes: Vec<Change>,
    /// What is run, and in which order.
    pub actions: ActionGraph,
    /// Storages that actions work on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub storages: BTreeMap<String, Store>,
    /// What differs and is not written now, guest by guest, in the order of the documents.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub held: Vec<Held>,
    /// What is wrong, what is worth knowing, and what was not done.
    pub findings: Vec<Finding>,
    /// What state says of each guest when the plan has been carried out: a later plan resets
    /// what a document no longer says (law 5).
    pub outcomes: BTreeMap<Address, Remembered>,
    /// Guests that were renamed in the documents, with the address each had: state forgets that
    /// one when the guest is settled under the new.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub moved: BTreeMap<Address, Address>,
    /// Rules of the policy that the plan was held against.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub policy: Vec<Checked>,
    /// What the token must be allowed for it, by path: filled in by the preflight.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub privileges: Vec<Privilege>,
}

/// A line about one profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProfileSummary {
    /// `k3s`, or `vm.gitea` for a standalone VM.
    pub key: String,
    /// Number of guests the documents ask for.
    pub wanted: usize,
    /// Number of those that exist.
    pub existing: usize,
}

/// How many guests each verb touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Guests that come.
    pub create: usize,
    /// Guests that change in place.
    pub change: usize,
    /// Guests that move.
    pub migrate: usize,
    /// Guests that are only started or shut down.
    pub power: usize,
    /// Guests that are removed and made anew.
    pub replace: usize,
    /// Guests that are only rebooted.
    pub reboot: usize,
    /// Guests that go.
    pub destroy: usize,
}

impl Plan {
    /// A plan that does nothing yet, for a quorate cluster of one node.
    pub fn new(intent: Intent, cluster: &str) -> Self {
        Self {
            version: VERSION,
            intent,
            cluster: cluster.to_owned(),
            nodes: (1, 1),
            quorate: true,
            profiles: Vec::new(),
            changes: Vec::new(),
            actions: ActionGraph::default(),
            storages: BTreeMap::new(),
            held: Vec::new(),
            findings: Vec::new(),
            outcomes: BTreeMap::new(),
            moved: BTreeMap::new(),
            policy: Vec::new(),
            privileges: Vec::new(),
        }
    }

    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// True when a finding forbids running the plan.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(|f| f.weight == Weight::Error)
    }

    /// Guests by verb. A guest that is changed and moved counts in both.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.changes {
            match change.verb {
                Verb::Create => counts.create += 1,
                Verb::Replace => counts.replace += 1,
                Verb::Destroy => counts.destroy += 1,
                Verb::Change => counts.change += 1,
                Verb::Power if change.effect == Effect::Reboot => counts.reboot += 1,
                Verb::Power => counts.power += 1,
                Verb::Migrate => {
                    counts.migrate += 1;
                    counts.change += usize::from(!change.attributes.is_empty());
                }
            }
        }
        counts
    }
}
