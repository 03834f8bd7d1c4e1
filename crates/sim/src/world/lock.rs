//! Locks: one per guest configuration, one per storage (node-local or cluster-wide).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::World;
use super::lock_use::LockUse;

/// What is locked, as the error names it: `/var/lock/qemu-server/lock-100.conf`,
/// `/var/lock/pve-manager/pve-storage-local` (with ` on NODE` for node-local ones), or
/// `storage-shared` for a cluster-wide lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum LockName {
    /// The flock of a guest's configuration.
    Config(u32),
    /// The flock of a storage on one node.
    Storage(String, String),
    /// The cluster-wide lock of a shared storage.
    SharedStorage(String),
    /// A lock of the cluster while there is no quorum, by its name and what wants it: not to be
    /// had.
    NoQuorum { file: String, what: String },
    /// No lock: the answer of a URL.
    Url(String),
    /// The flock that migration, replication, rollback and removal of snapshots share
    /// (`PVE::GuestHelpers::guest_migration_lock`).
    Migration(u32),
    /// The lock of a node's backup job: one at a time.
    Vzdump(String),
}

impl fmt::Display for LockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(vmid) => write!(f, "config {vmid}"),
            Self::Storage(storage, node) => write!(f, "storage {storage} on {node}"),
            Self::SharedStorage(storage) => write!(f, "storage {storage}"),
            Self::NoQuorum { file, .. } => write!(f, "{file} without quorum"),
            Self::Url(url) => write!(f, "url {url}"),
            Self::Migration(vmid) => write!(f, "migration {vmid}"),
            Self::Vzdump(node) => write!(f, "vzdump on {node}"),
        }
    }
}

impl LockName {
    /// What a worker says that is interrupted while it waits: `lock_file` adds its file,
    /// `cfs_lock` its name. A clone that has begun has a word of its own.
    pub(crate) fn interrupted(&self, clone: bool) -> String {
        let (clone, why) = match clone {
            true => ("clone failed: ", "interrupted by signal"),
            false => ("", "received interrupt"),
        };
        let timeout = self.timeout();
        let before = timeout.strip_suffix("got timeout");
        let before = before.or_else(|| timeout.strip_suffix("got lock request timeout"));
        format!("{clone}{}{why}", before.unwrap_or_default())
    }

    /// The same lock while there is no quorum.
    pub(crate) fn without_quorum(&self) -> Self {
        match self {
            Self::SharedStorage(storage) => {
                Self::NoQuorum { file: format!("storage-{storage}"), what: String::new() }
            }
            other => other.clone(),
        }
    }

    /// What a worker says that did not get it in time.
    pub(crate) fn timeout(&self) -> String {
        match self {
            Self::Config(vmid) => {
                format!("can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
            }
            Self::Storage(storage, _) => {
                format!(
                    "can't lock file '/var/lock/pve-manager/pve-storage-{storage}' - got timeout"
                )
            }
            Self::Url(_) => "invalid server response: '500 read timeout'".to_owned(),
            Self::Migration(vmid) => {
                format!("can't lock file '/var/lock/pve-manager/pve-migrate-{vmid}' - got timeout")
            }
            Self::Vzdump(_) => "can't acquire lock '/var/run/vzdump.lock' - got timeout".to_owned(),
            Self::SharedStorage(storage) => {
                format!("cfs-lock 'storage-{storage}' error: got lock request timeout")
            }
            Self::NoQuorum { file, what } => {
                let what = if what.is_empty() { String::new() } else { format!("{what}: ") };
                format!("{what}cfs-lock '{file}' error: no quorum!")
            }
        }
    }
}

impl World {
    /// Whether a lock is to be had at all: one of the cluster is not without quorum.
    pub(crate) fn has_lock(&self, lock: &LockName) -> bool {
        !matches!(lock, LockName::SharedStorage(_)) || self.quorate()
    }
}

/// Who holds what. A holder is a task's number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Locks {
    exclusive: BTreeMap<LockName, u64>,
    shared: BTreeMap<LockName, BTreeSet<u64>>,
    /// Something was given back since a waiting task last tried.
    pub(crate) freed: bool,
    /// The sim ms at which what happens now happens.
    pub(crate) now: i64,
    /// What they were used for.
    pub(crate) used: LockUse,
}

impl Locks {
    /// Takes the lock when it is free for `holder`; taking it twice is fine.
    pub(crate) fn take(&mut self, name: &LockName, exclusive: bool, holder: u64) -> bool {
        if !self.free(name, exclusive, Some(holder)) {
            return false;
        }
        if exclusive {
            self.exclusive.insert(name.clone(), holder);
        } else {
            self.shared.entry(name.clone()).or_default().insert(holder);
        }
        self.used.taken(name, exclusive, holder, self.now);
        true
    }

    /// Whether `holder` could take it now.
    pub(crate) fn free(&self, name: &LockName, exclusive: bool, holder: Option<u64>) -> bool {
        let other = |found: &u64| Some(*found) != holder;
        if self.exclusive.get(name).is_some_and(other) {
            return false;
        }
        !(exclusive && self.shared.get(name).is_some_and(|found| found.iter().any(other)))
    }

    /// Everybody who holds something.
    pub(crate) fn holders(&self) -> BTreeSet<u64> {
        self.exclusive.values().chain(self.shared.values().flatten()).copied().collect()
    }

    /// Gives back one lock.
    pub(crate) fn give(&mut self, name: &LockName, holder: u64) {
        self.freed = true;
        self.used.given(name, holder, self.now);
        if self.exclusive.get(name) == Some(&holder) {
            self.exclusive.remove(name);
        }
        if let Some(found) = self.shared.get_mut(name) {
            found.remove(&holder);
        }
        self.shared.retain(|_, found| !found.is_empty());
    }

    /// Gives back all locks of a holder.
    pub(crate) fn give_all(&mut self, holder: u64) {
        self.freed = true;
        self.used.given_all(holder, self.now);
        self.exclusive.retain(|_, found| *found != holder);
        for found in self.shared.values_mut() {
            found.remove(&holder);
        }
        self.shared.retain(|_, found| !found.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_locks_exclude_an_exclusive_one() {
        let (mut locks, name) = (Locks::default(), LockName::Config(100));
        assert!(locks.take(&name, false, 1));
        assert!(locks.take(&name, false, 2));
        assert!(!locks.take(&name, true, 3));
        locks.give_all(1);
        locks.give(&name, 2);
        assert!(locks.take(&name, true, 3));
        assert!(!locks.take(&name, false, 1));
    }
}
