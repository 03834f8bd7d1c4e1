//! `pvx status`

use pvx_core::planner::Options;

use crate::args::{Documents, Format, Global};
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved;
use crate::session::Session;
use crate::view::status;

pub(crate) async fn run(global: &Global, options: &Documents) -> Result<Code, CliError> {
    saved::refuse_among(&options.paths)?;
    let session = Session::open_if_any(global, &options.paths).await?;
    let result = status(&session).await;
    session.close().await;
    result
}

async fn status(session: &Session<'_>) -> Result<Code, CliError> {
    let inventory = session.inventory().await?;
    let reading = session.read(inventory).await?;
    let options = Options::default();
    let rows = status::rows(&session.input(&reading, &options));
    match session.global.format {
        Format::Json => output::json(&status::to_json(&reading.snapshot.inventory, &rows)),
        _ => {
            output::text(&status::headline(&reading.snapshot.inventory));
            if !rows.is_empty() {
                output::text(&status::render(&rows));
            }
        }
    }
    Ok(Code::Success)
}
