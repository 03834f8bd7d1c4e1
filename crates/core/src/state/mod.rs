//! The local cache and history (law 4): deleting it loses no guest and destroys none. What it
//! adds to the cluster is memory: which keys documents managed before, so that a key that is no
//! longer said can be reset (law 5).
//!
//! | file of a profile | holds |
//! |---|---|
//! | `k3s.json` | what is remembered of its guests |
//! | `k3s.journal` | what the last run began, and what came of it |
//! | `k3s.lock` | who works on it now |

mod durations;
mod error;
mod file;
mod history;
mod journal;
mod lock;
mod repair;
mod stored;
#[cfg(test)]
mod tests;

pub use durations::Durations;
pub use error::StateError;
pub use file::Folder;
pub use history::Histories;
pub use journal::{Damage, Journal, Moment, Record, Unfinished, Unsettled, Watch};
pub use lock::{Alive, Guard, Held, Locks, Owner, ProfileLock};
pub use repair::{Condition, Repaired};

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::desired::Placement;

/// What was applied to one guest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Remembered {
    /// VMID it had.
    pub vmid: u32,
    /// Paths that documents managed (`cores`, `net0.tag`).
    pub managed: BTreeSet<String>,
    /// What it was made from, as documents said it (`debian-13`); nothing when that is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
    /// The node that documents asked for. Files of an older pvx do not say.
    #[serde(default, skip_serializing_if = "AskedNode::is_unknown")]
    pub node: AskedNode,
    /// Documents said `prevent_destroy`: it stays so when they say nothing of the guest any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prevent_destroy: bool,
}

/// Which node documents asked for when they were last applied.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedNode {
    /// Nobody remembers.
    #[default]
    Unknown,
    /// None: pvx chose one.
    Any,
    /// This one.
    Named(String),
}

impl AskedNode {
    /// Does nobody remember?
    pub fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }
}

impl From<&Placement> for AskedNode {
    fn from(placement: &Placement) -> Self {
        match placement {
            Placement::Node(node) => Self::Named(node.clone()),
            Placement::Spread | Placement::Pack => Self::Any,
        }
    }
}

/// What is remembered of all guests of the documents at hand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory(BTreeMap<Address, Remembered>);

static NOTHING: BTreeSet<String> = BTreeSet::new();
static UNKNOWN: AskedNode = AskedNode::Unknown;

impl Memory {
    /// What is remembered of this guest.
    pub fn get(&self, address: &Address) -> Option<&Remembered> {
        self.0.get(address)
    }

    /// What documents managed on this guest; nothing when it is not remembered.
    pub fn managed(&self, address: &Address) -> &BTreeSet<String> {
        self.0.get(address).map_or(&NOTHING, |r| &r.managed)
    }

    /// The VMID the guest had.
    pub fn vmid(&self, address: &Address) -> Option<u32> {
        self.0.get(address).map(|r| r.vmid)
    }

    /// What the guest was made from.
    pub fn origin(&self, address: &Address) -> Option<&str> {
        self.0.get(address).and_then(|r| r.origin.as_deref())
    }

    /// The node that documents asked for when the guest was last applied.
    pub fn node(&self, address: &Address) -> &AskedNode {
        self.0.get(address).map_or(&UNKNOWN, |r| &r.node)
    }

    /// Did documents say `prevent_destroy` when the guest was last applied?
    pub fn prevents_destroy(&self, address: &Address) -> bool {
        self.0.get(address).is_some_and(|r| r.prevent_destroy)
    }

    /// Every guest that is remembered.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.0.keys()
    }

    /// A guest that is not remembered may be at this VMID.
    pub fn suppose(&mut self, address: Address, vmid: u32) {
        let nothing_more = || Remembered { vmid, ..Remembered::default() };
        self.0.entry(address).or_insert_with(nothing_more);
    }

    /// Forgets a guest.
    pub fn forget(&mut self, address: &Address) {
        self.0.remove(address);
    }

    /// Remembers a guest.
    pub fn insert(&mut self, address: Address, remembered: Remembered) {
        self.0.insert(address, remembered);
    }
}

impl FromIterator<(Address, Remembered)> for Memory {
    fn from_iter<I: IntoIterator<Item = (Address, Remembered)>>(items: I) -> Self {
        Self(items.into_iter().collect())
    }
}
