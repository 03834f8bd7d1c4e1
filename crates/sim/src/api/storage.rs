//! `/storage` and `/nodes/{node}/storage`: configuration, status, content.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::call::{Call, Reply, check_node};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::work::{Work, disk::Free};
use crate::world::World;
use crate::world::guest::hex;
use crate::world::storage::{Storage, Volume};

const SEE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];
const ON_STORAGE: Permission = Permission::Any("/storage/{storage}", SEE);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/storage", config).with(&[optional("type", Kind::TEXT)]),
    Endpoint::get("/storage/{storage}", one)
        .may(Permission::All("/storage/{storage}", &["Datastore.Allocate"])),
    Endpoint::get("/nodes/{node}/storage", status_list).with(&[
        optional("content", Kind::TEXT),
        optional("enabled", Kind::Bool),
        optional("format", Kind::Bool),
        optional("storage", Kind::Format(Format::StorageId)),
        optional("target", Kind::Format(Format::Node)),
    ]),
    Endpoint::get("/nodes/{node}/storage/{storage}/status", status).may(ON_STORAGE),
    Endpoint::get("/nodes/{node}/storage/{storage}/content", content)
        .may(ON_STORAGE)
        .with(&[optional("content", Kind::TEXT), optional("vmid", Kind::Format(Format::Vmid))]),
    Endpoint::get("/nodes/{node}/storage/{storage}/content/{*volume}", volume).may(ON_STORAGE),
    Endpoint::delete("/nodes/{node}/storage/{storage}/content/{*volume}", free)
        .with(&[optional("delay", Kind::between(1, 30))]),
];

fn find<'a>(world: &'a World, id: &str) -> Result<&'a Storage, Refusal> {
    crate::guest::drive::storage_of(world, id).map_err(Refusal::die)
}

fn config_digest(world: &World) -> String {
    let text = serde_json::to_vec(&world.storages).unwrap_or_default();
    hex(&Sha1::digest(&text))
}

fn config_item(storage: &Storage, digest: &str) -> Value {
    let mut item = json!({
        "storage": storage.id, "type": storage.kind.name(), "content": storage.content.join(","), "digest": digest,
    });
    if let Some(members) = item.as_object_mut() {
        members.extend(storage.options.iter().map(|(key, value)| (key.clone(), json!(value))));
        if let Some(path) = &storage.path {
            members.insert("path".to_owned(), json!(path));
        }
        // Network storages are shared without saying so.
        if storage.shared && storage.kind == crate::world::storage::StorageKind::Dir {
            members.insert("shared".to_owned(), json!(1));
        }
        if let Some(nodes) = &storage.nodes {
            members.insert("nodes".to_owned(), json!(nodes.join(",")));
        }
    }
    item
}

fn config(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let digest = config_digest(call.world);
    let kind = call.params.get("type");
    let all = call.world.storages.values();
    let visible = all
        .filter(|storage| kind.is_none_or(|kind| kind == storage.kind.name()))
        .filter(|storage| call.may(&format!("/storage/{}", storage.id), SEE));
    Ok(Value::Array(visible.map(|storage| config_item(storage, &digest)).collect()).into())
}

fn one(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let storage = find(call.world, id)?;
    Ok(config_item(storage, &config_digest(call.world)).into())
}

fn status_item(world: &World, storage: &Storage, node: &str) -> Value {
    let used = world.used(&storage.id, node);
    json!({
        "type": storage.kind.name(), "content": storage.content.join(","), "shared": u8::from(storage.shared),
        "active": 1, "enabled": 1, "total": storage.capacity, "used": used,
        "avail": storage.capacity.saturating_sub(used),
    })
}

fn status_list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    if let Some(target) = call.params.get("target") {
        check_node(call.world, target)?;
    }
    let target = call.params.get("target");
    let kinds: Vec<&str> = list(call.params.get("content").unwrap_or_default()).collect();
    let wanted = call.params.get("storage");
    let mut items = Vec::new();
    for storage in call.world.storages.values() {
        let fits = wanted.is_none_or(|wanted| wanted == storage.id)
            && (kinds.is_empty() || kinds.iter().any(|kind| storage.holds(kind)))
            && storage.on_node(&node)
            && target.is_none_or(|target| storage.shared && storage.on_node(target));
        if !fits || !call.may(&format!("/storage/{}", storage.id), SEE) {
            continue;
        }
        let mut item = status_item(call.world, storage, &node);
        if let Some(members) = item.as_object_mut() {
            let used = call.world.used(&storage.id, &node) as f64;
            members.insert("storage".to_owned(), json!(storage.id));
            members
                .insert("used_fraction".to_owned(), json!(used / storage.capacity.max(1) as f64));
        }
        items.push(item);
    }
    Ok(Value::Array(items).into())
}

fn status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let storage = find(call.world, id)?;
    Ok(status_item(call.world, storage, &call.node()).into())
}

/// The id in content lists: a linked clone's names its base.
fn volid(storage: &str, name: &str, volume: &Volume) -> String {
    match &volume.parent {
        Some(parent) => format!("{storage}:{parent}/{name}"),
        None => format!("{storage}:{name}"),
    }
}

fn content_item(storage: &Storage, name: &str, volume: &Volume) -> Value {
    let mut item = json!({
        "volid": volid(&storage.id, name, volume), "content": volume.content, "format": volume.format,
        "size": volume.size, "ctime": volume.ctime,
    });
    if let Some(members) = item.as_object_mut() {
        if volume.content == "images" {
            members.insert("vmid".to_owned(), json!(volume.vmid));
            if storage.kind.has_files() {
                members.insert("used".to_owned(), json!(volume.used));
                let parent = volume.parent.as_ref().map(|parent| format!("../{parent}"));
                members.insert("parent".to_owned(), json!(parent));
            }
        } else {
            // Of a file that holds a disk, the list shows the file's size.
            members.insert("size".to_owned(), json!(volume.used));
        }
    }
    item
}

fn content(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let storage = find(call.world, id)?;
    let kind = call.params.get("content");
    let vmid: Option<u32> = call.params.get("vmid").and_then(|text| text.parse().ok());
    let node = call.node();
    if !storage.on_node(&node) {
        return Err(Refusal::die(format!("storage '{id}' is not available on node '{node}'")));
    }
    let may_see_all = call.may(&format!("/storage/{id}"), &["Datastore.Allocate"]);
    let mut items = Vec::new();
    for (name, volume) in call.world.volumes_on(id, &node) {
        let fits = kind.is_none_or(|kind| kind == volume.content)
            && (vmid.is_none() || volume.vmid.is_none() || volume.vmid == vmid);
        let seen = || match volume.vmid {
            Some(vmid) if !may_see_all => {
                call.may(&format!("/vms/{vmid}"), &["VM.Config.Disk", "VM.Backup"])
            }
            _ => true,
        };
        if fits && seen() {
            items.push(content_item(storage, name, volume));
        }
    }
    Ok(Value::Array(items).into())
}

/// `VOLNAME` or `STORAGE:VOLNAME` of the path.
fn path_volid(call: &Call<'_>) -> String {
    let storage = call.params.get("storage").unwrap_or_default();
    let volume = call.params.get("volume").unwrap_or_default();
    if volume.contains(':') { volume.to_owned() } else { format!("{storage}:{volume}") }
}

fn volume(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let volid = path_volid(call);
    let Some(found) = call.world.volume(&call.node(), &volid) else {
        return Err(Refusal::die(format!("volume_size_info on '{volid}' failed")));
    };
    let path = crate::guest::drive::path_of(call.world, &volid);
    Ok(json!({ "path": path, "size": found.size, "used": found.used, "format": found.format })
        .into())
}

fn free(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, volid) = (call.node(), path_volid(call));
    let (storage, name) = volid.split_once(':').unwrap_or_default();
    find(call.world, storage)?;
    let path = format!("/storage/{storage}");
    let owner = call.world.volume(&node, &volid).and_then(|volume| volume.vmid);
    match owner {
        Some(vmid)
            if call.may(&format!("/vms/{vmid}"), &["VM.Config.Disk"])
                && call.may(&path, &["Datastore.AllocateSpace"]) => {}
        _ => call.require(&path, &["Datastore.Allocate"])?,
    }
    let own = crate::world::volumes::own_name(name);
    let id = match owner {
        Some(vmid) => format!("{vmid}@{storage}"),
        None => format!("{}@{storage}", own.rsplit('/').next().unwrap_or(own)),
    };
    Ok(call.fork(&node, "imgdel", &id, Work::FreeVolume(Free { volid: volid.clone() })))
}
