//! Reads of `/cluster` about what the world has: corosync, the log, notifications, networks.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::world::guest::hex;

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);
const IPAMS: &[&str] = &["netbox", "phpipam", "pve"];
const NOTIFICATIONS: &str = "/mapping/notifications";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/ceph/metadata", ceph_metadata)
        .with(&[optional("scope", Kind::Enum(&["all", "versions"]))])
        .may(CEPH),
    Endpoint::get("/cluster/ceph/status", no_ceph).may(CEPH),
    // `JOIN_API_VERSION` of PVE::Cluster::Setup.
    Endpoint::get("/cluster/config/apiversion", |_| Ok(json!(1).into())).may(AUDIT),
    Endpoint::get("/cluster/config/join", join)
        .with(&[optional("node", Kind::Format(Format::Node))])
        .may(AUDIT),
    Endpoint::get("/cluster/config/nodes", corosync_nodes).may(AUDIT),
    Endpoint::get("/cluster/config/totem", totem).may(AUDIT),
    Endpoint::get("/cluster/log", log).with(&[optional("max", Kind::POSITIVE)]),
    Endpoint::get("/cluster/notifications/endpoints/gotify", |call| {
        notifications(call, AUDITS, json!([]))
    }),
    Endpoint::get("/cluster/notifications/endpoints/sendmail", |call| {
        notifications(call, AUDITS, json!([mail_to_root()]))
    }),
    Endpoint::get("/cluster/notifications/endpoints/smtp", |call| {
        notifications(call, AUDITS, json!([]))
    }),
    Endpoint::get("/cluster/notifications/endpoints/webhook", |call| {
        notifications(call, AUDITS, json!([]))
    }),
    Endpoint::get("/cluster/notifications/matcher-fields", |call| {
        let names = ["type", "hostname", "job-id"];
        notifications(call, AUDITS, super::cluster::subdirs(&names, "name"))
    }),
    Endpoint::get("/cluster/notifications/matchers", |call| {
        notifications(call, USES, json!([default_matcher()]))
    }),
    Endpoint::get("/cluster/notifications/targets", |call| {
        notifications(call, USES, json!([target()]))
    }),
    Endpoint::get("/cluster/sdn/ipams/{ipam}/status", ipam_status),
    Endpoint::get("/cluster/sdn/ipams", ipams).with(&[optional("type", Kind::Enum(IPAMS))]),
];

const CEPH: Permission = Permission::Any("/", &["Sys.Audit", "Datastore.Audit"]);

/// `PVE::Ceph::Tools::check_ceph_installed`.
fn no_ceph(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Err(Refusal::die("binary not installed: /usr/bin/ceph-mon"))
}

fn ceph_metadata(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if call.params.get("scope") == Some("versions") {
        return Ok(json!({ "node": {} }).into());
    }
    no_ceph(call)
}

/// The node list of corosync.conf; values are text there.
fn nodelist(call: &Call<'_>) -> Vec<Value> {
    let nodes = call.world.nodes.values().map(|node| {
        json!({
            "name": node.name, "nodeid": node.id.to_string(), "quorum_votes": "1",
            "ring0_addr": node.ip,
        })
    });
    nodes.collect()
}

fn corosync_nodes(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut nodes = nodelist(call);
    for members in nodes.iter_mut().filter_map(Value::as_object_mut) {
        let name = members.get("name").cloned().unwrap_or_default();
        members.insert("node".to_owned(), name);
    }
    Ok(Value::Array(nodes).into())
}

/// What a node that wants to join has to know.
fn join(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let local = call.world.nodes.values().find(|node| node.online);
    let local = local.map(|node| node.name.clone()).unwrap_or_default();
    let wanted = call.params.get("node").map_or(local, str::to_owned);
    if !call.world.nodes.contains_key(&wanted) {
        return Err(Refusal::die(format!("unknown node '{wanted}'")));
    }
    let mut nodes = nodelist(call);
    for members in nodes.iter_mut().filter_map(Value::as_object_mut) {
        let address = members.get("ring0_addr").cloned().unwrap_or_default();
        members.insert("pve_addr".to_owned(), address);
        members.insert("pve_fp".to_owned(), json!(call.fingerprint));
    }
    let totem = totem_section(call);
    let digest = hex(&Sha1::digest(totem.to_string().as_bytes()));
    Ok(json!({
        "config_digest": digest, "nodelist": nodes, "preferred_node": wanted, "totem": totem,
    })
    .into())
}

fn totem(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(totem_section(call).into())
}

fn totem_section(call: &Call<'_>) -> Value {
    json!({
        "cluster_name": call.world.cluster, "config_version": call.world.nodes.len().to_string(),
        "interface": { "0": { "linknumber": "0" } }, "ip_version": "ipv4-6", "link_mode": "passive",
        "secauth": "on", "version": "2",
    })
}

/// The cluster's log says when tasks begin and end; the newest first.
fn log(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let all = call.may("/", &["Sys.Syslog"]);
    let max = call.params.int("max").and_then(|max| usize::try_from(max).ok()).unwrap_or(50);
    let user = call.caller.authid.clone();
    let tasks = call.world.tasks().rev().filter(|task| all || task.user == user);
    let lines = tasks.enumerate().map(|(number, task)| {
        json!({
            "uid": number + 1, "id": format!("{}:{}", number + 1, task.node), "node": task.node,
            "pid": task.pid, "pri": 6, "tag": "pvedaemon", "time": task.start_ms / 1000,
            "user": task.user, "msg": format!("starting task {}", task.upid),
        })
    });
    Ok(lines.take(max).collect::<Value>().into())
}

const AUDITS: &[&str] = &["Mapping.Modify", "Mapping.Audit"];
const USES: &[&str] = &["Mapping.Modify", "Mapping.Audit", "Mapping.Use"];

/// Any of the privileges; a check of many paths says nothing of what it missed.
fn notifications(call: &Call<'_>, wanted: &[&str], found: Value) -> Result<Reply, Refusal> {
    if !call.may(NOTIFICATIONS, wanted) {
        return Err(Refusal::permission(""));
    }
    Ok(found.into())
}

fn mail_to_root() -> Value {
    json!({
        "name": "mail-to-root", "comment": "Send mails to root@pam's email address",
        "mailto-user": ["root@pam"], "origin": "builtin",
    })
}

fn default_matcher() -> Value {
    json!({
        "name": "default-matcher", "comment": "Route all notifications to mail-to-root",
        "mode": "all", "origin": "builtin", "target": ["mail-to-root"],
    })
}

fn target() -> Value {
    json!({
        "name": "mail-to-root", "comment": "Send mails to root@pam's email address",
        "type": "sendmail", "origin": "builtin",
    })
}

/// The one that is built in.
pub(crate) fn pve_ipam() -> Value {
    let digest = "da39a3ee5e6b4b0d3255bfef95601890afd80709";
    json!({ "ipam": "pve", "type": "pve", "digest": digest })
}

fn ipams(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let wanted = call.params.get("type").is_none_or(|kind| kind == "pve");
    if !wanted || !call.may("/sdn/ipams/pve", &["SDN.Audit", "SDN.Allocate"]) {
        return Ok(json!([]).into());
    }
    Ok(json!([pve_ipam()]).into())
}

/// Only the built-in one tells what it gave out, and nothing asked it for an address.
fn ipam_status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if call.params.get("ipam") == Some("pve") {
        return Ok(json!([]).into());
    }
    let place = "at /usr/share/perl5/PVE/API2/Network/SDN/Ipams.pm line";
    Err(Refusal::die(format!("Currently only PVE IPAM is supported! {place} 319.")))
}
