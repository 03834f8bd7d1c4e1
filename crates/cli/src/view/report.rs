//! How an apply or a destroy ended.

use std::collections::BTreeSet;

use pvx_core::execute::course::Summary;
use pvx_core::execute::{Outcome, Report};
use pvx_core::plan::{ActionId, Change, Intent, Plan, Verb};
use pvx_core::provider::{ErrorClass, ProviderError};
use serde_json::{Value, json};

use super::paint::{BAD, GOOD, WARN, help, item, paint};
use super::{count, log_tail};
use crate::command::Undone;

/// As many guests are named that have nothing else in common with the reader's problem.
const NAMED: usize = 8;

/// Task of an action, as far as one is known.
pub(crate) type Tasks<'a> = &'a dyn Fn(ActionId) -> Option<String>;

/// Did everything that was tried fail before it had an effect? Then the cluster is as it was.
pub(crate) fn changed_nothing(report: &Report) -> bool {
    let without_effect = |error: &ProviderError| {
        let class = matches!(
            error.class,
            ErrorClass::Refused
                | ErrorClass::Busy
                | ErrorClass::Denied
                | ErrorClass::Unreachable
                | ErrorClass::Changed
                | ErrorClass::Exists
                | ErrorClass::Missing
        );
        class && error.upid.is_none()
    };
    report.done.is_empty()
        && report.abandoned.is_empty()
        && report.state_errors.is_empty()
        && report.failed.values().all(without_effect)
}

/// For people: failures with the last lines of their logs, then what is left, then one line.
pub(crate) fn render(
    plan: &Plan,
    report: &Report,
    undone: Option<&Undone>,
    tasks: Tasks<'_>,
) -> String {
    let mut text = String::new();
    for (id, error) in &report.failed {
        text.push_str(&item(BAD, "×", &format!("{}: {}", name(plan, *id), error.message)));
        if let Some(upid) = &error.upid {
            text.push_str(&format!("  {upid}\n"));
        }
        text.push_str(&log_tail(&error.log));
        text.push_str(&error.help.as_deref().map(help).unwrap_or_default());
    }
    for change in &plan.changes {
        text.push_str(&left_of(plan, report, change));
        text.push_str(&still_running(report, change, tasks));
        text.push_str(&half_made(report, change, undone).unwrap_or_default());
    }
    text.push_str(&not_begun(plan, report));
    for error in &report.state_errors {
        text.push_str(&item(BAD, "×", &format!("local state: {error}")));
    }
    text.push_str(&last_line(plan, report));
    if let Some(undone) = undone.filter(|undone| !undone.plan.is_empty()) {
        let tasks = |id: ActionId| tasks(undone.number(id));
        text.push_str(&render(&undone.plan, &undone.report, None, &tasks));
    }
    text
}

/// A guest whose making failed, and what becomes of it.
fn half_made(report: &Report, change: &Change, undone: Option<&Undone>) -> Option<String> {
    let any = |of: &dyn Fn(&ActionId) -> bool| change.actions.iter().any(of);
    let makes = matches!(change.verb, Verb::Create | Verb::Replace);
    let failed = any(&|id| report.failed.contains_key(id));
    let begun = any(&|id| report.done.contains(id));
    // What takes it back says what it leaves.
    let told = undone.is_some_and(|undone| {
        let mut about = undone.plan.findings.iter().filter_map(|finding| finding.address.as_ref());
        let mut removed = undone.plan.changes.iter().map(|change| &change.address);
        removed.any(|a| *a == change.address) || about.any(|a| *a == change.address)
    });
    let address = &change.address;
    (makes && failed && begun && !told).then(|| {
        let stays = format!(
            "{address} ({} on {}) is half-made and stays: `pvx apply` goes on with it, \
             `pvx destroy --target {address}` removes it",
            change.vmid, change.node
        );
        item(WARN, "!", &stays)
    })
}

/// What was not done of one guest, in one line for each cause.
fn left_of(plan: &Plan, report: &Report, change: &Change) -> String {
    let verbs = |wanted: &dyn Fn(&ActionId) -> bool| -> Vec<&str> {
        let ids = change.actions.iter().filter(|id| wanted(id));
        ids.filter_map(|id| plan.actions.get(*id)).map(|action| action.kind.verb()).collect()
    };
    let place = format!("{} ({} on {})", change.address, change.vmid, change.node);
    let mut text = String::new();
    let mut say = |verbs: Vec<&str>, why: &str| {
        if !verbs.is_empty() {
            text.push_str(&item(WARN, "!", &format!("{place}: {} {why}", verbs.join(", "))));
        }
    };
    let causes: BTreeSet<ActionId> = report.skipped.values().copied().collect();
    for cause in causes {
        let skipped = verbs(&|id| report.skipped.get(id) == Some(&cause));
        say(skipped, &format!("not run, because {} failed", name(plan, cause)));
    }
    if !is_untouched(report, change) {
        say(verbs(&|id| report.unstarted.contains(id)), "not begun");
    }
    text
}

/// Was nothing of it begun, because the run was stopped?
fn is_untouched(report: &Report, change: &Change) -> bool {
    !change.actions.is_empty() && change.actions.iter().all(|id| report.unstarted.contains(id))
}

/// Guests of which nothing was begun: there may be many, and there is nothing to say of each.
fn not_begun(plan: &Plan, report: &Report) -> String {
    let guests = plan.changes.iter().filter(|change| is_untouched(report, change));
    let names: Vec<String> = guests.map(|change| change.address.to_string()).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.is_empty() {
        true => String::new(),
        false => item(WARN, "!", &format!("not begun: {named}{more}")),
    }
}

/// What was left running, each with its task: those are looked for.
fn still_running(report: &Report, change: &Change, tasks: Tasks<'_>) -> String {
    let left = change.actions.iter().filter(|id| report.abandoned.contains(id));
    let place = format!("{} ({} on {})", change.address, change.vmid, change.node);
    let line = |id: &ActionId| match tasks(*id) {
        Some(upid) => {
            item(WARN, "!", &format!("{place}: still runs on the cluster")) + &format!("  {upid}\n")
        }
        None => item(WARN, "!", &format!("{place}: was asked for, and not answered yet")),
    };
    left.map(line).collect()
}

fn last_line(plan: &Plan, report: &Report) -> String {
    let done =
        plan.changes.iter().filter(|c| c.actions.iter().all(|id| report.done.contains(id))).count();
    let word = match plan.intent {
        Intent::Apply => "applied",
        Intent::Destroy => "destroyed",
        Intent::Undo => "took back",
    };
    let total = plan.changes.len();
    let next = match report.abandoned.is_empty() {
        false => "run the command again: it waits for what still runs, and goes on",
        true => "run the command again to go on",
    };
    match report.outcome() {
        Outcome::Failed if changed_nothing(report) => format!(
            "\n{} was changed; run the command again when the cause is mended\n",
            paint(BAD, "nothing")
        ),
        Outcome::Complete => format!("\n{} {}\n", paint(GOOD, word), count(done, "guest")),
        Outcome::Failed => format!(
            "\n{} {done} of {total} guests; run the command again when the cause is mended\n",
            paint(BAD, word)
        ),
        Outcome::Cancelled if report.out_of_time => format!(
            "\n{} {done} of {total} guests, then the time of --timeout was over\n{next}\n",
            paint(WARN, word)
        ),
        Outcome::Cancelled => {
            format!("\n{} {done} of {total} guests, then stopped\n{next}\n", paint(WARN, word))
        }
    }
}

fn name(plan: &Plan, id: ActionId) -> String {
    plan.actions.get(id).map_or_else(
        || id.to_string(),
        |action| {
            format!(
                "{} {} ({} on {})",
                action.kind.verb(),
                action.address,
                action.vmid,
                action.node
            )
        },
    )
}

/// For programs.
pub(crate) fn to_json(
    plan: &Plan,
    report: &Report,
    undone: Option<&Undone>,
    left: Option<&Plan>,
    tasks: Tasks<'_>,
    summary: Option<&Summary>,
) -> Value {
    let failed = |(id, error): (&ActionId, &ProviderError)| {
        json!({
            "action": id, "class": error.class, "message": error.message,
            "help": error.help, "upid": error.upid, "log": error.log,
        })
    };
    let mut value = json!({
        "plan": plan,
        "result": report.outcome(),
        "done": report.done,
        "failed": report.failed.iter().map(failed).collect::<Vec<_>>(),
        "skipped": report.skipped.keys().collect::<Vec<_>>(),
        "abandoned": report.abandoned,
        "still_running": report.abandoned.iter().filter_map(|id| tasks(*id)).collect::<Vec<_>>(),
        "unstarted": report.unstarted,
        "converged": left.map(Plan::is_empty),
        "summary": summary,
    });
    if let (Some(object), Some(undone)) = (value.as_object_mut(), undone) {
        let tasks = |id: ActionId| tasks(undone.number(id));
        let undo = to_json(&undone.plan, &undone.report, None, None, &tasks, None);
        object.insert("undo".to_owned(), undo);
    }
    value
}

#[cfg(test)]
mod tests {
    use pvx_core::plan::{ActionKind, Effect, Verb};

    use super::*;
    use crate::view::review::samples::{add, change, empty};

    fn failed(class: ErrorClass, upid: Option<&str>) -> Report {
        let mut error = ProviderError::new(class, "no");
        error.upid = upid.map(str::to_owned);
        Report { failed: [(ActionId(0), error)].into(), ..Report::default() }
    }

    #[test]
    fn nothing_was_changed_only_where_that_is_certain() {
        assert!(changed_nothing(&failed(ErrorClass::Denied, None)));
        assert!(changed_nothing(&failed(ErrorClass::Exists, None)));
        assert!(!changed_nothing(&failed(ErrorClass::Failed, Some("UPID:pve1:1"))));
        assert!(!changed_nothing(&failed(ErrorClass::Refused, Some("UPID:pve1:1"))));
        assert!(!changed_nothing(&failed(ErrorClass::OutcomeUnknown, None)));
        assert!(!changed_nothing(&failed(ErrorClass::Protocol, None)));
        let mut report = failed(ErrorClass::Denied, None);
        report.done.insert(ActionId(1));
        assert!(!changed_nothing(&report));
    }

    /// One guest's start runs on, ten others were not begun.
    #[test]
    fn what_was_left() {
        let mut plan = empty();
        for n in 0..11 {
            let guest = change(&format!("worker{n:02}"), Verb::Power, Effect::Start);
            add(&mut plan, guest, vec![(ActionKind::Start, Effect::Start)], &[]);
        }
        let report = Report {
            abandoned: [ActionId(0)].into(),
            unstarted: (1..11).map(ActionId).collect(),
            ..Report::default()
        };
        let tasks = |id: ActionId| (id.0 == 0).then(|| "UPID:pve1:1".to_owned());
        let text = render(&plan, &report, None, &tasks);
        insta::assert_snapshot!("left", anstream::adapter::strip_str(&text).to_string());
    }
}
