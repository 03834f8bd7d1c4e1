//! How many actions run at once, and on what. Proxmox locks storages for 10 s and configurations
//! for 1 s at most (pve-behaviour, Locks), and runs three workers a daemon: more than that only
//! queues, or fails.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::{Action, ActionKind};

/// Upper bounds of actions in flight.
#[derive(Debug, Clone)]
pub struct Limits {
    /// In all.
    pub total: usize,
    /// Asked at one node.
    pub per_node: usize,
    /// Allocating, cloning or freeing volumes on one storage.
    pub per_storage: usize,
    /// Cloned from one template.
    pub per_template: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { total: 16, per_node: 4, per_storage: 4, per_template: 4 }
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
    /// A storage, on which volumes are allocated, cloned or freed.
    Storage(String),
    /// A template that is cloned.
    Template(u32),
    /// A file under a lock of the whole cluster.
    Cluster(&'static str),
}

impl std::fmt::Display for Resource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Total => f.write_str("all that runs"),
            Self::Node(node) => write!(f, "node {node}"),
            Self::Storage(storage) => write!(f, "storage {storage}"),
            Self::Template(vmid) => write!(f, "template {vmid}"),
            Self::Cluster(file) => write!(f, "the cluster's lock on {file}"),
        }
    }
}

/// What is in flight.
#[derive(Debug, Default)]
pub(super) struct Budget(BTreeMap<Resource, usize>);

impl Budget {
    /// Takes what the action needs; `false` when some bound is reached: then nothing is taken.
    pub(super) fn take(&mut self, action: &Action, limits: &Limits) -> bool {
        let needs = needs(action);
        let full = |resource: &Resource| {
            let bound = match resource {
                Resource::Total => limits.total,
                Resource::Node(_) => limits.per_node,
                Resource::Storage(_) => limits.per_storage,
                Resource::Template(_) => limits.per_template,
                Resource::Cluster(_) => 1,
            };
            self.0.get(resource).copied().unwrap_or(0) >= bound.max(1)
        };
        if needs.iter().any(full) {
            return false;
        }
        for resource in needs {
            *self.0.entry(resource).or_default() += 1;
        }
        true
    }

    /// Gives it back.
    pub(super) fn release(&mut self, action: &Action) {
        for resource in needs(action) {
            if let Some(count) = self.0.get_mut(&resource) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

/// The file that is written under a lock of the whole cluster. Who waits for one looks once a
/// second (pve-cluster, `$cfs_lock`): side by side is slower than one after the other.
fn cluster_lock(kind: &ActionKind) -> Option<&'static str> {
    match kind {
        ActionKind::Pool { .. } => Some("user.cfg"),
        ActionKind::Ha { .. } => Some("ha"),
        _ => None,
    }
}

fn needs(action: &Action) -> Vec<Resource> {
    let mut needs = vec![Resource::Total, Resource::Node(action.node.clone())];
    needs.extend(action.storages.iter().cloned().map(Resource::Storage));
    if let ActionKind::Clone { source, .. } = action.kind {
        needs.push(Resource::Template(source));
    }
    needs.extend(cluster_lock(&action.kind).map(Resource::Cluster));
    needs
}
