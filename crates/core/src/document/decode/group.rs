//! A node group of a cluster profile and its assignments.

use std::sync::Arc;

use super::super::layer::{Layer, Mapping};
use super::super::placeholder::{self, Context};
use super::super::variable::Scope;
use super::super::yaml::{Entry, Kind, Node};
use super::fields::Fields;
use super::names::{self, HostAddress};
use super::value;
use crate::desired::VmidRequest;
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// VMIDs that Proxmox VE takes (pve-common, JSONSchema `pve-vmid`).
pub(crate) const VMIDS: std::ops::RangeInclusive<u32> = 100..=999_999_999;
/// Guests in one group, at most.
pub(crate) const MAX_COUNT: u32 = 1000;

/// `nodes.<group>`.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: Spanned<String>,
    pub(crate) count: Option<Spanned<u32>>,
    pub(crate) name_prefix: Option<Spanned<String>>,
    pub(crate) start_vmid: Option<Spanned<VmidRequest>>,
    pub(crate) start_ip: Option<Spanned<HostAddress>>,
    /// Where `for_each` is said.
    pub(crate) for_each: Option<Span>,
    /// Where `assignments` is said.
    pub(crate) assignments_at: Option<Span>,
    /// Those of `assignments`, or of `for_each`.
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) depends_on: Vec<Spanned<String>>,
    /// VM keys: what the group includes, the lowest first, then its own.
    pub(crate) layers: Vec<Layer>,
}

/// One item of `assignments` or `for_each`.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) span: Span,
    /// Its key in `for_each`.
    pub(crate) each: Option<Spanned<String>>,
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) node: Option<Spanned<String>>,
    pub(crate) vmid: Option<Spanned<u32>>,
    pub(crate) ip: Option<Spanned<HostAddress>>,
    pub(crate) mac: Option<Spanned<String>>,
    pub(crate) moved: Option<Spanned<String>>,
    /// VM keys of this guest alone: what it includes, the lowest first, then its own.
    pub(crate) layers: Vec<Layer>,
}

/// Keys of a group that are no VM keys.
const GROUP: Mapping = Mapping {
    what: "a node group",
    own: &[
        "count",
        "name_prefix",
        "start_vmid",
        "start_ip",
        "assignments",
        "for_each",
        "depends_on",
    ],
    legacy: false,
};

/// Keys of an assignment that are no VM keys.
const ASSIGNMENT: Mapping = Mapping {
    what: "an assignment",
    own: &["name", "node", "vmid", "ip", "mac", "moved"],
    legacy: false,
};

/// The same of an item of `for_each`, whose name is its key.
const ITEM: Mapping = Mapping {
    what: "an item of for_each",
    own: &["node", "vmid", "ip", "mac", "moved"],
    legacy: false,
};

/// Reads the group `entry`.
pub(crate) fn read(
    entry: &Entry,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Group> {
    let name = &entry.key;
    if let Err(why) = names::lower_label(&name.value) {
        problems.push(value::bad_value(name.span, "nodes", format!("a group's name {why}")));
        return None;
    }
    let mut fields = Fields::open(&entry.value, &name.value, "a node group", problems)?;
    let mut group = Group {
        name: name.clone(),
        count: fields.integer("count", 0..=MAX_COUNT),
        name_prefix: fields.parsed("name_prefix", names::prefix),
        start_vmid: vmid_or_auto(&mut fields, "start_vmid"),
        start_ip: fields.parsed("start_ip", HostAddress::read),
        for_each: None,
        assignments_at: None,
        assignments: Vec::new(),
        depends_on: fields.texts("depends_on"),
        layers: Vec::new(),
    };
    let for_each = fields.take("for_each");
    if let Some(node) = fields.take("assignments") {
        group.assignments_at = Some(node.span);
        group.assignments = assignments(node, scope, fields.problems);
    }
    match for_each {
        Some(node) => {
            excludes_counts(node, &fields_there(&entry.value), fields.problems);
            group.for_each = Some(node.span);
            group.count = None;
            group.assignments_at = None;
            group.assignments = items(node, &name.value, scope, fields.problems);
        }
        None if group.assignments.is_empty() => {
            fields.require("count", "count is how many guests the group has");
        }
        None => {}
    }
    let shown = format!("group {}", name.value);
    group.layers = GROUP.layers(&entry.value, shown, scope, problems);
    Some(group)
}

/// Where the keys are that `for_each` excludes.
fn fields_there(node: &Node) -> Vec<(&'static str, Span)> {
    ["count", "assignments"]
        .into_iter()
        .filter_map(|key| node.get(key).filter(|n| n.kind != Kind::Null).map(|n| (key, n.span)))
        .collect()
}

pub(crate) fn excludes_counts(
    for_each: &Node,
    others: &[(&'static str, Span)],
    problems: &mut Vec<Diagnostic>,
) {
    for (key, span) in others {
        problems.push(
            Diagnostic::error("conflict", format!("'for_each' and '{key}' exclude each other"))
                .at(*span, "and here")
                .at(for_each.span, "guests are listed here")
                .help("keep one of the two"),
        );
    }
}

fn assignments(node: &Node, scope: &Arc<Scope>, problems: &mut Vec<Diagnostic>) -> Vec<Assignment> {
    let Kind::Seq(items) = &node.kind else {
        problems.push(value::wrong_type(node, "assignments", "a list"));
        return Vec::new();
    };
    if items.len() > MAX_COUNT as usize {
        let why = format!("has {} items, at most {MAX_COUNT} are taken", items.len());
        problems.push(value::bad_value(node.span, "assignments", why));
        return Vec::new();
    }
    let read = |item| assignment(item, &ASSIGNMENT, scope, problems);
    items.iter().filter_map(read).collect()
}

/// The guests of `for_each`: their keys, and what is said of each.
pub(crate) fn each(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<(Spanned<String>, Node)> {
    let mut found: Vec<(Spanned<String>, Node)> = Vec::new();
    let mut add = |key: Spanned<String>, value: Node, problems: &mut Vec<Diagnostic>| {
        if let Err(why) = names::label(&key.value) {
            problems.push(value::bad_value(key.span, "for_each", why));
        } else if let Some((first, _)) = found.iter().find(|(there, _)| there.value == key.value) {
            let message = format!("'{}' is in for_each twice", key.value);
            problems.push(
                Diagnostic::error("duplicate-key", message)
                    .at(key.span, "again here")
                    .at(first.span, "first here"),
            );
        } else if found.len() < MAX_COUNT as usize {
            found.push((key, value));
        } else if found.len() == MAX_COUNT as usize {
            let why = format!("has more than {MAX_COUNT} items");
            problems.push(value::bad_value(key.span, "for_each", why));
        }
    };
    match &node.kind {
        Kind::Map(entries) => {
            for entry in entries {
                add(entry.key.clone(), entry.value.clone(), problems);
            }
        }
        Kind::Seq(items) => {
            for item in items {
                let Some(key) = value::text(item, "for_each", problems) else { continue };
                let span = key.span;
                add(key, Node { span, kind: Kind::Null }, problems);
            }
        }
        _ => {
            problems.push(value::wrong_type(node, "for_each", "a list of names or a mapping"));
        }
    }
    found
}

fn items(
    node: &Node,
    group: &str,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Assignment> {
    let mut assignments = Vec::new();
    for (index, (key, mut said)) in each(node, problems).into_iter().enumerate() {
        let context = Context {
            index: u32::try_from(index + 1).ok(),
            each: Some(&key.value),
            group: Some(group),
            ..Context::default()
        };
        placeholder::fill_known(&mut said, &context, problems);
        if said.kind == Kind::Null {
            said = Node::mapping(key.span);
        }
        let Some(assignment) = assignment(&said, &ITEM, scope, problems) else { continue };
        assignments.push(Assignment { span: key.span, each: Some(key), ..assignment });
    }
    assignments
}

fn assignment(
    node: &Node,
    mapping: &Mapping,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Assignment> {
    let mut fields = Fields::open(node, "assignments", mapping.what, problems)?;
    let has_name = mapping.own.contains(&"name");
    let mut assignment = Assignment {
        span: node.span,
        each: None,
        name: if has_name { fields.parsed("name", names::label) } else { None },
        node: fields.parsed("node", names::identifier),
        vmid: fields.integer("vmid", VMIDS),
        ip: fields.parsed("ip", HostAddress::read),
        mac: fields.parsed("mac", names::mac),
        moved: fields.text("moved"),
        layers: Vec::new(),
    };
    assignment.layers = mapping.layers(node, "VM", scope, problems);
    assignment.layers.retain(|layer| !layer.node.entries().is_empty());
    Some(assignment)
}

/// A VMID, or `auto`.
pub(crate) fn vmid_or_auto(
    fields: &mut Fields<'_, '_>,
    key: &'static str,
) -> Option<Spanned<VmidRequest>> {
    let node = fields.take(key)?;
    match &node.kind {
        Kind::Text(text) if text == "auto" => Some(Spanned::new(VmidRequest::Auto, node.span)),
        Kind::Number(_) => value::integer(node, key, VMIDS, fields.problems)
            .map(|vmid| vmid.map(VmidRequest::Fixed)),
        _ => {
            fields.problems.push(value::wrong_type(node, key, "a VMID or auto"));
            None
        }
    }
}
