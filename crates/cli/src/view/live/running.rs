//! What runs where.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use pvx_core::execute::course::{Round, Stage, Step};

use super::heading;
use super::row::{Row, tail};
use crate::view::paint::{WARN, pad, widest};
use crate::view::units;

/// Columns of a guest's name, and of what is done, at most.
const NAME: usize = 26;
const WHAT: usize = 26;

/// Steps that run, below their nodes, in `room` rows at most. Who is in trouble comes first, then
/// who runs longest: a row keeps its place while it lasts.
pub(super) fn rows(round: &Round, now: Duration, room: usize) -> Vec<Row> {
    let mut nodes: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in round.steps.iter().filter(|step| step.is_running()) {
        nodes.entry(&step.node).or_default().push(step);
    }
    for steps in nodes.values_mut() {
        steps.sort_by_key(|step| (Reverse(is_troubled(step)), step.began, step.id));
    }
    let all: usize = nodes.values().map(Vec::len).sum();
    let shares = shares(&nodes, all, room);
    let shown: usize = shares.values().sum();
    let visible = nodes.iter().filter_map(|(node, steps)| Some((*node, steps, *shares.get(node)?)));
    let names: Vec<String> = visible
        .clone()
        .flat_map(|(_, steps, share)| steps.iter().take(share))
        .map(|step| tail(&step.address.to_string(), NAME))
        .collect();
    let name = widest(names.iter().map(String::as_str));
    let mut rows = Vec::new();
    for (node, steps, share) in visible {
        rows.push(heading(node).faint(&format!("  {} running", steps.len())));
        rows.extend(steps.iter().take(share).map(|step| row(step, now, name)));
    }
    if shown < all && !rows.is_empty() {
        rows.push(Row::default().faint(&format!("  … and {} more", all - shown)));
    }
    rows
}

/// How many steps of each node are shown. A node that has none to show is left out, heading and
/// all.
fn shares<'a>(
    nodes: &BTreeMap<&'a str, Vec<&Step>>,
    all: usize,
    room: usize,
) -> BTreeMap<&'a str, usize> {
    // The last row says how many more there are.
    let mut room = if all + nodes.len() <= room { room } else { room.saturating_sub(1) };
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    loop {
        let before = room;
        for (node, steps) in nodes {
            let share = shares.get(node).copied().unwrap_or(0);
            let cost = if share == 0 { 2 } else { 1 };
            if share < steps.len() && cost <= room {
                shares.insert(node, share + 1);
                room -= cost;
            }
        }
        if room == before {
            return shares;
        }
    }
}

fn is_troubled(step: &Step) -> bool {
    matches!(step.stage, Stage::Pausing { .. } | Stage::Looking { .. })
}

fn row(step: &Step, now: Duration, name: usize) -> Row {
    let row = Row::default()
        .text(&format!("  {}", pad(&tail(&step.address.to_string(), NAME), name)))
        .text(&format!("  {}  ", pad(&tail(&step.what, WHAT), WHAT)))
        .text(&units::clock(step.took(now)));
    match &step.stage {
        Stage::Pausing { why } => row.styled(WARN, &format!("  is tried again: {why}")),
        Stage::Looking { why } => row.styled(WARN, &format!("  is looked at: {why}")),
        _ if step.estimate > Duration::from_secs(1) => {
            row.faint(&format!(" of about {}", units::clock(step.estimate)))
        }
        _ => row,
    }
}
