//! What apply and destroy have in common: lock, settle the last run, plan, ask, carry out, look
//! again.

mod after;
mod carry_out;
mod lock;
mod locked;
mod rounds;
mod settle;
mod undo;
mod work;

use std::time::{Duration, Instant};

use pvx_core::execute::Outcome;
use pvx_core::plan::Plan;
use pvx_core::planner::Options;
use pvx_core::undo::Round;
use serde_json::json;

use crate::args::{Format, RunOptions};
use crate::confirm::confirm;
use crate::events::Watch;
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved::{self, Stage};
use crate::secrets;
use crate::session::Session;
use crate::view;

use after::after;
use rounds::Rounder;
use undo::Ended;
pub(crate) use undo::Undone;
pub(super) use work::Work;

pub(super) async fn run(
    session: &Session<'_>,
    run: &RunOptions,
    work: Work<'_>,
    rollback: bool,
) -> Result<Code, CliError> {
    let watch = Watch::open(&run.watch, session.global.format)?;
    let result = watched(session, run, work, rollback, &watch).await;
    watch.close(&result);
    result
}

async fn watched(
    session: &Session<'_>,
    run: &RunOptions,
    work: Work<'_>,
    rollback: bool,
    watch: &Watch,
) -> Result<Code, CliError> {
    let inventory = session.inventory().await?;
    if let Work::Saved { path, saved } = &work {
        saved::check_cluster(session, path, saved, &inventory).await?;
    }
    let folder = session.folder(&inventory);
    let mut histories = lock::take(session, run, work.intent(), &folder).await?;
    let (inventory, all_known) = settle::last_run(session, run, inventory, &mut histories).await?;
    let options = work.options(run);
    let reading = locked::read(session, run, inventory, &options).await?;
    let mut plan = session.plan(&reading, work.intent(), &options).await?;
    if let Work::Saved { path, saved } = &work {
        plan = saved::agree(session, path, saved, &reading, plan)?;
    }
    if rollback {
        plan.findings.extend(pvx_core::undo::forecast(&plan));
    }
    watch.planned(&plan);
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
    let ends = run.timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let rounder = Rounder {
        session,
        run,
        work: &work,
        options: &options,
        folder: folder.clone(),
        watch,
        ends,
    };
    let mut rounds = rounder.carry_out(plan, &writer, &mut histories).await?;
    let undone = {
        let (before, offset) = (&reading, rounds.offset());
        let of = &[Round { plan: &rounds.plan, report: &rounds.report }];
        let writer = &writer;
        let ended =
            Ended { session, writer, run, rollback, before, rounds: of, offset, watch, ends };
        undo::after_failure(&ended, &mut histories).await
    };
    let all_known =
        all_known && carry_out::all_known(&rounds.report) && Undone::all_known(undone.as_ref());
    if let Err(error) = histories.close(&rounds.plan, all_known) {
        rounds.report.state_errors.push(error.to_string());
    }
    if rounds.report.outcome() == Outcome::Complete {
        work.remember(&folder, Stage::Done);
    }
    // What was made anew is not made anew again.
    let options = Options { replace: Vec::new(), ..options };
    after(session, &rounds, undone.as_ref(), &options, watch).await
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
