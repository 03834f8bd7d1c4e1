//! Colours. They are taken out again where nobody sees them (anstream); the words carry the
//! meaning without them. Only the terminal's own sixteen are used, so light and dark both read.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const GONE: Style = AnsiColor::Red.on_default();
pub(super) const WARN: Style = AnsiColor::Yellow.on_default();
pub(super) const MOVE: Style = AnsiColor::Cyan.on_default();
pub(super) const STRONG: Style = Style::new().bold();
pub(super) const FAINT: Style = Style::new().dimmed();

/// Columns that nothing is wider than which can be broken.
pub(super) const WIDTH: usize = 80;

/// Text in a colour.
pub(super) fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Text filled up with spaces to a width in columns.
pub(super) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// Columns of the widest text.
pub(super) fn widest<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(UnicodeWidthStr::width).max().unwrap_or(0)
}

/// A line with a sign before it, broken before column 80 and indented under itself.
pub(super) fn item(style: Style, sign: &str, text: &str) -> String {
    format!("{} {}\n", paint(style, sign), wrapped(text, 2))
}

/// What to do next, under an [`item`]. Lines after the first are commands, which are copied as
/// they are.
pub(super) fn help(text: &str) -> String {
    let (first, commands) = text.split_once('\n').unwrap_or((text, ""));
    let commands: String = commands.lines().map(|line| format!("        {line}\n")).collect();
    format!("  {} {}\n{commands}", paint(FAINT, "help:"), wrapped(first, 8))
}

/// Text broken at spaces before column 80; what fills the first `indent` columns is the caller's.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let options = textwrap::Options::new(WIDTH)
        .break_words(false)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .initial_indent(&margin)
        .subsequent_indent(&margin);
    textwrap::fill(text.trim_end(), options).trim_start().to_owned()
}

/// Joins facts with a middle dot and breaks between them before column 80.
pub(super) fn facts(facts: &[String], indent: usize) -> String {
    const JOINT: &str = " · ";
    let margin = " ".repeat(indent);
    let mut lines: Vec<String> = Vec::new();
    for fact in facts {
        match lines.last_mut() {
            Some(line) if indent + line.width() + JOINT.width() + fact.width() <= WIDTH => {
                line.push_str(JOINT);
                line.push_str(fact);
            }
            _ => lines.push(fact.clone()),
        }
    }
    lines.iter().map(|line| format!("{margin}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_break_before_column_80() {
        let many: Vec<String> = (0..12).map(|i| format!("fact number {i}")).collect();
        let text = facts(&many, 4);
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        assert_eq!(text.matches("fact").count(), 12);
    }

    #[test]
    fn items_break_between_words_only() {
        let long = format!("{} {}", "word ".repeat(30), "A:".repeat(60));
        let text = item(Style::new(), "!", &long);
        assert!(text.lines().skip(1).all(|line| line.starts_with("  ")), "{text}");
        assert!(text.contains(&"A:".repeat(60)));
        assert!(text.lines().filter(|line| !line.contains("A:")).all(|line| line.width() <= 80));
    }

    #[test]
    fn width_counts_columns_not_bytes() {
        assert_eq!(pad("→", 3), "→  ");
        assert_eq!(widest(["→→", "a"]), 2);
    }
}
