//! High availability, as documents ask for it (`ha`). Absent means not managed, here as elsewhere.

use std::collections::BTreeMap;

use super::Power;

/// How the HA manager treats a guest (pve-ha-manager, `HA/Resources.pm`), and the rules that it
/// has for it (`HA/Rules/NodeAffinity.pm`, `HA/Rules/ResourceAffinity.pm`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ha {
    /// What the manager keeps the guest in.
    pub state: HaState,
    /// Tries to start it again on the same node; 1 in Proxmox VE when nobody says.
    pub max_restart: Option<u32>,
    /// Tries on other nodes; 1 in Proxmox VE when nobody says.
    pub max_relocate: Option<u32>,
    /// Back to the node of highest priority when that one is there again; on when nobody says.
    pub failback: Option<bool>,
    /// One line for people.
    pub comment: Option<String>,
    /// Nodes where it should run, with their priorities: the higher, the better. Empty: any.
    pub nodes: BTreeMap<String, u32>,
    /// It runs on no other node, whatever happens.
    pub strict: Option<bool>,
    /// Where it runs in relation to the others of its group.
    pub affinity: Option<Affinity>,
}

impl Ha {
    /// Nodes that the manager prefers to all others; none when it may be anywhere.
    pub fn best_nodes(&self) -> impl Iterator<Item = &str> {
        let highest = self.nodes.values().max().copied();
        let best = self.nodes.iter().filter(move |(_, priority)| Some(**priority) == highest);
        best.map(|(node, _)| node.as_str())
    }
}

/// What the HA manager keeps a guest in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HaState {
    /// Running, on another node if need be.
    #[default]
    Started,
    /// Stopped, and moved off a node that fails.
    Stopped,
    /// Stopped, and left where it is.
    Disabled,
    /// Left alone, as if it were not under HA.
    Ignored,
}

impl HaState {
    /// All of them, for documents and tests.
    pub const ALL: [Self; 4] = [Self::Started, Self::Stopped, Self::Disabled, Self::Ignored];

    /// The word of Proxmox VE and of documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Stopped => "stopped",
            Self::Disabled => "disabled",
            Self::Ignored => "ignored",
        }
    }

    /// The power state that the manager brings about; none when it leaves the guest alone.
    pub fn power(self) -> Option<Power> {
        match self {
            Self::Started => Some(Power::Running),
            Self::Stopped | Self::Disabled => Some(Power::Stopped),
            Self::Ignored => None,
        }
    }
}

/// Where the guests of a group run in relation to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// All on one node.
    Together,
    /// Each on a node of its own.
    Apart,
}

impl Affinity {
    /// The word of documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::Apart => "apart",
        }
    }
}
