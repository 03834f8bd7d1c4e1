//! `pvx validate`: documents only, no cluster.

use pvx_core::diagnostic::has_errors;
use serde_json::json;

use crate::args::{Documents, Format, Global};
use crate::exit::{CliError, Code};
use crate::output;
use crate::saved;
use crate::session;
use crate::view;

pub(crate) fn run(global: &Global, options: &Documents) -> Result<Code, CliError> {
    saved::refuse_among(&options.paths)?;
    let loaded = session::load_unchecked(global, &options.paths);
    if has_errors(&loaded.diagnostics) {
        let (diagnostics, sources) = (loaded.diagnostics, loaded.sources);
        return Err(CliError::Documents { diagnostics, sources });
    }
    let profiles = loaded.desired.profiles.len();
    let guests = loaded.desired.guests().count();
    match global.format {
        Format::Json => output::json(&json!({
            "valid": true,
            "profiles": profiles,
            "guests": guests,
            "diagnostics": view::diagnostics::to_json(&loaded.diagnostics, &loaded.sources),
        })),
        _ => {
            output::errors(&view::diagnostics::render(&loaded.diagnostics, &loaded.sources));
            output::text(&format!(
                "valid: {}, {}\n",
                view::count(profiles, "document"),
                view::count(guests, "guest")
            ));
        }
    }
    Ok(Code::Success)
}
