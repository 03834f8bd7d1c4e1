//! The boot order, which Proxmox changes on its own: a CD-ROM drive that is written joins an order that is set,
//! and a drive that goes leaves it (qemu-server `API2/Qemu.pm`, `$update_vm_api`). Both start from the
//! order that runs, so one that is written with them or before them can be lost: the keys of a
//! request are taken in no certain order.

use std::collections::BTreeSet;

use pvx_core::live::Guest;
use pvx_core::provider::{Comparison, Rewrite};

use super::effect;
use crate::codec::{Boot, Drive};

const KEY: &str = "boot";

/// Has the documents' order written when everything is that Proxmox changes it for.
pub(super) fn rewrite(comparison: &mut Comparison, live: &Guest) {
    if !comparison.managed.contains(KEY) {
        return;
    }
    let Some(value) = comparison.set.get(KEY).or(live.config.get(KEY)).cloned() else { return };
    let order = effect::running(live, KEY).and_then(|text| Boot::parse(text).ok());
    let order: Vec<&str> = order.iter().flat_map(Boot::devices).collect();
    if order.is_empty() {
        return;
    }
    let joins = |(key, value): (&String, &String)| {
        let medium = Drive::parse(value).is_ok_and(|d| d.is_cdrom() && !d.is_cloudinit());
        (super::disk::is_slot(key) && medium && !order.contains(&key.as_str())).then(|| key.clone())
    };
    let leaves = comparison.detach.iter().map(|drive| &drive.slot);
    let leaves = leaves.filter(|slot| order.contains(&slot.as_str())).cloned();
    let after: BTreeSet<String> = comparison.set.iter().filter_map(joins).chain(leaves).collect();
    if !after.is_empty() {
        comparison.rewrites.push(Rewrite { key: KEY.to_owned(), value, after });
    }
}
