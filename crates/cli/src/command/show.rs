//! `pvx show ADDRESS`, and where its values are from with `--explain`; `pvx show FILE` of a saved
//! plan.

use std::path::Path;

use pvx_core::address::Address;
use pvx_core::desired::Desired;
use pvx_core::planner::Options;

use crate::args::{Format, Global, ShowOptions};
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved;
use crate::session::{self, Session};
use crate::view::{self, explain, show};

pub(crate) async fn run(global: &Global, options: &ShowOptions) -> Result<Code, CliError> {
    let path = Path::new(&options.address);
    if saved::is_plan(path) {
        return show_saved(global, path);
    }
    let address: Address = options
        .address
        .parse()
        .map_err(|e: pvx_core::address::AddressError| no_address(path, &e))?;
    if options.explain {
        return explain(global, options, &address);
    }
    let session = Session::open(global, &options.documents.paths).await?;
    let result = show(&session, &address).await;
    session.close().await;
    result
}

/// A saved plan, as it was made: asks no cluster.
fn show_saved(global: &Global, path: &Path) -> Result<Code, CliError> {
    let saved = saved::read(path)?;
    if global.format == Format::Human {
        output::text(&view::saved::line(&saved, saved::now()));
    }
    super::plan::print(global.format, &saved.plan, None)?;
    Ok(Code::Success)
}

/// Documents only: what they say of the guest, and where.
fn no_address(path: &Path, error: &pvx_core::address::AddressError) -> CliError {
    let help = "`pvx status` lists the guests; a plan is saved with `pvx plan --out FILE`";
    match path.exists() {
        true => CliError::with_help(format!("{} is no saved plan", path.display()), help),
        false => CliError::with_help(format!("{error}, nor is there such a file"), help),
    }
}

fn explain(global: &Global, options: &ShowOptions, address: &Address) -> Result<Code, CliError> {
    let loaded = session::load_explained(global, &options.documents.paths, address)?;
    let Some(explanation) = &loaded.explanation else {
        return Err(unknown(&loaded.desired, address));
    };
    match global.format {
        Format::Json => output::json(&explain::to_json(explanation, &loaded.sources)),
        _ => output::text(&explain::render(explanation, &loaded.sources)),
    }
    Ok(Code::Success)
}

fn unknown(desired: &Desired, address: &Address) -> CliError {
    let known: Vec<String> = desired.guests().map(|g| g.address.to_string()).collect();
    let near = pvx_core::document::nearest(&address.to_string(), known.iter().map(String::as_str));
    let help = near.map_or_else(
        || "`pvx status` lists all guests".to_owned(),
        |near| format!("did you mean {near}?"),
    );
    CliError::with_help(format!("the documents have no guest {address}"), help)
}

async fn show(session: &Session<'_>, address: &Address) -> Result<Code, CliError> {
    if !session.desired().guests().any(|guest| guest.address == *address) {
        return Err(unknown(session.desired(), address));
    }
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let options = Options::default();
    let detail = show::Detail::of(&session.input(&reading, &options), address);
    match session.global.format {
        Format::Json => output::json(&detail),
        _ => output::text(&show::render(&detail)),
    }
    Ok(Code::Success)
}
