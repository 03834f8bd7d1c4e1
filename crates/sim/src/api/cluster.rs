//! `/`, `/version`, `/cluster` but for `/cluster/resources`.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/", root),
    Endpoint::get("/version", version),
    Endpoint::get("/cluster", super::indexes::cluster),
    Endpoint::get("/cluster/status", status).may(AUDIT),
    Endpoint::get("/cluster/nextid", nextid).with(&[optional("vmid", Kind::Format(Format::Vmid))]),
    Endpoint::get("/cluster/options", options),
];

/// A list of sub-paths.
pub(crate) fn subdirs(names: &[&str], key: &str) -> Value {
    names.iter().map(|name| json!({ key: name })).collect()
}

fn root(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(subdirs(&["version", "cluster", "nodes", "storage", "access", "pools"], "subdir").into())
}

fn version(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!({ "release": "9.2", "repoid": "14a22df35955d97d", "version": "9.2.11" }).into())
}

fn status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let world = &*call.world;
    let mut list = vec![json!({
        "id": "cluster", "type": "cluster", "name": world.cluster, "nodes": world.nodes.len(),
        "quorate": u8::from(world.quorate()), "version": world.nodes.len(),
    })];
    let local = world.answering();
    for node in world.nodes.values() {
        list.push(json!({
            "id": format!("node/{}", node.name), "type": "node", "name": node.name, "ip": node.ip,
            "nodeid": node.id, "online": u8::from(node.online), "level": "",
            "local": u8::from(local == Some(node.name.as_str())),
        }));
    }
    Ok(Value::Array(list).into())
}

fn nextid(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if let Some(asked) = call.params.get("vmid") {
        let vmid: u32 = asked.parse().unwrap_or(0);
        if call.world.guests.contains_key(&vmid) {
            return Err(Refusal::param("vmid", format!("VM {vmid} already exists")));
        }
        return Ok(json!(asked).into());
    }
    let free = (100..1_000_000).find(|vmid| !call.world.guests.contains_key(vmid));
    match free {
        Some(vmid) => Ok(json!(vmid.to_string()).into()),
        None => Err(Refusal::die("unable to get any free VMID in range [100, 999999]")),
    }
}

fn options(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut out = json!({ "mac_prefix": "BC:24:11", "allowed-tags": [], "description": "" });
    if let Some(members) = out.as_object_mut() {
        for (key, value) in &call.world.options {
            members.insert(key.clone(), json!(value));
        }
    }
    Ok(out.into())
}
