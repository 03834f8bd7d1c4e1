//! Which guests are read in full, and no others: members by their mark, then what the missing
//! guests depend on. Costs at most 3 + nodes + (guests that the documents own) requests, and two
//! more when documents or memory manage HA.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join;

use crate::address::Address;
use crate::desired::{Desired, Guest, Origin, Profile, TemplateRef, VmidRequest};
use crate::live::{GuestRef, Inventory, Snapshot, Summary};
use crate::plan::KEEPER;
use crate::planner::{self, Input, Options, Ownership};
use crate::provider::{GuestKind, ProviderError, Reader};
use crate::state::Memory;

/// How often everything is read when guests move or go while they are read.
const TRIES: usize = 3;

/// Reads everything beside the inventory that a plan for `desired` depends on. A guest that is in
/// the inventory and not where the inventory says was moved or removed in between: then all is
/// read again, because a guest that was not seen must not be taken for one that is not there.
/// `replace`: addresses of guests that are there and may be made anew.
///
/// # Errors
/// When guests cannot be read for another reason than being gone.
pub async fn snapshot<R: Reader>(
    reader: &R,
    mut inventory: Inventory,
    desired: &Desired,
    memory: &Memory,
    kind: &dyn GuestKind,
    replace: &[String],
) -> Result<Snapshot, ProviderError> {
    for _ in 1..TRIES {
        let (snapshot, asked) = once(reader, inventory, desired, memory, kind, replace).await?;
        if asked.iter().all(|guest| snapshot.guests.contains_key(&guest.vmid)) {
            return Ok(snapshot);
        }
        inventory = reader.inventory().await?;
    }
    once(reader, inventory, desired, memory, kind, replace).await.map(|(snapshot, _)| snapshot)
}

/// One reading, and what was asked for.
async fn once<R: Reader>(
    reader: &R,
    inventory: Inventory,
    desired: &Desired,
    memory: &Memory,
    kind: &dyn GuestKind,
    replace: &[String],
) -> Result<(Snapshot, Vec<GuestRef>), ProviderError> {
    let members = marked(desired, &inventory).chain(keepers(desired, &inventory));
    let members = members.map(reference).collect::<Vec<_>>();
    let mut snapshot = Snapshot { inventory, ..Snapshot::default() };
    let mut asked = online(&snapshot.inventory, members);
    let ha = async {
        match planner::concerns_ha(desired, memory) {
            true => reader.ha().await.map(Some),
            false => Ok(None),
        }
    };
    let (ha, found) = try_join(ha, reader.guests(&asked, true)).await?;
    snapshot.ha = ha;
    keep(&mut snapshot, found);
    let further = online(&snapshot.inventory, further(desired, memory, kind, &snapshot, replace));
    let mut found = reader.guests(&further, false).await?;
    for guest in &mut found {
        // Not worth a request a node: Proxmox refuses what a late answer gets wrong.
        let summary = snapshot.inventory.guests.get(&guest.vmid);
        guest.running = summary.is_some_and(|summary| summary.status == "running");
    }
    keep(&mut snapshot, found);
    asked.extend(further);
    let wanted = snippets(desired, &snapshot.inventory);
    if !wanted.is_empty() {
        snapshot.snippets = reader.snippets(&wanted).await?;
    }
    Ok((snapshot, asked))
}

/// Where snippets may be missing: at every node that has the storage, of a shared one at the
/// first.
fn snippets(desired: &Desired, inventory: &Inventory) -> Vec<(String, String)> {
    let storages = planner::snippet_storages(desired);
    let mut shared: BTreeSet<&str> = BTreeSet::new();
    let online = |node: &str| inventory.nodes.get(node).is_some_and(|node| node.online);
    let asked = inventory.storages.iter().filter(|((node, name), storage)| {
        storages.contains(name.as_str())
            && storage.available
            && online(node)
            && (!storage.shared || shared.insert(name))
    });
    asked.map(|(place, _)| place.clone()).collect()
}

/// Guests whose tags carry the mark of one of the documents' profiles, or of one that a guest was
/// moved out of.
pub(crate) fn marked<'a>(
    desired: &'a Desired,
    inventory: &'a Inventory,
) -> impl Iterator<Item = &'a Summary> {
    let marks = desired.profiles.iter().map(|p| p.mark.clone());
    let moved = desired.guests().filter_map(|guest| guest.moved_from.as_ref());
    let marks: BTreeSet<String> = marks.chain(moved.map(planner::mark_of)).collect();
    let templates = desired.scope.templates;
    inventory.guests.values().filter(move |guest| {
        guest.qemu
            && !templates.is_some_and(|range| range.contains(guest.vmid))
            && guest.tags.iter().any(|tag| marks.contains(tag))
    })
}

/// Guests that hold kept disks of the documents' profiles.
pub(crate) fn keepers<'a>(
    desired: &'a Desired,
    inventory: &'a Inventory,
) -> impl Iterator<Item = &'a Summary> {
    let marks: BTreeSet<String> = desired.profiles.iter().map(keeper_mark).collect();
    let marked = move |guest: &&Summary| guest.tags.iter().any(|tag| marks.contains(tag));
    inventory.guests.values().filter(|guest| guest.qemu).filter(marked)
}

/// The tag of guests that hold kept disks of this profile.
pub(crate) fn keeper_mark(profile: &Profile) -> String {
    format!("{KEEPER}{}", profile.key())
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
    replace: &[String],
) -> Vec<GuestRef> {
    let options = Options::default();
    let sources = crate::diagnostic::Sources::default();
    let input = Input { desired, snapshot, memory, kind, options: &options, sources: &sources };
    let ownership = Ownership::of(&input);
    let missing = desired.guests().filter(|g| ownership.member(&g.address).is_none());
    let mut vmids: BTreeSet<u32> = BTreeSet::new();
    let mut templates: BTreeSet<&TemplateRef> = BTreeSet::new();
    let suspects = Suspects::new(desired, &snapshot.inventory);
    for guest in missing {
        vmids.extend(suspects.of(guest, memory));
    }
    // What was begun for one that is there besides is told.
    for guest in desired.guests() {
        let Some(member) = ownership.member(&guest.address) else { continue };
        vmids
            .extend(suspects.twins(guest, member).filter(|vmid| desired.scope.vms.contains(*vmid)));
    }
    let made = |g: &&Guest| {
        ownership.member(&g.address).is_none() || replace.contains(&g.address.to_string())
    };
    for guest in desired.guests().filter(made) {
        if let Origin::Template { template, .. } = &guest.origin {
            templates.insert(template);
        }
    }
    for template in templates {
        vmids.extend(planner::template_candidates(template, &snapshot.inventory));
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
struct Suspects<'a> {
    inventory: &'a Inventory,
    by_name: BTreeMap<&'a str, Vec<u32>>,
    unnamed: Vec<u32>,
}

impl<'a> Suspects<'a> {
    fn new(desired: &Desired, inventory: &'a Inventory) -> Self {
        let mut by_name: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        let mut unnamed = Vec::new();
        for live in inventory.guests.values().filter(|live| !live.template) {
            if let Some(name) = &live.name {
                by_name.entry(name).or_default().push(live.vmid);
            }
            if live.is_unnamed() && desired.scope.vms.contains(live.vmid) {
                unnamed.push(live.vmid);
            }
        }
        Self { inventory, by_name, unnamed }
    }

    /// Others of the name of a member.
    fn twins(&self, guest: &Guest, member: u32) -> impl Iterator<Item = u32> {
        let named = self.by_name.get(guest.address.guest()).into_iter().flatten().copied();
        named.filter(move |vmid| *vmid != member)
    }

    fn of(&self, guest: &Guest, memory: &Memory) -> impl Iterator<Item = u32> {
        let fixed = match guest.vmid {
            VmidRequest::Fixed(vmid) => Some(vmid),
            VmidRequest::Auto => None,
        };
        let live = |vmid: &u32| self.inventory.guests.get(vmid).is_some_and(|g| !g.template);
        let from = guest.moved_from.as_ref();
        let had_before = from.and_then(|from| memory.vmid(from));
        let numbered = [memory.vmid(&guest.address), had_before, fixed].into_iter().flatten();
        let numbered = numbered.filter(live);
        let names = [Some(guest.address.guest()), from.map(Address::guest)].into_iter().flatten();
        let named = names.filter_map(|name| self.by_name.get(name)).flatten();
        numbered.chain(named.chain(&self.unnamed).copied()).collect::<Vec<_>>().into_iter()
    }
}
