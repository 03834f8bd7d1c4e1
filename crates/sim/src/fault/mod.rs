//! Faults on demand: rules that say when something goes wrong, and what.
//!
//! A [`Fault`] is made by its trigger ([`Fault::on`] requests, [`Fault::in_task`], [`Fault::now`])
//! and given effects. Rules are part of the world: a world file holds them, the admin endpoint and
//! [`crate::Sim::add_fault`] add them. Nothing here is random: a probability is drawn from the
//! rule's seed and the number of the match, so that the same requests in the same order meet the
//! same faults.

mod armed;
mod effects;
mod glob;
mod hold;

pub use armed::FaultState;
pub(crate) use armed::{Facts, Faults, RequestEffects, TaskEffect, TaskFacts};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Before or after a request has taken effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// Nothing is done.
    #[default]
    Before,
    /// It is done; only the answer is lost or replaced.
    After,
}

/// Requests that a fault is for. What is not said matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path below `/api2/json`, or its template: `/nodes/{node}/qemu/{vmid}/clone`. `*` stands for
    /// anything within one part of the path, `**` for any rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The node that the path names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The guest that the path names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// `user@realm` or `user@realm!token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
}

/// A point of a task. What is not said matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskPoint {
    /// Type of the task: `qmclone`, `qmcreate`, `qmstart`, `imgcopy`, …
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The node of its worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Its guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// Who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The stage before which it happens; 0, the default, is before anything was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
    /// Instead: so far (0 to 100) into the first stage that takes time, as a copy does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// An answer instead of the true one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// 400 to 599. From 595 on, what pveproxy says when it cannot reach another node.
    #[schemars(range(min = 400, max = 599))]
    pub status: u16,
    /// Reason phrase (and message); without it the usual one of the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the request takes effect all the same.
    #[serde(default)]
    pub when: When,
}

/// A request waits on the server's side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestHold {
    /// Before its effect, or after it and before its answer.
    #[serde(default)]
    pub when: When,
    /// Milliseconds of sim time; without it until the rule is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// A node goes off or comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeChange {
    /// Its name.
    pub name: String,
    /// The state that it gets.
    #[serde(default)]
    pub online: bool,
    /// Milliseconds of sim time after which it is the other way round again; without it, it stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// The cluster loses its quorum although its nodes run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuorumLoss {
    /// Milliseconds of sim time; without it until the fault is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// Somebody else holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LockHold {
    /// The configuration lock of this guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// The allocation lock of this storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// The node whose lock it is, for storages that are not shared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Milliseconds of sim time from when it was to be had.
    pub for_ms: u64,
}

/// A storage is filled up by somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageFull {
    /// Its id.
    pub storage: String,
    /// The node, for storages that are not shared; without it, all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Bytes that stay free.
    #[serde(default)]
    pub free: u64,
    /// Milliseconds of sim time; without it until the fault is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
}

/// A rule: when, how often, and what happens.
///
/// With `on` it is for requests, with `task` for tasks; with neither it happens by itself, once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A name of its own; without it one is given (`f1`, `f2`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Fires at requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<Requests>,
    /// Fires at a point of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskPoint>,
    /// Fires by itself, so many milliseconds of sim time after it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,

    /// Lets so many matches pass first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skip: u64,
    /// Fires so many times at most; without it always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Fires at this share (0 to 1) of the matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: Option<f64>,
    /// What the draws depend on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub seed: u64,

    /// The request is held back for so many milliseconds of real time (it is the client's patience
    /// that is tried), or the task's stage for so many of sim time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// The request waits until the rule is removed; what else the rule does to it comes after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<RequestHold>,
    /// The connection is closed without an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop: Option<When>,
    /// Another answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// `got no worker upid - start worker failed`: 500 instead of a UPID. Only requests that start
    /// a task can meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_upid: Option<When>,
    /// The task ends with this text; what it had begun is undone as after a real failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<String>,
    /// The task does not go on before the rule is removed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hang: bool,
    /// A node goes off or comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeChange>,
    /// The cluster loses its quorum.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_loss: Option<QuorumLoss>,
    /// Somebody else holds a lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<LockHold>,
    /// A storage is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<StorageFull>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Fault {
    /// Fires at requests of a method to a path (see [`Requests::path`]).
    #[must_use]
    pub fn on(method: &str, path: &str) -> Self {
        let (method, path) = (Some(method.to_owned()), Some(path.to_owned()));
        Self { on: Some(Requests { method, path, ..Requests::default() }), ..Self::default() }
    }

    /// Fires in tasks of a type, before anything is done unless [`Fault::at_percent`] says so.
    #[must_use]
    pub fn in_task(kind: &str) -> Self {
        let point = TaskPoint { kind: Some(kind.to_owned()), ..TaskPoint::default() };
        Self { task: Some(point), ..Self::default() }
    }

    /// Fires by itself, once, at once.
    #[must_use]
    pub fn now() -> Self {
        Self::default()
    }

    /// In a task: so far into its first stage that takes time.
    #[must_use]
    pub fn at_percent(mut self, percent: u8) -> Self {
        self.task.get_or_insert_default().percent = Some(percent);
        self
    }

    /// Only for one guest.
    #[must_use]
    pub fn of_guest(mut self, vmid: u32) -> Self {
        match &mut self.task {
            Some(point) => point.vmid = Some(vmid),
            None => self.on.get_or_insert_default().vmid = Some(vmid),
        }
        self
    }

    /// Lets so many matches pass first.
    #[must_use]
    pub fn skip(mut self, matches: u64) -> Self {
        self.skip = matches;
        self
    }

    /// Fires so many times at most.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// Fires at a share of the matches.
    #[must_use]
    pub fn sometimes(mut self, probability: f64, seed: u64) -> Self {
        (self.probability, self.seed) = (Some(probability), seed);
        self
    }

    /// Holds back for milliseconds.
    #[must_use]
    pub fn latency(mut self, ms: u64) -> Self {
        self.latency_ms = Some(ms);
        self
    }

    /// Holds a request back until the rule is removed.
    #[must_use]
    pub fn holds(mut self, when: When) -> Self {
        self.hold = Some(RequestHold { when, for_ms: None });
        self
    }

    /// Lets the task stand still until the rule is removed.
    #[must_use]
    pub fn hangs(mut self) -> Self {
        self.hang = true;
        self
    }

    /// Closes the connection without an answer.
    #[must_use]
    pub fn drops(mut self, when: When) -> Self {
        self.drop = Some(when);
        self
    }

    /// Answers with a status and its usual reason.
    #[must_use]
    pub fn answers(mut self, status: u16, when: When) -> Self {
        self.answer = Some(Answer { status, reason: None, when });
        self
    }

    /// Answers that no worker could be started.
    #[must_use]
    pub fn no_upid(mut self, when: When) -> Self {
        self.no_upid = Some(when);
        self
    }

    /// Lets the task fail with a text.
    #[must_use]
    pub fn fails(mut self, exit: &str) -> Self {
        self.fail = Some(exit.to_owned());
        self
    }

    /// Switches a node off, for milliseconds of sim time or for good.
    #[must_use]
    pub fn node_off(mut self, name: &str, for_ms: Option<u64>) -> Self {
        self.node = Some(NodeChange { name: name.to_owned(), online: false, for_ms });
        self
    }

    /// Takes the quorum away, for milliseconds of sim time or until the fault is removed.
    #[must_use]
    pub fn loses_quorum(mut self, for_ms: Option<u64>) -> Self {
        self.quorum_loss = Some(QuorumLoss { for_ms });
        self
    }

    /// Holds the configuration lock of a guest.
    #[must_use]
    pub fn holds_guest(mut self, vmid: u32, for_ms: u64) -> Self {
        self.lock = Some(LockHold { vmid: Some(vmid), storage: None, node: None, for_ms });
        self
    }

    /// Holds the allocation lock of a storage (of all nodes when it is not shared).
    #[must_use]
    pub fn holds_storage(mut self, storage: &str, for_ms: u64) -> Self {
        let storage = Some(storage.to_owned());
        self.lock = Some(LockHold { vmid: None, storage, node: None, for_ms });
        self
    }

    /// Fills a storage up.
    #[must_use]
    pub fn fills(mut self, storage: &str) -> Self {
        let storage = storage.to_owned();
        self.full = Some(StorageFull { storage, node: None, free: 0, for_ms: None });
        self
    }

    /// Refuses a rule that cannot mean anything.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check(&self) -> Result<(), String> {
        let triggers = [self.on.is_some(), self.task.is_some(), self.after_ms.is_some()];
        if triggers.iter().filter(|given| **given).count() > 1 {
            return Err("give only one of `on`, `task` and `after_ms`".to_owned());
        }
        let only_requests = self.hold.is_some()
            || self.drop.is_some()
            || self.answer.is_some()
            || self.no_upid.is_some();
        if only_requests && self.on.is_none() {
            let text = "`hold`, `drop`, `answer` and `no_upid` are for requests: give `on`";
            return Err(text.to_owned());
        }
        let only_tasks = self.fail.is_some() || self.hang;
        if only_tasks && self.task.is_none() {
            return Err("`fail` and `hang` are for tasks: give `task`".to_owned());
        }
        if self.latency_ms.is_some() && self.on.is_none() && self.task.is_none() {
            return Err("`latency_ms` needs `on` or `task`".to_owned());
        }
        let in_world = self.node.is_some()
            || self.quorum_loss.is_some()
            || self.lock.is_some()
            || self.full.is_some();
        if !only_requests && !in_world && !only_tasks && self.latency_ms.is_none() {
            return Err("it has no effect: give one of `latency_ms`, `hold`, `drop`, `answer`, `no_upid`, `fail`, `hang`, `node`, `quorum_loss`, `lock`, `full`".to_owned());
        }
        self.check_values()
    }

    fn check_values(&self) -> Result<(), String> {
        if self.answer.as_ref().is_some_and(|answer| !(400..600).contains(&answer.status)) {
            return Err("`answer.status` is 400 to 599".to_owned());
        }
        if self.probability.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
            return Err("`probability` is 0 to 1".to_owned());
        }
        if let Some(point) = &self.task {
            if point.percent.is_some_and(|percent| percent > 100) {
                return Err("`task.percent` is 0 to 100".to_owned());
            }
            if point.percent.is_some() && point.stage.is_some() {
                return Err("give only one of `task.stage` and `task.percent`".to_owned());
            }
            if point.percent.is_some() && self.fail.is_none() {
                return Err("`task.percent` is for `fail`".to_owned());
            }
        }
        if let Some(hold) = &self.lock
            && hold.vmid.is_some() == hold.storage.is_some()
        {
            return Err("`lock` names a `vmid` or a `storage`".to_owned());
        }
        let method = self.on.as_ref().and_then(|on| on.method.as_deref());
        match method {
            Some(name) if !["GET", "POST", "PUT", "DELETE"].contains(&name) => {
                Err(format!("`on.method` is GET, POST, PUT or DELETE, not '{name}'"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        let clone = || Fault::on("POST", "/nodes/{node}/qemu/{vmid}/clone");
        assert_eq!(clone().drops(When::After).check(), Ok(()));
        assert_eq!(clone().holds(When::Before).drops(When::Before).check(), Ok(()));
        assert_eq!(Fault::in_task("qmclone").hangs().check(), Ok(()));
        assert_eq!(Fault::now().fills("local").check(), Ok(()));
        assert_eq!(Fault::in_task("qmclone").at_percent(50).fails("x").check(), Ok(()));
        for (fault, part) in [
            (clone(), "no effect"),
            (Fault::now().drops(When::Before), "for requests"),
            (Fault::in_task("x").holds(When::After), "for requests"),
            (clone().fails("x"), "for tasks"),
            (clone().hangs(), "for tasks"),
            (Fault::now().latency(5), "needs `on`"),
            (clone().answers(200, When::Before), "400 to 599"),
            (clone().latency(1).sometimes(1.5, 0), "0 to 1"),
            (Fault::on("PATCH", "/").latency(1), "not 'PATCH'"),
            (Fault::in_task("x").at_percent(101).fails("x"), "0 to 100"),
            (Fault::in_task("x").at_percent(1).latency(1), "is for `fail`"),
        ] {
            let error = fault.check().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
