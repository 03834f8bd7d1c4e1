//! A value that came through a variable is not where a problem points: the problem says so.

use std::sync::Arc;

use super::super::decode::value::quoted;
use super::super::placeholder::{self, Piece, Place};
use super::Scope;
use crate::diagnostic::{Diagnostic, SourceId, Sources, Span};

/// Codes of problems that are about placeholders themselves.
const OWN: [&str; 4] =
    ["unknown-variable", "unknown-placeholder", "sensitive-variable", "unquoted-placeholder"];

/// Adds to each problem what the variables at its place are. `scopes` are those of the documents.
pub(crate) fn tell(
    problems: &mut [Diagnostic],
    scopes: &[(SourceId, Arc<Scope>)],
    sources: &Sources,
) {
    for problem in problems.iter_mut().filter(|problem| !OWN.contains(&problem.code)) {
        let Some(span) = problem.labels.first().map(|label| label.span) else { continue };
        let names = names_at(span, sources);
        let told: Vec<String> =
            names.iter().filter_map(|name| line(name, span.source, scopes, sources)).collect();
        if !told.is_empty() {
            let lines = problem.help.take().into_iter().chain(told);
            problem.help = Some(lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

/// Variables in the text at `span`.
pub(crate) fn names_at(span: Span, sources: &Sources) -> Vec<String> {
    let text = sources.text(span.source);
    let (start, end) = (span.start as usize, span.start as usize + span.len as usize);
    let written = text.get(start..end).unwrap_or_default();
    let Ok(Some(pieces)) = placeholder::parse(written) else { return Vec::new() };
    let name = |piece| match piece {
        Piece::Place(Place::Var(name)) => Some(name),
        _ => None,
    };
    pieces.into_iter().filter_map(name).collect()
}

/// `var.cores is '99', from --var`. What an included file sees is what its document sees.
fn line(
    name: &str,
    source: SourceId,
    scopes: &[(SourceId, Arc<Scope>)],
    sources: &Sources,
) -> Option<String> {
    let own = scopes.iter().filter(|(id, _)| *id == source);
    let variable = own.chain(scopes).find_map(|(_, scope)| scope.variables.get(name))?;
    let value = variable.shown()?;
    let (from, at) = variable.from();
    let place = at.map(|span| format!(" ({})", sources.position(span))).unwrap_or_default();
    Some(format!("var.{name} is {}, from {from}{place}", quoted(&value)))
}
