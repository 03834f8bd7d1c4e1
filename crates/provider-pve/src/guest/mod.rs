//! VMs (`qemu`): how Proxmox spells what documents say, and what differs on a live one. Pure.
//!
//! `setting` compares the keys of the schema's table, `scalar` has what is peculiar about single
//! ones; `network`, `disk` and `cloudinit` are compared in their own ways, `raw` as text; `ha` is
//! what the HA manager is told; `effect` is the written decision of what a change costs, `privilege` which checks Proxmox makes.

mod boot;
mod cloudinit;
mod differ;
mod disk;
mod effect;
mod ha;
mod hardware;
mod identity;
mod kept;
mod network;
mod privilege;
mod raw;
mod root;
mod scalar;
mod setting;
#[cfg(test)]
mod tests;
mod together;
pub(crate) mod unnamed;

pub use effect::{Feature, Rule, property, rule, table};

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::desired::Ha;
use pvx_core::live::{Guest, Properties};
use pvx_core::plan::Privilege;
use pvx_core::provider::{
    Comparison, GuestKind, HaComparison, HaRule, Hardware, Reach, Volume, Wanted,
};
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

    fn hardware(&self, config: &BTreeMap<String, String>) -> Hardware {
        hardware::of(config)
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
        finish(differ, base)
    }

    fn compare(&self, wanted: &Wanted<'_>, live: &Guest) -> Comparison {
        let mut differ = Differ::new(wanted, live);
        compare_all(&mut differ);
        finish(differ, live)
    }

    fn compare_ha(
        &self,
        wanted: &Ha,
        managed_before: &BTreeSet<String>,
        live: Option<&Properties>,
        runs: bool,
    ) -> HaComparison {
        ha::resource(wanted, managed_before, live, runs)
    }

    fn compare_rule(&self, wanted: &HaRule<'_>, live: Option<&Properties>) -> HaComparison {
        ha::rule(wanted, live)
    }

    fn privileges(&self, reach: &Reach<'_>) -> Vec<Privilege> {
        privilege::of(reach)
    }
}

fn finish(mut differ: Differ<'_>, live: &Guest) -> Comparison {
    together::check(&mut differ);
    let mut comparison = differ.finish();
    root::split(&mut comparison, live);
    boot::rewrite(&mut comparison, live);
    comparison
}

fn compare_all(differ: &mut Differ<'_>) {
    identity::compare(differ);
    setting::compare(differ);
    scalar::balloon(differ);
    disk::compare(differ);
    network::compare(differ);
    cloudinit::compare(differ);
    raw::compare(differ);
}
