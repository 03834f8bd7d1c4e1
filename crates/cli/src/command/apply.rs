//! `pvx apply`: documents, or a plan that was saved.

use std::path::Path;

use pvx_core::plan::Intent;
use pvx_core::planner::Options;

use super::execute::{self, Work};
use crate::args::{Allowed, ApplyOptions, Global};
use crate::exit::{CliError, Code};
use crate::saved;
use crate::session::Session;

pub(crate) async fn run(global: &Global, options: &ApplyOptions) -> Result<Code, CliError> {
    if let Some(file) = saved::among(&options.documents.paths)? {
        return apply_saved(global, options, file).await;
    }
    let session = Session::open(global, &options.documents.paths).await?;
    let session = session.replacing(&options.anew.replace);
    let allowed = options.apply_changes.apply_changes.unwrap_or(Allowed::Live);
    let wishes = Options {
        apply_changes: allowed.into(),
        replace: options.anew.replace.clone(),
        ..Options::default()
    };
    let work = Work::Documents { wishes, intent: Intent::Apply };
    let result = execute::run(&session, &options.run, work, options.rollback_on_failure).await;
    session.close().await;
    result
}

/// Carries out exactly what the file says, or nothing.
async fn apply_saved(
    global: &Global,
    options: &ApplyOptions,
    path: &Path,
) -> Result<Code, CliError> {
    let saved = saved::read(path)?;
    check_options(options)?;
    let session = saved::open(global, path, &saved, saved::now()).await?;
    let session = session.replacing(&saved.options.replace);
    let work = Work::Saved { path, saved: &saved };
    let result = execute::run(&session, &options.run, work, options.rollback_on_failure).await;
    session.close().await;
    result
}

/// What says which plan is made is in the file, and cannot be said again.
fn check_options(options: &ApplyOptions) -> Result<(), CliError> {
    let shutdown = &options.run.shutdown;
    let said = [
        ("--target", !options.run.target.is_empty()),
        ("--replace", !options.anew.replace.is_empty()),
        ("--apply-changes", options.apply_changes.apply_changes.is_some()),
        ("--shutdown-timeout", shutdown.shutdown_timeout.is_some()),
        ("--no-force-stop", shutdown.no_force_stop),
        ("--include-templates", options.run.policy.include_templates),
    ];
    let said: Vec<&str> = said.iter().filter(|(_, said)| *said).map(|(name, _)| *name).collect();
    if said.is_empty() {
        return Ok(());
    }
    Err(CliError::with_help(
        format!("{} cannot be given with a saved plan", said.join(", ")),
        "what was said when it was made is in the file; say it to `pvx plan --out` instead",
    ))
}
