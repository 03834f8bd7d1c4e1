//! From the texts of a rule to programs, or to what is wrong with them.

use cel::Program;

use super::engine::Engine;
use super::infer::{self, Inferred};
use super::message::{self, Message};
use super::names::Type;
use super::{Each, Expression, Rule, place};
use crate::diagnostic::{Diagnostic, Sources, Spanned};

/// Something wrong in one place of a text.
#[derive(Debug)]
pub(super) struct Slip {
    /// First byte.
    pub(super) start: usize,
    /// Number of bytes.
    pub(super) len: usize,
    /// What is wrong.
    pub(super) text: String,
    /// What to do about it.
    pub(super) help: Option<String>,
}

/// An expression that can be evaluated.
pub(super) struct Compiled {
    pub(super) program: Program,
    /// Loops over guests or changes inside each other.
    pub(super) loops: u32,
}

/// A rule that can be evaluated.
pub(super) struct CompiledRule {
    pub(super) when: Option<Compiled>,
    pub(super) check: Compiled,
    pub(super) message: Option<Message>,
}

impl CompiledRule {
    /// Does any of its expressions speak of this variable?
    pub(super) fn mentions(&self, variable: &str) -> bool {
        let own = [Some(&self.check), self.when.as_ref()].into_iter().flatten();
        let all = own.chain(self.message.iter().flat_map(Message::expressions));
        all.map(|compiled| compiled.program.references()).any(|r| r.has_variable(variable))
    }

    /// Loops over guests or changes inside each other, at most.
    pub(super) fn loops(&self) -> u32 {
        let own = [Some(&self.check), self.when.as_ref()].into_iter().flatten();
        let all = own.chain(self.message.iter().flat_map(Message::expressions));
        all.map(|compiled| compiled.loops).max().unwrap_or(0)
    }
}

/// Reads the texts of a rule.
///
/// # Errors
/// All problems of all of them.
pub(super) fn rule(
    engine: &Engine,
    rule: &Rule,
    sources: &Sources,
) -> Result<CompiledRule, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut condition = |text: &Expression| match expression(engine, &text.text, rule.each, true) {
        Ok(compiled) => Some(compiled),
        Err(slips) => {
            problems.extend(slips.into_iter().map(|slip| tell(rule, text, slip, sources)));
            None
        }
    };
    let when = rule.when.as_ref().map(&mut condition);
    let check = condition(&rule.check);
    let message = rule.message.as_ref().map(|said| read_message(engine, rule, said));
    let message = match message {
        Some(Ok(message)) => Some(message),
        Some(Err((text, slips))) => {
            problems.extend(slips.into_iter().map(|slip| tell(rule, &text, slip, sources)));
            None
        }
        None => None,
    };
    match (check, when) {
        (Some(check), None) if problems.is_empty() => {
            Ok(CompiledRule { when: None, check, message })
        }
        (Some(check), Some(Some(when))) if problems.is_empty() => {
            Ok(CompiledRule { when: Some(when), check, message })
        }
        _ => Err(problems),
    }
}

fn read_message(
    engine: &Engine,
    rule: &Rule,
    said: &Spanned<String>,
) -> Result<Message, (Expression, Vec<Slip>)> {
    message::read(engine, &said.value, rule.each)
        .map_err(|slips| (Expression { text: said.value.clone(), span: said.span }, slips))
}

/// Reads one expression: syntax, names and types.
///
/// # Errors
/// What is wrong with it.
pub(super) fn expression(
    engine: &Engine,
    text: &str,
    each: Each,
    condition: bool,
) -> Result<Compiled, Vec<Slip>> {
    let program = parse(engine, text).map_err(|slip| vec![slip])?;
    let Inferred { of, loops, mut slips } = infer::infer(&program, text, each);
    if condition && slips.is_empty() && !of.fits(&Type::Bool) {
        slips.push(Slip {
            start: 0,
            len: text.trim_end().len(),
            text: format!("this is {}, and must be true or false", of.words()),
            help: Some("compare it with something".to_owned()),
        });
    }
    if slips.is_empty() { Ok(Compiled { program, loops }) } else { Err(slips) }
}

fn parse(engine: &Engine, text: &str) -> Result<Program, Slip> {
    engine.env().compile(text).map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 0), |error| error.pos);
        let said = first.map_or("it cannot be read", |error| error.msg.as_str());
        Slip { start: byte_at(text, line, column), len: 1, text: plain(said), help: None }
    })
}

/// The parser's words without its grammar's.
fn plain(said: &str) -> String {
    let said = said.strip_prefix("Syntax error: ").unwrap_or(said);
    let known = [
        ("mismatched input '<EOF>'", "the expression ends too early"),
        ("extraneous input '<EOF>'", "the expression ends too early"),
        ("mismatched input", "this is not expected here"),
        ("extraneous input", "this is too much"),
        ("no viable alternative", "this cannot be read"),
        ("token recognition error", "this is no word or sign of an expression"),
        ("missing", "something is missing here"),
    ];
    let found = known.iter().find(|(begin, _)| said.starts_with(begin));
    let text = found.map_or(said, |(_, text)| text).replace('\n', " ");
    text.chars().take(120).collect()
}

/// Lines count from 1, columns in characters from 1; 0 is taken for the first.
fn byte_at(text: &str, line: isize, column: isize) -> usize {
    let line = usize::try_from(line.saturating_sub(1)).unwrap_or(0);
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    before + rest.chars().take(column).map(char::len_utf8).sum::<usize>()
}

/// A slip as a diagnostic that points into the YAML text.
fn tell(rule: &Rule, text: &Expression, slip: Slip, sources: &Sources) -> Diagnostic {
    let span = place::span(text, sources, slip.start, slip.len);
    let message = format!("rule '{}' cannot be used", rule.name.value);
    let diagnostic = Diagnostic::error("bad-rule", message).at(span, slip.text);
    match slip.help {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }
}
