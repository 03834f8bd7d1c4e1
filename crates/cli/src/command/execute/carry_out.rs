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
use crate::session::Session;
use crate::signals;
use crate::view::progress::Progress;

pub(super) async fn carry_out(
    session: &Session<'_>,
    writer: &Cluster,
    run: &RunOptions,
    plan: &Plan,
    histories: &mut Histories,
) -> Report {
    let progress = Progress::new(plan, session.global.format);
    let sink = |event: &execute::Event| progress.event(event);
    let context = Context {
        plan,
        writer,
        kind: &Qemu,
        limits: &Limits { total: run.parallel, ..Limits::default() },
        patience: &Patience { task: Duration::from_secs(run.task_timeout), ..Patience::default() },
        estimates: &Estimates::default(),
        sink: &sink,
        now: || Timestamp::now().as_second(),
    };
    let report = execute::run(&context, histories, signals::listen(progress.announcer())).await;
    progress.finish();
    report
}

/// Is every outcome known?
pub(super) fn all_known(report: &Report) -> bool {
    let mut failures = report.failed.values();
    let unknown = failures.any(|error| error.class == ErrorClass::OutcomeUnknown);
    report.abandoned.is_empty() && !unknown
}
