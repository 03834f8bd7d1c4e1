//! A run in several rounds, as one: what was done in any of them, and what failed at last. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{Outcome, Report};
use crate::address::Address;
use crate::plan::{ActionId, ActionKind, Change, Plan};
use crate::provider::ErrorClass;

/// The rounds so far. Actions of later rounds are numbered on.
#[derive(Debug)]
pub struct Rounds {
    /// What was agreed on, with the actions of later rounds in the place of those that failed.
    pub plan: Plan,
    /// What became of all actions.
    pub report: Report,
    /// How many rounds there were.
    pub count: usize,
    /// Actions that failed or were not run, and have others in their place.
    pub retried: BTreeSet<ActionId>,
    /// Guests that are left alone, and why.
    pub left: BTreeMap<Address, String>,
    /// Actions whose outcome was unknown, and that are done as a later look showed.
    settled: BTreeSet<ActionId>,
}

impl Rounds {
    /// After the first round.
    pub fn new(plan: Plan, report: Report) -> Self {
        let (retried, left) = (BTreeSet::new(), BTreeMap::new());
        Self { plan, report, count: 1, retried, left, settled: BTreeSet::new() }
    }

    /// The number of the next round's first action.
    pub fn offset(&self) -> u32 {
        u32::try_from(self.plan.actions.len()).unwrap_or(u32::MAX)
    }

    /// Adds a round.
    pub fn add(&mut self, next: &Plan, report: Report) {
        let offset = self.offset();
        let shift = |id: ActionId| ActionId(id.0.saturating_add(offset));
        for action in next.actions.iter() {
            self.plan.actions.add(action.clone());
        }
        for action in next.actions.iter() {
            for before in next.actions.needs(action.id) {
                self.plan.actions.order(shift(before), shift(action.id));
            }
        }
        for change in &next.changes {
            let new = change.actions.iter().copied().map(shift).collect();
            self.supersede(&change.address, new);
            let found = self.plan.changes.iter_mut().find(|c| c.address == change.address);
            if let Some(found) = found {
                found.vmid = change.vmid;
                found.node.clone_from(&change.node);
            }
        }
        self.plan.outcomes.extend(next.outcomes.clone());
        let all = &mut self.report;
        all.done.extend(report.done.into_iter().map(shift));
        all.failed.extend(report.failed.into_iter().map(|(id, error)| (shift(id), error)));
        all.skipped.extend(report.skipped.into_iter().map(|(a, b)| (shift(a), shift(b))));
        all.abandoned.extend(report.abandoned.into_iter().map(shift));
        all.unstarted.extend(report.unstarted.into_iter().map(shift));
        all.state_errors.extend(report.state_errors);
        all.took.extend(report.took.into_iter().map(|(id, took)| (shift(id), took)));
        all.out_of_time |= report.out_of_time;
        self.count += 1;
    }

    /// New actions take the place of those of a guest that were not done.
    fn supersede(&mut self, address: &Address, new: Vec<ActionId>) {
        let Self { plan, report, retried, settled, .. } = self;
        let found = plan.changes.iter_mut().find(|change| change.address == *address);
        let Some(change) = found else { return };
        for id in change.actions.iter().filter(|id| settled.contains(id)) {
            report.failed.remove(id);
            report.done.insert(*id);
        }
        let (done, undone): (Vec<_>, Vec<_>) =
            change.actions.iter().copied().partition(|id| report.done.contains(id));
        for id in &undone {
            report.failed.remove(id);
            report.skipped.remove(id);
        }
        retried.extend(undone);
        change.actions = done.into_iter().chain(new).collect();
    }

    /// An action whose outcome was unknown was looked at once more, and is done.
    pub fn settle(&mut self, id: ActionId) {
        self.settled.insert(id);
    }

    /// The guest is as was agreed on: nothing is left to do.
    pub fn nothing_left(&mut self, address: &Address) {
        self.supersede(address, Vec::new());
    }

    /// Guests that another plan may carry out: what failed did so because the world moved. None when
    /// nothing did, or when the run was stopped.
    pub fn meant(&self) -> BTreeSet<Address> {
        let report = &self.report;
        let stopped = !report.unstarted.is_empty() || !report.abandoned.is_empty();
        if stopped || !report.state_errors.is_empty() || report.outcome() != Outcome::Failed {
            return BTreeSet::new();
        }
        let may = |change: &&Change| {
            let mut failed = change.actions.iter().filter_map(|id| report.failed.get(id));
            let undone = change.actions.iter().any(|id| !report.done.contains(id));
            undone && failed.all(|error| passes(error.class))
        };
        let meant = self.plan.changes.iter().filter(|c| !self.left.contains_key(&c.address));
        let meant: BTreeSet<Address> = meant.filter(may).map(|c| c.address.clone()).collect();
        let reason = report.failed.iter().any(|(id, error)| {
            let action = self.plan.actions.get(*id);
            passes(error.class) && action.is_some_and(|a| meant.contains(&a.address))
        });
        if reason { meant } else { BTreeSet::new() }
    }

    /// Was the old guest of a replacement removed already?
    pub fn is_removed(&self, address: &Address) -> bool {
        let removes = |id: &ActionId| {
            let action = self.plan.actions.get(*id);
            action.is_some_and(|a| a.address == *address && a.kind == ActionKind::Destroy)
        };
        self.report.done.iter().chain(&self.settled).any(removes)
    }

    /// VMIDs that were refused because something is there, whether or not the token sees it.
    pub fn taken(&self) -> BTreeSet<u32> {
        let exists = self.report.failed.iter().filter(|(_, e)| e.class == ErrorClass::Exists);
        let action = exists.filter_map(|(id, _)| self.plan.actions.get(*id));
        let makes = |kind: &ActionKind| {
            matches!(kind, ActionKind::Create { .. } | ActionKind::Clone { .. })
        };
        action.filter(|action| makes(&action.kind)).map(|action| action.vmid).collect()
    }
}

/// Does this kind of failure come from a world that moved, and may another plan mend it?
fn passes(class: ErrorClass) -> bool {
    match class {
        ErrorClass::Changed
        | ErrorClass::Exists
        | ErrorClass::Missing
        | ErrorClass::OutcomeUnknown
        | ErrorClass::Busy
        | ErrorClass::Unreachable => true,
        ErrorClass::Refused | ErrorClass::Denied | ErrorClass::Failed | ErrorClass::Protocol => {
            false
        }
    }
}
