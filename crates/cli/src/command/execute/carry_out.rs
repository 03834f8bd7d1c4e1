//! The executor at work, with its journal, progress and Ctrl-C.

use std::time::Duration;

use jiff::Timestamp;
use pvx_core::execute::{self, Context, Estimates, Limits, Patience, Report};
use pvx_core::plan::Plan;
use pvx_core::provider::ErrorClass;
use pvx_core::state::Histories;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::guest::Qemu;

use crate::args::RunOptions;
use crate::events::Watch;
use crate::exit::CliError;

pub(super) async fn carry_out(
    writer: &Cluster,
    run: &RunOptions,
    plan: &Plan,
    mut histories: Histories,
    watch: &Watch,
) -> Result<Report, CliError> {
    let estimates = Estimates::default();
    let stop = watch.stop();
    let limits = Limits { total: run.parallel, ..Limits::default() };
    watch.begins(plan, &limits, &estimates);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &limits,
        patience: &Patience { task: Duration::from_secs(run.task_timeout), ..Patience::default() },
        estimates: &estimates,
        sink: watch,
        now: || Timestamp::now().as_second(),
    };
    let mut report = execute::run(&context, &mut histories, stop).await;
    watch.rests();
    let mut failures = report.failed.values();
    let unknown = failures.any(|error| error.class == ErrorClass::OutcomeUnknown);
    let all_known = report.abandoned.is_empty() && !unknown;
    if let Err(error) = histories.close(plan, all_known) {
        report.state_errors.push(error.to_string());
    }
    Ok(report)
}
