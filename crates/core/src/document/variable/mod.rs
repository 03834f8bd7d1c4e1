//! Variables: declared in `cluster-config.yaml`, in profiles, standalone specs and included files;
//! given on the command line, in files and in the environment.
//!
//! `--var` wins over `--var-file`, of which the last wins, over `PVX_VAR_NAME`, over the default.

mod declare;
mod given;
mod kind;
mod outside;
mod secret;
mod tell;

pub use given::Given;
pub use secret::Secret;

pub(crate) use declare::declare;
pub(crate) use given::Values;
pub(crate) use outside::outside;
pub(crate) use tell::{names_at, tell};

use std::collections::BTreeMap;

use super::decode::value::quoted;
use super::nearest::nearest;
use super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Span};

/// Where a variable's value is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `--var`
    Flag,
    /// `--var-file`, and where in it.
    File(Span),
    /// The environment's variable of this name.
    Environment(String),
    /// Its default, and where that is said.
    Default(Span),
    /// Nobody gave one, and none is required.
    Nowhere,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A single value or a list.
    Plain(Kind),
    /// That of a sensitive variable.
    Secret(Secret),
}

/// A declared variable and its value.
#[derive(Debug, Clone)]
pub(crate) struct Variable {
    /// Where it is declared.
    pub(crate) declared: Span,
    pub(crate) value: Option<Value>,
    pub(crate) origin: Origin,
}

impl Variable {
    /// Its value on one line; none when it has none or is sensitive.
    pub(crate) fn shown(&self) -> Option<String> {
        let single = |kind: &Kind| Node { span: self.declared, kind: kind.clone() }.scalar();
        match self.value.as_ref()? {
            Value::Plain(Kind::Seq(items)) => {
                let items = items.iter().filter_map(Node::scalar);
                Some(items.collect::<Vec<_>>().join(", "))
            }
            Value::Plain(kind) => single(kind),
            Value::Secret(_) => None,
        }
    }

    /// Who gave the value, and where in a file.
    pub(crate) fn from(&self) -> (String, Option<Span>) {
        match &self.origin {
            Origin::Flag => ("--var".to_owned(), None),
            Origin::File(span) => ("--var-file".to_owned(), Some(*span)),
            Origin::Environment(name) => (name.clone(), None),
            Origin::Default(span) => ("default".to_owned(), Some(*span)),
            Origin::Nowhere => ("no value".to_owned(), Some(self.declared)),
        }
    }
}

/// The variables that a document sees: its own, and those of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) variables: BTreeMap<String, Variable>,
}

impl Scope {
    /// The value of a variable; none when it has none and needs none.
    ///
    /// # Errors
    /// When there is no such variable.
    pub(crate) fn value(&self, name: &str) -> Result<Option<&Value>, ()> {
        self.variables.get(name).map(|variable| variable.value.as_ref()).ok_or(())
    }

    /// A variable that is used and not declared.
    pub(crate) fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        let names: Vec<&str> = self.variables.keys().map(String::as_str).collect();
        let label = nearest(name, names.iter().copied())
            .map_or_else(|| "not declared".to_owned(), |near| format!("did you mean '{near}'?"));
        let help = if names.is_empty() {
            format!("declare it: variables: {{{name}: {{type: text}}}}")
        } else {
            format!("declared here: {}", names.join(", "))
        };
        Diagnostic::error("unknown-variable", format!("there is no variable {}", quoted(name)))
            .at(span, label)
            .help(help)
    }
}
