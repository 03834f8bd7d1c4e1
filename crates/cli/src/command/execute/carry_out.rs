//! The executor at work, with its journal, progress and Ctrl-C.

use std::time::Duration;

use jiff::Timestamp;
use pvx_core::execute::{self, Context, Estimates, History, Limits, Patience, Report};
use pvx_core::plan::Plan;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;

use crate::args::RunOptions;
use crate::events::Watch;
use crate::exit::CliError;

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
    writer: &Cluster,
    run: &RunOptions,
    plan: &Plan,
    histories: &mut impl History,
    watch: &Watch,
) -> Result<Report, CliError> {
    let estimates = Estimates::default();
    let stop = watch.stop();
    watch.begins(plan, &estimates);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &Limits { total: run.parallel, ..Limits::default() },
        patience: &patience(run),
        estimates: &estimates,
        sink: watch,
        now: || Timestamp::now().as_second(),
    };
    let report = execute::run(&context, histories, stop).await;
    watch.rests();
    Ok(report)
}
