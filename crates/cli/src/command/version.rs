//! `pvx version`

use serde_json::json;

use crate::args::{Format, Global};
use crate::exit::{CliError, Code};
use crate::output;

#[expect(clippy::unnecessary_wraps, reason = "every command has this shape")]
pub(crate) fn run(global: &Global) -> Result<Code, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    match global.format {
        Format::Json => output::json(&json!({ "version": version })),
        _ => output::text(&format!("pvx {version}\n")),
    }
    Ok(Code::Success)
}
