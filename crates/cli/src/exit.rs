//! The one crossing point from errors to exit codes and to what the user reads.

use std::path::Path;
use std::process::ExitCode;

use pvx_core::diagnostic::{Diagnostic, Sources};
use pvx_core::provider::ProviderError;
use pvx_core::state::StateError;
use serde_json::json;

use crate::args::{Format, Global};
use crate::output;
use crate::view;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done, or nothing to do.
    Success,
    /// An error; nothing was changed.
    Error,
    /// `plan --detailed-exitcode`: there are changes.
    Changes,
    /// Carried out in part.
    Partial,
    /// Not confirmed, or another pvx is at work.
    Refused,
    /// A saved plan that does not hold any more; nothing was changed.
    Stale,
    /// Stopped by Ctrl-C.
    Interrupted,
}

impl Code {
    /// What the caller of pvx gets.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Changes => 2,
            Self::Partial => 3,
            Self::Refused => 4,
            Self::Stale => 5,
            Self::Interrupted => 130,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// Why a command could not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The documents have errors.
    Documents { diagnostics: Vec<Diagnostic>, sources: Sources },
    /// The cluster could not be read.
    Provider(ProviderError),
    /// The local state cannot be used.
    State(StateError),
    /// The user did not agree, or could not be asked.
    Refused { message: String, help: String },
    /// A saved plan does not hold any more: in one sentence, and in lines.
    Stale { message: String, details: Vec<String>, help: String },
    /// Anything else.
    Message { message: String, help: Option<String> },
}

impl CliError {
    pub(crate) fn message(message: impl Into<String>) -> Self {
        Self::Message { message: message.into(), help: None }
    }

    pub(crate) fn with_help(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Message { message: message.into(), help: Some(help.into()) }
    }

    /// The saved plan at `path` is not carried out.
    pub(crate) fn stale(
        path: &Path,
        why: impl std::fmt::Display,
        details: Vec<String>,
        help: impl Into<String>,
    ) -> Self {
        let message = format!("the plan {} is refused: {why}", path.display());
        let help = format!("nothing was changed; {}", help.into());
        Self::Stale { message, details, help }
    }

    /// The exit code that it becomes.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Stale { .. } => Code::Stale,
            // Nothing is wrong, and nothing was changed: later it may go on as it is.
            Self::Refused { .. } | Self::State(StateError::Locked { .. }) => Code::Refused,
            _ => Code::Error,
        }
    }

    /// What went wrong, in one sentence.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Documents { diagnostics, .. } => {
                let errors = view::diagnostics::count_errors(diagnostics);
                format!("{errors} in the documents")
            }
            Self::Provider(error) => error.message.clone(),
            Self::State(error) => error.to_string(),
            Self::Refused { message, .. }
            | Self::Stale { message, .. }
            | Self::Message { message, .. } => message.clone(),
        }
    }

    /// What to do next.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Self::Documents { .. } => None,
            Self::State(error) => error.help(),
            Self::Provider(error) => error.help.clone(),
            Self::Refused { help, .. } | Self::Stale { help, .. } => Some(help.clone()),
            Self::Message { help, .. } => help.clone(),
        }
    }
}

impl From<ProviderError> for CliError {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<StateError> for CliError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// Prints what went wrong and turns the result into the process's exit code.
pub(crate) fn report(result: Result<Code, CliError>, global: &Global) -> ExitCode {
    let error = match result {
        Ok(code) => return code.into(),
        Err(error) => error,
    };
    match global.format {
        Format::Json => output::json(&json_error(&error)),
        _ => print_error(&error),
    }
    error.code().into()
}

fn print_error(error: &CliError) {
    if let CliError::Documents { diagnostics, sources } = error {
        output::errors(&view::diagnostics::render(diagnostics, sources));
    }
    if let CliError::Stale { message, details, help } = error {
        output::errors(&view::saved::refusal(message, details, help));
        return;
    }
    output::errors(&view::problem(&error.text(), error.help().as_deref()));
    if let CliError::Provider(error) = error {
        output::errors(&view::log_tail(&error.log));
    }
}

fn json_error(error: &CliError) -> serde_json::Value {
    let mut value = json!({ "error": { "message": error.text(), "help": error.help() } });
    if let CliError::Documents { diagnostics, sources } = error
        && let Some(object) = value.as_object_mut()
    {
        let list = view::diagnostics::to_json(diagnostics, sources);
        object.insert("diagnostics".to_owned(), list);
    }
    if let CliError::Stale { details, .. } = error
        && let Some(object) = value.get_mut("error").and_then(|error| error.as_object_mut())
    {
        object.insert("details".to_owned(), json!(details));
    }
    value
}

/// clap's own words for a command line that it does not understand; help and version go through
/// here too. Exit code 2 means "changes", so a wrong command line is a plain error.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    // When the terminal is gone there is nobody left to tell.
    let _ = error.print();
    if wrong { Code::Error.into() } else { Code::Success.into() }
}

/// The output could not be written in full: whoever reads it must not take it for all. Not a plain
/// error, because an apply may well have changed something before.
pub(crate) fn unwritten() -> ExitCode {
    output::errors(&view::problem("the output could not be written", Some("is the disk full?")));
    Code::Partial.into()
}
