//! Where the values of one guest are from.

use pvx_core::diagnostic::{Position, Sources, Span};
use pvx_core::document::{Explained, Explanation, Through};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::paint::{FAINT, STRONG, pad, paint, widest};

/// Columns of the terminal.
const WIDTH: usize = 80;
/// Columns of keys, at most; a longer key moves its value to the right.
const WIDEST_KEY: usize = 28;

/// For people: one value a line, and behind it, or below when there is no room, who says it.
pub(crate) fn render(explanation: &Explanation, sources: &Sources) -> String {
    let address = explanation.address.to_string();
    let mut text = format!("{}\n\n", paint(STRONG, &address));
    let keys = widest(explanation.values.iter().map(|value| value.path.as_str())).min(WIDEST_KEY);
    let mut before = "";
    for explained in &explanation.values {
        let key = if explained.path == before { "" } else { explained.path.as_str() };
        before = &explained.path;
        let value = shortened(&explained.value);
        let from = from(explained, sources);
        let line = format!("  {}  {value}", pad(key, keys));
        let room = WIDTH.saturating_sub(line.width() + 2);
        if from.width() <= room {
            let space = " ".repeat(room - from.width() + 2);
            text.push_str(&format!("{line}{space}{}\n", paint(FAINT, &from)));
        } else {
            text.push_str(&format!("{}\n", line.trim_end()));
            text.push_str(&below(&from, keys));
        }
        for variable in &explained.through {
            text.push_str(&below(&through(variable, sources), keys));
        }
    }
    text
}

/// A line at the right margin, or as far left as it must be.
fn below(text: &str, keys: usize) -> String {
    let space = WIDTH.saturating_sub(text.width()).max(keys.min(8) + 4);
    format!("{}{}\n", " ".repeat(space), paint(FAINT, text))
}

fn shortened(value: &str) -> String {
    const MOST: usize = 40;
    if value.width() <= MOST {
        return value.to_owned();
    }
    let kept: String = value.chars().take(MOST - 1).collect();
    format!("{kept}…")
}

fn from(explained: &Explained, sources: &Sources) -> String {
    match explained.at {
        Some(span) => format!("{}, {}", explained.layer, line(span, sources)),
        None => explained.layer.clone(),
    }
}

fn through(variable: &Through, sources: &Sources) -> String {
    let place = variable.at.map(|span| format!(", {}", line(span, sources))).unwrap_or_default();
    format!("var.{}: {}{place}", variable.name, variable.from)
}

/// `clusters/k3s.yaml:12`
fn line(span: Span, sources: &Sources) -> String {
    let Position { file, line, .. } = sources.position(span);
    format!("{file}:{line}")
}

/// For programs.
pub(crate) fn to_json(explanation: &Explanation, sources: &Sources) -> Value {
    let position = |span: Option<Span>| span.map(|span| sources.position(span));
    let variable = |variable: &Through| {
        json!({
            "name": variable.name,
            "value": variable.value,
            "from": variable.from,
            "position": position(variable.at),
        })
    };
    let value = |explained: &Explained| {
        json!({
            "path": explained.path,
            "value": explained.value,
            "layer": explained.layer,
            "position": position(explained.at),
            "variables": explained.through.iter().map(variable).collect::<Vec<_>>(),
        })
    };
    json!({
        "address": explanation.address,
        "values": explanation.values.iter().map(value).collect::<Vec<_>>(),
    })
}
