//! `ha`: one word, or a mapping.

use std::collections::BTreeMap;

use super::super::yaml::{Kind, Node};
use super::fields::{Fields, named};
use super::vm::PlacesByPath;
use super::{names, value};
use crate::desired::{Affinity, Ha, HaState};
use crate::diagnostic::{Diagnostic, Span, Spanned};

const STATES: [&str; 4] = ["started", "stopped", "disabled", "ignored"];
/// Tries to start or move a guest. Proxmox VE names no end; this catches slips.
const TRIES: std::ops::RangeInclusive<u32> = 0..=1000;
/// Priorities of nodes have a relative meaning only; the end catches slips.
const PRIORITIES: std::ops::RangeInclusive<u32> = 0..=1000;

/// Takes `ha`.
pub(super) fn take(fields: &mut Fields<'_, '_>, places: &mut PlacesByPath) -> Option<Ha> {
    let node = fields.take("ha")?;
    places.insert("ha".to_owned(), node.span);
    if matches!(node.kind, Kind::Map(_)) {
        return mapping(node, places, fields.problems);
    }
    let word = value::word(node, "ha", &STATES, fields.problems)?;
    places.insert("ha.state".to_owned(), word.span);
    Some(Ha { state: state(&word.value), ..Ha::default() })
}

fn state(word: &str) -> HaState {
    HaState::ALL.into_iter().find(|state| state.word() == word).unwrap_or_default()
}

fn mapping(node: &Node, places: &mut PlacesByPath, problems: &mut Vec<Diagnostic>) -> Option<Ha> {
    let mut fields = Fields::open(node, "ha", "ha", problems)?;
    let word = fields.word("state", &STATES);
    let max_restart = fields.integer("max_restart", TRIES);
    let max_relocate = fields.integer("max_relocate", TRIES);
    let failback = fields.boolean("failback");
    let comment = fields.text("comment");
    let nodes_at = fields.take("nodes");
    let nodes = nodes_at.map(|node| nodes(node, fields.problems)).unwrap_or_default();
    let strict = fields.boolean("strict");
    let affinity = fields.word("affinity", &["together", "apart"]);
    if let (None, Some(strict)) = (nodes_at, &strict) {
        fields.problems.push(
            Diagnostic::error("conflict", "'ha.strict' needs 'ha.nodes'")
                .at(strict.span, "there are no nodes to keep it on")
                .help("name the nodes, or take 'strict' out"),
        );
    }
    let said: [(&str, Option<Span>); 8] = [
        ("state", word.as_ref().map(|v| v.span)),
        ("max_restart", max_restart.as_ref().map(|v| v.span)),
        ("max_relocate", max_relocate.as_ref().map(|v| v.span)),
        ("failback", failback.as_ref().map(|v| v.span)),
        ("comment", comment.as_ref().map(|v| v.span)),
        ("nodes", nodes_at.map(|v| v.span)),
        ("strict", strict.as_ref().map(|v| v.span)),
        ("affinity", affinity.as_ref().map(|v| v.span)),
    ];
    let said = said.into_iter().filter_map(|(key, span)| Some((format!("ha.{key}"), span?)));
    places.extend(said);
    fields.finish();
    Some(Ha {
        state: word.map(|word| state(&word.value)).unwrap_or_default(),
        max_restart: max_restart.map(|v| v.value),
        max_relocate: max_relocate.map(|v| v.value),
        failback: failback.map(|v| v.value),
        comment: comment.map(|v| v.value),
        nodes,
        strict: strict.map(|v| v.value),
        affinity: affinity.map(|word| match word.value.as_str() {
            "together" => Affinity::Together,
            _ => Affinity::Apart,
        }),
    })
}

/// `{pve1: 2, pve2: 1}`, or a list of nodes that are as good as each other.
fn nodes(node: &Node, problems: &mut Vec<Diagnostic>) -> BTreeMap<String, u32> {
    let before = problems.len();
    let mut found = BTreeMap::new();
    if let Kind::Map(_) = node.kind {
        for entry in named(node, "ha.nodes", problems) {
            if let Err(why) = names::label(&entry.key.value) {
                problems.push(value::bad_value(entry.key.span, "ha.nodes", why));
                continue;
            }
            let priority = value::integer(&entry.value, &entry.key.value, PRIORITIES, problems);
            found.extend(priority.map(|Spanned { value, .. }| (entry.key.value.clone(), value)));
        }
    } else {
        let names = value::texts(node, "ha.nodes", problems);
        for name in names {
            match names::label(&name.value) {
                Ok(name) => drop(found.insert(name, 0)),
                Err(why) => problems.push(value::bad_value(name.span, "ha.nodes", why)),
            }
        }
    }
    if found.is_empty() && problems.len() == before {
        problems.push(value::bad_value(node.span, "ha.nodes", "names no node"));
    }
    found
}

/// A pool; pools in pools are written with slashes, three levels at most (pve-access-control,
/// `verify_poolname`).
pub(super) fn pool(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let part = |part: &&str| !part.is_empty() && part.chars().all(valid);
    if text.len() <= 256 && parts.len() <= 3 && parts.iter().all(part) {
        return Ok(text.to_owned());
    }
    Err("a pool is letters, digits, '-', '_' and '.', or up to three of them joined with '/'"
        .to_owned())
}
