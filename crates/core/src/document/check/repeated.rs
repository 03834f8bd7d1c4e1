//! Values that only one guest may have.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::diagnostic::{Diagnostic, Span};

/// Finds values that are claimed more than once. Claims that come from the same two places (two
/// overlapping groups, say) are one problem, not one for each value.
pub(super) struct Repeated<V> {
    code: &'static str,
    thing: &'static str,
    help: &'static str,
    first: BTreeMap<V, (Span, String)>,
    found: BTreeMap<(Span, Span), Found<V>>,
}

struct Found<V> {
    first: String,
    again: String,
    values: Vec<V>,
}

impl<V: Ord + Clone + Display> Repeated<V> {
    /// `thing` is the value in the words of the error: "VMID".
    pub(super) fn new(code: &'static str, thing: &'static str, help: &'static str) -> Self {
        Self { code, thing, help, first: BTreeMap::new(), found: BTreeMap::new() }
    }

    /// `who` claims `value` at `span`.
    pub(super) fn claim(&mut self, value: V, span: Span, who: impl Display) {
        let Some((first, owner)) = self.first.get(&value) else {
            self.first.insert(value, (span, who.to_string()));
            return;
        };
        self.found
            .entry((*first, span))
            .or_insert_with(|| Found {
                first: owner.clone(),
                again: who.to_string(),
                values: Vec::new(),
            })
            .values
            .push(value);
    }

    /// Reports what was claimed twice.
    pub(super) fn report(self, problems: &mut Vec<Diagnostic>) {
        for ((first, again), found) in self.found {
            let Found { first: owner, again: other, values } = found;
            let Some(value) = values.first() else { continue };
            let more = match values.len() {
                1 => String::new(),
                n => format!(" (and {} more)", n - 1),
            };
            let message = if owner == other {
                format!("{} {value}{more} is given twice", self.thing)
            } else {
                format!("{} {value}{more} is claimed by {owner} and {other}", self.thing)
            };
            let mut problem = Diagnostic::error(self.code, message).help(self.help);
            if first == again {
                problem = problem.at(again, "the same for every guest here");
            } else if owner == other {
                problem = problem.at(again, "again here").at(first, "first here");
            } else {
                problem = problem
                    .at(again, format!("claimed by {other}"))
                    .at(first, format!("claimed by {owner}"));
            }
            problems.push(problem);
        }
    }
}
