//! How long a run has still to go, as far as that can be known.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Course, Round, Stage, Step};

/// What so many actions of one kind took is believed over what was thought before.
const ENOUGH: u32 = 2;

impl Course {
    /// How long what is not done will take from `now` on: the longest chain of actions, or all of
    /// them over what may be in flight, whichever is more. Absent when there is no plan.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let round = self.rounds.last()?;
        let seen = self.seen();
        let mut chains: BTreeMap<u32, Duration> = BTreeMap::new();
        let (mut longest, mut all) = (Duration::ZERO, Duration::ZERO);
        for step in in_order(round) {
            let rest = rest(step, &seen, now, self.stop.is_some());
            let before = step.needs.iter().filter_map(|id| chains.get(&id.0)).max();
            let chain = before.copied().unwrap_or_default() + rest;
            chains.insert(step.id.0, chain);
            longest = longest.max(chain);
            all += rest;
        }
        let width = u32::try_from(self.width).unwrap_or(u32::MAX).max(1);
        Some(longest.max(all / width))
    }

    /// What actions took in this run, by verb: how many, and how long in all.
    fn seen(&self) -> BTreeMap<&'static str, (u32, Duration)> {
        let mut seen: BTreeMap<&'static str, (u32, Duration)> = BTreeMap::new();
        let steps = self.rounds.iter().flat_map(|round| &round.steps);
        for step in steps.filter(|step| step.stage == Stage::Done) {
            let entry = seen.entry(step.verb).or_default();
            entry.0 += 1;
            entry.1 += step.took(Duration::ZERO);
        }
        seen
    }
}

/// What an action has still to run.
fn rest(
    step: &Step,
    seen: &BTreeMap<&'static str, (u32, Duration)>,
    now: Duration,
    stopping: bool,
) -> Duration {
    let whole = match seen.get(step.verb) {
        Some((count, all)) if *count >= ENOUGH => *all / *count,
        _ => step.estimate,
    };
    match step.stage {
        // Nothing new begins.
        Stage::Waiting if stopping => Duration::ZERO,
        Stage::Waiting => whole,
        Stage::Done | Stage::Failed { .. } | Stage::Skipped { .. } => Duration::ZERO,
        // What takes longer than was thought takes a little longer still.
        Stage::Running | Stage::Pausing { .. } | Stage::Looking { .. } => {
            whole.saturating_sub(step.took(now)).max(whole / 10)
        }
    }
}

/// Steps, each after those that it needs.
fn in_order(round: &Round) -> Vec<&Step> {
    let mut missing: Vec<usize> = round.steps.iter().map(|step| step.needs.len()).collect();
    let mut unlocks: BTreeMap<u32, Vec<&Step>> = BTreeMap::new();
    for step in &round.steps {
        for need in &step.needs {
            unlocks.entry(need.0).or_default().push(step);
        }
    }
    let mut order: Vec<&Step> = round.steps.iter().filter(|step| step.needs.is_empty()).collect();
    let mut next = 0;
    while let Some(step) = order.get(next).copied() {
        next += 1;
        for after in unlocks.get(&step.id.0).into_iter().flatten() {
            let index = usize::try_from(after.id.0).unwrap_or(usize::MAX);
            if let Some(missing) = missing.get_mut(index) {
                *missing = missing.saturating_sub(1);
                if *missing == 0 {
                    order.push(after);
                }
            }
        }
    }
    order
}
