//! Rules that an organisation writes itself: small expressions in CEL over the guests of the
//! documents, the changes of a plan, or the plan as a whole.
//!
//! `names` has what an expression may speak of, `values` what that is in a plan, `compile` reads an
//! expression, `infer` finds names and types that do not fit before a cluster is asked, `place`
//! finds the spot in the YAML text, `engine` keeps all of it away from our own stack.

mod compile;
mod engine;
mod evaluate;
mod infer;
mod message;
mod names;
mod place;
mod sample;
mod values;

pub(super) use evaluate::check;

use crate::diagnostic::{Diagnostic, Sources, Span, Spanned};

/// Bytes of one expression, at most.
pub(crate) const LONGEST: usize = 2000;
/// Rules of one configuration, at most.
pub(crate) const MOST: usize = 256;

/// A rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name, for people.
    pub name: Spanned<String>,
    /// What it is asked about.
    pub each: Each,
    /// It is asked only where this holds.
    pub when: Option<Expression>,
    /// What must hold.
    pub check: Expression,
    /// What is said when it does not; `{{ expression }}` in it is replaced.
    pub message: Option<Spanned<String>>,
    /// How bad that is.
    pub severity: Severity,
    /// The key of the guest that the message points at: `memory`, `disks.scsi1`.
    pub at: Option<String>,
}

/// A text in CEL.
#[derive(Debug, Clone)]
pub struct Expression {
    /// The text.
    pub text: String,
    /// The YAML value that it is, with its quotes.
    pub span: Span,
}

/// What a rule is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// Every guest of the documents, whether it changes or not.
    Guest,
    /// Every guest that the plan does something to.
    Change,
    /// The plan, once.
    Plan,
}

/// How bad it is when a rule does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The plan cannot be applied.
    Error,
    /// It can, and someone should look.
    Warning,
}

/// What is wrong with the rules themselves: syntax, names, types. Asks no cluster.
pub(crate) fn problems(rules: &[Rule], sources: &Sources) -> Vec<Diagnostic> {
    if rules.is_empty() {
        return Vec::new();
    }
    let examined = engine::apart(|| {
        let engine = engine::Engine::new();
        rules.iter().flat_map(|rule| sample::examine(&engine, rule, sources)).collect()
    });
    examined.unwrap_or_else(|why| {
        let first = rules.first().map(|rule| rule.name.span);
        vec![
            Diagnostic::error("bad-rule", format!("the rules cannot be read: {why}"))
                .at_opt(first, "one of those from here on")
                .help("take rules out until it is found"),
        ]
    })
}
