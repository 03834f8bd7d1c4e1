//! The only place that writes to standard output and standard error. Colour is taken out when it
//! is not a terminal, and when NO_COLOR is set (anstream). A closed pipe (`pvx plan | head`) ends
//! the writing, not the work.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// Data, for people.
pub(crate) fn text(text: &str) {
    write(anstream::stdout().lock(), text);
}

/// Data, for programs: one JSON value.
pub(crate) fn json<T: Serialize>(value: &T) {
    let mut text = serde_json::to_string_pretty(value)
        .unwrap_or_else(|error| format!("{{\"error\":{{\"message\":\"{error}\"}}}}"));
    text.push('\n');
    write(std::io::stdout().lock(), &text);
}

/// Problems and progress.
pub(crate) fn errors(text: &str) {
    write(anstream::stderr().lock(), text);
}

/// Is standard error a terminal that shows progress bars?
pub(crate) fn is_interactive() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Is there a terminal at both ends, so that a question can be asked?
pub(crate) fn can_ask() -> bool {
    is_interactive() && std::io::IsTerminal::is_terminal(&std::io::stdin())
}

/// Was everything written that should have been?
pub(crate) fn is_complete() -> bool {
    !INCOMPLETE.load(Ordering::Relaxed)
}

static INCOMPLETE: AtomicBool = AtomicBool::new(false);

fn write(mut stream: impl Write, text: &str) {
    let written = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    // A reader that has gone has read what it wanted; a full disk has lost something.
    if written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
        INCOMPLETE.store(true, Ordering::Relaxed);
    }
}
