//! Saved plans for people: when and for what one was made, and what two plans differ in.

use pvx_core::diagnostic::Sources;
use pvx_core::plan::saved::{Saved, check};
use pvx_core::plan::{Action, Plan};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::paint::{self, FAINT, WARN, paint};
use super::{log_tail, plan, problem};

/// Lines of a difference that are shown.
const MOST: usize = 24;

/// `saved 2026-11-28T18:00:00Z, expires …, for cluster lab`
pub(crate) fn line(saved: &Saved, now: jiff::Timestamp) -> String {
    let expires = format!("expires {}", saved.expires);
    let expires = if now < saved.expires {
        expires
    } else {
        paint(WARN, &format!("expired {}", saved.expires))
    };
    let name = &saved.plan.cluster;
    format!("{} {}, {expires}, for cluster {name}\n", paint(FAINT, "saved"), saved.made)
}

/// Why one is not carried out: in a sentence, in lines, and what to do.
pub(crate) fn refusal(message: &str, details: &[String], help: &str) -> String {
    let mut text = problem(message, None).trim_end().to_owned();
    text.push('\n');
    text.push_str(&log_tail(details));
    text.push_str(&paint::help(help));
    text.push('\n');
    text
}

/// What differs between the plan that was saved and the one of now: the lines of the plan as it is
/// shown, or, where it is shown alike, of its data.
pub(crate) fn difference(before: &Plan, now: &Plan, sources: &Sources) -> Vec<String> {
    let (before, now) = (check::bare(before), check::bare(now));
    let shown = |p: &Plan| anstream::adapter::strip_str(&plan::render(p, sources)).to_string();
    let lines = diff(&shown(&before), &shown(&now), Lines::OfGuests);
    if !lines.is_empty() {
        return lines;
    }
    let lines = actions(&before, &now);
    if !lines.is_empty() {
        return lines;
    }
    diff(&data(&before), &data(&now), Lines::OfData)
}

/// Of plans with the same changes, the actions that differ, each with its name.
fn actions(before: &Plan, now: &Plan) -> Vec<String> {
    let pairs = before.actions.iter().zip(now.actions.iter());
    let one = |(saved, now): (&Action, &Action)| {
        let name = format!("{} of {} ({}):", saved.kind.verb(), saved.address, saved.vmid);
        [vec![name], diff(&data(saved), &data(now), Lines::OfData)].concat()
    };
    pairs.filter(|(saved, now)| saved != now).flat_map(one).take(MOST).collect()
}

fn data<T: Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// What is compared line by line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// A guest, and what is said of it on the lines below.
    OfGuests,
    /// JSON.
    OfData,
}

fn diff(before: &str, now: &str, kind: Lines) -> Vec<String> {
    let diff = TextDiff::from_lines(before, now);
    let mut lines: Vec<String> = Vec::new();
    // The line of the guest, which may itself be the same.
    let mut guest = None;
    for change in diff.iter_all_changes() {
        let text = change.value().trim_end();
        let is_below = kind == Lines::OfData || text.starts_with(' ');
        let sign = match change.tag() {
            ChangeTag::Equal if is_below || text.is_empty() => continue,
            ChangeTag::Equal => {
                guest = Some(text);
                continue;
            }
            ChangeTag::Delete => "saved",
            ChangeTag::Insert => "now  ",
        };
        if text.is_empty() {
            continue;
        }
        let of = guest.take().filter(|_| is_below);
        lines.extend(of.map(|guest| format!("      {guest}")));
        lines.push(format!("{sign} {text}"));
    }
    let more = lines.len().saturating_sub(MOST);
    if more > 0 {
        lines.truncate(MOST);
        lines.push(format!("and {more} lines more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_differs_is_told_of_its_guest() {
        let before = "~ a/w1\n    cores 1\n    tags b\n~ a/w2\n    cores 1\n~ a/w3\n    cores 1\n";
        let now = "~ a/w1\n    cores 1\n~ a/w2\n    cores 1\n~ a/w3\n    cores 2\n+ a/w4\n";
        insta::assert_snapshot!(super::diff(before, now, super::Lines::OfGuests).join("\n"), @r"
              ~ a/w1
        saved     tags b
              ~ a/w3
        saved     cores 1
        now       cores 2
        now   + a/w4
        ");
    }
}
