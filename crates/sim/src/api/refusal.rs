//! How the API refuses, in the shapes of `PVE::Exception` and `PVE::APIServer::AnyEvent`.

use std::collections::BTreeMap;

use crate::world::lock::LockName;

/// Why a request is not done.
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    /// A status with a message that stands in the reason phrase and in the body.
    Message { status: u16, message: String },
    /// 400 with a text per parameter.
    Params(BTreeMap<String, String>),
    /// A status whose body is empty.
    Bare { status: u16, reason: String },
    /// A status whose body is the text itself, no JSON (`PVE::APIServer::AnyEvent::error`).
    Text { status: u16, text: String },
    /// Nothing was done: a task holds the lock. Tried again until it is free, at most so many
    /// milliseconds of sim time.
    /// `before` stands before the error then.
    Blocked { lock: LockName, wait_ms: i64, before: String },
    /// No refusal yet: the work goes on, and its outcome is the answer.
    Carried(super::carried::Carried),
    /// A refusal that comes after so many milliseconds of sim time.
    Late { wait_ms: i64, refusal: Box<Self> },
}

/// An error for what cannot be: something of our own is broken. Nobody may meet it, in an answer
/// or at the end of a task; the fuzz looks for its mark.
pub(crate) fn broken(what: &str) -> String {
    format!("simulator: {what}")
}

impl Refusal {
    /// `die "text\n"`: status 500.
    pub(crate) fn die(text: impl Into<String>) -> Self {
        Self::message(500, text)
    }

    /// A status and a text; a line end is added in the body.
    pub(crate) fn message(status: u16, text: impl Into<String>) -> Self {
        let mut message = text.into();
        if !message.ends_with('\n') {
            message.push('\n');
        }
        Self::Message { status, message }
    }

    /// `raise_param_exc`: status 400.
    pub(crate) fn param(name: &str, text: impl Into<String>) -> Self {
        Self::Params(BTreeMap::from([(name.to_owned(), text.into())]))
    }

    /// The same error of another parameter.
    pub(crate) fn of(self, name: &str) -> Self {
        match self {
            Self::Params(errors) => {
                Self::Params(errors.into_values().map(|text| (name.to_owned(), text)).collect())
            }
            other => other,
        }
    }

    /// `raise_perm_exc`: status 403.
    pub(crate) fn permission(detail: &str) -> Self {
        if detail.is_empty() {
            return Self::message(403, "Permission check failed");
        }
        Self::message(403, format!("Permission check failed ({detail})"))
    }

    /// 501 for a path or method that is not there. The message has no line end.
    pub(crate) fn not_implemented(method: &str, path: &str) -> Self {
        Self::Message { status: 501, message: format!("Method '{method} {path}' not implemented") }
    }

    /// 501 for a method that Proxmox VE has and the simulator has not, and for one that does not
    /// exist.
    pub(crate) fn missing(method: super::endpoint::Method, path: &str) -> Self {
        if !super::methods::exists(method, path) {
            return Self::not_implemented(method.name(), path);
        }
        let message = format!(
            "Method '{} {path}' is not simulated: Proxmox VE has it, this simulator has not",
            method.name()
        );
        Self::Message { status: 501, message }
    }

    /// 401 with an empty body.
    pub(crate) fn unauthorized(reason: &str) -> Self {
        Self::Bare { status: 401, reason: reason.to_owned() }
    }

    /// What the HTTP layer itself refuses.
    pub(crate) fn text_only(status: u16, text: impl Into<String>) -> Self {
        Self::Text { status, text: text.into() }
    }

    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Message { status, .. }
            | Self::Bare { status, .. }
            | Self::Text { status, .. } => *status,
            Self::Params(_) => 400,
            Self::Blocked { .. } | Self::Carried(_) => 500,
            Self::Late { refusal, .. } => refusal.status(),
        }
    }

    /// The message as in the body.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Message { message, .. } => message.clone(),
            Self::Params(_) => "Parameter verification failed.\n".to_owned(),
            Self::Bare { reason: text, .. } | Self::Text { text, .. } => text.clone(),
            Self::Blocked { lock, before, .. } => format!("{before}{}\n", lock.timeout()),
            Self::Late { refusal, .. } => refusal.text(),
            Self::Carried(_) => broken("the work goes on"),
        }
    }

    /// The first line of the message, for the status line.
    pub(crate) fn reason(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// An exception as text, as Perl writes it.
    pub(crate) fn as_text(&self) -> String {
        match self {
            Self::Params(errors) => {
                let lines = errors.iter().map(|(name, text)| format!("{name}: {text}\n"));
                format!("400 Parameter verification failed.\n{}", lines.collect::<String>())
            }
            Self::Message { status: 403, message } => format!("403 {message}"),
            other => other.text(),
        }
    }

    /// What a task that met it ends with: its text, the lines joined.
    pub(crate) fn exit(&self) -> String {
        let text = self.as_text();
        let text = text.strip_suffix('\n').unwrap_or(&text);
        text.replace('\n', " ")
    }
}

/// Text of an error in a task becomes a refusal with status 500 in a direct call.
impl From<String> for Refusal {
    fn from(text: String) -> Self {
        Self::die(text)
    }
}
