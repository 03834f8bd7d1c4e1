//! Lines that stay above the frame: a guest that is done, a failure with the end of its log, an answer
//! that was lost and found.

use std::time::Duration;

use pvx_core::execute::Event;
use pvx_core::execute::course::{Round, Step};

use crate::view::live::flat;
use crate::view::paint::{BAD, GOOD, WARN, paint};
use crate::view::{count, log_tail, units};

/// As much of a log is shown at once; the account at the end has all that is known.
const LOG: usize = 8;

/// What stays of an event, after the course was told of it.
pub(crate) fn lasting(round: &Round, now: Duration, event: &Event) -> String {
    let Some(step) = event.action().and_then(|id| round.step(id)) else { return String::new() };
    let name = format!("{}  {} on {}", step.address, step.what, step.node);
    match event {
        Event::Finished { warnings, .. } => {
            let mut text = guest_done(round, step, now);
            if *warnings > 0 {
                let words = count(*warnings as usize, "warning");
                text.push_str(&line(
                    &paint(WARN, "warned "),
                    &format!("{name}  {words} in its log"),
                ));
            }
            text
        }
        Event::Failed { error, .. } => {
            let took = units::seconds(step.took(now));
            let log = error.log.get(error.log.len().saturating_sub(LOG)..).unwrap_or_default();
            let log: Vec<String> = log.iter().map(|line| flat(line)).collect();
            let head = line(&paint(BAD, "FAILED "), &format!("{name}  {took}  {}", error.message));
            head + &log_tail(&log)
        }
        Event::Found { what, .. } => line(&paint(WARN, "found  "), &format!("{name}  {what}")),
        _ => String::new(),
    }
}

/// A guest is done with its last action.
fn guest_done(round: &Round, step: &Step, now: Duration) -> String {
    let Some(guest) = round.guest_of(step.id).filter(|guest| round.is_done(guest)) else {
        return String::new();
    };
    let steps = guest.actions.iter().filter_map(|id| round.step(*id));
    let began = steps.filter_map(|step| step.began).min().unwrap_or(now);
    let took = units::seconds(now.saturating_sub(began));
    let actions = count(guest.actions.len(), "action");
    let text = format!("{}  {} on {}  {actions}, {took}", guest.address, guest.vmid, guest.node);
    line(&paint(GOOD, "done   "), &text)
}

fn line(word: &str, text: &str) -> String {
    format!("{word} {}\n", flat(text))
}
