//! Types of variables.

use super::super::yaml::{self, Kind, Node};
use crate::diagnostic::{SourceId, Span};

/// What values a variable has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Text,
    Number,
    Bool,
    List,
}

pub(super) const TYPES: [&str; 4] = ["text", "number", "bool", "list"];

impl Type {
    pub(super) fn of_word(word: &str) -> Self {
        match word {
            "number" => Self::Number,
            "bool" => Self::Bool,
            "list" => Self::List,
            _ => Self::Text,
        }
    }

    /// The type that a default has.
    pub(super) fn of(node: &Node) -> Self {
        match node.kind {
            Kind::Number(_) => Self::Number,
            Kind::Bool(_) => Self::Bool,
            Kind::Seq(_) => Self::List,
            _ => Self::Text,
        }
    }

    /// In the words of an error.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "a number",
            Self::Bool => "true or false",
            Self::List => "a list",
        }
    }

    /// A value from a document or a file of variables; none when it is of another type.
    pub(super) fn take(self, node: &Node) -> Option<Kind> {
        match (self, &node.kind) {
            (Self::Text, Kind::Number(text) | Kind::Text(text)) => Some(Kind::Text(text.clone())),
            (Self::Number, Kind::Number(text)) if number(text) => Some(node.kind.clone()),
            (Self::Bool, Kind::Bool(_)) => Some(node.kind.clone()),
            (Self::Bool, Kind::Text(text)) => boolean(text),
            (Self::List, Kind::Seq(items)) => {
                let single = |item: &Node| {
                    matches!(item.kind, Kind::Number(_) | Kind::Text(_) | Kind::Bool(_))
                };
                items.iter().all(single).then(|| node.kind.clone())
            }
            _ => None,
        }
    }

    /// A value from the command line or the environment.
    pub(super) fn read(self, text: &str) -> Option<Kind> {
        match self {
            Self::Text => Some(Kind::Text(text.to_owned())),
            Self::Number => number(text).then(|| Kind::Number(text.to_owned())),
            Self::Bool => boolean(text),
            Self::List => list(text),
        }
    }
}

fn number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(w, p)| (w, Some(p)));
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    plain(whole) && part.is_none_or(plain)
}

fn boolean(text: &str) -> Option<Kind> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(Kind::Bool(true)),
        "false" | "no" | "off" | "0" => Some(Kind::Bool(false)),
        _ => None,
    }
}

/// `a,b` or `[a, b]`.
fn list(text: &str) -> Option<Kind> {
    let source = SourceId(u32::MAX);
    if text.trim_start().starts_with('[') {
        let node = yaml::parse(source, text).ok()?.into_iter().next()?;
        return Type::List.take(&node);
    }
    let span = Span { source, start: 0, len: 0 };
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let item = |item: &str| {
        let kind = boolean(item).filter(|_| item.len() > 3);
        let kind = kind.or_else(|| number(item).then(|| Kind::Number(item.to_owned())));
        Node { span, kind: kind.unwrap_or_else(|| Kind::Text(item.to_owned())) }
    };
    Some(Kind::Seq(items.map(item).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_command_line() {
        let shown = |kind: Type, text: &str| match kind.read(text) {
            None => "-".to_owned(),
            Some(Kind::Seq(items)) => {
                items.iter().map(|i| i.scalar().unwrap()).collect::<Vec<_>>().join("|")
            }
            Some(kind) => {
                let span = Span { source: SourceId(0), start: 0, len: 0 };
                Node { span, kind }.scalar().unwrap()
            }
        };
        for (kind, text, expected) in [
            (Type::Text, "08", "08"),
            (Type::Text, "", ""),
            (Type::Number, "8", "8"),
            (Type::Number, "-1.5", "-1.5"),
            (Type::Number, "eight", "-"),
            (Type::Number, "1.", "-"),
            (Type::Bool, "Yes", "true"),
            (Type::Bool, "0", "false"),
            (Type::Bool, "maybe", "-"),
            (Type::List, "a, b,2", "a|b|2"),
            (Type::List, "[a, 'b,c']", "a|b,c"),
            (Type::List, "[a, {b: c}]", "-"),
            (Type::List, "[a", "-"),
            (Type::List, "", ""),
        ] {
            assert_eq!(shown(kind, text), expected, "{kind:?} {text}");
        }
    }
}
