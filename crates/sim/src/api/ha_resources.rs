//! `/cluster/ha` and `/cluster/ha/resources` (`PVE::API2::HA::Resources`).

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::{Endpoint, Param, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::ha::config::{parse_sid, vmid_of};
use crate::ha::{Command, Resource, rules};

pub(crate) const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);
pub(crate) const CONSOLE: Permission = Permission::All("/", &["Sys.Console"]);
/// What a cluster-wide lock of the configuration is called.
pub(crate) const DOMAIN: &str = "domain-ha";

const STATES: &[&str] = &["started", "stopped", "enabled", "disabled", "ignored"];
const TYPES: &[&str] = &["ct", "vm"];
const SID: Param = required("sid", Kind::Formatted(resource_or_vmid));
const COMMENT: Param = optional("comment", Kind::Text { max: 4096 });
const FAILBACK: Param = optional("failback", Kind::Bool);
const GROUP: Param = optional("group", Kind::Format(Format::ConfigId));
const MAX_RELOCATE: Param = optional("max_relocate", Kind::NATURAL);
const MAX_RESTART: Param = optional("max_restart", Kind::NATURAL);
const STATE: Param = optional("state", Kind::Enum(STATES));

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/ha", index).may(AUDIT),
    Endpoint::get("/cluster/ha/resources", all)
        .with(&[optional("type", Kind::Enum(TYPES))])
        .may(AUDIT),
    Endpoint::post("/cluster/ha/resources", create).may(CONSOLE).with(&[
        SID,
        COMMENT,
        FAILBACK,
        GROUP,
        MAX_RELOCATE,
        MAX_RESTART,
        STATE,
        optional("type", Kind::Enum(TYPES)),
    ]),
    Endpoint::get("/cluster/ha/resources/{sid}", read).with(&[SID]).may(AUDIT),
    Endpoint::put("/cluster/ha/resources/{sid}", update).may(CONSOLE).with(&[
        SID,
        COMMENT,
        FAILBACK,
        GROUP,
        MAX_RELOCATE,
        MAX_RESTART,
        STATE,
        optional("delete", Kind::Format(Format::ConfigIdList)),
        optional("digest", Kind::Text { max: 64 }),
    ]),
    Endpoint::delete("/cluster/ha/resources/{sid}", delete)
        .may(CONSOLE)
        .with(&[SID, optional("purge", Kind::Bool)]),
    Endpoint::post("/cluster/ha/resources/{sid}/migrate", migrate)
        .may(CONSOLE)
        .with(&[SID, required("node", Kind::Format(Format::Node))]),
    Endpoint::post("/cluster/ha/resources/{sid}/relocate", relocate)
        .may(CONSOLE)
        .with(&[SID, required("node", Kind::Format(Format::Node))]),
];

/// `pve-ha-resource-or-vm-id`.
fn resource_or_vmid(value: &str) -> Result<(), String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    resource_id(value)
}

/// `pve-ha-resource-id`: lower-case letters, a colon, a name.
pub(crate) fn resource_id(value: &str) -> Result<(), String> {
    let fits = value.split_once(':').is_some_and(|(kind, name)| {
        !kind.is_empty()
            && kind.bytes().all(|byte| byte.is_ascii_lowercase())
            && !name.is_empty()
            && !name.contains(char::is_whitespace)
    });
    if fits { Ok(()) } else { Err("value does not look like a valid ha resource id".to_owned()) }
}

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(subdirs(&["status", "resources", "groups", "rules"], "id").into())
}

fn entry(sid: &str, resource: &Resource, digest: &str) -> Value {
    let mut out = Map::new();
    out.insert("sid".to_owned(), json!(sid));
    out.insert("type".to_owned(), json!(sid.split(':').next()));
    out.insert("digest".to_owned(), json!(digest));
    for (key, value) in resource.members() {
        out.insert(key.to_owned(), value);
    }
    Value::Object(out)
}

fn all(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let digest = call.world.ha.digest();
    let wanted = call.params.get("type");
    let kept = call
        .world
        .ha
        .resources
        .iter()
        .filter(|(sid, _)| wanted.is_none_or(|wanted| sid.split(':').next() == Some(wanted)));
    Ok(kept.map(|(sid, resource)| entry(sid, resource, &digest)).collect::<Value>().into())
}

/// The service id of the request, with type and name.
fn sid(call: &Call<'_>) -> Result<(String, String, String), Refusal> {
    parse_sid(call.world, call.params.get("sid").unwrap_or_default()).map_err(Refusal::die)
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (sid, _, _) = sid(call)?;
    match call.world.ha.resources.get(&sid) {
        Some(resource) => Ok(entry(&sid, resource, &call.world.ha.digest()).into()),
        None => Err(Refusal::die(format!("no such resource '{sid}'"))),
    }
}

/// The plugin of a type knows whether there is such a guest.
fn check_exists(call: &Call<'_>, kind: &str, name: &str) -> Result<(), Refusal> {
    if !TYPES.contains(&kind) {
        return Err(Refusal::die(format!("unknown section type '{kind}'")));
    }
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || name.len() < 2 || name.starts_with('0') {
        return Err(Refusal::die("invalid VMID"));
    }
    let exists = name.parse().is_ok_and(|vmid| call.world.guests.contains_key(&vmid));
    match (exists, kind) {
        (false, _) => {
            Err(Refusal::die(format!("resource '{kind}:{name}' does not exist in cluster")))
        }
        (true, "ct") => Err(Refusal::die(format!(
            "resource 'ct:{name}' - guest with ID {name} is not a container"
        ))),
        (true, _) => Ok(()),
    }
}

fn fill(resource: &mut Resource, call: &Call<'_>) {
    let params = &call.params;
    let text = |name: &str| params.get(name).map(str::to_owned);
    resource.state = text("state").or(resource.state.take());
    resource.comment = text("comment").or(resource.comment.take());
    resource.failback = params.flag("failback").or(resource.failback);
    resource.max_relocate = params.int("max_relocate").or(resource.max_relocate);
    resource.max_restart = params.int("max_restart").or(resource.max_restart);
}

/// What has no value, or a comment of several lines, does not fit into the file.
fn check_lines(call: &Call<'_>) -> Result<(), Refusal> {
    call.params.check_defined(&["digest", "delete", "type", "group"])?;
    if call.params.get("comment").is_some_and(|text| text.contains(['\n', '\r'])) {
        return Err(Refusal::die("property contains a line feed"));
    }
    Ok(())
}

const MIGRATED: &str = "invalid parameter 'group': ha groups have been migrated to rules";

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    call.check_quorum()?;
    let (sid, kind, name) = sid(call)?;
    if call.params.get("type").is_some_and(|wanted| wanted != kind) {
        return Err(Refusal::die("types does not match"));
    }
    if call.params.get("group").is_some() {
        return Err(Refusal::die(MIGRATED));
    }
    check_exists(call, &kind, &name)?;
    check_lines(call)?;
    call.cfs_lock(DOMAIN, "create resource failed")?;
    if call.world.ha.resources.contains_key(&sid) {
        return Err(Refusal::die(format!(
            "create resource failed: resource ID '{sid}' already defined"
        )));
    }
    let mut resource = Resource::default();
    fill(&mut resource, call);
    call.world.ha.resources.insert(sid, resource);
    Ok(Value::Null.into())
}

/// Properties that may be removed: all of them are optional.
const REMOVABLE: &[&str] =
    &["state", "group", "comment", "failback", "max_restart", "max_relocate"];

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (sid, _, _) = sid(call)?;
    if call.params.get("group").is_some_and(|group| !group.is_empty()) {
        return Err(Refusal::die(MIGRATED));
    }
    call.world.ha.check_state(&sid, call.params.get("state")).map_err(Refusal::die)?;
    let failed = |text: &str| Refusal::die(format!("update resources config failed: {text}"));
    call.cfs_lock(DOMAIN, "update resources config failed")?;
    let digest = call.world.ha.digest();
    if call.params.get("digest").is_some_and(|wanted| !wanted.is_empty() && wanted != digest) {
        return Err(failed(CHANGED));
    }
    let Some(mut resource) = call.world.ha.resources.get(&sid).cloned() else {
        return Err(failed(&format!("no such resource '{sid}'")));
    };
    check_lines(call).map_err(|refusal| failed(&refusal.exit()))?;
    fill(&mut resource, call);
    for key in list(call.params.get("delete").unwrap_or_default()) {
        if !REMOVABLE.contains(&key) {
            return Err(failed(&format!("no such option '{key}'")));
        }
        match key {
            "state" => resource.state = None,
            "comment" => resource.comment = None,
            "failback" => resource.failback = None,
            "max_restart" => resource.max_restart = None,
            "max_relocate" => resource.max_relocate = None,
            _ => {}
        }
    }
    call.world.ha.resources.insert(sid, resource);
    Ok(Value::Null.into())
}

/// `PVE::Tools::assert_if_modified`.
pub(crate) const CHANGED: &str =
    "detected modified configuration - file changed by other user? Try again.";

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (sid, _, _) = sid(call)?;
    if !call.world.ha.resources.contains_key(&sid) {
        return Err(Refusal::die(format!("cannot delete service '{sid}', not HA managed!")));
    }
    call.cfs_lock(DOMAIN, "delete resource failed")?;
    let purge = call.params.flag("purge").unwrap_or(true);
    call.world.ha.remove(&sid, purge);
    Ok(Value::Null.into())
}

fn migrate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    motion(call, |sid, node| Command::Migrate { sid, node })
}

fn relocate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    motion(call, |sid, node| Command::Relocate { sid, node })
}

fn motion(call: &mut Call<'_>, command: fn(String, String) -> Command) -> Result<Reply, Refusal> {
    let (sid, _, _) = sid(call)?;
    let node = call.params.get("node").unwrap_or_default().to_owned();
    if !call.world.ha.manages(&sid) {
        return Err(Refusal::die(format!("resource '{sid}' is not HA managed")));
    }
    call.world.ha.check_state(&sid, None).map_err(Refusal::die)?;
    call.cfs_lock(DOMAIN, "")?;
    call.world.ha.commands.push(command(sid.clone(), node.clone()));
    let (together, apart) = motion_info(call.world, &sid, &node);
    let mut out = json!({ "sid": sid, "requested-node": node });
    if let Some(members) = out.as_object_mut() {
        if !together.is_empty() {
            members.insert("comigrated-resources".to_owned(), json!(together));
        }
        if !apart.is_empty() {
            members.insert("blocking-resources".to_owned(), json!(blocking(&apart)));
        }
    }
    Ok(out.into())
}

/// Resources in the way of a move, as the API lists them.
pub(crate) fn blocking(sids: &[String]) -> Value {
    sids.iter().map(|sid| json!({ "sid": sid, "cause": "resource-affinity" })).collect()
}

/// `get_resource_motion_info`: what moves along, and what on `node` forbids the move.
pub(crate) fn motion_info(
    world: &crate::world::World,
    sid: &str,
    node: &str,
) -> (Vec<String>, Vec<String>) {
    if !world.ha.manages(sid) {
        return (Vec::new(), Vec::new());
    }
    let nodes: Vec<String> = world.nodes().map(|node| node.name.clone()).collect();
    let rules = rules::compile(&world.ha.rules, &nodes);
    let services = &world.ha.services;
    let together = rules.together(sid).filter(|other| services.contains_key(*other));
    let online = world.nodes.get(node).is_some_and(|node| node.online);
    let there = |other: &&String| {
        services.get(*other).is_some_and(|service| {
            online
                && service.node == node
                && service.target.as_deref().is_none_or(|target| target == node)
        })
    };
    (together.cloned().collect(), rules.apart(sid).filter(there).cloned().collect())
}

/// The state of a guest's service, as `/cluster/resources` shows it: until the manager knows it,
/// what was asked for, without a value if nothing was.
pub(crate) fn hastate(world: &crate::world::World, vmid: u32) -> Option<Option<String>> {
    let sid = crate::ha::sid_of(vmid);
    debug_assert!(vmid_of(&sid).is_some(), "ids go both ways");
    let service = world.ha.services.get(&sid).map(|service| service.state);
    let asked = || world.ha.resources.get(&sid).map(|resource| resource.state.clone());
    service.map(|state| Some(state.name().to_owned())).or_else(asked)
}
