//! Progress as lines: one event a line, the same words always.

use std::time::Duration;

use pvx_core::execute::course::{Course, Round, Step};
use pvx_core::execute::{Event, Stop};

use super::live::flat;
use super::{count, units};

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What ends, and what is out of the ordinary.
    Ends,
    /// Everything: `--plain`.
    All,
}

/// The lines of an event, after the course was told of it.
pub(crate) fn lines(round: &Round, now: Duration, event: &Event, detail: Detail) -> Vec<String> {
    if let Event::Bound { resource, limit, why } = event {
        let line = line("bound", &format!("{resource}: {limit} at once ({why})"));
        return Vec::from_iter((detail == Detail::All).then_some(line));
    }
    let Some(step) = event.action().and_then(|id| round.step(id)) else { return Vec::new() };
    let Some((word, more)) = words(round, step, now, event, detail) else { return Vec::new() };
    let number = if detail == Detail::All { format!("{}  ", step.id) } else { String::new() };
    let mut lines = vec![line(word, &format!("{number}{}  {more}", describe(step)))];
    if let (Event::Failed { error, .. }, Detail::All) = (event, detail) {
        lines.extend(error.log.iter().map(|text| line("log", &format!("{number}{text}"))));
    }
    lines
}

/// The word for an event, and what there is to say.
fn words(
    round: &Round,
    step: &Step,
    now: Duration,
    event: &Event,
    detail: Detail,
) -> Option<(&'static str, String)> {
    let took = units::seconds(step.took(now));
    Some(match event {
        Event::Looking { why, .. } => ("looks", format!("({why})")),
        Event::Found { what, .. } => ("found", what.clone()),
        Event::Waiting { why, .. } => ("waits", format!("({why})")),
        Event::Finished { warnings: 0, .. } => ("done", took),
        Event::Finished { warnings, .. } => {
            ("done", format!("{took} ({} in its log)", count(*warnings as usize, "warning")))
        }
        Event::Failed { error, .. } => ("FAILED", format!("{took} {}", error.message)),
        Event::Skipped { because, .. } => {
            let cause = round.step(*because).map_or_else(|| because.to_string(), describe);
            ("skipped", format!("({cause} failed)"))
        }
        _ if detail == Detail::Ends => return None,
        Event::Started { .. } => ("started", String::new()),
        Event::Task { upid, .. } => ("task", upid.clone()),
        Event::Held { by, .. } => ("held", format!("(by {by})")),
        Event::Again { .. } => ("again", String::new()),
        Event::Bound { .. } => return None,
    })
}

/// A plan is carried out.
pub(crate) fn begins(course: &Course, round: &Round) -> String {
    let estimate = course.left(round.began).unwrap_or_default();
    let text = format!(
        "plan {}: {}, {}, about {}",
        round.number,
        count(round.guests.len(), "guest"),
        count(round.steps.len(), "action"),
        units::clock(estimate)
    );
    line("begins", &text)
}

/// The user stops it.
pub(crate) fn stopping(course: &Course, stop: Stop) -> String {
    let running = course.current().map_or(0, |round| round.count().running);
    let text = match stop {
        Stop::Leave => "leaves what runs to itself".to_owned(),
        _ => format!("nothing new begins, {running} still run; Ctrl-C again leaves at once"),
    };
    line("stopping", &text)
}

fn describe(step: &Step) -> String {
    format!("{}  {} on {}", step.address, step.what, step.node)
}

/// A message may have several lines, and anything in them.
fn line(word: &str, text: &str) -> String {
    format!("{word:8} {}", flat(text).trim_end())
}

#[cfg(test)]
mod tests {
    use pvx_core::execute::{Estimates, Limits, Resource};
    use pvx_core::plan::{ActionId, ActionKind, Effect, Verb};
    use pvx_core::provider::{ErrorClass, ProviderError};

    use super::*;
    use crate::view::review::samples::{add, change, empty};

    fn said(detail: Detail) -> String {
        let mut plan = empty();
        let kinds =
            vec![(ActionKind::Start, Effect::Start), (ActionKind::Destroy, Effect::Destroy)];
        add(&mut plan, change("worker01", Verb::Power, Effect::Start), kinds, &[]);
        let mut course = Course::default();
        course.round(Duration::ZERO, &plan, &Limits::default(), &Estimates::default());
        let mut said = vec![begins(&course, &course.rounds[0])];
        let (action, why) = (ActionId(0), "can't lock\nfile".to_owned());
        let mut error = ProviderError::new(ErrorClass::Failed, "the start failed");
        error.log = vec!["TASK ERROR: no\u{1b}[2J".to_owned()];
        for (seconds, event) in [
            (0, Event::Held { action, by: Resource::Node("pve1".to_owned()) }),
            (1, Event::Started { action }),
            (2, Event::Waiting { action, why: why.clone() }),
            (2, Event::Bound { resource: Resource::Total, limit: 8, why: why.clone() }),
            (3, Event::Again { action }),
            (4, Event::Looking { action, why }),
            (5, Event::Found { action, what: "it was not sent".to_owned() }),
            (6, Event::Task { action, upid: "UPID:pve1:1".to_owned() }),
            (9, Event::Failed { action, error }),
            (9, Event::Skipped { action: ActionId(1), because: action }),
        ] {
            let now = Duration::from_secs(seconds);
            course.event(now, &event);
            said.extend(lines(&course.rounds[0], now, &event, detail));
        }
        said.push(stopping(&course, Stop::Drain));
        said.join("\n")
    }

    #[test]
    fn every_word_with_all_of_it() {
        insta::assert_snapshot!("all", said(Detail::All));
    }

    #[test]
    fn every_word_of_what_ends() {
        insta::assert_snapshot!("ends", said(Detail::Ends));
    }
}
