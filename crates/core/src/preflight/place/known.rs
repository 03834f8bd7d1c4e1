//! What is known of places. A fact that could not be had is absent.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::provider::Card;

/// The answers to [`Asked`](super::Asked).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Known {
    /// State of storages.
    pub storages: Vec<StorageState>,
    /// Storages of which it is known that they are not `sparse`.
    pub thick: Vec<String>,
    /// Volumes of storages.
    pub volumes: Vec<Volumes>,
    /// Bridges of nodes.
    pub bridges: Vec<Bridge>,
    /// Memory of nodes.
    pub memory: Vec<NodeMemory>,
    /// Network devices of guests of other people.
    pub others: Vec<Other>,
    /// What keeps guests from moving.
    pub migrations: Vec<Migration>,
    /// Disks that snapshots hold.
    pub snapshots: Vec<Snapshotted>,
    /// Replication jobs.
    pub replication: Vec<Replication>,
}

impl Known {
    /// The state of a storage on a node.
    pub(super) fn storage(&self, node: &str, storage: &str) -> Option<&StorageState> {
        self.storages.iter().find(|state| state.node == node && state.storage == storage)
    }

    /// Was the node asked for its storages?
    pub(super) fn has_storages(&self, node: &str) -> bool {
        self.storages.iter().any(|state| state.node == node)
    }

    /// The volumes of one content type; on shared storage those that any node told.
    pub(super) fn volumes(
        &self,
        node: &str,
        storage: &str,
        content: &str,
        shared: bool,
    ) -> Option<&[Listed]> {
        let fits = |v: &&Volumes| {
            v.storage == storage && v.content == content && (shared || v.node == node)
        };
        self.volumes.iter().find(fits).map(|volumes| volumes.list.as_slice())
    }

    /// The bridges of a node; none when they could not be read.
    pub(super) fn bridges_of(&self, node: &str) -> Option<Vec<&Bridge>> {
        let found: Vec<_> = self.bridges.iter().filter(|bridge| bridge.node == node).collect();
        (!found.is_empty()).then_some(found)
    }
}

/// A storage as a node sees it, live.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageState {
    /// Node.
    pub node: String,
    /// Storage.
    pub storage: String,
    /// Switched on, for this node.
    pub enabled: bool,
    /// It can be used right now.
    pub active: bool,
    /// Bytes in all; 0 while unknown.
    pub total: u64,
    /// Bytes that are taken.
    pub used: u64,
    /// Bytes that are free.
    pub free: u64,
    /// What may be stored (`images`, `iso`, …).
    pub content: Vec<String>,
}

/// Volumes of one content type on a storage.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volumes {
    /// The node that told.
    pub node: String,
    /// Storage.
    pub storage: String,
    /// Content type.
    pub content: String,
    /// What is there.
    pub list: Vec<Listed>,
}

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// `shared:100/base-100-disk-0.raw`
    pub volid: String,
    /// Bytes that are promised: of a disk its size.
    pub size: u64,
    /// Bytes that it takes, where the storage tells.
    pub used: Option<u64>,
}

/// A bridge of a node, or a VNet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Node.
    pub node: String,
    /// `vmbr0`
    pub name: String,
    /// A Linux bridge, whose VLAN awareness and ports are known.
    pub linux: Option<Interface>,
    /// The node's own addresses on it.
    pub addresses: Vec<IpAddr>,
}

/// A Linux bridge.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// `bridge-vlan-aware`
    pub vlan_aware: bool,
    /// It has a port.
    pub has_ports: bool,
}

/// Memory of a node in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMemory {
    /// Node.
    pub node: String,
    /// Memory.
    pub total: u64,
    /// Swap.
    pub swap: u64,
}

/// A guest that is nobody's in the documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// VMID.
    pub vmid: u32,
    /// Node.
    pub node: String,
    /// Its name.
    pub name: String,
    /// Does it run?
    pub running: bool,
    /// Its network devices.
    #[serde(skip)]
    pub cards: Vec<Card>,
}

/// What keeps a guest from moving to a node (`GET …/migrate`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// VMID.
    pub vmid: u32,
    /// The node it goes to.
    pub target: String,
    /// Keys of devices of its node (`hostpci0`).
    pub devices: Vec<String>,
    /// Keys of mapped devices that the other node lacks.
    pub unmapped: Vec<String>,
    /// Keys of mapped devices, and of other things, that cannot move while the guest runs.
    pub held: Vec<String>,
    /// Storages that the other node lacks.
    pub storages: Vec<String>,
    /// HA resources that must not be on the node that it goes to.
    pub apart: Vec<String>,
}

/// Disks that snapshots of a guest hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshotted {
    /// VMID.
    pub vmid: u32,
    /// A snapshot and the volumes it holds.
    pub volumes: Vec<(String, Vec<String>)>,
}

/// A replication job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replication {
    /// `100-0`
    pub id: String,
    /// The guest.
    pub vmid: u32,
    /// The node it is replicated to.
    pub target: String,
}
