//! Guests that are ours and no longer wanted.

use super::build::{Builder, Step};
use super::create::live_disks;
use super::ownership::{Ownership, identity_of};
use crate::address::Address;
use crate::desired::{Profile, ProfileKind};
use crate::live;
use crate::plan::{ActionKind, Change, Effect, Facts, Finding, Precondition, Reason, Verb};

/// Members of the profiles that no document asks for any more.
pub(super) fn orphans(builder: &mut Builder<'_>, ownership: &Ownership) {
    let reason = Reason::new("not-in-documents", "no longer in the documents");
    let wanted = |address: &Address| builder.input.desired.guests().any(|g| g.address == *address);
    let gone: Vec<_> =
        ownership.owned().filter(|(a, _)| !wanted(a)).map(|(a, v)| (a.clone(), v)).collect();
    for (address, vmid) in gone {
        one(builder, ownership, &address, vmid, &reason);
    }
}

/// Every member of the profiles.
pub(super) fn all(builder: &mut Builder<'_>, ownership: &Ownership) {
    let reason = Reason::new("destroy", "destroy was asked for");
    let owned: Vec<_> = ownership.owned().map(|(a, v)| (a.clone(), v)).collect();
    for (address, vmid) in owned {
        one(builder, ownership, &address, vmid, &reason);
    }
}

fn one(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    address: &Address,
    vmid: u32,
    reason: &Reason,
) {
    let input = builder.input;
    let Some(live) = input.snapshot.guests.get(&vmid).filter(|_| builder.is_target(address)) else {
        return;
    };
    let Some(profile) = input.desired.profiles.iter().find(|p| holds(p, address)) else { return };
    if let Some(finding) = obstacle(address, live) {
        builder.findings.push(finding);
        return;
    }
    if input.snapshot.inventory.nodes.get(&live.node).is_some_and(|n| !n.online) {
        let text = format!("{address} ({vmid}) is on {}, which is offline", live.node);
        builder.findings.push(Finding::error("node-offline", text).about(address));
        return;
    }
    let half_made = ownership.half_made(address) == Some(vmid);
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, address.guest());
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let owned = ownership.proof(input, address).unwrap_or(owned);
    let steps = steps(builder, live, &owned, half_made, reason);
    let actions = builder.chain(address, vmid, steps);
    let disks = live_disks(builder, live);
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
        facts: Facts { disks, ..Facts::default() },
        attributes: Vec::new(),
        effect: Effect::DataLoss,
        reason: reason.text.clone(),
        position: None,
        actions,
    });
}

fn holds(profile: &Profile, address: &Address) -> bool {
    match profile.kind {
        ProfileKind::Vm => profile.guests.iter().any(|g| g.address == *address),
        ProfileKind::Talos | ProfileKind::Generic => profile.name == address.profile(),
    }
}

/// What Proxmox would refuse half-way is refused here, before anything is shut down.
fn obstacle(address: &Address, live: &live::Guest) -> Option<Finding> {
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

fn steps(
    builder: &Builder<'_>,
    live: &live::Guest,
    owned: &Precondition,
    half_made: bool,
    reason: &Reason,
) -> Vec<Step> {
    let options = builder.input.options;
    let guarded = |step: Step| {
        // A half-made guest carries neither mark nor identity yet: its digest stands for them.
        match (half_made, &live.digest) {
            (true, Some(digest)) => step.requires(Precondition::Digest { digest: digest.clone() }),
            _ => step.requires(owned.clone()),
        }
    };
    let mut steps = Vec::new();
    if live.running {
        let kind =
            ActionKind::Shutdown { timeout: options.shutdown_timeout, force: options.force_stop };
        let step = Step::new(&live.node, kind, reason.clone(), Effect::Stop);
        steps.push(guarded(step).requires(Precondition::Unprotected));
    }
    let storages = builder.input.kind.volumes(live).into_iter().map(|v| v.storage);
    let step = Step::new(&live.node, ActionKind::Destroy, reason.clone(), Effect::DataLoss);
    steps.push(guarded(step).requires(Precondition::Unprotected).on_storages(storages));
    steps
}
