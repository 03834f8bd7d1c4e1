//! `/nodes/{node}/config` (`PVE::API2::NodeConfig`), and the call that wakes a node.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::call::{Call, Reply, check_node};
use super::endpoint::{Endpoint, optional};
use super::ha_resources::CHANGED;
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::guest::property::{Property, Values};
use crate::world::guest::hex;

const PATH: &str = "/nodes/{node}/config";
pub(crate) const WAKE: &str = "/nodes/{node}/wakeonlan";
const PROPERTIES: &[&str] = &[
    "acme",
    "acmedomain0",
    "acmedomain1",
    "acmedomain2",
    "acmedomain3",
    "acmedomain4",
    "acmedomain5",
    "ballooning-target",
    "description",
    "location",
    "startall-onboot-delay",
    "wakeonlan",
];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get(PATH, read)
        .with(&[optional("property", Kind::Enum(PROPERTIES))])
        .may(Permission::All("/", &["Sys.Audit"])),
    Endpoint::put(PATH, change).may(Permission::All("/", &["Sys.Modify"])).with(&[
        optional("acme", Kind::TEXT),
        optional("acmedomain0", Kind::TEXT),
        optional("acmedomain1", Kind::TEXT),
        optional("acmedomain2", Kind::TEXT),
        optional("acmedomain3", Kind::TEXT),
        optional("acmedomain4", Kind::TEXT),
        optional("acmedomain5", Kind::TEXT),
        optional("ballooning-target", Kind::between(0, 100)),
        optional("delete", Kind::Format(Format::ConfigIdList)),
        optional("description", Kind::Text { max: 65_536 }),
        optional("digest", Kind::Text { max: 40 }),
        optional("location", Kind::TEXT),
        optional("startall-onboot-delay", Kind::between(0, 300)),
        optional("wakeonlan", Kind::Properties(WAKE_ON_LAN)),
    ]),
    Endpoint::post(WAKE, wake).may(Permission::All("/nodes/{node}", &["Sys.PowerMgmt"])),
];

const WAKE_ON_LAN: &[Property] = &[
    Property::new("mac", Kind::Format(Format::Mac)).default_key().required(),
    Property::new("bind-interface", Kind::TEXT),
    Property::new("broadcast-address", Kind::Format(Format::Ipv4)),
];

/// The text of the file: the description as comment, then the rest by name.
fn text(config: &BTreeMap<String, String>) -> String {
    let description = config.get("description").map(String::as_str).unwrap_or_default();
    let mut out = String::new();
    for line in description.lines() {
        out.push_str(&format!("#{}\n", line.replace('%', "%25").replace(':', "%3A")));
    }
    for (key, value) in config.iter().filter(|(key, _)| *key != "description") {
        out.push_str(&format!("{key}: {value}\n"));
    }
    out
}

fn digest(config: &BTreeMap<String, String>) -> String {
    hex(&Sha1::digest(text(config).as_bytes()))
}

fn config<'a>(call: &'a Call<'_>, node: &str) -> Option<&'a BTreeMap<String, String>> {
    let node = call.world.nodes.get(node)?;
    (!node.config.is_empty()).then_some(&node.config)
}

/// What is set is text; a description there always is, once there is a file.
fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let Some(config) = config(call, &node) else { return Ok(json!({}).into()) };
    let mut shown: BTreeMap<&str, String> =
        config.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let lines = config.get("description").map(String::as_str).unwrap_or_default().lines();
    shown.insert("description", lines.map(|line| format!("{line}\n")).collect());
    shown.insert("digest", digest(config));
    if let Some(wanted) = call.params.get("property") {
        shown.retain(|key, _| *key == wanted);
    }
    Ok(json!(shown).into())
}

fn change(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    let mut config = config(call, &node).cloned().unwrap_or_default();
    let wanted = call.params.take("digest").filter(|digest| !digest.is_empty());
    // Without a file there is nothing to compare with.
    if !config.is_empty() && wanted.is_some_and(|wanted| wanted != digest(&config)) {
        return Err(Refusal::die(CHANGED));
    }
    let delete = call.params.take("delete").unwrap_or_default();
    let given = call.params.0.iter().filter(|(key, _)| *key != "node");
    config.extend(given.map(|(key, value)| (key.clone(), value.clone())));
    config.retain(|key, _| !list(&delete).any(|name| name == key));
    if let Some((key, _)) =
        config.iter().find(|(key, value)| *key != "description" && value.contains('\n'))
    {
        return Err(Refusal::die(format!("detected invalid newline inside property '{key}'")));
    }
    if !call.world.quorate() {
        return Err(Refusal::die(format!(
            "unable to open file '/etc/pve/nodes/{node}/config.tmp.1' - Permission denied"
        )));
    }
    config.retain(|key, value| key != "description" || !value.is_empty());
    if let Some(found) = call.world.nodes.get_mut(&node) {
        found.config = config;
    }
    Ok(Value::Null.into())
}

/// The packet goes nowhere: who wants the node back switches it on.
fn wake(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    if call.world.answering() == Some(node.as_str()) {
        return Err(Refusal::die(format!("'{node}' is local node, cannot wake my self!")));
    }
    check_node(call.world, &node)?;
    let own = config(call, &node).and_then(|config| config.get("wakeonlan"));
    match own.map(|text| Values::parse(text, "mac")).as_ref().and_then(|own| own.get("mac")) {
        Some(mac) => Ok(json!(mac).into()),
        None => Err(Refusal::die(format!("No wake on LAN MAC address defined for '{node}'!"))),
    }
}
