//! What actions hold while they are in flight, and how many may hold it. Proxmox locks storages
//! for 10 s at most and configurations for 1 s (pve-behaviour, Locks), and runs three workers a
//! daemon: more than that only queues, or fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::{Action, ActionKind, Plan, Store};

/// Upper bounds of actions in flight. What Proxmox does one after the other is bound by time
/// besides: see [`Limits::lock_wait`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Asked at one node.
    pub per_node: usize,
    /// Working on one storage, copying included; of a storage that is not shared, on one node.
    /// None: [`default_of`] its kind.
    pub per_storage: Option<usize>,
    /// The same for storages by name; these go before.
    pub storages: BTreeMap<String, usize>,
    /// Cloned from one template.
    pub per_template: usize,
    /// How much work is let queue up at the lock of a storage. Proxmox gives up after 10 s, so
    /// this is to be well below; far less than answers take on their way leaves the lock idle.
    pub lock_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 256,
            per_node: 64,
            per_storage: None,
            storages: BTreeMap::new(),
            per_template: 64,
            lock_wait: Duration::from_secs(3),
        }
    }
}

impl Limits {
    /// The bound of a resource. Never nothing: that would run nothing for ever.
    pub(super) fn bound(&self, resource: &Resource, stores: &BTreeMap<String, Store>) -> usize {
        let bound = match resource {
            Resource::Total => self.total,
            Resource::Node(_) => self.per_node,
            Resource::Storage(name) | Resource::LocalStorage { storage: name, .. } => {
                let said = self.storages.get(name).copied().or(self.per_storage);
                said.unwrap_or_else(|| default_of(stores.get(name)))
            }
            Resource::Template(_) => self.per_template,
            Resource::Cluster(REFERENCES) => AT_REFERENCES,
            Resource::Cluster(_) => 1,
        };
        bound.max(1)
    }
}

/// How many actions may work on a storage when nobody says. Disks of one node (`lvm`, `zfspool`, a
/// directory) get slower with each copy beside the others; what is behind a network has many disks
/// and many who write to it.
pub fn default_of(store: Option<&Store>) -> usize {
    match store {
        Some(store) if !store.shared => 16,
        _ => 64,
    }
}

/// What only so many actions use at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind", content = "name")]
pub enum Resource {
    /// Everything.
    Total,
    /// A node.
    Node(String),
    /// A shared storage, on which volumes are allocated, cloned or freed.
    Storage(String),
    /// A storage that each node has for itself.
    LocalStorage {
        /// The storage.
        storage: String,
        /// The node.
        node: String,
    },
    /// A template that is cloned.
    Template(u32),
    /// A file under a lock of the whole cluster.
    Cluster(&'static str),
}

impl Resource {
    /// Is it work under a lock that Proxmox waits for in vain after a while?
    pub(super) fn is_lock(&self) -> bool {
        matches!(self, Self::Storage(_) | Self::LocalStorage { .. })
    }

    /// The storage that it is.
    pub(super) fn storage(&self) -> Option<&str> {
        match self {
            Self::Storage(storage) | Self::LocalStorage { storage, .. } => Some(storage),
            _ => None,
        }
    }
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Total => f.write_str("all that runs"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Storage(storage) => write!(f, "storage {storage}"),
            Self::LocalStorage { storage, node } => write!(f, "storage {storage} of {node}"),
            Self::Template(vmid) => write!(f, "template {vmid}"),
            Self::Cluster(file) => write!(f, "the cluster's lock on {file}"),
        }
    }
}

/// A guest that goes is taken out of these files, one lock of the whole cluster after the other, and
/// each is waited for 10 s (qemu-server `API2/Qemu.pm`, destroy_vm; pve-access-control, pve-ha-manager,
/// pve-guest-common). One that does not get them stays as half a guest that no API token can remove.
const REFERENCES: &str = "user.cfg, jobs.cfg and replication.cfg";

/// So many wait for those at once: each holds them for some hundredths of a second, and who waits
/// looks once a second.
const AT_REFERENCES: usize = 10;

/// The file that is written under a lock of the whole cluster. Who waits for one looks once a
/// second (pve-cluster, `$cfs_lock`): side by side is slower than one after the other.
fn cluster_lock(kind: &ActionKind) -> Option<&'static str> {
    match kind {
        ActionKind::Pool { .. } => Some("user.cfg"),
        ActionKind::Ha { .. } => Some("ha"),
        ActionKind::Destroy => Some(REFERENCES),
        _ => None,
    }
}

/// What an action holds, each once, in a fixed order.
pub(super) fn needs(plan: &Plan, action: &Action) -> BTreeSet<Resource> {
    let mut needs = BTreeSet::from([Resource::Total, Resource::Node(action.node.clone())]);
    for storage in &action.storages {
        needs.extend(storage_on(plan, action, storage));
    }
    if let ActionKind::Clone { source, .. } = action.kind {
        needs.insert(Resource::Template(source));
    }
    needs.extend(cluster_lock(&action.kind).map(Resource::Cluster));
    needs
}

/// A storage that is not shared has a lock on each node; a guest that moves with its disks takes
/// it on both.
fn storage_on(plan: &Plan, action: &Action, storage: &str) -> Vec<Resource> {
    if plan.storages.get(storage).is_none_or(|store| store.shared) {
        return vec![Resource::Storage(storage.to_owned())];
    }
    let target = match &action.kind {
        ActionKind::Migrate { target, .. } => Some(target),
        _ => None,
    };
    let nodes = std::iter::once(&action.node).chain(target);
    let local =
        |node: &String| Resource::LocalStorage { storage: storage.to_owned(), node: node.clone() };
    nodes.map(local).collect()
}
