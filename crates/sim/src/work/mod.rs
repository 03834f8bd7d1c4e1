//! What tasks do: [`Work`] is data, so that a saved world goes on where it was.
//!
//! A work advances in stages. Each stage changes the world and says what comes [`Next`]: wait for
//! a time, wait for a lock, or the end. The scheduler calls [`run_due`].

pub(crate) mod backup;
mod backup_guest;
pub(crate) mod bulk;
pub(crate) mod clone;
pub(crate) mod config;
pub(crate) mod console;
pub(crate) mod copy_volume;
mod copying;
pub(crate) mod create;
pub(crate) mod destroy;
pub(crate) mod disk;
pub(crate) mod download;
mod freeing;
pub(crate) mod ha;
mod jobs;
pub(crate) mod migrate;
pub(crate) mod node_bulk;
pub(crate) mod power;
pub(crate) mod prune;
pub(crate) mod restore;
pub(crate) mod rollback;
mod run;
pub(crate) mod snapshot;
pub(crate) mod snapshot_delete;
#[cfg(test)]
mod snapshot_tests;
pub(crate) mod suspend;
pub(crate) mod template;
#[cfg(test)]
mod tests;
pub(crate) mod upload;

pub(crate) use run::{carry, fork, next_due, run_due, stop};

use serde::{Deserialize, Serialize};

use crate::api::refusal::Refusal;
use crate::clock::Moment;
use crate::world::World;
use crate::world::lock::LockName;
use crate::world::task::Task;

/// The work of a task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    Create(create::Create),
    Clone(Box<clone::CloneGuest>),
    Config(config::Update),
    Console(console::Console),
    Destroy(destroy::Destroy),
    Template(template::Template),
    Resize(disk::Resize),
    Move(disk::Move),
    Reassign(disk::Reassign),
    FreeVolume(disk::Free),
    CopyVolume(copy_volume::CopyVolume),
    Prune(prune::Prune),
    Backup(Box<backup::Backup>),
    Restore(Box<restore::Restore>),
    Upload(Box<upload::Upload>),
    Download(Box<download::Download>),
    Migrate(migrate::Migrate),
    Incoming(migrate::Incoming),
    Power(power::Power),
    Snapshot(snapshot::Snapshot),
    DeleteSnapshot(snapshot_delete::DeleteSnapshot),
    Rollback(rollback::Rollback),
    Suspend(suspend::Suspend),
    Ha(ha::Request),
    Bulk(bulk::Bulk),
    NodeBulk(node_bulk::NodeBulk),
}

/// What comes after a stage.
#[derive(Debug)]
pub(crate) enum Next {
    /// The next stage, so many milliseconds of sim time later.
    After(i64),
    /// The next stage, once the lock is there; the task fails after `wait_ms`.
    Lock { lock: LockName, exclusive: bool, wait_ms: i64 },
    /// The next stage, once a loopback URL answered.
    Fetch { url: String, verify: bool, algorithm: Option<String> },
    /// The next stage, once one of these tasks ended, or after so many milliseconds.
    Tasks { upids: Vec<String>, poll_ms: i64 },
    /// The task ends well.
    Done,
}

/// What a stage works with.
pub(crate) struct Stage<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) moment: Moment,
    /// 0 for the first stage.
    pub(crate) number: u32,
    /// The node of the worker.
    pub(crate) node: String,
    /// Who started it.
    pub(crate) user: String,
    pub(crate) log: Vec<String>,
    /// The task's number: the holder of its locks.
    pub(crate) holder: u64,
}

impl Stage<'_> {
    pub(crate) fn say(&mut self, line: impl Into<String>) {
        self.log.push(line.into());
    }

    /// The exit status of a refusal. A request that does the work itself gives it whole.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> String {
        let exit = refusal.exit();
        if !self.world.tasks.get(self.holder).is_some_and(Task::listed) {
            self.world.refused.insert(self.holder, refusal);
        }
        exit
    }

    /// The task's UPID.
    pub(crate) fn upid(&self) -> String {
        self.world.tasks.get(self.holder).map(|task| task.upid.clone()).unwrap_or_default()
    }

    /// The lock that allocation on a storage takes, with its wait of 10 s.
    pub(crate) fn storage_lock(&self, storage: &str) -> Next {
        let shared = self.world.storages.get(storage).is_some_and(|storage| storage.shared);
        let lock = if shared {
            LockName::SharedStorage(storage.to_owned())
        } else {
            LockName::Storage(storage.to_owned(), self.node.clone())
        };
        Next::Lock { lock, exclusive: true, wait_ms: 10_000 }
    }

    /// Gives back the lock of [`Stage::storage_lock`].
    pub(crate) fn unlock_storage(&mut self, storage: &str) {
        let (node, holder) = (self.node.clone(), self.holder);
        self.world.locks.give(&LockName::SharedStorage(storage.to_owned()), holder);
        self.world.locks.give(&LockName::Storage(storage.to_owned(), node), holder);
    }
}

/// What a worker says that is interrupted.
pub(crate) const INTERRUPTED: &str = "received interrupt";

/// What writing a configuration says without quorum.
pub(crate) fn not_writable(node: &str, vmid: u32) -> String {
    format!(
        "unable to open file '/etc/pve/nodes/{node}/qemu-server/{vmid}.conf.tmp.1' - Permission denied"
    )
}

/// An exclusive configuration lock.
pub(crate) fn config_lock(vmid: u32, wait_ms: i64) -> Next {
    Next::Lock { lock: LockName::Config(vmid), exclusive: true, wait_ms }
}
