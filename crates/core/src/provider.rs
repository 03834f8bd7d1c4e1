//! What the core asks of a provider: reading the cluster, carrying out actions, and the pure
//! knowledge of how Proxmox spells a guest's configuration.

mod hardware;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::address::Address;
use crate::desired::{Affinity, GuestSpec, Ha};
use crate::live::{self, Guest, GuestRef, Inventory, Properties, Snapshot};
use crate::plan::{Action, AttributeChange, Finding, HaChange, Plan, Privilege};
use crate::preflight::{Access, Answers, Questions};

pub use hardware::{Card, Drive, Hardware, Medium};

/// What kind of failure it was, as far as the executor may act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Refused without any effect.
    Refused,
    /// Refused without any effect because a lock was held: may be tried again.
    Busy,
    /// A privilege is missing.
    Denied,
    /// Nothing could be reached; no effect.
    Unreachable,
    /// The answer to a write was lost: look before anything else.
    OutcomeUnknown,
    /// The object changed since it was planned on.
    Changed,
    /// What was to be made is there already.
    Exists,
    /// What was to be changed is not there.
    Missing,
    /// A task began and failed.
    Failed,
    /// An answer that could not be understood.
    Protocol,
}

/// What went wrong at the provider, ready for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What kind of failure.
    pub class: ErrorClass,
    /// What happened, with method, path and node.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// The task that failed, when one began.
    pub upid: Option<String>,
    /// Last lines of its log.
    pub log: Vec<String>,
}

impl ProviderError {
    /// A failure without a task.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), help: None, upid: None, log: Vec::new() }
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Reads the cluster. Requests are bounded: [`Reader::inventory`] costs two, and
/// [`Reader::guests`] one a guest and one a node that holds any of them.
pub trait Reader: Send + Sync {
    /// Cluster, nodes, storages and the list of guests.
    fn inventory(&self) -> impl Future<Output = Result<Inventory, ProviderError>> + Send;

    /// Reads guests in full. A guest that is gone, or that may not be read, is left out.
    /// With `power` each node is asked which of them run; without it none is said to, which is
    /// enough for templates and for checks before a write.
    fn guests(
        &self,
        wanted: &[GuestRef],
        power: bool,
    ) -> impl Future<Output = Result<Vec<Guest>, ProviderError>> + Send;

    /// What the HA manager is told: two requests.
    fn ha(&self) -> impl Future<Output = Result<live::Ha, ProviderError>> + Send;
    /// Names of the snippets by node and storage, one request each. What may not be read is left
    /// out. A reader that cannot look knows of none.
    fn snippets(
        &self,
        wanted: &[(String, String)],
    ) -> impl Future<Output = Result<Snippets, ProviderError>> + Send {
        let _ = wanted;
        async { Ok(Snippets::new()) }
    }

    /// The facts that decide whether a plan works. What may not be read stays unknown. A reader
    /// that cannot look knows of none.
    fn preflight(
        &self,
        questions: &Questions,
    ) -> impl Future<Output = Result<Answers, ProviderError>> + Send {
        let _ = questions;
        async { Ok(Answers::default()) }
    }
}

/// Names of snippets by node and storage.
pub type Snippets = BTreeMap<(String, String), BTreeSet<String>>;

/// An action that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Done already.
    Done,
    /// Goes on as a task.
    Task(String),
}

/// What a look at the cluster shows of an action whose answer was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// What it was to do is done.
    Done,
    /// Its task, which runs or has ended: waiting for it tells.
    Running(String),
    /// It is under way, by a task that nobody can name. In a few words.
    Coming(String),
    /// Nothing was done, and nothing runs that could still do it.
    Nothing,
    /// Something else is in its place: a guest of somebody else's at its VMID, or none where it was.
    /// In a few words.
    Other(String),
    /// It cannot be told, and why: in a few words.
    Unclear(String),
}

/// How a task ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// Number of warnings in its log.
    pub warnings: u32,
}

/// Carries out actions. It decides nothing: what is sent is in the action.
pub trait Writer: Reader {
    /// Sends the action's request.
    fn begin(
        &self,
        action: &Action,
        digest: Option<&str>,
    ) -> impl Future<Output = Result<Begun, ProviderError>> + Send;

    /// Looks what became of an action that was begun and whose answer was lost: at tasks of its kind
    /// begun since, and at what the action was to change. `since` is when it was begun, in seconds
    /// since the Unix epoch. The digest among the action's preconditions is the one that was sent.
    /// Asks a few requests at most. A writer that cannot look knows nothing.
    fn look(
        &self,
        action: &Action,
        since: i64,
    ) -> impl Future<Output = Result<Seen, ProviderError>> + Send {
        let _ = (action, since);
        async { Ok(Seen::Unclear("the cluster cannot be looked at".to_owned())) }
    }

    /// Waits for a task. A failed one is an error with the last lines of its log.
    fn wait(
        &self,
        upid: &str,
        deadline: Duration,
    ) -> impl Future<Output = Result<TaskEnd, ProviderError>> + Send;
}

/// One volume of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Slot (`scsi0`, `efidisk0`).
    pub slot: String,
    /// Storage it is on.
    pub storage: String,
    /// Its name on the storage: `base-100-disk-0`, or with the base of a linked clone
    /// `100/base-100-disk-0.raw/1001/vm-1001-disk-0.qcow2`.
    pub name: String,
    /// Size in bytes, when the configuration tells.
    pub size: Option<u64>,
    /// A cloud-init drive: made anew for every guest.
    pub cloudinit: bool,
    /// An ISO image in a CD-ROM drive: belongs to nobody, and goes nowhere by itself.
    pub iso: bool,
}

impl Volume {
    /// Does the guest own it? An ISO it only borrows.
    pub fn is_own(&self) -> bool {
        !self.iso
    }

    /// A disk that a clone copies or shares: no cloud-init drive, no ISO, not detached.
    pub fn is_disk(&self) -> bool {
        !self.cloudinit && !self.iso && !self.slot.starts_with("unused")
    }

    /// Can it be the base of linked clones? Templates have such disks where the storage knows
    /// them (pve-storage: names that begin with `base-`).
    pub fn is_base(&self) -> bool {
        self.name.rsplit('/').next().is_some_and(|last| last.starts_with("base-"))
    }

    /// Does it share another volume's base, and so cannot leave that one's storage?
    pub fn is_linked(&self) -> bool {
        let parts: Vec<&str> = self.name.split('/').collect();
        parts.iter().rev().skip(1).any(|part| part.starts_with("base-"))
    }
}

/// What a guest's configuration should be, beside its [`GuestSpec`].
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Proxmox name.
    pub name: &'a str,
    /// Identity, kept in smbios1.
    pub identity: Uuid,
    /// The documents' configuration.
    pub spec: &'a GuestSpec,
    /// Paths that documents managed when the guest was last applied (law 5).
    pub managed_before: &'a BTreeSet<String>,
}

/// The difference between a live guest and what is wanted, in both languages: attributes for
/// people, keys and values for Proxmox.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    /// What differs, for people.
    pub attributes: Vec<AttributeChange>,
    /// Keys to set.
    pub set: BTreeMap<String, String>,
    /// Keys to delete.
    pub delete: BTreeSet<String>,
    /// Keys that only root@pam may set: written over SSH.
    pub set_as_root: BTreeMap<String, String>,
    /// Keys that only root@pam may delete.
    pub delete_as_root: BTreeSet<String>,
    /// Disks to grow: slot and absolute size in bytes.
    pub resize: Vec<(String, u64)>,
    /// Disks that move to another storage or into another format.
    pub moves: Vec<DiskMove>,
    /// Drives that go: their volumes stay with the guest as `unusedN`; a CD-ROM just goes.
    pub detach: Vec<Detach>,
    /// Detached volumes whose bytes go: `unusedN` and the volume it holds.
    pub erase: Vec<(String, String)>,
    /// What cannot be changed on the guest as it is: only a new one would have it.
    pub replace: Vec<AttributeChange>,
    /// Slots of `set` that have no disk yet: they grow after it is written, others before.
    pub made: BTreeSet<String>,
    /// Storages on which `set` allocates volumes, once for each.
    pub allocates: Vec<String>,
    /// Paths that the documents manage now.
    pub managed: BTreeSet<String>,
    /// What cannot be done, or is left alone.
    pub findings: Vec<Finding>,
    /// Proxmox's key of every attribute, by its path.
    pub keys: BTreeMap<String, String>,
    /// Keys of `set` that allocate volumes.
    pub allocating: BTreeSet<String>,
    /// Keys of `set` and `delete` that a running guest cannot notice.
    pub unnoticed: BTreeSet<String>,
    /// Proxmox's keys that the documents manage, or managed and reset: values of them that wait are
    /// theirs.
    pub managed_keys: BTreeSet<String>,
    /// Values that Proxmox changes on its own when certain others are written.
    pub rewrites: Vec<Rewrite>,
}

/// A value that is written when all else is, because Proxmox changes it along with other keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrite {
    /// The key; it can stand in `set`, too.
    pub key: String,
    /// What it is to hold in the end.
    pub value: String,
    /// Keys whose write, or whose drive's removal, changes it.
    pub after: BTreeSet<String>,
}

impl Rewrite {
    /// Is any of the keys written that change it?
    pub fn is_due(&self, comparison: &Comparison) -> bool {
        let written = |key: &String| comparison.set.contains_key(key);
        let goes = |key: &String| comparison.detach.iter().any(|drive| drive.slot == *key);
        self.after.iter().any(|key| written(key) || goes(key))
    }
}

impl Comparison {
    /// Nothing to do?
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.delete.is_empty()
            && self.set_as_root.is_empty()
            && self.delete_as_root.is_empty()
            && self.resize.is_empty()
            && self.moves.is_empty()
            && self.detach.is_empty()
            && self.erase.is_empty()
    }
}

/// A disk on its way to another storage, or into another format on the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskMove {
    /// Slot.
    pub slot: String,
    /// Storage it is on.
    pub from: String,
    /// Storage it comes to.
    pub storage: String,
    /// Format it gets, when documents say one.
    pub format: Option<String>,
}

/// A drive that is taken from a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// Slot.
    pub slot: String,
    /// When its bytes go too: the `unusedN` that it becomes, and its volume.
    pub erase: Option<(String, String)>,
}

/// A rule of the HA manager that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaRule<'a> {
    /// Its name.
    pub name: String,
    /// The guests it is about.
    pub vmids: BTreeSet<u32>,
    /// What it says of them.
    pub kind: HaRuleKind<'a>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HaRuleKind<'a> {
    /// They run on these nodes.
    Nodes {
        /// Nodes and priorities.
        nodes: &'a BTreeMap<String, u32>,
        /// Nowhere else; absent: not managed.
        strict: Option<bool>,
        /// `strict` was managed before, and is not now.
        strict_dropped: bool,
    },
    /// They run on one node, or each on another.
    Affinity(Affinity),
}

/// What differs between the HA manager's configuration and what is wanted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HaComparison {
    /// Writes, in order.
    pub changes: Vec<HaChange>,
    /// What differs, for people.
    pub attributes: Vec<AttributeChange>,
}

/// What privileges are needed for: a plan, and what was looked at to make it.
pub struct Reach<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it was made from.
    pub snapshot: &'a Snapshot,
    /// Guests of the documents that are there, by VMID.
    pub guests: BTreeMap<u32, Address>,
    /// What else was looked at.
    pub reads: Reads,
    /// Rules that privileges depend on.
    pub access: &'a Access,
}

/// What documents name, and a plan looks at before it makes anything, each with the guest that
/// it is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reads {
    /// Storages that guests to be made get disks on.
    pub storages: BTreeSet<(String, Address)>,
    /// Pools that guests are to be in.
    pub pools: BTreeSet<(String, Address)>,
    /// Templates that are named by their VMID.
    pub templates: BTreeSet<(u32, Address)>,
}

/// How Proxmox spells a guest: pure, no I/O.
pub trait GuestKind: Send + Sync {
    /// The smbios uuid of a guest.
    fn identity_of(&self, guest: &Guest) -> Option<Uuid>;

    /// Volumes that the guest's configuration refers to.
    fn volumes(&self, guest: &Guest) -> Vec<Volume>;

    /// What a clone of `template` looks like before it is configured: without identity, MACs and
    /// template flag, with `note` as its description, and its disks on `storage` when one is asked
    /// for.
    fn clone_of(&self, template: &Guest, name: &str, note: &str, storage: Option<&str>) -> Guest;

    /// The whole configuration of a guest that is made from nothing; `base` has nothing, or kept
    /// disks that come back to it.
    fn create(&self, wanted: &Wanted<'_>, base: &Guest) -> Comparison;

    /// `guest` as it is when it has got this disk, whose volume gets a name of the guest's own.
    fn with_disk(&self, guest: &Guest, slot: &str, value: &str) -> Guest;

    /// The configuration of a stopped guest without disks that only holds kept ones.
    fn keeper(
        &self,
        name: &str,
        identity: Uuid,
        mark: &str,
        note: &str,
    ) -> BTreeMap<String, String>;

    /// The virtual hardware of a configuration. A kind that does not know tells of none.
    fn hardware(&self, config: &BTreeMap<String, String>) -> Hardware {
        let _ = config;
        Hardware::default()
    }

    /// Can a disk be handed from guest to guest on a storage of this kind (`lvmthin`)?
    fn can_reassign(&self, plugin: &str) -> bool;

    /// What must change on `live`.
    fn compare(&self, wanted: &Wanted<'_>, live: &Guest) -> Comparison;

    /// What must change in how the HA manager treats a guest that `runs` or not by then.
    /// `managed_before`: paths that documents managed, such as `ha.max_restart`.
    fn compare_ha(
        &self,
        wanted: &Ha,
        managed_before: &BTreeSet<String>,
        live: Option<&Properties>,
        runs: bool,
    ) -> HaComparison;

    /// What must change in a rule.
    fn compare_rule(&self, wanted: &HaRule<'_>, live: Option<&Properties>) -> HaComparison;

    /// The checks that Proxmox makes of the requests of a plan, and of those that it was made
    /// from, in no order and each as often as it is made.
    fn privileges(&self, reach: &Reach<'_>) -> Vec<Privilege> {
        let _ = reach;
        Vec::new()
    }
}
