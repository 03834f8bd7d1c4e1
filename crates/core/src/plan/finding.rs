//! What a plan has to say beside its actions.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::diagnostic::{Position, Span};

/// How much a finding weighs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The plan cannot be applied.
    Error,
    /// It can, and someone should look.
    Warning,
    /// Something that was not done, and why; or waits for a reboot.
    Note,
}

/// One finding: what, where, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Error, warning or note.
    pub weight: Weight,
    /// A stable kebab-case name, such as `vmid-taken`.
    pub code: String,
    /// One sentence without a full stop.
    pub message: String,
    /// The guest it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub address: Option<Address>,
    /// Where the document says what this is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub position: Option<Position>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub help: Option<String>,
    /// The place in the sources, for rendering with a snippet in the run that made the plan.
    #[serde(skip)]
    pub span: Option<Span>,
    /// The key inside the guest that it is about (`disks.scsi1`): where a document says that, the
    /// finding is shown there.
    #[serde(skip)]
    pub path: Option<String>,
    /// For something that is not there: the path and the privilege without which the token would
    /// not see it if it were.
    #[serde(skip)]
    pub shown_by: Option<(String, &'static str)>,
}

impl Finding {
    /// A finding of some weight.
    pub fn new(weight: Weight, code: &str, message: impl Into<String>) -> Self {
        Self {
            weight,
            code: code.to_owned(),
            message: message.into(),
            address: None,
            position: None,
            help: None,
            span: None,
            path: None,
            shown_by: None,
        }
    }

    /// The plan cannot be applied.
    pub fn error(code: &str, message: impl Into<String>) -> Self {
        Self::new(Weight::Error, code, message)
    }

    /// Someone should look.
    pub fn warning(code: &str, message: impl Into<String>) -> Self {
        Self::new(Weight::Warning, code, message)
    }

    /// Worth knowing.
    pub fn note(code: &str, message: impl Into<String>) -> Self {
        Self::new(Weight::Note, code, message)
    }

    /// Names the guest.
    #[must_use]
    pub fn about(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// Names the place in the documents.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Says what it takes to see what is missing.
    #[must_use]
    pub fn shown_by(mut self, path: String, privilege: &'static str) -> Self {
        self.shown_by = Some((path, privilege));
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}
