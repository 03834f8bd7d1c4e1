//! `pvx show ADDRESS`

use pvx_core::address::Address;
use pvx_core::planner::Options;

use crate::args::{Format, Global, ShowOptions};
use crate::exit::{CliError, Code};
use crate::output;
use crate::session::Session;
use crate::view::show;

pub(crate) async fn run(global: &Global, options: &ShowOptions) -> Result<Code, CliError> {
    let address: Address = options
        .address
        .parse()
        .map_err(|e: pvx_core::address::AddressError| CliError::message(e.to_string()))?;
    let session = Session::open(global, &options.documents.paths).await?;
    let result = show(&session, &address).await;
    session.close().await;
    result
}

async fn show(session: &Session<'_>, address: &Address) -> Result<Code, CliError> {
    let known: Vec<String> = session.desired().guests().map(|g| g.address.to_string()).collect();
    if !known.contains(&address.to_string()) {
        let near =
            pvx_core::document::nearest(&address.to_string(), known.iter().map(String::as_str));
        let help = near.map_or_else(
            || "`pvx status` lists all guests".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        return Err(CliError::with_help(format!("the documents have no guest {address}"), help));
    }
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let options = Options::default();
    let detail = show::Detail::of(&session.input(&reading, &options), address);
    match session.global.format {
        Format::Json => output::json(&detail),
        Format::Human => output::text(&show::render(&detail)),
    }
    Ok(Code::Success)
}
