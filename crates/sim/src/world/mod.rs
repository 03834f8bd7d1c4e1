//! The simulated cluster: everything that a file of it holds.

pub(crate) mod access;
mod file;
pub(crate) use file::write as write_file;
pub(crate) mod files;
pub(crate) mod guest;
pub(crate) mod jobs;
pub(crate) mod lab;
pub(crate) mod lock;
pub(crate) mod lock_use;
mod loose_ends;
pub(crate) mod mapping;
pub(crate) mod node;
pub(crate) mod past;
pub(crate) mod privileges;
pub(crate) mod report;
pub(crate) mod snapshot;
pub(crate) mod storage;
pub(crate) mod task;
mod truth;
pub(crate) mod urls;
pub(crate) mod volumes;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::refusal::Refusal;
use access::Access;
use guest::Guest;
use lock::Locks;
use node::Node;
use storage::{Storage, Volume};
use task::{Task, Tasks};

/// Version of the saved format.
pub const WORLD_VERSION: u32 = 1;

/// The certificate that the server shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// A cluster: nodes, storages, users, guests, volumes, tasks.
///
/// Built in: [`World::lab`] and [`World::truth`]. Written and read as JSON, see [`World::save`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    pub(crate) version: u32,
    pub(crate) cluster: String,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) storages: BTreeMap<String, Storage>,
    /// By place (`STORAGE` when shared, `STORAGE@NODE` when not), then by volume name.
    pub(crate) volumes: BTreeMap<String, BTreeMap<String, Volume>>,
    pub(crate) access: Access,
    pub(crate) guests: BTreeMap<u32, Guest>,
    /// Members (VMIDs) by pool.
    #[serde(default)]
    pub(crate) pools: BTreeMap<String, Pool>,
    /// `datacenter.cfg`.
    #[serde(default)]
    pub(crate) options: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) tasks: Tasks,
    #[serde(default)]
    pub(crate) ha: crate::ha::Ha,
    /// Devices and directories of the nodes under one name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) mappings: mapping::Mappings,
    /// `/cluster/resources` lags as pvestatd does.
    #[serde(default)]
    pub(crate) lag: bool,
    /// Domain of the nodes, for cloud-init's search list.
    #[serde(default)]
    pub(crate) domain: String,
    /// Id and secret of the token for pvx.
    pub(crate) operator: (String, String),
    /// What URLs answer that a node is told to fetch, by URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) urls: BTreeMap<String, urls::UrlAnswer>,
    /// Volume groups, pools and servers that no storage uses yet, with their size in bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) resources: BTreeMap<String, u64>,
    /// In the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) backup_jobs: Vec<jobs::BackupJob>,
    /// Replication jobs by id (`900-0`), with their properties. They are known and never run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) replication: BTreeMap<String, BTreeMap<String, String>>,
    /// Last sim time seen, ms.
    #[serde(default)]
    pub(crate) clock_ms: i64,
    #[serde(default)]
    pub(crate) next_pid: u32,
    #[serde(default)]
    pub(crate) identity: Option<Identity>,
    /// Signs tickets.
    #[serde(default)]
    pub(crate) ticket_key: String,
    /// Faults on demand.
    #[serde(default)]
    pub(crate) faults: crate::fault::Faults,
    /// Uploaded files that no worker has taken over yet, by path.
    #[serde(skip)]
    pub(crate) uploads: BTreeMap<String, crate::storage::probe::File>,
    /// Loopback URLs that are to be asked.
    #[serde(skip)]
    pub(crate) fetches: Vec<crate::server::fetch::Fetch>,
    /// What they answered to requests for their head; none while they are asked.
    #[serde(skip)]
    pub(crate) heads: BTreeMap<String, Option<crate::fetch::Outcome>>,
    /// Files of the nodes that are no volumes.
    #[serde(default)]
    pub(crate) files: files::Files,
    /// Who may log in by SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ssh: Option<files::SshAccess>,
    /// The SSH host keys are made of it; empty until the first start.
    #[serde(default)]
    pub(crate) ssh_seed: String,
    /// What the last handler would print on a terminal, for the commands of a node.
    #[serde(skip)]
    pub(crate) printed: Vec<String>,
    /// The node at whose port the request in hand was asked.
    #[serde(skip)]
    pub(crate) asked: Option<Arc<str>>,
    /// Why requests that carry out work themselves are refused, by the number of the work.
    #[serde(skip)]
    pub(crate) refused: BTreeMap<u64, Refusal>,
    #[serde(skip)]
    pub(crate) report: report::Report,
    /// Locks are held by running tasks alone and taken again when a saved world goes on.
    #[serde(skip)]
    pub(crate) locks: Locks,
    /// Counts changes, to know when the state file is old.
    #[serde(skip)]
    pub(crate) revision: u64,
}

/// A pool.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Pool {
    #[serde(default)]
    pub(crate) comment: String,
    #[serde(default)]
    pub(crate) guests: std::collections::BTreeSet<u32>,
    #[serde(default)]
    pub(crate) storages: std::collections::BTreeSet<String>,
}

impl World {
    /// A cluster without nodes, storages, users or guests.
    #[must_use]
    pub fn empty(cluster: &str) -> Self {
        Self {
            version: WORLD_VERSION,
            cluster: cluster.to_owned(),
            nodes: BTreeMap::new(),
            storages: BTreeMap::new(),
            volumes: BTreeMap::new(),
            access: Access::default(),
            guests: BTreeMap::new(),
            pools: BTreeMap::new(),
            options: BTreeMap::new(),
            tasks: Tasks::default(),
            ha: crate::ha::Ha::default(),
            mappings: mapping::Mappings::new(),
            lag: false,
            domain: "lab.internal".to_owned(),
            operator: (String::new(), String::new()),
            urls: BTreeMap::new(),
            resources: BTreeMap::new(),
            backup_jobs: Vec::new(),
            replication: BTreeMap::new(),
            clock_ms: 0,
            next_pid: 0,
            identity: None,
            ticket_key: String::new(),
            faults: crate::fault::Faults::default(),
            uploads: BTreeMap::new(),
            fetches: Vec::new(),
            heads: BTreeMap::new(),
            files: files::Files::new(),
            ssh: None,
            ssh_seed: String::new(),
            printed: Vec::new(),
            asked: None,
            refused: BTreeMap::new(),
            report: report::Report::default(),
            locks: Locks::default(),
            revision: 0,
        }
    }

    /// A world by name: `lab` or `truth`.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        match name {
            "lab" => Some(Self::lab()),
            "truth" => Some(Self::truth()),
            _ => None,
        }
    }

    /// The names that [`World::builtin`] knows.
    pub const BUILTIN: &'static [&'static str] = &["lab", "truth"];

    /// What each of [`World::BUILTIN`] is for, in a few words.
    #[must_use]
    pub fn about(name: &str) -> &'static str {
        match name {
            "lab" => "to try pvx: templates to clone, an image, an ISO",
            "truth" => "the empty cluster of the recordings, with users",
            _ => "",
        }
    }

    /// The name of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// All nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// Adds or replaces a node.
    pub fn add_node(&mut self, node: Node) {
        self.nodes.insert(node.name.clone(), node);
    }

    /// Switches a node on or off; guests of a node that goes off stop. False when there is none.
    pub fn set_node_online(&mut self, name: &str, online: bool) -> bool {
        if online {
            self.drop_report(name);
        } else if self.nodes.contains_key(name) {
            self.keep_report(name);
        }
        let Some(node) = self.nodes.get_mut(name) else { return false };
        node.boots = online && (node.boots || !node.online);
        node.online = online;
        self.tasks.quiet_until = None;
        if !online {
            for guest in self.guests.values_mut().filter(|guest| guest.node == name) {
                guest.running = None;
            }
        }
        true
    }

    /// The node that answers requests, and that does what is not for a node of its own: the one at
    /// whose port the request in hand was asked. Behind the port of all nodes stands the first
    /// one that runs.
    #[must_use]
    pub fn answering(&self) -> Option<&str> {
        self.asked.as_deref().or_else(|| self.first_running())
    }

    /// The first node, by name, that runs.
    pub(crate) fn first_running(&self) -> Option<&str> {
        self.nodes.values().find(|node| node.online).map(|node| node.name.as_str())
    }

    /// Whether more than half of the nodes run.
    #[must_use]
    pub fn quorate(&self) -> bool {
        if self.faults.quorum_lost() {
            return false;
        }
        let online = self.nodes.values().filter(|node| node.online).count();
        self.nodes.len() == 1 || online * 2 > self.nodes.len()
    }

    /// All storages, by id.
    pub fn storages(&self) -> impl Iterator<Item = &Storage> {
        self.storages.values()
    }

    /// Adds or replaces a storage.
    pub fn add_storage(&mut self, mut storage: Storage) {
        if storage.order == 0 {
            let last = self.storages.values().map(|storage| storage.order).max();
            storage.order = last.unwrap_or(0).saturating_add(1);
        }
        self.storages.insert(storage.id.clone(), storage);
    }

    /// All guests, by VMID.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.values()
    }

    /// A guest.
    #[must_use]
    pub fn guest(&self, vmid: u32) -> Option<&Guest> {
        self.guests.get(&vmid)
    }

    /// A guest, to change it.
    pub fn guest_mut(&mut self, vmid: u32) -> Option<&mut Guest> {
        self.guests.get_mut(&vmid)
    }

    /// Adds or replaces a guest. Its disks need volumes of their own: [`World::add_volume`].
    pub fn add_guest(&mut self, guest: Guest) {
        self.guests.insert(guest.vmid, guest);
    }

    /// Removes a guest and the volumes that it owns.
    pub fn remove_guest(&mut self, vmid: u32) -> Option<Guest> {
        for place in self.volumes.values_mut() {
            place.retain(|_, volume| volume.vmid != Some(vmid));
        }
        self.guests.remove(&vmid)
    }

    /// Users, tokens, roles and the ACL.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Users, tokens, roles and the ACL, to change them.
    pub fn access_mut(&mut self) -> &mut Access {
        &mut self.access
    }

    /// All tasks, oldest first.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.iter()
    }

    /// Makes names, status and usage in `/cluster/resources` lag 10 s behind, as pvestatd does.
    pub fn set_lag(&mut self, lag: bool) {
        self.lag = lag;
    }

    /// Id (`user@realm!name`) and secret of the token that pvx uses.
    #[must_use]
    pub fn token(&self) -> (&str, &str) {
        (&self.operator.0, &self.operator.1)
    }

    /// The pool of a guest.
    pub(crate) fn pool_of(&self, vmid: u32) -> Option<&str> {
        self.pools
            .iter()
            .find(|(_, pool)| pool.guests.contains(&vmid))
            .map(|(name, _)| name.as_str())
    }
}
