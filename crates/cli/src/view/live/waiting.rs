//! What waits for what, and why: one row a cause, the one that holds most back first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pvx_core::execute::Resource;
use pvx_core::execute::course::{Course, Round, Stage, Step};

use super::row::Row;

/// Why a step does not run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// Something is full.
    Full(Resource),
    /// A step of another guest comes first.
    Guest(String),
    /// Steps of the same guest come first.
    Own,
}

pub(super) fn rows(course: &Course, round: &Round) -> Vec<Row> {
    let mut causes: BTreeMap<Cause, Vec<&Step>> = BTreeMap::new();
    for step in round.steps.iter().filter(|step| step.stage == Stage::Waiting) {
        if let Some(cause) = cause(round, step) {
            causes.entry(cause).or_default().push(step);
        }
    }
    // Their own steps say nothing that the rows of those do not.
    causes.remove(&Cause::Own);
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, steps)| Reverse(steps.len()));
    causes.iter().map(|(cause, steps)| row(course, cause, steps)).collect()
}

fn cause(round: &Round, step: &Step) -> Option<Cause> {
    if round.is_ready(step) {
        // The one that came last holds it now.
        let last = step.held.iter().max_by_key(|(_, since)| **since);
        return last.map(|(by, _)| Cause::Full(by.clone()));
    }
    let open = step.needs.iter().filter_map(|id| round.step(*id));
    let mut open = open.filter(|need| need.stage != Stage::Done);
    let other = open.find(|need| need.vmid != step.vmid);
    Some(other.map_or(Cause::Own, |need| Cause::Guest(format!("{} {}", need.address, need.verb))))
}

fn row(course: &Course, cause: &Cause, steps: &[&Step]) -> Row {
    let who = match steps {
        [one] => format!("{} {}", one.address, one.verb),
        many => format!("{} steps", many.len()),
    };
    let held = if steps.len() == 1 { "is held back" } else { "are held back" };
    let text = match cause {
        Cause::Full(by) => match course.bounds.get(by) {
            Some(limit) => format!("{who} {held} by {by}: {limit} at once"),
            None => format!("{who} {held} by {by}"),
        },
        Cause::Guest(need) if steps.len() == 1 => format!("{who} waits for {need}"),
        Cause::Guest(need) => format!("{who} wait for {need}"),
        // Rows of those say as much.
        Cause::Own => who,
    };
    Row::default().faint(&text)
}
