//! Walks the graph: what is ready and within the bounds is begun, longest chain first; a failure
//! skips only what depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use futures::stream::{FuturesUnordered, StreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::attempt::{attempt, write};
use super::door::Doors;
use super::fresh::Fresh;
use super::schedule::{Ended, Schedule};
use super::{Context, Event, History, Report, retry};
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

/// How one try ended.
struct Tried<'a> {
    action: &'a Action,
    change: &'a Change,
    /// The journal has its begin record.
    recorded: bool,
    result: Result<TaskEnd, ProviderError>,
}

/// Runs a plan to its end, to a stop, or as far as failures and its time let it.
pub async fn run<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &mut H,
    mut stop: watch::Receiver<Stop>,
) -> Report {
    let history = Mutex::new(history);
    let deadline = context.patience.run.map(|time| Instant::now() + time);
    let (doors, fresh) = (Doors::new(context.plan), Fresh::default());
    let mut walk = Walk::new(context);
    let mut running = FuturesUnordered::new();
    loop {
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        walk.draining = late || *stop.borrow() != Stop::Go;
        if walk.draining {
            walk.give_up_pauses(&history);
        }
        while let Some((action, change)) = walk.next() {
            let mut recorded = walk.recorded.contains(&action.id);
            let (history, shared) = (&history, (&doors, &fresh));
            running.push(async move {
                let result =
                    attempt(context, history, shared, (action, change), &mut recorded).await;
                Tried { action, change, recorded, result }
            });
        }
        if *stop.borrow() == Stop::Leave || (running.is_empty() && walk.is_over()) {
            walk.report.out_of_time = late && !walk.waiting.is_empty();
            break;
        }
        let wakes = walk.wakes(deadline);
        tokio::select! {
            Some(tried) = running.next() => walk.end(&history, tried),
            Ok(()) = stop.changed() => {}
            () = sleep_until(wakes.unwrap_or_else(Instant::now)), if wakes.is_some() => {}
        }
    }
    walk.finish()
}

/// What is done, what runs, what may begin.
struct Walk<'a, W: Writer> {
    context: &'a Context<'a, W>,
    plan: &'a Plan,
    /// Nothing more is begun.
    draining: bool,
    /// Not done, and not in flight: what each action still waits for.
    waiting: BTreeMap<ActionId, usize>,
    schedule: Schedule<'a>,
    owner: BTreeMap<ActionId, usize>,
    /// How often each was tried.
    tries: BTreeMap<ActionId, u32>,
    /// Those with a begin record in the journal.
    recorded: BTreeSet<ActionId>,
    report: Report,
}

impl<'a, W: Writer> Walk<'a, W> {
    fn new(context: &'a Context<'a, W>) -> Self {
        let plan = context.plan;
        let ids = plan.changes.iter().enumerate();
        let needs = plan.actions.iter().map(|a| (a.id, plan.actions.needs(a.id).len()));
        let mut walk = Self {
            context,
            plan,
            draining: false,
            waiting: needs.collect(),
            schedule: Schedule::new(plan, context.limits, context.estimates),
            owner: ids.flat_map(|(i, c)| c.actions.iter().map(move |id| (*id, i))).collect(),
            tries: BTreeMap::new(),
            recorded: BTreeSet::new(),
            report: Report::default(),
        };
        for (id, _) in walk.waiting.iter().filter(|(_, needs)| **needs == 0) {
            walk.schedule.ready(*id);
        }
        walk
    }

    /// The next action to begin, with the change it belongs to. What is held back is told of when
    /// there is none.
    fn next(&mut self) -> Option<(&'a Action, &'a Change)> {
        if self.draining {
            return None;
        }
        let now = Instant::now();
        let sink = self.context.sink;
        while let Some(action) = self.schedule.next(now) {
            self.waiting.remove(&action.id);
            let owner = self.owner.get(&action.id).and_then(|index| self.plan.changes.get(*index));
            let Some(change) = owner else { continue };
            let tries = self.tries.entry(action.id).or_default();
            *tries += 1;
            if *tries == 1 {
                sink.event(&Event::Started { action: action.id });
            } else {
                sink.event(&Event::Again { action: action.id });
            }
            return Some((action, change));
        }
        self.schedule.held(now, &mut |event| sink.event(event));
        None
    }

    /// Is nothing left that may begin some time?
    fn is_over(&self) -> bool {
        self.draining || self.schedule.is_empty()
    }

    /// When to look again although nothing happens until then.
    fn wakes(&self, deadline: Option<Instant>) -> Option<Instant> {
        if self.draining {
            return None;
        }
        self.schedule.wakes(Instant::now()).into_iter().chain(deadline).min()
    }

    fn end<H: History>(&mut self, history: &Mutex<&mut H>, tried: Tried<'a>) {
        let Tried { action, change, recorded, result } = tried;
        let (id, sink) = (action.id, self.context.sink);
        if recorded {
            self.recorded.insert(id);
        }
        let ended = match &result {
            Ok(_) => Ended::Well,
            Err(error) if error.class == ErrorClass::Busy => Ended::Busy(&error.message),
            Err(_) => Ended::Otherwise,
        };
        let now = Instant::now();
        let took = self.schedule.end(action, ended, now, &mut |event| sink.event(event));
        if let Err(error) = &result {
            let tries = self.tries.get(&id).copied().unwrap_or(1);
            if let Some(pause) = retry::pause(self.context, action, error, tries) {
                sink.event(&Event::Waiting { action: id, why: error.message.clone() });
                self.waiting.insert(id, 0);
                self.schedule.again(id, now + pause);
                return;
            }
        }
        self.report.took.insert(id, took);
        self.settle(history, action, change, result);
    }

    /// What became of an action that is not tried again.
    fn settle<H: History>(
        &mut self,
        history: &Mutex<&mut H>,
        action: &Action,
        change: &Change,
        result: Result<TaskEnd, ProviderError>,
    ) {
        let (id, sink) = (action.id, self.context.sink);
        // An unknown outcome stays open in the journal: the next run looks before it acts.
        let known = !matches!(&result, Err(e) if e.class == ErrorClass::OutcomeUnknown);
        if known {
            self.record_end(history, change, id, result.is_ok());
        }
        match result {
            Ok(end) => {
                sink.event(&Event::Finished { action: id, warnings: end.warnings });
                self.report.done.insert(id);
                self.unlock(id);
                self.settle_guest(history, change);
            }
            Err(error) => {
                sink.event(&Event::Failed { action: id, error: error.clone() });
                self.report.failed.insert(id, error);
                self.skip_after(id);
            }
        }
    }

    fn record_end<H: History>(
        &mut self,
        history: &Mutex<&mut H>,
        change: &Change,
        id: ActionId,
        ok: bool,
    ) {
        let record = Record::End { action: id.0, ok };
        if let Err(error) = write(history, change, &record) {
            self.report.state_errors.push(error.message);
        }
    }

    /// An action succeeded: what waited for it alone is ready.
    fn unlock(&mut self, done: ActionId) {
        for id in self.plan.actions.unlocks(done) {
            if let Some(needs) = self.waiting.get_mut(&id) {
                *needs = needs.saturating_sub(1);
                if *needs == 0 {
                    self.schedule.ready(id);
                }
            }
        }
    }

    /// When all of a guest's actions are done, state may say so.
    fn settle_guest<H: History>(&mut self, history: &Mutex<&mut H>, change: &Change) {
        if !change.actions.iter().all(|id| self.report.done.contains(id)) {
            return;
        }
        let mut history = history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Err(error) = history.settled(self.plan, change) {
            self.report.state_errors.push(error.to_string());
        }
    }

    fn skip_after(&mut self, failed: ActionId) {
        let mut reach = self.plan.actions.unlocks(failed);
        while let Some(id) = reach.pop() {
            if self.waiting.remove(&id).is_some() {
                self.report.skipped.insert(id, failed);
                self.context.sink.event(&Event::Skipped { action: id, because: failed });
                reach.extend(self.plan.actions.unlocks(id));
            }
        }
    }

    /// What was refused and waits for its next try is not tried again. That it did nothing is
    /// known, so the journal says that it ended.
    fn give_up_pauses<H: History>(&mut self, history: &Mutex<&mut H>) {
        self.schedule.give_up_pauses();
        let mut begun = std::mem::take(&mut self.recorded);
        begun.retain(|id| self.waiting.contains_key(id));
        for id in begun {
            let owner = self.owner.get(&id).and_then(|index| self.plan.changes.get(*index));
            if let Some(change) = owner {
                self.record_end(history, change, id, false);
            }
        }
    }

    fn finish(mut self) -> Report {
        self.report.abandoned = self.schedule.in_flight();
        self.report.unstarted = self.waiting.into_keys().collect();
        self.report.learned = self.schedule.learned();
        self.report
    }
}
