//! Walks the graph: what is ready and within the bounds is begun, longest chain first; a failure
//! skips only what depends on it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::stream::{FuturesUnordered, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use super::attempt::write;
use super::budget::Budget;
use super::perform::perform;
use super::{Context, Event, History};
use crate::plan::{Action, ActionId, Change, Plan};
use crate::provider::{ErrorClass, ProviderError, TaskEnd, Writer};
use crate::state::Record;

/// How far a run may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// To the end.
    Go,
    /// Begin nothing new, wait for what runs.
    Drain,
    /// Leave now; what runs goes on without us.
    Leave,
}

/// What became of every action.
#[derive(Debug, Default)]
pub struct Report {
    /// Succeeded.
    pub done: BTreeSet<ActionId>,
    /// Failed, and why.
    pub failed: BTreeMap<ActionId, ProviderError>,
    /// Not run, because this one failed.
    pub skipped: BTreeMap<ActionId, ActionId>,
    /// Begun and left running.
    pub abandoned: BTreeSet<ActionId>,
    /// Never begun, because the run was stopped.
    pub unstarted: BTreeSet<ActionId>,
    /// State that could not be written although the actions succeeded.
    pub state_errors: Vec<String>,
}

/// A report in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything succeeded.
    Complete,
    /// Something failed.
    Failed,
    /// The user stopped it.
    Cancelled,
}

impl Report {
    /// The report in one word; a failure outweighs a stop.
    pub fn outcome(&self) -> Outcome {
        if !self.failed.is_empty() || !self.state_errors.is_empty() {
            Outcome::Failed
        } else if !self.abandoned.is_empty() || !self.unstarted.is_empty() {
            Outcome::Cancelled
        } else {
            Outcome::Complete
        }
    }
}

/// Runs a plan to its end, to a stop, or as far as failures let it.
pub async fn run<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &mut H,
    mut stop: watch::Receiver<Stop>,
) -> Report {
    let history = Mutex::new(history);
    let mut walk = Walk::new(context.plan);
    let mut running = FuturesUnordered::new();
    loop {
        if *stop.borrow() == Stop::Go {
            while let Some(action) = walk.next(context) {
                let (change, history) = (walk.change(action.id), &history);
                let Some(change) = change else { continue };
                running.push(async move {
                    (action, change, perform(context, history, change, action).await)
                });
            }
        }
        if running.is_empty() || *stop.borrow() == Stop::Leave {
            break;
        }
        tokio::select! {
            Some((action, change, result)) = running.next() => {
                walk.end(context, &history, action, change, result);
            }
            Ok(()) = stop.changed() => {}
        }
    }
    walk.finish()
}

/// What is done, what runs, what may begin.
struct Walk<'a> {
    plan: &'a Plan,
    /// Not begun: what each action still waits for.
    waiting: BTreeMap<ActionId, usize>,
    /// Those that wait for nothing, the longest chain behind them first.
    ready: BTreeSet<(Reverse<usize>, ActionId)>,
    running: BTreeSet<ActionId>,
    weight: BTreeMap<ActionId, usize>,
    owner: BTreeMap<ActionId, usize>,
    budget: Budget,
    report: Report,
}

impl<'a> Walk<'a> {
    fn new(plan: &'a Plan) -> Self {
        let ids = plan.changes.iter().enumerate();
        let needs = plan.actions.iter().map(|a| (a.id, plan.actions.needs(a.id).len()));
        let mut walk = Self {
            plan,
            waiting: needs.collect(),
            ready: BTreeSet::new(),
            running: BTreeSet::new(),
            weight: weights(plan),
            owner: ids.flat_map(|(i, c)| c.actions.iter().map(move |id| (*id, i))).collect(),
            budget: Budget::default(),
            report: Report::default(),
        };
        let free = walk.waiting.iter().filter(|(_, needs)| **needs == 0);
        walk.ready = free.map(|(id, _)| walk.rank(*id)).collect();
        walk
    }

    fn rank(&self, id: ActionId) -> (Reverse<usize>, ActionId) {
        (Reverse(self.weight.get(&id).copied().unwrap_or(0)), id)
    }

    /// An action succeeded: what waited for it alone is ready.
    fn unlock(&mut self, done: ActionId) {
        for id in self.plan.actions.unlocks(done) {
            if let Some(needs) = self.waiting.get_mut(&id) {
                *needs = needs.saturating_sub(1);
                if *needs == 0 {
                    self.ready.insert(self.rank(id));
                }
            }
        }
    }

    fn change(&self, id: ActionId) -> Option<&'a Change> {
        self.owner.get(&id).and_then(|index| self.plan.changes.get(*index))
    }

    /// The ready action with the longest chain behind it that fits the bounds.
    fn next<W: Writer>(&mut self, context: &Context<'_, W>) -> Option<&'a Action> {
        for rank in self.ready.iter().copied() {
            let Some(action) = self.plan.actions.get(rank.1) else { continue };
            if self.budget.take(action, context.limits) {
                self.ready.remove(&rank);
                self.waiting.remove(&rank.1);
                self.running.insert(rank.1);
                return Some(action);
            }
        }
        None
    }

    fn end<W: Writer, H: History>(
        &mut self,
        context: &Context<'_, W>,
        history: &Mutex<&mut H>,
        action: &Action,
        change: &Change,
        result: Result<TaskEnd, ProviderError>,
    ) {
        let id = action.id;
        self.running.remove(&id);
        self.budget.release(action);
        // An unknown outcome stays open in the journal: the next run looks before it acts.
        let known = !matches!(&result, Err(e) if e.class == ErrorClass::OutcomeUnknown);
        if known {
            let record = Record::End { action: id.0, ok: result.is_ok() };
            if let Err(error) = write(history, change, &record) {
                self.report.state_errors.push(error.message);
            }
        }
        match result {
            Ok(end) => {
                context.sink.event(&Event::Finished { action: id, warnings: end.warnings });
                self.report.done.insert(id);
                self.unlock(id);
                self.settle(history, change);
            }
            Err(error) => {
                context.sink.event(&Event::Failed { action: id, error: error.clone() });
                self.report.failed.insert(id, error);
                self.skip_after(context, id);
            }
        }
    }

    /// When all of a guest's actions are done, state may say so.
    fn settle<H: History>(&mut self, history: &Mutex<&mut H>, change: &Change) {
        if !change.actions.iter().all(|id| self.report.done.contains(id)) {
            return;
        }
        let mut history = history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = history.settled(self.plan, change) {
            self.report.state_errors.push(error.to_string());
        }
    }

    fn skip_after<W: Writer>(&mut self, context: &Context<'_, W>, failed: ActionId) {
        let mut reach = self.plan.actions.unlocks(failed);
        while let Some(id) = reach.pop() {
            if self.waiting.remove(&id).is_some() {
                self.report.skipped.insert(id, failed);
                context.sink.event(&Event::Skipped { action: id, because: failed });
                reach.extend(self.plan.actions.unlocks(id));
            }
        }
    }

    fn finish(mut self) -> Report {
        self.report.abandoned = self.running;
        self.report.unstarted = self.waiting.into_keys().collect();
        self.report
    }
}

/// Number of actions in the longest chain that begins here.
fn weights(plan: &Plan) -> BTreeMap<ActionId, usize> {
    let mut weights = BTreeMap::new();
    for id in plan.actions.sequence().unwrap_or_default().into_iter().rev() {
        let after = plan.actions.unlocks(id);
        let longest = after.iter().filter_map(|n| weights.get(n)).max().copied().unwrap_or(0);
        weights.insert(id, longest + 1);
    }
    weights
}
