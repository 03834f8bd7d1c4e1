//! `pvx completions SHELL`

use clap::CommandFactory;

use crate::args::{Args, CompletionsOptions};
use crate::exit::{CliError, Code};
use crate::output;

pub(crate) fn run(options: &CompletionsOptions) -> Result<Code, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Args::command(), "pvx", &mut script);
    let script = String::from_utf8(script)
        .map_err(|error| CliError::message(format!("the script is not text: {error}")))?;
    output::text(&script);
    Ok(Code::Success)
}
