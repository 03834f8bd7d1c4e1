//! The choice of a node for a service (`PVE::HA::Manager::select_service_node`).

use std::collections::{BTreeMap, BTreeSet};

use super::config::{Service, State};
use super::rules::Compiled;
use crate::world::World;

/// What to prefer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preference {
    /// To stay.
    Stay,
    /// The node with the fewest services.
    Best,
    /// The best of those where it did not fail.
    Next,
}

/// Nodes that the manager sees.
pub(crate) fn online(world: &World) -> BTreeSet<String> {
    let lost = &world.ha.lost;
    let nodes = world.nodes().filter(|node| node.online && !lost.contains_key(&node.name));
    nodes.map(|node| node.name.clone()).collect()
}

/// Nodes that a service uses: where it is, and where it goes.
fn used(service: &Service, online: &BTreeSet<String>) -> (Option<String>, Option<String>) {
    let seen = |node: &String| online.contains(node);
    if matches!(service.state, State::Stopped | State::RequestStart) {
        return (None, None);
    }
    let moves = matches!(service.state, State::Migrate | State::Relocate);
    let target = service.target.clone().filter(|node| moves && seen(node));
    (Some(service.node.clone()).filter(seen), target)
}

/// How many services each node has.
fn load(world: &World, online: &BTreeSet<String>) -> BTreeMap<String, usize> {
    let mut count: BTreeMap<String, usize> = online.iter().map(|node| (node.clone(), 0)).collect();
    for service in world.ha.services.values() {
        let (here, target) = used(service, online);
        let places: BTreeSet<String> = here.into_iter().chain(target).collect();
        for node in places {
            *count.entry(node).or_default() += 1;
        }
    }
    count
}

/// The node for a service, if any will do.
pub(crate) fn select(
    world: &World,
    rules: &Compiled,
    sid: &str,
    prefer: Preference,
) -> Option<String> {
    let service = world.ha.services.get(sid)?;
    let failback =
        world.ha.resources.get(sid).is_none_or(|resource| resource.failback != Some(false));
    let online = online(world);
    let (allowed, mut preferred) = affinity(rules, sid, &online);
    if preferred.is_empty() {
        return None;
    }
    let places = |other: &String| {
        world.ha.services.get(other).map_or((None, None), |service| used(service, &online))
    };
    let mut together: BTreeMap<String, usize> = BTreeMap::new();
    for other in rules.together(sid) {
        let (here, target) = places(other);
        if let Some(node) = target.or(here) {
            *together.entry(node).or_default() += 1;
        }
    }
    let mut apart: BTreeSet<String> = BTreeSet::new();
    for other in rules.apart(sid) {
        let (here, target) = places(other);
        apart.extend(here.into_iter().chain(target));
    }
    let here = &service.node;
    let fits = together.contains_key(here) || !apart.contains(here);
    if prefer == Preference::Stay && !failback && allowed.contains(here) && fits {
        return Some(here.clone());
    }
    if prefer == Preference::Next {
        preferred.retain(|node| !service.failed_nodes.contains(node));
    }
    preferred.retain(|node| !apart.contains(node));
    together.retain(|node, _| preferred.contains(node));
    if let Some(most) = together.values().max() {
        let node = together.iter().find(|(_, count)| *count == most).map(|(node, _)| node.clone());
        preferred.retain(|found| Some(found) == node.as_ref());
    }
    if prefer == Preference::Stay && preferred.contains(here) {
        return Some(here.clone());
    }
    best(world, &online, preferred, here, prefer)
}

/// Nodes that are allowed, and those of the highest priority among them.
fn affinity(
    rules: &Compiled,
    sid: &str,
    online: &BTreeSet<String>,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let Some(nodes) = rules.nodes.get(sid) else { return (online.clone(), online.clone()) };
    let seen: Vec<(&String, i64)> =
        nodes.iter().filter(|(node, _)| online.contains(*node)).map(|(n, p)| (n, *p)).collect();
    let highest = seen.iter().map(|(_, priority)| *priority).max();
    let preferred = seen.iter().filter(|(_, priority)| Some(*priority) == highest);
    let preferred = preferred.map(|(node, _)| (*node).clone()).collect();
    (seen.iter().map(|(node, _)| (*node).clone()).collect(), preferred)
}

fn best(
    world: &World,
    online: &BTreeSet<String>,
    preferred: BTreeSet<String>,
    here: &str,
    prefer: Preference,
) -> Option<String> {
    let load = load(world, online);
    let mut nodes: Vec<String> = preferred.into_iter().collect();
    nodes.sort_by_key(|node| (load.get(node).copied().unwrap_or(0), node.clone()));
    let found = nodes.iter().position(|node| node == here);
    match (prefer, found) {
        (Preference::Next, Some(index)) if index + 1 < nodes.len() => nodes.get(index + 1).cloned(),
        _ => nodes.first().cloned(),
    }
}
