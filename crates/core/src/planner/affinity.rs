//! `ha.affinity`: one rule for all guests of a group that say it. It is written by the change of
//! one of them, after all of them are under HA: Proxmox makes no rules about other guests.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Builder, Step};
use super::membership::step;
use super::ownership::Ownership;
use crate::address::Address;
use crate::desired::{Affinity, Guest, Profile, ProfileKind};
use crate::live::ha::{group_rule, group_rule_prefix};
use crate::plan::{
    ActionId, ActionKind, AttributeChange, Change, Effect, Facts, Finding, HaChange, Verb,
};
use crate::provider::{HaComparison, HaRule, HaRuleKind};

/// Plans the rules of all groups.
pub(super) fn rules(builder: &mut Builder<'_>, ownership: &Ownership) {
    let input = builder.input;
    for profile in input.desired.profiles.iter().filter(|p| p.kind != ProfileKind::Vm) {
        let groups = groups(profile);
        let mut removals = stale(builder, ownership, profile, &groups);
        for (group, guests) in groups {
            removals.extend(one(builder, ownership, profile, group, &guests));
        }
        first(builder, profile, &removals);
    }
}

/// Rules go before others of the profile are written: Proxmox refuses rules that do not go
/// together.
fn first(builder: &mut Builder<'_>, profile: &Profile, removals: &[ActionId]) {
    let writes = |kind: &ActionKind| {
        let ActionKind::Ha { change } = kind else { return false };
        matches!(change, HaChange::AddRule { .. } | HaChange::UpdateRule { .. })
    };
    let of_profile = builder.actions.iter().filter(|a| a.address.key() == profile.key());
    let later: Vec<ActionId> = of_profile.filter(|a| writes(&a.kind)).map(|a| a.id).collect();
    for removal in removals {
        later.iter().for_each(|id| builder.actions.order(*removal, *id));
    }
}

/// Guests that say `ha.affinity`, by group.
fn groups(profile: &Profile) -> BTreeMap<&str, Vec<&Guest>> {
    let mut groups: BTreeMap<&str, Vec<&Guest>> = BTreeMap::new();
    for guest in profile.guests.iter().filter(|guest| affinity(guest).is_some()) {
        groups.entry(&guest.group).or_default().push(guest);
    }
    groups
}

fn affinity(guest: &Guest) -> Option<Affinity> {
    guest.spec.ha.as_ref()?.affinity
}

/// Rules of groups that are gone, or say nothing of affinity any more.
fn stale(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    groups: &BTreeMap<&str, Vec<&Guest>>,
) -> Vec<ActionId> {
    let Some(ha) = &builder.input.snapshot.ha else { return Vec::new() };
    let prefix = group_rule_prefix(profile.key());
    let names = ha.rules.keys().filter_map(|name| Some((name, name.strip_prefix(&prefix)?)));
    let gone = names.filter(|(_, group)| !groups.contains_key(group));
    gone.flat_map(|(name, _)| remove(builder, ownership, profile, name)).collect()
}

fn one(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    group: &str,
    guests: &[&Guest],
) -> Vec<ActionId> {
    let nothing = Vec::new();
    let name = group_rule(profile.key(), group);
    let Some(affinity) = guests.first().and_then(|guest| affinity(guest)) else { return nothing };
    let members = members(builder, ownership, guests);
    let Some(first) = guests.iter().find(|guest| members.contains_key(&guest.address)) else {
        return nothing;
    };
    if let Some(finding) = obstacle(builder, group, guests, affinity, members.len()) {
        builder.findings.push(finding.about(&first.address).at(first.place("ha.affinity")));
    }
    let input = builder.input;
    let live = input.snapshot.ha.as_ref().and_then(|ha| ha.rules.get(&name));
    if members.len() < 2 {
        if live.is_some() {
            return remove(builder, ownership, profile, &name);
        }
        return nothing;
    }
    let vmids: BTreeSet<u32> = members.values().copied().collect();
    let kind = HaRuleKind::Affinity(affinity);
    let rule = HaRule { name, vmids: vmids.clone(), kind };
    let comparison = input.kind.compare_rule(&rule, live);
    let carrier = guests.iter().find(|guest| builder.outcomes.contains_key(&guest.address));
    if let Some(carrier) = carrier {
        write(builder, ownership, carrier, &vmids, comparison);
    }
    nothing
}

/// The guests that are under HA when the plan is carried out, with their VMIDs.
fn members<'g>(
    builder: &Builder<'_>,
    ownership: &Ownership,
    guests: &[&'g Guest],
) -> BTreeMap<&'g Address, u32> {
    let ha = builder.input.snapshot.ha.as_ref();
    let vmid = |guest: &Guest| match builder.outcomes.get(&guest.address) {
        Some(outcome) => Some(outcome.vmid),
        // Not meant by `--target`: it counts when it is under HA already.
        None => ownership
            .member(&guest.address)
            .filter(|vmid| ha.is_some_and(|ha| ha.resources.contains_key(vmid))),
    };
    guests.iter().filter_map(|guest| Some((&guest.address, vmid(guest)?))).collect()
}

/// What Proxmox would refuse (pve-ha-manager, the checks of `HA/Rules/ResourceAffinity.pm`).
fn obstacle(
    builder: &Builder<'_>,
    group: &str,
    guests: &[&Guest],
    wanted: Affinity,
    members: usize,
) -> Option<Finding> {
    let nodes = builder.input.snapshot.inventory.nodes.len();
    if guests.iter().any(|guest| affinity(guest) != Some(wanted)) {
        let text = format!("guests of group {group} say both `together` and `apart`");
        return Some(
            Finding::error("ha-affinity-mixed", text).help("say it once, in the group's `ha`"),
        );
    }
    if wanted == Affinity::Apart && members > nodes {
        let text = format!("{members} guests of group {group} cannot be apart on {nodes} nodes");
        return Some(
            Finding::error("ha-affinity-nodes", text)
                .help("lower count, or take `ha.affinity` out: Proxmox refuses such a rule"),
        );
    }
    (members < 2).then(|| {
        let text =
            format!("group {group} has one guest under HA: `ha.affinity` needs two, no rule");
        Finding::note("ha-affinity-alone", text)
    })
}

/// Writes a rule when all its guests are under HA.
fn write(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    carrier: &Guest,
    vmids: &BTreeSet<u32>,
    comparison: HaComparison,
) {
    if comparison.changes.is_empty() {
        return;
    }
    let first: Vec<ActionId> = builder
        .actions
        .iter()
        .filter(|a| vmids.contains(&a.vmid) && matches!(a.kind, ActionKind::Ha { .. }))
        .map(|action| action.id)
        .collect();
    let node = final_node(builder, carrier);
    let steps = comparison.changes.into_iter().map(|change| step(&node, change)).collect();
    let ids = append(builder, ownership, carrier, steps, comparison.attributes);
    for id in ids {
        for first in &first {
            builder.actions.order(*first, id);
        }
    }
}

/// Removes a rule.
fn remove(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    name: &str,
) -> Vec<ActionId> {
    let planned = |guest: &&Guest| builder.outcomes.contains_key(&guest.address);
    let there = |guest: &&Guest| ownership.member(&guest.address).is_some();
    let mut guests = profile.guests.iter().filter(planned);
    // A guest that is still to be made proves nothing yet.
    let Some(carrier) = guests.clone().find(there).or_else(|| guests.next()) else {
        return Vec::new();
    };
    let before = builder.input.snapshot.ha.as_ref().and_then(|ha| ha.rules.get(name));
    let attribute = AttributeChange {
        path: "ha.affinity".to_owned(),
        before: before.and_then(|rule| rule.get("resources").cloned()),
        after: None,
        effect: Effect::Live,
        reason: "no longer in the documents".to_owned(),
    };
    let change = HaChange::RemoveRule { rule: name.to_owned() };
    let live = ownership.member(&carrier.address);
    let live = live.and_then(|vmid| builder.input.snapshot.guests.get(&vmid));
    let Some(live) = live else {
        let steps = vec![step(&final_node(builder, carrier), change)];
        append(builder, ownership, carrier, steps, vec![attribute]);
        // It comes last here: what waited for it could be what it waits for.
        return Vec::new();
    };
    let only = step(&live.node, change);
    if place_of(builder, carrier).is_some() {
        prepend(builder, ownership, carrier, only, attribute)
    } else {
        append(builder, ownership, carrier, vec![only], vec![attribute])
    }
}

/// The node a guest is on when all that is planned of it so far is done.
fn final_node(builder: &Builder<'_>, guest: &Guest) -> String {
    let change = place_of(builder, guest).and_then(|place| builder.changes.get(place));
    let planned = change.map(|change| change.target.as_ref().unwrap_or(&change.node).clone());
    let live = || {
        let outcome = builder.outcomes.get(&guest.address)?;
        Some(builder.input.snapshot.guests.get(&outcome.vmid)?.node.clone())
    };
    planned.or_else(live).unwrap_or_default()
}

fn place_of(builder: &Builder<'_>, guest: &Guest) -> Option<usize> {
    builder.changes.iter().position(|change| change.address == guest.address)
}

/// Puts a step before all others of a guest that changes.
fn prepend(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    guest: &Guest,
    mut first: Step,
    attribute: AttributeChange,
) -> Vec<ActionId> {
    first.preconditions.extend(ownership.proof(builder.input, &guest.address));
    let Some(place) = place_of(builder, guest) else { return Vec::new() };
    let vmid = builder.changes.get(place).map(|change| change.vmid).unwrap_or_default();
    let ids = builder.chain(&guest.address, vmid, vec![first]);
    let Some(change) = builder.changes.get_mut(place) else { return ids };
    for id in &ids {
        if let Some(next) = change.actions.first() {
            builder.actions.order(*id, *next);
        }
        change.actions.insert(0, *id);
    }
    if change.verb == Verb::Power {
        change.verb = Verb::Change;
    }
    change.attributes.push(attribute);
    ids
}

/// Adds steps to the change of a guest, or makes one.
fn append(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    guest: &Guest,
    mut steps: Vec<Step>,
    attributes: Vec<AttributeChange>,
) -> Vec<ActionId> {
    let Some(vmid) = builder.outcomes.get(&guest.address).map(|outcome| outcome.vmid) else {
        return Vec::new();
    };
    let place = place_of(builder, guest);
    if place.is_none()
        && let Some(first) = steps.first_mut()
    {
        first.preconditions.extend(ownership.proof(builder.input, &guest.address));
    }
    let ids = builder.chain(&guest.address, vmid, steps);
    let change = place.and_then(|place| builder.changes.get_mut(place));
    if let Some(change) = change {
        if let (Some(last), Some(first)) = (change.actions.last(), ids.first()) {
            builder.actions.order(*last, *first);
        }
        change.actions.extend(&ids);
        if change.verb == Verb::Power {
            change.verb = Verb::Change;
        }
        if change.verb != Verb::Create {
            change.attributes.extend(attributes);
        }
        return ids;
    }
    let live = builder.input.snapshot.guests.get(&vmid);
    let disks = live.map(|live| super::create::live_disks(builder, live)).unwrap_or_default();
    builder.changes.push(Change {
        address: guest.address.clone(),
        verb: Verb::Change,
        vmid,
        node: live.map(|live| live.node.clone()).unwrap_or_default(),
        target: None,
        running: live.is_some_and(|live| live.running),
        facts: Facts { disks, ..Facts::default() },
        attributes,
        effect: Effect::Live,
        reason: "differs from the documents".to_owned(),
        position: Some(builder.input.sources.position(guest.span)),
        on_failure: crate::desired::OnFailure::Keep,
        actions: ids.clone(),
    });
    ids
}
