//! A plan as one page for a browser: one file, no script, and nothing is fetched from anywhere. A
//! policy in the page itself has the browser hold that.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};
use pvx_core::diagnostic::Sources;
use pvx_core::plan::Plan;

use super::graph::{Graph, svg};
use super::review::Review;
use crate::exit::CliError;

#[cfg(test)]
mod tests;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");

/// The page. `sources` are at hand in the run that made the plan, and not for a saved one.
///
/// # Errors
/// When the page is at odds with its data, which is a fault of pvx.
pub(crate) fn render(plan: &Plan, sources: Option<&Sources>) -> Result<String, CliError> {
    let review = Review::of(plan, sources);
    let graph = Graph::of(plan);
    let picture = if graph.is_empty() { String::new() } else { svg::inline(&graph) };
    let mut environment = Environment::new();
    // Whatever is not marked as ours is text.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.add_filter("visible", |text: &str| super::markdown::visible(text));
    let page = context! {
        style => STYLE,
        review => Value::from(Serde(review)),
        picture => picture,
        version => env!("CARGO_PKG_VERSION"),
    };
    environment
        .render_str(PAGE, page)
        .map_err(|error| CliError::message(format!("the page cannot be made: {error:#}")))
}
