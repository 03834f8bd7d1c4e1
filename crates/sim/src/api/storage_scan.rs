//! `/nodes/{node}/scan`: what a node could make a storage of. Answers what the world's storages
//! show to be there; servers that no storage uses cannot be reached.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::storage::options::{FINGERPRINT, PORTAL, SERVER};
use crate::world::storage::{Storage, StorageKind};

const MAY: Permission = Permission::All("/storage", &["Datastore.Allocate"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/scan/nfs", nfs).may(MAY).with(&[required("server", SERVER)]),
    Endpoint::get("/nodes/{node}/scan/cifs", cifs).may(MAY).with(&[
        required("server", SERVER),
        optional("username", Kind::TEXT),
        optional("password", Kind::TEXT),
        optional("domain", Kind::TEXT),
    ]),
    Endpoint::get("/nodes/{node}/scan/iscsi", iscsi).may(MAY).with(&[required("portal", PORTAL)]),
    Endpoint::get("/nodes/{node}/scan/lvm", lvm).may(MAY),
    Endpoint::get("/nodes/{node}/scan/lvmthin", thin)
        .may(MAY)
        .with(&[required("vg", Kind::Pattern { fits: is_group, max: 100 })]),
    Endpoint::get("/nodes/{node}/scan/pbs", pbs).may(MAY).with(&[
        required("server", SERVER),
        required("username", Kind::TEXT),
        required("password", Kind::TEXT),
        optional("fingerprint", FINGERPRINT),
        optional("port", Kind::between(1, 65535)),
    ]),
    Endpoint::get("/nodes/{node}/scan/zfs", zfs).may(MAY),
];

/// See `lvm(8)`.
fn is_group(value: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".+_-".contains(&byte);
    value.len() > 1 && !value.starts_with('-') && value.bytes().all(known)
}

/// The storages of some types on the node, with an option's value.
fn having<'a>(
    call: &'a Call<'_>,
    kinds: &'a [StorageKind],
    option: &'a str,
) -> impl Iterator<Item = (&'a Storage, &'a str)> {
    let node = call.node();
    let here = move |storage: &&Storage| kinds.contains(&storage.kind) && storage.on_node(&node);
    let all = call.world.storages.values().filter(here);
    all.filter_map(move |storage| Some((storage, storage.options.get(option)?.as_str())))
}

fn nfs(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let server = call.params.get("server").unwrap_or_default();
    let exports = having(call, &[StorageKind::Nfs], "export");
    let own = exports
        .filter(|(storage, _)| storage.options.get("server").is_some_and(|own| own == server));
    let items: Vec<Value> =
        own.map(|(_, export)| json!({ "path": export, "options": "*" })).collect();
    if items.is_empty() && !call.world.resources.contains_key(server) {
        let error = if is_address(server) {
            format!("command '/sbin/showmount --no-headers --exports {server}' failed: exit code 1")
        } else {
            format!("unable to resolve address for server '{server}'")
        };
        return Err(Refusal::die(error));
    }
    Ok(Value::Array(items).into())
}

fn cifs(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let server = call.params.get("server").unwrap_or_default();
    let shares = having(call, &[StorageKind::Cifs], "share");
    let own = shares
        .filter(|(storage, _)| storage.options.get("server").is_some_and(|own| own == server));
    let items: Vec<Value> =
        own.map(|(_, share)| json!({ "share": share, "description": "" })).collect();
    if items.is_empty() {
        let error = match is_address(server) {
            true => "unexpected status: NT_STATUS_HOST_UNREACHABLE)".to_owned(),
            false => format!("unable to resolve address for server '{server}'"),
        };
        return Err(Refusal::die(error));
    }
    Ok(Value::Array(items).into())
}

/// Names resolve to nothing.
fn is_address(server: &str) -> bool {
    server.parse::<std::net::IpAddr>().is_ok()
}

fn iscsi(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let portal = call.params.get("portal").unwrap_or_default();
    let kinds = [StorageKind::Iscsi, StorageKind::IscsiDirect];
    let targets = having(call, &kinds, "target");
    let own = targets
        .filter(|(storage, _)| storage.options.get("portal").is_some_and(|own| own == portal));
    let items: Vec<Value> =
        own.map(|(_, target)| json!({ "target": target, "portal": portal })).collect();
    // A portal that does not answer has no targets.
    let host = portal.rsplit_once(':').map_or(portal, |(host, _)| host);
    if items.is_empty() && !is_address(host.trim_matches(['[', ']'])) && !is_address(portal) {
        let text = format!("unable to resolve portal address '{portal}'");
        return Err(Refusal::param("portal", text));
    }
    Ok(Value::Array(items).into())
}

fn lvm(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let kinds = [StorageKind::Lvm, StorageKind::LvmThin];
    let groups: BTreeMap<&str, ()> =
        having(call, &kinds, "vgname").map(|(_, group)| (group, ())).collect();
    let items = groups.into_keys().map(|group| json!({ "vg": group }));
    Ok(Value::Array(items.collect()).into())
}

fn thin(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let group = call.params.get("vg").unwrap_or_default();
    let kinds = [StorageKind::Lvm, StorageKind::LvmThin];
    let there = having(call, &kinds, "vgname").any(|(_, own)| own == group);
    if !there && !call.world.resources.contains_key(group) {
        return Err(Refusal::die(format!(
            "command '/sbin/lvs --separator : --noheadings --units b --unbuffered --nosuffix --config 'report/time_format=\"%s\"' --options vg_name,lv_name,lv_size,lv_attr,pool_lv,data_percent,metadata_percent,snap_percent,uuid,tags,metadata_size,time {group}' failed: exit code 5"
        )));
    }
    let pools = having(call, &[StorageKind::LvmThin], "thinpool");
    let own =
        pools.filter(|(storage, _)| storage.options.get("vgname").is_some_and(|own| own == group));
    Ok(Value::Array(own.map(|(_, pool)| json!({ "lv": pool })).collect()).into())
}

/// No backup server answers.
fn pbs(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let server = call.params.get("server").unwrap_or_default();
    let port = call.params.get("port").unwrap_or("8007");
    let why = if is_address(server) { "No route to host" } else { "Name or service not known" };
    let error = format!("error fetching datastores - 500 Can't connect to {server}:{port} ({why})");
    Err(Refusal::die(error))
}

fn zfs(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let items = having(call, &[StorageKind::ZfsPool], "pool").map(|(storage, pool)| {
        let used = call.world.used(&storage.id, &node);
        json!({ "pool": pool, "size": storage.capacity, "free": storage.capacity.saturating_sub(used) })
    });
    Ok(Value::Array(items.collect()).into())
}
