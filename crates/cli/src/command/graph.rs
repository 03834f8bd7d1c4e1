//! `pvx graph`: the actions of a plan and what waits for what.

use std::path::Path;

use pvx_core::plan::{Intent, Plan};
use pvx_core::planner::Options;

use crate::args::{Allowed, Format, Global, GraphOptions};
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved;
use crate::session::Session;
use crate::view::graph::{self, Graph};

pub(crate) async fn run(global: &Global, options: &GraphOptions) -> Result<Code, CliError> {
    if let Some(path) = saved::among(&options.documents.paths)? {
        return drawn_as_saved(global, options, path);
    }
    let session = Session::open(global, &options.documents.paths).await?;
    let session = session.replacing(&options.anew.replace);
    let result = plan(&session, options).await;
    session.close().await;
    print(global.format, &result?);
    Ok(Code::Success)
}

/// A saved plan, as it was made: asks no cluster.
fn drawn_as_saved(global: &Global, options: &GraphOptions, path: &Path) -> Result<Code, CliError> {
    let chosen = options.destroy
        || !options.target.is_empty()
        || !options.anew.replace.is_empty()
        || options.apply_changes.apply_changes.is_some();
    if chosen {
        return Err(CliError::with_help(
            format!("{} is a saved plan, and what it does is settled", path.display()),
            "leave the options away, or name documents",
        ));
    }
    print(global.format, &saved::read(path)?.plan);
    Ok(Code::Success)
}

async fn plan(session: &Session<'_>, options: &GraphOptions) -> Result<Plan, CliError> {
    let intent = if options.destroy { Intent::Destroy } else { Intent::Apply };
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let chosen = Options {
        targets: options.target.clone(),
        replace: options.anew.replace.clone(),
        apply_changes: options.apply_changes.apply_changes.unwrap_or(Allowed::Live).into(),
        ..Options::default()
    };
    // What would make it fail is `pvx plan`'s to say.
    Ok(session.draft(&reading, intent, &chosen))
}

/// In a format that the command has.
fn print(format: Format, plan: &Plan) {
    let graph = Graph::of(plan);
    match format {
        Format::Json => output::json(&graph),
        Format::Dot => output::text(&graph::dot::render(&graph)),
        Format::Mermaid => output::text(&graph::mermaid::render(&graph)),
        _ => output::text(&graph::svg::standalone(&graph)),
    }
}
