//! Guests whose making was cut off between their clone and their configuration.

use std::collections::BTreeSet;

use super::build::Builder;
use super::create::{Made, check_allocates, finish, migrate_live, returned, subject, wanted};
use super::membership::Membership;
use super::ownership::{half_made_note, identity_of};
use super::update::locked;
use super::{keep, snippet, steps};
use crate::desired::{Guest, Placement, Profile};
use crate::plan::{ActionId, Effect, Finding, Precondition, Reason};

/// A guest that was cloned and never configured.
pub(super) fn half_made(
    builder: &mut Builder<'_>,
    profile: &Profile,
    guest: &Guest,
    vmid: u32,
    target: &str,
) -> Result<Option<ActionId>, Finding> {
    let input = builder.input;
    let Some(live) = input.snapshot.guests.get(&vmid) else { return Ok(None) };
    let identity = identity_of(&input.snapshot.inventory.cluster, profile, guest.address.guest());
    let nothing = BTreeSet::new();
    let reason = Reason::new("half-made", "its making was cut off before");
    if let Some(lock) = live.lock() {
        return Err(locked(guest, live, lock));
    }
    let mut steps = Vec::new();
    let mut node = live.node.clone();
    if target != node {
        match migrate_live(builder, guest, live, &nothing, target, &reason) {
            Ok(step) => {
                steps.push(step);
                target.clone_into(&mut node);
            }
            Err(finding) if matches!(guest.placement, Placement::Node(_)) => return Err(finding),
            Err(_) => {} // it stays where it is: its place is only a preference
        }
    }
    let rendered = snippet::rendered(builder, guest, &node);
    let guest = &*rendered.guest;
    let back = keep::bring_back(builder, profile, guest, live.clone(), (vmid, &node), &reason)?;
    let comparison = input.kind.compare(&wanted(guest, identity, &nothing), &back.base);
    let (comparison, later) = steps::split(comparison, &back.slots);
    check_allocates(&input.snapshot.inventory, guest, &comparison, &node)?;
    let note = half_made_note(&guest.address, identity);
    steps.extend(rendered.steps(builder, &node, true, Effect::Create));
    let owned = Precondition::Owned { mark: profile.mark.clone(), uuid: identity };
    steps.extend(steps::configure_begun(&node, &comparison, &reason, &note, &owned));
    // Neither mark nor identity yet: its note stands for them, and that its file is as it was read.
    if let (Some(first), Some(digest)) = (steps.first_mut(), live.digest.clone()) {
        first.preconditions.push(Precondition::Digest { digest });
        if !first.preconditions.iter().any(|p| matches!(p, Precondition::Begun { .. })) {
            first.preconditions.push(Precondition::Begun { note: note.clone() });
        }
    }
    let origin = "made before, now finished".to_owned();
    steps.extend(returned(&node, back, &later, &reason, &owned));
    let membership = Membership::of(input, &subject(guest, vmid, (&node, &node), &nothing));
    let made = Made { vmid, node, steps, comparison, membership, origin, reason, owned };
    Ok(finish(builder, guest, made, live.running))
}
