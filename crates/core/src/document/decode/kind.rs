//! Which kind of document is this mapping?

use super::super::yaml::{Kind as NodeKind, Node};
use super::value;
use crate::diagnostic::Diagnostic;

/// The kinds of YAML document that pvx reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Profile,
    Standalone,
    Config,
}

const PROFILE: [&str; 8] =
    ["name", "type", "template", "tags", "nodes", "network", "talos", "flux"];
const STANDALONE: [&str; 23] = [
    "name",
    "vmid",
    "node",
    "template",
    "cores",
    "memory",
    "disk",
    "disks",
    "networks",
    "cloudinit",
    "ip",
    "bios",
    "power",
    "onboot",
    "ostype",
    "placement",
    "tags",
    "include",
    "count",
    "for_each",
    "start_vmid",
    "start_ip",
    "moved",
];
const CONFIG: [&str; 8] =
    ["cluster", "defaults", "vmid_ranges", "credentials", "ansible", "tls", "cloudinit", "talos"];

/// The kind that a document says it is, or else the one whose keys it has.
///
/// # Errors
/// When it is no mapping, or has no key that any kind knows.
pub(crate) fn of(node: &Node) -> Result<Kind, Diagnostic> {
    let NodeKind::Map(_) = &node.kind else {
        return Err(Diagnostic::error("not-a-document", "this is not a document of pvx")
            .at(node.span, format!("this is {}", node.describe()))
            .help("a document is a mapping with 'name' and either 'nodes' or the keys of a VM"));
    };
    if let Some(kind) = node.get("kind") {
        return said(kind);
    }
    if node.get("nodes").is_some() {
        return Ok(Kind::Profile);
    }
    let cluster = node.get("cluster").is_some();
    if cluster && (node.get("vmid_ranges").is_some() || node.get("credentials").is_some()) {
        return Ok(Kind::Config);
    }
    let count = |keys: &[&str]| keys.iter().filter(|key| node.get(key).is_some()).count();
    let scores = [
        (count(&STANDALONE), Kind::Standalone),
        (count(&PROFILE), Kind::Profile),
        (count(&CONFIG), Kind::Config),
    ];
    // The first of equals wins: without 'nodes' a document is a VM.
    let best = scores.into_iter().rev().max_by_key(|(score, _)| *score);
    match best {
        Some((score, kind)) if score > 0 => Ok(kind),
        _ => Err(Diagnostic::error("not-a-document", "this is not a document of pvx")
            .at(node.span, "none of the keys here belongs to one")
            .help(
                "a cluster profile has 'name' and 'nodes', a VM has 'name' and 'cores'; \
                   name only pvx's own files and folders",
            )),
    }
}

fn said(node: &Node) -> Result<Kind, Diagnostic> {
    match value::scalar(node).as_deref() {
        Some("vm") => Ok(Kind::Standalone),
        Some("cluster") => Ok(Kind::Profile),
        other => Err(value::unknown_word(
            node.span,
            "kind",
            other.unwrap_or_default(),
            &["vm", "cluster"],
        )),
    }
}
