//! Guests that are left alone, because they are not what this run left behind.

use std::collections::{BTreeMap, BTreeSet};

use super::work::Work;
use super::{Input, lost};
use crate::address::Address;
use crate::live::{Guest, identity};
use crate::plan::{ActionKind, Finding, KEEPER, Precondition, lint};
use crate::planner::{half_made_note, mark_of, tags_of};
use crate::provider::GuestKind;
use crate::secret::SECRET_KEYS;

/// What proves that a guest is the one at this address: mark and identity, those of the address
/// that it had before, or the provisional description of a clone.
pub(super) fn proofs(cluster: &str, work: &Work<'_>) -> Vec<Precondition> {
    let uuid = |address: &Address| identity(cluster, &address.key(), address.guest());
    let owned =
        |address: &Address| Precondition::Owned { mark: mark_of(address), uuid: uuid(address) };
    let begun = half_made_note(&work.address, uuid(&work.address));
    let names = [Some(&work.address), work.renamed_from];
    let mut proofs: Vec<_> = names.into_iter().flatten().map(owned).collect();
    proofs.push(Precondition::Begun { note: begun });
    proofs
}

/// What proves the keeper of a guest's disks.
pub(super) fn keeper_proof(cluster: &str, work: &Work<'_>) -> Precondition {
    let key = work.address.key();
    let uuid = identity(cluster, &format!("kept.{key}"), work.address.guest());
    Precondition::Owned { mark: format!("{KEEPER}{key}"), uuid }
}

/// Does the guest carry this?
pub(super) fn holds(kind: &dyn GuestKind, proof: &Precondition, guest: &Guest) -> bool {
    match proof {
        Precondition::Owned { mark, uuid } => {
            tags_of(guest).contains(mark) && kind.identity_of(guest) == Some(*uuid)
        }
        Precondition::Begun { note } => {
            guest.config.get("description").is_some_and(|text| text.trim_end() == note)
        }
        _ => false,
    }
}

/// Why the guest is left as it is; none when it is what this run left behind.
pub(super) fn obstacle(
    input: &Input<'_>,
    work: &Work<'_>,
    proofs: &[Precondition],
) -> Option<Finding> {
    let vmid = work.vmid;
    let summary = input.now.inventory.guests.get(&vmid)?;
    let leave = |why: String, help: &str| {
        let text = format!("{} ({vmid}) is left as it is: {why}", work.address);
        Some(lost(&work.address, text).help(help))
    };
    let Some(guest) = input.now.guests.get(&vmid) else {
        let why = format!("it cannot be read on {}", summary.node);
        return leave(why, "bring its node back, then plan again");
    };
    if !proofs.iter().any(|proof| holds(input.kind, proof, guest)) {
        // That someone else took the VMID is what failed.
        let ours = work.begun.iter().any(|b| b.done && b.action.vmid == vmid);
        let why = format!("guest {vmid} on {} is not it", guest.node);
        return ours.then(|| leave(why, "look at it by hand; pvx does not touch it"))?;
    }
    if let Some(lock) = guest.lock() {
        return leave(
            format!("it is locked ({lock})"),
            "the next apply goes on with it when the lock is gone",
        );
    }
    let before = input.before.guests.get(&vmid).filter(|_| !work.makes(vmid));
    match before.and_then(|before| foreign(work, before, guest)) {
        Some(key) => leave(
            format!("someone else changed it meanwhile ({key})"),
            "`pvx plan` shows what differs from the documents",
        ),
        None => None,
    }
}

/// A key that somebody else changed: one that this run did not write, or that holds neither what
/// was there before nor what was written.
fn foreign(work: &Work<'_>, before: &Guest, now: &Guest) -> Option<String> {
    let touched = Touched::by(work, before.vmid);
    let keys: BTreeSet<&String> = before.config.keys().chain(now.config.keys()).collect();
    let differs = |key: &&&String| before.config.get(**key) != now.config.get(**key);
    let mut changed = keys.iter().filter(differs);
    changed.find(|key| !touched.explains(key, now.config.get(**key))).map(|key| (**key).clone())
}

/// What this run wrote to one guest.
#[derive(Default)]
struct Touched<'a> {
    /// Everything that was written to a key, in order.
    set: BTreeMap<&'a str, Vec<&'a str>>,
    deleted: BTreeSet<&'a str>,
    /// Slots whose drive came, went or moved.
    drives: BTreeSet<&'a str>,
    /// Disks were copied to another node: their names may be others.
    copied: bool,
}

impl<'a> Touched<'a> {
    fn by(work: &Work<'a>, vmid: u32) -> Self {
        let mut touched = Self::default();
        for begun in &work.begun {
            match &begun.action.kind {
                ActionKind::Reassign { target, target_disk, .. } if *target == vmid => {
                    touched.drives.insert(target_disk);
                }
                _ if begun.action.vmid != vmid => {}
                ActionKind::Configure { set, delete, .. }
                | ActionKind::ConfigureAsRoot { set, delete } => {
                    for (key, value) in set {
                        touched.set.entry(key).or_default().push(value);
                    }
                    touched.deleted.extend(delete.iter().map(String::as_str));
                    touched.drives.extend(set.keys().filter(|k| lint::is_disk(k)).map(|k| &**k));
                }
                ActionKind::Resize { disk, .. }
                | ActionKind::MoveDisk { disk, .. }
                | ActionKind::Reassign { disk, .. }
                | ActionKind::Detach { disk }
                | ActionKind::Erase { disk } => drop(touched.drives.insert(disk)),
                ActionKind::Migrate { with_local_disks, .. } => touched.copied |= with_local_disks,
                _ => {}
            }
        }
        touched
    }

    fn explains(&self, key: &str, now: Option<&String>) -> bool {
        if self.drives.contains(key) || SECRET_KEYS.contains(&key) {
            return true;
        }
        if lint::is_disk(key) && self.copied {
            return true;
        }
        // Proxmox keeps these up with the drives (qemu-server, vmconfig_delete_or_detach_drive).
        let follows = key.starts_with("unused") || matches!(key, "boot" | "bootdisk");
        if follows && !self.drives.is_empty() {
            return true;
        }
        let mut written = self.set.get(key).into_iter().flatten();
        match now {
            // Text that is empty is none.
            None => self.deleted.contains(key) || written.any(|text| text.trim().is_empty()),
            Some(now) => written.any(|written| covers(now, written)),
        }
    }
}

/// Does the stored value have everything that was written? Proxmox may add to a value (a MAC
/// address), spell a list in another order, and encode text.
fn covers(now: &str, written: &str) -> bool {
    if now.trim_end() == written.trim_end() {
        return true;
    }
    let pieces = |text: &str| -> Vec<String> {
        let pieces = text.split([',', ';', ' ', '\n']).filter(|piece| !piece.is_empty());
        pieces.map(str::to_owned).collect()
    };
    let stored = pieces(now);
    let has = |piece: &String| {
        stored.iter().any(|have| have == piece || have.starts_with(&format!("{piece}=")))
    };
    pieces(written).iter().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_recognised() {
        for (now, written, expected) in [
            ("4", "4", true),
            ("8", "4", false),
            ("virtio=BC:24:11:00:00:01,bridge=vmbr0", "virtio,bridge=vmbr0", true),
            ("virtio=BC:24:11:00:00:01,bridge=vmbr1", "virtio,bridge=vmbr0", false),
            ("a;b;pvx-k3s", "b;a;pvx-k3s", true),
            ("a;c", "a;b", false),
            ("two words\n", "two words", true),
        ] {
            assert_eq!(covers(now, written), expected, "{now} | {written}");
        }
    }
}
