//! Secrets of documents: a text from a file, from `pass`, or handed in.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::{CredentialError, pass, source};

/// Where one secret comes from. Nothing here reads the environment.
#[derive(Debug, Clone)]
pub enum SecretText {
    /// The first line of an entry of `pass`.
    Pass(String),
    /// The first line of a file.
    File(PathBuf),
    /// A value handed in by the caller, whole.
    Inline(SecretString),
}

impl SecretText {
    /// Reads it.
    ///
    /// # Errors
    /// [`CredentialError`], which never holds what was read.
    pub async fn load(&self) -> Result<SecretString, CredentialError> {
        let text = match self {
            Self::Pass(entry) => pass::show(entry).await?,
            Self::File(path) => source::read_file(path).await?,
            Self::Inline(text) => text.clone(),
        };
        let line = match self {
            Self::Inline(_) => text.expose_secret(),
            Self::Pass(_) | Self::File(_) => {
                text.expose_secret().lines().next().unwrap_or_default()
            }
        };
        if line.is_empty() || line.chars().any(char::is_control) {
            let problem = if line.is_empty() { "it is empty" } else { "it has control characters" };
            return Err(CredentialError::Text { origin: self.describe(), problem });
        }
        Ok(SecretString::from(line.to_owned()))
    }

    fn describe(&self) -> String {
        match self {
            Self::Pass(entry) => format!("the pass entry '{entry}'"),
            Self::File(path) => format!("the file {}", path.display()),
            Self::Inline(_) => "the value that was handed in".to_owned(),
        }
    }
}
