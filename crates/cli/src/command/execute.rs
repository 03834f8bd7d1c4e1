//! What apply and destroy have in common: lock, settle the last run, plan, ask, carry out, look
//! again.

use std::path::Path;
use std::time::{Duration, Instant};

use pvx_core::address::Address;
use pvx_core::execute::{self, Context, Limits, Outcome, Patience, Report};
use pvx_core::live::Inventory;
use pvx_core::plan::saved::Saved;
use pvx_core::plan::{Intent, Plan};
use pvx_core::planner::{Input, Options, Ownership, locked_keepers};
use pvx_core::provider::{ErrorClass, Writer};
use pvx_core::state::{Folder, Histories, Journal};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;
use serde_json::json;

use crate::args::{Format, RunOptions};
use crate::confirm::confirm;
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved::{self, Stage};
use crate::secrets;
use crate::session::{Reading, Session};
use crate::signals;
use crate::view::{self, progress::Progress, status};

/// Between two looks at guests that are locked.
const LOCK_PAUSE: Duration = Duration::from_millis(500);

/// What is to be done.
pub(super) enum Work<'a> {
    /// What the documents say.
    Documents {
        /// What is said to one command alone.
        wishes: Options,
        /// Apply or destroy.
        intent: Intent,
    },
    /// A plan that was saved.
    Saved {
        /// Its file.
        path: &'a Path,
        /// What is in it.
        saved: &'a Saved,
    },
}

impl Work<'_> {
    fn intent(&self) -> Intent {
        match self {
            Self::Documents { intent, .. } => *intent,
            Self::Saved { saved, .. } => saved.plan.intent,
        }
    }

    fn options(&self, run: &RunOptions) -> Options {
        match self {
            Self::Documents { wishes, .. } => planner_options(run, wishes.clone()),
            Self::Saved { saved, .. } => saved_options(run, saved),
        }
    }

    /// A saved plan that is applied once more is told how far it came.
    fn remember(&self, folder: &Folder, stage: Stage) {
        if let Self::Saved { saved, .. } = self {
            saved::remember(folder, saved, stage, saved::now());
        }
    }
}

pub(super) async fn run(
    session: &Session<'_>,
    run: &RunOptions,
    work: Work<'_>,
) -> Result<Code, CliError> {
    let inventory = session.inventory().await?;
    if let Work::Saved { path, saved } = &work {
        saved::check_cluster(session, path, saved, &inventory).await?;
    }
    let folder = session.folder(&inventory);
    let profiles = session.profiles();
    let histories = Histories::lock(folder, profiles.iter().map(String::as_str))?;
    let (inventory, all_known) = settle_last_run(session, run, inventory).await?;
    let options = work.options(run);
    let reading = read_unlocked(session, run, inventory, &options).await?;
    let mut plan = session.plan(&reading, work.intent(), &options).await?;
    if let Work::Saved { path, saved } = &work {
        plan = saved::agree(session, path, saved, &reading, plan)?;
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
    let report = carry_out(session, &writer, run, &plan, histories).await?;
    if report.outcome() == Outcome::Complete {
        work.remember(&folder, Stage::Done);
    }
    // What was made anew is not made anew again.
    let options = Options { replace: Vec::new(), ..options };
    after(session, &plan, &report, &options).await
}

/// What both commands say, and what is said to one of them alone.
fn planner_options(run: &RunOptions, wishes: Options) -> Options {
    let chosen = run.shutdown.chosen();
    let options = Options {
        targets: run.target.clone(),
        shutdown_timeout: chosen.shutdown_timeout,
        force_stop: chosen.force_stop,
        applying: true,
        ..wishes
    };
    run.policy.to(options)
}

/// What the plan was made with; when it is carried out, policy can be told more.
fn saved_options(run: &RunOptions, saved: &Saved) -> Options {
    let made_with = &saved.options;
    let fewest = [made_with.max_destroy, run.policy.max_destroy].into_iter().flatten().min();
    let now = run.policy.ignore_window.as_ref();
    Options {
        applying: true,
        max_destroy: fewest,
        ignore_window: now.or(made_with.ignore_window.as_ref()).cloned(),
        seats: saved.seats(),
        ..made_with.clone()
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
/// still run are waited for; what else became of it, the fresh reading shows. False when a task
/// could not be watched to its end.
async fn settle_last_run(
    session: &Session<'_>,
    run: &RunOptions,
    inventory: Inventory,
) -> Result<(Inventory, bool), CliError> {
    let folder = session.folder(&inventory);
    let (mut found, mut all_known) = (false, true);
    for profile in session.profiles() {
        for open in Journal::unfinished(&folder, &profile)? {
            found = true;
            let what = format!("{} of {} ({})", open.verb, open.address, open.vmid);
            output::errors(&view::note(&format!("the last run was cut off in {what}")));
            let Some(upid) = open.upid else { continue };
            let deadline = Duration::from_secs(run.task_timeout);
            let end = session.connected.cluster.wait(&upid, deadline).await;
            let word = match end {
                Ok(_) => "it has ended well".to_owned(),
                Err(error) => {
                    all_known &= error.class != ErrorClass::OutcomeUnknown;
                    error.message
                }
            };
            output::errors(&view::note(&word));
        }
    }
    let inventory = if found { session.inventory().await? } else { inventory };
    Ok((inventory, all_known))
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

/// Guests of ours that are locked, with their locks, and those that may become ours.
fn locked(input: &Input<'_>) -> Vec<String> {
    let ownership = Ownership::of(input);
    let missing = input.desired.guests().filter(|guest| {
        let address = &guest.address;
        ownership.member(address).is_none() && ownership.half_made(address).is_none()
    });
    let mut making: Vec<String> = missing
        .filter_map(|guest| ownership.being_made(input, guest))
        .map(|live| format!("guest {} (being made)", live.vmid))
        .collect();
    making.dedup();
    let lock = |(address, vmid): (&Address, u32)| {
        let lock = input.snapshot.guests.get(&vmid)?.lock()?;
        Some(format!("{address} ({lock})"))
    };
    let keepers = locked_keepers(input);
    ownership.owned().filter_map(lock).chain(making).chain(keepers).collect()
}

async fn carry_out(
    session: &Session<'_>,
    writer: &Cluster,
    run: &RunOptions,
    plan: &Plan,
    mut histories: Histories,
) -> Result<Report, CliError> {
    let progress = Progress::new(plan, session.global.format);
    let sink = |event: &execute::Event| progress.event(event);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &Limits { total: run.parallel, ..Limits::default() },
        patience: &Patience { task: Duration::from_secs(run.task_timeout), ..Patience::default() },
        sink: &sink,
    };
    let mut report =
        execute::run(&context, &mut histories, signals::listen(progress.announcer())).await;
    progress.finish();
    let mut failures = report.failed.values();
    let unknown = failures.any(|error| error.class == ErrorClass::OutcomeUnknown);
    let all_known = report.abandoned.is_empty() && !unknown;
    if let Err(error) = histories.close(plan, all_known) {
        report.state_errors.push(error.to_string());
    }
    Ok(report)
}

/// Reads everything again: what was applied must now be what is there (law 7).
async fn after(
    session: &Session<'_>,
    plan: &Plan,
    report: &Report,
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
        Format::Json => output::json(&view::report::to_json(plan, report, left)),
        _ => {
            output::text(&view::report::render(plan, report));
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

fn finish_unchanged(session: &Session<'_>, plan: &Plan) -> Code {
    if session.global.format == Format::Json {
        output::json(&json!({ "plan": plan, "result": "unchanged" }));
    }
    Code::Success
}
