//! The executor at work, with its journal, progress and Ctrl-C.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pvx_core::execute::{self, Context, Estimates, History, Limits, Patience, Report};
use pvx_core::plan::Plan;
use pvx_core::provider::ErrorClass;
use pvx_core::state::Folder;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;

use crate::args::RunOptions;
use crate::events::Watch;
use crate::output;
use crate::session::Session;
use crate::view;

/// What the user says of how a plan is carried out.
pub(super) struct Told<'a> {
    run: &'a RunOptions,
    /// When the time of the whole run, all rounds and the undo, is over.
    ends: Option<Instant>,
}

impl<'a> Told<'a> {
    pub(super) fn of(run: &'a RunOptions, ends: Option<Instant>) -> Self {
        Self { run, ends }
    }
}

/// One round. The journal stays open: whether all outcomes are known is told when the last one is over.
pub(super) async fn carry_out(
    session: &Session<'_>,
    writer: &Cluster,
    told: &Told<'_>,
    plan: &Plan,
    histories: &mut impl History,
    watch: &Watch,
) -> Report {
    let folder = Folder::new(&session.global.state_root(&session.loaded.root), &plan.cluster);
    let (mut durations, note) = folder.durations();
    if let Some(note) = note {
        output::errors(&view::note(&note));
    }
    let limits = limits(session, told.run);
    let left = told.ends.map(|ends| ends.saturating_duration_since(Instant::now()));
    let patience = Patience { run: left, ..patience(told.run) };
    let estimates = Estimates::new(plan, durations.clone());
    let stop = watch.stop();
    watch.begins(plan, &limits, &estimates);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &limits,
        patience: &patience,
        estimates: &estimates,
        sink: watch,
        now: || Timestamp::now().as_second(),
    };
    let report = execute::run(&context, histories, stop).await;
    watch.rests();
    report.teach(&mut durations);
    if let Err(error) = folder.keep_durations(&durations) {
        output::errors(&view::note(&format!("how long actions took is not kept: {error}")));
    }
    report
}

/// Is every outcome known?
pub(super) fn all_known(report: &Report) -> bool {
    let mut failures = report.failed.values();
    let unknown = failures.any(|error| error.class == ErrorClass::OutcomeUnknown);
    report.abandoned.is_empty() && !unknown
}

/// How much at once: what the command says goes before what the configuration says.
fn limits(session: &Session<'_>, run: &RunOptions) -> Limits {
    let config = session.loaded.config.as_ref();
    let said = config.map_or_else(Limits::default, |config| config.apply.limits());
    Limits { total: run.parallel.unwrap_or(said.total), ..said }
}

/// Deadlines and retries of a run.
pub(super) fn patience(run: &RunOptions) -> Patience {
    Patience {
        task: Duration::from_secs(run.task_timeout),
        late: Duration::from_secs(run.queue_timeout),
        // Two runs that were refused together must not come back together.
        seed: RandomState::new().hash_one(std::process::id()),
        ..Patience::default()
    }
}
