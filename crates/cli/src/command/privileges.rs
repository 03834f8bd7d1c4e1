//! `pvx privileges`

use pvx_core::plan::{Finding, Plan, Weight};
use pvx_core::planner::Options;
use pvx_core::preflight::{Access, pveum};

use crate::args::{Format, Global, PrivilegesOptions};
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved;
use crate::session::Session;
use crate::view::{self, privileges};

pub(crate) async fn run(global: &Global, options: &PrivilegesOptions) -> Result<Code, CliError> {
    saved::refuse_among(&options.documents.paths)?;
    let session = Session::open(global, &options.documents.paths).await?;
    let session = session.replacing(&options.planned.anew.replace);
    let result = show(&session, options).await;
    session.close().await;
    result
}

async fn show(session: &Session<'_>, options: &PrivilegesOptions) -> Result<Code, CliError> {
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let chosen = options.planned.to(Options::default());
    let (mut plan, access) =
        session.privileges(&reading, options.planned.intent(), &chosen).await?;
    plan.findings.retain(|finding| finding.weight == Weight::Error);
    let token = session.connected.cluster.client().token_id();
    print(session, options, &plan, &access, token);
    // What cannot be planned cannot be named.
    Ok(if plan.is_blocked() { Code::Error } else { Code::Success })
}

fn print(
    session: &Session<'_>,
    options: &PrivilegesOptions,
    plan: &Plan,
    access: &Access,
    token: &str,
) {
    let commands = options.pveum.then(|| commands(plan, options.token.as_deref().unwrap_or(token)));
    match (session.global.format, commands) {
        (Format::Json, commands) => {
            output::json(&privileges::to_json(plan, access, token, commands.as_deref()));
        }
        (_, Some(commands)) => output::text(&(commands.join("\n") + "\n")),
        (_, None) => output::text(&privileges::render(plan, access, token)),
    }
    if plan.is_blocked() && session.global.format == Format::Human {
        let errors: Vec<Finding> = plan.findings.clone();
        output::errors(&view::privileges::incomplete(&errors, &session.loaded.sources));
    }
}

fn commands(plan: &Plan, token: &str) -> Vec<String> {
    pveum::commands(&plan.privileges, token)
}
