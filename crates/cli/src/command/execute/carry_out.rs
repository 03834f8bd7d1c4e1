//! The executor at work, with its journal, progress and Ctrl-C.

use std::time::Duration;

use jiff::Timestamp;
use pvx_core::execute::{self, Context, Estimates, History, Limits, Patience, Report};
use pvx_core::plan::Plan;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;

use crate::args::RunOptions;
use crate::exit::CliError;
use crate::session::Session;
use crate::signals;
use crate::view::progress::Progress;

/// Deadlines and retries of a run.
pub(super) fn patience(run: &RunOptions) -> Patience {
    Patience {
        task: Duration::from_secs(run.task_timeout),
        late: Duration::from_secs(run.queue_timeout),
        ..Patience::default()
    }
}

/// One round. The journal stays open: whether all outcomes are known is told when the last one is over.
pub(super) async fn carry_out(
    session: &Session<'_>,
    writer: &Cluster,
    run: &RunOptions,
    plan: &Plan,
    histories: &mut impl History,
) -> Result<Report, CliError> {
    let progress = Progress::new(plan, session.global.format);
    let sink = |event: &execute::Event| progress.event(event);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &Limits { total: run.parallel, ..Limits::default() },
        patience: &patience(run),
        estimates: &Estimates::default(),
        sink: &sink,
        now: || Timestamp::now().as_second(),
    };
    let report = execute::run(&context, histories, signals::listen(progress.announcer())).await;
    progress.finish();
    Ok(report)
}
