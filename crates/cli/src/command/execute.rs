//! What apply and destroy have in common: lock, settle the last run, plan, ask, carry out, look
//! again.

use std::time::{Duration, Instant};

use pvx_core::address::Address;
use pvx_core::execute::{self, Context, Limits, Outcome, Patience, Report};
use pvx_core::live::Inventory;
use pvx_core::plan::{Intent, Plan};
use pvx_core::planner::{Input, Options, Ownership};
use pvx_core::provider::Writer;
use pvx_core::state::{Histories, Journal};
use pvx_provider_pve::guest::Qemu;
use serde_json::json;

use crate::args::{Format, RunOptions};
use crate::confirm::confirm;
use crate::exit::{CliError, Code};
use crate::output;
use crate::session::{Reading, Session};
use crate::signals;
use crate::view::{self, progress::Progress, status};

/// Between two looks at guests that are locked.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(
    session: &Session<'_>,
    run: &RunOptions,
    intent: Intent,
) -> Result<Code, CliError> {
    let inventory = session.inventory().await?;
    let folder = session.folder(&inventory);
    let histories = Histories::lock(folder, session.profiles())?;
    let inventory = settle_last_run(session, run, inventory).await?;
    let options = planner_options(run);
    let reading = read_unlocked(session, run, inventory, &options).await?;
    let plan = session.plan(&reading, intent, &options);
    show(session, &plan);
    if plan.is_blocked() {
        return refuse(session, &plan);
    }
    if plan.is_empty() {
        histories.close(&plan, true)?;
        return finish_unchanged(session, &plan).await;
    }
    confirm(&view::plan::question(&plan), run.yes)?;
    let report = carry_out(session, run, &plan, histories).await?;
    after(session, &plan, &report, &options).await
}

fn planner_options(run: &RunOptions) -> Options {
    Options {
        targets: run.target.clone(),
        shutdown_timeout: run.shutdown_timeout,
        force_stop: !run.no_force_stop,
    }
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

/// What the last run began and did not end is looked at before anything new (law 3): tasks that
/// still run are waited for; what else became of it, the fresh reading shows.
async fn settle_last_run(
    session: &Session<'_>,
    run: &RunOptions,
    inventory: Inventory,
) -> Result<Inventory, CliError> {
    let folder = session.folder(&inventory);
    let mut found = false;
    for profile in session.profiles() {
        for open in Journal::unfinished(&folder, profile)? {
            found = true;
            let what = format!("{} of {} ({})", open.verb, open.address, open.vmid);
            output::errors(&view::note(&format!("the last run was cut off in {what}")));
            let Some(upid) = open.upid else { continue };
            let deadline = Duration::from_secs(run.task_timeout);
            let end = session.connected.cluster.wait(&upid, deadline).await;
            let word = match end {
                Ok(_) => "it has ended well".to_owned(),
                Err(error) => error.message,
            };
            output::errors(&view::note(&word));
        }
    }
    if found { session.inventory().await } else { Ok(inventory) }
}

/// Reads, and reads again while other tasks hold locks on the documents' guests: a clone that was
/// cut off before still runs, or a backup. What is locked for longer the plan says.
async fn read_unlocked(
    session: &Session<'_>,
    run: &RunOptions,
    mut inventory: Inventory,
    options: &Options,
) -> Result<Reading, CliError> {
    let deadline = Instant::now() + Duration::from_secs(run.lock_timeout);
    let mut said = false;
    loop {
        let reading = session.read(inventory).await?;
        let locked = locked(&session.input(&reading, options));
        if locked.is_empty() || Instant::now() >= deadline {
            return Ok(reading);
        }
        if !said {
            output::errors(&view::note(&format!("waiting for locks: {}", locked.join(", "))));
            said = true;
        }
        tokio::time::sleep(LOCK_PAUSE).await;
        inventory = session.inventory().await?;
    }
}

/// Guests of ours that are locked, with their locks.
fn locked(input: &Input<'_>) -> Vec<String> {
    let ownership = Ownership::of(input);
    let lock = |(address, vmid): (&Address, u32)| {
        let lock = input.snapshot.guests.get(&vmid)?.lock()?;
        Some(format!("{address} ({lock})"))
    };
    ownership.owned().filter_map(lock).collect()
}

async fn carry_out(
    session: &Session<'_>,
    run: &RunOptions,
    plan: &Plan,
    mut histories: Histories,
) -> Result<Report, CliError> {
    let progress = Progress::new(plan, session.global.format);
    let sink = |event: &execute::Event| progress.event(event);
    let context = Context {
        plan,
        writer: &session.connected.cluster,
        kind: &Qemu,
        limits: &Limits { total: run.parallel, ..Limits::default() },
        patience: &Patience { task: Duration::from_secs(run.task_timeout), ..Patience::default() },
        sink: &sink,
    };
    let report =
        execute::run(&context, &mut histories, signals::listen(progress.announcer())).await;
    progress.finish();
    let unknown = |error: &pvx_core::provider::ProviderError| {
        error.class == pvx_core::provider::ErrorClass::OutcomeUnknown
    };
    let all_known = report.abandoned.is_empty() && !report.failed.values().any(unknown);
    histories.close(plan, all_known)?;
    Ok(report)
}

/// Reads everything again: what was applied must now be what is there (law 7).
async fn after(
    session: &Session<'_>,
    plan: &Plan,
    report: &Report,
    options: &Options,
) -> Result<Code, CliError> {
    let outcome = report.outcome();
    let mut left = None;
    if outcome == Outcome::Complete {
        let reading = session.read(session.inventory().await?).await?;
        left = Some(session.plan(&reading, plan.intent, options));
        if session.global.format == Format::Human && plan.intent == Intent::Apply {
            let rows = status::rows(&session.input(&reading, options));
            output::text(&status::render(&rows));
        }
    }
    let remains = left.as_ref().is_some_and(|plan| !plan.is_empty());
    match session.global.format {
        Format::Json => output::json(&view::report::to_json(plan, report, left.as_ref())),
        Format::Human => {
            output::text(&view::report::render(plan, report));
            if let Some(left) = left.filter(|_| remains) {
                output::errors(&view::problem(
                    "after apply the cluster still differs from the documents",
                    Some("someone else is changing it, or this is a fault of pvx; the rest is:"),
                ));
                output::text(&view::plan::render(&left, &session.loaded.sources));
            }
        }
    }
    Ok(match outcome {
        Outcome::Complete if remains => Code::Partial,
        Outcome::Complete => Code::Success,
        Outcome::Failed => Code::Partial,
        Outcome::Cancelled => Code::Interrupted,
    })
}

async fn finish_unchanged(session: &Session<'_>, plan: &Plan) -> Result<Code, CliError> {
    if session.global.format == Format::Json {
        output::json(&json!({ "plan": plan, "result": "unchanged" }));
    }
    Ok(Code::Success)
}
