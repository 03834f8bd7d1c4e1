//! One value: is it of the wanted type, and is it in range? A value that is not gives a problem
//! and `None`, and decoding goes on.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::super::nearest::nearest;
use super::super::size;
use super::super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// Bytes of one text, unless the key says otherwise.
const LONGEST_TEXT: usize = 1024;

/// A value for a message: on one line, shortened, in single quotes.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 48;
    let mut shown: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("'{shown}'")
}

/// `3 ids`, `1 id`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

/// The code of [`secret`]: what it points at is overwritten before anything is shown.
pub(crate) const SECRET: &str = "secret-in-document";

/// A secret where none belongs.
pub(crate) fn secret(span: Span, message: impl Into<String>, help: &str) -> Diagnostic {
    Diagnostic::error(SECRET, message).at(span, "does not belong into this file").help(help)
}

/// A value of the wrong type.
pub(crate) fn wrong_type(node: &Node, key: &str, expected: &str) -> Diagnostic {
    Diagnostic::error("wrong-type", format!("'{key}' must be {expected}"))
        .at(node.span, format!("this is {}", node.describe()))
}

/// A value of the right type that cannot be used.
pub(crate) fn bad_value(span: Span, key: &str, why: impl Display) -> Diagnostic {
    Diagnostic::error("bad-value", format!("the value of '{key}' cannot be used"))
        .at(span, why.to_string())
}

/// A number outside what Proxmox VE or pvx takes.
pub(crate) fn out_of_range(span: Span, key: &str, range: impl Display) -> Diagnostic {
    Diagnostic::error("out-of-range", format!("'{key}' is out of range"))
        .at(span, format!("must be {range}"))
}

/// A word that is not one of the known ones.
pub(crate) fn unknown_word(span: Span, key: &str, text: &str, known: &[&str]) -> Diagnostic {
    let label = nearest(text, known.iter().copied())
        .map_or_else(|| "not known".to_owned(), |word| format!("did you mean '{word}'?"));
    Diagnostic::error("unknown-value", format!("{} is not a value of '{key}'", quoted(text)))
        .at(span, label)
        .help(format!("known: {}", known.join(", ")))
}

/// Any scalar, as it was written.
pub(crate) fn scalar(node: &Node) -> Option<String> {
    node.scalar()
}

/// A text of one line; numbers count as the text they are written as.
pub(crate) fn text(
    node: &Node,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<String>> {
    let value = long_text(node, key, LONGEST_TEXT, problems)?;
    if value.value.chars().any(char::is_control) {
        problems.push(bad_value(node.span, key, "has a line break or control character"));
        return None;
    }
    if value.value.trim().is_empty() {
        problems.push(bad_value(node.span, key, "is empty"));
        return None;
    }
    Some(value)
}

/// A text of any number of lines and at most `longest` bytes.
pub(crate) fn long_text(
    node: &Node,
    key: &str,
    longest: usize,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<String>> {
    let Some(text) = scalar(node) else {
        problems.push(wrong_type(node, key, "text"));
        return None;
    };
    if text.len() > longest {
        let why = format!("is {} bytes long, at most {longest} are taken", text.len());
        problems.push(bad_value(node.span, key, why));
        return None;
    }
    Some(Spanned::new(text, node.span))
}

/// A whole number in `range`.
pub(crate) fn integer(
    node: &Node,
    key: &str,
    range: RangeInclusive<u32>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<u32>> {
    let Kind::Number(text) = &node.kind else {
        let quotes = matches!(&node.kind, Kind::Text(text) if text.parse::<u32>().is_ok());
        let problem = wrong_type(node, key, "a number");
        problems.push(if quotes { problem.help("write it without quotes") } else { problem });
        return None;
    };
    if text.len() > 1 && text.starts_with('0') {
        problems.push(bad_value(node.span, key, "a number has no leading zeros"));
        return None;
    }
    let value = text.parse::<u32>().ok().filter(|value| range.contains(value));
    if value.is_none() {
        let whole = text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit());
        let kind = if whole { "" } else { "a whole number, " };
        let range = format!("{kind}{} to {}", range.start(), range.end());
        problems.push(out_of_range(node.span, key, range));
    }
    value.map(|value| Spanned::new(value, node.span))
}

/// `true` or `false`, also as YAML 1.1 and Proxmox VE write them.
pub(crate) fn boolean(
    node: &Node,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<bool>> {
    let value = match &node.kind {
        Kind::Bool(value) => Some(*value),
        Kind::Text(text) | Kind::Number(text) => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "1" => Some(true),
            "no" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    if value.is_none() {
        problems.push(wrong_type(node, key, "true or false"));
    }
    value.map(|value| Spanned::new(value, node.span))
}

/// One of `known`.
pub(crate) fn word(
    node: &Node,
    key: &str,
    known: &[&str],
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<String>> {
    let value = text(node, key, problems)?;
    if known.contains(&value.value.as_str()) {
        return Some(value);
    }
    problems.push(unknown_word(node.span, key, &value.value, known));
    None
}

/// A size in bytes that is more than nothing; a bare number counts in `bare` bytes.
pub(crate) fn bytes(
    node: &Node,
    key: &str,
    bare: u64,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<u64>> {
    let (Kind::Number(text) | Kind::Text(text)) = &node.kind else {
        problems.push(wrong_type(node, key, "a size, such as 40G or 4096M"));
        return None;
    };
    match size::parse(text, bare) {
        Ok(0) => problems.push(out_of_range(node.span, key, "more than 0")),
        Ok(bytes) => return Some(Spanned::new(bytes, node.span)),
        Err(error) => problems.push(bad_value(node.span, key, error)),
    }
    None
}

/// The items of a list; a single scalar counts as a list of one.
pub(crate) fn items<'n>(
    node: &'n Node,
    key: &str,
    most: usize,
    problems: &mut Vec<Diagnostic>,
) -> &'n [Node] {
    let items = match &node.kind {
        Kind::Seq(items) => items.as_slice(),
        Kind::Map(_) => {
            problems.push(wrong_type(node, key, "a list"));
            &[]
        }
        _ => std::slice::from_ref(node),
    };
    if items.len() > most {
        let why = format!("has {} items, at most {most} are taken", items.len());
        problems.push(bad_value(node.span, key, why));
        return &[];
    }
    items
}

/// A list of texts.
pub(crate) fn texts(
    node: &Node,
    key: &str,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Spanned<String>> {
    let items = items(node, key, 256, problems);
    items.iter().filter_map(|item| text(item, key, problems)).collect()
}
