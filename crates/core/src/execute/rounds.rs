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
}

impl Rounds {
    /// After the first round.
    pub fn new(plan: Plan, report: Report) -> Self {
        let (retried, left) = (BTreeSet::new(), BTreeMap::new());
        Self { plan, report, count: 1, retried, left }
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
            self.supersede(change, change.actions.iter().copied().map(shift).collect());
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
    fn supersede(&mut self, next: &Change, new: Vec<ActionId>) {
        let found = self.plan.changes.iter_mut().find(|change| change.address == next.address);
        let Some(change) = found else { return };
        let (done, undone): (Vec<_>, Vec<_>) =
            change.actions.iter().copied().partition(|id| self.report.done.contains(id));
        for id in &undone {
            self.report.failed.remove(id);
            self.report.skipped.remove(id);
        }
        self.retried.extend(undone);
        change.actions = done.into_iter().chain(new).collect();
        change.vmid = next.vmid;
        change.node.clone_from(&next.node);
    }

    /// It was looked at once more, and is done.
    pub fn settle(&mut self, id: ActionId) {
        if self.report.failed.remove(&id).is_some() {
            self.report.done.insert(id);
        }
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
        if reason { meant } else { self.settled_only(meant) }
    }

    /// All failures may have been settled since: then what was skipped because of them goes on.
    fn settled_only(&self, meant: BTreeSet<Address>) -> BTreeSet<Address> {
        let settled = |cause: &ActionId| self.report.done.contains(cause);
        if self.report.skipped.values().any(settled) { meant } else { BTreeSet::new() }
    }

    /// Was the old guest of a replacement removed already?
    pub fn is_removed(&self, address: &Address) -> bool {
        let removes = |id: &ActionId| {
            let action = self.plan.actions.get(*id);
            action.is_some_and(|a| a.address == *address && a.kind == ActionKind::Destroy)
        };
        self.report.done.iter().any(removes)
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
