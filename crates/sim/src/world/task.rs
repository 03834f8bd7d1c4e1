//! Tasks and their UPIDs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::lock::LockName;
use crate::work::Work;

/// How far a task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Its worker runs.
    Running,
    /// It ended.
    Stopped {
        /// Sim ms.
        end_ms: i64,
        /// `OK`, `WARNINGS: n`, or the error.
        exit: String,
    },
}

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// `UPID:node:pid:pstart:start:type:id:user:`. Empty for what a request does itself, without a
    /// worker: nobody sees it in a list.
    pub upid: String,
    /// The node whose worker it is.
    pub node: String,
    /// `qmcreate`, `qmclone`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Usually the VMID.
    pub id: String,
    /// Who, with token.
    pub user: String,
    /// Process id.
    pub pid: u32,
    /// Process start, 1/100 s.
    pub pstart: i64,
    /// Sim ms.
    pub start_ms: i64,
    /// Running, or how it ended.
    pub state: TaskState,
    /// Lines so far.
    pub log: Vec<String>,
    /// What remains to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) work: Option<Work>,
    /// How many steps of the work are done.
    #[serde(default)]
    pub(crate) stage: u32,
    /// Sim ms of the next step.
    #[serde(default)]
    pub(crate) due_ms: i64,
    /// Sim ms for which it waited for locks.
    #[serde(default)]
    pub(crate) waited_ms: i64,
    /// The tasks it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) awaits: Vec<String>,
    /// The lock it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waits: Option<Wait>,
}

/// A task waits for a lock until a point in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Wait {
    pub(crate) lock: LockName,
    pub(crate) exclusive: bool,
    pub(crate) deadline_ms: i64,
    /// How long it was to be waited for.
    #[serde(default)]
    pub(crate) wait_ms: i64,
    /// The log tells of it.
    #[serde(default)]
    pub(crate) said: bool,
}

impl Task {
    /// Whether it is a task that anybody sees, and no request's own work.
    pub(crate) fn listed(&self) -> bool {
        !self.upid.is_empty()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn running(&self) -> bool {
        self.state == TaskState::Running
    }

    /// Sim ms for which it waited for locks.
    #[must_use]
    pub fn waited_ms(&self) -> i64 {
        self.waited_ms
    }

    /// Sim ms that its work took, without the waits for locks: as long as it takes where nobody is
    /// in its way. None while it runs.
    #[must_use]
    pub fn worked_ms(&self) -> Option<i64> {
        match self.state {
            TaskState::Running => None,
            TaskState::Stopped { end_ms, .. } => Some(end_ms - self.start_ms - self.waited_ms),
        }
    }

    /// The exit status, when it ended.
    #[must_use]
    pub fn exit(&self) -> Option<&str> {
        match &self.state {
            TaskState::Running => None,
            TaskState::Stopped { exit, .. } => Some(exit),
        }
    }
}

/// How many ended tasks are remembered.
const KEPT: usize = 4000;

/// All tasks of the cluster, oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tasks {
    next: u64,
    all: BTreeMap<u64, Task>,
    active: BTreeSet<u64>,
    /// Number by UPID; made again after loading.
    #[serde(skip)]
    index: BTreeMap<String, u64>,
    /// Nothing is due before this sim ms; none when that is to be found out.
    #[serde(skip)]
    pub(crate) quiet_until: Option<i64>,
}

impl Tasks {
    pub(crate) fn reindex(&mut self) {
        // Whoever asked has gone.
        self.all.retain(|_, task| task.listed());
        self.active.retain(|key| self.all.contains_key(key));
        self.index = self.all.iter().map(|(key, task)| (task.upid.clone(), *key)).collect();
        // What waited for a URL asks again.
        for task in self.all.values_mut().filter(|task| task.due_ms == i64::MAX) {
            task.due_ms = 0;
        }
    }

    pub(crate) fn push(&mut self, task: Task) -> u64 {
        let key = self.next;
        self.next += 1;
        self.quiet_until = None;
        if task.listed() {
            self.index.insert(task.upid.clone(), key);
        }
        if task.running() {
            self.active.insert(key);
        }
        self.all.insert(key, task);
        self.prune();
        key
    }

    fn prune(&mut self) {
        while self.all.len() > KEPT {
            let Some(oldest) = self.all.keys().find(|key| !self.active.contains(key)).copied()
            else {
                return;
            };
            if let Some(task) = self.all.remove(&oldest) {
                self.index.remove(&task.upid);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.all.values().filter(|task| task.listed())
    }

    /// Forgets what a request did itself.
    pub(crate) fn forget(&mut self, key: u64) {
        self.active.remove(&key);
        self.all.remove(&key);
    }

    /// Whether no task can have anything to do.
    pub(crate) fn quiet(&self, now: i64) -> bool {
        self.active.is_empty() || self.quiet_until.is_some_and(|until| now < until)
    }

    pub(crate) fn active(&self) -> Vec<u64> {
        self.active.iter().copied().collect()
    }

    pub(crate) fn get(&self, key: u64) -> Option<&Task> {
        self.all.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut Task> {
        self.quiet_until = None;
        self.all.get_mut(&key)
    }

    pub(crate) fn find(&self, upid: &str) -> Option<(u64, &Task)> {
        let key = *self.index.get(upid)?;
        self.all.get(&key).map(|task| (key, task))
    }

    pub(crate) fn end(&mut self, key: u64, end_ms: i64, exit: String) {
        self.active.remove(&key);
        self.quiet_until = None;
        if let Some(task) = self.all.get_mut(&key) {
            task.work = None;
            task.waits = None;
            task.state = TaskState::Stopped { end_ms, exit };
        }
    }
}
