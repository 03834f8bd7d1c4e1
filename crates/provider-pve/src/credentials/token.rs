//! One API token: its id and its secret.

use std::fmt;

use hyper::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// An API token of Proxmox VE. `Debug` prints the id alone; there is no `Serialize`.
#[derive(Clone)]
pub struct ApiToken {
    /// The token's id, `user@realm!tokenname`. Not a secret: Proxmox prints it in task lists.
    pub id: String,
    /// The token's secret, a uuid.
    pub secret: SecretString,
}

/// What is wrong with the shape of a token. Says nothing of what was read beyond the id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenShapeError {
    /// Nothing but white space was there.
    #[error("it is empty")]
    Empty,
    /// There is an id, but neither a second line nor `=` with a secret after it.
    #[error(
        "no secret was found; give the id on line 1 and the secret on line 2, or \
         user@realm!name=secret on one line"
    )]
    NoSecret,
    /// The id is not `user@realm!tokenname`.
    #[error("the token id must look like user@realm!tokenname, for instance pvx@pve!cli")]
    Id,
    /// The secret is not a uuid.
    #[error(
        "the secret must be a uuid of 36 characters, as shown once when the token was created \
         (it is not shown here)"
    )]
    Secret,
}

impl ApiToken {
    /// Builds a token after checking the shape of both parts.
    ///
    /// # Errors
    /// [`TokenShapeError`] when the id is not `user@realm!tokenname` or the secret is no uuid.
    pub fn new(id: &str, secret: SecretString) -> Result<Self, TokenShapeError> {
        if !is_token_id(id) {
            return Err(TokenShapeError::Id);
        }
        if !is_uuid(secret.expose_secret()) {
            return Err(TokenShapeError::Secret);
        }
        Ok(Self { id: id.to_owned(), secret })
    }

    /// Reads a token from text: id and secret on two lines (as an entry of `pass` has them, further
    /// lines are ignored), or on one line `user@realm!name=uuid`, with or without `PVEAPIToken=`
    /// before it.
    ///
    /// # Errors
    /// [`TokenShapeError`], which never holds what was read.
    pub fn parse(text: &SecretString) -> Result<Self, TokenShapeError> {
        let mut lines = text.expose_secret().lines().map(str::trim);
        let first = lines.next().unwrap_or_default();
        let first = first.strip_prefix("PVEAPIToken=").unwrap_or(first);
        let second = lines.next().unwrap_or_default();
        match first.split_once('=') {
            Some((id, secret)) => Self::new(id.trim(), secret.trim().into()),
            None if first.is_empty() => Err(TokenShapeError::Empty),
            None if second.is_empty() => Err(TokenShapeError::NoSecret),
            None => Self::new(first, second.into()),
        }
    }

    /// The value of the `Authorization` header, marked sensitive so that no library prints it.
    /// `None` when the parts hold characters that a header cannot carry.
    #[must_use]
    pub fn header_value(&self) -> Option<HeaderValue> {
        let text = format!("PVEAPIToken={}={}", self.id, self.secret.expose_secret());
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// `user@realm!tokenname`: the token name is a configuration id, a letter and then letters,
/// digits, `.`, `_` and `-` (PVE::AccessControl, `$token_subid_regex`).
fn is_token_id(id: &str) -> bool {
    let Some((user, name)) = id.split_once('!') else { return false };
    // A user name may hold `@` itself; the realm is what follows the last one.
    let Some((user, realm)) = user.rsplit_once('@') else { return false };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let word = |s: &str| s.starts_with(|c: char| c.is_ascii_alphabetic()) && s.chars().all(plain);
    let user_ok = !user.is_empty()
        && !user.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/'));
    user_ok && word(realm) && word(name)
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|g| g.bytes().all(|b| b.is_ascii_hexdigit()))
}
