//! On which node a new guest is made.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Guest, Placement};
use crate::plan::Finding;

use super::Input;

/// Nodes that may be chosen, and how much memory is promised on each.
#[derive(Debug)]
pub(super) struct Nodes {
    names: Vec<String>,
    memory: BTreeMap<String, u64>,
    promised: BTreeMap<String, u64>,
}

/// A guest without a stated memory counts as this much (Proxmox's own default, in bytes).
const DEFAULT_MEMORY: u64 = 512 << 20;

impl Nodes {
    /// Online nodes in the order of the configuration, else by name.
    pub(super) fn new(input: &Input<'_>) -> Self {
        let inventory = &input.snapshot.inventory;
        let configured = &input.desired.scope.nodes;
        let mut names: Vec<String> = inventory.online_nodes().map(str::to_owned).collect();
        if !configured.is_empty() {
            let position = |name: &str| configured.iter().position(|n| n.value == name);
            names.retain(|name| position(name).is_some());
            names.sort_by_key(|name| position(name));
        }
        let mut promised: BTreeMap<String, u64> = BTreeMap::new();
        for guest in inventory.guests.values().filter(|g| !g.template) {
            *promised.entry(guest.node.clone()).or_default() += guest.memory;
        }
        let memory = inventory.nodes.iter().map(|(name, n)| (name.clone(), n.memory)).collect();
        Self { names, memory, promised }
    }

    /// The node for the guest that is number `index` of its group; `group_nodes` are the nodes
    /// where the group has guests already.
    pub(super) fn choose(
        &mut self,
        guest: &Guest,
        index: usize,
        group_nodes: &BTreeSet<String>,
        input: &Input<'_>,
    ) -> Result<String, Finding> {
        let node = match &guest.placement {
            Placement::Node(node) => self.named(guest, node, input)?,
            Placement::Spread => self.round_robin(guest, index)?,
            Placement::Pack => self.fewest(guest, group_nodes, input)?,
        };
        *self.promised.entry(node.clone()).or_default() += need(guest);
        Ok(node)
    }

    fn named(&self, guest: &Guest, node: &str, input: &Input<'_>) -> Result<String, Finding> {
        let at = |finding: Finding| finding.about(&guest.address).at(guest.place("node"));
        match input.snapshot.inventory.nodes.get(node) {
            Some(live) if live.online => Ok(node.to_owned()),
            Some(_) => Err(at(Finding::error("node-offline", format!("node {node} is offline")))
                .help("wait until it is back, or give the guest another node")),
            None => {
                let known: Vec<_> =
                    input.snapshot.inventory.nodes.keys().map(String::as_str).collect();
                Err(at(Finding::error("node-missing", format!("the cluster has no node {node}")))
                    .help(format!("its nodes are {}", known.join(", "))))
            }
        }
    }

    fn round_robin(&self, guest: &Guest, index: usize) -> Result<String, Finding> {
        let names = self.preferred(guest);
        let place = index.checked_rem(names.len()).and_then(|i| names.get(i));
        place.map(|name| (*name).clone()).ok_or_else(|| no_nodes(guest))
    }

    fn fewest(
        &self,
        guest: &Guest,
        group_nodes: &BTreeSet<String>,
        input: &Input<'_>,
    ) -> Result<String, Finding> {
        let mut order = self.preferred(guest);
        order.sort_by_key(|name| !group_nodes.contains(*name));
        let seat = input.options.seats.get(&guest.address);
        order.sort_by_key(|name| seat.is_none_or(|seat| seat.node != **name));
        let fits = order.iter().find(|name| self.free(name) >= need(guest));
        // Nothing fits: the roomiest, and of equals the one that would have come first.
        let roomiest = || order.iter().min_by_key(|name| Reverse(self.free(name)));
        fits.or_else(roomiest).map(|name| (*name).clone()).ok_or_else(|| no_nodes(guest))
    }

    /// Nodes to choose from: those that the HA manager would move the guest to anyway, the best
    /// first, as far as they are there.
    fn preferred(&self, guest: &Guest) -> Vec<&String> {
        let ha = guest.spec.ha.as_ref();
        let best: Vec<&str> = ha.map(|ha| ha.best_nodes().collect()).unwrap_or_default();
        let any = |name: &str| ha.is_some_and(|ha| ha.nodes.contains_key(name));
        let pick = |wanted: &dyn Fn(&str) -> bool| -> Vec<&String> {
            self.names.iter().filter(|name| wanted(name)).collect()
        };
        let choices = [pick(&|name| best.contains(&name)), pick(&any)];
        let first = choices.into_iter().find(|names| !names.is_empty());
        let strict = ha.is_some_and(|ha| ha.strict == Some(true) && !ha.nodes.is_empty());
        first.unwrap_or_else(|| self.names.iter().filter(|_| !strict).collect())
    }

    fn free(&self, node: &str) -> u64 {
        let total = self.memory.get(node).copied().unwrap_or(0);
        total.saturating_sub(self.promised.get(node).copied().unwrap_or(0))
    }
}

fn need(guest: &Guest) -> u64 {
    guest.spec.memory().map_or(DEFAULT_MEMORY, |mib| mib << 20)
}

fn no_nodes(guest: &Guest) -> Finding {
    Finding::error("no-node", "no node that it may be on is online")
        .about(&guest.address)
        .at(guest.span)
        .help("compare cluster.nodes in cluster-config.yaml, and `ha.nodes`, with `pvx status`")
}
