//! The last lines of the frame: how far it is.

use std::time::Duration;

use pvx_core::execute::Stop;
use pvx_core::execute::course::{Course, Round};

use super::Size;
use super::row::Row;
use crate::view::paint::{BAD, FAINT, GOOD, WARN};
use crate::view::units;

/// The bar's columns at most, and at least: a shorter one says nothing.
const BAR: (usize, usize) = (24, 6);

pub(super) fn rows(course: &Course, round: &Round, now: Duration, size: Size) -> Vec<Row> {
    let mut rows = Vec::new();
    let running = round.count().running;
    match course.stop {
        Some(Stop::Drain) => rows.push(Row::default().styled(
            WARN,
            &format!("stopping: waits for {running} that run; Ctrl-C again leaves at once"),
        )),
        Some(Stop::Leave) => rows.push(Row::default().styled(WARN, "leaving")),
        _ => {}
    }
    rows.push(status(course, round, now, size.width));
    rows
}

/// With all of it when there is room, and else without what can be missed.
fn status(course: &Course, round: &Round, now: Duration, width: usize) -> Row {
    let whole = facts(course, round, now, true);
    let facts = if whole.width() <= width { whole } else { facts(course, round, now, false) };
    with_bar(facts, round.count().done, round.steps.len(), width)
}

fn facts(course: &Course, round: &Round, now: Duration, whole: bool) -> Row {
    let counted = round.count();
    let (done, all) = (counted.done, round.steps.len());
    let mut facts = Row::default().text(&format!("{done} of {all} done"));
    for (number, word, style) in [
        (counted.running, "running", None),
        (counted.waiting, "waiting", None),
        (counted.failed, "failed", Some(BAD)),
        (counted.skipped, "skipped", Some(WARN)),
    ] {
        if number > 0 && (whole || word != "skipped") {
            let text = format!("{number} {word}");
            facts = facts.faint(" · ");
            facts = match style {
                Some(style) => facts.styled(style, &text),
                None => facts.text(&text),
            };
        }
    }
    if round.number > 1 {
        facts = facts.faint(&format!(" · plan {}", round.number));
    }
    facts = facts.faint(&format!(" · {}", units::clock(now)));
    let left = course.left(now).filter(|left| !left.is_zero());
    if let Some(left) = left {
        let about = if whole { "about " } else { "" };
        facts = facts.faint(&format!(", {about}{} left", units::clock(left)));
    }
    facts
}

/// The bar takes what the facts leave.
fn with_bar(facts: Row, done: usize, all: usize, width: usize) -> Row {
    let columns = width.saturating_sub(facts.width() + 1).min(BAR.0);
    if columns < BAR.1 || all == 0 {
        return facts;
    }
    let full = columns * done.min(all) / all;
    Row::default()
        .styled(GOOD, &"━".repeat(full))
        .styled(FAINT, &"─".repeat(columns - full))
        .text(" ")
        .then(facts)
}
