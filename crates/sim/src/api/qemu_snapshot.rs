//! Snapshots of guests (`PVE::API2::Qemu`): the list, which always has `current`, and what is done
//! with one. What does not fit is mostly found by the task, after the UPID.

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::allocate::storage_of;
use crate::guest::drive::drives;
use crate::guest::format::Kind;
use crate::guest::keys;
use crate::work::Work;
use crate::work::rollback::Rollback;
use crate::work::snapshot::{Snapshot, assert_migratable, guest_has_feature, stored_description};
use crate::work::snapshot_delete::DeleteSnapshot;
use crate::world::World;
use crate::world::guest::{Guest, Section};
use crate::world::snapshot::Feature;
use crate::world::volumes::split_volid;

const SNAPSHOT: Permission = Permission::All("/vms/{vmid}", &["VM.Snapshot"]);
const AUDIT: Permission = Permission::All("/vms/{vmid}", &["VM.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/qemu/{vmid}/snapshot", list).may(AUDIT),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/snapshot", create).may(SNAPSHOT).with(&[
        required("snapname", Kind::SNAPSHOT),
        optional("description", Kind::TEXT),
        optional("vmstate", Kind::Bool),
    ]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/snapshot/{snapname}", index),
    Endpoint::delete("/nodes/{node}/qemu/{vmid}/snapshot/{snapname}", delete)
        .may(SNAPSHOT)
        .with(&[optional("force", Kind::Bool)]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config", config)
        .may(Permission::Any("/vms/{vmid}", &["VM.Snapshot", "VM.Snapshot.Rollback", "VM.Audit"])),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config", describe)
        .writes(Writes::Guest)
        .may(SNAPSHOT)
        .with(&[optional("description", Kind::TEXT)]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback", rollback)
        .may(Permission::Any("/vms/{vmid}", &["VM.Snapshot", "VM.Snapshot.Rollback"]))
        .with(&[optional("start", Kind::Bool)]),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/feature", feature).may(AUDIT).with(&[
        required("feature", Kind::Enum(&["snapshot", "clone", "copy"])),
        optional("snapname", Kind::SNAPSHOT),
    ]),
];

fn name(call: &Call<'_>) -> String {
    call.params.get("snapname").unwrap_or_default().to_owned()
}

fn flag(call: &Call<'_>, name: &str) -> bool {
    call.params.flag(name).unwrap_or(false)
}

fn missing(name: &str) -> Refusal {
    Refusal::die(format!("snapshot '{name}' does not exist"))
}

fn item(name: &str, section: &Section) -> Value {
    let text = |key: &str| section.get(key).map_or("", String::as_str);
    let mut item = json!({
        "name": name, "description": text("description"),
        "snaptime": text("snaptime").parse::<i64>().unwrap_or(0),
        "vmstate": u8::from(section.contains_key("vmstate")),
    });
    if let Some(members) = item.as_object_mut() {
        for key in ["parent", "snapstate"] {
            members.extend(section.get(key).map(|value| (key.to_owned(), json!(value))));
        }
    }
    item
}

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let guest = call.guest()?;
    let mut items: Vec<Value> =
        guest.snapshots.iter().map(|(name, section)| item(name, section)).collect();
    let mut current = json!({
        "name": "current", "description": "You are here!", "digest": guest.digest(),
        "running": u8::from(guest.running.is_some()),
    });
    if let (Some(members), Some(parent)) = (current.as_object_mut(), guest.get("parent")) {
        members.insert("parent".to_owned(), json!(parent));
    }
    items.push(current);
    Ok(Value::Array(items).into())
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (vmid, name) = (call.vmid(), name(call));
    if name == "current" || name.eq_ignore_ascii_case("pending") {
        let name = name.to_lowercase();
        return Err(Refusal::die(format!("unable to use snapshot name '{name}' (reserved name)")));
    }
    let ram = flag(call, "vmstate");
    assert_migratable(call.guest()?, ram)?;
    let description = call.params.get("description").map(str::to_owned);
    let work = Snapshot::new(vmid, &name, ram, description);
    call.fork_guest("qmsnapshot", Work::Snapshot(work))
}

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!([{ "cmd": "rollback" }, { "cmd": "config" }]).into())
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let work = DeleteSnapshot::new(call.vmid(), &name(call), flag(call, "force"));
    call.fork_guest("qmdelsnapshot", Work::DeleteSnapshot(work))
}

/// The section as it is: passwords are not masked, and there is no digest.
fn config(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = name(call);
    let section = call.guest()?.snapshots.get(&name).ok_or_else(|| missing(&name))?;
    let members = section.iter().map(|(key, value)| (key.clone(), keys::typed(key, value)));
    Ok(Value::Object(members.collect::<Map<_, _>>()).into())
}

fn describe(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (vmid, name) = (call.vmid(), name(call));
    let Some(text) = call.params.get("description").map(str::to_owned) else {
        return Ok(Value::Null.into());
    };
    call.config_lock(vmid)?;
    let guest = call.guest()?;
    call.check_lock(guest)?;
    if !guest.snapshots.contains_key(&name) {
        return Err(missing(&name));
    }
    let guest = call.world.guests.get_mut(&vmid);
    if let Some(section) = guest.and_then(|guest| guest.snapshots.get_mut(&name)) {
        match stored_description(&text) {
            Some(text) => section.insert("description".to_owned(), text),
            None => section.remove("description"),
        };
    }
    Ok(Value::Null.into())
}

fn rollback(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (vmid, name, start) = (call.vmid(), name(call), flag(call, "start"));
    if start {
        call.require(&format!("/vms/{vmid}"), &["VM.PowerMgmt"])?;
    }
    call.fork_guest("qmrollback", Work::Rollback(Rollback { vmid, name, start }))
}

fn feature(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let wanted = match call.params.get("feature") {
        Some("clone") => Feature::Clone,
        Some("copy") => Feature::Copy,
        _ => Feature::Snapshot,
    };
    call.checked_guest()?;
    let mut guest = call.guest()?.clone();
    let snapshot = call.params.get("snapname").filter(|name| !name.is_empty());
    if let Some(name) = snapshot {
        guest = guest.at_snapshot(name).ok_or_else(|| missing(name))?;
    }
    let nodes = shared_nodes(call.world, &guest)?;
    let has = guest_has_feature(call.world, &guest, wanted, snapshot.is_some(), false)?;
    Ok(json!({ "hasFeature": u8::from(has), "nodes": nodes }).into())
}

/// The nodes that have all storages of a guest.
fn shared_nodes(world: &World, guest: &Guest) -> Result<Vec<String>, String> {
    let mut nodes: Vec<String> = world.nodes.keys().cloned().collect();
    for (_, drive) in drives(guest) {
        let Some((storage, _)) = split_volid(drive.file()) else { continue };
        let storage = storage_of(world, storage)?;
        nodes.retain(|node| match &storage.nodes {
            _ if storage.disabled() => false,
            Some(only) => only.contains(node),
            None => storage.shared || *node == guest.node,
        });
    }
    Ok(nodes)
}
