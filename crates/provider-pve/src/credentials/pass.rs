//! `pass`, the standard Unix password manager.

use std::process::Stdio;

use secrecy::SecretString;
use tokio::process::Command;

use super::CredentialError;

/// What `pass show ENTRY` prints.
pub(super) async fn show(entry: &str) -> Result<SecretString, CredentialError> {
    if entry.trim().is_empty() || entry.starts_with('-') {
        return Err(CredentialError::PassEntryName { entry: entry.to_owned() });
    }
    run("pass", &["show", entry], entry).await
}

/// Runs a program without a shell and gives its standard output. gpg asks for a passphrase on the
/// terminal by itself (pinentry), so standard input stays closed.
pub(super) async fn run(
    program: &str,
    arguments: &[&str],
    entry: &str,
) -> Result<SecretString, CredentialError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| CredentialError::PassNotRun { entry: entry.to_owned(), source })?;
    if !output.status.success() {
        return Err(CredentialError::PassFailed {
            entry: entry.to_owned(),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    // A lossy copy of bytes that are no UTF-8 fails the check of the shape, with its better text.
    Ok(SecretString::from(String::from_utf8_lossy(&output.stdout).into_owned()))
}
