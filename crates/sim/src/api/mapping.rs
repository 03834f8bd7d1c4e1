//! `/cluster/mapping/{dir,pci,usb}` (`PVE::API2::Cluster::Mapping`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::absent::mapped;
use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::ha_resources::CHANGED;
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind as Type, list};
use crate::guest::property;
use crate::shell::fs::folder_there;
use crate::world::World;
use crate::world::mapping::{Kind, Mapping};

const MODIFY: &[&str] = &["Mapping.Modify"];
const CHECK_NODE: &[Param] = &[optional("check-node", Type::Format(Format::Node))];
const ID: Param = required("id", Type::Format(Format::ConfigId));
const MAP: Param = required("map", Type::TEXT).array();
const DESCRIPTION: Param = optional("description", Type::Text { max: 4096 });
const DELETE: Param = optional("delete", Type::Format(Format::ConfigIdList));
const DIGEST: Param = optional("digest", Type::Text { max: 64 });
const MDEV: Param = optional("mdev", Type::Bool);
const LIVE: Param = optional("live-migration-capable", Type::Bool);
/// Whether the schema or the section asks for `map` depends on the kind.
const SAME_MAP: Param = optional("map", Type::TEXT).array();

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/mapping/dir", |call| all(call, Kind::Dir)).with(CHECK_NODE),
    Endpoint::post("/cluster/mapping/dir", |call| create(call, Kind::Dir))
        .with(&[ID, MAP, DESCRIPTION])
        .may(Permission::All("/mapping/dir", MODIFY)),
    Endpoint::get("/cluster/mapping/dir/{id}", |call| one(call, Kind::Dir)).with(&[ID]),
    Endpoint::put("/cluster/mapping/dir/{id}", |call| update(call, Kind::Dir))
        .with(&[ID, SAME_MAP, DESCRIPTION, DELETE, DIGEST])
        .may(Permission::All("/mapping/dir/{id}", MODIFY)),
    Endpoint::delete("/cluster/mapping/dir/{id}", |call| delete(call, Kind::Dir))
        .with(&[ID])
        .may(Permission::All("/mapping/dir", MODIFY)),
    Endpoint::get("/cluster/mapping/pci", |call| all(call, Kind::Pci)).with(CHECK_NODE),
    Endpoint::post("/cluster/mapping/pci", |call| create(call, Kind::Pci))
        .with(&[ID, MAP, DESCRIPTION, MDEV, LIVE])
        .may(Permission::All("/mapping/pci", MODIFY)),
    Endpoint::get("/cluster/mapping/pci/{id}", |call| one(call, Kind::Pci)).with(&[ID]),
    Endpoint::put("/cluster/mapping/pci/{id}", |call| update(call, Kind::Pci))
        .with(&[ID, SAME_MAP, DESCRIPTION, MDEV, LIVE, DELETE, DIGEST])
        .may(Permission::All("/mapping/pci/{id}", MODIFY)),
    Endpoint::delete("/cluster/mapping/pci/{id}", |call| delete(call, Kind::Pci))
        .with(&[ID])
        .may(Permission::All("/mapping/pci", MODIFY)),
    Endpoint::get("/cluster/mapping/usb", |call| all(call, Kind::Usb)).with(CHECK_NODE),
    Endpoint::post("/cluster/mapping/usb", |call| create(call, Kind::Usb))
        .with(&[ID, MAP, DESCRIPTION])
        .may(Permission::All("/mapping/usb", MODIFY)),
    Endpoint::get("/cluster/mapping/usb/{id}", |call| one(call, Kind::Usb)).with(&[ID]),
    Endpoint::put("/cluster/mapping/usb/{id}", |call| update(call, Kind::Usb))
        .with(&[ID, MAP, DESCRIPTION, DELETE, DIGEST])
        .may(Permission::All("/mapping/usb/{id}", MODIFY)),
    Endpoint::delete("/cluster/mapping/usb/{id}", |call| delete(call, Kind::Usb))
        .with(&[ID])
        .may(Permission::All("/mapping/usb", MODIFY)),
];

/// A mapping as the API shows it.
fn entry(world: &World, kind: Kind, mapping: &Mapping) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("type".to_owned(), json!(kind.name()));
    out.insert("digest".to_owned(), json!(world.mapping_digest(kind)));
    out.insert("map".to_owned(), json!(mapping.map));
    for (key, value) in &mapping.options {
        let flag = ["mdev", "live-migration-capable"].contains(&key.as_str());
        let shown = if flag { json!(u8::from(value == "1")) } else { json!(value) };
        out.insert(key.clone(), shown);
    }
    out
}

fn all(call: &mut Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let check = call.params.get("check-node").map(str::to_owned);
    if let Some(node) = check.as_deref().filter(|node| *node != "localhost") {
        super::dispatch::check_node_name(call.world, node)?;
    }
    let check = match check.as_deref() {
        Some("localhost") => call.world.answering(),
        other => other,
    };
    let mut out = Vec::new();
    for (id, mapping) in call.world.mappings.get(&kind).into_iter().flatten() {
        if mapped(call, &format!("/mapping/{}/{id}", kind.name())).is_err() {
            continue;
        }
        let mut entry = entry(call.world, kind, mapping);
        entry.insert("id".to_owned(), json!(id));
        if let Some(node) = check {
            let name = if kind == Kind::Usb { "errors" } else { "checks" };
            entry.insert(name.to_owned(), diagnostics(call.world, kind, mapping, node));
        }
        out.push(Value::Object(entry));
    }
    Ok(Value::Array(out).into())
}

/// What is wrong with a mapping on a node. Devices are there when a mapping says so.
fn diagnostics(world: &World, kind: Kind, mapping: &Mapping, node: &str) -> Value {
    let entries = mapping.on(kind, node);
    if entries.is_empty() {
        return json!([{ "severity": "warning", "message": format!("No mapping for node {node}.") }]);
    }
    let wrong = entries.iter().filter(|_| kind == Kind::Dir).filter_map(|entry| {
        let error = directory(world, node, entry.get("path").unwrap_or_default()).err()?;
        let message = format!("Invalid configuration: {error}\n");
        Some(json!({ "severity": "error", "message": message }))
    });
    wrong.collect()
}

/// `PVE::Mapping::Dir::assert_valid`.
pub(crate) fn directory(world: &World, node: &str, path: &str) -> Result<(), String> {
    match folder_there(world, node, path) {
        Some(true) => Ok(()),
        Some(false) => Err(format!("Path {path} exists, but is not a directory")),
        None => Err(format!("Path {path} does not exist")),
    }
}

fn one(call: &mut Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let id = call.params.get("id").unwrap_or_default();
    mapped(call, &format!("/mapping/{}/{id}", kind.name()))?;
    match call.world.mapping(kind, id) {
        Some(mapping) => Ok(Value::Object(entry(call.world, kind, mapping)).into()),
        None => Err(Refusal::die(format!("mapping '{id}' not found"))),
    }
}

/// The entries that a request gives, each checked.
fn entries(call: &Call<'_>, kind: Kind) -> Result<Option<Vec<String>>, Refusal> {
    let Some(given) = call.params.get("map") else { return Ok(None) };
    let mut errors = BTreeMap::new();
    let all: Vec<String> = given.split('\0').map(str::to_owned).collect();
    for (index, entry) in all.iter().enumerate() {
        let name = format!("map[{index}]");
        if let Err(error) = property::check(kind.format(), &name, entry) {
            errors.insert(name, format!("invalid format - {error}"));
        }
    }
    if errors.is_empty() { Ok(Some(all)) } else { Err(Refusal::Params(errors)) }
}

/// `check_config`: what a request gives, as it is stored.
fn options(call: &Call<'_>, kind: Kind) -> Result<BTreeMap<String, String>, String> {
    let mut out = BTreeMap::new();
    for name in kind.options() {
        let Some(value) = call.params.get(name) else { continue };
        if value.contains(['\n', '\r']) {
            return Err("property contains a line feed".to_owned());
        }
        let value = match *name {
            "description" => value.to_owned(),
            flag => u8::from(call.params.flag(flag) == Some(true)).to_string(),
        };
        out.insert((*name).to_owned(), value);
    }
    Ok(out)
}

/// `assert_valid_map_list`: the node that answers looks for its own folder; a node stands once.
fn directories(world: &World, kind: Kind, map: &[String]) -> Result<(), String> {
    if kind != Kind::Dir {
        return Ok(());
    }
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for entry in map {
        let entry = property::parse(kind.format(), entry)?;
        let node = entry.get("node").unwrap_or_default();
        if Some(node) == world.answering() {
            directory(world, node, entry.get("path").unwrap_or_default())?;
        }
        *count.entry(node.to_owned()).or_default() += 1;
    }
    match count.into_iter().find(|(_, times)| *times > 1) {
        Some((node, times)) => Err(format!("Node '{node}' is specified {times} times.")),
        None => Ok(()),
    }
}

/// The name of the cluster-wide lock of a kind's file.
fn lock(kind: Kind) -> String {
    format!("file-{}", kind.file().replace(['.', '/'], "_"))
}

/// What is written, in error texts.
fn thing(kind: Kind) -> &'static str {
    if kind == Kind::Dir { "directory mapping" } else { "hardware mapping" }
}

fn create(call: &mut Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let id = call.params.get("id").unwrap_or_default().to_owned();
    let map = entries(call, kind)?.unwrap_or_default();
    let options = options(call, kind)?;
    directories(call.world, kind, &map)?;
    let failed = format!("create {} failed", thing(kind));
    call.cfs_lock(&lock(kind), &failed)?;
    let all = call.world.mappings.entry(kind).or_default();
    if all.contains_key(&id) {
        let name = kind.name();
        return Err(Refusal::die(format!("{failed}: {name} ID '{id}' already defined")));
    }
    all.insert(id, Mapping { map, options });
    Ok(Value::Null.into())
}

fn update(call: &mut Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let id = call.params.get("id").unwrap_or_default().to_owned();
    let map = entries(call, kind)?;
    let what = format!("update {} failed", thing(kind));
    call.cfs_lock(&lock(kind), &what)?;
    let failed = |text: String| Refusal::die(format!("{what}: {text}"));
    let digest = call.params.get("digest").filter(|digest| !digest.is_empty());
    if digest.is_some_and(|digest| digest != call.world.mapping_digest(kind)) {
        return Err(failed(CHANGED.to_owned()));
    }
    let Some(mut mapping) = call.world.mapping(kind, &id).cloned() else {
        return Err(failed(format!("{} ID '{id}' does not exist", kind.name())));
    };
    let given = options(call, kind).map_err(failed)?;
    // Every update says where the devices are (`check_config` as for a new section).
    let Some(map) = map else {
        return Err(failed("missing value for required option 'map'".to_owned()));
    };
    directories(call.world, kind, &map).map_err(failed)?;
    for key in list(call.params.get("delete").unwrap_or_default()) {
        let error = match key {
            "map" => "unable to delete required option 'map'".to_owned(),
            _ if !kind.options().contains(&key) => format!("no such option '{key}'"),
            _ if given.contains_key(key) => {
                format!("cannot set and delete property '{key}' at the same time!")
            }
            _ => {
                mapping.options.remove(key);
                continue;
            }
        };
        return Err(failed(error));
    }
    mapping.options.extend(given);
    mapping.map = map;
    call.world.mappings.entry(kind).or_default().insert(id, mapping);
    Ok(Value::Null.into())
}

fn delete(call: &mut Call<'_>, kind: Kind) -> Result<Reply, Refusal> {
    let id = call.params.get("id").unwrap_or_default().to_owned();
    call.cfs_lock(&lock(kind), &format!("delete {} mapping failed", kind.name()))?;
    if let Some(all) = call.world.mappings.get_mut(&kind) {
        all.remove(&id);
    }
    Ok(Value::Null.into())
}
