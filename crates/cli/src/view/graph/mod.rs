//! The actions of a plan and what waits for what: as a picture, and for other programs.

pub(crate) mod dot;
mod fold;
mod layout;
pub(crate) mod mermaid;
mod route;
pub(crate) mod svg;
#[cfg(test)]
mod tests;
mod what;

use pvx_core::plan::{Action, ActionId, Plan};
use serde::Serialize;

use super::review::{Cost, class};

/// The version of the JSON form.
const VERSION: u32 = 1;

/// Actions and their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Graph {
    version: u32,
    /// The live cluster.
    cluster: String,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Node {
    /// Its number in the plan.
    id: u32,
    address: String,
    vmid: u32,
    /// The node that is asked.
    node: String,
    verb: &'static str,
    /// A few words on it; may be empty.
    what: String,
    /// What it costs, in a word.
    effect: &'static str,
    #[serde(skip)]
    class: &'static str,
    /// Length of the longest chain of actions before it.
    rank: usize,
    reason: String,
}

/// `to` waits for `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Edge {
    from: u32,
    to: u32,
}

impl Graph {
    /// Of a plan.
    pub(crate) fn of(plan: &Plan) -> Self {
        let ranks = ranks(plan);
        let rank = |id: ActionId| ranks.get(id.0 as usize).copied().unwrap_or(0);
        let nodes = plan.actions.iter().map(|action| node(action, rank(action.id))).collect();
        let edges = plan.actions.iter().flat_map(|action| {
            let needs = plan.actions.needs(action.id);
            needs.into_iter().map(|need| Edge { from: need.0, to: action.id.0 })
        });
        let edges = edges.collect();
        Self { version: VERSION, cluster: plan.cluster.clone(), nodes, edges }
    }

    /// Nothing to draw?
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}

fn node(action: &Action, rank: usize) -> Node {
    Node {
        id: action.id.0,
        address: action.address.to_string(),
        vmid: action.vmid,
        node: action.node.clone(),
        verb: action.kind.verb(),
        what: what::words(&action.kind),
        effect: Cost::of(action.effect).word,
        class: class(action.effect),
        rank,
        reason: action.reason.text.clone(),
    }
}

fn ranks(plan: &Plan) -> Vec<usize> {
    let mut ranks = vec![0; plan.actions.len()];
    // Without an order there is no rank: a plan that waits for itself is never made.
    for id in plan.actions.sequence().unwrap_or_default() {
        let needs = plan.actions.needs(id);
        let before = needs.iter().filter_map(|need| ranks.get(need.0 as usize)).max();
        let rank = before.map_or(0, |rank| rank + 1);
        if let Some(slot) = ranks.get_mut(id.0 as usize) {
            *slot = rank;
        }
    }
    ranks
}
