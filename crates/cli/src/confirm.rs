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
    let answer = dialoguer::Confirm::new().with_prompt(question).default(false).interact_opt();
    match answer {
        Ok(Some(true)) => Ok(()),
        Ok(_) => Err(CliError::Refused {
            message: "nothing was changed".to_owned(),
            help: "answer y, or say --yes".to_owned(),
        }),
        Err(error) => Err(CliError::message(format!("the question could not be asked: {error}"))),
    }
}
