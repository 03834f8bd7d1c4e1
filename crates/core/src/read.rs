//! Which guests are read in full, and no others: members by their mark, then what the missing
//! guests depend on. Costs at most 3 + nodes + (guests that the documents own) requests.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Desired, Guest, Origin, VmidRequest};
use crate::live::{GuestRef, Inventory, Snapshot, Summary};
use crate::planner::{self, Input, Options, Ownership};
use crate::provider::{GuestKind, ProviderError, Reader};
use crate::state::Memory;

/// Reads everything beside the inventory that a plan for `desired` depends on.
///
/// # Errors
/// When guests cannot be read for another reason than being gone.
pub async fn snapshot<R: Reader>(
    reader: &R,
    inventory: Inventory,
    desired: &Desired,
    memory: &Memory,
    kind: &dyn GuestKind,
) -> Result<Snapshot, ProviderError> {
    let members = marked(desired, &inventory).map(reference).collect::<Vec<_>>();
    let mut snapshot = Snapshot { inventory, guests: BTreeMap::new() };
    let members = reader.guests(&online(&snapshot.inventory, members), true).await?;
    keep(&mut snapshot, members);
    let further = further(desired, memory, kind, &snapshot);
    let mut further = reader.guests(&online(&snapshot.inventory, further), false).await?;
    for guest in &mut further {
        // Not worth a request a node: Proxmox refuses what a late answer gets wrong.
        let summary = snapshot.inventory.guests.get(&guest.vmid);
        guest.running = summary.is_some_and(|summary| summary.status == "running");
    }
    keep(&mut snapshot, further);
    Ok(snapshot)
}

/// Guests whose tags carry the mark of one of the documents' profiles.
pub(crate) fn marked<'a>(
    desired: &'a Desired,
    inventory: &'a Inventory,
) -> impl Iterator<Item = &'a Summary> {
    let marks: BTreeSet<&str> = desired.profiles.iter().map(|p| p.mark.as_str()).collect();
    let templates = desired.scope.templates;
    inventory.guests.values().filter(move |guest| {
        guest.qemu
            && !guest.template
            && !templates.is_some_and(|range| range.contains(guest.vmid))
            && guest.tags.iter().any(|tag| marks.contains(tag.as_str()))
    })
}

fn reference(guest: &Summary) -> GuestRef {
    GuestRef { vmid: guest.vmid, node: guest.node.clone() }
}

/// A guest of a node that does not answer cannot be read; the planner says so.
fn online(inventory: &Inventory, guests: Vec<GuestRef>) -> Vec<GuestRef> {
    let answers = |g: &GuestRef| inventory.nodes.get(&g.node).is_some_and(|n| n.online);
    guests.into_iter().filter(answers).collect()
}

fn keep(snapshot: &mut Snapshot, guests: Vec<crate::live::Guest>) {
    snapshot.guests.extend(guests.into_iter().map(|guest| (guest.vmid, guest)));
}

/// Templates that missing guests are made from, and the live guests that may be a missing one
/// without its mark.
fn further(
    desired: &Desired,
    memory: &Memory,
    kind: &dyn GuestKind,
    snapshot: &Snapshot,
) -> Vec<GuestRef> {
    let options = Options::default();
    let sources = crate::diagnostic::Sources::default();
    let input = Input { desired, snapshot, memory, kind, options: &options, sources: &sources };
    let ownership = Ownership::of(&input);
    let missing = desired.guests().filter(|g| ownership.member(&g.address).is_none());
    let mut vmids: BTreeSet<u32> = BTreeSet::new();
    for guest in missing {
        vmids.extend(suspects(guest, desired, memory, &snapshot.inventory));
        if let Origin::Template { template, .. } = &guest.origin {
            vmids.extend(planner::template_candidates(template, &snapshot.inventory));
        }
    }
    vmids
        .into_iter()
        .filter(|vmid| !snapshot.guests.contains_key(vmid))
        .filter_map(|vmid| snapshot.inventory.guests.get(&vmid))
        .filter(|guest| guest.qemu)
        .map(reference)
        .collect()
}

/// The live guests that a missing one may be: at the VMID it had, at the VMID it asks for, of its
/// name, or of no known name. Only a guest of the last ten seconds has no name yet (pvestatd), and
/// one that was cloned in that time and not configured must not be made a second time.
fn suspects<'a>(
    guest: &'a Guest,
    desired: &Desired,
    memory: &Memory,
    inventory: &'a Inventory,
) -> impl Iterator<Item = u32> + 'a {
    let fixed = match guest.vmid {
        VmidRequest::Fixed(vmid) => Some(vmid),
        VmidRequest::Auto => None,
    };
    let (vms, had) = (desired.scope.vms, memory.vmid(&guest.address));
    let may_be = move |live: &&Summary| match &live.name {
        Some(name) => name == guest.address.guest() || [had, fixed].contains(&Some(live.vmid)),
        None => vms.contains(live.vmid) || [had, fixed].contains(&Some(live.vmid)),
    };
    inventory.guests.values().filter(|live| !live.template).filter(may_be).map(|live| live.vmid)
}
