//! Guests that go through the same are drawn once. Two lanes are alike when their actions are and,
//! step by step, what these wait for and unlock is alike too: partition refinement.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Edge, Node};

/// Fewer lanes than this are all drawn.
const FEW: usize = 12;
/// Fewer lanes alike than this are all drawn.
const ALIKE: usize = 3;
/// Guests that wait for each other in a longer chain are told apart no further.
const ROUNDS: usize = 16;

/// The actions of one guest, or of all that are like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lane {
    /// Indices of the nodes of the guest that is drawn.
    pub(super) nodes: Vec<usize>,
    /// Addresses of the guests that are like it.
    pub(super) like: Vec<String>,
}

/// The lanes that are drawn, and for each node the one that stands for it.
pub(super) fn fold(nodes: &[Node], edges: &[Edge]) -> (Vec<Lane>, Vec<usize>) {
    let lanes = lanes(nodes);
    let mut stands: Vec<usize> = (0..nodes.len()).collect();
    if lanes.len() <= FEW {
        let lanes = lanes.into_iter().map(|nodes| Lane { nodes, like: Vec::new() });
        return (lanes.collect(), stands);
    }
    let colours = colours(nodes, edges, &lanes);
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    for colour in &colours {
        *sizes.entry(*colour).or_default() += 1;
    }
    let mut drawn: Vec<Lane> = Vec::new();
    let mut first: HashMap<usize, usize> = HashMap::new();
    for (lane, colour) in lanes.into_iter().zip(colours) {
        let many = sizes.get(&colour).is_some_and(|size| *size >= ALIKE);
        let known = first.get(&colour).copied().filter(|_| many);
        let Some(known) = known.and_then(|known| drawn.get_mut(known)) else {
            first.insert(colour, drawn.len());
            drawn.push(Lane { nodes: lane, like: Vec::new() });
            continue;
        };
        for (node, shown) in lane.iter().zip(&known.nodes) {
            if let Some(slot) = stands.get_mut(*node) {
                *slot = *shown;
            }
        }
        let name = lane.first().and_then(|node| nodes.get(*node)).map(|node| node.address.clone());
        known.like.extend(name);
    }
    (drawn, stands)
}

/// The nodes of each guest, guests in the order of the plan.
fn lanes(nodes: &[Node]) -> Vec<Vec<usize>> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut lanes: Vec<Vec<usize>> = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let lane = *known.entry(&node.address).or_insert(lanes.len());
        match lanes.get_mut(lane) {
            Some(lane) => lane.push(index),
            None => lanes.push(vec![index]),
        }
    }
    lanes
}

/// For every lane a number that the lanes like it share.
fn colours(nodes: &[Node], edges: &[Edge], lanes: &[Vec<usize>]) -> Vec<usize> {
    let mut place = vec![(0, 0); nodes.len()];
    for (lane, list) in lanes.iter().enumerate() {
        for (position, node) in list.iter().enumerate() {
            if let Some(slot) = place.get_mut(*node) {
                *slot = (lane, position);
            }
        }
    }
    let at = |id: u32| place.get(id as usize).copied().unwrap_or_default();
    let mut links: Vec<BTreeSet<(usize, bool, usize, usize)>> = vec![BTreeSet::new(); lanes.len()];
    for edge in edges {
        let (from, to) = (at(edge.from), at(edge.to));
        for (here, there, forward) in [(from, to, true), (to, from, false)] {
            if let Some(list) = links.get_mut(here.0) {
                list.insert((here.1, forward, there.0, there.1));
            }
        }
    }
    let mut colours = numbered(lanes.iter().map(|lane| signature(nodes, lane)));
    for _ in 0..ROUNDS {
        let finer = numbered(colours.iter().zip(&links).map(|(own, links)| {
            let seen = links.iter().map(|(position, forward, lane, other)| {
                (*position, *forward, colours.get(*lane).copied(), *other)
            });
            (*own, seen.collect::<BTreeSet<_>>())
        }));
        if finer == colours {
            break;
        }
        colours = finer;
    }
    colours
}

fn signature<'a>(nodes: &'a [Node], lane: &[usize]) -> Vec<(usize, &'a str, &'a str, &'a str)> {
    let part = |node: &'a Node| (node.rank, node.verb, node.what.as_str(), node.effect);
    lane.iter().filter_map(|index| nodes.get(*index)).map(part).collect()
}

/// Equal keys get equal numbers, in the order in which they come.
fn numbered<K: Ord>(keys: impl Iterator<Item = K>) -> Vec<usize> {
    let mut known: BTreeMap<K, usize> = BTreeMap::new();
    keys.map(|key| {
        let next = known.len();
        *known.entry(key).or_insert(next)
    })
    .collect()
}
