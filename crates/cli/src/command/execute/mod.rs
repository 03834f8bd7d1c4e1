//! What apply and destroy have in common: lock, settle the last run, plan, ask, carry out, look
//! again.

mod after;
mod carry_out;
mod locked;
mod settle;
mod undo;
mod work;

use pvx_core::execute::Outcome;
use pvx_core::plan::Plan;
use pvx_core::planner::Options;
use pvx_core::state::Histories;
use pvx_core::undo::Round;
use serde_json::json;

use crate::args::{Format, RunOptions};
use crate::confirm::confirm;
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved::{self, Stage};
use crate::secrets;
use crate::session::Session;
use crate::view;

use after::after;
use carry_out::carry_out;
use undo::Ended;
pub(crate) use undo::Undone;
pub(super) use work::Work;

pub(super) async fn run(
    session: &Session<'_>,
    run: &RunOptions,
    work: Work<'_>,
    rollback: bool,
) -> Result<Code, CliError> {
    let inventory = session.inventory().await?;
    if let Work::Saved { path, saved } = &work {
        saved::check_cluster(session, path, saved, &inventory).await?;
    }
    let folder = session.folder(&inventory);
    let profiles = session.profiles();
    let mut histories = Histories::lock(folder, profiles.iter().map(String::as_str))?;
    let (inventory, all_known) = settle::last_run(session, run, inventory).await?;
    let options = work.options(run);
    let reading = locked::read(session, run, inventory, &options).await?;
    let mut plan = session.plan(&reading, work.intent(), &options).await?;
    if let Work::Saved { path, saved } = &work {
        plan = saved::agree(session, path, saved, &reading, plan)?;
    }
    if rollback {
        plan.findings.extend(pvx_core::undo::forecast(&plan));
    }
    show(session, &plan);
    if plan.is_blocked() {
        return refuse(session, &plan);
    }
    if plan.is_empty() {
        histories.close(&plan, all_known)?;
        return Ok(finish_unchanged(session, &plan));
    }
    // What is missing here must show before anything is changed.
    let writer = secrets::writer(session, &plan).await?;
    confirm(&view::plan::question(&plan), run.yes)?;
    let folder = session.folder(&reading.snapshot.inventory);
    work.remember(&folder, Stage::Begun);
    let mut report = carry_out(session, &writer, run, &plan, &mut histories).await;
    let rounds = [Round { plan: &plan, report: &report }];
    let (before, rounds) = (&reading, &rounds);
    let ended = Ended { session, writer: &writer, run, rollback, before, rounds };
    let undone = undo::after_failure(&ended, &mut histories).await;
    let all_known = carry_out::all_known(&report) && Undone::all_known(undone.as_ref());
    if let Err(error) = histories.close(&plan, all_known) {
        report.state_errors.push(error.to_string());
    }
    if report.outcome() == Outcome::Complete {
        work.remember(&folder, Stage::Done);
    }
    // What was made anew is not made anew again.
    let options = Options { replace: Vec::new(), ..options };
    after(session, &plan, &report, undone.as_ref(), &options).await
}

fn show(session: &Session<'_>, plan: &Plan) {
    if session.global.format == Format::Human {
        output::text(&view::plan::render(plan, &session.loaded.sources));
    }
}

fn refuse(session: &Session<'_>, plan: &Plan) -> Result<Code, CliError> {
    if session.global.format == Format::Json {
        output::json(&json!({ "plan": plan, "result": "blocked" }));
        return Ok(Code::Error);
    }
    Err(CliError::with_help(
        "the plan cannot be applied: nothing was changed",
        "mend what is marked × above, then run the command again",
    ))
}

fn finish_unchanged(session: &Session<'_>, plan: &Plan) -> Code {
    if session.global.format == Format::Json {
        output::json(&json!({ "plan": plan, "result": "unchanged" }));
    }
    Code::Success
}
