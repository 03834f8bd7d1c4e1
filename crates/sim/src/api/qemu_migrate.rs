//! Migration and its preconditions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::call::{Call, Reply, check_lock, check_node};
use super::endpoint::{Endpoint, optional, required};
use super::guest_checks::volume_type;
use super::ha_resources::{blocking, motion_info};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::allocate::storage_of;
use crate::guest::drive::drives;
use crate::guest::format::{Format, Kind, list};
use crate::guest::local::Resources;
use crate::ha::sid_of;
use crate::work::Work;
use crate::work::disk::enabled;
use crate::work::ha::{Request, Wish};
use crate::work::migrate::{Migrate, local_disks};
use crate::world::guest::Guest;
use crate::world::volumes::split_volid;

const MIGRATE: Permission = Permission::All("/vms/{vmid}", &["VM.Migrate"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/migrate", precondition)
        .may(MIGRATE)
        .writes(Writes::Checked)
        .with(&[optional("target", Kind::Format(Format::Node))]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/migrate", migrate)
        .may(MIGRATE)
        .writes(Writes::Checked)
        .with(&[
            required("target", Kind::Format(Format::Node)),
            optional("bwlimit", Kind::NATURAL),
            optional("force", Kind::Bool),
            optional("migration_network", Kind::Formatted(super::cluster_options::cidr)),
            optional("migration_type", Kind::Enum(&["secure", "insecure"])),
            optional("online", Kind::Bool),
            optional("targetstorage", Kind::Format(Format::StorageMap)),
            optional("with-conntrack-state", Kind::Bool),
            optional("with-local-disks", Kind::Bool),
        ]),
];

/// Storages that a guest's drives need and `target` lacks (`check_local_storage_availability`).
fn missing_storages(call: &Call<'_>, guest: &Guest, target: &str) -> Result<Vec<String>, Refusal> {
    let mut missing = BTreeSet::new();
    for (_, drive) in drives(guest) {
        let Some((storage, _)) = split_volid(drive.file()) else { continue };
        storage_of(call.world, storage)?;
        if enabled(call.world, storage, target).is_err() {
            missing.insert(storage.to_owned());
        }
    }
    Ok(missing.into_iter().collect())
}

fn precondition(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let guest = call.guest()?;
    check_lock(guest).map_err(Refusal::die)?;
    let sid = sid_of(guest.vmid);
    let resources = Resources::of(call.world, guest);
    let (mut allowed, mut refused) = (Vec::new(), Map::new());
    for other in call.world.nodes.values().filter(|other| other.name != node) {
        let mut why = Map::new();
        let missing = missing_storages(call, guest, &other.name)?;
        if !missing.is_empty() {
            why.insert("unavailable_storages".to_owned(), json!(missing));
        }
        let keys = resources.missing_on(call.world, &other.name);
        if !keys.is_empty() {
            why.insert("unavailable-resources".to_owned(), json!(keys));
        }
        let (_, apart) = motion_info(call.world, &sid, &other.name);
        if !apart.is_empty() {
            why.insert("blocking-ha-resources".to_owned(), blocking(&apart));
        }
        if why.is_empty() {
            allowed.push(other.name.clone());
        }
        refused.insert(other.name.clone(), Value::Object(why));
    }
    let disks = local_disks(call.world, guest).into_iter();
    let disks = disks.map(|(volid, named)| named.json(&volid));
    let mut out = json!({
        "running": u8::from(guest.running.is_some()), "local_disks": Value::Array(disks.collect()),
        "local_resources": resources.local, "has-dbus-vmstate": 1, "allowed_nodes": allowed,
        "mapped-resources": resources.mapped.keys().collect::<Vec<_>>(),
        "mapped-resource-info": resources.info(),
    });
    if let Some(members) = out.as_object_mut() {
        if call.world.ha_managed(guest.vmid) {
            let (together, _) = motion_info(call.world, &sid, &node);
            members.insert("dependent-ha-resources".to_owned(), json!(together));
        }
        members.insert("not_allowed_nodes".to_owned(), Value::Object(refused));
    }
    Ok(out.into())
}

/// `check_storage_availability`: each storage of the guest is on both nodes.
fn available(call: &Call<'_>, guest: &Guest, target: &str) -> Result<(), Refusal> {
    for (_, drive) in drives(guest) {
        let volid = drive.file();
        let Some((storage, _)) = split_volid(volid) else { continue };
        let found = enabled(call.world, storage, &guest.node)?;
        enabled(call.world, storage, target)?;
        let kind = volume_type(call.world, volid)?;
        if !found.holds(kind) {
            let text =
                format!("{volid}: content type '{kind}' is not available on storage '{storage}'");
            return Err(Refusal::die(text));
        }
    }
    Ok(())
}

/// A running guest goes only to where it is replicated.
fn replicated_to(call: &Call<'_>, vmid: u32, target: &str) -> Result<(), Refusal> {
    let mut jobs = call.world.replication_of(vmid).peekable();
    if jobs.peek().is_none() || jobs.any(|(_, node)| node == target) {
        return Ok(());
    }
    Err(Refusal::die(format!(
        "Cannot live-migrate replicated VM to node '{target}' - not a replication target. Use 'force' to override."
    )))
}

fn migrate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, vmid) = (call.node(), call.vmid());
    let target = call.params.get("target").unwrap_or_default().to_owned();
    if target == node {
        return Err(Refusal::param("target", "target is local node."));
    }
    check_node(call.world, &target)?;
    for name in ["force", "migration_type", "migration_network"] {
        let given = call.params.get(name).is_some_and(|value| !matches!(value, "" | "0"));
        if given && !call.caller.is_root() {
            return Err(Refusal::param(name, "Only root may use this option."));
        }
    }
    let guest = call.guest()?;
    check_lock(guest).map_err(Refusal::die)?;
    let with_local_disks = call.params.flag("with-local-disks").unwrap_or(false);
    let running = guest.running.is_some();
    let online = running && call.params.flag("online").unwrap_or(false);
    if running && !online {
        return Err(Refusal::die("can't migrate running VM without --online"));
    }
    let force = call.params.flag("force").unwrap_or(false);
    if running && !force {
        replicated_to(call, vmid, &target)?;
    }
    let (mut storage, mut storages, mut same) = (None, BTreeMap::new(), false);
    for entry in list(call.params.get("targetstorage").unwrap_or_default()) {
        match entry.split_once(':') {
            Some((from, to)) => drop(storages.insert(from.to_owned(), to.to_owned())),
            None if entry == "1" => same = true,
            None => storage = Some(entry.to_owned()),
        }
    }
    let mapped = storage.is_some() || !storages.is_empty();
    if mapped {
        call.require(&format!("/vms/{vmid}"), &["VM.Config.Disk"])?;
    }
    for id in storages.values().chain(&storage) {
        let found = enabled(call.world, id, &target)?;
        call.require(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])?;
        if !found.holds("images") {
            return Err(Refusal::die(format!("storage '{id}' does not support vm images")));
        }
    }
    if same || !mapped {
        available(call, guest, &target)?;
    }
    if call.world.ha_managed(vmid) {
        let wish = Wish::Migrate(target);
        return call.fork_guest("hamigrate", Work::Ha(Request { vmid, wish }));
    }
    let work =
        Migrate { vmid, target, online, with_local_disks, storage, storages, locked: false, force };
    call.fork_guest("qmigrate", Work::Migrate(work))
}
