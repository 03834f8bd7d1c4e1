//! `/nodes/{node}/storage`: storages as a node sees them.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use super::storage::SEE;
use crate::guest::format::{Format, Kind, list};
use crate::storage::activate::enabled;
use crate::storage::config;
use crate::storage::options::CONTENT_LIST;
use crate::world::World;
use crate::world::storage::{Storage, StorageKind};

pub(crate) const ON_STORAGE: Permission = Permission::Any("/storage/{storage}", SEE);

const FRAMES: Kind = Kind::Enum(&["hour", "day", "week", "month", "year"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/storage", status_list).with(&[
        optional("content", CONTENT_LIST).list(),
        optional("enabled", Kind::Bool),
        optional("format", Kind::Bool),
        optional("storage", Kind::Format(Format::StorageId)),
        optional("target", Kind::Format(Format::Node)),
    ]),
    Endpoint::get("/nodes/{node}/storage/{storage}", index).may(ON_STORAGE),
    Endpoint::get("/nodes/{node}/storage/{storage}/status", status).may(ON_STORAGE),
    Endpoint::get("/nodes/{node}/storage/{storage}/identity", identity).may(ON_STORAGE),
    Endpoint::get("/nodes/{node}/storage/{storage}/rrddata", rrddata)
        .may(ON_STORAGE)
        .with(&[required("timeframe", FRAMES), optional("cf", Kind::Enum(&["AVERAGE", "MAX"]))]),
];

/// Whether it is enabled in the configuration, for this node (`storage_check_enabled`).
fn is_enabled(storage: &Storage, node: &str) -> bool {
    !storage.disabled() && storage.on_node(node)
}

/// Whether the node can use it.
pub(crate) fn is_active(storage: &Storage, node: &str) -> bool {
    is_enabled(storage, node) && storage.reachable(node)
}

fn item(world: &World, storage: &Storage, node: &str, formats: bool) -> Value {
    let active = is_active(storage, node);
    let (total, used) =
        if active { (storage.capacity, world.used(&storage.id, node)) } else { (0, 0) };
    let mut item = json!({
        "type": storage.kind.name(), "content": config::content_of(storage),
        "shared": u8::from(storage.shared), "active": u8::from(active),
        "enabled": u8::from(is_enabled(storage, node)), "total": total, "used": used.min(total),
        "avail": total.saturating_sub(used),
    });
    if let Some(members) = item.as_object_mut().filter(|_| formats && is_enabled(storage, node)) {
        let (supported, default) = storage.formats();
        let valid: serde_json::Map<String, Value> =
            supported.iter().map(|name| ((*name).to_owned(), json!(1))).collect();
        members.insert("formats".to_owned(), json!({ "supported": supported, "default": default }));
        members.insert("format".to_owned(), json!([valid, default]));
        if matches!(storage.kind, StorageKind::Iscsi | StorageKind::IscsiDirect) {
            members.insert("select_existing".to_owned(), json!(1));
        }
    }
    item
}

fn status_list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let target =
        call.params.get("target").filter(|target| *target != node && *target != "localhost");
    let content = call.params.get("content");
    let kinds: Vec<&str> = list(content.unwrap_or_default()).collect();
    let wanted = call.params.get("storage");
    let formats = call.params.flag("format").unwrap_or(false);
    let enabled_only = call.params.flag("enabled").unwrap_or(false);
    let has_content = |storage: &&Storage| {
        content.is_none()
            || (kinds.iter().any(|kind| storage.holds(kind)) && is_enabled(storage, &node))
    };
    let known: Vec<&Storage> = call.world.storages.values().filter(has_content).collect();
    if let Some(wanted) = wanted
        && !known.iter().any(|storage| storage.id == wanted)
    {
        return Err(Refusal::param("storage", "No such storage."));
    }
    let mut items = Vec::new();
    for storage in known {
        let fits = wanted.is_none_or(|wanted| wanted == storage.id)
            && !(enabled_only && storage.disabled())
            && target.is_none_or(|target| {
                storage.shared && storage.on_node(&node) && storage.on_node(target)
            });
        if !fits || !call.may(&format!("/storage/{}", storage.id), SEE) {
            continue;
        }
        let mut item = item(call.world, storage, &node, formats);
        let number = |key: &str| item.get(key).and_then(Value::as_u64);
        let (total, used) = (number("total"), number("used"));
        if let Some(members) = item.as_object_mut() {
            members.insert("storage".to_owned(), json!(storage.id));
            if let (Some(total @ 1..), Some(used)) = (total, used) {
                members.insert("used_fraction".to_owned(), json!(used as f64 / total as f64));
            }
        }
        items.push(item);
    }
    Ok(Value::Array(items).into())
}

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let names = [
        "content",
        "download-url",
        "file-restore",
        "import-metadata",
        "identity",
        "oci-registry-pull",
        "prunebackups",
        "rrd",
        "rrddata",
        "status",
        "upload",
    ];
    Ok(super::cluster::subdirs(&names, "subdir").into())
}

fn status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let Some(storage) = call.world.storages.get(id) else {
        return Err(Refusal::param("storage", "No such storage."));
    };
    Ok(item(call.world, storage, &call.node(), false).into())
}

fn identity(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let storage = enabled(call.world, id, &call.node())?;
    let class = match storage.kind {
        StorageKind::Pbs => "PBSPlugin",
        _ => {
            return Err(Refusal::die(
                "get_identity not implemented for this plugin at /usr/share/perl5/PVE/Storage/Plugin.pm line 2681.",
            ));
        }
    };
    Ok(json!({ "type": storage.kind.name(), "id": class }).into())
}

/// Points of the last hour, day, …: the simulator keeps no history, so all show what is now.
fn rrddata(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let node = call.node();
    let step = match call.params.get("timeframe") {
        Some("hour") => 60,
        Some("day") => 1800,
        Some("week") => 10_800,
        Some("month") => 43_200,
        _ => 604_800,
    };
    let storage = call.world.storages.get(id).filter(|storage| is_active(storage, &node));
    let end = call.moment.seconds() / step * step;
    let points = (0..70).rev().map(|back| {
        let mut point = json!({ "time": end - back * step });
        if let (Some(storage), Some(members)) = (storage, point.as_object_mut()) {
            members.insert("total".to_owned(), json!(storage.capacity as f64));
            members.insert("used".to_owned(), json!(call.world.used(id, &node) as f64));
        }
        point
    });
    Ok(Value::Array(points.collect()).into())
}
