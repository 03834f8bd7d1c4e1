//! The message of a rule: a text with `{{ expression }}` in it.

use cel::{Context, Value};

use super::Each;
use super::compile::{self, Compiled, Slip};
use super::engine::Engine;

/// A message in pieces.
pub(super) struct Message(Vec<Piece>);

enum Piece {
    Text(String),
    Place { written: String, compiled: Box<Compiled> },
}

/// Takes a message apart.
///
/// # Errors
/// What is wrong with the expressions in it.
pub(super) fn read(engine: &Engine, text: &str, each: Each) -> Result<Message, Vec<Slip>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        pieces.push(Piece::Text(before.to_owned()));
        let start = text.len() - after.len();
        let Some((inside, next)) = after.split_once("}}") else {
            return Err(vec![Slip {
                start: start - 2,
                len: 2,
                text: "it is not closed".to_owned(),
                help: Some("write '{{ guest.name }}'".to_owned()),
            }]);
        };
        let compiled = compile::expression(engine, inside, each, false).map_err(|slips| {
            let moved = |slip: Slip| Slip { start: slip.start + start, ..slip };
            slips.into_iter().map(moved).collect::<Vec<_>>()
        })?;
        let written = format!("{{{{{inside}}}}}");
        pieces.push(Piece::Place { written, compiled: Box::new(compiled) });
        rest = next;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(Message(pieces))
}

impl Message {
    /// The message with its expressions evaluated; one that fails stays as it is written.
    pub(super) fn fill(&self, context: &Context<'_, '_>) -> String {
        let filled = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Place { written, compiled } => {
                compiled.program.execute(context).map_or_else(|_| written.clone(), |v| shown(&v))
            }
        });
        // A finding is one sentence on one line.
        filled.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The expressions in it.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Compiled> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Place { compiled, .. } => Some(&**compiled),
        })
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::UInt(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::Null => "nothing".to_owned(),
        Value::List(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        _ => "…".to_owned(),
    }
}
