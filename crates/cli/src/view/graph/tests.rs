//! The graph in every form, of a few guests and of many.

use std::collections::BTreeMap;

use unicode_width::UnicodeWidthStr;

use super::super::markdown::visible;
use super::super::review::samples;
use super::*;

#[test]
fn every_kind_of_change() {
    let graph = Graph::of(&samples::every_kind());
    insta::assert_snapshot!("svg", svg::standalone(&graph));
    insta::assert_snapshot!("dot", dot::render(&graph));
    insta::assert_snapshot!("mermaid", mermaid::render(&graph));
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&graph).unwrap());
}

#[test]
fn nothing_to_do() {
    let graph = Graph::of(&samples::empty());
    assert!(svg::standalone(&graph).contains("nothing to do"));
    assert!(dot::render(&graph).starts_with("digraph pvx {") && graph.is_empty());
    assert_eq!(mermaid::render(&graph), "flowchart LR\n");
}

/// A change of a thousand guests is a picture that a person can read.
#[test]
fn many_alike_are_one_lane() {
    let graph = Graph::of(&samples::many(300));
    let text = svg::standalone(&graph);
    assert!(text.contains("+ 100 like it") && text.contains("+ 199 like it"));
    assert!(text.len() < 60_000, "{}", text.len());
    assert!(mermaid::render(&graph).len() < 50_000);
}

#[test]
fn guests_that_wait_for_others_are_not_like_those_that_do_not() {
    let mut plan = samples::empty();
    let first = samples::made(&mut plan, "first", 1, &[]);
    for number in 0..20 {
        let waits = if number % 2 == 0 { &first[..1] } else { &[] };
        samples::made(&mut plan, &format!("w{number}"), 10 + number, waits);
    }
    let (lanes, stands) = fold::fold(&Graph::of(&plan).nodes, &Graph::of(&plan).edges);
    let sizes: Vec<usize> = lanes.iter().map(|lane| lane.like.len()).collect();
    assert_eq!(sizes, [0, 9, 9]);
    assert_eq!(stands.len(), plan.actions.len());
}

#[test]
fn guests_that_are_all_unlike_are_cut_off_and_counted() {
    let mut plan = samples::empty();
    for number in 0..150 {
        let mut change = samples::change(
            &format!("w{number}"),
            pvx_core::plan::Verb::Change,
            pvx_core::plan::Effect::Live,
        );
        change.vmid = number;
        let disk = format!("scsi{number}");
        let kind = pvx_core::plan::ActionKind::Detach { disk };
        samples::add(&mut plan, change, vec![(kind, pvx_core::plan::Effect::Live)], &[]);
    }
    let graph = Graph::of(&plan);
    assert!(svg::standalone(&graph).contains("30 more guests not drawn"));
    assert!(mermaid::render(&graph).contains("110 more guests not drawn"));
    assert_eq!(dot::render(&graph).matches("subgraph").count(), 150);
}

#[test]
fn only_edges_that_no_path_says_are_drawn() {
    let graph = Graph::of(&samples::every_kind());
    let mut edges: std::collections::BTreeSet<(usize, usize)> =
        graph.edges.iter().map(|edge| (edge.from as usize, edge.to as usize)).collect();
    let drawn = route::reduced(&graph.nodes, &edges);
    assert_eq!(drawn.len(), edges.len());
    edges.extend([(0, 2), (0, 3), (1, 3)]);
    assert_eq!(route::reduced(&graph.nodes, &edges), drawn);
}

/// No text is wider than its box, and boxes of a lane do not touch.
#[test]
fn texts_fit_into_their_boxes() {
    for plan in [samples::thirty(), samples::hostile(&"漢字→".repeat(40))] {
        let picture = layout::picture(&Graph::of(&plan), 0);
        let mut rows: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for at in &picture.boxes {
            let columns = at.verb.width().max(at.what.width());
            assert!(columns * 29 / 4 + 2 * layout::PADDING <= at.width + 2, "{at:?}");
            assert!(at.x + at.width < picture.width && at.y + layout::BOX < picture.height);
            rows.entry(at.y).or_default().push((at.x, at.x + at.width));
        }
        for row in rows.values_mut() {
            row.sort_unstable();
            assert!(row.windows(2).all(|pair| pair[0].1 + 20 < pair[1].0), "{row:?}");
        }
        for line in &picture.lines {
            // Only at right angles, and never through a box.
            for pair in line.windows(2) {
                assert!(pair[0].0 == pair[1].0 || pair[0].1 == pair[1].1, "{line:?}");
                let through = |at: &layout::BoxAt| {
                    let (left, right) = (pair[0].0.min(pair[1].0), pair[0].0.max(pair[1].0));
                    let (top, bottom) = (pair[0].1.min(pair[1].1), pair[0].1.max(pair[1].1));
                    left < at.x + at.width
                        && right > at.x
                        && top < at.y + layout::BOX
                        && bottom > at.y
                };
                assert!(!picture.boxes.iter().any(through), "{line:?}");
            }
        }
    }
}

const HOSTILE: [&str; 8] = [
    "a\"]; x -> y; //",
    "\\\" \\N \\",
    "<b>&lt;</b> & &amp;",
    "`**b**` #quot; #35;",
    "end\nsubgraph",
    "%%{init: {}}%%",
    "[(a)] {b} |c|",
    "</title></svg><script>",
];

#[test]
fn texts_stay_texts_in_svg() {
    let tags = |text: &str| -> Vec<String> {
        text.split('<')
            .skip(1)
            .map(|t| t.chars().take_while(|c| c.is_alphanumeric() || *c == '/').collect())
            .collect()
    };
    let usual = tags(&svg::standalone(&Graph::of(&samples::hostile("usual"))));
    for text in HOSTILE {
        assert_eq!(tags(&svg::standalone(&Graph::of(&samples::hostile(text)))), usual, "{text}");
    }
}

/// Texts in quotes as DOT reads them, and what is left of each line without them.
fn dot_texts(line: &str) -> (String, Vec<String>) {
    let (mut rest, mut texts, mut chars) = (String::new(), Vec::new(), line.chars());
    while let Some(c) = chars.next() {
        if c != '"' {
            rest.push(c);
            continue;
        }
        let mut text = String::new();
        while let Some(c) = chars.next() {
            match c {
                '"' => break,
                '\\' => match chars.next() {
                    Some('n') => text.push('\n'),
                    Some(other) => text.push(other),
                    None => panic!("a text without an end: {line}"),
                },
                c => text.push(c),
            }
        }
        rest.push('S');
        texts.push(text.replace("&amp;", "&"));
    }
    (rest, texts)
}

#[test]
fn texts_come_back_from_dot() {
    for text in HOSTILE {
        let plan = samples::hostile(text);
        let graph = Graph::of(&plan);
        let dot = dot::render(&graph);
        let mut labels = Vec::new();
        for line in dot.lines() {
            let (rest, texts) = dot_texts(line.trim());
            let edge = rest.split(" -> ").all(|part| {
                part.trim_end_matches(';').trim_start_matches('a').parse::<u32>().is_ok()
            });
            let known = ["digraph pvx {", "rankdir=LR;", "label=S;", "}"].contains(&rest.as_str())
                || rest.starts_with("node [shape=box, style=S")
                || rest.starts_with("subgraph cluster_")
                || rest.ends_with(" [label=S, tooltip=S, color=S, fillcolor=S];")
                || edge;
            assert!(known, "{rest}");
            labels.extend(texts);
        }
        assert!(labels.contains(&format!("{0}/{0}", visible(text))), "{labels:?}");
    }
}

/// Texts in quotes as Mermaid reads them.
fn mermaid_texts(line: &str) -> (String, Vec<String>) {
    let parts: Vec<&str> = line.split('"').collect();
    let rest = parts.iter().step_by(2).copied().collect::<Vec<_>>().join("S");
    let decode = |text: &&str| {
        let mut decoded = String::new();
        let mut rest = *text;
        while let Some((before, after)) = rest.split_once('#') {
            let (code, after) = after.split_once(';').unwrap();
            decoded.push_str(before);
            decoded.extend(char::from_u32(code.parse().unwrap()));
            rest = after;
        }
        decoded + rest
    };
    (rest, parts.iter().skip(1).step_by(2).map(decode).collect())
}

#[test]
fn texts_come_back_from_mermaid() {
    for text in HOSTILE {
        let mermaid = mermaid::render(&Graph::of(&samples::hostile(text)));
        let mut labels = Vec::new();
        for line in mermaid.lines().skip(1) {
            let (rest, texts) = mermaid_texts(line.trim());
            let words: Vec<&str> = rest.split(' ').collect();
            let known = match words.as_slice() {
                ["subgraph", id] => id.starts_with('g') && id.ends_with("[S]"),
                ["end"] => true,
                ["classDef", _, style] => style.starts_with("fill:#"),
                [node] => node.starts_with('a') && node.contains("[S]:::"),
                [a, "-->", b] => a.starts_with('a') && b.starts_with('a'),
                _ => false,
            };
            assert!(known, "{line}");
            labels.extend(texts);
        }
        let whole = layout::clipped(&format!("{text}/{text}"), 40);
        assert!(labels.contains(&whole), "{labels:?}");
    }
}
