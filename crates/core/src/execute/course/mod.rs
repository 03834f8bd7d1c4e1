//! The course of a run, from its events: where each action stands, how long it took, what it waited
//! for. Views and summaries are made from it; it decides nothing, and knows no clock: who hands it an
//! event says how long the run has lasted.

mod left;
mod step;
mod summary;
#[cfg(test)]
mod tests;

pub use step::{Stage, Step};
pub(in crate::execute) use summary::seconds;
pub use summary::{Busy, Counted, GuestTally, Slow, Summary, WaitedFor};

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Estimates, Event, Limits, Resource, Stop};
use crate::address::Address;
use crate::plan::{ActionId, Plan, Verb};

/// A guest of a plan.
#[derive(Debug, Clone)]
pub struct GuestCourse {
    /// Which.
    pub address: Address,
    /// Its VMID.
    pub vmid: u32,
    /// The node it is on or comes to.
    pub node: String,
    /// What happens to it.
    pub verb: Verb,
    /// Its actions.
    pub actions: Vec<ActionId>,
}

/// One plan that is carried out: the first, or a later one for what the world moved under.
#[derive(Debug, Clone)]
pub struct Round {
    /// From 1.
    pub number: u32,
    /// Its actions, each at the place of its number.
    pub steps: Vec<Step>,
    /// Its guests, in the order of the documents.
    pub guests: Vec<GuestCourse>,
    /// When it began.
    pub began: Duration,
}

/// Where a run stands.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Its plans, the one that is carried out last.
    pub rounds: Vec<Round>,
    /// Bounds that were changed, as they are now.
    pub bounds: BTreeMap<Resource, usize>,
    /// How far the user lets it go on; absent: to the end.
    pub stop: Option<Stop>,
    /// Actions in flight at most: what is left is guessed with it.
    width: usize,
    /// What the first plan was thought to take.
    estimate: Duration,
}

impl Course {
    /// A plan is about to be carried out, within these bounds.
    pub fn round(&mut self, at: Duration, plan: &Plan, limits: &Limits, estimates: &Estimates) {
        self.width = limits.total.max(1);
        let steps = plan.actions.iter().map(|action| Step::new(plan, action, estimates)).collect();
        let guest = |change: &crate::plan::Change| GuestCourse {
            address: change.address.clone(),
            vmid: change.vmid,
            node: change.node.clone(),
            verb: change.verb,
            actions: change.actions.clone(),
        };
        let guests = plan.changes.iter().map(guest).collect();
        let number = u32::try_from(self.rounds.len()).unwrap_or(u32::MAX).saturating_add(1);
        self.rounds.push(Round { number, steps, guests, began: at });
        if number == 1 {
            self.estimate = self.left(at).unwrap_or_default();
        }
    }

    /// The plan that is carried out now.
    pub fn current(&self) -> Option<&Round> {
        self.rounds.last()
    }

    /// What the first plan was thought to take.
    pub fn estimate(&self) -> Duration {
        self.estimate
    }

    /// Something happened, so long after the run began.
    pub fn event(&mut self, at: Duration, event: &Event) {
        if let Event::Bound { resource, limit, .. } = event {
            self.bounds.insert(resource.clone(), *limit);
        }
        let Some(id) = event.action() else { return };
        let steps = self.rounds.last_mut().map(|round| round.steps.as_mut_slice());
        let index = usize::try_from(id.0).unwrap_or(usize::MAX);
        if let Some(step) = steps.and_then(|steps| steps.get_mut(index)) {
            step.event(at, event);
        }
    }

    /// The user stops it.
    pub fn stopping(&mut self, stop: Stop) {
        self.stop = Some(stop);
    }
}

impl Round {
    /// An action.
    pub fn step(&self, id: ActionId) -> Option<&Step> {
        self.steps.get(usize::try_from(id.0).ok()?)
    }

    /// The guest that an action belongs to.
    pub fn guest_of(&self, id: ActionId) -> Option<&GuestCourse> {
        self.guests.iter().find(|guest| guest.actions.contains(&id))
    }

    /// Are all actions of a guest done?
    pub fn is_done(&self, guest: &GuestCourse) -> bool {
        let done = |id: &ActionId| self.step(*id).is_some_and(|step| step.stage == Stage::Done);
        guest.actions.iter().all(done)
    }

    /// Has it nothing left to wait for but a place?
    pub fn is_ready(&self, step: &Step) -> bool {
        let done = |id: &ActionId| self.step(*id).is_some_and(|step| step.stage == Stage::Done);
        step.stage == Stage::Waiting && step.needs.iter().all(done)
    }
}
