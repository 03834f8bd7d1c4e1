//! Guests that are ours and no longer wanted.

use std::collections::{BTreeMap, BTreeSet};

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
