//! `/pools` (`PVE::API2::Pool`), in the new form with the pool in the parameters and the old one
//! with it in the path.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::names;
use super::permission::Permission;
use super::refusal::Refusal;
use super::user_config::{locked, stored};
use crate::guest::format::{Format, Kind, check_format, list};
use crate::world::Pool;

const ALLOCATE: Permission = Permission::All("/pool/{poolid}", &["Pool.Allocate"]);
const TYPE: Param = optional("type", Kind::Enum(&["qemu", "lxc", "storage"]));
const POOLID: Param = required("poolid", names::POOL);
const COMMENT: Param = optional("comment", Kind::TEXT);
const VMS: Param = optional("vms", Kind::Check(vmids)).list();
const STORAGE: Param = optional("storage", Kind::Check(storage_ids)).list();
const MOVE: Param = optional("allow-move", Kind::Bool);
const DELETE: Param = optional("delete", Kind::Bool);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/pools", index)
        .with(&[optional("poolid", names::POOL), TYPE.requires("poolid")]),
    Endpoint::post("/pools", create).may(ALLOCATE).with(&[POOLID, COMMENT]),
    Endpoint::put("/pools", update)
        .may(ALLOCATE)
        .with(&[POOLID, COMMENT, VMS, STORAGE, MOVE, DELETE]),
    Endpoint::delete("/pools", delete).may(ALLOCATE).with(&[POOLID]),
    Endpoint::get("/pools/{poolid}", read)
        .may(Permission::All("/pool/{poolid}", &["Pool.Audit"]))
        .with(&[TYPE]),
    Endpoint::put("/pools/{poolid}", update)
        .may(ALLOCATE)
        .with(&[COMMENT, VMS, STORAGE, MOVE, DELETE]),
    Endpoint::delete("/pools/{poolid}", delete).may(ALLOCATE),
];

fn vmids(value: &str) -> Result<(), String> {
    each(value, Format::Vmid)
}

fn storage_ids(value: &str) -> Result<(), String> {
    each(value, Format::StorageId)
}

fn each(value: &str, format: Format) -> Result<(), String> {
    let checked = list(value).try_for_each(|part| check_format(format, part));
    checked.map_err(|error| format!("invalid format - {error}\n"))
}

fn named(call: &Call<'_>) -> String {
    call.params.get("poolid").unwrap_or_default().to_owned()
}

fn missing(name: &str) -> Refusal {
    Refusal::die(format!("pool '{name}' does not exist"))
}

/// With a pool named, that one with its members: for anybody, since the real server looks at
/// Pool.Audit there but does nothing with the answer.
fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if call.params.get("poolid").is_some_and(|name| !matches!(name, "" | "0")) {
        return Ok(json!([one(call)?]).into());
    }
    let visible = call.world.pools.iter();
    let visible = visible.filter(|(name, _)| call.may(&format!("/pool/{name}"), &["Pool.Audit"]));
    let items = visible.map(|(name, pool)| Value::Object(head(name, pool)));
    Ok(Value::Array(items.collect()).into())
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(one(call)?.into())
}

fn head(name: &str, pool: &Pool) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("poolid".to_owned(), json!(name));
    if !pool.comment.is_empty() {
        out.insert("comment".to_owned(), json!(pool.comment));
    }
    out
}

fn one(call: &Call<'_>) -> Result<Value, Refusal> {
    let (world, name) = (&*call.world, named(call));
    let pool = world.pools.get(&name).ok_or_else(|| missing(&name))?;
    let wanted = call.params.get("type");
    let wants = |kind| wanted.is_none_or(|wanted| wanted == kind);
    let mut members = Vec::new();
    // In the order of text, not of numbers.
    let vmids: BTreeMap<String, u32> =
        pool.guests.iter().map(|vmid| (vmid.to_string(), *vmid)).collect();
    for vmid in vmids.values().filter(|_| wants("qemu")) {
        if let Some(guest) = world.guests.get(vmid) {
            members.push(super::resources::guest_member(world, guest, call.moment.now));
        }
    }
    // Of the node that answers, or else the first that has it.
    let here = world.nodes.values().find(|node| node.online).map(|node| node.name.as_str());
    for id in pool.storages.iter().filter(|_| wants("storage")) {
        let Some(storage) = world.storages.get(id) else { continue };
        let first = || world.nodes.keys().map(String::as_str).find(|node| storage.on_node(node));
        let node = here.filter(|node| storage.on_node(node)).or_else(first);
        if let Some(node) = node {
            members.push(super::resources::storage_member(world, storage, node));
        }
    }
    let mut out = head(&name, pool);
    out.insert("members".to_owned(), Value::Array(members));
    Ok(Value::Object(out))
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "create pool failed", |call| {
        let name = named(call);
        if call.world.pools.contains_key(&name) {
            return Err(Refusal::die(format!("pool '{name}' already exists")));
        }
        let leaf = match name.rsplit_once('/') {
            Some((parent, leaf)) if call.world.pools.contains_key(parent) => leaf,
            Some((parent, _)) => {
                let text = format!("parent '{parent}' of pool '{name}' does not exist");
                return Err(Refusal::die(text));
            }
            None => name.as_str(),
        };
        if !leaf.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(Refusal::die("pool name must start with a letter"));
        }
        let comment = call.params.get("comment").and_then(stored).unwrap_or_default();
        call.world.pools.insert(name, Pool { comment, ..Pool::default() });
        Ok(())
    })?;
    Ok(Value::Null.into())
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "update pools failed", |call| {
        let name = named(call);
        if !call.world.pools.contains_key(&name) {
            return Err(missing(&name));
        }
        let remove = call.params.flag("delete").unwrap_or(false);
        if let Some(comment) = call.params.get("comment").map(stored) {
            pool(call, &name).comment = comment.unwrap_or_default();
        }
        let vms = call.params.get("vms").unwrap_or_default().to_owned();
        for vmid in list(&vms).filter_map(|vmid| vmid.parse().ok()) {
            change_guest(call, &name, vmid, remove)?;
        }
        let storages = call.params.get("storage").unwrap_or_default().to_owned();
        for id in list(&storages) {
            change_storage(call, &name, id, remove)?;
        }
        Ok(())
    })?;
    Ok(Value::Null.into())
}

/// A pool that was found before.
fn pool<'a>(call: &'a mut Call<'_>, name: &str) -> &'a mut Pool {
    call.world.pools.entry(name.to_owned()).or_default()
}

fn change_guest(call: &mut Call<'_>, name: &str, vmid: u32, remove: bool) -> Result<(), Refusal> {
    call.world.require_modify(&call.caller, &format!("/vms/{vmid}"))?;
    let holder = call.world.pool_of(vmid).map(str::to_owned);
    let here = holder.as_deref() == Some(name);
    if remove {
        if !here {
            return Err(Refusal::die(format!("VM {vmid} is not a pool member")));
        }
        pool(call, name).guests.remove(&vmid);
        return Ok(());
    }
    if here {
        return Err(Refusal::die(format!("VM {vmid} is already a pool member")));
    }
    if let Some(other) = holder {
        if !call.params.flag("allow-move").unwrap_or(false) {
            let text =
                format!("VM {vmid} belongs already to pool '{other}' and 'allow-move' is not set");
            return Err(Refusal::die(text));
        }
        call.require(&format!("/pool/{other}"), &["Pool.Allocate"])?;
        pool(call, &other).guests.remove(&vmid);
    }
    pool(call, name).guests.insert(vmid);
    Ok(())
}

fn change_storage(call: &mut Call<'_>, name: &str, id: &str, remove: bool) -> Result<(), Refusal> {
    call.world.require_modify(&call.caller, &format!("/storage/{id}"))?;
    let storages = &mut pool(call, name).storages;
    if remove {
        return match storages.remove(id) {
            true => Ok(()),
            false => Err(Refusal::die(format!("Storage '{id}' is not a pool member"))),
        };
    }
    match storages.insert(id.to_owned()) {
        true => Ok(()),
        false => Err(Refusal::die(format!("Storage '{id}' is already a pool member"))),
    }
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "delete pool failed", |call| {
        let (world, name) = (&*call.world, named(call));
        let pool = world.pools.get(&name).ok_or_else(|| missing(&name))?;
        let child = |other: &&String| other.rsplit_once('/').is_some_and(|(up, _)| up == name);
        let vmids = pool.guests.iter().filter(|vmid| world.guests.contains_key(vmid));
        let first_vmid = vmids.map(u32::to_string).min();
        let storage = pool.storages.iter().find(|id| world.storages.contains_key(*id));
        let inside = if let Some(child) = world.pools.keys().find(child) {
            Some(format!("pool '{child}'"))
        } else if let Some(vmid) = first_vmid {
            Some(format!("VM {vmid}"))
        } else {
            storage.map(|id| format!("storage '{id}'"))
        };
        if let Some(inside) = inside {
            return Err(Refusal::die(format!("pool '{name}' is not empty (contains {inside})")));
        }
        call.world.pools.remove(&name);
        if !name.contains('/') {
            // Only a pool at the top takes its permissions along (`delete_pool_acl`).
            let (own, below) = (format!("/pool/{name}"), format!("/pool/{name}/"));
            let of_pool = |path: &str| path == own || path.starts_with(&below);
            call.world.access.acl.retain(|entry| !of_pool(&entry.path));
        }
        Ok(())
    })?;
    Ok(Value::Null.into())
}
