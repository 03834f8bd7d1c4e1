//! `pvx plan`

use pvx_core::plan::Intent;
use pvx_core::planner::Options;

use crate::args::{Format, Global, PlanOptions};
use crate::exit::{CliError, Code};
use crate::output;
use crate::session::Session;
use crate::view;

pub(crate) async fn run(global: &Global, options: &PlanOptions) -> Result<Code, CliError> {
    let session = Session::open(global, &options.documents.paths).await?;
    let session = session.replacing(&options.anew.replace);
    let result = plan(&session, options).await;
    session.close().await;
    result
}

async fn plan(session: &Session<'_>, options: &PlanOptions) -> Result<Code, CliError> {
    let intent = if options.destroy { Intent::Destroy } else { Intent::Apply };
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let chosen = Options {
        targets: options.target.clone(),
        replace: options.anew.replace.clone(),
        erase_kept: options.erase_kept,
        apply_changes: options.apply_changes.apply_changes.into(),
        ..Options::default()
    };
    let chosen = options.policy.to(chosen);
    let plan = session.plan(&reading, intent, &chosen).await?;
    match session.global.format {
        Format::Json => output::json(&plan),
        Format::Human => output::text(&view::plan::render(&plan, &session.loaded.sources)),
    }
    Ok(match (plan.is_blocked(), plan.is_empty()) {
        (true, _) => Code::Error,
        (false, false) if options.detailed_exitcode => Code::Changes,
        _ => Code::Success,
    })
}
