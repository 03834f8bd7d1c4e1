//! For Mermaid, which the forges draw inside Markdown. It draws a few hundred boxes at most, so
//! guests that go through the same are one, and the rest is said.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::layout::{clipped, drawn};
use super::{Graph, Node};
use crate::view::count;

/// Guests that are drawn at most.
const MOST_LANES: usize = 40;
/// Mermaid itself refuses more than 500.
const MOST_EDGES: usize = 480;
/// Columns of a text in a box.
const WIDEST: usize = 40;

/// A flowchart.
pub(crate) fn render(graph: &Graph) -> String {
    let drawn = drawn(graph, MOST_LANES);
    let mut text = "flowchart LR\n".to_owned();
    let mut used = BTreeSet::new();
    for (index, lane) in drawn.lanes.iter().enumerate() {
        let nodes: Vec<&Node> = lane.nodes.iter().filter_map(|n| graph.nodes.get(*n)).collect();
        let name = nodes.first().map_or("", |node| node.address.as_str());
        let title = match lane.like.len() {
            0 => clipped(name, WIDEST),
            more => format!("{} + {more} like it", clipped(name, WIDEST)),
        };
        let _ = writeln!(text, "  subgraph g{index}[{}]", quoted(&title));
        for node in nodes {
            let label = format!("{} {}", node.verb, clipped(&node.what, WIDEST));
            let label = quoted(label.trim_end());
            let _ = writeln!(text, "    a{}[{label}]:::{}", node.id, node.class);
            used.insert(node.class);
        }
        text.push_str("  end\n");
    }
    for (from, to) in drawn.edges.iter().take(MOST_EDGES) {
        let _ = writeln!(text, "  a{from} --> a{to}");
    }
    if drawn.left_out > 0 {
        let more = format!("{} not drawn", count(drawn.left_out, "more guest"));
        let _ = writeln!(text, "  more[{}]", quoted(&more));
    }
    let beyond = drawn.edges.len().saturating_sub(MOST_EDGES);
    if beyond > 0 {
        let _ = writeln!(
            text,
            "  edges[{}]",
            quoted(&format!("{} not drawn", count(beyond, "more line")))
        );
    }
    for class in used {
        let _ = writeln!(text, "  classDef {class} {}", colours(class));
    }
    text
}

/// In quotes. Whatever is not a letter, a digit or a space is an entity: what means something to
/// Mermaid, to Markdown in it and to HTML differs from version to version.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            c if c.is_ascii() && !c.is_ascii_alphanumeric() && c != ' ' => {
                let _ = write!(quoted, "#{};", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn colours(class: &str) -> &'static str {
    match class {
        "wait" => "fill:#fbf3d9,stroke:#725800,color:#1b2430",
        "move" => "fill:#e6f0fb,stroke:#1d5591,color:#1b2430",
        "warn" => "fill:#fdeee2,stroke:#94400a,color:#1b2430",
        "bad" => "fill:#fdeae8,stroke:#a32019,color:#1b2430",
        _ => "fill:#e7f5ed,stroke:#17683f,color:#1b2430",
    }
}
