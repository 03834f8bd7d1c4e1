//! High availability: how the HA manager of Proxmox VE 9 is told what documents say.
//!
//! Resources have defaults (pve-ha-manager `HA/Resources.pm`, and `read_and_check_resources_config`
//! in `HA/Config.pm`): `started`, of which `enabled` is an old name, and 1 for all others. Rules
//! (`HA/Rules.pm`) need `type` with every write, keep their resources and nodes sorted, and a node
//! without priority has 0.

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::desired::{Affinity, Ha, HaState, Power};
use pvx_core::live::{Properties, ha::vmids};
use pvx_core::plan::{AttributeChange, Effect, HaChange};
use pvx_core::provider::{HaComparison, HaRule, HaRuleKind};

use crate::codec::format_boolean;

/// A property of a resource beside its state: name, what the documents say, and the default.
type Property = (&'static str, Option<String>, &'static str);

/// What must change in a guest's resource.
pub(super) fn resource(
    wanted: &Ha,
    managed_before: &BTreeSet<String>,
    live: Option<&Properties>,
    runs: bool,
) -> HaComparison {
    let Some(live) = live else { return added(wanted, runs) };
    let mut out = HaComparison::default();
    let (mut set, mut delete) = (BTreeMap::new(), Vec::new());
    let state = request(live);
    if state != wanted.state.word() {
        let effect = of_state(wanted.state, runs);
        out.attributes.push(attribute("ha.state", Some(state), Some(wanted.state.word()), effect));
        set.insert("state".to_owned(), wanted.state.word().to_owned());
    }
    for (name, value, default) in properties(wanted) {
        let path = format!("ha.{name}");
        let stored = live.get(name).map(String::as_str);
        match &value {
            Some(value) if stored.unwrap_or(default) != value => {
                out.attributes.push(attribute(&path, stored, Some(value), Effect::Live));
                set.insert(name.to_owned(), value.clone());
            }
            None if stored.is_some() && managed_before.contains(&path) => {
                out.attributes.push(attribute(&path, stored, None, Effect::Live));
                delete.push(name.to_owned());
            }
            Some(_) | None => {}
        }
    }
    if !set.is_empty() || !delete.is_empty() {
        out.changes.push(HaChange::Update { set, delete });
    }
    out
}

fn added(wanted: &Ha, runs: bool) -> HaComparison {
    let state = wanted.state.word();
    let said = properties(wanted).into_iter().filter_map(|(name, value, _)| Some((name, value?)));
    let mut set: BTreeMap<String, String> = said.map(|(n, v)| (n.to_owned(), v)).collect();
    set.insert("state".to_owned(), state.to_owned());
    HaComparison {
        changes: vec![HaChange::Add { set }],
        attributes: vec![attribute("ha", None, Some(state), of_state(wanted.state, runs))],
    }
}

fn properties(wanted: &Ha) -> [Property; 4] {
    [
        ("max_restart", wanted.max_restart.map(|n| n.to_string()), "1"),
        ("max_relocate", wanted.max_relocate.map(|n| n.to_string()), "1"),
        ("failback", wanted.failback.map(|flag| format_boolean(flag).to_owned()), "1"),
        ("comment", wanted.comment.clone(), ""),
    ]
}

/// The state that is asked of the manager.
fn request(live: &Properties) -> &str {
    match live.get("state").map_or("started", String::as_str) {
        "enabled" => "started",
        state => state,
    }
}

/// The manager starts and stops guests so that they are as it was told.
fn of_state(state: HaState, runs: bool) -> Effect {
    match (state.power(), runs) {
        (Some(Power::Running), false) => Effect::Start,
        (Some(Power::Stopped), true) => Effect::Stop,
        _ => Effect::Live,
    }
}

/// What must change in a rule.
pub(super) fn rule(wanted: &HaRule<'_>, live: Option<&Properties>) -> HaComparison {
    let full = written(wanted);
    let name = wanted.name.clone();
    let add = || HaChange::AddRule { rule: name.clone(), set: full.clone() };
    let (path, after) = words(wanted);
    let said =
        |before: Option<String>| attribute(path, before.as_deref(), Some(&after), Effect::Live);
    let Some(live) = live else {
        return HaComparison { changes: vec![add()], attributes: vec![said(None)] };
    };
    let live_vmids = vmids(live.get("resources").map_or("", String::as_str));
    let other_type = live.get("type") != full.get("type");
    if other_type || live_vmids.is_disjoint(&wanted.vmids) {
        // Proxmox removes a rule with its last guest, so it may be gone by then.
        let changes = vec![HaChange::RemoveRule { rule: name.clone() }, add()];
        return HaComparison { changes, attributes: vec![said(Some(words_of(live)))] };
    }
    let mut set: BTreeMap<String, String> = BTreeMap::new();
    let mut delete: Vec<String> = Vec::new();
    for (key, value) in full.iter().filter(|(key, _)| *key != "type") {
        if !is_same(key, live.get(key).map(String::as_str), value) {
            set.insert(key.clone(), value.clone());
        }
    }
    let dropped = matches!(wanted.kind, HaRuleKind::Nodes { strict_dropped: true, .. });
    if dropped && is_on(live.get("strict")) {
        delete.push("strict".to_owned());
    }
    // A rule that somebody disabled does not hold, and documents say that it does.
    if is_on(live.get("disable")) {
        delete.push("disable".to_owned());
    }
    if set.is_empty() && delete.is_empty() {
        return HaComparison::default();
    }
    set.extend(full.get_key_value("type").map(|(key, value)| (key.clone(), value.clone())));
    let changes = vec![HaChange::UpdateRule { rule: name.clone(), set, delete }];
    HaComparison { changes, attributes: vec![said(Some(words_of(live)))] }
}

/// All properties that documents give a rule.
fn written(wanted: &HaRule<'_>) -> Properties {
    let sids: Vec<String> = wanted.vmids.iter().map(|vmid| format!("vm:{vmid}")).collect();
    let mut out = Properties::from([("resources".to_owned(), sids.join(","))]);
    let mut put = |key: &str, value: &str| drop(out.insert(key.to_owned(), value.to_owned()));
    match &wanted.kind {
        HaRuleKind::Nodes { nodes, strict, .. } => {
            put("type", "node-affinity");
            put("nodes", &node_list(nodes));
            if let Some(strict) = strict {
                put("strict", format_boolean(*strict));
            }
        }
        HaRuleKind::Affinity(affinity) => {
            put("type", "resource-affinity");
            let word = if *affinity == Affinity::Together { "positive" } else { "negative" };
            put("affinity", word);
        }
    }
    out
}

fn node_list(nodes: &BTreeMap<String, u32>) -> String {
    let entry = |(node, priority): (&String, &u32)| match priority {
        0 => node.clone(),
        priority => format!("{node}:{priority}"),
    };
    nodes.iter().map(entry).collect::<Vec<_>>().join(",")
}

fn is_same(key: &str, stored: Option<&str>, wanted: &str) -> bool {
    let Some(stored) = stored else { return key == "strict" && wanted == "0" };
    match key {
        "resources" => parts(stored) == parts(wanted),
        "nodes" => priorities(stored) == priorities(wanted),
        _ => stored == wanted,
    }
}

fn parts(list: &str) -> BTreeSet<&str> {
    list.split([',', ';', ' ']).filter(|part| !part.is_empty()).collect()
}

fn priorities(list: &str) -> BTreeMap<&str, u32> {
    let entry = |part| match str::split_once(part, ':') {
        Some((node, priority)) => (node, priority.parse().unwrap_or(0)),
        None => (part, 0),
    };
    parts(list).into_iter().map(entry).collect()
}

fn is_on(value: Option<&String>) -> bool {
    value.is_some_and(|value| value == "1")
}

/// The attribute that a rule is shown as, and its value.
fn words(wanted: &HaRule<'_>) -> (&'static str, String) {
    match &wanted.kind {
        HaRuleKind::Nodes { .. } => ("ha.nodes", words_of(&written(wanted))),
        HaRuleKind::Affinity(_) => ("ha.affinity", words_of(&written(wanted))),
    }
}

/// `pve1:2,pve2 strict`; `apart: 1001, 1002`.
fn words_of(rule: &Properties) -> String {
    let text = |key: &str| rule.get(key).map_or("", String::as_str);
    let strict = if is_on(rule.get("strict")) { " strict" } else { "" };
    let disabled = if is_on(rule.get("disable")) { " (disabled)" } else { "" };
    match text("affinity") {
        "" => format!("{}{strict}{disabled}", text("nodes")),
        word => {
            let word = if word == "positive" { Affinity::Together } else { Affinity::Apart }.word();
            let vmids = vmids(text("resources"));
            let vmids: Vec<String> = vmids.iter().map(u32::to_string).collect();
            format!("{word}: {}{disabled}", vmids.join(", "))
        }
    }
}

fn attribute(
    path: &str,
    before: Option<&str>,
    after: Option<&str>,
    effect: Effect,
) -> AttributeChange {
    let reason = match after {
        Some(_) => "differs from the documents",
        None => "no longer in the documents: back to Proxmox's default",
    };
    AttributeChange {
        path: path.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
        effect,
        reason: reason.to_owned(),
    }
}
