//! Where a token comes from.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::{ApiToken, CredentialError, pass};

/// Where a token comes from. Nothing here reads the environment: the caller does, and hands the
/// value in as [`TokenSource::Inline`].
#[derive(Debug, Clone)]
pub enum TokenSource {
    /// An entry of the standard Unix password manager: line 1 the id, line 2 the secret.
    Pass {
        /// Name of the entry, as `pass show` takes it.
        path: String,
    },
    /// A file in any of the forms of [`ApiToken::parse`].
    File(PathBuf),
    /// A value handed in by the caller, in any of the forms of [`ApiToken::parse`].
    Inline(SecretString),
}

impl TokenSource {
    /// Reads the token and checks its shape.
    ///
    /// # Errors
    /// [`CredentialError`]: `pass` cannot run or fails, the file cannot be read, or what was read
    /// has not the shape of a token. No error holds the text that was read.
    pub async fn load(&self) -> Result<ApiToken, CredentialError> {
        let text = match self {
            Self::Pass { path } => pass::show(path).await?,
            Self::File(path) => read_file(path).await?,
            Self::Inline(text) => text.clone(),
        };
        ApiToken::parse(&text)
            .map_err(|problem| CredentialError::Shape { origin: self.describe(), problem })
    }

    /// The source in words, for error texts.
    fn describe(&self) -> String {
        match self {
            Self::Pass { path } => format!("the pass entry '{path}'"),
            Self::File(path) => format!("the file {}", path.display()),
            Self::Inline(_) => "the value that was handed in".to_owned(),
        }
    }
}

/// Reads a token file, and warns when others than its owner may read it too.
pub(super) async fn read_file(path: &Path) -> Result<SecretString, CredentialError> {
    let failed = |source| CredentialError::File { path: path.to_owned(), source };
    warn_when_open(path).await;
    let text = tokio::fs::read_to_string(path).await.map_err(failed)?;
    Ok(SecretString::from(text))
}

#[cfg(unix)]
async fn warn_when_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = tokio::fs::metadata(path).await else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(
            file = %path.display(),
            mode = format_args!("{mode:03o}"),
            "a file with a secret can be read by others than its owner; chmod 600 closes it"
        );
    }
}

#[cfg(not(unix))]
async fn warn_when_open(_path: &Path) {}
