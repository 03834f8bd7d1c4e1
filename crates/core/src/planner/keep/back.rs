//! Kept disks on their way back to their guest.

use std::collections::{BTreeMap, BTreeSet};

use super::owned;
use crate::address::Address;
use crate::desired::{Guest, Placement, Profile};
use crate::live;
use crate::plan::{ActionKind, AttributeChange, Effect, Finding, Precondition, Reason};
use crate::planner::Input;
use crate::planner::build::{Builder, Step, UNLOCK, WAIT};
use crate::planner::template::check_storage;
use crate::provider::Comparison;

/// A keeper and what it holds, as it is or as the steps before leave it.
#[derive(Debug, Clone)]
pub(in crate::planner) struct Holding {
    pub(super) vmid: u32,
    pub(super) node: String,
    /// Drives by slot.
    pub(super) disks: BTreeMap<String, String>,
    /// It holds more than disks in slots.
    pub(super) others: bool,
}

impl Holding {
    pub(super) fn of(input: &Input<'_>, keeper: &live::Guest) -> Self {
        let volumes = input.kind.volumes(keeper);
        let value = |slot: &String| keeper.config.get(slot).cloned().unwrap_or_default();
        let disks = volumes.iter().filter(|v| v.is_disk());
        Self {
            vmid: keeper.vmid,
            node: keeper.node.clone(),
            disks: disks.map(|v| (v.slot.clone(), value(&v.slot))).collect(),
            others: volumes.iter().any(|v| !v.is_disk()),
        }
    }

    /// Storages of its disks.
    fn storages(&self, input: &Input<'_>) -> BTreeSet<String> {
        let config = self.disks.clone();
        let held = live::Guest { config, ..live::Guest::default() };
        input.kind.volumes(&held).into_iter().map(|v| v.storage).collect()
    }

    /// Brings the keeper to a node: a disk changes hands on one node only.
    pub(super) fn migration(
        &self,
        builder: &Builder<'_>,
        node: &str,
        address: &Address,
        proof: &Precondition,
        reason: &Reason,
    ) -> Result<Vec<Step>, Finding> {
        if self.node == node {
            return Ok(Vec::new());
        }
        let inventory = &builder.input.snapshot.inventory;
        if !inventory.nodes.get(&self.node).is_some_and(|n| n.online) {
            let text = format!(
                "guest {} keeps disks of {address} and is on {}, which is offline",
                self.vmid, self.node
            );
            return Err(Finding::error("node-offline", text).about(address).help(WAIT));
        }
        let storages = self.storages(builder.input);
        let local: BTreeSet<String> =
            storages.into_iter().filter(|s| !inventory.is_shared(s)).collect();
        let kind = ActionKind::Migrate {
            target: node.to_owned(),
            online: false,
            with_local_disks: !local.is_empty(),
        };
        let step = Step::new(&self.node, kind, reason.clone(), Effect::Migrate);
        Ok(vec![step.to(self.vmid).requires(proof.clone()).on_storages(local)])
    }
}

/// What brings kept disks back to a guest.
#[derive(Default)]
pub(in crate::planner) struct Back {
    /// The guest with them.
    pub(in crate::planner) base: live::Guest,
    /// The slots they come to.
    pub(in crate::planner) slots: BTreeSet<String>,
    /// Run when the guest is there.
    pub(in crate::planner) first: Vec<Step>,
    /// Run when the disks are there: an empty keeper goes.
    pub(in crate::planner) last: Vec<Step>,
}

/// The node where a guest's kept disks are, when its documents leave the node open.
pub(in crate::planner) fn home(builder: &Builder<'_>, guest: &Guest) -> Option<String> {
    if matches!(guest.placement, Placement::Node(_)) {
        return None;
    }
    let input = builder.input;
    let keeper = builder.keepers.get(input, &guest.address)?;
    let online = input.snapshot.inventory.nodes.get(&keeper.node).is_some_and(|n| n.online);
    let configured = &input.desired.scope.nodes;
    let allowed = configured.is_empty() || configured.iter().any(|n| n.value == keeper.node);
    (online && allowed).then(|| keeper.node.clone())
}

/// What the guest's keeper holds and its documents name comes back to it. `base` is the guest
/// before; `vmid` and `node` are where it is then.
///
/// # Errors
/// When the keeper may not be written to, or cannot come to the guest's node.
pub(in crate::planner) fn bring_back(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    base: live::Guest,
    place: (u32, &str),
    reason: &Reason,
) -> Result<Back, Finding> {
    let input = builder.input;
    // A guest that has all its disks needs none that may be somewhere else.
    let lacks = guest.spec.disks.keys().any(|slot| !base.config.contains_key(slot));
    if let Some(doubt) = builder.keepers.doubt(input, &guest.address).filter(|_| lacks) {
        return Err(doubt);
    }
    let Some(keeper) = builder.keepers.get(input, &guest.address) else {
        return Ok(Back { base, ..Back::default() });
    };
    let holding = Holding::of(input, keeper);
    return_to(builder, profile, guest, base, place, Some(&holding), reason)
}

/// The same with a keeper that this plan fills itself.
pub(in crate::planner) fn return_to(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    base: live::Guest,
    (vmid, node): (u32, &str),
    holding: Option<&Holding>,
    reason: &Reason,
) -> Result<Back, Finding> {
    let input = builder.input;
    let mut back = Back { base, ..Back::default() };
    let Some(holding) = holding else { return Ok(back) };
    let proof = owned(&input.snapshot.inventory.cluster, profile, &guest.address);
    for (slot, value) in &holding.disks {
        if !guest.spec.disks.contains_key(slot) {
            continue;
        }
        if back.base.config.contains_key(slot) {
            builder.findings.push(slot_taken(guest, slot, holding.vmid));
            continue;
        }
        back.base = input.kind.with_disk(&back.base, slot, value);
        back.slots.insert(slot.clone());
    }
    let all = back.slots.len() == holding.disks.len() && !holding.others;
    if back.slots.is_empty() && !all {
        return Ok(back);
    }
    if let Some(lock) = builder.keepers.get(input, &guest.address).and_then(live::Guest::lock) {
        let text = format!("guest {}, which keeps its disks, is locked: {lock}", holding.vmid);
        return Err(Finding::error("locked", text)
            .about(&guest.address)
            .at(guest.span)
            .help(UNLOCK));
    }
    for storage in holding.storages(input) {
        check_storage(&input.snapshot.inventory, guest, &storage, &[node])?;
    }
    back.first = holding.migration(builder, node, &guest.address, &proof, reason)?;
    for slot in &back.slots {
        let kind =
            ActionKind::Reassign { disk: slot.clone(), target: vmid, target_disk: slot.clone() };
        let step = Step::new(node, kind, reason.clone(), Effect::Live).to(holding.vmid);
        back.first.push(step.requires(proof.clone()).on_storages(storage_of(input, holding, slot)));
    }
    if all {
        back.last = super::remove(holding.vmid, node, &proof, reason, Effect::Destroy);
        builder.keepers.use_up(&guest.address);
    }
    Ok(back)
}

fn storage_of(input: &Input<'_>, holding: &Holding, slot: &str) -> Option<String> {
    let config = holding.disks.iter().filter(|(s, _)| *s == slot);
    let config = config.map(|(slot, value)| (slot.clone(), value.clone())).collect();
    let held = live::Guest { config, ..live::Guest::default() };
    input.kind.volumes(&held).pop().map(|volume| volume.storage)
}

fn slot_taken(guest: &Guest, slot: &str, keeper: u32) -> Finding {
    let text = format!(
        "{} has a disk in {slot}: the one that guest {keeper} keeps for it stays there",
        guest.address
    );
    Finding::warning("kept-slot-taken", text)
        .about(&guest.address)
        .at(guest.place(&format!("disks.{slot}")))
        .help("give the kept disk another slot by hand, or erase it")
}

/// Puts the return before the writes to a guest that is there. They change its file, so that its
/// digest says nothing any more; mark and identity are asked for as before.
pub(in crate::planner) fn with_return(back: Back, mut steps: Vec<Step>) -> Vec<Step> {
    if back.first.is_empty() && back.last.is_empty() {
        return steps;
    }
    for step in &mut steps {
        step.preconditions.retain(|p| !matches!(p, Precondition::Digest { .. }));
    }
    // The guest starts when all else is done.
    let starts = steps.last().is_some_and(|step| step.kind == ActionKind::Start);
    let start = if starts { steps.pop() } else { None };
    back.first.into_iter().chain(steps).chain(back.last).chain(start).collect()
}

impl Back {
    /// Nothing comes back?
    pub(in crate::planner) fn is_nothing(&self) -> bool {
        self.first.is_empty() && self.last.is_empty()
    }

    /// Says of a guest that is there what it gets back.
    pub(in crate::planner) fn tell(&self, comparison: &mut Comparison) {
        let returned = self.slots.iter().map(|slot| AttributeChange {
            path: slot.clone(),
            before: Some("kept".to_owned()),
            after: Some("attached".to_owned()),
            effect: Effect::Live,
            reason: "kept for this guest".to_owned(),
        });
        comparison.attributes.splice(0..0, returned);
    }
}
