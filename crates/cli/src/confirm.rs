//! The question before anything is changed.

use crate::exit::CliError;
use crate::output;

/// Asks, unless `yes` was said. Without a terminal there is nobody to ask.
///
/// # Errors
/// When the answer is no, or nobody can be asked.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !output::can_ask() {
        return Err(CliError::Refused {
            message: "nothing was changed: there is no terminal to ask on".to_owned(),
            help: "say --yes to go on without a question".to_owned(),
        });
    }
    // A plain line, so that Ctrl-C leaves the terminal as it was.
    output::errors(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        (Ok(_), _) => Err(CliError::Refused {
            message: "nothing was changed".to_owned(),
            help: "answer y, or say --yes".to_owned(),
        }),
        (Err(error), _) => Err(CliError::message(format!("the answer could not be read: {error}"))),
    }
}
