//! A node group of a cluster profile and its assignments.

use super::super::yaml::{Entry, Kind, Node};
use super::fields::Fields;
use super::names::{self, HostAddress};
use super::value;
use super::vm::{self, VmKeys};
use crate::desired::{Placement, VmidRequest};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// VMIDs that Proxmox VE takes (pve-common, JSONSchema `pve-vmid`).
pub(crate) const VMIDS: std::ops::RangeInclusive<u32> = 100..=999_999_999;
/// Guests in one group, at most.
const MAX_COUNT: u32 = 1000;

/// `nodes.<group>`.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: Spanned<String>,
    pub(crate) count: Option<Spanned<u32>>,
    pub(crate) name_prefix: Option<Spanned<String>>,
    pub(crate) start_vmid: Option<Spanned<VmidRequest>>,
    pub(crate) placement: Option<Spanned<Placement>>,
    /// Where `assignments` is said.
    pub(crate) assignments_at: Option<Span>,
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) depends_on: Vec<Spanned<String>>,
    pub(crate) vm: VmKeys,
}

/// One item of `assignments`.
#[derive(Debug, Clone)]
pub(crate) struct Assignment {
    pub(crate) span: Span,
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) node: Option<Spanned<String>>,
    pub(crate) vmid: Option<Spanned<u32>>,
    pub(crate) ip: Option<Spanned<HostAddress>>,
    pub(crate) mac: Option<Spanned<String>>,
}

/// Reads the group `entry`.
pub(crate) fn read(entry: &Entry, problems: &mut Vec<Diagnostic>) -> Option<Group> {
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
        placement: placement(&mut fields),
        assignments_at: None,
        assignments: Vec::new(),
        depends_on: fields.texts("depends_on"),
        vm: vm::take(&mut fields),
    };
    if let Some(node) = fields.take("assignments") {
        group.assignments_at = Some(node.span);
        group.assignments = assignments(node, fields.problems);
    }
    if group.assignments.is_empty() {
        fields.require("count", "count is how many guests the group has");
    }
    fields.finish();
    Some(group)
}

fn assignments(node: &Node, problems: &mut Vec<Diagnostic>) -> Vec<Assignment> {
    let Kind::Seq(items) = &node.kind else {
        problems.push(value::wrong_type(node, "assignments", "a list"));
        return Vec::new();
    };
    if items.len() > MAX_COUNT as usize {
        let why = format!("has {} items, at most {MAX_COUNT} are taken", items.len());
        problems.push(value::bad_value(node.span, "assignments", why));
        return Vec::new();
    }
    items.iter().filter_map(|item| assignment(item, problems)).collect()
}

fn assignment(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<Assignment> {
    let mut fields = Fields::open(node, "assignments", "an assignment", problems)?;
    let assignment = Assignment {
        span: node.span,
        name: fields.parsed("name", names::label),
        node: fields.parsed("node", names::identifier),
        vmid: fields.integer("vmid", VMIDS),
        ip: fields.parsed("ip", HostAddress::read),
        mac: fields.parsed("mac", names::mac),
    };
    fields.finish();
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

/// `placement: spread|pack`.
pub(crate) fn placement(fields: &mut Fields<'_, '_>) -> Option<Spanned<Placement>> {
    let word = fields.word("placement", &["spread", "pack"])?;
    Some(word.map(|word| if word == "pack" { Placement::Pack } else { Placement::Spread }))
}
