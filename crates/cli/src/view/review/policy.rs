//! Rules of a policy, and how they ended.

use pvx_core::plan::{Checked, Plan, Verdict};
use serde::Serialize;

use super::place;

/// One rule, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PolicyRow {
    pub(crate) name: String,
    /// `passed`, `violated`, …
    pub(crate) result: &'static str,
    /// One of the five colours.
    pub(crate) class: &'static str,
    pub(crate) reason: Option<String>,
    pub(crate) position: Option<String>,
}

pub(super) fn of(plan: &Plan) -> Vec<PolicyRow> {
    plan.policy.iter().map(row).collect()
}

fn row(checked: &Checked) -> PolicyRow {
    let (result, class) = match checked.result {
        Verdict::Passed => ("passed", "good"),
        Verdict::Warned => ("warned", "warn"),
        Verdict::Violated => ("violated", "bad"),
        Verdict::Failed => ("failed", "bad"),
        Verdict::Skipped => ("skipped", "wait"),
        Verdict::Ignored => ("ignored", "wait"),
    };
    PolicyRow {
        name: checked.name.clone(),
        result,
        class,
        reason: checked.reason.clone(),
        position: checked.position.as_ref().map(place),
    }
}
