//! `/cluster/ha/rules`, and `/cluster/ha/groups` as they answer since groups became rules
//! (`PVE::API2::HA::Rules`, `PVE::API2::HA::Groups`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::ha_resources::{AUDIT, CHANGED, CONSOLE, DOMAIN, resource_id};
use super::refusal::Refusal;
use crate::guest::format::{self, Format, Kind, list, parse_bool};
use crate::ha::rules::{self, Affinity, Rule};
use crate::world::World;

const TYPES: &[&str] = &["node-affinity", "resource-affinity"];
const RULE: Param = required("rule", Kind::Format(Format::ConfigId));
const GROUP: Param = required("group", Kind::Format(Format::ConfigId));
/// What a rule of either type has; [`verify`] looks at them, because their errors are named after
/// the type.
const TYPE: Param = optional("type", Kind::TEXT);
const AFFINITY: Param = optional("affinity", Kind::TEXT);
const COMMENT: Param = optional("comment", Kind::TEXT);
const DISABLE: Param = optional("disable", Kind::TEXT).any();
const NODES: Param = optional("nodes", Kind::TEXT).list();
const RESOURCES: Param = optional("resources", Kind::TEXT).list();
const STRICT: Param = optional("strict", Kind::TEXT).any();
const PROPERTIES: [Param; 7] = [TYPE, AFFINITY, COMMENT, DISABLE, NODES, RESOURCES, STRICT];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/ha/rules", all)
        .may(AUDIT)
        .with(&[optional("type", Kind::Enum(TYPES)), optional("resource", Kind::TEXT)]),
    Endpoint::post("/cluster/ha/rules", create)
        .may(CONSOLE)
        .with(&[RULE, TYPE, AFFINITY, COMMENT, DISABLE, NODES, RESOURCES, STRICT]),
    Endpoint::get("/cluster/ha/rules/{rule}", read).may(AUDIT).with(&[RULE]),
    Endpoint::put("/cluster/ha/rules/{rule}", update).may(CONSOLE).with(&[
        RULE,
        TYPE,
        AFFINITY,
        COMMENT,
        DISABLE,
        NODES,
        RESOURCES,
        STRICT,
        optional("delete", Kind::Format(Format::ConfigIdList)),
        optional("digest", Kind::Text { max: 64 }),
    ]),
    Endpoint::delete("/cluster/ha/rules/{rule}", delete).may(CONSOLE).with(&[RULE]),
    Endpoint::get("/cluster/ha/groups", group_index).may(AUDIT),
    Endpoint::post("/cluster/ha/groups", group_create).may(CONSOLE).with(&[
        GROUP,
        required("nodes", Kind::Formatted(node_list)).list(),
        optional("comment", Kind::Text { max: 4096 }),
        optional("nofailback", Kind::Bool),
        optional("restricted", Kind::Bool),
        optional("type", Kind::Enum(&["group"])),
    ]),
    Endpoint::get("/cluster/ha/groups/{group}", group_read).may(AUDIT).with(&[GROUP]),
    Endpoint::put("/cluster/ha/groups/{group}", group_update).may(CONSOLE).with(&[
        GROUP,
        optional("nodes", Kind::Formatted(node_list)).list(),
        optional("comment", Kind::Text { max: 4096 }),
        optional("nofailback", Kind::Bool),
        optional("restricted", Kind::Bool),
        optional("delete", Kind::Format(Format::ConfigIdList)),
        optional("digest", Kind::Text { max: 64 }),
    ]),
    Endpoint::delete("/cluster/ha/groups/{group}", group_delete).may(CONSOLE).with(&[GROUP]),
];

fn group_refusal(action: &str) -> Result<Reply, Refusal> {
    Err(Refusal::die(format!("cannot {action}: ha groups have been migrated to rules")))
}

fn group_index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    group_refusal("index groups")
}

fn group_read(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    group_refusal("read group")
}

fn group_create(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    group_refusal("create group")
}

fn group_update(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    group_refusal("update group")
}

fn group_delete(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    group_refusal("delete group")
}

/// `pve-ha-node-list`: nodes with priorities.
fn node_list(value: &str) -> Result<(), String> {
    let fits = |entry: &str| {
        let (node, priority) = entry.split_once(':').unwrap_or((entry, "0"));
        let digits = !priority.is_empty() && priority.bytes().all(|byte| byte.is_ascii_digit());
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let label = node.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        digits && label && edge(node.as_bytes().first()) && edge(node.as_bytes().last())
    };
    if list(value).all(fits) {
        return Ok(());
    }
    Err("value does not look like a valid ha node".to_owned())
}

fn resource_list(value: &str) -> Result<(), String> {
    list(value).try_for_each(resource_id)
}

/// The properties of a type with their kinds, the required ones first.
fn schema(kind: &str) -> [(&'static str, Kind, bool); 5] {
    let comment = ("comment", Kind::Text { max: 4096 }, false);
    let disable = ("disable", Kind::Bool, false);
    let resources = ("resources", Kind::Formatted(resource_list), true);
    if kind == "node-affinity" {
        let nodes = ("nodes", Kind::Formatted(node_list), true);
        return [nodes, resources, ("strict", Kind::Bool, false), disable, comment];
    }
    let affinity = ("affinity", Kind::Enum(&["positive", "negative"]), true);
    // The last stands twice: both types have five entries.
    [affinity, resources, disable, comment, comment]
}

const UNKNOWN: &str =
    "property is not defined in schema and the schema does not allow additional properties";
const MISSING: &str = "property is missing and it is not optional";

/// Verifies what depends on the type (`oneOf` in the schema): errors of its properties are named
/// `oneOf[TYPE].NAME`.
fn verify(call: &Call<'_>, create: bool) -> Result<String, Refusal> {
    let mut errors = BTreeMap::new();
    let given: Vec<&str> = PROPERTIES.iter().map(|param| param.name).collect();
    let given = given.into_iter().filter(|name| call.params.get(name).is_some());
    let Some(kind) = call.params.get("type").filter(|kind| TYPES.contains(kind)) else {
        for name in given.filter(|name| *name != "type") {
            errors.insert(name.to_owned(), UNKNOWN.to_owned());
        }
        let error = match call.params.get("type") {
            None => MISSING.to_owned(),
            Some(kind) => format::check(Kind::Enum(TYPES), "type", kind).err().unwrap_or_default(),
        };
        errors.insert("type".to_owned(), error);
        return Err(Refusal::Params(errors));
    };
    let schema = schema(kind);
    for name in given.filter(|name| *name != "type") {
        if !schema.iter().any(|(known, _, _)| *known == name) {
            errors.insert(name.to_owned(), UNKNOWN.to_owned());
        }
    }
    for (name, check, required) in schema {
        let error = match call.params.get(name) {
            Some(value) => format::check(check, name, value).err(),
            None => (required && create).then(|| MISSING.to_owned()),
        };
        if let Some(error) = error {
            errors.insert(format!("oneOf[{kind}].{name}"), error);
        }
    }
    if errors.is_empty() { Ok(kind.to_owned()) } else { Err(Refusal::Params(errors)) }
}

fn resources_of(call: &Call<'_>) -> Option<BTreeSet<String>> {
    let value = call.params.get("resources")?;
    Some(list(value).map(str::to_owned).collect())
}

fn nodes_of(call: &Call<'_>) -> Option<BTreeMap<String, i64>> {
    let entries = list(call.params.get("nodes")?).map(|entry| {
        let (node, priority) = entry.split_once(':').unwrap_or((entry, "0"));
        (node.to_owned(), priority.parse().unwrap_or(0))
    });
    Some(entries.collect())
}

/// Resources have to be managed, nodes have to exist.
fn check_references(
    world: &World,
    resources: Option<&BTreeSet<String>>,
    nodes: Option<&BTreeMap<String, i64>>,
) -> Result<(), String> {
    if let Some(resources) = resources {
        if resources.is_empty() {
            return Err("no resources were specified".to_owned());
        }
        let unknown = resources.iter().filter(|sid| !world.ha.resources.contains_key(*sid));
        let unknown: Vec<&str> = unknown.map(String::as_str).collect();
        if !unknown.is_empty() {
            return Err(format!("cannot use unmanaged resource(s) {}.", unknown.join(", ")));
        }
    }
    if let Some(nodes) = nodes {
        if nodes.is_empty() {
            return Err("no nodes were specified".to_owned());
        }
        let unknown = nodes.keys().filter(|node| !world.nodes.contains_key(*node));
        let unknown: Vec<&str> = unknown.map(String::as_str).collect();
        if !unknown.is_empty() {
            return Err(format!("cannot use non-existent node(s) {}.", unknown.join(", ")));
        }
    }
    Ok(())
}

/// The error of a rule that cannot hold, as it reads after it went through a lock: status and
/// errors have become text.
fn check_feasible(world: &World, rules: &[Rule], id: &str) -> Result<(), String> {
    let errors = rules::check(rules, world.nodes().count());
    let Some(own) = errors.get(id) else { return Ok(()) };
    let mut text = format!("400 Rule '{id}' is invalid.\n");
    for (option, messages) in own {
        text.push_str(&format!("{option}: {}\n", messages.join(", ")));
    }
    Err(text)
}

fn all(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let found = &call.world.ha.rules;
    let digest = rules::digest(found);
    let errors = rules::check(found, call.world.nodes().count());
    let (kind, resource) = (call.params.get("type"), call.params.get("resource"));
    let kept = found.iter().enumerate().filter(|(_, rule)| {
        kind.is_none_or(|kind| rule.kind() == kind)
            && resource.is_none_or(|sid| rule.resources.contains(sid))
    });
    let items = kept.map(|(index, rule)| rule.json(index + 1, &digest, Some(&errors)));
    Ok(items.collect::<Value>().into())
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("rule").unwrap_or_default();
    let found = &call.world.ha.rules;
    let errors = rules::check(found, call.world.nodes().count());
    let place = found.iter().position(|rule| rule.id == id);
    match place.and_then(|index| found.get(index).map(|rule| (index, rule))) {
        Some((index, rule)) => {
            Ok(rule.json(index + 1, &rules::digest(found), Some(&errors)).into())
        }
        None => Err(Refusal::die(format!("no such ha rule '{id}'"))),
    }
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let kind = verify(call, true)?;
    call.check_quorum()?;
    call.params.check_defined(&["disable"])?;
    call.cfs_lock(DOMAIN, "create ha rule failed")?;
    let failed = |text: String| Refusal::die(format!("create ha rule failed: {text}"));
    let id = call.params.get("rule").unwrap_or_default().to_owned();
    if call.world.ha.rules.iter().any(|rule| rule.id == id) {
        return Err(failed(format!("HA rule '{id}' already defined")));
    }
    let (resources, nodes) = (resources_of(call).unwrap_or_default(), nodes_of(call));
    check_references(call.world, Some(&resources), nodes.as_ref()).map_err(failed)?;
    let affinity = if kind == "node-affinity" {
        let strict = call.params.flag("strict");
        Affinity::Nodes { nodes: nodes.unwrap_or_default(), strict }
    } else {
        Affinity::Together(call.params.get("affinity") == Some("positive"))
    };
    let comment = call.params.get("comment").map(str::to_owned);
    let disable = call.params.flag("disable").unwrap_or(false);
    let mut rules = call.world.ha.rules.clone();
    // `get_next_ordinal` counts from the lowest, so a third rule comes before the last ones.
    let place = rules.len().min(2);
    rules.insert(place, Rule { id: id.clone(), resources, affinity, disable, comment });
    check_feasible(call.world, &rules, &id).map_err(failed)?;
    call.world.ha.rules = rules;
    Ok(Value::Null.into())
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let kind = verify(call, false)?;
    call.cfs_lock(DOMAIN, "update HA rules failed")?;
    change(call, &kind).map_err(|text| Refusal::die(format!("update HA rules failed: {text}")))?;
    Ok(Value::Null.into())
}

fn change(call: &mut Call<'_>, kind: &str) -> Result<(), String> {
    let digest = rules::digest(&call.world.ha.rules);
    if call.params.get("digest").is_some_and(|wanted| !wanted.is_empty() && wanted != digest) {
        return Err(CHANGED.to_owned());
    }
    let id = call.params.get("rule").unwrap_or_default().to_owned();
    let mut rules = call.world.ha.rules.clone();
    let Some(rule) = rules.iter_mut().find(|rule| rule.id == id) else {
        return Err(format!("HA rule '{id}' does not exist"));
    };
    if rule.kind() != kind {
        return Err("unexpected property 'type'".to_owned());
    }
    call.params.check_defined(&["delete", "digest"])?;
    let (resources, nodes) = (resources_of(call), nodes_of(call));
    check_references(call.world, resources.as_ref(), nodes.as_ref())?;
    remove(call, rule, kind)?;
    if let Some(resources) = resources {
        rule.resources = resources;
    }
    match &mut rule.affinity {
        Affinity::Nodes { nodes: old, strict } => {
            *old = nodes.unwrap_or_else(|| old.clone());
            *strict = call.params.flag("strict").or(*strict);
        }
        Affinity::Together(together) => {
            let wanted = call.params.get("affinity").map(|word| word == "positive");
            *together = wanted.unwrap_or(*together);
        }
    }
    // A zero is dropped: to enable a rule again, the property is deleted.
    rule.disable |= call.params.get("disable").and_then(parse_bool) == Some(true);
    if let Some(comment) = call.params.get("comment") {
        rule.comment = Some(comment.to_owned());
    }
    check_feasible(call.world, &rules, &id)?;
    call.world.ha.rules = rules;
    Ok(())
}

/// `delete_from_config`.
fn remove(call: &Call<'_>, rule: &mut Rule, kind: &str) -> Result<(), String> {
    let disabled = call.params.get("disable").and_then(parse_bool) == Some(true);
    for key in list(call.params.get("delete").unwrap_or_default()) {
        match schema(kind).iter().find(|(name, _, _)| *name == key) {
            None => return Err(format!("no such option '{key}'")),
            Some((_, _, true)) => return Err(format!("unable to delete required option '{key}'")),
            Some(_) => {}
        }
        let given = call.params.get(key).is_some() && (key != "disable" || disabled);
        if given {
            return Err(format!("cannot set and delete property '{key}' at the same time!"));
        }
        match (key, &mut rule.affinity) {
            ("comment", _) => rule.comment = None,
            ("disable", _) => rule.disable = false,
            ("strict", Affinity::Nodes { strict, .. }) => *strict = None,
            _ => {}
        }
    }
    Ok(())
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    call.cfs_lock(DOMAIN, "delete ha rule failed")?;
    let id = call.params.get("rule").unwrap_or_default().to_owned();
    call.world.ha.rules.retain(|rule| rule.id != id);
    Ok(Value::Null.into())
}
