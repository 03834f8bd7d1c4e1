//! `/`, `/version`, `/cluster` but for `/cluster/resources`.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::Endpoint;
use super::permission::Permission;
use super::refusal::Refusal;

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/", root),
    Endpoint::get("/version", version),
    Endpoint::get("/cluster", super::indexes::cluster),
    Endpoint::get("/cluster/status", status).may(AUDIT),
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
