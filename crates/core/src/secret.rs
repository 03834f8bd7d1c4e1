//! Secrets that documents refer to: a document says where a secret is, never what it is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::address::Address;
use crate::plan::{ActionKind, Plan};

/// Where a secret is. It is read when a plan that needs it is applied, and not before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// `{env: NAME}`: a variable of the environment.
    Env(String),
    /// `{file: PATH}`: the first line of a file.
    File(PathBuf),
    /// `{pass: ENTRY}`: the first line of an entry of `pass`.
    Pass(String),
    /// `{var: NAME}`: a variable of the documents.
    Variable(String),
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env {name}"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Pass(entry) => write!(f, "pass {entry}"),
            Self::Variable(name) => write!(f, "var {name}"),
        }
    }
}

/// A password of cloud-init. Proxmox VE never shows one, so a changed one is noticed by its
/// version alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Password {
    /// Where it is.
    pub source: SecretSource,
    /// Counted up by whoever changes the password.
    pub version: Option<u32>,
}

/// Stands in plans for a secret: whoever carries the plan out puts the secret in right before it
/// is sent.
pub const MARKER: &str = "<secret>";

/// Configuration keys whose values are secrets: in a plan they hold [`MARKER`] and nothing else.
pub const SECRET_KEYS: &[&str] = &["cipassword"];

/// Guests whose secrets are needed to carry the plan out.
pub fn needed(plan: &Plan) -> BTreeSet<Address> {
    let needs = |set: &BTreeMap<String, String>| {
        SECRET_KEYS.iter().any(|key| set.get(*key).is_some_and(|value| value == MARKER))
    };
    let actions = plan.actions.iter().filter(|action| match &action.kind {
        ActionKind::Create { config: set, .. } | ActionKind::Configure { set, .. } => needs(set),
        _ => false,
    });
    actions.map(|action| action.address.clone()).collect()
}
