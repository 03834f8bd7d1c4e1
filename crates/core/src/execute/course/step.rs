//! One action on its way.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::address::Address;
use crate::execute::{Estimates, Event, Resource};
use crate::plan::{Action, ActionId, Plan};

/// Where an action stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    Waiting,
    /// Its request was sent, or its task runs.
    Running,
    /// It was refused, and is tried again after a pause.
    Pausing {
        /// What was said.
        why: String,
    },
    /// Its answer was lost, and the cluster is looked at.
    Looking {
        /// How it was lost.
        why: String,
    },
    /// It succeeded.
    Done,
    /// It failed.
    Failed {
        /// Why.
        why: String,
    },
    /// Not run, because another one failed.
    Skipped {
        /// Which.
        because: ActionId,
    },
}

/// One action on its way. Times are since the run began.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its number in its plan.
    pub id: ActionId,
    /// Its guest.
    pub address: Address,
    /// The guest's VMID.
    pub vmid: u32,
    /// The node that is asked.
    pub node: String,
    /// One word for what is done.
    pub verb: &'static str,
    /// What is done, in a few words: `clone 9000 → 1001`.
    pub what: String,
    /// What must be done before.
    pub needs: Vec<ActionId>,
    /// How long it is thought to take.
    pub estimate: Duration,
    /// Where it stands.
    pub stage: Stage,
    /// When it came to that.
    pub since: Duration,
    /// When it began.
    pub began: Option<Duration>,
    /// When it ended.
    pub ended: Option<Duration>,
    /// What held it back while it was ready, and since when.
    pub held: BTreeMap<Resource, Duration>,
    /// How often it was tried again.
    pub retries: u32,
    /// Time between those tries.
    pub paused: Duration,
    /// How often its answer was lost.
    pub lost: u32,
    /// How often a look said what became of a lost answer.
    pub settled: u32,
    /// Its task.
    pub upid: Option<String>,
}

impl Step {
    pub(super) fn new(plan: &Plan, action: &Action, estimates: &Estimates) -> Self {
        Self {
            id: action.id,
            address: action.address.clone(),
            vmid: action.vmid,
            node: action.node.clone(),
            verb: action.kind.verb(),
            what: action.in_words(),
            needs: plan.actions.needs(action.id),
            estimate: estimates.of(action),
            stage: Stage::Waiting,
            since: Duration::ZERO,
            began: None,
            ended: None,
            held: BTreeMap::new(),
            retries: 0,
            paused: Duration::ZERO,
            lost: 0,
            settled: 0,
            upid: None,
        }
    }

    /// Is it on its way?
    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running | Stage::Pausing { .. } | Stage::Looking { .. })
    }

    /// How long it ran, or has been running until `now`.
    pub fn took(&self, now: Duration) -> Duration {
        let began = self.began.unwrap_or(now);
        self.ended.unwrap_or(now).saturating_sub(began)
    }

    pub(super) fn event(&mut self, at: Duration, event: &Event) {
        if matches!(self.stage, Stage::Pausing { .. }) {
            self.paused += at.saturating_sub(self.since);
        }
        let stage = match event {
            Event::Held { by, .. } => {
                self.held.entry(by.clone()).or_insert(at);
                return;
            }
            Event::Bound { .. } => return,
            Event::Started { .. } => {
                self.began = Some(at);
                Stage::Running
            }
            Event::Task { upid, .. } => {
                self.upid = Some(upid.clone());
                Stage::Running
            }
            Event::Again { .. } => Stage::Running,
            Event::Looking { why, .. } => {
                self.lost += 1;
                Stage::Looking { why: why.clone() }
            }
            Event::Found { .. } => {
                self.settled += 1;
                Stage::Running
            }
            Event::Waiting { why, .. } => {
                self.retries += 1;
                Stage::Pausing { why: why.clone() }
            }
            Event::Finished { .. } => Stage::Done,
            Event::Failed { error, .. } => Stage::Failed { why: error.message.clone() },
            Event::Skipped { because, .. } => Stage::Skipped { because: *because },
        };
        if matches!(stage, Stage::Done | Stage::Failed { .. } | Stage::Skipped { .. }) {
            self.ended = Some(at);
        }
        (self.stage, self.since) = (stage, at);
    }
}
