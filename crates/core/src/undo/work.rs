//! What a run began, guest by guest.

use std::collections::{BTreeMap, BTreeSet};

use super::{Input, Round, Scope};
use crate::address::Address;
use crate::desired::OnFailure;
use crate::live::{GuestRef, Inventory};
use crate::plan::{Action, ActionId, ActionKind, Change, Verb, lint};

/// An action that was begun, and in which round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun<'a> {
    pub(super) round: usize,
    pub(super) action: &'a Action,
    /// It succeeded.
    pub(super) done: bool,
}

/// What was begun for one guest of the documents.
#[derive(Debug)]
pub(super) struct Work<'a> {
    pub(super) address: Address,
    /// The address that it had before, when this run renamed it.
    pub(super) renamed_from: Option<&'a Address>,
    pub(super) verb: Verb,
    /// Its VMID.
    pub(super) vmid: u32,
    /// In the order in which they were begun.
    pub(super) begun: Vec<Begun<'a>>,
    /// Documents say that it is not to be destroyed.
    pub(super) prevent_destroy: bool,
}

impl<'a> Work<'a> {
    /// Guests of which something was begun, in the order of the plans.
    pub(super) fn all(input: &Input<'a>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut places: BTreeMap<&Address, usize> = BTreeMap::new();
        for (round, of) in input.rounds.iter().enumerate() {
            for change in &of.plan.changes {
                let begun = begun(round, *of, change);
                if begun.is_empty() || !is_meant(input, change, &begun) {
                    continue;
                }
                match places.get(&change.address).and_then(|place| all.get_mut(*place)) {
                    Some(work) => {
                        // What goes on with a guest that this run began is still its making.
                        work.vmid = change.vmid;
                        work.begun.extend(begun);
                    }
                    None => {
                        places.insert(&change.address, all.len());
                        all.push(Self::new(input, *of, change, begun));
                    }
                }
            }
        }
        all
    }

    fn new(input: &Input<'a>, of: Round<'a>, change: &'a Change, begun: Vec<Begun<'a>>) -> Self {
        let outcome = of.plan.outcomes.get(&change.address);
        // A guest that was to be replaced and is still there may have another VMID.
        let old = begun.iter().map(|b| b.action).find(|a| {
            change.verb == Verb::Replace && a.kind == ActionKind::Destroy && !lint::is_keeper(a)
        });
        let old = old.or_else(|| shut_down(change, &begun));
        let there = old.filter(|old| {
            old.vmid != change.vmid && input.now.inventory.guests.contains_key(&old.vmid)
        });
        Self {
            address: change.address.clone(),
            renamed_from: of.plan.moved.get(&change.address),
            verb: change.verb,
            vmid: there.map_or(change.vmid, |old| old.vmid),
            prevent_destroy: outcome.is_some_and(|outcome| outcome.prevent_destroy),
            begun,
        }
    }

    /// The address that state has for it when all is as before.
    pub(super) fn filed_under(&self) -> &Address {
        self.renamed_from.unwrap_or(&self.address)
    }

    /// The VMID of the guest that was removed, not of a keeper.
    pub(super) fn removed(&self) -> Option<u32> {
        removed(&self.begun)
    }

    /// Was a guest made at this VMID, as far as the run knows?
    pub(super) fn makes(&self, vmid: u32) -> bool {
        let mut making = self.begun.iter().filter(|b| b.action.vmid == vmid);
        making
            .any(|b| matches!(b.action.kind, ActionKind::Create { .. } | ActionKind::Clone { .. }))
    }
}

fn removed(begun: &[Begun<'_>]) -> Option<u32> {
    let removes =
        |b: &&Begun<'_>| b.action.kind == ActionKind::Destroy && !lint::is_keeper(b.action);
    begun.iter().filter(|b| b.done).find(removes).map(|b| b.action.vmid)
}

/// The guest that a replacement shut down first.
fn shut_down<'a>(change: &Change, begun: &[Begun<'a>]) -> Option<&'a Action> {
    let mut all = begun.iter().map(|b| b.action);
    all.find(|a| change.verb == Verb::Replace && matches!(a.kind, ActionKind::Shutdown { .. }))
}

/// Actions of a change that may have had an effect.
fn begun<'a>(round: usize, of: Round<'a>, change: &'a Change) -> Vec<Begun<'a>> {
    let one = |id: &ActionId| {
        let done = of.report.done.contains(id);
        let tried = of.report.failed.contains_key(id) || of.report.abandoned.contains(id);
        let action = of.plan.actions.get(*id).filter(|_| done || tried)?;
        Some(Begun { round, action, done })
    };
    change.actions.iter().filter_map(one).collect()
}

/// Did what was planned for the guest last fail, and not for another guest's sake alone? What failed
/// first may have been carried out by a later round.
fn failed_at_last(input: &Input<'_>, address: &Address) -> bool {
    let knows = |of: &&Round<'_>| of.plan.outcomes.contains_key(address);
    let Some(last) = input.rounds.iter().rev().find(knows) else { return false };
    let change = last.plan.changes.iter().find(|change| change.address == *address);
    let failed = |id: &ActionId| last.report.failed.contains_key(id);
    change.is_some_and(|change| change.actions.iter().any(failed))
}

fn is_meant(input: &Input<'_>, change: &Change, begun: &[Begun<'_>]) -> bool {
    // As long as the old guest is there, a replacement has made none.
    let makes = match change.verb {
        Verb::Create => true,
        Verb::Replace => removed(begun).is_some(),
        _ => false,
    };
    let destroys = makes && change.on_failure == OnFailure::Destroy;
    input.scope == Scope::Everything || (destroys && failed_at_last(input, &change.address))
}

/// Guests that an undo of these rounds looks at, as far as the inventory has them: they are read
/// before it is made.
pub fn guests(rounds: &[Round<'_>], inventory: &Inventory) -> Vec<GuestRef> {
    let mut vmids = BTreeSet::new();
    for (round, of) in rounds.iter().enumerate() {
        for change in &of.plan.changes {
            for begun in begun(round, *of, change) {
                vmids.insert(begun.action.vmid);
                if let ActionKind::Reassign { target, .. } = begun.action.kind {
                    vmids.insert(target);
                }
            }
        }
    }
    let there = vmids.iter().filter_map(|vmid| inventory.guests.get(vmid));
    let online = |node: &str| inventory.nodes.get(node).is_some_and(|node| node.online);
    let there = there.filter(|summary| summary.qemu && online(&summary.node));
    there.map(|summary| GuestRef { vmid: summary.vmid, node: summary.node.clone() }).collect()
}
