//! What is known of the storages that actions work on: which of them Proxmox locks in the whole
//! cluster, and which on each node by itself.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ActionGraph;
use crate::live::Inventory;

/// A storage that actions allocate, clone or free volumes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Store {
    /// The same volumes on every node: then its lock is one of the whole cluster
    /// (`PVE::Storage`, `cluster_lock_storage`).
    pub shared: bool,
    /// Its plugin (`dir`, `lvmthin`, `nfs`, …).
    pub plugin: String,
}

/// The storages that actions name, as the inventory knows them. One that the token may not see is
/// left out, and taken for a shared one.
pub(crate) fn stores(actions: &ActionGraph, inventory: &Inventory) -> BTreeMap<String, Store> {
    let named: BTreeSet<&String> = actions.iter().flat_map(|action| &action.storages).collect();
    let mut stores: BTreeMap<String, Store> = BTreeMap::new();
    for ((_, name), seen) in inventory.storages.iter().filter(|((_, name), _)| named.contains(name))
    {
        let store = stores.entry(name.clone()).or_default();
        store.shared |= seen.shared;
        store.plugin.clone_from(&seen.plugin);
    }
    stores
}
