//! The first pass over a document: texts are taken apart and variables filled in.

use super::super::decode::value::quoted;
use super::super::variable::{Scope, Value};
use super::super::yaml::{Entry, Kind, Node};
use super::{Piece, Place, Slip, parse, place};
use crate::diagnostic::{Diagnostic, Sources, Span};

/// Takes apart all texts below `node`, keys aside, and fills in variables of `scope`.
pub(crate) fn read_texts(
    node: &mut Node,
    scope: &Scope,
    sources: &Sources,
    problems: &mut Vec<Diagnostic>,
) {
    Reader { scope, sources, problems }.node(node, Secrets::Refused);
}

/// Where the value of a sensitive variable may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrets {
    Refused,
    /// Below `cloudinit`.
    Cloudinit,
    /// A password, or a variable of a template.
    Taken,
}

impl Secrets {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Taken, _) | (Self::Cloudinit, "password" | "cipassword" | "variables") => {
                Self::Taken
            }
            (_, "cloudinit") => Self::Cloudinit,
            (Self::Cloudinit, _) => Self::Cloudinit,
            (Self::Refused, _) => Self::Refused,
        }
    }
}

struct Reader<'r> {
    scope: &'r Scope,
    sources: &'r Sources,
    problems: &'r mut Vec<Diagnostic>,
}

impl Reader<'_> {
    /// False when the node is a problem, which is reported: what is left of it is nothing.
    fn node(&mut self, node: &mut Node, secrets: Secrets) -> bool {
        let (span, before) = (node.span, self.problems.len());
        match &mut node.kind {
            Kind::Map(entries) => {
                if let Some(word) = unquoted(entries, span, self.sources) {
                    self.problems.push(needs_quotes(&word, span));
                    node.kind = Kind::Null;
                    return false;
                }
                for entry in entries {
                    let inner = secrets.below(&entry.key.value);
                    self.node(&mut entry.value, inner);
                }
                return true;
            }
            Kind::Seq(items) => {
                items.retain_mut(|item| self.node(item, secrets));
                return true;
            }
            Kind::Text(text) if text.contains('{') => match parse(text) {
                Ok(None) => {}
                Ok(Some(pieces)) => node.kind = self.fill(pieces, span, secrets),
                Err(slip) => self.problems.push(slipped(&slip, span)),
            },
            _ => {}
        }
        let good = self.problems.len() == before;
        if !good {
            node.kind = Kind::Null;
        }
        good
    }

    /// The text with its variables; a single one keeps its type.
    fn fill(&mut self, pieces: Vec<Piece>, span: Span, secrets: Secrets) -> Kind {
        if let [Piece::Place(Place::Var(name))] = pieces.as_slice() {
            return self.alone(name, span, secrets);
        }
        let mut filled: Vec<Piece> = Vec::new();
        for piece in pieces {
            let piece = match piece {
                Piece::Place(Place::Var(name)) => Piece::Text(self.inside(&name, span)),
                other => other,
            };
            filled.push(piece);
        }
        settled(filled)
    }

    fn alone(&mut self, name: &str, span: Span, secrets: Secrets) -> Kind {
        match self.scope.value(name) {
            Ok(Some(Value::Secret(secret))) if secrets == Secrets::Taken => {
                Kind::Secret(secret.clone())
            }
            Ok(Some(Value::Secret(_))) => {
                self.problems.push(sensitive(name, span));
                Kind::Null
            }
            Ok(Some(Value::Plain(kind))) => here(kind, span),
            Ok(None) => Kind::Null,
            Err(()) => {
                self.problems.push(self.scope.unknown(name, span));
                Kind::Null
            }
        }
    }

    /// A variable in the middle of a text.
    fn inside(&mut self, name: &str, span: Span) -> String {
        let problem = match self.scope.value(name) {
            Ok(Some(Value::Plain(kind))) => {
                let node = Node { span, kind: kind.clone() };
                match node.scalar() {
                    Some(text) => return text,
                    None => Diagnostic::error(
                        "wrong-type",
                        format!("variable '{name}' is a list and cannot be part of a text"),
                    )
                    .at(span, "used in the middle of a text")
                    .help(format!("write \"{{var.{name}}}\" alone where a list is taken")),
                }
            }
            Ok(Some(Value::Secret(_))) => sensitive(name, span),
            Ok(None) => return String::new(),
            Err(()) => self.scope.unknown(name, span),
        };
        self.problems.push(problem);
        String::new()
    }
}

/// A text when nothing is left to be filled in, else a template.
pub(super) fn settled(pieces: Vec<Piece>) -> Kind {
    if pieces.iter().any(|piece| matches!(piece, Piece::Place(_))) {
        return Kind::Template(pieces);
    }
    plain(super::written(&pieces))
}

/// What a text that was filled in is: digits are a number, as they would be without quotes.
pub(super) fn plain(text: String) -> Kind {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if digits && (text == "0" || !text.starts_with('0')) {
        return Kind::Number(text);
    }
    Kind::Text(text)
}

/// The value of a variable at the place where it is used.
fn here(kind: &Kind, span: Span) -> Kind {
    match kind {
        Kind::Seq(items) => Kind::Seq(
            items.iter().map(|item| Node { span, kind: here(&item.kind, span) }).collect(),
        ),
        other => other.clone(),
    }
}

/// `cores: {var.cores}` without quotes: YAML takes it for a mapping with one key.
fn unquoted(entries: &[Entry], span: Span, sources: &Sources) -> Option<String> {
    let [entry] = entries else { return None };
    if entry.value.kind != Kind::Null || entry.key.span == span {
        return None;
    }
    let text = sources.text(span.source);
    let braces = text.get(span.start as usize..)?.starts_with('{');
    let word = &entry.key.value;
    (braces && place(word).is_some()).then(|| word.clone())
}

fn needs_quotes(word: &str, span: Span) -> Diagnostic {
    let message = format!("a placeholder is put in quotes: \"{{{word}}}\"");
    Diagnostic::error("unquoted-placeholder", message)
        .at(span, "without quotes YAML reads a mapping here")
        .help(format!("write \"{{{word}}}\"; a placeholder alone in its quotes keeps its type"))
}

fn slipped(slip: &Slip, span: Span) -> Diagnostic {
    let message = format!("{} is not a placeholder", quoted(&slip.written));
    Diagnostic::error("unknown-placeholder", message)
        .at(span, format!("did you mean {}?", slip.meant))
        .help("braces that are meant as they stand are doubled in a text with placeholders")
}

fn sensitive(name: &str, span: Span) -> Diagnostic {
    let message = format!("variable '{name}' is sensitive and cannot be used here");
    Diagnostic::error("sensitive-variable", message)
        .at(span, "this value is shown in plans and kept in state")
        .help("a sensitive variable is the whole of cloudinit.password, or goes into a template")
}
