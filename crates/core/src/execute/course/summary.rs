//! What a run came to, with its times.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::{Course, Round, Stage, Step};
use crate::address::Address;
use crate::execute::Resource;
use crate::plan::{ActionId, Verb};

/// As many of the slowest actions are named.
const SLOWEST: usize = 5;

/// What a run came to. Seconds have milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// How long it took, from the first plan's begin.
    pub seconds: f64,
    /// How long the first plan was thought to take.
    pub estimated_seconds: f64,
    /// Plans that were carried out.
    pub rounds: u32,
    /// Guests by what happened to them.
    pub guests: Vec<GuestTally>,
    /// Actions by what became of them.
    pub actions: Counted,
    /// What ready actions were held back by, the longest first: the sum of the time that each waited.
    pub held: Vec<WaitedFor>,
    /// Repetitions because of a lock or of something that passes by itself.
    pub retries: u32,
    /// Time between those, over all actions.
    pub retry_seconds: f64,
    /// Writes whose answer was lost.
    pub lost: u32,
    /// Those of which a look at the cluster said what became of them.
    pub settled: u32,
    /// The slowest actions, the slowest first.
    pub slowest: Vec<Slow>,
    /// What each node was asked.
    pub nodes: Vec<Busy>,
}

/// Guests that one thing happened to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GuestTally {
    /// What.
    pub verb: Verb,
    /// Guests with all of it done.
    pub done: usize,
    /// All of them.
    pub of: usize,
}

/// Actions by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counted {
    /// Succeeded.
    pub done: usize,
    /// Failed.
    pub failed: usize,
    /// Not run, because another one failed.
    pub skipped: usize,
    /// Begun, and not seen to their end.
    pub running: usize,
    /// Not begun.
    pub waiting: usize,
}

/// Time spent ready and not begun.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct WaitedFor {
    /// What was full.
    pub by: Resource,
    /// Actions that it held back.
    pub actions: usize,
    /// Seconds, over all of them.
    pub seconds: f64,
}

/// An action that took long.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Slow {
    /// The plan it is of, from 1.
    pub round: u32,
    /// Its number in that plan.
    pub action: ActionId,
    /// Its guest.
    pub address: Address,
    /// The node that was asked.
    pub node: String,
    /// What was done, in a few words.
    pub what: String,
    /// How long it took.
    pub seconds: f64,
}

/// What a node was asked.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Busy {
    /// Which.
    pub node: String,
    /// Actions that were begun on it.
    pub actions: usize,
    /// How long they took, summed up.
    pub seconds: f64,
}

impl Course {
    /// What it came to by `now`.
    pub fn summary(&self, now: Duration) -> Summary {
        let began = self.rounds.first().map_or(now, |round| round.began);
        let steps = || self.rounds.iter().flat_map(|round| &round.steps);
        Summary {
            seconds: seconds(now.saturating_sub(began)),
            estimated_seconds: seconds(self.estimate),
            rounds: u32::try_from(self.rounds.len()).unwrap_or(u32::MAX),
            guests: self.guests(),
            actions: self.count(),
            held: held(steps(), now),
            retries: steps().map(|step| step.retries).sum(),
            retry_seconds: seconds(steps().map(|step| step.paused).sum()),
            lost: steps().map(|step| step.lost).sum(),
            settled: steps().map(|step| step.settled).sum(),
            slowest: self.slowest(now),
            nodes: nodes(steps(), now),
        }
    }

    /// Actions of all plans, by where they stand.
    pub fn count(&self) -> Counted {
        count(self.rounds.iter().flat_map(|round| &round.steps))
    }

    /// A guest is of the verb that it was planned with first, and done when the last plan that has
    /// it is.
    fn guests(&self) -> Vec<GuestTally> {
        let mut verbs: BTreeMap<&Address, (Verb, bool)> = BTreeMap::new();
        for round in &self.rounds {
            for guest in &round.guests {
                let done = round.is_done(guest);
                verbs.entry(&guest.address).or_insert((guest.verb, done)).1 = done;
            }
        }
        let kinds: BTreeSet<Verb> = verbs.values().map(|(verb, _)| *verb).collect();
        let tally = |verb: Verb| {
            let of = verbs.values().filter(|(other, _)| *other == verb);
            let done = of.clone().filter(|(_, done)| *done).count();
            GuestTally { verb, done, of: of.count() }
        };
        kinds.into_iter().map(tally).collect()
    }

    fn slowest(&self, now: Duration) -> Vec<Slow> {
        let steps =
            self.rounds.iter().flat_map(|round| round.steps.iter().map(move |s| (round, s)));
        let mut steps: Vec<_> = steps.filter(|(_, step)| step.began.is_some()).collect();
        steps.sort_by_key(|(round, step)| (Reverse(step.took(now)), round.number, step.id));
        let slow = |(round, step): (&Round, &Step)| Slow {
            round: round.number,
            action: step.id,
            address: step.address.clone(),
            node: step.node.clone(),
            what: step.what.clone(),
            seconds: seconds(step.took(now)),
        };
        steps.into_iter().take(SLOWEST).map(slow).collect()
    }
}

impl Round {
    /// Its actions, by where they stand.
    pub fn count(&self) -> Counted {
        count(self.steps.iter())
    }
}

fn count<'a>(steps: impl Iterator<Item = &'a Step>) -> Counted {
    let mut counted = Counted::default();
    for step in steps {
        match step.stage {
            Stage::Waiting => counted.waiting += 1,
            Stage::Done => counted.done += 1,
            Stage::Failed { .. } => counted.failed += 1,
            Stage::Skipped { .. } => counted.skipped += 1,
            _ => counted.running += 1,
        }
    }
    counted
}

fn held<'a>(steps: impl Iterator<Item = &'a Step>, now: Duration) -> Vec<WaitedFor> {
    let mut sums: BTreeMap<&Resource, (usize, Duration)> = BTreeMap::new();
    for step in steps {
        for (by, since) in &step.held {
            let until = step.began.or(step.ended).unwrap_or(now);
            let sum = sums.entry(by).or_default();
            sum.0 += 1;
            sum.1 += until.saturating_sub(*since);
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, (_, time))| Reverse(*time));
    let waited = |(by, (actions, time)): (&Resource, (usize, Duration))| WaitedFor {
        by: by.clone(),
        actions,
        seconds: seconds(time),
    };
    sums.into_iter().map(waited).collect()
}

fn nodes<'a>(steps: impl Iterator<Item = &'a Step>, now: Duration) -> Vec<Busy> {
    let mut sums: BTreeMap<&str, (usize, Duration)> = BTreeMap::new();
    for step in steps.filter(|step| step.began.is_some()) {
        let sum = sums.entry(&step.node).or_default();
        sum.0 += 1;
        sum.1 += step.took(now);
    }
    let busy = |(node, (actions, time)): (&str, (usize, Duration))| Busy {
        node: node.to_owned(),
        actions,
        seconds: seconds(time),
    };
    sums.into_iter().map(busy).collect()
}

/// To the millisecond.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run are far below 2^52")]
pub(in crate::execute) fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}
