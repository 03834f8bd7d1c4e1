//! Problems of documents: with snippets for people, with positions for programs.

use miette::{GraphicalReportHandler, GraphicalTheme};
use pvx_core::diagnostic::{Diagnostic, Rendered, Severity, Sources};
use serde_json::{Value, json};

use super::count;

/// All diagnostics, one after the other, each with its snippet.
pub(crate) fn render(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    diagnostics.iter().map(|d| one(d, sources)).collect()
}

/// One diagnostic with its snippet and an empty line after it.
pub(super) fn one(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode())
        .with_width(80)
        // A fingerprint or a path is copied from here: it stays in one piece.
        .with_break_words(false)
        .with_word_separator(textwrap::WordSeparator::AsciiSpace)
        .with_links(false);
    let mut text = String::new();
    match handler.render_report(&mut text, &Rendered::new(diagnostic, sources)) {
        Ok(()) => text + "\n",
        Err(_) => format!("× {}\n\n", diagnostic.message),
    }
}

/// `3 errors`.
pub(crate) fn count_errors(diagnostics: &[Diagnostic]) -> String {
    count(diagnostics.iter().filter(|d| d.severity == Severity::Error).count(), "error")
}

/// A list of objects with file, line and column.
pub(crate) fn to_json(diagnostics: &[Diagnostic], sources: &Sources) -> Value {
    let label = |label: &pvx_core::diagnostic::Label| json!({ "position": sources.position(label.span), "text": label.text });
    let one = |d: &Diagnostic| {
        json!({
            "severity": d.severity,
            "code": d.code,
            "message": d.message,
            "help": d.help,
            "labels": d.labels.iter().map(label).collect::<Vec<_>>(),
        })
    };
    diagnostics.iter().map(one).collect()
}
