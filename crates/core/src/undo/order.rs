//! In which order guests are taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, Round};
use crate::live;
use crate::plan::{ActionGraph, ActionId, ActionKind, HaChange, Plan};

/// What takes an action of a round back.
pub(super) type Inverse = BTreeMap<(usize, ActionId), Vec<ActionId>>;

/// What waited for something else is taken back before it.
pub(super) fn reversed(
    input: &Input<'_>,
    plan: &mut Plan,
    inverse: &BTreeMap<(usize, ActionId), Vec<ActionId>>,
) {
    for (round, Round { plan: done, .. }) in input.rounds.iter().enumerate() {
        for action in done.actions.iter() {
            let Some(last) = inverse.get(&(round, action.id)) else { continue };
            for need in done.actions.needs(action.id) {
                let Some(first) = inverse.get(&(round, need)) else { continue };
                if let (Some(earlier), Some(later)) = (last.last(), first.first()) {
                    plan.actions.order(*earlier, *later);
                }
            }
        }
    }
}

/// A rule of the HA manager is written when the guests that it is about are under HA again: Proxmox
/// takes a guest out of its rules when it leaves.
pub(super) fn rules(plan: &mut Plan) {
    let mut adds: BTreeMap<u32, ActionId> = BTreeMap::new();
    let mut waits = Vec::new();
    for action in plan.actions.iter() {
        let ActionKind::Ha { change } = &action.kind else { continue };
        match change {
            HaChange::Add { .. } => drop(adds.insert(action.vmid, action.id)),
            HaChange::AddRule { set, .. } | HaChange::UpdateRule { set, .. } => {
                let named = set.get("resources").map(|list| live::ha::vmids(list));
                waits.push((action.id, named.unwrap_or_default()));
            }
            _ => {}
        }
    }
    for (rule, named) in waits {
        for add in named.iter().filter_map(|vmid| adds.get(vmid)) {
            if *add != rule && !leads(&plan.actions, rule, *add) {
                plan.actions.order(*add, rule);
            }
        }
    }
}

/// Does the one come before the other already?
fn leads(actions: &ActionGraph, first: ActionId, later: ActionId) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![first]);
    while let Some(id) = open.pop() {
        if id == later {
            return true;
        }
        if seen.insert(id) {
            open.extend(actions.unlocks(id));
        }
    }
    false
}
