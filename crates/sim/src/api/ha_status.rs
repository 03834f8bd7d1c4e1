//! `/cluster/ha/status` (`PVE::API2::HA::Status`).

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::{Endpoint, required};
use super::ha_resources::{AUDIT, CONSOLE, DOMAIN};
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::ha::config::{Service, vmid_of};
use crate::ha::{Command, Resource, State};
use crate::world::World;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/ha/status", index),
    Endpoint::get("/cluster/ha/status/current", current).may(AUDIT),
    Endpoint::get("/cluster/ha/status/manager_status", manager_status).may(AUDIT),
    Endpoint::post("/cluster/ha/status/disarm-ha", disarm)
        .may(CONSOLE)
        .with(&[required("resource-mode", Kind::Enum(&["freeze", "ignore"]))]),
    Endpoint::post("/cluster/ha/status/arm-ha", arm).may(CONSOLE),
];

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(subdirs(&["current", "manager_status", "disarm-ha", "arm-ha"], "name").into())
}

/// Seconds of the last status that somebody who acts every 10 s wrote.
fn written(now: i64) -> i64 {
    now.div_euclid(10_000) * 10
}

/// `localtime`, as Perl writes it.
fn local(seconds: i64) -> String {
    let stamp = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    stamp.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// Who leads: chosen when there is something to manage, else the node that would be.
fn master(world: &World) -> String {
    let chosen = world.ha.master.as_deref().or_else(|| world.answering());
    chosen.unwrap_or_default().to_owned()
}

/// What the manager thinks of a node.
pub(crate) fn node_state(world: &World, node: &str) -> &'static str {
    match (world.ha.fenced.iter().any(|name| name == node), world.ha.lost.contains_key(node)) {
        (true, _) => "fence",
        (_, true) => "unknown",
        _ => "online",
    }
}

fn current(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let world = &*call.world;
    let ha = &world.ha;
    let quorate = world.quorate();
    let here = world.answering().unwrap_or_default();
    let now = written(call.moment.now);
    let status = if quorate { "OK".to_owned() } else { format!("No quorum on node '{here}'!") };
    let mut list = vec![json!({
        "id": "quorum", "type": "quorum", "node": here, "status": status,
        "quorate": u8::from(quorate),
    })];
    let master = master(world);
    let alive = quorate && world.nodes.get(&master).is_some_and(|node| node.online);
    let active = alive && !ha.resources.is_empty();
    let word = match (active, quorate && ha.resources.is_empty()) {
        (true, _) => "active",
        (_, true) => "idle",
        _ => "old timestamp - dead?",
    };
    let extra = ha.disarm.as_ref().map_or_else(String::new, |disarm| {
        format!(" - {}, resource mode: {}", disarm.state, disarm.mode)
    });
    list.push(json!({
        "id": "master", "type": "master", "node": master, "timestamp": now,
        "status": format!("{master} ({word}, {}){extra}", local(now)),
    }));
    list.push(fencing(world, &master, active));
    for node in world.nodes.values() {
        list.push(agent(world, &node.name, now, quorate && node.online));
    }
    for (sid, service) in &ha.services {
        list.push(service_entry(world, sid, Some(service)));
    }
    for sid in ha.resources.keys().filter(|sid| !ha.services.contains_key(*sid)) {
        list.push(service_entry(world, sid, None));
    }
    Ok(Value::Array(list).into())
}

fn fencing(world: &World, master: &str, active: bool) -> Value {
    let mut out = json!({ "id": "fencing", "type": "fencing", "node": master });
    let (status, state) = match &world.ha.disarm {
        Some(disarm) => {
            let word = if disarm.state == "disarmed" { "released" } else { "active" };
            let text =
                format!("{}, resource mode: {} (CRM watchdog {word})", disarm.state, disarm.mode);
            (text, disarm.state.as_str())
        }
        None if active => ("armed (CRM watchdog active)".to_owned(), "armed"),
        None => ("standby (CRM watchdog standby)".to_owned(), "standby"),
    };
    if let Some(members) = out.as_object_mut() {
        members.insert("status".to_owned(), json!(status));
        members.insert("armed-state".to_owned(), json!(state));
        if let Some(disarm) = &world.ha.disarm {
            members.insert("resource_mode".to_owned(), json!(disarm.mode));
        }
    }
    out
}

/// Whether a node's agent has services to look after.
fn engaged(world: &World, node: &str) -> bool {
    world.ha.services.values().any(|service| {
        let here = service.node == node || service.target.as_deref() == Some(node);
        let idle = matches!(
            service.state,
            State::Stopped | State::Freeze | State::Error | State::RequestStart
        );
        here && !idle
    })
}

fn agent(world: &World, node: &str, now: i64, alive: bool) -> Value {
    let disarmed = world.ha.disarm.is_some();
    let (word, watchdog) = match (alive, disarmed, engaged(world, node)) {
        (true, true, _) => ("disarm mode", "watchdog released"),
        (true, false, true) => ("active", "watchdog active"),
        (true, false, false) => ("idle", "watchdog standby"),
        (false, ..) => ("old timestamp - dead?", "watchdog standby"),
    };
    json!({
        "id": format!("lrm:{node}"), "type": "lrm", "node": node, "timestamp": now,
        "status": format!("{node} ({word}, {watchdog}, {})", local(now)),
    })
}

fn service_entry(world: &World, sid: &str, service: Option<&Service>) -> Value {
    let resource = world.ha.resources.get(sid);
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| {
        out.insert(key.to_owned(), value);
    };
    put("id", json!(format!("service:{sid}")));
    put("type", json!("service"));
    put("sid", json!(sid));
    let place = vmid_of(sid).and_then(|vmid| world.guest(vmid)).map(|guest| guest.node.clone());
    let node = service.map(|service| service.node.clone()).or_else(|| place.clone());
    if let Some(node) = &node {
        put("node", json!(node));
    }
    if let Some(service) = service {
        put("crm_state", json!(service.state.name()));
    }
    let ignoring = world.ha.disarm.as_ref().is_some_and(|disarm| disarm.mode == "ignore");
    let state = if ignoring { "ignore" } else { verbose(service, resource, place.is_some()) };
    put("state", json!(state));
    put("status", json!(format!("{sid} ({}, {state})", node.as_deref().unwrap_or("---"))));
    if let Some(resource) = resource {
        put("request_state", json!(resource.request()));
        put("max_restart", json!(resource.max_restart.unwrap_or(1)));
        put("max_relocate", json!(resource.max_relocate.unwrap_or(1)));
        put("failback", json!(u8::from(resource.failback != Some(false))));
        if let Some(comment) = &resource.comment {
            put("comment", json!(comment));
        }
    }
    Value::Object(out)
}

/// `get_verbose_service_state`.
fn verbose(service: Option<&Service>, resource: Option<&Resource>, exists: bool) -> &'static str {
    let Some(resource) = resource else { return "deleting" };
    let request = resource.request();
    let Some(service) = service.filter(|_| request != "ignored" && exists) else {
        return match (request, exists) {
            ("ignored", _) => "ignored",
            (_, false) => "not found",
            _ => "queued",
        };
    };
    match (service.state, request) {
        (State::Stopped, "started") => "starting",
        (State::Stopped, "disabled") => "disabled",
        (State::Started, _) if !service.running => "starting",
        (State::Started, "stopped" | "disabled") => "stopping",
        (State::Error, "disabled") => "clearing error flag",
        (state, _) => state.name(),
    }
}

fn manager_status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let world = &*call.world;
    let now = written(call.moment.now);
    let nodes: Map<String, Value> =
        world.nodes.keys().map(|node| (node.clone(), json!(node_state(world, node)))).collect();
    let services: Map<String, Value> = world
        .ha
        .services
        .iter()
        .map(|(sid, service)| (sid.clone(), service_status(sid, service)))
        .collect();
    let agents: Map<String, Value> = world
        .nodes
        .keys()
        .map(|node| {
            let busy = engaged(world, node);
            let state = if busy { "active" } else { "wait_for_agent_lock" };
            let mode = if world.ha.disarm.is_some() { "disarm" } else { "active" };
            let status = json!({ "mode": mode, "state": state, "results": {}, "timestamp": now });
            (node.clone(), status)
        })
        .collect();
    let mut status = json!({
        "master_node": master(world), "timestamp": now, "node_status": nodes,
        "service_status": services, "node_request": {},
    });
    if let (Some(disarm), Some(members)) = (&world.ha.disarm, status.as_object_mut()) {
        members.insert("disarm".to_owned(), json!({ "mode": disarm.mode, "state": disarm.state }));
    }
    let quorate = if world.quorate() { json!(1) } else { json!("") };
    Ok(json!({
        "manager_status": status, "lrm_status": agents,
        "quorum": { "node": world.answering(), "quorate": quorate },
    })
    .into())
}

fn service_status(sid: &str, service: &Service) -> Value {
    use sha1::Digest as _;
    let seed = format!("{sid}{}{}", service.state.name(), service.node);
    let uid = crate::world::guest::hex(&sha1::Sha1::digest(seed.as_bytes()));
    let mut out = json!({ "state": service.state.name(), "node": service.node, "uid": uid });
    if let Some(members) = out.as_object_mut() {
        if service.running {
            members.insert("running".to_owned(), json!(1));
        }
        if let Some(target) = &service.target {
            members.insert("target".to_owned(), json!(target));
        }
        if !service.failed_nodes.is_empty() {
            members.insert("failed_nodes".to_owned(), json!(service.failed_nodes));
        }
    }
    out
}

fn disarm(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mode = call.params.get("resource-mode").unwrap_or_default().to_owned();
    call.cfs_lock(DOMAIN, "")?;
    call.world.ha.commands.push(Command::Disarm { mode });
    Ok(Value::Null.into())
}

fn arm(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    call.cfs_lock(DOMAIN, "")?;
    call.world.ha.commands.push(Command::Arm);
    Ok(Value::Null.into())
}
