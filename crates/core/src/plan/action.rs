//! One step that changes the cluster, complete as data: nothing is looked up when it is run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change::Effect;
use crate::address::Address;

/// Number of an action inside its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub u32);

impl std::fmt::Display for ActionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Why an action is there: a stable code for machines that file it, a sentence for people. No
/// code branches on either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Kebab-case name, such as `missing` or `not-in-documents`.
    pub code: String,
    /// A few words for people.
    pub text: String,
}

impl Reason {
    /// A reason.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// What must hold when the action is run; otherwise it is refused and a new plan is needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Precondition {
    /// No guest has the action's VMID. Proxmox itself refuses to make a second one.
    VmidFree,
    /// The guest carries this mark and this smbios uuid: read again right before the write.
    Owned {
        /// The ownership tag.
        mark: String,
        /// The smbios uuid.
        uuid: Uuid,
    },
    /// The guest carries this provisional description: it is the clone that this plan made, and
    /// nobody took its VMID in between.
    Begun {
        /// The description.
        note: String,
    },
    /// The guest's file is as it was planned on: the digest is sent with the write.
    Digest {
        /// SHA-1 of the stored configuration.
        digest: String,
    },
    /// The guest does not refuse removal.
    Unprotected,
}

/// What is done. Values are Proxmox's own spelling, encoded by the provider when it planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ActionKind {
    /// `POST /nodes/N/qemu`: a guest from nothing.
    Create {
        /// The whole configuration.
        config: BTreeMap<String, String>,
    },
    /// `POST …/clone`: a guest from a template. The request goes to the template's node.
    Clone {
        /// The template's VMID.
        source: u32,
        /// Copy the disks instead of sharing the template's base volumes.
        full: bool,
        /// Storage of a full clone; absent: the template's.
        storage: Option<String>,
        /// Node to hand the guest to; only when all its disks are on shared storage.
        target: Option<String>,
        /// The new guest's name.
        name: String,
        /// A provisional description that names the identity, so that a guest whose making was
        /// cut off is recognised even when every local file is lost.
        note: String,
    },
    /// `PUT …/config`, or `POST` when it allocates volumes and so may take long.
    Configure {
        /// Keys to set.
        set: BTreeMap<String, String>,
        /// Keys to delete.
        delete: Vec<String>,
        /// Run as a task on the node.
        background: bool,
    },
    /// `PUT …/resize` to an absolute size.
    Resize {
        /// Disk slot.
        disk: String,
        /// Bytes.
        size: u64,
    },
    /// `POST …/migrate`.
    Migrate {
        /// Node to move to.
        target: String,
        /// The guest is running.
        online: bool,
        /// Disks on node-local storage are copied along.
        with_local_disks: bool,
    },
    /// `POST …/status/start`.
    Start,
    /// `POST …/status/shutdown`.
    Shutdown {
        /// Seconds the guest has.
        timeout: u32,
        /// Stop it when the time is over.
        force: bool,
    },
    /// `DELETE …`, with its disks, its backup jobs, HA and replication entries.
    Destroy,
}

impl ActionKind {
    /// One word for progress lines.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Clone { .. } => "clone",
            Self::Configure { .. } => "configure",
            Self::Resize { .. } => "resize",
            Self::Migrate { .. } => "migrate",
            Self::Start => "start",
            Self::Shutdown { .. } => "shutdown",
            Self::Destroy => "destroy",
        }
    }

    /// Can bytes be lost?
    pub fn is_destructive(&self) -> bool {
        matches!(self, Self::Destroy)
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its number.
    pub id: ActionId,
    /// The guest it belongs to.
    pub address: Address,
    /// The guest's VMID.
    pub vmid: u32,
    /// The node that is asked: where the guest (or the template that is cloned) is at that time.
    pub node: String,
    /// What is done.
    #[serde(flatten)]
    pub kind: ActionKind,
    /// Why.
    pub reason: Reason,
    /// What it costs.
    pub effect: Effect,
    /// What must hold.
    pub preconditions: Vec<Precondition>,
    /// Storages on which it allocates, clones or frees volumes: those are locked by Proxmox.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub storages: Vec<String>,
}
