//! `/storage`: the configuration of storages.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::storage::activate::find;
use crate::storage::config::{self, Change};
use crate::storage::options::{PROPERTIES, TYPE, may_change};
use crate::world::storage::{Storage, StorageKind};

/// Who sees a storage: any of these on its path.
pub(crate) const SEE: &[&str] = &["Datastore.Audit", "Datastore.AllocateSpace"];
const CHANGE: Permission = Permission::All("/storage", &["Datastore.Allocate"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/storage", index).with(&[optional("type", TYPE)]),
    Endpoint::post("/storage", create).may(CHANGE).with(PROPERTIES),
    Endpoint::get("/storage/{storage}", one)
        .may(Permission::All("/storage/{storage}", &["Datastore.Allocate"])),
    Endpoint::put("/storage/{storage}", update).may(CHANGE).with(&CHANGEABLE),
    Endpoint::delete("/storage/{storage}", delete).may(CHANGE),
];

/// The options without `type` and `storage`, and what every update has. Those that no type lets
/// change are refused by [`update`] as unknown.
#[expect(clippy::indexing_slicing, reason = "the compiler checks it: a constant")]
const CHANGEABLE: [Param; PROPERTIES.len()] = {
    let mut out = [optional("digest", Kind::Text { max: 64 }); PROPERTIES.len()];
    let mut at = 2;
    while at < PROPERTIES.len() {
        out[at] = PROPERTIES[at];
        at += 1;
    }
    out[1] = optional("delete", Kind::Format(Format::ConfigIdList));
    out
};

fn item(storage: &Storage, digest: &str) -> Value {
    let mut out = Map::new();
    for (key, value) in config::entries(storage) {
        let number = value.parse::<i64>().ok().filter(|_| config::is_number(&key));
        let shown = match number {
            // Parsed and not put together again.
            None if key == "content-dirs" => {
                json!(
                    list(&value)
                        .filter_map(|part| part.split_once('='))
                        .collect::<BTreeMap<_, _>>()
                )
            }
            None => json!(value),
            Some(number) => json!(number),
        };
        out.insert(key, shown);
    }
    if storage.shared {
        out.insert("shared".to_owned(), json!(1));
    }
    out.insert("storage".to_owned(), json!(storage.id));
    out.insert("type".to_owned(), json!(storage.kind.name()));
    out.insert("digest".to_owned(), json!(digest));
    Value::Object(out)
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let digest = config::digest(call.world);
    let kind = call.params.get("type");
    let all = call.world.storages.values();
    let visible = all
        .filter(|storage| kind.is_none_or(|kind| kind == storage.kind.name()))
        .filter(|storage| call.may(&format!("/storage/{}", storage.id), SEE));
    Ok(Value::Array(visible.map(|storage| item(storage, &digest)).collect()).into())
}

fn id(call: &Call<'_>) -> String {
    call.params.get("storage").unwrap_or_default().to_owned()
}

fn one(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let storage = find(call.world, &id(call))?;
    Ok(item(storage, &config::digest(call.world)).into())
}

/// The node that answers: the first that runs.
pub(crate) fn answering_node(call: &Call<'_>) -> String {
    let first = call.world.nodes().find(|node| node.online);
    first.map(|node| node.name.clone()).unwrap_or_default()
}

fn quorum(call: &Call<'_>, what: &str) -> Result<(), Refusal> {
    if call.world.quorate() {
        return Ok(());
    }
    let error = format!("{what} storage failed: cfs-lock 'file-storage_cfg' error: no quorum!");
    Err(Refusal::die(error))
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    quorum(call, "create")?;
    let id = id(call);
    let mut params: BTreeMap<String, String> = call.params.0.clone();
    params.remove("storage");
    let kind = params.remove("type").unwrap_or_default();
    let Some(kind) = StorageKind::parse(&kind) else {
        return Err(Refusal::die(format!("unknown section type '{kind}'")));
    };
    call.params.check_defined(&["nodes"])?;
    let node = answering_node(call);
    config::create(call.world, &node, &id, kind, params)?;
    Ok(done(&id, kind))
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut set: BTreeMap<String, String> = call.params.0.clone();
    let digest = set.remove("digest");
    let delete = set.remove("delete").unwrap_or_default();
    set.remove("storage");
    let unknown: BTreeMap<String, String> = set
        .keys()
        .filter(|name| !may_change(name))
        .map(|name| {
            let text = "property is not defined in schema and the schema does not allow additional properties";
            (name.clone(), text.to_owned())
        })
        .collect();
    if !unknown.is_empty() {
        return Err(Refusal::Params(unknown));
    }
    quorum(call, "update")?;
    let delete = list(&delete).map(str::to_owned).collect();
    let id = id(call);
    let blank = call.params.check_defined(&["digest", "delete"]);
    let change = Change { id: id.clone(), set, blank, delete, digest };
    let kind = config::update(call.world, &change)?;
    Ok(done(&id, kind))
}

/// Of a backup server, what was made by the server stands there too: nothing, without a new key.
fn done(id: &str, kind: StorageKind) -> Reply {
    let mut item = json!({ "storage": id, "type": kind.name() });
    if let Some(members) = item.as_object_mut().filter(|_| kind == StorageKind::Pbs) {
        members.insert("config".to_owned(), json!({}));
    }
    item.into()
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    quorum(call, "delete")?;
    let id = id(call);
    config::delete(call.world, &id)?;
    for pool in call.world.pools.values_mut() {
        pool.storages.remove(&id);
    }
    Ok(Value::Null.into())
}
