//! A diagnostic with its source texts, ready for miette's report handlers.

use std::fmt;

use miette::{LabeledSpan, NamedSource, SourceCode};

use super::excerpt::excerpt;
use super::{Diagnostic, Label, Severity, Sources, Span};

/// One [`Diagnostic`] that owns what a report handler needs. Labels in another file than the
/// primary one are named with the help, because miette shows one file per report. The code is left
/// to views that are read by programs.
#[derive(Debug)]
pub struct Rendered {
    severity: miette::Severity,
    message: String,
    help: Option<String>,
    source: Option<NamedSource<String>>,
    labels: Vec<LabeledSpan>,
}

impl Rendered {
    /// Joins a diagnostic with the texts it points into.
    pub fn new(diagnostic: &Diagnostic, sources: &Sources) -> Self {
        let primary = diagnostic.labels.first().map(|label| label.span.source);
        let (here, elsewhere): (Vec<_>, Vec<_>) =
            diagnostic.labels.iter().partition(|label| Some(label.span.source) == primary);
        let (source, labels) = snippet(&here, sources);
        Self {
            severity: match diagnostic.severity {
                Severity::Error => miette::Severity::Error,
                Severity::Warning => miette::Severity::Warning,
            },
            message: diagnostic.message.clone(),
            help: help(diagnostic, &elsewhere, sources),
            source,
            labels,
        }
    }
}

/// What to do next, and places in other files: miette shows the snippet of one file a report.
fn help(diagnostic: &Diagnostic, elsewhere: &[&Label], sources: &Sources) -> Option<String> {
    let see = |label: &&Label| format!("see {}: {}", sources.position(label.span), label.text);
    let lines: Vec<String> =
        diagnostic.help.iter().cloned().chain(elsewhere.iter().map(see)).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The text that `labels`, all of one file, point into, and they in miette's terms.
fn snippet(
    labels: &[&Label],
    sources: &Sources,
) -> (Option<NamedSource<String>>, Vec<LabeledSpan>) {
    let Some(first) = labels.first() else { return (None, Vec::new()) };
    let ends = |span: Span| [span.start as usize, span.start as usize + span.len as usize];
    let points: Vec<usize> = labels.iter().flat_map(|label| ends(label.span)).collect();
    let (text, points) = excerpt(&sources.text(first.span.source), &points);
    let spans = labels
        .iter()
        .zip(points.chunks_exact(2))
        .map(|(label, ends)| {
            let (start, end) = (ends.first().copied(), ends.last().copied());
            let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
            LabeledSpan::new(Some(label.text.clone()), start, end.saturating_sub(start))
        })
        .collect();
    (Some(NamedSource::new(sources.name(first.span.source), text)), spans)
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Rendered {}

impl miette::Diagnostic for Rendered {
    fn severity(&self) -> Option<miette::Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|text| Box::new(text) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().cloned()))
    }
}
