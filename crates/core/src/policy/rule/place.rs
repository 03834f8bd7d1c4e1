//! Where in a YAML text a part of an expression stands.

use crate::diagnostic::{Sources, Span};

use super::Expression;

/// The part of `expression` that begins at byte `start` and has `len` bytes.
///
/// Quotes, escapes, indentation and folded lines make the text of a value differ from what is
/// written: what is neither is found again in order, character by character.
pub(super) fn span(expression: &Expression, sources: &Sources, start: usize, len: usize) -> Span {
    let whole = expression.span;
    let text = sources.text(whole.source);
    let begin = whole.start as usize;
    let Some(written) = text.get(begin..begin.saturating_add(whole.len as usize)) else {
        return whole;
    };
    let places = places(written, &expression.text);
    let at = |byte: usize| places.iter().find(|(inside, _)| *inside >= byte).map(|(_, at)| *at);
    let Some(from) = at(start) else {
        // What is missing at the end is missed after the last character.
        let end = places.last().map_or(0, |(_, at)| *at);
        return part(whole, end, 1);
    };
    let last = places.iter().rev().find(|(inside, _)| *inside < start + len.max(1));
    let until = last.map_or(from, |(_, at)| *at).max(from);
    let width = written.get(until..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
    part(whole, from, until - from + width)
}

fn part(whole: Span, from: usize, len: usize) -> Span {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { start: whole.start.saturating_add(number(from)), len: number(len), ..whole }
}

/// Bytes of `text` and of `written` at which the same characters stand; white space is left out.
fn places(written: &str, text: &str) -> Vec<(usize, usize)> {
    let header = match written.chars().next() {
        Some('|' | '>') => written.find('\n').unwrap_or(0),
        _ => 0,
    };
    let mut rest = written.char_indices().skip_while(|(at, _)| *at < header);
    let mut found = Vec::new();
    for (inside, wanted) in text.char_indices().filter(|(_, c)| !c.is_whitespace()) {
        match rest.find(|(_, c)| *c == wanted) {
            Some((at, _)) => found.push((inside, at)),
            None => break,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_in_all_spellings() {
        for (yaml, text) in [
            ("guest.cpus > 1", "guest.cpus > 1"),
            ("'guest.name == ''a'' || guest.cpus > 1'", "guest.name == 'a' || guest.cpus > 1"),
            (
                "\"guest.name == \\\"é\\\" || guest.cpus > 1\"",
                "guest.name == \"é\" || guest.cpus > 1",
            ),
            ("|-\n    true &&\n    guest.cpus > 1\n", "true &&\nguest.cpus > 1"),
            (">-\n    true &&\n    guest.cpus > 1\n", "true && guest.cpus > 1"),
        ] {
            let mut sources = Sources::default();
            let before = "check: ";
            let source = sources.add("a.yaml", format!("{before}{yaml}"));
            let len = u32::try_from(yaml.len()).unwrap();
            let span = Span { source, start: 7, len };
            let expression = Expression { text: text.to_owned(), span };
            let start = text.find("cpus").unwrap();
            let found = super::span(&expression, &sources, start, 4);
            let from = found.start as usize;
            let whole = sources.text(source);
            assert_eq!(&whole[from..from + found.len as usize], "cpus", "{yaml}");
            // Beyond the end: the last character.
            let end = super::span(&expression, &sources, text.len(), 1);
            let from = end.start as usize;
            assert_eq!(&whole[from..from + end.len as usize], "1", "{yaml}");
        }
    }
}
