//! The look at the result (law 7), and what is said of the run.

use pvx_core::execute::{Outcome, Report};
use pvx_core::plan::{Intent, Plan};
use pvx_core::planner::Options;

use super::undo::Undone;

use crate::args::Format;
use crate::exit::{CliError, Code};
use crate::output;
use crate::session::Session;
use crate::view::{self, status};

/// Reads everything again: what was applied must now be what is there (law 7).
pub(super) async fn after(
    session: &Session<'_>,
    plan: &Plan,
    report: &Report,
    undone: Option<&Undone>,
    options: &Options,
) -> Result<Code, CliError> {
    let looked = match report.outcome() {
        Outcome::Complete => look_again(session, plan, options).await,
        Outcome::Failed | Outcome::Cancelled => Ok(None),
    };
    // What was done is said whatever becomes of the look.
    let left = looked.as_ref().ok().and_then(Option::as_ref);
    let remains = left.is_some_and(|plan| !plan.is_empty());
    match session.global.format {
        Format::Json => output::json(&view::report::to_json(plan, report, undone, left)),
        _ => {
            output::text(&view::report::render(plan, report, undone));
            if let Some(left) = left.filter(|_| remains) {
                output::errors(&view::problem(
                    "the cluster differs from the documents again already",
                    Some("someone else is changing it, or this is a fault of pvx; the rest is:"),
                ));
                output::text(&view::plan::render(left, &session.loaded.sources));
            }
        }
    }
    if let Err(error) = &looked {
        output::errors(&view::problem(
            &format!("the result could not be looked at: {}", error.text()),
            Some("what was done is above; `pvx plan` shows whether anything is left"),
        ));
    }
    Ok(match report.outcome() {
        Outcome::Complete if remains || looked.is_err() => Code::Partial,
        Outcome::Complete => Code::Success,
        Outcome::Failed => Code::Partial,
        Outcome::Cancelled => Code::Interrupted,
    })
}

/// The plan for what is there now, and who runs where.
async fn look_again(
    session: &Session<'_>,
    plan: &Plan,
    options: &Options,
) -> Result<Option<Plan>, CliError> {
    let reading = session.read(session.inventory().await?).await?;
    if session.global.format == Format::Human && plan.intent == Intent::Apply {
        let rows = status::rows(&session.input(&reading, options));
        output::text(&status::render(&rows));
    }
    Ok(Some(session.draft(&reading, plan.intent, options)))
}
