//! `/access/permissions`, and the `cap` of a login (`PVE::RPCEnvironment`).

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional};
use crate::api::names;
use crate::api::refusal::Refusal;
use crate::guest::format::Kind;
use crate::world::World;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/access/permissions", permissions)
    .with(&[optional("path", Kind::TEXT), optional("userid", names::AUTHID)])];

/// Paths that are looked at even if no entry names them.
const PATHS: [&str; 8] =
    ["/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms"];

fn permissions(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let who = call.params.get("userid").unwrap_or(&call.caller.authid).to_owned();
    let owned = names::split_token(&who).is_some_and(|(user, _)| user == call.caller.authid);
    if who != call.caller.authid && !owned {
        call.require("/access", &["Sys.Audit"])?;
    }
    if let Some(path) = call.params.get("path").filter(|path| !matches!(*path, "" | "0")) {
        return Ok(json!({ path: on(call.world, &who, path) }).into());
    }
    let mut out = Map::new();
    for path in paths(call.world) {
        let found = on(call.world, &who, &path);
        if !found.is_empty() {
            out.insert(path, Value::Object(found));
        }
    }
    Ok(Value::Object(out).into())
}

fn on(world: &World, who: &str, path: &str) -> Map<String, Value> {
    let found = world.privileges(who, path);
    found.into_iter().map(|(name, down)| (name.to_owned(), json!(u8::from(down)))).collect()
}

fn paths(world: &World) -> BTreeSet<String> {
    let mut all = world.access.tree();
    all.extend(PATHS.iter().map(|&path| path.to_owned()));
    for pool in world.pools.values() {
        all.extend(pool.guests.iter().map(|vmid| format!("/vms/{vmid}")));
        all.extend(pool.storages.iter().map(|id| format!("/storage/{id}")));
    }
    all
}

/// What a user may do where, by kind of object (`compute_api_permission`): what the GUI shows.
pub(super) fn capabilities(world: &World, user: &str) -> Value {
    let mut out: Map<String, Value> =
        AREAS.iter().map(|(area, _)| ((*area).to_owned(), Value::Object(Map::new()))).collect();
    let mut note = |area: &str, privilege: &str| {
        if let Some(Value::Object(area)) = out.get_mut(area) {
            area.insert(privilege.to_owned(), json!(1));
        }
    };
    let mut paths = world.access.tree();
    let fixed = ["/", "/nodes", "/access/groups", "/vms", "/storage", "/sdn", "/mapping"];
    paths.extend(fixed.map(str::to_owned));
    for path in paths {
        let top = path.split('/').nth(1).filter(|top| !top.is_empty()).unwrap_or("dc");
        for privilege in world.privileges(user, &path).into_keys() {
            if top == "pool" {
                let modify = privilege == "Permissions.Modify";
                if modify || privilege.starts_with("VM.") {
                    note("vms", privilege);
                }
                if modify || privilege.starts_with("Datastore.") {
                    note("storage", privilege);
                }
            } else if belongs(top, privilege) {
                note(top, privilege);
            }
        }
    }
    Value::Object(out)
}

fn belongs(area: &str, privilege: &str) -> bool {
    let wanted = AREAS.iter().find(|(name, _)| *name == area).map_or(&[][..], |(_, list)| list);
    wanted.iter().any(|prefix| privilege.starts_with(prefix))
}

/// Areas with the beginnings of the privileges that belong to them.
const AREAS: [(&str, &[&str]); 7] = [
    ("vms", &["VM.", "Permissions.Modify"]),
    ("access", &["User.", "Group.", "Permissions.Modify"]),
    ("storage", &["Datastore.", "Permissions.Modify"]),
    ("nodes", &["Sys.", "Permissions.Modify"]),
    ("sdn", &["SDN.", "Permissions.Modify"]),
    ("dc", &["Sys.Audit", "Sys.Modify", "SDN."]),
    ("mapping", &["Mapping.", "Permissions.Modify"]),
];
