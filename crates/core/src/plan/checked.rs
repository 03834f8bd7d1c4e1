//! Which rules of the policy a plan was held against, and how each ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Weight;
use crate::diagnostic::Position;

/// How a rule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold, and someone should look.
    Warned,
    /// It does not hold: the plan cannot be applied.
    Violated,
    /// It could not be evaluated: the plan cannot be applied.
    Failed,
    /// Nothing in the plan is what it is about.
    Skipped,
    /// It does not hold, and the user set it aside with a reason.
    Ignored,
}

impl Verdict {
    /// What the heaviest finding of a rule means.
    pub fn of(worst: Option<Weight>) -> Self {
        match worst {
            Some(Weight::Error) => Self::Violated,
            Some(_) => Self::Warned,
            None => Self::Passed,
        }
    }
}

/// One rule of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// `max_destroy`, or the name of a rule of the organisation.
    pub name: String,
    /// How it ended.
    pub result: Verdict,
    /// Where the rule is written, for one of the organisation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// Why it was set aside, in the user's words.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

impl Checked {
    /// A rule without a place.
    pub fn new(name: &str, result: Verdict) -> Self {
        Self { name: name.to_owned(), result, position: None, reason: None }
    }
}
