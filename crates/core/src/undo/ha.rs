//! The HA manager is told again what it was told before.

use super::walk::Walk;
use crate::live::{self, Properties};
use crate::plan::{Action, ActionKind, Effect, HaChange};

/// Takes back one write to its configuration.
pub(super) fn back(walk: &mut Walk<'_>, action: &Action, change: &HaChange) {
    let vmid = action.vmid;
    match change {
        HaChange::AddRule { rule: name, .. }
        | HaChange::UpdateRule { rule: name, .. }
        | HaChange::RemoveRule { rule: name } => rule_back(walk, vmid, name),
        HaChange::Add { .. } | HaChange::Update { .. } => resource_back(walk, vmid),
        HaChange::Remove => {
            resource_back(walk, vmid);
            // Who leaves is taken out of the rules (pve-ha-manager, API2/HA/Resources.pm, purge).
            let Some(before) = &walk.input.before.ha else { return };
            let names = |properties: &Properties| {
                properties
                    .get("resources")
                    .is_some_and(|list| live::ha::vmids(list).contains(&vmid))
            };
            for (name, _) in before.rules.iter().filter(|(_, rule)| names(rule)) {
                rule_back(walk, vmid, name);
            }
        }
    }
}

/// All writes to one guest's entry are taken back by one.
fn resource_back(walk: &mut Walk<'_>, vmid: u32) {
    let was = walk.input.before.ha.as_ref().and_then(|ha| ha.resources.get(&vmid));
    let is = walk.input.now.ha.as_ref().and_then(|ha| ha.resources.get(&vmid));
    let Some(change) = resource(was, is) else { return };
    if !walk.guests.contains_key(&vmid) || !walk.returned.insert(format!("ha {vmid}")) {
        return;
    }
    let state = |resource: Option<&Properties>| resource.and_then(|r| r.get("state")).cloned();
    if state(is) != state(was) {
        walk.tell("ha", state(is), state(was));
    }
    walk.step(vmid, ActionKind::Ha { change }, Effect::Live);
    walk.governed = was.and_then(power);
    if let (Some(runs), Some(guest)) = (walk.governed, walk.guests.get_mut(&vmid)) {
        guest.running = runs;
    }
}

/// And all writes to one rule, whoever they were for.
fn rule_back(walk: &mut Walk<'_>, vmid: u32, name: &str) {
    let was = walk.input.before.ha.as_ref().and_then(|ha| ha.rules.get(name));
    let is = walk.input.now.ha.as_ref().and_then(|ha| ha.rules.get(name));
    let Some(change) = rule(name, was, is) else { return };
    if !walk.guests.contains_key(&vmid) || !walk.returned.insert(format!("rule {name}")) {
        return;
    }
    if let HaChange::AddRule { set, .. } | HaChange::UpdateRule { set, .. } = &change
        && let Some(gone) = gone(walk, set)
    {
        let text = format!("rule {name} stays as it is: guest {gone}, which it was about, is gone");
        return walk.lose(text);
    }
    walk.step(vmid, ActionKind::Ha { change }, Effect::Live);
}

/// What the manager brings about by itself; none when it leaves the guest alone.
fn power(resource: &Properties) -> Option<bool> {
    match resource.get("state").map_or("started", String::as_str) {
        "started" | "enabled" => Some(true),
        "stopped" | "disabled" => Some(false),
        _ => None,
    }
}

/// A guest that a rule names and that is not there: Proxmox makes no rules for it.
fn gone(walk: &Walk<'_>, set: &Properties) -> Option<u32> {
    let named = live::ha::vmids(set.get("resources")?);
    named.into_iter().find(|vmid| !walk.input.now.inventory.guests.contains_key(vmid))
}

fn resource(was: Option<&Properties>, is: Option<&Properties>) -> Option<HaChange> {
    match (was, is) {
        (None, Some(_)) => Some(HaChange::Remove),
        (Some(was), None) => Some(HaChange::Add { set: without(was, &["digest"]) }),
        (Some(was), Some(is)) if was != is => {
            let (set, delete) = difference(was, is);
            Some(HaChange::Update { set, delete })
        }
        _ => None,
    }
}

fn rule(name: &str, was: Option<&Properties>, is: Option<&Properties>) -> Option<HaChange> {
    let rule = name.to_owned();
    match (was, is) {
        (None, Some(_)) => Some(HaChange::RemoveRule { rule }),
        (Some(was), None) => Some(HaChange::AddRule { rule, set: without(was, &["digest"]) }),
        (Some(was), Some(is)) if was != is => {
            let (mut set, delete) = difference(was, is);
            // Each write of a rule says its type (pve-ha-manager, API2/HA/Rules.pm).
            set.extend(was.get_key_value("type").map(|(k, v)| (k.clone(), v.clone())));
            Some(HaChange::UpdateRule { rule, set, delete })
        }
        _ => None,
    }
}

fn difference(was: &Properties, is: &Properties) -> (Properties, Vec<String>) {
    let set = was.iter().filter(|(key, value)| is.get(*key) != Some(*value));
    let set = set.map(|(key, value)| (key.clone(), value.clone())).collect();
    let delete = is.keys().filter(|key| !was.contains_key(*key)).cloned().collect();
    (without(&set, &["digest"]), delete)
}

fn without(properties: &Properties, keys: &[&str]) -> Properties {
    let kept = properties.iter().filter(|(key, _)| !keys.contains(&key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect()
}
