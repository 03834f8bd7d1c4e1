//! The picture: on its own, and inside the report. It brings its colours for light and dark, and
//! no script, font or picture of elsewhere.

use std::collections::BTreeSet;
use std::fmt::Write;

use unicode_width::UnicodeWidthStr;

use super::Graph;
use super::layout::{BOX, BoxAt, COLUMN, LaneAt, PADDING, Picture, picture};
use crate::view::count;
use crate::view::markdown::visible;

/// Room above the lanes, for what the colours mean.
const TOP: usize = 34;
/// Below the lanes, when something has to be said there.
const FOOT: usize = 28;
/// How round corners are.
const RADIUS: usize = 5;

const STYLE: &str = include_str!("graph.css");

/// What the colours mean, in the order in which they are shown.
const LEGEND: [(&str, &str); 5] = [
    ("good", "live, create, start"),
    ("wait", "waits for a boot"),
    ("move", "moves"),
    ("warn", "reboot, stop"),
    ("bad", "replace, destroy, loss"),
];

/// A file of its own.
pub(crate) fn standalone(graph: &Graph) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", element(graph, true))
}

/// The element, for a page.
pub(crate) fn inline(graph: &Graph) -> String {
    element(graph, false)
}

fn element(graph: &Graph, alone: bool) -> String {
    let picture = picture(graph, TOP);
    let note = note(graph, &picture);
    let (legend, legend_width) = legend(&picture);
    let width = picture.width.max(legend_width).max(note.width() * COLUMN + 60).max(320);
    let height = picture.height + if note.is_empty() { 6 } else { FOOT };
    let title = format!("{} for cluster {}", count(graph.nodes.len(), "action"), graph.cluster);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"pvx-graph\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-labelledby=\"pvx-graph-title\">\n<title id=\"pvx-graph-title\">{}</title>\n\
         <style>{STYLE}</style>\n",
        xml(&title)
    );
    if alone {
        text.push_str("<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n");
    }
    text.push_str(&legend);
    for (index, at) in picture.lanes.iter().enumerate() {
        lane(&mut text, at, width, index % 2 == 0);
    }
    lines(&mut text, &picture.lines);
    for at in &picture.boxes {
        one(&mut text, at);
    }
    if !note.is_empty() {
        put(&mut text, (12, height - 10), "faint", &note);
    }
    text.push_str("</svg>\n");
    text
}

/// What is not in the picture.
fn note(graph: &Graph, picture: &Picture) -> String {
    match picture.left_out {
        _ if graph.is_empty() => "nothing to do".to_owned(),
        0 => String::new(),
        more => format!("{} not drawn; pvx graph --format json has all", count(more, "more guest")),
    }
}

fn legend(picture: &Picture) -> (String, usize) {
    let used: BTreeSet<&str> = picture.boxes.iter().map(|at| at.class).collect();
    let (mut text, mut x) = (String::new(), 12);
    for (class, words) in LEGEND.iter().filter(|(class, _)| used.contains(class)) {
        let _ = writeln!(
            text,
            "<rect class=\"box {class}\" x=\"{x}\" y=\"9\" width=\"12\" height=\"12\" rx=\"3\"/>"
        );
        put(&mut text, (x + 18, 19), "faint", words);
        x += 18 + measure(words) + 22;
    }
    (text, x)
}

fn lane(text: &mut String, at: &LaneAt, width: usize, striped: bool) {
    let (y, height) = (at.y, at.height);
    if striped {
        let _ = writeln!(
            text,
            "<rect class=\"lane\" x=\"0\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        );
    }
    let _ = writeln!(text, "<g><title>{}</title>", xml(&clipped_title(&at.title)));
    put(text, (12, y + 26), "name", &at.name);
    put(text, (12, y + 42), "faint", &at.below);
    text.push_str("</g>\n");
}

fn one(text: &mut String, at: &BoxAt) {
    let (x, y, width) = (at.x, at.y, at.width);
    let _ = writeln!(
        text,
        "<g><title>{}</title><rect class=\"box {}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" \
         height=\"{BOX}\" rx=\"5\"/>",
        xml(&clipped_title(&at.title)),
        at.class
    );
    let verb = if at.what.is_empty() { y + 23 } else { y + 16 };
    put(text, (x + PADDING, verb), "name", &at.verb);
    put(text, (x + PADDING, y + 31), "what", &at.what);
    text.push_str("</g>\n");
}

/// A text whose width is the one that was measured, whatever the reader's fonts are.
fn put(text: &mut String, (x, y): (usize, usize), class: &str, words: &str) {
    if words.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" textLength=\"{}\" \
         lengthAdjust=\"spacingAndGlyphs\">{}</text>",
        measure(words),
        xml(words)
    );
}

/// Pixels of a text.
fn measure(words: &str) -> usize {
    let columns = words.width();
    columns * COLUMN + columns / 5
}

fn lines(text: &mut String, lines: &[Vec<(usize, usize)>]) {
    let mut heads = BTreeSet::new();
    for line in lines {
        let _ = writeln!(text, "<path class=\"line\" d=\"{}\"/>", path(line));
        heads.extend(line.last());
    }
    for (x, y) in heads {
        let back = x.saturating_sub(7);
        let _ = writeln!(
            text,
            "<path class=\"head\" d=\"M{x} {y}L{back} {}L{back} {}Z\"/>",
            y.saturating_sub(4),
            y + 4
        );
    }
}

/// A line whose corners are round where there is room.
fn path(points: &[(usize, usize)]) -> String {
    let mut text = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| points.get(before));
        let _ = match (before, points.get(index + 1)) {
            (None, _) => write!(text, "M{x} {y}"),
            (Some(_), None) => write!(text, "L{x} {y}"),
            (Some(before), Some(after)) => {
                let room = distance(*before, (*x, *y)).min(distance((*x, *y), *after)) / 2;
                let (a, b) = (
                    towards((*x, *y), *before, RADIUS.min(room)),
                    towards((*x, *y), *after, RADIUS.min(room)),
                );
                write!(text, "L{} {}Q{x} {y} {} {}", a.0, a.1, b.0, b.1)
            }
        };
    }
    text
}

fn distance(a: (usize, usize), b: (usize, usize)) -> usize {
    a.0.abs_diff(b.0) + a.1.abs_diff(b.1)
}

fn towards(from: (usize, usize), to: (usize, usize), by: usize) -> (usize, usize) {
    let step = |from: usize, to: usize| match from.cmp(&to) {
        std::cmp::Ordering::Less => from + by,
        std::cmp::Ordering::Equal => from,
        std::cmp::Ordering::Greater => from.saturating_sub(by),
    };
    (step(from.0, to.0), step(from.1, to.1))
}

/// A tooltip that nobody has to scroll.
fn clipped_title(text: &str) -> String {
    super::layout::clipped(text, 400)
}

/// Text inside XML.
fn xml(text: &str) -> String {
    let mut escaped = String::new();
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // No characters of XML 1.0.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
