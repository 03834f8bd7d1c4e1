//! The executor at work, with its journal, progress and Ctrl-C.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use jiff::Timestamp;
use pvx_core::execute::{self, Context, Estimates, Limits, Patience, Report};
use pvx_core::plan::Plan;
use pvx_core::provider::ErrorClass;
use pvx_core::state::{Folder, Histories};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;

use crate::args::RunOptions;
use crate::exit::CliError;
use crate::output;
use crate::session::Session;
use crate::signals;
use crate::view::progress::Progress;

pub(super) async fn carry_out(
    session: &Session<'_>,
    writer: &Cluster,
    run: &RunOptions,
    plan: &Plan,
    mut histories: Histories,
) -> Result<Report, CliError> {
    let progress = Progress::new(plan, session.global.format);
    let sink = |event: &execute::Event| progress.event(event);
    let folder = Folder::new(&session.global.state_root(&session.loaded.root), &plan.cluster);
    let (mut durations, note) = folder.durations();
    if let Some(note) = note {
        output::errors(&format!("{note}\n"));
    }
    let limits = limits(session, run);
    let patience = patience(run);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &limits,
        patience: &patience,
        estimates: &Estimates::new(plan, durations.clone()),
        sink: &sink,
        now: || Timestamp::now().as_second(),
    };
    let mut report =
        execute::run(&context, &mut histories, signals::listen(progress.announcer())).await;
    progress.finish();
    report.teach(&mut durations);
    if let Err(error) = folder.keep_durations(&durations) {
        output::errors(&format!("how long actions took is not kept: {error}\n"));
    }
    let mut failures = report.failed.values();
    let unknown = failures.any(|error| error.class == ErrorClass::OutcomeUnknown);
    let all_known = report.abandoned.is_empty() && !unknown;
    if let Err(error) = histories.close(plan, all_known) {
        report.state_errors.push(error.to_string());
    }
    Ok(report)
}

/// How much at once: what the command says goes before what the configuration says.
fn limits(session: &Session<'_>, run: &RunOptions) -> Limits {
    let config = session.loaded.config.as_ref();
    let said = config.map_or_else(Limits::default, |config| config.apply.limits());
    Limits { total: run.parallel.unwrap_or(said.total), ..said }
}

fn patience(run: &RunOptions) -> Patience {
    Patience {
        task: Duration::from_secs(run.task_timeout),
        run: run.timeout.map(Duration::from_secs),
        // Two runs that were refused together must not come back together.
        seed: RandomState::new().hash_one(std::process::id()),
        ..Patience::default()
    }
}
