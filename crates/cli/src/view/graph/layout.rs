//! Where lanes, boxes and lines are: one lane a guest, from left to right by rank. Units are pixels
//! of a picture that nobody has scaled.

use std::collections::{BTreeMap, BTreeSet};

use unicode_width::UnicodeWidthStr;

use super::fold::{Lane, fold};
use super::route::{self, Gutters};
use super::{Edge, Graph, Node};

/// Width of a column of a monospaced font at 12 px.
pub(super) const COLUMN: usize = 7;
/// Height of a box.
pub(super) const BOX: usize = 38;
/// Between two rows: lines that pass boxes run here.
pub(super) const GAP: usize = 18;
/// Columns of a text in a box.
const WIDEST: usize = 26;
/// Columns of a name at the left.
const WIDEST_NAME: usize = 34;
/// Left and right of the text in a box.
pub(super) const PADDING: usize = 10;
/// Lanes that are drawn at most: a picture that is taller is read by nobody.
const MOST_LANES: usize = 120;

/// Everything that is drawn.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) lanes: Vec<LaneAt>,
    pub(super) boxes: Vec<BoxAt>,
    pub(super) lines: Vec<Vec<(usize, usize)>>,
    /// Guests that are not drawn.
    pub(super) left_out: usize,
}

/// The name of a guest and the stripe behind its boxes.
#[derive(Debug)]
pub(super) struct LaneAt {
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) name: String,
    /// `1011`, `+ 27 like it`.
    pub(super) below: String,
    /// All guests of the lane.
    pub(super) title: String,
}

/// One action.
#[derive(Debug)]
pub(super) struct BoxAt {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) verb: String,
    pub(super) what: String,
    pub(super) class: &'static str,
    pub(super) title: String,
}

/// A node at its place in the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) node: usize,
    pub(super) rank: usize,
    /// Row of the whole picture.
    pub(super) row: usize,
}

/// What is drawn of a graph, before it has places: lanes, and edges between their nodes.
pub(super) struct Drawn {
    pub(super) lanes: Vec<Lane>,
    pub(super) edges: Vec<(usize, usize)>,
    pub(super) left_out: usize,
}

/// Folds what is alike, cuts off what is too much, and leaves out edges that others say.
pub(super) fn drawn(graph: &Graph, most: usize) -> Drawn {
    let (mut lanes, stands) = fold(&graph.nodes, &graph.edges);
    let beyond = lanes.split_off(most.min(lanes.len()));
    let left_out = beyond.iter().map(|lane| 1 + lane.like.len()).sum();
    let kept: BTreeSet<usize> = lanes.iter().flat_map(|lane| lane.nodes.iter().copied()).collect();
    let place = |id: u32| stands.get(id as usize).copied().filter(|node| kept.contains(node));
    let edge = |edge: &Edge| place(edge.from).zip(place(edge.to)).filter(|(from, to)| from != to);
    let edges: BTreeSet<(usize, usize)> = graph.edges.iter().filter_map(edge).collect();
    let edges = route::reduced(&graph.nodes, &edges);
    Drawn { lanes, edges, left_out }
}

/// The whole picture.
pub(super) fn picture(graph: &Graph, top: usize) -> Picture {
    let drawn = drawn(graph, MOST_LANES);
    let (cells, rows) = cells(&graph.nodes, &drawn.lanes);
    let gutters = Gutters::of(&cells, &drawn.edges);
    let names = drawn.lanes.iter().map(|lane| name_width(&graph.nodes, lane)).max().unwrap_or(0);
    let columns = columns(&graph.nodes, &cells, &gutters, names * COLUMN + 36);
    let y = |row: usize| top + row * (BOX + GAP) + GAP / 2;
    let mut lanes = Vec::new();
    let mut row = 0;
    for (lane, rows) in drawn.lanes.iter().zip(&rows) {
        lanes.push(lane_at(&graph.nodes, lane, y(row) - GAP / 2, rows * (BOX + GAP)));
        row += rows;
    }
    let boxes: Vec<BoxAt> = cells
        .values()
        .filter_map(|cell| {
            let (x, _) = columns.get(cell.rank)?;
            let node = graph.nodes.get(cell.node)?;
            Some(box_at(node, *x, y(cell.row)))
        })
        .collect();
    let lines = gutters.lines(&cells, &drawn.edges, &columns, &y, |node| {
        graph.nodes.get(node).map_or(0, box_width)
    });
    let right = columns.last().map_or(0, |(x, width)| x + width);
    Picture {
        width: right + 24,
        height: y(row) + GAP / 2,
        lanes,
        boxes,
        lines,
        left_out: drawn.left_out,
    }
}

/// Every node in its lane's first row that is free at its rank, and how many rows each lane has.
fn cells(nodes: &[Node], lanes: &[Lane]) -> (BTreeMap<usize, Cell>, Vec<usize>) {
    let (mut cells, mut heights) = (BTreeMap::new(), Vec::new());
    let mut first = 0;
    for lane in lanes {
        let mut taken: BTreeMap<usize, usize> = BTreeMap::new();
        for index in &lane.nodes {
            let Some(node) = nodes.get(*index) else { continue };
            let row = taken.entry(node.rank).or_insert(0);
            cells.insert(*index, Cell { node: *index, rank: node.rank, row: first + *row });
            *row += 1;
        }
        let rows = taken.values().max().copied().unwrap_or(1);
        heights.push(rows);
        first += rows;
    }
    (cells, heights)
}

/// Left edge and width of the column of each rank.
fn columns(
    nodes: &[Node],
    cells: &BTreeMap<usize, Cell>,
    gutters: &Gutters,
    left: usize,
) -> Vec<(usize, usize)> {
    let ranks = cells.values().map(|cell| cell.rank + 1).max().unwrap_or(0);
    let mut widths = vec![0; ranks];
    for cell in cells.values() {
        if let (Some(width), Some(node)) = (widths.get_mut(cell.rank), nodes.get(cell.node)) {
            *width = (*width).max(box_width(node));
        }
    }
    let mut x = left;
    let mut place = |(rank, width): (usize, usize)| {
        let here = x;
        x += width + gutters.width(rank);
        (here, width)
    };
    widths.into_iter().enumerate().map(&mut place).collect()
}

fn box_width(node: &Node) -> usize {
    let columns = node.verb.width().max(clipped(&node.what, WIDEST).width()).max(6);
    columns * COLUMN + columns / 4 + 2 * PADDING
}

fn name_width(nodes: &[Node], lane: &Lane) -> usize {
    let (name, below) = names(nodes, lane);
    name.width().max(below.width())
}

fn names(nodes: &[Node], lane: &Lane) -> (String, String) {
    let Some(node) = lane.nodes.first().and_then(|index| nodes.get(*index)) else {
        return (String::new(), String::new());
    };
    let below = match lane.like.len() {
        0 => format!("{} on {}", node.vmid, node.node),
        more => format!("+ {more} like it"),
    };
    (clipped(&node.address, WIDEST_NAME), clipped(&below, WIDEST_NAME))
}

fn lane_at(nodes: &[Node], lane: &Lane, y: usize, height: usize) -> LaneAt {
    let (name, below) = names(nodes, lane);
    let own = lane.nodes.first().and_then(|index| nodes.get(*index)).map(|node| &node.address);
    let all: Vec<&str> = own.into_iter().chain(&lane.like).map(String::as_str).collect();
    LaneAt { y, height, name, below, title: all.join(", ") }
}

fn box_at(node: &Node, x: usize, y: usize) -> BoxAt {
    BoxAt {
        x,
        y,
        width: box_width(node),
        verb: node.verb.to_owned(),
        what: clipped(&node.what, WIDEST),
        class: node.class,
        title: format!(
            "#{} {} {} {} ({}): {} · {}",
            node.id, node.verb, node.what, node.address, node.vmid, node.effect, node.reason
        ),
    }
}

/// A text of at most so many columns.
pub(super) fn clipped(text: &str, most: usize) -> String {
    let text = super::super::markdown::visible(text);
    if text.width() <= most {
        return text;
    }
    let mut kept = String::new();
    for c in text.chars() {
        kept.push(c);
        if kept.width() >= most {
            kept.pop();
            break;
        }
    }
    kept + "…"
}
