//! The HA manager is told again what it was told before.

use super::walk::Walk;
use crate::live::{Ha, Properties};
use crate::plan::{Action, ActionKind, Effect, HaChange};

/// Takes back one write to its configuration.
pub(super) fn back(walk: &mut Walk<'_>, action: &Action, change: &HaChange) {
    let nothing = Ha::default();
    let before = walk.input.before.ha.as_ref().unwrap_or(&nothing);
    let Some(now) = walk.input.now.ha.as_ref() else { return };
    let vmid = action.vmid;
    let (key, inverse) = match change {
        HaChange::Add { .. } | HaChange::Update { .. } | HaChange::Remove => {
            let (was, is) = (before.resources.get(&vmid), now.resources.get(&vmid));
            (format!("ha {vmid}"), resource(was, is))
        }
        HaChange::AddRule { rule: name, .. }
        | HaChange::UpdateRule { rule: name, .. }
        | HaChange::RemoveRule { rule: name } => {
            let inverse = rule(name, before.rules.get(name), now.rules.get(name));
            (format!("rule {name}"), inverse)
        }
    };
    // All writes to one entry are taken back by one.
    let Some(inverse) = inverse.filter(|_| walk.returned.insert(key)) else { return };
    let word = |ha: &Ha| ha.resources.get(&vmid).and_then(|r| r.get("state")).cloned();
    walk.tell("ha", word(now), word(before));
    walk.step(vmid, ActionKind::Ha { change: inverse }, Effect::Live);
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
