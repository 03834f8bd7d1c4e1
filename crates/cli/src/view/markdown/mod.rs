//! A plan as Markdown, for a comment on a merge request: GitHub, GitLab and Forgejo read the same.
//!
//! It never is longer than [`LIMIT`]: what does not fit is left out step by step ([`detail`]), and
//! the text says what, and how to see it.

mod detail;
mod escape;
mod section;
#[cfg(test)]
mod tests;

use pvx_core::diagnostic::Sources;
use pvx_core::plan::Plan;

use super::review::Review;
use detail::LADDER;
pub(in crate::view) use escape::visible;

/// Bytes that the text never reaches. GitHub takes 65,536 characters.
pub(crate) const LIMIT: usize = 60_000;

/// The comment. `sources` are at hand in the run that made the plan, and not for a saved one.
pub(crate) fn render(plan: &Plan, sources: Option<&Sources>) -> String {
    let review = Review::of(plan, sources);
    let mut text = String::new();
    for detail in &LADDER {
        text = section::all(&review, detail);
        if text.len() < LIMIT {
            break;
        }
    }
    text
}
