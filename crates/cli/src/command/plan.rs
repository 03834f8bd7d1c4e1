//! `pvx plan`

use pvx_core::diagnostic::Sources;
use pvx_core::plan::Plan;
use pvx_core::planner::Options;

use crate::args::{Format, Global, PlanOptions};
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved;
use crate::session::{Reading, Session};
use crate::view;

pub(crate) async fn run(global: &Global, options: &PlanOptions) -> Result<Code, CliError> {
    saved::refuse_among(&options.documents.paths)?;
    if let Some(file) = &options.out {
        saved::check_target(file)?;
    }
    let session = Session::open(global, &options.documents.paths).await?;
    let session =
        session.replacing(&options.planned.anew.replace).applied_by(options.apply_token.as_ref());
    let result = plan(&session, options).await;
    session.close().await;
    result
}

async fn plan(session: &Session<'_>, options: &PlanOptions) -> Result<Code, CliError> {
    let now = saved::now();
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let chosen = options.policy.to(options.planned.to(options.shutdown.chosen()));
    let plan = session.plan(&reading, options.planned.intent(), &chosen).await?;
    print(session.global.format, &plan, Some(&session.loaded.sources))?;
    save(session, options, &chosen, &reading, &plan, now).await?;
    Ok(match (plan.is_blocked(), plan.is_empty()) {
        (true, _) => Code::Error,
        (false, false) if options.detailed_exitcode => Code::Changes,
        _ => Code::Success,
    })
}

/// Shows a plan. A saved one has no documents beside it.
///
/// # Errors
/// When the page for browsers is at odds with its data.
pub(super) fn print(
    format: Format,
    plan: &Plan,
    sources: Option<&Sources>,
) -> Result<(), CliError> {
    match format {
        Format::Json => output::json(plan),
        Format::Markdown => output::text(&view::markdown::render(plan, sources)),
        Format::Html => output::text(&view::html::render(plan, sources)?),
        _ => {
            let none = Sources::default();
            output::text(&view::plan::render(plan, sources.unwrap_or(&none)));
        }
    }
    Ok(())
}

/// Writes the plan's file, when one is asked for. A plan that cannot be applied is not written.
async fn save(
    session: &Session<'_>,
    options: &PlanOptions,
    chosen: &Options,
    reading: &Reading,
    plan: &Plan,
    now: jiff::Timestamp,
) -> Result<(), CliError> {
    let Some(file) = &options.out else { return Ok(()) };
    if plan.is_blocked() {
        let text = format!("{} was not written: the plan cannot be applied", file.display());
        output::errors(&view::note(&text));
        return Ok(());
    }
    let wishes = saved::Wishes {
        paths: &options.documents.paths,
        options: chosen,
        expires: options.expires.0,
    };
    let made = saved::make(session, reading, plan, &wishes, now).await?;
    saved::write(file, &made)?;
    let text = format!("saved in {}, good until {}", file.display(), made.expires);
    // They are not in the file.
    let values = match made.variables.is_empty() {
        true => "",
        false => ", with the same values of variables",
    };
    output::errors(&view::note(&format!("{text}: `pvx apply {}`{values}", file.display())));
    Ok(())
}
