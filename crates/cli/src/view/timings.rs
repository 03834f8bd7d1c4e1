//! Where the time of a run went, in a handful of lines.

use std::time::Duration;

use pvx_core::execute::course::{GuestTally, Summary};
use pvx_core::plan::Verb;

use super::paint::facts;
use super::{count, units};

/// As many of the slowest actions are named, and of what held others back.
const NAMED: usize = 3;

/// For people.
pub(crate) fn render(summary: &Summary) -> String {
    let mut text = facts(&course(summary), 2);
    text += &facts(&waits(summary), 2);
    let slowest = summary.slowest.iter().take(NAMED).filter(|_| summary.actions.done > NAMED);
    let slowest: Vec<String> =
        slowest.map(|slow| format!("{} {}", slow.what, time(slow.seconds))).collect();
    if !slowest.is_empty() {
        text += &facts(&[&["slowest".to_owned()], slowest.as_slice()].concat(), 2);
    }
    if summary.nodes.len() > 1 {
        text += &facts(&nodes(summary), 2);
    }
    text
}

fn course(summary: &Summary) -> Vec<String> {
    let mut facts: Vec<String> = summary.guests.iter().map(tally).collect();
    let all = summary.actions.done + summary.actions.failed;
    facts.push(format!("{} in {}", count(all, "action"), time(summary.seconds)));
    if summary.estimated_seconds >= 1.0 {
        facts.push(format!("about {} was thought", time(summary.estimated_seconds)));
    }
    if summary.rounds > 1 {
        facts.push(count(summary.rounds as usize, "plan"));
    }
    facts
}

fn tally(tally: &GuestTally) -> String {
    let word = match tally.verb {
        Verb::Create => "created",
        Verb::Change => "changed",
        Verb::Migrate => "migrated",
        Verb::Power => "started or stopped",
        Verb::Replace => "replaced",
        Verb::Destroy => "destroyed",
    };
    match tally.done == tally.of {
        true => format!("{} {word}", tally.of),
        false => format!("{} of {} {word}", tally.done, tally.of),
    }
}

fn waits(summary: &Summary) -> Vec<String> {
    let mut facts = Vec::new();
    for held in summary.held.iter().take(NAMED).filter(|held| held.seconds >= 1.0) {
        let actions = count(held.actions, "action");
        facts.push(format!("{actions} held back {} by {}", time(held.seconds), held.by));
    }
    if summary.retries > 0 {
        let tries = count(summary.retries as usize, "attempt");
        facts.push(format!("{tries} repeated after {}", time(summary.retry_seconds)));
    }
    if summary.lost > 0 {
        let lost = count(summary.lost as usize, "lost answer");
        facts.push(format!("{lost}, {} settled by looking", summary.settled));
    }
    facts
}

fn nodes(summary: &Summary) -> Vec<String> {
    let node = |busy: &pvx_core::execute::course::Busy| {
        format!("{} {} in {}", busy.node, count(busy.actions, "action"), time(busy.seconds))
    };
    summary.nodes.iter().map(node).collect()
}

fn time(seconds: f64) -> String {
    units::seconds(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use pvx_core::address::Address;
    use pvx_core::execute::Resource;
    use pvx_core::execute::course::{Busy, Counted, Slow, WaitedFor};
    use pvx_core::plan::ActionId;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn a_handful_of_lines() {
        let slow = |vmid: u32, seconds| Slow {
            round: 1,
            action: ActionId(vmid),
            address: Address::new("k3s", "worker01"),
            node: "pve1".to_owned(),
            what: format!("clone 9000 → {vmid}"),
            seconds,
        };
        let node = |n, seconds| Busy { node: format!("pve{n}"), actions: 24, seconds };
        let summary = Summary {
            seconds: 102.3,
            estimated_seconds: 90.0,
            rounds: 2,
            guests: vec![
                GuestTally { verb: Verb::Create, done: 12, of: 12 },
                GuestTally { verb: Verb::Migrate, done: 2, of: 3 },
            ],
            actions: Counted { done: 51, failed: 1, ..Counted::default() },
            held: vec![WaitedFor {
                by: Resource::Storage("vmdata".to_owned()),
                actions: 8,
                seconds: 130.0,
            }],
            retries: 4,
            retry_seconds: 3.0,
            lost: 2,
            settled: 2,
            slowest: vec![slow(1001, 42.0), slow(1002, 40.5), slow(1003, 9.25), slow(1004, 1.0)],
            nodes: (1..6).map(|n| node(n, f64::from(n) * 20.0)).collect(),
        };
        let text = render(&summary);
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        insta::assert_snapshot!("timings", text);
    }
}
