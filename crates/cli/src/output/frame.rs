//! Lines at the end of a terminal that are drawn over themselves. Everything else that is written
//! goes above them.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use unicode_width::UnicodeWidthStr;

use crate::view::live::Size;

static SHOWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal's size as a frame may use it: the last column stays free, where terminals differ in
/// what they do.
pub(crate) fn size() -> Size {
    let (height, width) = console::Term::stderr().size();
    Size { width: usize::from(width).saturating_sub(1), height: usize::from(height) }
}

/// Shows other lines in place of those that are shown; none takes them away.
pub(crate) fn show(lines: Vec<String>) {
    let lines = if has_colours() { lines } else { lines.iter().map(|line| plain(line)).collect() };
    let mut shown = lock();
    if *shown != lines {
        let text = format!("{}{}", over(&shown), draw(&lines));
        *shown = lines;
        send(&text);
    }
}

/// Draws it again although nothing changed: the terminal did.
pub(crate) fn redraw() {
    let shown = lock();
    send(&format!("{}{}", over(&shown), draw(&shown)));
}

/// Writes something above the frame.
pub(super) fn above(write: impl FnOnce()) {
    let shown = lock();
    if shown.is_empty() {
        return write();
    }
    send(&format!("{}\x1b[J", over(&shown)));
    write();
    send(&draw(&shown));
}

/// To the frame's first line. Most terminals break lines anew when they get narrower, so a line may
/// be in several rows by now.
fn over(shown: &[String]) -> String {
    let width = usize::from(console::Term::stderr().size().1).max(1);
    let rows: usize = shown.iter().map(|line| plain(line).width().div_ceil(width).max(1)).sum();
    if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A") }
}

/// The lines, each to the end of its row, and nothing below them.
fn draw(lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
    format!("{lines}\x1b[J")
}

/// Not through anstream: without colours it takes the movements out too.
fn send(text: &str) {
    let mut stream = std::io::stderr().lock();
    // A terminal that is gone shows nothing.
    let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
}

fn plain(line: &str) -> String {
    anstream::adapter::strip_str(line).to_string()
}

fn has_colours() -> bool {
    anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

fn lock() -> MutexGuard<'static, Vec<String>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
