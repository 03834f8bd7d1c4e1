//! Events as programs read them: lines of JSON. The first says what the run is, with the plan in
//! short, so that a reader needs nothing else; the last what it came to. No line holds a secret:
//! nothing that they are made from does (law 8).

mod schema;

pub use schema::json_schema;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::course::{Summary, seconds};
use super::{Estimates, Event, Outcome, Stop};
use crate::address::Address;
use crate::plan::{Action, ActionId, Change, Counts, Effect, Intent, Plan, Reason, Verb};

/// The version of the lines. A key that comes does not change it; one that goes, or that means
/// something else, does.
pub const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Line {
    /// Its number in the file, from 0, without gaps.
    pub seq: u64,
    /// When: RFC 3339 in UTC, with milliseconds.
    pub time: String,
    /// The plan that it is of, from 1: a run plans again when the world moved under it. 0 before the
    /// first.
    pub round: u32,
    /// What happened.
    #[serde(flatten)]
    pub body: Body,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Body {
    /// Something about the run as a whole.
    Run(Frame),
    /// Something about an action, or a bound.
    Action(Event),
}

/// Something about the run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Frame {
    /// The first line.
    Run(Box<Header>),
    /// What is left was planned again, and is carried out now.
    Round {
        /// That plan. Numbers of actions are its own from here on.
        plan: InShort,
    },
    /// The user stops the run.
    Stopping {
        /// How.
        how: Stop,
    },
    /// The last line.
    Ended(Box<Ended>),
}

/// What a run is.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Header {
    /// [`VERSION`].
    pub schema: u32,
    /// Version of pvx.
    pub pvx: String,
    /// Name of this run: no other has it.
    pub run: String,
    /// Name of the cluster.
    pub cluster: String,
    /// Apply or destroy.
    pub intent: Intent,
    /// Keys of the profiles: `k3s`, or `vm.gitea` for a standalone VM.
    pub profiles: Vec<String>,
    /// The plan.
    pub plan: InShort,
}

/// A plan in short.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct InShort {
    /// Guests by what happens to them.
    pub counts: Counts,
    /// Guests that something happens to, in the order of the documents.
    pub guests: Vec<GuestLine>,
    /// What is run, by number.
    pub actions: Vec<ActionLine>,
}

/// A guest of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct GuestLine {
    /// The guest.
    pub address: Address,
    /// Its VMID.
    pub vmid: u32,
    /// The node it is on, or comes to.
    pub node: String,
    /// What happens to it.
    pub verb: Verb,
    /// What that costs.
    pub effect: Effect,
    /// Why.
    pub reason: String,
    /// Its actions.
    pub actions: Vec<ActionId>,
}

/// An action of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ActionLine {
    /// Its number: events name it.
    pub action: ActionId,
    /// The guest.
    pub address: Address,
    /// The guest's VMID.
    pub vmid: u32,
    /// The node that is asked.
    pub node: String,
    /// One word for what is done: `clone`, `configure`, `start`, …
    pub verb: String,
    /// The same in a few words: `clone 9000 → 1001`.
    pub what: String,
    /// What it costs.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
    /// Actions that must be done before.
    pub needs: Vec<ActionId>,
    /// How long it is thought to take.
    pub estimated_seconds: f64,
}

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Ended {
    /// In one word.
    pub result: Ending,
    /// The exit code of pvx.
    pub exit_code: u8,
    /// Was everything as the documents say when it was read again? Absent when that was not looked
    /// at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub converged: Option<bool>,
    /// Why it ended before anything began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Trouble>,
    /// Tasks that still run on the cluster: the next run waits for them.
    pub still_running: Vec<String>,
    /// With its times; absent when nothing was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
}

/// Why a run ended before anything began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Trouble {
    /// In one sentence.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

/// How a run ended, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything succeeded.
    Complete,
    /// Something failed.
    Failed,
    /// The user stopped it.
    Cancelled,
    /// There was nothing to do.
    Unchanged,
    /// The plan has errors; nothing was changed.
    Blocked,
    /// It was not confirmed, or a saved plan does not hold any more; nothing was changed.
    Refused,
    /// It could not begin; nothing was changed.
    Error,
}

impl From<Outcome> for Ending {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => Self::Complete,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

impl InShort {
    /// A plan in short.
    pub fn new(plan: &Plan, estimates: &Estimates) -> Self {
        Self {
            counts: plan.counts(),
            guests: plan.changes.iter().map(guest).collect(),
            actions: plan.actions.iter().map(|a| action(plan, a, estimates.of(a))).collect(),
        }
    }
}

fn guest(change: &Change) -> GuestLine {
    GuestLine {
        address: change.address.clone(),
        vmid: change.vmid,
        node: change.node.clone(),
        verb: change.verb,
        effect: change.effect,
        reason: change.reason.clone(),
        actions: change.actions.clone(),
    }
}

fn action(plan: &Plan, action: &Action, estimate: Duration) -> ActionLine {
    ActionLine {
        action: action.id,
        address: action.address.clone(),
        vmid: action.vmid,
        node: action.node.clone(),
        verb: action.kind.verb().to_owned(),
        what: action.in_words(),
        effect: action.effect,
        reason: action.reason.clone(),
        needs: plan.actions.needs(action.id),
        estimated_seconds: seconds(estimate),
    }
}
