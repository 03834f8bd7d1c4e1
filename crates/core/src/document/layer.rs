//! A layer: VM keys that one place of the documents says. Layers over each other are a guest.

use std::sync::Arc;

use super::decode::fields::Fields;
use super::decode::{names, vm};
use super::include::INCLUDE;
use super::variable::Scope;
use super::yaml::{Entry, Kind, Node};
use crate::diagnostic::Diagnostic;

/// VM keys and who says them.
#[derive(Debug, Clone)]
pub(crate) struct Layer {
    /// For people: `defaults`, `include`, `group workers`.
    pub(crate) name: String,
    /// A mapping of VM keys.
    pub(crate) node: Node,
    /// The variables its document sees.
    pub(crate) scope: Arc<Scope>,
}

/// Keys of every layer that are no VM keys: how a guest is placed, and what may happen to it.
pub(crate) const CHOICES: [&str; 4] =
    ["placement", "apply_changes", "prevent_destroy", "on_failure"];
/// Names that `defaults` of a configuration always had.
const LEGACY: [&str; 3] = ["network_bridge", "guest_agent", "efidisk_pre_enrolled_keys"];
/// Hardware that a default gives only to guests without a template: a clone keeps its template's.
const HARDWARE: [&str; 6] =
    ["bios", "machine", "scsihw", "scsi_controller", "efidisk", "efidisk_pre_enrolled_keys"];

/// What a mapping with VM keys is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mapping {
    /// In errors ("a node group").
    pub(crate) what: &'static str,
    /// Keys it has beside VM keys.
    pub(crate) own: &'static [&'static str],
    /// [`LEGACY`] names are keys too.
    pub(crate) legacy: bool,
}

impl Mapping {
    const INCLUDED: Self = Self { what: "an included file", own: &[], legacy: false };

    /// The layers of `node`: what it includes, the lowest first, then itself as `name`. Unknown
    /// and repeated keys are problems and left out.
    pub(crate) fn layers(
        &self,
        node: &Node,
        name: impl Into<String>,
        scope: &Arc<Scope>,
        problems: &mut Vec<Diagnostic>,
    ) -> Vec<Layer> {
        let mut layers = Vec::new();
        let included = Self { legacy: self.legacy, ..Self::INCLUDED };
        if let Some(Node { kind: Kind::Seq(fragments), .. }) = node.get(INCLUDE) {
            for fragment in fragments {
                let node = included.keys(fragment, problems);
                let name = "include".to_owned();
                layers.push(Layer { name, node, scope: Arc::clone(scope) });
            }
        }
        let node = self.keys(node, problems);
        layers.push(Layer { name: name.into(), node, scope: Arc::clone(scope) });
        layers
    }

    /// The VM keys of `node`, by the names that VM keys have.
    pub(crate) fn keys(&self, node: &Node, problems: &mut Vec<Diagnostic>) -> Node {
        self.check_names(node, problems);
        let mut kept = Node::mapping(node.span);
        for entry in node.entries() {
            repeated(&entry.value, problems);
            let key = entry.key.value.as_str();
            if !self.own.contains(&key) && key != INCLUDE && kept.get(key).is_none() {
                kept.push(entry.clone());
            }
        }
        renamed(&mut kept, "scsi_controller", "scsihw");
        if self.legacy {
            renamed(&mut kept, "guest_agent", "agent");
        }
        kept
    }

    /// Reports keys that are not known or repeated.
    fn check_names(&self, node: &Node, problems: &mut Vec<Diagnostic>) {
        // Without values nothing but names can be wrong.
        let mut names = node.clone();
        if let Kind::Map(entries) = &mut names.kind {
            entries.iter_mut().for_each(|entry| entry.value.kind = Kind::Null);
        }
        let Some(mut fields) = Fields::open(&names, "document", self.what, problems) else {
            return;
        };
        let legacy = LEGACY.iter().filter(|_| self.legacy);
        for key in self.own.iter().chain(&[INCLUDE]).chain(&CHOICES).chain(legacy) {
            fields.take(key);
        }
        vm::take(&mut fields);
        fields.finish();
    }
}

/// Reports values of `node` that no guest could use; those that wait for a guest are left out.
pub(crate) fn check_values(node: &Node, problems: &mut Vec<Diagnostic>) {
    let mut settled = node.clone();
    without_templates(&mut settled);
    let Some(mut fields) = Fields::open(&settled, "document", "defaults", problems) else {
        return;
    };
    fields.parsed("network_bridge", names::identifier);
    fields.boolean("efidisk_pre_enrolled_keys");
    vm::take(&mut fields);
}

/// What defaults give to a clone.
pub(crate) fn without_hardware(node: &Node) -> Node {
    let kept = |entry: &&Entry| !HARDWARE.contains(&entry.key.value.as_str());
    let entries = node.entries().iter().filter(kept).cloned().collect();
    Node { span: node.span, kind: Kind::Map(entries) }
}

fn without_templates(node: &mut Node) {
    match &mut node.kind {
        Kind::Map(entries) => {
            entries.retain(|entry| !entry.value.has_templates() || is_nested(&entry.value));
            entries.iter_mut().for_each(|entry| without_templates(&mut entry.value));
        }
        Kind::Seq(items) => items.retain(|item| !item.has_templates()),
        _ => {}
    }
}

fn is_nested(node: &Node) -> bool {
    matches!(node.kind, Kind::Map(_) | Kind::Seq(_))
}

/// Two names of one key: the key's own is kept. Both of them stay and are reported.
fn renamed(node: &mut Node, from: &str, to: &str) {
    if node.get(to).is_some() {
        return;
    }
    if let Some(entry) = node.entries_mut().iter_mut().find(|entry| entry.key.value == from) {
        to.clone_into(&mut entry.key.value);
    }
}

/// Reports keys that are repeated further in: of two, merging keeps the first.
fn repeated(node: &Node, problems: &mut Vec<Diagnostic>) {
    node.walk(&mut |node| {
        if matches!(node.kind, Kind::Map(_)) {
            super::decode::fields::named(node, "document", problems);
        }
    });
}
