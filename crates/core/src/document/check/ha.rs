//! What guests say of HA goes together with what else they say, and with what Proxmox VE takes.

use std::collections::{BTreeSet, HashSet};

use super::super::decode::config::unknown_node;
use crate::desired::{Desired, Guest, Ha, HaState, Placement, Power};
use crate::diagnostic::{Diagnostic, Spanned};

pub(in crate::document) fn check(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    // What a group says is the same in all its guests, and said once.
    let mut said = HashSet::new();
    for guest in desired.guests() {
        let Some(ha) = &guest.spec.ha else { continue };
        let found = [
            power(guest, ha),
            unknown(guest, ha, desired),
            strict(guest, ha),
            pinned(guest, ha),
            priorities(guest, ha),
            alone(guest, ha),
        ];
        for problem in found.into_iter().flatten() {
            if said.insert((problem.message.clone(), guest.place("ha"))) {
                problems.push(problem);
            }
        }
    }
}

/// The HA manager starts and stops guests: two masters would undo each other's work.
fn power(guest: &Guest, ha: &Ha) -> Option<Diagnostic> {
    let by_ha = ha.state.power()?;
    if guest.power == Power::Unmanaged || guest.power == by_ha {
        return None;
    }
    let word = |power| if power == Power::Running { "running" } else { "stopped" };
    let text =
        format!("'power: {}' and 'ha: {}' exclude each other", word(guest.power), ha.state.word());
    let help = format!(
        "take 'power' out: the HA manager keeps the guest {}; or give it 'ha: {}'",
        word(by_ha),
        if by_ha == Power::Running { HaState::Stopped } else { HaState::Started }.word()
    );
    Some(
        Diagnostic::error("conflict", text)
            .at(guest.place("ha.state"), "what the HA manager is told")
            .at(guest.place("power"), "what pvx is told")
            .help(help),
    )
}

fn unknown(guest: &Guest, ha: &Ha, desired: &Desired) -> Option<Diagnostic> {
    let known = &desired.scope.nodes;
    if known.is_empty() {
        return None;
    }
    let is_unknown = |node: &&String| !known.iter().any(|known| known.value == **node);
    let node = ha.nodes.keys().find(is_unknown)?;
    Some(unknown_node(&Spanned::new(node.clone(), guest.place("ha.nodes")), known))
}

/// A guest that is put where its strict rule does not let it be is moved or stopped at once.
fn strict(guest: &Guest, ha: &Ha) -> Option<Diagnostic> {
    let Placement::Node(node) = &guest.placement else { return None };
    if ha.strict != Some(true) || ha.nodes.contains_key(node) {
        return None;
    }
    let text = format!("node {node} is none of the nodes that 'ha.strict' keeps the guest on");
    Some(
        Diagnostic::error("conflict", text)
            .at(guest.place("node"), "put here")
            .at(guest.place("ha.nodes"), "kept on these")
            .help(format!("add {node} to 'ha.nodes', or choose another node")),
    )
}

/// A pinned guest that the HA manager prefers elsewhere would go to and fro for ever.
fn pinned(guest: &Guest, ha: &Ha) -> Option<Diagnostic> {
    let Placement::Node(node) = &guest.placement else { return None };
    let goes_back = ha.failback != Some(false) && !ha.nodes.is_empty();
    if !guest.pinned || !goes_back || ha.best_nodes().any(|best| best == node) {
        return None;
    }
    let best: Vec<&str> = ha.best_nodes().collect();
    let text = format!(
        "'placement: pinned' keeps the guest on {node}, 'ha.nodes' prefers {}",
        best.join(", ")
    );
    Some(
        Diagnostic::error("conflict", text)
            .at(guest.place("node"), "pinned here")
            .at(guest.place("ha.nodes"), "preferred elsewhere")
            .help(format!(
                "give {node} the highest priority, say 'failback: false', or do not pin it"
            )),
    )
}

/// `resources are in node affinity rules with multiple priorities` (pve-ha-manager `HA/Rules.pm`).
fn priorities(guest: &Guest, ha: &Ha) -> Option<Diagnostic> {
    ha.affinity?;
    let several = ha.nodes.values().collect::<BTreeSet<_>>().len() > 1;
    several.then(|| {
        Diagnostic::error(
            "conflict",
            "'ha.affinity' and nodes of several priorities exclude each other",
        )
        .at(guest.place("ha.nodes"), "priorities differ")
        .at(guest.place("ha.affinity"), "affinity to others")
        .help("give all nodes the same priority: Proxmox VE takes no such pair of rules")
    })
}

/// A standalone VM has no group.
fn alone(guest: &Guest, ha: &Ha) -> Option<Diagnostic> {
    ha.affinity?;
    guest.group.is_empty().then(|| {
        Diagnostic::error("conflict", "'ha.affinity' is about the guests of a group")
            .at(guest.place("ha.affinity"), "a standalone VM has none")
            .help("take it out")
    })
}
