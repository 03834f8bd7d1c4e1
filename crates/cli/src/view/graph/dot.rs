//! For Graphviz: every action and every edge, a cluster a guest.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::slice::from_ref;

use super::{Graph, Node};
use crate::view::markdown::visible;

/// The graph in the DOT language.
pub(crate) fn render(graph: &Graph) -> String {
    let mut text = "digraph pvx {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", \
                    fontname=\"monospace\", fontsize=11];\n"
        .to_owned();
    let _ = writeln!(text, "  label={};", quoted(&[&format!("cluster {}", graph.cluster)]));
    for (index, (address, nodes)) in guests(&graph.nodes).into_iter().enumerate() {
        let _ = writeln!(text, "  subgraph cluster_{index} {{\n    label={};", quoted(&[address]));
        for node in nodes {
            let both = [node.verb, node.what.as_str()];
            let label = if node.what.is_empty() { from_ref(&node.verb) } else { both.as_slice() };
            let _ = writeln!(
                text,
                "    a{} [label={}, tooltip={}, color=\"{colour}\", fillcolor=\"{colour}22\"];",
                node.id,
                quoted(label),
                quoted(&[&format!("{}: {}", node.effect, node.reason)]),
                colour = colour(node.class),
            );
        }
        text.push_str("  }\n");
    }
    for edge in &graph.edges {
        let _ = writeln!(text, "  a{} -> a{};", edge.from, edge.to);
    }
    text + "}\n"
}

fn guests(nodes: &[Node]) -> Vec<(&str, Vec<&Node>)> {
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    let mut list: Vec<(&str, Vec<&Node>)> = Vec::new();
    for node in nodes {
        let place = *known.entry(&node.address).or_insert(list.len());
        match list.get_mut(place) {
            Some((_, nodes)) => nodes.push(node),
            None => list.push((&node.address, vec![node])),
        }
    }
    list
}

/// Lines in quotes. A backslash of the text is doubled, so that no escape of Graphviz (`\N`, `\G`)
/// comes of it; entities of HTML are read in texts, so `&` is one.
fn quoted(lines: &[&str]) -> String {
    let escaped = |line: &&str| {
        visible(line).replace('\\', "\\\\").replace('"', "\\\"").replace('&', "&amp;")
    };
    format!("\"{}\"", lines.iter().map(escaped).collect::<Vec<_>>().join("\\n"))
}

fn colour(class: &str) -> &'static str {
    match class {
        "wait" => "#725800",
        "move" => "#1d5591",
        "warn" => "#94400a",
        "bad" => "#a32019",
        _ => "#17683f",
    }
}
