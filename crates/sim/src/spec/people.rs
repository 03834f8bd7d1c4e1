//! Users, groups and the ACL of a world file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::value::WordOr;

/// A user.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserSpec {
    /// Password; without one nobody logs in with it (`root@pam` has `lab-root`).
    pub(crate) password: Option<String>,
    /// Whether the user may log in; true without it.
    pub(crate) enable: Option<bool>,
    /// Unix seconds at which the account ends; 0 for never.
    pub(crate) expire: Option<i64>,
    /// Comment.
    pub(crate) comment: Option<String>,
    /// E-mail address.
    pub(crate) email: Option<String>,
    /// First name.
    pub(crate) firstname: Option<String>,
    /// Last name.
    pub(crate) lastname: Option<String>,
    /// The groups of the user.
    pub(crate) groups: Vec<String>,
    /// API tokens by name: the secret (a UUID, as the real one makes them), or all of it.
    pub(crate) tokens: BTreeMap<String, WordOr<TokenSpec>>,
}

/// An API token.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenSpec {
    /// The secret.
    pub(crate) secret: String,
    /// Whether it has rights of its own, within those of the user; true without it.
    #[serde(default = "yes")]
    pub(crate) privsep: bool,
    /// Unix seconds at which it ends; 0 for never.
    #[serde(default)]
    pub(crate) expire: i64,
    /// Comment.
    pub(crate) comment: Option<String>,
}

/// A group.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GroupSpec {
    /// Comment.
    pub(crate) comment: String,
    /// Users.
    pub(crate) members: Vec<String>,
}

/// A line of the ACL: one of `user`, `group` and `token`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AclSpec {
    /// `/`, `/vms/100`, `/storage/local`, `/pool/web`, …
    pub(crate) path: String,
    /// `name@realm`.
    pub(crate) user: Option<String>,
    /// Name of a group.
    pub(crate) group: Option<String>,
    /// `name@realm!token`.
    pub(crate) token: Option<String>,
    /// A role, built in or of `roles`.
    pub(crate) role: String,
    /// Whether it holds below the path too; true without it.
    #[serde(default = "yes")]
    pub(crate) propagate: bool,
}

/// The token of the operator.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorSpec {
    /// `name@realm!token`. It is made, without privilege separation, when `users` does not have it.
    pub(crate) token: String,
    /// Its secret, when it is made.
    pub(crate) secret: Option<String>,
}

fn yes() -> bool {
    true
}
