//! The only place that writes to standard output and standard error. Colour is taken out when it
//! is not a terminal, and when NO_COLOR is set (anstream). A closed pipe (`pvx plan | head`) ends
//! the writing, not the work.

pub(crate) mod frame;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// Data, for people.
pub(crate) fn text(text: &str) {
    frame::above(|| write(anstream::stdout().lock(), text));
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
    frame::above(|| write(anstream::stderr().lock(), text));
}

/// The log of pvx itself, a line at a time.
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        frame::above(|| write_bytes(std::io::stderr().lock(), line));
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Is standard error a terminal?
pub(crate) fn is_interactive() -> bool {
    std::io::IsTerminal::is_terminal(&std::io::stderr())
}

/// Can lines on standard error be drawn over?
pub(crate) fn can_redraw() -> bool {
    is_interactive() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
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

fn write(stream: impl Write, text: &str) {
    write_bytes(stream, text.as_bytes());
}

/// Something that was to be written was lost: whoever reads the rest must know.
pub(crate) fn is_lost() {
    INCOMPLETE.store(true, Ordering::Relaxed);
}

fn write_bytes(mut stream: impl Write, bytes: &[u8]) {
    let written = stream.write_all(bytes).and_then(|()| stream.flush());
    // A reader that has gone has read what it wanted; a full disk has lost something.
    if written.is_err_and(|error| error.kind() != std::io::ErrorKind::BrokenPipe) {
        is_lost();
    }
}
