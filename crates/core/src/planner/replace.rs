//! Guests that are removed and made anew, where the user asked for that one by name.

use std::collections::BTreeSet;

use super::build::{Builder, Step};
use super::create::{self, Starts};
use super::keep;
use super::ownership::{Ownership, identity_of};
use super::remove;
use crate::desired::{Guest, Origin, Profile, VmidRequest};
use crate::live;
use crate::plan::{AttributeChange, Change, Effect, Facts, Finding, Precondition, Reason, Verb};

/// Was `--replace` said for this guest?
pub(super) fn is_asked(builder: &Builder<'_>, guest: &Guest) -> bool {
    let address = guest.address.to_string();
    builder.input.options.replace.contains(&address)
}

/// What the guest is made from, as documents say it.
pub(super) fn said_origin(guest: &Guest) -> String {
    match &guest.origin {
        Origin::Template { template, .. } => template.to_string(),
        Origin::Empty => "nothing".to_owned(),
    }
}

/// What is remembered of the guest's origin: what it was made from, or, when nobody knows, what
/// documents say now.
pub(super) fn origin(builder: &Builder<'_>, guest: &Guest) -> String {
    let known = builder.input.memory.origin(&guest.address);
    known.map_or_else(|| said_origin(guest), str::to_owned)
}

/// A guest keeps what it was made from.
pub(super) fn note_origin(builder: &mut Builder<'_>, guest: &Guest) {
    let (was, said) = (origin(builder, guest), said_origin(guest));
    if was == said {
        return;
    }
    let text = format!(
        "{} was made from {was}, the document says {said}: a template is only read once",
        guest.address
    );
    let help = format!("to have it made anew: --replace {}", guest.address);
    let finding = Finding::warning("template-differs", text).about(&guest.address);
    builder.findings.push(finding.at(guest.place("template")).help(help));
}

/// Removes the guest and makes it anew, at its number and on its node unless documents give others.
pub(super) fn one(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    guest: &Guest,
    live: &live::Guest,
    starts: &mut Starts,
) {
    if let Err(finding) = plan(builder, ownership, profile, guest, live, starts) {
        builder.findings.push(finding);
    }
}

fn plan(
    builder: &mut Builder<'_>,
    ownership: &Ownership,
    profile: &Profile,
    guest: &Guest,
    live: &live::Guest,
    starts: &mut Starts,
) -> Result<(), Finding> {
    let input = builder.input;
    let reason = Reason::new("replace", "--replace was said for it");
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    if let Some(finding) = remove::obstacle(&guest.address, live) {
        return Err(finding);
    }
    let vmid = number(builder, guest, live)?;
    let node = create::replacement_node(builder, guest, live)?;
    let slots = keep::slots(builder, &guest.address, live);
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    let owned = ownership.proof(input, &guest.address).unwrap_or(owned);
    let address = &guest.address;
    let away = keep::put_away(builder, profile, address, live, &owned, &slots, &reason)?;
    let removal = remove::Removal { live, owned: &owned, half_made: false, reason: &reason };
    remove::note_detached(builder, &guest.address, live);
    // The old one may have another number.
    let of_old = |step: Step| Step { vmid: step.vmid.or(Some(live.vmid)), ..step };
    let mut steps: Vec<Step> = removal.steps(builder, &away).into_iter().map(of_old).collect();
    let made = create::anew(builder, profile, guest, (vmid, &node), &away, &reason)?;
    let removed = steps.len();
    steps.extend(made.steps);
    let lost = remove::lost(builder, live, &slots);
    let ids = builder.chain(&guest.address, vmid, steps);
    if let Some(start) = made.start.and_then(|place| ids.get(removed + place)) {
        starts.insert(guest.address.clone(), *start);
    }
    builder.findings.extend(made.findings);
    builder.outcomes.insert(guest.address.clone(), made.remembered);
    let effect = if lost.is_nothing() { Effect::Replace } else { Effect::DataLoss };
    let attributes = reasons(builder, guest, live, vmid, &node);
    builder.changes.push(Change {
        address: guest.address.clone(),
        verb: Verb::Replace,
        vmid,
        node,
        target: None,
        running: live.running,
        facts: Facts { disks: lost.disks, kept: lost.kept, ..made.facts },
        attributes,
        effect,
        reason: reason.text,
        position: Some(input.sources.position(guest.span)),
        on_failure: guest.on_failure,
        actions: ids,
    });
    Ok(())
}

/// Its own number, unless the document gives another one.
fn number(builder: &mut Builder<'_>, guest: &Guest, live: &live::Guest) -> Result<u32, Finding> {
    match guest.vmid {
        VmidRequest::Fixed(vmid) if vmid != live.vmid => create::choose_vmid(builder, guest),
        _ => Ok(live.vmid),
    }
}

/// What the new one has and the old one could not get.
fn reasons(
    builder: &Builder<'_>,
    guest: &Guest,
    live: &live::Guest,
    vmid: u32,
    node: &str,
) -> Vec<AttributeChange> {
    let input = builder.input;
    let cluster = &input.snapshot.inventory.cluster;
    let change = |path: &str, before: String, after: String| AttributeChange {
        path: path.to_owned(),
        before: Some(before),
        after: Some(after),
        effect: Effect::Replace,
        reason: "cannot be changed on the guest that is there".to_owned(),
    };
    let mut list = Vec::new();
    if vmid != live.vmid {
        list.push(change("vmid", live.vmid.to_string(), vmid.to_string()));
    }
    if node != live.node {
        list.push(change("node", live.node.clone(), node.to_owned()));
    }
    let (was, said) = (origin(builder, guest), said_origin(guest));
    if was != said {
        list.push(change("template", was, said));
    }
    let profile =
        input.desired.profiles.iter().find(|p| p.guests.iter().any(|g| g.address == guest.address));
    if let Some(profile) = profile {
        let nothing = BTreeSet::new();
        let identity = identity_of(cluster, profile, guest.address.guest());
        let wanted = create::wanted(guest, identity, &nothing);
        list.extend(input.kind.compare(&wanted, live).replace);
    }
    list
}
