//! API tokens and the places they come from.
//!
//! A secret is held in [`secrecy::SecretString`] from the moment it is read. It has no `Debug`,
//! no `Serialize`, and no way into an error text: errors say where the token was looked for and
//! what is wrong with its shape, never what was read.

mod pass;
mod secret;
mod source;
#[cfg(test)]
mod tests;
mod token;

pub use secret::SecretText;
pub use source::TokenSource;
pub use token::{ApiToken, TokenShapeError};

use std::path::PathBuf;

/// Why a token could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// `pass` could not be started at all.
    #[error(
        "cannot run `pass` for the entry '{entry}': {source}; install pass, or give the token in \
         a file or the environment"
    )]
    PassNotRun {
        /// Name of the entry in the password store.
        entry: String,
        /// Why the program did not start.
        source: std::io::Error,
    },
    /// `pass show` ran and failed, for instance because the entry does not exist.
    #[error("`pass show {entry}` failed ({status}): {stderr}")]
    PassFailed {
        /// Name of the entry in the password store.
        entry: String,
        /// Exit status as text, for instance `exit status: 1`.
        status: String,
        /// What pass wrote to standard error, trimmed.
        stderr: String,
    },
    /// The entry name cannot be handed to `pass` as a name.
    #[error(
        "'{entry}' is not the name of a pass entry: a name is not empty and does not begin with '-'"
    )]
    PassEntryName {
        /// The name as given.
        entry: String,
    },
    /// The file of a token or another secret could not be read.
    #[error("cannot read the file {}: {source}", path.display())]
    File {
        /// The file as given.
        path: PathBuf,
        /// Why it could not be read.
        source: std::io::Error,
    },
    /// Something was read and it cannot be used as a secret.
    #[error("{origin} cannot be used: {problem}")]
    Text {
        /// Where the text came from.
        origin: String,
        /// What is wrong with it; never the text itself.
        problem: &'static str,
    },
    /// Something was read and it is no token.
    #[error("{origin} holds no Proxmox VE API token: {problem}")]
    Shape {
        /// Where the text came from, for instance `the pass entry 'pve/cli'`.
        origin: String,
        /// What is wrong with its shape; never the text itself.
        problem: TokenShapeError,
    },
}
