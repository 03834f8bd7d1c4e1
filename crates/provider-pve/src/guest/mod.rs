//! VMs (`qemu`): how Proxmox spells what documents say, and what differs on a live one. Pure.
//!
//! `scalar` has the keys that hold one value, `network`, `disk` and `cloudinit` those that hold
//! property strings, `effect` the written decision of what a change costs.

mod cloudinit;
mod differ;
mod disk;
mod effect;
mod identity;
mod kept;
mod network;
mod scalar;
#[cfg(test)]
mod tests;
pub(crate) mod unnamed;

use std::collections::BTreeMap;

use pvx_core::live::Guest;
use pvx_core::provider::{Comparison, GuestKind, Volume, Wanted};
use uuid::Uuid;

use differ::Differ;

/// QEMU guests.
#[derive(Debug, Clone, Copy, Default)]
pub struct Qemu;

impl GuestKind for Qemu {
    fn identity_of(&self, guest: &Guest) -> Option<Uuid> {
        identity::of(guest)
    }

    fn volumes(&self, guest: &Guest) -> Vec<Volume> {
        disk::volumes(guest)
    }

    fn clone_of(&self, template: &Guest, name: &str, note: &str, storage: Option<&str>) -> Guest {
        identity::clone_of(template, name, note, storage)
    }

    fn with_disk(&self, guest: &Guest, slot: &str, value: &str) -> Guest {
        kept::with_disk(guest, slot, value)
    }

    fn keeper(
        &self,
        name: &str,
        identity: Uuid,
        mark: &str,
        note: &str,
    ) -> BTreeMap<String, String> {
        kept::keeper(name, identity, mark, note)
    }

    fn can_reassign(&self, plugin: &str) -> bool {
        kept::can_reassign(plugin)
    }

    fn create(&self, wanted: &Wanted<'_>, base: &Guest) -> Comparison {
        let mut differ = Differ::new(wanted, base);
        compare_all(&mut differ);
        disk::default_efidisk(&mut differ);
        // Proxmox lets a new guest boot from its first disk, but not from one that comes later.
        if let Some(slot) = disk::boot_disk(base) {
            differ.default("boot", &format!("order={slot}"));
        }
        differ.finish()
    }

    fn compare(&self, wanted: &Wanted<'_>, live: &Guest) -> Comparison {
        let mut differ = Differ::new(wanted, live);
        compare_all(&mut differ);
        differ.finish()
    }
}

fn compare_all(differ: &mut Differ<'_>) {
    identity::compare(differ);
    scalar::compare(differ);
    disk::compare(differ);
    network::compare(differ);
    cloudinit::compare(differ);
}
