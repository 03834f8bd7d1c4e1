//! YAML text to a tree in which every node knows its place.
//!
//! serde-saphyr parses and enforces the budgets; its `Spanned` gives byte ranges. Plain scalars
//! that YAML takes for numbers keep their text as written, because `1.30` is a version and `08`
//! is a name before either is a number.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Options, Spanned as Located};

use super::placeholder::{self, Piece};
use super::variable::Secret;
use crate::diagnostic::{Diagnostic, SourceId, Span, Spanned};

/// Mappings and lists inside each other, at most. Documents have six; every level costs stack,
/// some 20 KiB in a debug build.
const MAX_DEPTH: usize = 24;
/// Mappings, lists and scalars in one file, at most.
const MAX_NODES: usize = 50_000;
/// Nodes that aliases may repeat in one file, at most.
const MAX_REPEATED: usize = 20_000;
/// Bytes of all scalars of one file with aliases followed, at most.
const MAX_SCALAR_BYTES: usize = 16 << 20;

/// One YAML value and its place. For a value that came through an alias or a merge key the place
/// is where it is defined.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// Nothing after the colon, `null` or `~`.
    Null,
    /// `true` or `false`; `yes` and `on` are texts.
    Bool(bool),
    /// A plain scalar that YAML takes for a number, as written.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// A text with placeholders that wait for a guest. Nothing but `placeholder` makes one.
    Template(Vec<Piece>),
    /// The value of a sensitive variable, which has no text. Nothing but `placeholder` makes one.
    Secret(Secret),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `key: value`; a repeated key gives two entries.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: Spanned<String>,
    pub(crate) value: Node,
}

impl Node {
    /// What the node is, in the words of an error.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) | Kind::Template(_) => "text",
            Kind::Secret(_) => "a secret",
            Kind::Seq(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }

    /// Any scalar, as it was written; a secret has no text.
    pub(crate) fn scalar(&self) -> Option<String> {
        match &self.kind {
            Kind::Bool(value) => Some(value.to_string()),
            Kind::Number(text) | Kind::Text(text) => Some(text.clone()),
            Kind::Template(pieces) => Some(placeholder::written(pieces)),
            Kind::Null | Kind::Secret(_) | Kind::Seq(_) | Kind::Map(_) => None,
        }
    }

    /// The value under `key` when this is a mapping that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Map(entries) = &self.kind else { return None };
        entries.iter().find(|entry| entry.key.value == key).map(|entry| &entry.value)
    }
}

/// All YAML documents of one text; empty ones are left out.
///
/// # Errors
/// The first thing that is not YAML, or the budget that the text exceeds.
pub(crate) fn parse(source: SourceId, text: &str) -> Result<Vec<Node>, Diagnostic> {
    let places = Places { source, text };
    let documents: Vec<Located<Raw>> =
        serde_saphyr::from_multiple_with_options(text, options()).map_err(|e| places.error(&e))?;
    documents.into_iter().map(|document| places.node(document)).collect()
}

fn options() -> Options {
    serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED,
            max_replay_stack_depth: 16,
        },
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: 256,
            max_total_scalar_bytes: MAX_SCALAR_BYTES,
            max_recorded_anchor_bytes: MAX_SCALAR_BYTES,
        },
    }
}

/// A value as serde-saphyr hands it over.
enum Raw {
    Null,
    Bool(bool),
    Number,
    Text(String),
    Seq(Vec<Located<Raw>>),
    Map(Vec<(Located<Raw>, Located<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::Seq(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

/// Translates places of the parser to ours.
struct Places<'t> {
    source: SourceId,
    text: &'t str,
}

impl Places<'_> {
    fn node(&self, located: Located<Raw>) -> Result<Node, Diagnostic> {
        let mut span = self.span(located.defined);
        let kind = match located.value {
            Raw::Null => Kind::Null,
            Raw::Bool(value) => Kind::Bool(value),
            Raw::Number => Kind::Number(self.slice(span).to_owned()),
            Raw::Text(text) => Kind::Text(text),
            Raw::Seq(items) => {
                Kind::Seq(items.into_iter().map(|item| self.node(item)).collect::<Result<_, _>>()?)
            }
            Raw::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Ok(Entry { key: self.key(key)?, value: self.node(value)? }))
                    .collect::<Result<_, _>>()?,
            ),
        };
        // A block mapping or list has no first character of its own: its first key stands for it.
        match &kind {
            Kind::Map(entries) if span.len == 0 => {
                span = entries.first().map_or(span, |entry| entry.key.span);
            }
            Kind::Seq(items) if span.len == 0 => {
                span = items.first().map_or(span, |item| item.span);
            }
            // The place of a block scalar ends with its last line break.
            Kind::Text(_) => span.len = length(self.slice(span).trim_end()),
            _ => {}
        }
        Ok(Node { span, kind })
    }

    fn key(&self, located: Located<Raw>) -> Result<Spanned<String>, Diagnostic> {
        let node = self.node(located)?;
        let text = match node.kind {
            Kind::Null => self.slice(node.span).to_owned(),
            Kind::Bool(_) => self.slice(node.span).to_owned(),
            Kind::Number(text) | Kind::Text(text) => text,
            Kind::Template(_) | Kind::Secret(_) | Kind::Seq(_) | Kind::Map(_) => {
                return Err(Diagnostic::error("invalid-yaml", "a key must be a single word")
                    .at(node.span, "this key is a list or a mapping")
                    .help("put the value in quotes if it begins with '{', '[' or '?'"));
            }
        };
        Ok(Spanned::new(text, node.span))
    }

    fn slice(&self, span: Span) -> &str {
        let start = span.start as usize;
        self.text.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// Byte range of a location. Errors of the scanner have line and column only.
    fn span(&self, location: Location) -> Span {
        let span = location.span();
        if let (Some(start), Some(len)) = (span.byte_offset(), span.byte_len()) {
            let clamp = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
            return Span { source: self.source, start: clamp(start), len: clamp(len) };
        }
        let line = usize::try_from(location.line()).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
        let before: usize = self.text.split_inclusive('\n').take(line).map(str::len).sum();
        let rest = self.text.get(before..).unwrap_or_default();
        let (offset, here) = rest
            .char_indices()
            .nth(column)
            .map_or((rest.len(), 0), |(offset, char)| (offset, char.len_utf8()));
        let here = if rest.get(offset..).is_some_and(|t| t.starts_with('\n')) { 0 } else { here };
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Span { source: self.source, start: clamp(before + offset), len: clamp(here) }
    }

    fn error(&self, error: &Error) -> Diagnostic {
        // An alias error knows where the alias is; the error inside it, where the anchor is.
        let place = error.location();
        let error = innermost(error);
        let span = place
            .map_or(Span { source: self.source, start: 0, len: 0 }, |location| self.span(location));
        if let Some((what, help)) = budget(error) {
            return Diagnostic::error("yaml-budget", format!("this file is refused: {what}"))
                .at(span, "the limit is passed here")
                .help(help);
        }
        let text = first_words(error);
        let help = if text.contains("tab") {
            "indent with spaces; YAML does not allow tabs there"
        } else if text.contains("unknown anchor") {
            "'*name' repeats what an earlier '&name' marks; put a text that begins with '*' in quotes"
        } else {
            "check indentation, quotes and brackets at and above this line"
        };
        Diagnostic::error("invalid-yaml", "this is not YAML").at(span, text).help(help)
    }
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

fn innermost(error: &Error) -> &Error {
    match error.without_snippet() {
        Error::AliasError { error, .. } => innermost(error),
        other => other,
    }
}

/// The message without the places that serde-saphyr appends: the label is the place.
fn first_words(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split(" at line ").next().unwrap_or_default();
    let text = text.split(" (defined at ").next().unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// What limit an error is about, and what to do.
fn budget(error: &Error) -> Option<(String, &'static str)> {
    const SMALLER: &str = "split the file";
    const ALIASES: &str = "write the values out instead of repeating them with '*'";
    use serde_saphyr::budget::BudgetBreach;
    Some(match error {
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasExpansionLimitExceeded { .. } => {
            (format!("its aliases repeat more than {MAX_REPEATED} values"), ALIASES)
        }
        Error::AliasReplayStackDepthExceeded { .. } => {
            ("its aliases are nested too deeply".to_owned(), ALIASES)
        }
        Error::Budget { breach, .. } => match breach {
            BudgetBreach::Depth { .. } => (
                format!("it is nested more than {MAX_DEPTH} levels deep"),
                "documents of pvx are at most six levels deep",
            ),
            BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. } => {
                (format!("it has more than {MAX_NODES} values"), SMALLER)
            }
            BudgetBreach::ScalarBytes { .. } => (
                format!("its values, aliases followed, pass {} MiB", MAX_SCALAR_BYTES >> 20),
                ALIASES,
            ),
            BudgetBreach::Documents { .. } => {
                ("it has more than 256 documents".to_owned(), SMALLER)
            }
            _ => ("it repeats too much through anchors and aliases".to_owned(), ALIASES),
        },
        Error::ExternalMessage { msg, .. } if msg.contains("recursion limit") => (
            format!("it is nested more than {MAX_DEPTH} levels deep"),
            "documents of pvx are at most six levels deep",
        ),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        parse(SourceId(0), text).unwrap().remove(0)
    }

    #[test]
    fn scalars_keep_what_was_written() {
        let number = |text: &str| Kind::Number(text.to_owned());
        let string = |text: &str| Kind::Text(text.to_owned());
        for (text, expected) in [
            ("1.30", number("1.30")),
            ("08", number("08")),
            ("0755", number("0755")),
            ("0x1F", number("0x1F")),
            ("1_000", number("1_000")),
            ("-3", number("-3")),
            ("99999999999999999999999999", number("99999999999999999999999999")),
            ("1e999", string(".inf")),
            ("100-999", string("100-999")),
            ("52:54:00:12:34:56", string("52:54:00:12:34:56")),
            ("yes", string("yes")),
            ("'1'", string("1")),
            ("\"a\\tb\"", string("a\tb")),
            ("true", Kind::Bool(true)),
            ("~", Kind::Null),
            ("", Kind::Null),
        ] {
            let node = one(&format!("a: {text}\n"));
            assert_eq!(node.get("a").unwrap().kind, expected, "{text}");
        }
    }

    #[test]
    fn places_are_bytes_of_the_text() {
        let text = "é: ü\na: |\n  b\n  c\nd: {e: f}\n";
        let at = |span: Span| &text[span.start as usize..(span.start + span.len) as usize];
        let node = one(text);
        let Kind::Map(entries) = &node.kind else { panic!("{node:?}") };
        assert_eq!(at(node.span), "é");
        assert_eq!((at(entries[0].key.span), at(entries[0].value.span)), ("é", "ü"));
        assert_eq!(at(entries[1].value.span), "b\n  c");
        assert_eq!(at(entries[2].value.span), "{");
    }

    #[test]
    fn repeated_keys_are_both_there() {
        let Kind::Map(entries) = one("a: 1\na: 2\n").kind else { panic!() };
        assert_eq!(entries.len(), 2);
    }

    /// The deepest text that is taken, on half the stack of a worker thread.
    #[test]
    fn depth_fits_the_stack() {
        let depth = MAX_DEPTH - 1;
        let deepest = format!("a: {}1{}\n", "{a: ".repeat(depth), "}".repeat(depth));
        let parsed = std::thread::Builder::new()
            .stack_size(1 << 20)
            .spawn(move || parse(SourceId(0), &deepest).is_ok())
            .unwrap()
            .join();
        assert!(parsed.unwrap());
    }
}
