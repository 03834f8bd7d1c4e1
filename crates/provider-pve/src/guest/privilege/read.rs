//! What is only looked at, for the plan and while it is carried out.

use std::collections::{BTreeMap, BTreeSet};

use pvx_core::address::Address;
use pvx_core::plan::{Action, ActionKind, Privilege, Use};
use pvx_core::provider::Reach;

use super::course::{Config, Course};
use crate::codec::Drive;
use crate::guest::disk::is_slot;

const GUEST: &[&str] = &["VM.Audit"];
const STORAGE: &[&str] = &["Datastore.Audit"];
const POOL: &[&str] = &["Pool.Audit"];

/// The checks of reads. Tasks of one's own, `/cluster/resources` and `/cluster/nextid` need
/// nothing; what a token may not see is not in them, though.
pub(super) fn of(reach: &Reach<'_>) -> Vec<Privilege> {
    let mut found = vec![read("/".to_owned(), &["Sys.Audit"], None, "the cluster's state")];
    for (vmid, address) in &reach.guests {
        found.push(guest(*vmid, None, address, ""));
    }
    for (storage, address) in &reach.reads.storages {
        found.push(read(format!("/storage/{storage}"), STORAGE, Some(address), "the storage"));
    }
    for (pool, address) in &reach.reads.pools {
        found.push(read(format!("/pool/{pool}"), POOL, Some(address), "the pool"));
    }
    for (vmid, address) in &reach.reads.templates {
        found.push(guest(*vmid, None, address, "the template"));
    }
    let mut course = Course::new(reach.snapshot);
    let mut pools: BTreeMap<u32, String> = BTreeMap::new();
    let order = reach.plan.actions.sequence().unwrap_or_default();
    for action in order.into_iter().filter_map(|id| reach.plan.actions.get(id)) {
        let before = course.config(action.vmid).clone();
        course.follow(action);
        pools.extend(course.pool(action.vmid).map(|pool| (action.vmid, pool)));
        found.push(guest(action.vmid, pools.get(&action.vmid), &action.address, ""));
        of_action(&mut found, action, &before, &course);
    }
    found
}

fn of_action(found: &mut Vec<Privilege>, action: &Action, before: &Config, course: &Course<'_>) {
    let address = &action.address;
    let mut storages: BTreeSet<String> = BTreeSet::new();
    match &action.kind {
        ActionKind::Clone { source, storage, .. } => {
            found.push(guest(*source, None, address, "the template"));
            storages.extend(used(course.config(*source)));
            storages.extend(storage.clone());
        }
        ActionKind::Create { config: set, .. } | ActionKind::Configure { set, .. } => {
            let changed = set.iter().filter(|(key, value)| before.get(*key) != Some(value));
            storages.extend(used(&changed.map(|(k, v)| (k.clone(), v.clone())).collect()));
        }
        ActionKind::Migrate { .. } => storages.extend(used(before)),
        ActionKind::MoveDisk { disk, storage, .. } => {
            storages.extend(used(&only(before, disk)));
            storages.insert(storage.clone());
        }
        ActionKind::Reassign { disk, target, .. } => {
            found.push(guest(*target, None, address, ""));
            storages.extend(used(&only(before, disk)));
        }
        ActionKind::Snippet { storage, .. } => drop(storages.insert(storage.clone())),
        // One that it is taken from by another pool need not be seen.
        ActionKind::Pool { join: None, leave: Some(pool) } => {
            found.push(read(format!("/pool/{pool}"), POOL, Some(address), "the pool"));
        }
        _ => {}
    }
    for storage in storages {
        found.push(read(format!("/storage/{storage}"), STORAGE, Some(address), "the storage"));
    }
}

/// Storages that drives are on.
fn used(config: &Config) -> BTreeSet<String> {
    let drives = config.iter().filter(|(key, _)| is_slot(key));
    let storage = |(_, value): (&String, &String)| {
        Drive::parse(value).ok().and_then(|drive| drive.storage().map(str::to_owned))
    };
    drives.filter_map(storage).collect()
}

fn only(config: &Config, key: &str) -> Config {
    config.get(key).map(|value| (key.to_owned(), value.clone())).into_iter().collect()
}

fn guest(vmid: u32, pool: Option<&String>, address: &Address, what: &str) -> Privilege {
    let check = read(format!("/vms/{vmid}"), GUEST, Some(address), what);
    Privilege { pool: pool.map(|pool| format!("/pool/{pool}")), ..check }
}

fn read(path: String, any_of: &[&str], address: Option<&Address>, what: &str) -> Privilege {
    let mut used = Use::new("read");
    if !what.is_empty() {
        used = used.of(what);
    }
    used.address = address.cloned();
    Privilege { uses: vec![used], ..Privilege::new(path, any_of) }
}
