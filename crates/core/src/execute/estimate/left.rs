//! How long the rest of a plan takes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Estimates;
use crate::execute::Limits;
use crate::execute::budget::{Resource, needs};
use crate::plan::{Action, ActionId, Plan};

/// The longer of the longest chain and of what each resource has to do.
pub(super) fn remaining(
    estimates: &Estimates,
    plan: &Plan,
    limits: &Limits,
    finished: &BTreeSet<ActionId>,
    running: &BTreeMap<ActionId, Duration>,
) -> Duration {
    let left = |action: &Action| {
        let elapsed = running.get(&action.id).copied().unwrap_or_default();
        estimates.of(action).saturating_sub(elapsed)
    };
    let mut chains: BTreeMap<ActionId, Duration> = BTreeMap::new();
    let mut work: BTreeMap<Resource, Duration> = BTreeMap::new();
    let mut longest = Duration::ZERO;
    for id in plan.actions.sequence().unwrap_or_default().into_iter().rev() {
        let Some(action) = plan.actions.get(id).filter(|_| !finished.contains(&id)) else {
            continue;
        };
        let after = plan.actions.unlocks(id);
        let after = after.iter().filter_map(|next| chains.get(next)).max().copied();
        let own = left(action);
        let chain = own.saturating_add(after.unwrap_or_default());
        longest = longest.max(chain);
        chains.insert(id, chain);
        for resource in needs(plan, action) {
            let (share, bound) = match resource.storage() {
                Some(storage) => (own.min(estimates.cost(action).hold(action, storage)), 1),
                None => (own, limits.bound(&resource, &plan.storages)),
            };
            let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
            let sum = work.entry(resource).or_default();
            *sum = sum.saturating_add(share / bound);
        }
    }
    longest.max(work.into_values().max().unwrap_or_default())
}
