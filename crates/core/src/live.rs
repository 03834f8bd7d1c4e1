//! What the cluster is like right now, as far as planning needs it.

pub mod ha;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use ha::{Ha, Properties};

/// The cluster as a whole: two requests (`/cluster/status`, `/cluster/resources`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The cluster's name, or the node's for a node on its own. Part of every guest's identity.
    pub cluster: String,
    /// False when writes would be refused. A node on its own is always quorate.
    pub quorate: bool,
    /// Nodes by name.
    pub nodes: BTreeMap<String, Node>,
    /// Storages by node and storage name.
    pub storages: BTreeMap<(String, String), Storage>,
    /// Guests by VMID, containers too: they take VMIDs.
    pub guests: BTreeMap<u32, Summary>,
    /// Pools that may be looked at (Pool.Audit).
    pub pools: BTreeSet<String>,
}

impl Inventory {
    /// Is `storage` the same volume store on every node? False when it is unknown.
    pub fn is_shared(&self, storage: &str) -> bool {
        self.storages.iter().any(|((_, name), s)| name == storage && s.shared)
    }

    /// The storage as seen from a node.
    pub fn storage(&self, node: &str, storage: &str) -> Option<&Storage> {
        self.storages.get(&(node.to_owned(), storage.to_owned()))
    }

    /// Names of all storages, each once.
    pub fn storage_names(&self) -> BTreeSet<&str> {
        self.storages.keys().map(|(_, name)| name.as_str()).collect()
    }

    /// Nodes that answer.
    pub fn online_nodes(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter(|(_, n)| n.online).map(|(name, _)| name.as_str())
    }
}

/// One node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Does it answer?
    pub online: bool,
    /// Number of CPUs.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
}

/// One storage as one node sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// The same content on every node.
    pub shared: bool,
    /// Plugin (`dir`, `lvmthin`, `nfs`, …).
    pub plugin: String,
    /// What may be stored (`images`, `iso`, …).
    pub content: BTreeSet<String>,
    /// Size in bytes; 0 while unknown.
    pub total: u64,
    /// Used bytes.
    pub used: u64,
    /// Mounted and reachable.
    pub available: bool,
}

/// A guest's line in `/cluster/resources`. Name, status and template flag lag up to 10 s there
/// (pvestatd), so nothing is decided on them alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// VMID.
    pub vmid: u32,
    /// `true` for a VM, `false` for a container.
    pub qemu: bool,
    /// The node whose folder holds the configuration.
    pub node: String,
    /// Name, when pvestatd has told it already.
    pub name: Option<String>,
    /// Tags as they are stored.
    pub tags: BTreeSet<String>,
    /// Template flag, when known.
    pub template: bool,
    /// Lagging status text (`running`, `stopped`, `unknown`).
    pub status: String,
    /// Memory in bytes; 0 while unknown.
    pub memory: u64,
    /// The `lock:` property.
    pub lock: Option<String>,
    /// The pool it is a member of, when that one may be looked at. Live, as are the tags.
    pub pool: Option<String>,
}

impl Summary {
    /// Nobody knows its name: pvestatd has not told it yet, or the configuration has none, which
    /// lists show as `VM 1001` (qemu-server, vmstatus). So is a clone until its first disk is
    /// copied.
    pub fn is_unnamed(&self) -> bool {
        let number = |name: &String| name.strip_prefix("VM ")?.parse::<u32>().ok();
        self.name.as_ref().is_none_or(|name| number(name) == Some(self.vmid))
    }

    /// Is it being made right now? The lock is live in the list, unlike the name.
    pub fn is_being_made(&self) -> bool {
        self.lock.as_deref().is_some_and(|lock| matches!(lock, "clone" | "create"))
    }
}

/// Where a guest is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GuestRef {
    /// VMID.
    pub vmid: u32,
    /// Node.
    pub node: String,
}

/// A guest that was read in full, live: never from the lagging list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guest {
    /// VMID.
    pub vmid: u32,
    /// Node.
    pub node: String,
    /// Stored configuration with pending values merged in, as text: what the next cold boot has.
    pub config: BTreeMap<String, String>,
    /// Values that wait for the next cold boot.
    pub pending: Vec<Pending>,
    /// SHA-1 of the stored file; sent along with writes.
    pub digest: Option<String>,
    /// Is a QEMU process running?
    pub running: bool,
}

impl Guest {
    /// Where to ask for it.
    pub fn reference(&self) -> GuestRef {
        GuestRef { vmid: self.vmid, node: self.node.clone() }
    }

    /// The configured name.
    pub fn name(&self) -> &str {
        self.config.get("name").map_or("", String::as_str)
    }

    /// Is it a template?
    pub fn is_template(&self) -> bool {
        self.config.get("template").is_some_and(|v| v == "1")
    }

    /// Does it refuse removal?
    pub fn is_protected(&self) -> bool {
        self.config.get("protection").is_some_and(|v| v == "1")
    }

    /// The `lock:` property.
    pub fn lock(&self) -> Option<&str> {
        self.config.get("lock").map(String::as_str)
    }
}

/// One value that waits for a cold boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Configuration key.
    pub key: String,
    /// What runs now.
    pub running: Option<String>,
    /// What the next boot has; `None` when the key goes.
    pub next: Option<String>,
}

/// The inventory and the guests that a plan depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The cluster as a whole.
    pub inventory: Inventory,
    /// Guests that were read in full, by VMID.
    pub guests: BTreeMap<u32, Guest>,
    /// What the HA manager is told, when it was asked for.
    pub ha: Option<Ha>,
}

/// The namespace of identities: a version 5 UUID of the text `pvx` in the DNS namespace's manner,
/// fixed for ever because the identities of all existing guests depend on it.
const IDENTITY_NAMESPACE: Uuid = Uuid::from_u128(0x8d3c_27a4_51f0_5e6b_9c1e_70b6_2f4a_d915);

/// The smbios uuid that proves that a guest is `name` of `profile` on `cluster`. Proxmox gives
/// every clone a fresh uuid, so a copy made in the web UI does not carry it.
pub fn identity(cluster: &str, profile: &str, name: &str) -> Uuid {
    let text = format!("{cluster}\n{profile}\n{name}");
    Uuid::new_v5(&IDENTITY_NAMESPACE, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_are_stable() {
        let id = identity("lab", "k3s", "cp01");
        assert_eq!(id, identity("lab", "k3s", "cp01"));
        assert_ne!(id, identity("lab2", "k3s", "cp01"));
        // Changing this value orphans every guest in the field.
        insta::assert_snapshot!(id, @"da1d26ba-10df-5204-af77-8a06935e236f");
    }

    #[test]
    fn shared_is_a_property_of_the_storage_not_of_a_node() {
        let mut inventory = Inventory::default();
        let shared = Storage { shared: true, ..Storage::default() };
        inventory.storages.insert(("a".into(), "nfs".into()), shared);
        assert!(inventory.is_shared("nfs"));
        assert!(!inventory.is_shared("local"));
    }
}
