//! `pvx graph`: the actions of a plan and what waits for what.

use std::path::Path;

use pvx_core::plan::Plan;
use pvx_core::planner::Options;

use crate::args::{Format, Global, GraphOptions};
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
    let session = session.replacing(&options.planned.anew.replace);
    let result = plan(&session, options).await;
    session.close().await;
    print(global.format, &result?);
    Ok(Code::Success)
}

/// A saved plan, as it was made: asks no cluster.
fn drawn_as_saved(global: &Global, options: &GraphOptions, path: &Path) -> Result<Code, CliError> {
    if options.planned.is_said() {
        return Err(CliError::with_help(
            format!("{} is a saved plan, and what it does is settled", path.display()),
            "leave the options away, or name documents",
        ));
    }
    print(global.format, &saved::read(path)?.plan);
    Ok(Code::Success)
}

async fn plan(session: &Session<'_>, options: &GraphOptions) -> Result<Plan, CliError> {
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let chosen = options.planned.to(Options::default());
    // What would make it fail is `pvx plan`'s to say.
    Ok(session.draft(&reading, options.planned.intent(), &chosen))
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
