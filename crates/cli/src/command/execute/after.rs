//! The look at the result (law 7), and what is said of the run.

use std::collections::BTreeMap;

use pvx_core::execute::{Outcome, Report, Rounds};
use pvx_core::plan::{Intent, Plan};
use pvx_core::planner::Options;
use serde_json::{Value, json};

use super::undo::Undone;

use crate::args::Format;
use crate::events::{Conclusion, Watch};
use crate::exit::{CliError, Code};
use crate::output;
use crate::session::Session;
use crate::view::{self, status};

/// What the look showed.
enum Look {
    /// Nobody looked: the run did not come to its end.
    Not,
    /// What is still to be done.
    Left(Box<Plan>),
    /// It could not be looked at.
    Failed(String),
    /// The user did not wait for it.
    Stopped,
}

impl Look {
    fn left(&self) -> Option<&Plan> {
        match self {
            Self::Left(plan) => Some(plan),
            _ => None,
        }
    }
}

/// Reads everything again: what was applied must now be what is there (law 7).
pub(super) async fn after(
    session: &Session<'_>,
    rounds: &Rounds,
    undone: Option<&Undone>,
    options: &Options,
    watch: &Watch,
) -> Result<Code, CliError> {
    let (plan, report) = (&rounds.plan, &rounds.report);
    let look = match report.outcome() {
        Outcome::Complete => look(session, plan, options, watch).await,
        Outcome::Failed | Outcome::Cancelled => Look::Not,
    };
    watch.concludes(Conclusion {
        outcome: report.outcome(),
        converged: look.left().map(Plan::is_empty),
        still_running: report.abandoned.iter().filter_map(|id| watch.upid(*id)).collect(),
    });
    // What was done is said whatever becomes of the look.
    say(session, rounds, undone, &look, watch);
    Ok(code(report, &look))
}

fn code(report: &Report, look: &Look) -> Code {
    match (report.outcome(), look) {
        (Outcome::Complete, Look::Stopped) | (Outcome::Cancelled, _) => Code::Interrupted,
        (Outcome::Complete, Look::Failed(_)) => Code::Partial,
        (Outcome::Complete, Look::Left(left)) if !left.is_empty() => Code::Partial,
        (Outcome::Complete, _) => Code::Success,
        (Outcome::Failed, _) if view::report::changed_nothing(report) => Code::Error,
        (Outcome::Failed, _) => Code::Partial,
    }
}

fn say(
    session: &Session<'_>,
    rounds: &Rounds,
    undone: Option<&Undone>,
    look: &Look,
    watch: &Watch,
) {
    let (plan, report) = (&rounds.plan, &rounds.report);
    let tasks = |id| watch.upid(id);
    let summary = watch.summary();
    if session.global.format == Format::Json {
        let left = look.left();
        let mut value = view::report::to_json(plan, report, undone, left, &tasks, summary.as_ref());
        if let Some(fields) = value.as_object_mut() {
            fields.extend(rounds_json(rounds));
        }
        output::json(&value);
    } else {
        let timings = summary.as_ref().map(view::timings::render);
        output::errors(&timings.map(|text| format!("\n{text}")).unwrap_or_default());
        output::text(&view::report::render(plan, report, undone, &tasks));
        if let Some(left) = look.left().filter(|left| !left.is_empty()) {
            output::errors(&view::problem(
                "the cluster differs from the documents again already",
                Some("someone else is changing it, or this is a fault of pvx; the rest is:"),
            ));
            output::text(&view::plan::render(left, &session.loaded.sources));
        }
    }
    let why = match look {
        Look::Failed(why) => why.as_str(),
        Look::Stopped => "stopped by Ctrl-C",
        Look::Not | Look::Left(_) => return,
    };
    output::errors(&view::problem(
        &format!("the result could not be looked at: {why}"),
        Some("what was done is above; `pvx plan` shows whether anything is left"),
    ));
}

/// Looks, unless the user does not wait for it: nothing runs any more.
async fn look(session: &Session<'_>, plan: &Plan, options: &Options, watch: &Watch) -> Look {
    let mut stop = watch.stop();
    // One that came while the last action ran was for that.
    stop.borrow_and_update();
    tokio::select! {
        looked = look_again(session, plan, options) => match looked {
            Ok(left) => Look::Left(Box::new(left)),
            Err(error) => Look::Failed(error.text()),
        },
        Ok(()) = stop.changed() => Look::Stopped,
    }
}

/// How many rounds it took: actions that have others in their place, and guests that are left alone.
fn rounds_json(rounds: &Rounds) -> serde_json::Map<String, Value> {
    let alone = rounds.left.iter().map(|(address, why)| (address.to_string(), why));
    let alone: BTreeMap<String, &String> = alone.collect();
    [
        ("rounds".to_owned(), json!(rounds.count)),
        ("retried".to_owned(), json!(rounds.retried)),
        ("left_alone".to_owned(), json!(alone)),
    ]
    .into_iter()
    .collect()
}

/// The plan for what is there now, and who runs where.
async fn look_again(
    session: &Session<'_>,
    plan: &Plan,
    options: &Options,
) -> Result<Plan, CliError> {
    let reading = session.read(session.inventory().await?).await?;
    if session.global.format == Format::Human && plan.intent == Intent::Apply {
        let rows = status::rows(&session.input(&reading, options));
        output::text(&status::render(&rows));
    }
    Ok(session.draft(&reading, plan.intent, options))
}
