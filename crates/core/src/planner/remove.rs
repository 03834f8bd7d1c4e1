//! Guests that are ours and no longer wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::build::{Builder, Step, WAIT};
use super::create::live_disks;
use super::keep::{self, PutAway};
use super::ownership::{Ownership, identity_of};
use crate::address::Address;
use crate::desired::{Profile, ProfileKind};
use crate::live;
use crate::plan::{ActionKind, Change, Effect, Facts, Finding, Precondition, Reason, Verb};
use crate::provider::Volume;

/// Members of the profiles that no document asks for any more.
pub(super) fn orphans(builder: &mut Builder<'_>, ownership: &Ownership) {
    let reason = Reason::new("not-in-documents", "no longer in the documents");
    let wanted: BTreeSet<&Address> = builder.input.desired.guests().map(|g| &g.address).collect();
    let gone = ownership.owned().filter(|(address, _)| !wanted.contains(address));
    each(builder, ownership, gone, &reason);
}

/// Every member of the profiles.
pub(super) fn all(builder: &mut Builder<'_>, ownership: &Ownership) {
    let reason = Reason::new("destroy", "destroy was asked for");
    each(builder, ownership, ownership.owned(), &reason);
}

fn each<'o>(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    guests: impl Iterator<Item = (&'o Address, u32)>,
    reason: &Reason,
) {
    let holders = Holders::new(&builder.input.desired.profiles);
    for (address, vmid) in guests {
        if let Some(profile) = holders.of(address) {
            one(builder, ownership, profile, (address, vmid), reason);
        }
    }
}

fn one(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    (address, vmid): (&Address, u32),
    reason: &Reason,
) {
    let input = builder.input;
    let Some(live) = input.snapshot.guests.get(&vmid).filter(|_| builder.is_target(address)) else {
        return;
    };
    if let Some(finding) = obstacle(address, live) {
        builder.findings.push(finding);
        return;
    }
    if input.snapshot.inventory.nodes.get(&live.node).is_some_and(|n| !n.online) {
        let text = format!("{address} ({vmid}) is on {}, which is offline", live.node);
        builder.findings.push(Finding::error("node-offline", text).about(address).help(WAIT));
        return;
    }
    let half_made = ownership.half_made(address) == Some(vmid);
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, address.guest());
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let owned = ownership.proof(input, address).unwrap_or(owned);
    let slots = keep::slots(builder, address, live);
    let away = match keep::put_away(builder, profile, address, live, &owned, &slots, reason) {
        Ok(away) => away,
        Err(finding) => {
            builder.findings.push(finding);
            return;
        }
    };
    note_detached(builder, address, live);
    let removal = Removal { live, owned: &owned, half_made, reason };
    let steps = removal.steps(builder, &away);
    let actions = builder.chain(address, vmid, steps);
    let lost = lost(builder, live, &slots);
    let effect = lost.effect();
    if let Some(from) = ownership.moved_from(address) {
        builder.moved.insert(address.clone(), from.clone());
    }
    builder.changes.push(Change {
        address: address.clone(),
        verb: Verb::Destroy,
        vmid,
        node: live.node.clone(),
        target: None,
        running: live.running,
        facts: Facts { disks: lost.disks, kept: lost.kept, ..Facts::default() },
        attributes: Vec::new(),
        effect,
        reason: reason.text.clone(),
        position: None,
        on_failure: crate::desired::OnFailure::Keep,
        actions,
    });
}

/// Detached disks go with their guest, and stand in no list of sizes.
pub(super) fn note_detached(builder: &mut Builder<'_>, address: &Address, live: &live::Guest) {
    let volumes = builder.input.kind.volumes(live).into_iter();
    let detached = volumes.filter(|v| v.slot.starts_with("unused"));
    let list: Vec<String> =
        detached.map(|v| format!("{} ({}:{})", v.slot, v.storage, v.name)).collect();
    if !list.is_empty() {
        let text = format!("detached disks go with {address} too: {}", list.join(", "));
        builder.findings.push(Finding::note("detached-lost", text).about(address));
    }
}

/// What goes with a guest, and what outlives it.
pub(super) struct Lost {
    pub(super) disks: Vec<(String, u64)>,
    pub(super) kept: Vec<(String, u64)>,
    bytes: bool,
}

impl Lost {
    /// Are no bytes lost?
    pub(super) fn is_nothing(&self) -> bool {
        !self.bytes
    }

    fn effect(&self) -> Effect {
        if self.bytes { Effect::DataLoss } else { Effect::Destroy }
    }
}

/// Disks that go with the guest, and those that are kept in these slots.
pub(super) fn lost(builder: &Builder<'_>, live: &live::Guest, slots: &BTreeSet<String>) -> Lost {
    let (kept, disks): (Vec<_>, Vec<_>) =
        live_disks(builder, live).into_iter().partition(|(slot, _)| slots.contains(slot));
    // A detached disk has no known size, and is lost all the same.
    let mut volumes = builder.input.kind.volumes(live).into_iter();
    let bytes = volumes.any(|v| v.is_own() && !v.cloudinit && !slots.contains(&v.slot));
    Lost { disks, kept, bytes }
}

/// The profiles by what they hold: a cluster profile every guest of its name, a standalone VM the
/// one that it describes.
struct Holders<'a> {
    profiles: BTreeMap<&'a str, &'a Profile>,
    standalone: BTreeMap<&'a Address, &'a Profile>,
}

impl<'a> Holders<'a> {
    fn new(profiles: &'a [Profile]) -> Self {
        let mut all = Self { profiles: BTreeMap::new(), standalone: BTreeMap::new() };
        for profile in profiles {
            if profile.kind == ProfileKind::Vm {
                all.standalone.extend(profile.guests.iter().map(|g| (&g.address, profile)));
            } else {
                all.profiles.insert(&profile.name, profile);
            }
        }
        all
    }

    fn of(&self, address: &Address) -> Option<&'a Profile> {
        let standalone = self.standalone.get(address);
        standalone.or_else(|| self.profiles.get(address.profile())).copied()
    }
}

/// What Proxmox would refuse half-way is refused here, before anything is shut down.
pub(super) fn obstacle(address: &Address, live: &live::Guest) -> Option<Finding> {
    let vmid = live.vmid;
    if live.is_protected() {
        let text = format!("{address} ({vmid}) is protected against removal");
        let finding = Finding::error("protected", text).about(address);
        return Some(finding.help(format!("when it may go: `qm set {vmid} --protection 0`")));
    }
    live.lock().map(|lock| {
        let text = format!("{address} ({vmid}) is locked: {lock}");
        Finding::error("locked", text)
            .about(address)
            .help("wait for the task that holds the lock, then plan again")
    })
}

/// A guest that goes.
pub(super) struct Removal<'a> {
    pub(super) live: &'a live::Guest,
    /// Mark and identity.
    pub(super) owned: &'a Precondition,
    /// Its making was cut off: it carries neither mark nor identity.
    pub(super) half_made: bool,
    pub(super) reason: &'a Reason,
}

impl Removal<'_> {
    /// Shut down, hand over what is kept, remove.
    pub(super) fn steps(&self, builder: &Builder<'_>, away: &PutAway) -> Vec<Step> {
        let (options, live) = (builder.input.options, self.live);
        let mut steps = Vec::new();
        if live.running {
            let (timeout, force) = (options.shutdown_timeout, options.force_stop);
            let kind = ActionKind::Shutdown { timeout, force };
            let step = Step::new(&live.node, kind, self.reason.clone(), Effect::Stop);
            steps.push(self.guarded(step));
        }
        steps.extend(away.steps.iter().cloned());
        let kept: BTreeSet<&String> = away.steps.iter().flat_map(|step| kept_slot(step)).collect();
        let volumes = builder.input.kind.volumes(live).into_iter();
        let lost: Vec<_> = volumes.filter(|v| !kept.contains(&v.slot)).collect();
        let loses = lost.iter().any(|v| v.is_own() && !v.cloudinit);
        let effect = if loses { Effect::DataLoss } else { Effect::Destroy };
        let step = Step::new(&live.node, ActionKind::Destroy, self.reason.clone(), effect);
        let step = self.guarded(step);
        steps.push(step.on_storages(lost.into_iter().filter(Volume::is_own).map(|v| v.storage)));
        steps
    }

    fn guarded(&self, step: Step) -> Step {
        // A half-made guest carries neither mark nor identity yet: its description stands for them.
        let note = self.live.config.get("description").filter(|_| self.half_made);
        let step = match note {
            Some(note) => step.requires(Precondition::Begun { note: note.trim_end().to_owned() }),
            None => step.requires(self.owned.clone()),
        };
        // A template that is meant is one already; Proxmox refuses it too when it is protected.
        if self.live.is_template() { step } else { step.requires(Precondition::Unprotected) }
    }
}

fn kept_slot(step: &Step) -> Option<&String> {
    match &step.kind {
        ActionKind::Reassign { disk, .. } => Some(disk),
        _ => None,
    }
}
