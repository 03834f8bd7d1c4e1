//! Collects actions, changes and findings while a plan is made.

use std::collections::BTreeMap;

use super::keep::Keepers;
use super::ownership::Ownership;
use super::vmid::Vmids;
use super::{Input, Options};
use crate::address::Address;
use crate::plan::{
    self, Action, ActionGraph, ActionId, ActionKind, Change, Effect, Finding, Held, Intent, Plan,
    Precondition, ProfileSummary, Reason,
};
use crate::state::Remembered;

/// The way out of a node that does not answer.
pub(super) const WAIT: &str = "wait until the node is back, then plan again";

/// The way out of a lock.
pub(super) const UNLOCK: &str =
    "wait for the task that holds the lock, or look at it with `qm unlock` in mind";

/// One action before it has a number.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Another guest than the one whose change it is: the keeper of its disks.
    pub(super) vmid: Option<u32>,
    pub(super) node: String,
    pub(super) kind: ActionKind,
    pub(super) reason: Reason,
    pub(super) effect: Effect,
    pub(super) preconditions: Vec<Precondition>,
    pub(super) storages: Vec<String>,
}

impl Step {
    pub(super) fn new(node: &str, kind: ActionKind, reason: Reason, effect: Effect) -> Self {
        Self {
            vmid: None,
            node: node.to_owned(),
            kind,
            reason,
            effect,
            preconditions: Vec::new(),
            storages: Vec::new(),
        }
    }

    /// Done to another guest.
    pub(super) fn to(mut self, vmid: u32) -> Self {
        self.vmid = Some(vmid);
        self
    }

    pub(super) fn requires(mut self, precondition: Precondition) -> Self {
        self.preconditions.push(precondition);
        self
    }

    pub(super) fn on_storages(mut self, storages: impl IntoIterator<Item = String>) -> Self {
        self.storages = storages.into_iter().collect();
        self.storages.sort_unstable();
        self
    }
}

pub(super) struct Builder<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) actions: ActionGraph,
    pub(super) changes: Vec<Change>,
    pub(super) held: Vec<Held>,
    pub(super) findings: Vec<Finding>,
    pub(super) outcomes: BTreeMap<Address, Remembered>,
    /// VMIDs that new guests can have.
    pub(super) vmids: Vmids,
    /// Guests that hold kept disks.
    pub(super) keepers: Keepers,
    pub(super) moved: BTreeMap<Address, Address>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            actions: ActionGraph::default(),
            changes: Vec::new(),
            held: Vec::new(),
            findings: Vec::new(),
            outcomes: BTreeMap::new(),
            vmids: Vmids::new(
                input.desired,
                &input.snapshot.inventory,
                &input.options.taken,
                &input.options.avoided,
            ),
            keepers: Keepers::of(input),
            moved: BTreeMap::new(),
        }
    }

    /// Is this guest meant by `--target`?
    pub(super) fn is_target(&self, address: &Address) -> bool {
        is_target(self.input.options, address)
    }

    /// Is the whole profile of this key meant by `--target`?
    pub(super) fn is_profile_target(&self, key: &str) -> bool {
        let targets = &self.input.options.targets;
        targets.is_empty() || targets.iter().any(|target| target == key)
    }

    /// Adds the steps of one guest, each waiting for the one before.
    pub(super) fn chain(
        &mut self,
        address: &Address,
        vmid: u32,
        steps: Vec<Step>,
    ) -> Vec<ActionId> {
        let mut ids: Vec<ActionId> = Vec::new();
        for step in steps {
            let id = self.actions.add(Action {
                id: ActionId(0),
                address: address.clone(),
                vmid: step.vmid.unwrap_or(vmid),
                node: step.node,
                kind: step.kind,
                reason: step.reason,
                effect: step.effect,
                preconditions: step.preconditions,
                storages: step.storages,
            });
            if let Some(before) = ids.last() {
                self.actions.order(*before, id);
            }
            ids.push(id);
        }
        ids
    }

    /// The cluster must accept writes.
    pub(super) fn check_cluster(&mut self) {
        let inventory = &self.input.snapshot.inventory;
        if !inventory.quorate {
            self.findings.push(
                Finding::error(
                    "no-quorum",
                    format!("cluster {} has no quorum: it refuses every write", inventory.cluster),
                )
                .help("bring nodes back until `pvecm status` says Quorate: Yes"),
            );
        }
        for (name, node) in &inventory.nodes {
            if !node.online {
                self.findings.push(Finding::warning(
                    "node-offline",
                    format!("node {name} is offline: its guests are left as they are"),
                ));
            }
        }
        for node in &self.input.desired.scope.nodes {
            if !inventory.nodes.is_empty() && !inventory.nodes.contains_key(&node.value) {
                self.findings.push(
                    Finding::warning(
                        "node-missing",
                        format!("cluster {} has no node {}", inventory.cluster, node.value),
                    )
                    .at(node.span)
                    .help("cluster.nodes[].name is the name that Proxmox shows"),
                );
            }
        }
    }

    /// Every `--replace` must name a guest of the documents.
    pub(super) fn check_replace(&mut self) {
        for asked in &self.input.options.replace {
            let mut known = self.input.desired.guests();
            if !known.any(|guest| guest.address.to_string() == *asked) {
                let text = format!("--replace {asked} matches no guest of the documents");
                let finding = Finding::error("unknown-replace", text);
                self.findings.push(finding.help("name one guest (k3s/worker02)"));
            }
        }
    }

    /// Every `--target` must mean something.
    pub(super) fn check_targets(&mut self, ownership: &Ownership) {
        for target in &self.input.options.targets {
            let wanted = self.input.desired.guests().map(|guest| &guest.address);
            let mut known = wanted.chain(ownership.owned().map(|(address, _)| address));
            if !known.any(|address| matches_target(target, address)) {
                self.findings.push(
                    Finding::error(
                        "unknown-target",
                        format!("--target {target} matches no guest, neither of the documents nor owned by them"),
                    )
                    .help("name a guest (k3s/worker02) or a profile (k3s)"),
                );
            }
        }
    }

    pub(super) fn finish(self, intent: Intent, profiles: Vec<ProfileSummary>) -> Plan {
        let inventory = &self.input.snapshot.inventory;
        let mut changes = self.changes;
        let mut order: BTreeMap<&Address, usize> = BTreeMap::new();
        for (place, guest) in self.input.desired.guests().enumerate() {
            order.entry(&guest.address).or_insert(place);
        }
        let place = |address: &Address| order.get(address).copied().unwrap_or(usize::MAX);
        changes.sort_by_cached_key(|c| (place(&c.address), c.address.clone()));
        Plan {
            nodes: (inventory.online_nodes().count(), inventory.nodes.len()),
            quorate: inventory.quorate,
            profiles,
            changes,
            storages: plan::storage::stores(&self.actions, inventory),
            actions: self.actions,
            held: self.held,
            findings: self.findings,
            outcomes: self.outcomes,
            moved: self.moved,
            ..Plan::new(intent, &inventory.cluster)
        }
    }
}

/// Is this guest meant by `--target`?
pub(crate) fn is_target(options: &Options, address: &Address) -> bool {
    let targets = &options.targets;
    targets.is_empty() || targets.iter().any(|target| matches_target(target, address))
}

/// A target is an address, the name of a whole profile, or its key in state (`vm.gitea`).
pub(crate) fn matches_target(target: &str, address: &Address) -> bool {
    target == address.profile() || target == address.key() || target == address.to_string()
}
