//! One step that changes the cluster, complete as data: nothing is looked up when it is run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::change::Effect;
use crate::address::Address;

/// Number of an action inside its plan.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ActionId(pub u32);

impl std::fmt::Display for ActionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Why an action is there: a stable code for machines that file it, a sentence for people. No
/// code branches on either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "check", rename_all = "snake_case")]
pub enum Precondition {
    /// No guest has the action's VMID. Proxmox itself refuses to make a second one.
    VmidFree,
    /// The guest carries this mark and this smbios uuid: read again right before the write.
    Owned {
        /// The ownership tag.
        mark: String,
        /// The smbios uuid.
        #[schemars(with = "String")]
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
    /// The guest does not refuse removal, and nobody made a template of it.
    Unprotected,
    /// This slot holds exactly this volume.
    Holds {
        /// `unused0`
        disk: String,
        /// `vmdata:vm-1001-disk-1`
        volume: String,
    },
}

/// What is done. Values are Proxmox's own spelling, encoded by the provider when it planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum ActionKind {
    /// `POST /nodes/N/qemu`: a guest from nothing.
    Create {
        /// The whole configuration.
        config: BTreeMap<String, String>,
        /// The pool it is made in: the right to make it may come from there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pool: Option<String>,
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
        /// The pool it is made in: the right to make it may come from there.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pool: Option<String>,
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
    /// `qm set` on the node over SSH: keys that only root@pam may change, which no API token is.
    ConfigureAsRoot {
        /// Keys to set.
        set: BTreeMap<String, String>,
        /// Keys to delete.
        delete: Vec<String>,
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
    /// `POST …/status/reboot`: what waits for a cold boot takes effect.
    Reboot {
        /// Seconds the guest has to shut down.
        timeout: u32,
    },
    /// `POST …/move_disk` with `delete`: the copy takes the original's place.
    MoveDisk {
        /// Disk slot.
        disk: String,
        /// Storage to move to; the same one for another format.
        storage: String,
        /// Format there, where the storage knows several.
        format: Option<String>,
    },
    /// `POST …/move_disk` with `target-vmid`: the disk becomes another guest's, on the same node.
    Reassign {
        /// Disk slot.
        disk: String,
        /// The guest that gets it.
        target: u32,
        /// The slot it gets there.
        target_disk: String,
    },
    /// `PUT …/config` with `delete`: the disk becomes `unusedN`, its bytes stay.
    Detach {
        /// Disk slot.
        disk: String,
    },
    /// `PUT …/config` with `delete` of an `unusedN`: its bytes are lost.
    Erase {
        /// `unusedN`.
        disk: String,
    },
    /// `PUT /pools`: the guest becomes a member of a pool, or of none.
    Pool {
        /// The pool it comes to.
        join: Option<String>,
        /// The pool it leaves.
        leave: Option<String>,
    },
    /// `POST`, `PUT` or `DELETE` of `/cluster/ha/…`: how the HA manager treats the guest.
    Ha {
        /// What is written.
        change: HaChange,
    },
    /// A file on a storage that takes snippets, written over SSH: the API has no way to.
    Snippet {
        /// Storage.
        storage: String,
        /// File name on it.
        name: String,
        /// SHA-256 of its content in lower-case hex. The content itself stays out of plans.
        sha256: String,
    },
    /// `DELETE …`, with its disks, its backup jobs, HA and replication entries.
    Destroy,
}

/// One write to the HA manager's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "ha", rename_all = "snake_case")]
pub enum HaChange {
    /// `POST /cluster/ha/resources`
    Add {
        /// Its properties (`state`, `max_restart`, …).
        set: BTreeMap<String, String>,
    },
    /// `PUT /cluster/ha/resources/vm:N`
    Update {
        /// Properties to set.
        set: BTreeMap<String, String>,
        /// Properties to delete.
        delete: Vec<String>,
    },
    /// `DELETE /cluster/ha/resources/vm:N`
    Remove,
    /// `POST /cluster/ha/rules`
    AddRule {
        /// The rule's name.
        rule: String,
        /// Its properties (`type`, `resources`, `nodes`, `affinity`, …).
        set: BTreeMap<String, String>,
    },
    /// `PUT /cluster/ha/rules/NAME`
    UpdateRule {
        /// The rule's name.
        rule: String,
        /// Properties to set.
        set: BTreeMap<String, String>,
        /// Properties to delete.
        delete: Vec<String>,
    },
    /// `DELETE /cluster/ha/rules/NAME`
    RemoveRule {
        /// The rule's name.
        rule: String,
    },
}

impl ActionKind {
    /// One word for progress lines.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Clone { .. } => "clone",
            Self::Configure { .. } => "configure",
            Self::ConfigureAsRoot { .. } => "configure as root",
            Self::Resize { .. } => "resize",
            Self::Migrate { .. } => "migrate",
            Self::Start => "start",
            Self::Shutdown { .. } => "shutdown",
            Self::Reboot { .. } => "reboot",
            Self::MoveDisk { .. } => "move",
            Self::Reassign { .. } => "reassign",
            Self::Detach { .. } => "detach",
            Self::Erase { .. } => "erase",
            Self::Pool { .. } => "pool",
            Self::Ha { .. } => "ha",
            Self::Snippet { .. } => "snippet",
            Self::Destroy => "destroy",
        }
    }
}

impl Action {
    /// What is done, in a few words: `clone 9000 → 1001`.
    pub fn in_words(&self) -> String {
        let vmid = self.vmid;
        match &self.kind {
            ActionKind::Clone { source, .. } => format!("clone {source} → {vmid}"),
            ActionKind::Migrate { target, .. } => format!("migrate {vmid} → {target}"),
            ActionKind::Resize { disk, size } => {
                format!("resize {vmid} {disk} to {}", crate::document::size::rounded(*size))
            }
            ActionKind::MoveDisk { disk, storage, .. } => {
                format!("move {vmid} {disk} to {storage}")
            }
            other => format!("{} {vmid}", other.verb()),
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Storages on which it allocates, clones or frees volumes, once for each volume: those are
    /// locked by Proxmox.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub storages: Vec<String>,
}
