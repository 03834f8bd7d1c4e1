//! The graph in every form, of a few guests and of many.

use super::super::review::samples;
use super::*;

/// A change of a thousand guests is a picture that a person can read.
#[test]
fn many_alike_are_one_lane() {
    let graph = Graph::of(&samples::many(300));
    let text = svg::standalone(&graph);
    assert!(text.contains("+ 100 like it") && text.contains("+ 199 like it"));
    assert!(text.len() < 60_000, "{}", text.len());
}
