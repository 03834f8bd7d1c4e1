//! What an organisation forbids. A policy adds findings to a plan and takes nothing away: an Error
//! keeps the whole plan from being applied.
//!
//! `destroy` has what may not be removed, `window` when changes are allowed, `rule` the rules that
//! an organisation writes itself. Pure, like the planner: the time is handed in. What is checked
//! and how it ended stands in [`Plan::policy`].

mod destroy;
mod rule;
mod window;

pub use rule::{Each, Expression, Rule, Severity};
pub(crate) use rule::{LONGEST as LONGEST_EXPRESSION, MOST as MOST_RULES, problems};
pub use window::{Freeze, Window, Zone, outside};
pub(crate) use window::{clock, date, day_named};

use jiff::Timestamp;

use crate::diagnostic::{Span, Spanned};
use crate::plan::{Checked, Finding, Plan, Verdict};
use crate::planner::{Input, settle};

/// `policy` of `cluster-config.yaml`, with the rules of the files that it names.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// How many guests one plan may destroy or replace.
    pub max_destroy: Option<Spanned<u32>>,
    /// Guests with one of these tags are neither destroyed nor replaced. In lower case.
    pub protected_tags: Vec<Spanned<String>>,
    /// The time zone of windows that say none, of `freeze`, and of `now` in rules.
    pub zone: Zone,
    /// When changes are allowed; none: always.
    pub windows: Vec<Window>,
    /// Where the windows are said.
    pub windows_at: Option<Span>,
    /// Days on which no changes are allowed, windows or not.
    pub freeze: Vec<Freeze>,
    /// Rules of the organisation, those of the configuration first.
    pub rules: Vec<Rule>,
}

/// Adds to the plan what the policy says of it.
///
/// What is forbidden at this time only is an Error when the plan is to be carried out, and a
/// Warning when it is made to be looked at.
pub fn check(plan: &mut Plan, input: &Input<'_>, policy: &Policy, now: Timestamp) {
    let mut verdicts = Verdicts::default();
    destroy::check(plan, input, policy, &mut verdicts);
    window::check(plan, input, policy, now, &mut verdicts);
    rule::check(plan, input, policy, now, &mut verdicts);
    plan.findings.extend(verdicts.findings);
    plan.policy = verdicts.checked;
    settle(&mut plan.findings, input.sources);
}

/// What was checked so far.
#[derive(Debug, Default)]
struct Verdicts {
    findings: Vec<Finding>,
    checked: Vec<Checked>,
}

impl Verdicts {
    /// A built-in rule with the findings it has.
    fn add(&mut self, name: &str, findings: Vec<Finding>) {
        let worst = findings.iter().map(|finding| finding.weight).min();
        self.checked.push(Checked::new(name, Verdict::of(worst)));
        self.findings.extend(findings);
    }
}

#[cfg(test)]
mod tests;
