//! A line of pieces, each with its colour, cut where the terminal ends.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::view::paint::{FAINT, STRONG, paint};

/// What stands for what was cut off: one column.
const CUT: &str = "…";

/// A line of pieces.
#[derive(Debug, Clone, Default)]
pub(super) struct Row(Vec<(Style, String)>);

impl Row {
    pub(super) fn text(self, text: &str) -> Self {
        self.styled(Style::new(), text)
    }

    pub(super) fn bold(self, text: &str) -> Self {
        self.styled(STRONG, text)
    }

    pub(super) fn faint(self, text: &str) -> Self {
        self.styled(FAINT, text)
    }

    pub(super) fn styled(mut self, style: Style, text: &str) -> Self {
        self.0.push((style, flat(text)));
        self
    }

    /// With another one behind it.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Columns of all of it.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.width()).sum()
    }

    /// With its colours, and not wider than `width`.
    pub(super) fn fit(&self, width: usize) -> String {
        let whole = self.width() <= width;
        let mut room = if whole { width } else { width.saturating_sub(CUT.width()) };
        let mut line = String::new();
        for (style, text) in &self.0 {
            let cut = head(text, room);
            room = room.saturating_sub(cut.width());
            if !cut.is_empty() {
                line.push_str(&paint(*style, cut));
            }
            if cut.len() < text.len() {
                break;
            }
        }
        if !whole && width > 0 {
            line.push_str(CUT);
        }
        line
    }
}

/// The text without what would move the cursor: a log may hold anything.
pub(in crate::view) fn flat(text: &str) -> String {
    let plain = |c: char| if c.is_control() || is_hidden(c) { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// Characters that turn a line round, or join what stands beside them: how wide they are depends on
/// the terminal.
fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// As much of the beginning as fits.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// As much of the end as fits, with a mark before it: names differ at their ends.
pub(super) fn tail(text: &str, width: usize) -> String {
    let text = flat(text);
    if text.width() <= width {
        return text;
    }
    let mut rest = text.as_str();
    while rest.width() + CUT.width() > width {
        let mut chars = rest.chars();
        if chars.next().is_none() {
            break;
        }
        rest = chars.as_str();
    }
    format!("{CUT}{rest}")
}
