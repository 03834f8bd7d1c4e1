//! `/`, `/version`, `/cluster` but for `/cluster/resources`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};

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

/// `datacenter.cfg`; without Sys.Audit only what the GUI needs of it.
fn options(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let audit = call.may("/", &["Sys.Audit"]);
    let mut out =
        if audit { json!({ "mac_prefix": "BC:24:11", "description": "" }) } else { json!({}) };
    let tags = allowed_tags(call);
    if let Some(members) = out.as_object_mut() {
        let shown = |key: &str| audit || matches!(key, "console" | "tag-style");
        for (key, value) in call.world.options.iter().filter(|(key, _)| shown(key)) {
            members.insert(key.clone(), json!(value));
        }
        members.insert("allowed-tags".to_owned(), json!(tags));
    }
    Ok(out.into())
}

/// `PVE::GuestHelpers::get_allowed_tags`.
fn allowed_tags<'a>(call: &'a Call<'_>) -> BTreeSet<&'a str> {
    let world = &*call.world;
    let option = |name: &str| world.options.get(name).map_or("", String::as_str);
    let access: BTreeMap<&str, &str> =
        option("user-tag-access").split(',').filter_map(|pair| pair.split_once('=')).collect();
    let mode = access.get("user-allow").copied().unwrap_or("free");
    let privileged = call.may("/", &["Sys.Modify"]);
    let mut tags = BTreeSet::new();
    if mode != "none" || privileged {
        tags.extend(list(access.get("user-allow-list").copied().unwrap_or_default()));
    }
    if matches!(mode, "free" | "existing") || privileged {
        let sees = call.visible_guests();
        let guests = world.guests.values().filter(|guest| privileged || sees(guest.vmid));
        tags.extend(guests.flat_map(|guest| list(guest.get("tags").unwrap_or_default())));
    }
    for tag in list(option("registered-tags")) {
        if privileged {
            tags.insert(tag);
        } else {
            tags.remove(tag);
        }
    }
    tags
}
