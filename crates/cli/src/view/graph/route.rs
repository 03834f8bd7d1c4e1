//! Lines between boxes: right angles, beside the boxes and never through them. A line leaves its
//! box to the right, goes up or down in the gutter behind the column, and enters from the left; one
//! that passes columns runs between two rows. Boxes that unlock the same ones share a track.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Node;
use super::layout::{BOX, Cell, GAP};

/// Between two columns, without tracks.
const GUTTER: usize = 34;
/// Between two tracks.
const TRACK: usize = 6;
/// Tracks that lie beside each other; more share them.
const TRACKS: usize = 8;
/// Before a box, for the last turn of a line that passed columns.
const APPROACH: usize = 12;

/// The edges that no path of others says: those are what a reader has to follow.
pub(super) fn reduced(nodes: &[Node], edges: &BTreeSet<(usize, usize)>) -> Vec<(usize, usize)> {
    let rank = |node: &usize| nodes.get(*node).map_or(0, |node| node.rank);
    let mut after: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (from, to) in edges {
        after.entry(*from).or_default().push(*to);
    }
    let all: BTreeSet<usize> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let bit: HashMap<usize, usize> =
        all.iter().enumerate().map(|(bit, node)| (*node, bit)).collect();
    let mut order: Vec<usize> = all.into_iter().collect();
    order.sort_by_key(|node| std::cmp::Reverse(rank(node)));
    let mut reach: HashMap<usize, Bits> = HashMap::new();
    let mut kept = Vec::new();
    for from in order {
        let mut seen = Bits::new(bit.len());
        let mut next = after.remove(&from).unwrap_or_default();
        next.sort_by_key(|node| (rank(node), *node));
        for to in next {
            let place = bit.get(&to).copied().unwrap_or_default();
            if seen.has(place) {
                continue;
            }
            kept.push((from, to));
            seen.set(place);
            if let Some(further) = reach.get(&to) {
                seen.join(further);
            }
        }
        reach.insert(from, seen);
    }
    kept.sort_unstable();
    kept
}

/// A set of small numbers.
struct Bits(Vec<u64>);

impl Bits {
    fn new(len: usize) -> Self {
        Self(vec![0; len.div_ceil(64)])
    }

    fn has(&self, bit: usize) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word & (1 << (bit % 64)) != 0)
    }

    fn set(&mut self, bit: usize) {
        if let Some(word) = self.0.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
    }

    fn join(&mut self, other: &Self) {
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }
}

/// The space behind each column, and on which track lines turn there.
#[derive(Debug, Default)]
pub(super) struct Gutters {
    /// Number of tracks behind the column of a rank.
    tracks: BTreeMap<usize, usize>,
    /// The track of what leaves a box.
    track: HashMap<usize, usize>,
}

impl Gutters {
    pub(super) fn of(cells: &BTreeMap<usize, Cell>, edges: &[(usize, usize)]) -> Self {
        let mut targets: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (from, to) in edges {
            if !is_straight(cells, *from, *to) {
                targets.entry(*from).or_default().insert(*to);
            }
        }
        let mut gutters = Self::default();
        let mut shared: BTreeMap<(usize, BTreeSet<usize>), usize> = BTreeMap::new();
        for (from, to) in targets {
            let Some(cell) = cells.get(&from) else { continue };
            let tracks = gutters.tracks.entry(cell.rank).or_default();
            let track = *shared.entry((cell.rank, to)).or_insert_with(|| {
                *tracks += 1;
                (*tracks - 1) % TRACKS
            });
            gutters.track.insert(from, track);
        }
        gutters
    }

    /// Width of the space behind the column of a rank.
    pub(super) fn width(&self, rank: usize) -> usize {
        let tracks = self.tracks.get(&rank).copied().unwrap_or(0).min(TRACKS);
        GUTTER + tracks * TRACK
    }

    /// The corners of every line.
    pub(super) fn lines(
        &self,
        cells: &BTreeMap<usize, Cell>,
        edges: &[(usize, usize)],
        columns: &[(usize, usize)],
        y: &dyn Fn(usize) -> usize,
        width: impl Fn(usize) -> usize,
    ) -> Vec<Vec<(usize, usize)>> {
        let line = |(from, to): &(usize, usize)| {
            let (a, b) = (cells.get(from)?, cells.get(to)?);
            let ((ax, a_width), (bx, _)) = (*columns.get(a.rank)?, *columns.get(b.rank)?);
            let start = (ax + width(*from), y(a.row) + BOX / 2);
            let end = (bx, y(b.row) + BOX / 2);
            if is_straight(cells, *from, *to) {
                return Some(vec![start, end]);
            }
            let track = ax + a_width + APPROACH + self.track.get(from).unwrap_or(&0) * TRACK;
            if b.rank == a.rank + 1 {
                return Some(vec![start, (track, start.1), (track, end.1), end]);
            }
            let (between, turn) = (y(b.row) - GAP / 2 + 2, bx - APPROACH);
            let corners = [(track, start.1), (track, between), (turn, between), (turn, end.1)];
            Some([vec![start], corners.to_vec(), vec![end]].concat())
        };
        edges.iter().filter_map(line).collect()
    }
}

/// Side by side in one row, with nothing between.
fn is_straight(cells: &BTreeMap<usize, Cell>, from: usize, to: usize) -> bool {
    let (Some(a), Some(b)) = (cells.get(&from), cells.get(&to)) else { return false };
    let between = |cell: &&Cell| cell.row == a.row && cell.rank > a.rank && cell.rank < b.rank;
    a.row == b.row && (b.rank == a.rank + 1 || !cells.values().any(|cell| between(&cell)))
}
