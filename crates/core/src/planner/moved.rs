//! Guests that were renamed in the documents (`moved: k3s/worker09`). A live guest with the mark
//! and the identity of the old address is the guest of the new one: it gets name, mark and uuid of
//! the new address in one write, and is never made anew.
//!
//! That write reaches tags and name at once; the smbios uuid of a running guest waits for its next
//! cold boot, and is read as if it were there (pending values are merged in). Should the pending
//! value be taken back by hand, the guest carries the new mark and the old uuid: that counts too.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Input;
use super::ownership::{Ownership, is_template_vmid, tags_of};
use crate::address::Address;
use crate::desired::Guest;
use crate::live;
use crate::plan::{Finding, Precondition};

/// A live guest that is known by its old address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) from: Address,
    /// The mark it carries.
    mark: String,
    uuid: Uuid,
}

impl Moved {
    /// What proves it until it is written to.
    pub(super) fn proof(&self) -> Precondition {
        Precondition::Owned { mark: self.mark.clone(), uuid: self.uuid }
    }
}

/// A live guest with the identity of an old address.
pub(super) struct Candidate {
    pub(super) vmid: u32,
    /// The address that documents say it had.
    pub(super) from: Address,
    /// Its proof; none when it has lost its mark.
    pub(super) proof: Option<Moved>,
}

/// The mark of an address (`pvx-k3s`, `pvx-vm.gitea`).
pub(crate) fn mark(address: &Address) -> String {
    format!("pvx-{}", address.key())
}

/// Guests of documents with the address each had before. One whose old address documents ask for
/// as well was not moved.
fn pairs<'a>(input: &Input<'a>) -> Vec<(&'a Guest, &'a Address)> {
    let desired = input.desired;
    let moved = desired.guests().filter_map(|guest| Some((guest, guest.moved_from.as_ref()?)));
    let mut moved: Vec<_> = moved.collect();
    if !moved.is_empty() {
        let wanted: BTreeSet<&Address> = desired.guests().map(|guest| &guest.address).collect();
        moved.retain(|(_, from)| !wanted.contains(from));
    }
    moved
}

/// Live guests that are what a moved one was, by its new address.
pub(super) fn candidates<'a>(input: &Input<'a>) -> BTreeMap<&'a Address, Vec<Candidate>> {
    let mut found: BTreeMap<&Address, Vec<Candidate>> = BTreeMap::new();
    let moved = pairs(input);
    if moved.is_empty() {
        return found;
    }
    let cluster = &input.snapshot.inventory.cluster;
    let mut by_identity: BTreeMap<Uuid, Vec<&live::Guest>> = BTreeMap::new();
    let may_be = |live: &&live::Guest| !is_template_vmid(input, live.vmid) && !live.is_template();
    for live in input.snapshot.guests.values().filter(may_be) {
        if let Some(uuid) = input.kind.identity_of(live) {
            by_identity.entry(uuid).or_default().push(live);
        }
    }
    for (guest, from) in moved {
        let uuid = live::identity(cluster, &from.key(), from.guest());
        for live in by_identity.get(&uuid).into_iter().flatten() {
            let tags = tags_of(live);
            let marks = [mark(from), mark(&guest.address)];
            let mark = marks.into_iter().find(|mark| tags.contains(mark));
            let proof = mark.map(|mark| Moved { from: from.clone(), mark, uuid });
            found.entry(&guest.address).or_default().push(Candidate {
                vmid: live.vmid,
                from: from.clone(),
                proof,
            });
        }
    }
    found
}

/// Guests of an old mark that could not be read, and may be the one that was moved: by its new
/// address.
pub(super) fn unread(input: &Input<'_>) -> BTreeMap<Address, u32> {
    let moved = pairs(input);
    if moved.is_empty() {
        return BTreeMap::new();
    }
    let snapshot = input.snapshot;
    let all = snapshot.inventory.guests.values();
    let unread: Vec<_> =
        all.filter(|live| live.qemu && !snapshot.guests.contains_key(&live.vmid)).collect();
    let find = |(guest, from): (&Guest, &Address)| {
        let mark = mark(from);
        let unread = unread.iter().find(|live| {
            let named = live.name.as_deref().is_none_or(|name| name == from.guest());
            named && live.tags.contains(&mark)
        })?;
        Some((guest.address.clone(), unread.vmid))
    };
    moved.into_iter().filter_map(find).collect()
}

/// The address under which state knows the guest: its old one until it is settled under the new.
pub(super) fn remembered_as<'g>(
    input: &Input<'_>,
    ownership: &Ownership,
    guest: &'g Guest,
) -> &'g Address {
    match &guest.moved_from {
        Some(from)
            if input.memory.vmid(&guest.address).is_none()
                && ownership.still_there(&guest.address).is_none() =>
        {
            from
        }
        _ => &guest.address,
    }
}

/// Both the old and the new one are there.
pub(super) fn both(address: &Address, vmid: u32, from: &Address) -> Finding {
    let text = format!(
        "{address} is said to be {from} renamed, and both are there: {address} is used, guest {vmid} stays {from}"
    );
    Finding::warning("moved-both", text)
        .about(address)
        .help("take `moved` out of the document, or remove the guest that is too many")
}
