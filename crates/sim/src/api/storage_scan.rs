//! `/nodes/{node}/scan`: what a node could make a storage of. Answers what the world's storages
//! show to be there; servers that no storage uses cannot be reached.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::storage::volname::is_lvm_name;
use crate::world::storage::{Storage, StorageKind};

const MAY: Permission = Permission::All("/storage", &["Datastore.Allocate"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/scan/nfs", nfs).may(MAY).with(&[required("server", Kind::TEXT)]),
    Endpoint::get("/nodes/{node}/scan/cifs", cifs).may(MAY).with(&[
        required("server", Kind::TEXT),
        optional("username", Kind::TEXT),
        optional("password", Kind::TEXT),
        optional("domain", Kind::TEXT),
    ]),
    Endpoint::get("/nodes/{node}/scan/iscsi", iscsi)
        .may(MAY)
        .with(&[required("portal", Kind::TEXT)]),
    Endpoint::get("/nodes/{node}/scan/lvm", lvm).may(MAY),
    Endpoint::get("/nodes/{node}/scan/lvmthin", thin)
        .may(MAY)
        .with(&[required("vg", Kind::Check(group))]),
    Endpoint::get("/nodes/{node}/scan/zfs", zfs).may(MAY),
];

fn group(value: &str) -> Result<(), String> {
    if is_lvm_name(value) {
        return Ok(());
    }
    Err("value does not match the regex pattern".to_owned())
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
        let error = if server.parse::<std::net::IpAddr>().is_ok() {
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
        return Err(Refusal::die(format!("unable to resolve address for server '{server}'")));
    }
    Ok(Value::Array(items).into())
}

fn iscsi(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let portal = call.params.get("portal").unwrap_or_default();
    let kinds = [StorageKind::Iscsi, StorageKind::IscsiDirect];
    let targets = having(call, &kinds, "target");
    let own = targets
        .filter(|(storage, _)| storage.options.get("portal").is_some_and(|own| own == portal));
    let items: Vec<Value> =
        own.map(|(_, target)| json!({ "target": target, "portal": portal })).collect();
    if items.is_empty() {
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
    let pools = having(call, &[StorageKind::LvmThin], "thinpool");
    let own =
        pools.filter(|(storage, _)| storage.options.get("vgname").is_some_and(|own| own == group));
    Ok(Value::Array(own.map(|(_, pool)| json!({ "lv": pool })).collect()).into())
}

fn zfs(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let items = having(call, &[StorageKind::ZfsPool], "pool").map(|(storage, pool)| {
        let used = call.world.used(&storage.id, &node);
        json!({ "pool": pool, "size": storage.capacity, "free": storage.capacity.saturating_sub(used) })
    });
    Ok(Value::Array(items.collect()).into())
}
