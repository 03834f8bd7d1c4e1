//! A plan could not be carried out to its end because the world moved: a guest was changed by
//! somebody else, a VMID was taken, a node did not answer. It is planned again from what is there
//! now, and what still means what was agreed on is carried out without asking again. All else is left
//! alone, and told. Pure.
//!
//! | agreed on | planned now | goes on when |
//! |---|---|---|
//! | create | create | same node, and the same VMID, unless documents leave it open |
//! | create, replace | what is left of making it | nothing of it stops or loses anything |
//! | replace | replace | same VMID, and no more is lost |
//! | replace | create | as for create: the old one is gone already |
//! | change | change, power | same VMID, fewer or the same attributes, each with the same value after and no dearer effect |
//! | migrate | migrate, change, power | and the same target |
//! | power | power | and the same effect |
//! | destroy | destroy | same VMID, and no more is lost |
//!
//! What another guest must do first, and does not, holds up what waits for it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, ActionGraph, ActionId, AttributeChange, Change, Effect, Plan, Verb, Weight};
use crate::address::Address;

/// What of a new plan may be carried out.
#[derive(Debug)]
pub struct Again {
    /// The new plan without what is left alone.
    pub plan: Plan,
    /// What is left alone, and why, in a few words.
    pub left: BTreeMap<Address, String>,
    /// New guests that get another VMID: the one that was agreed on, and the new one.
    pub renumbered: BTreeMap<Address, (u32, u32)>,
    /// Guests of which nothing is left to do: they are as was agreed on.
    pub done: BTreeSet<Address>,
}

/// Which guests go on, and how far they may differ.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Guests that were not carried out, for a reason that another plan may mend.
    pub meant: BTreeSet<Address>,
    /// Guests whose VMID documents leave open, and nobody else has agreed on.
    pub open_vmids: BTreeSet<Address>,
    /// VMIDs that something has now.
    pub there: BTreeSet<u32>,
}

/// Holds `next` against the plan that was agreed on.
pub fn again(agreed: &Plan, next: &Plan, scope: &Scope) -> Again {
    let mut left = BTreeMap::new();
    let mut renumbered = BTreeMap::new();
    let mut kept: BTreeSet<&Address> = BTreeSet::new();
    let before: BTreeMap<&Address, &Change> =
        agreed.changes.iter().map(|change| (&change.address, change)).collect();
    let errors: BTreeMap<&Address, &str> = next
        .findings
        .iter()
        .filter(|finding| finding.weight == Weight::Error)
        .filter_map(|finding| Some((finding.address.as_ref()?, finding.message.as_str())))
        .collect();
    for address in &scope.meant {
        if let Some(error) = errors.get(address) {
            left.insert(address.clone(), (*error).to_owned());
        }
    }
    for change in &next.changes {
        let address = &change.address;
        if left.contains_key(address) || !scope.meant.contains(address) {
            continue;
        }
        let open = scope.open_vmids.contains(address);
        let verdict = match before.get(address) {
            Some(first) => means_the_same(first, change, open),
            None => Err("it was not in the plan".to_owned()),
        };
        match verdict {
            Ok(()) => {
                kept.insert(address);
                let first = before.get(address).filter(|first| first.vmid != change.vmid);
                if let Some(first) = first {
                    renumbered.insert(address.clone(), (first.vmid, change.vmid));
                }
            }
            Err(why) => drop(left.insert(address.clone(), why)),
        }
    }
    hold_up(next, &mut kept, &mut left);
    renumbered.retain(|address, _| kept.contains(address));
    let done = done(agreed, next, scope, &left);
    Again { plan: narrowed(next, &kept, &left), left, renumbered, done }
}

/// Guests without a change: those that were looked at, and those that are gone as they should be. One
/// that cannot be read has no change either, and is not done.
fn done(
    agreed: &Plan,
    next: &Plan,
    scope: &Scope,
    left: &BTreeMap<Address, String>,
) -> BTreeSet<Address> {
    let planned: BTreeSet<&Address> = next.changes.iter().map(|change| &change.address).collect();
    let is_done = |change: &&Change| match change.verb {
        Verb::Destroy => !scope.there.contains(&change.vmid),
        _ => next.outcomes.contains_key(&change.address),
    };
    let meant = agreed.changes.iter().filter(|change| scope.meant.contains(&change.address));
    let unplanned =
        meant.filter(|c| !planned.contains(&c.address) && !left.contains_key(&c.address));
    unplanned.filter(is_done).map(|change| change.address.clone()).collect()
}

/// Does the new change do what was agreed on, or a part of it?
///
/// # Errors
/// Why not, in a few words.
pub fn means_the_same(first: &Change, next: &Change, open_vmid: bool) -> Result<(), String> {
    use Verb::{Change as Changes, Create, Destroy, Migrate, Power, Replace};
    let renumbers = open_vmid && next.verb == Create;
    if first.vmid != next.vmid && !renumbers {
        return Err(format!("it would be guest {} now, not {}", next.vmid, first.vmid));
    }
    match (first.verb, next.verb) {
        (Create | Replace, Create) => same_node(first, next),
        (Create | Replace, Changes | Migrate | Power) => rest_of_making(next),
        (Replace, Replace) | (Destroy, Destroy) => no_more_lost(first, next),
        (Changes, Changes | Power) | (Migrate, Changes | Power) => part(first, next),
        (Migrate, Migrate) if first.target != next.target => {
            let target = next.target.as_deref().unwrap_or("nowhere");
            Err(format!("it would move to {target} now"))
        }
        (Migrate, Migrate) => part(first, next),
        (Power, Power) if first.effect == next.effect => Ok(()),
        (_, verb) => Err(format!("the plan for it is to {} now", word(verb))),
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create it",
        Verb::Change => "change it",
        Verb::Migrate => "move it",
        Verb::Power => "start or stop it",
        Verb::Replace => "replace it",
        Verb::Destroy => "destroy it",
    }
}

fn same_node(first: &Change, next: &Change) -> Result<(), String> {
    if first.node == next.node {
        return Ok(());
    }
    Err(format!("it would come to {} now, not to {}", next.node, first.node))
}

/// A guest that is half made, or made and not configured to its end.
fn rest_of_making(next: &Change) -> Result<(), String> {
    let harmless = |effect: Effect| {
        matches!(
            effect,
            Effect::Live
                | Effect::Create
                | Effect::Start
                | Effect::Pending
                | Effect::Move
                | Effect::Migrate
        )
    };
    match next.attributes.iter().find(|attribute| !harmless(attribute.effect)) {
        Some(attribute) => Err(format!("{} would not be without harm now", attribute.path)),
        None if harmless(next.effect) => Ok(()),
        None => Err("what is left to do would not be without harm now".to_owned()),
    }
}

/// Every attribute was agreed on, with this value, and costs no more now.
fn part(first: &Change, next: &Change) -> Result<(), String> {
    let agreed: BTreeMap<&str, &AttributeChange> =
        first.attributes.iter().map(|attribute| (attribute.path.as_str(), attribute)).collect();
    for attribute in &next.attributes {
        let (path, now) = (&attribute.path, said(attribute));
        match agreed.get(path.as_str()) {
            None => return Err(format!("{path} differs now too ({now})")),
            Some(before) if before.after != attribute.after => {
                return Err(format!("{path} would become something else now ({now})"));
            }
            Some(before) if attribute.effect > before.effect => {
                return Err(format!("{path} costs more now ({now})"));
            }
            Some(_) => {}
        }
    }
    if next.effect > first.effect {
        return Err("it costs more now".to_owned());
    }
    Ok(())
}

fn said(attribute: &AttributeChange) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "unset".to_owned());
    format!("{} → {}", value(&attribute.before), value(&attribute.after))
}

fn no_more_lost(first: &Change, next: &Change) -> Result<(), String> {
    let more = next.facts.disks.iter().find(|disk| !first.facts.disks.contains(disk));
    if let Some((slot, _)) = more {
        return Err(format!("{slot} would be lost too"));
    }
    if next.effect > first.effect {
        return Err("more would be lost now".to_owned());
    }
    if next.verb == Verb::Replace { same_node(first, next) } else { Ok(()) }
}

/// What waits for a guest that is left alone is left alone too.
fn hold_up(next: &Plan, kept: &mut BTreeSet<&Address>, left: &mut BTreeMap<Address, String>) {
    loop {
        let waits = next.actions.iter().filter(|action| kept.contains(&action.address));
        let held = waits.filter_map(|action| {
            let needs = next.actions.needs(action.id).into_iter();
            let missing = needs.filter_map(|id| next.actions.get(id));
            missing
                .map(|other| &other.address)
                .find(|address| !kept.contains(address))
                .map(|other| (action.address.clone(), other.clone()))
        });
        let held: Vec<(Address, Address)> = held.collect();
        if held.is_empty() {
            return;
        }
        for (address, other) in held {
            kept.remove(&address);
            left.entry(address).or_insert_with(|| format!("it waits for {other}"));
        }
    }
}

/// The plan with the changes of these guests alone.
fn narrowed(next: &Plan, kept: &BTreeSet<&Address>, left: &BTreeMap<Address, String>) -> Plan {
    let mut plan = next.clone();
    let mut numbers: BTreeMap<ActionId, ActionId> = BTreeMap::new();
    plan.actions = ActionGraph::default();
    let goes_on = |action: &&Action| kept.contains(&action.address);
    for action in next.actions.iter().filter(goes_on) {
        numbers.insert(action.id, plan.actions.add(action.clone()));
    }
    for (old, new) in &numbers {
        for before in next.actions.needs(*old).iter().filter_map(|id| numbers.get(id)) {
            plan.actions.order(*before, *new);
        }
    }
    plan.changes.retain(|change| kept.contains(&change.address));
    for change in &mut plan.changes {
        change.actions = change.actions.iter().filter_map(|id| numbers.get(id).copied()).collect();
    }
    // Of a guest that is not carried out, state must not say that it was.
    let undone: BTreeSet<&Address> = next.changes.iter().map(|change| &change.address).collect();
    plan.outcomes.retain(|address, _| {
        kept.contains(address) || !(undone.contains(address) || left.contains_key(address))
    });
    plan.findings.retain(|finding| finding.weight != Weight::Error || finding.address.is_none());
    plan
}

#[cfg(test)]
mod tests;
