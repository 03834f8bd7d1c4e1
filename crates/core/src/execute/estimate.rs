//! How long actions take: what comes first.
//!
//! An action takes time of its own, and holds the lock of each of its storages for a while. Where
//! earlier runs have seen the kind of action on this cluster, their mean counts; else orders of
//! magnitude from recordings of a Proxmox VE 9 on fast disks.

mod cost;

use std::collections::BTreeMap;
use std::time::Duration;

pub(super) use cost::{Cost, Sample, per_gib, volumes_on};

use crate::plan::{Action, ActionId, Plan};
use crate::state::Durations;

/// How long actions take.
#[derive(Debug, Clone, Default)]
pub struct Estimates {
    known: Durations,
    costs: BTreeMap<ActionId, Cost>,
}

impl Estimates {
    /// For the actions of a plan, from what earlier runs on its cluster have seen.
    pub fn new(plan: &Plan, known: Durations) -> Self {
        let sizes = cost::Sizes::of(plan);
        let costs = plan.actions.iter().map(|a| (a.id, cost::of(plan, a, &sizes, &known)));
        Self { costs: costs.collect(), known }
    }

    /// How long one action takes when nothing is in its way.
    pub fn of(&self, action: &Action) -> Duration {
        let cost = self.cost(action);
        let holds = u32::try_from(action.storages.len()).unwrap_or(u32::MAX);
        cost.own.saturating_add(cost.volume.saturating_mul(holds))
    }

    /// What an action costs.
    pub(super) fn cost(&self, action: &Action) -> Cost {
        let known = self.costs.get(&action.id);
        known.copied().unwrap_or_else(|| cost::alone(action, &self.known))
    }
}
