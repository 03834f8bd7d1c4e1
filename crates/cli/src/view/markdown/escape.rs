//! Text from documents and clusters inside Markdown: it never becomes markup, a link, a mention or
//! a reference, on any of the forges.
//!
//! Code spans do that: neither `@name`, `#12`, `ABC-12`, a commit id nor a URL is linked inside
//! one, and no markup is. A value is one code span; of a sentence the words that could be taken for
//! something else are.

use std::fmt::Write;

/// A value as code. It may stand in a cell of a table: a `|` comes between two spans as an entity.
pub(super) fn code(text: &str) -> String {
    let text = visible(text);
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    text.split('|').map(span).collect::<Vec<_>>().join("&#124;")
}

/// One code span, with a fence that its text does not have.
fn span(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(text) + 1);
    // One space on both sides is taken off again by whoever reads it.
    let edge = |c: Option<char>| matches!(c, Some('`' | ' '));
    let blank = text.chars().all(|c| c == ' ');
    let pad =
        if !blank && (edge(text.chars().next()) || edge(text.chars().last())) { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// A sentence: plain words stay, others become code. White space becomes one space.
pub(super) fn prose(text: &str) -> String {
    let words = text.split(char::is_whitespace).filter(|word| !word.is_empty());
    words.map(word).collect::<Vec<_>>().join(" ")
}

/// Marks that stand before a word, and after one.
const OPENING: [char; 3] = ['(', '\'', '"'];
const CLOSING: [char; 10] = ['.', ',', ';', ':', '?', '!', '%', ')', '\'', '"'];

/// A sentence of our own: what stands in it between two backticks is one piece of code.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.trim_start();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (part, after) = phrase(rest).unwrap_or_else(|| {
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            let (first, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (word(first), after)
        });
        parts.push(part);
        rest = after.trim_start();
    }
    parts.join(" ")
}

/// The code that a text begins with, with the marks around it, and what comes after it.
fn phrase(text: &str) -> Option<(String, &str)> {
    let quoted = text.trim_start_matches(OPENING);
    let (open, quoted) = text.split_at_checked(text.len() - quoted.len())?;
    let (inner, after) = quoted.strip_prefix('`')?.split_once('`')?;
    let end = after.find(char::is_whitespace).unwrap_or(after.len());
    let (close, after) = after.split_at_checked(end)?;
    let inner = inner.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_phrase = !inner.is_empty() && close.chars().all(|c| CLOSING.contains(&c));
    is_phrase.then(|| (format!("{open}{}{close}", code(&inner)), after))
}

fn word(word: &str) -> String {
    let core = word.trim_start_matches(OPENING);
    let before = word.len() - core.len();
    let core = core.trim_end_matches(CLOSING);
    let (open, rest) = word.split_at(before);
    let (core, close) = rest.split_at(core.len());
    match is_plain(core) && !(open.is_empty() && is_list_number(core, close)) {
        true => word.to_owned(),
        false if core.is_empty() => code(word),
        false => format!("{open}{}{close}", code(core)),
    }
}

/// Can nobody take the word for anything but a word?
fn is_plain(core: &str) -> bool {
    let harmless = |c: char| c.is_alphanumeric() || "-./'→·…×–".contains(c);
    core.chars().all(harmless)
        && core.starts_with(|c: char| c.is_alphanumeric() || "→·…×–".contains(c))
        && !core.contains("//")
        && !is_name_of_host(core)
        && !is_commit(core)
        && !is_ticket(core)
}

/// `lab.example`, `www.…`, and files too: some renderers link what could be a host.
fn is_name_of_host(core: &str) -> bool {
    let label = |part: &str| part.len() > 1 && part.starts_with(char::is_alphabetic);
    core.split('.').skip(1).any(label)
}

/// Seven digits of a hexadecimal number and more are linked as a commit.
fn is_commit(core: &str) -> bool {
    core.split(|c: char| !c.is_ascii_alphanumeric())
        .any(|part| part.len() >= 7 && part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `ABC-12`, `GH-12`: linked where a tracker is set up.
fn is_ticket(core: &str) -> bool {
    core.split_once('-').is_some_and(|(name, number)| {
        name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && number.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// `1.` and `1)` begin a list.
fn is_list_number(core: &str, close: &str) -> bool {
    core.bytes().all(|b| b.is_ascii_digit()) && close.starts_with(['.', ')'])
}

/// Lines of any text, as a block of code whose fence they do not have.
pub(super) fn block(language: &str, lines: &[String]) -> String {
    let longest = lines.iter().map(|line| longest_run(line)).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let mut text = format!("{fence}{language}\n");
    for line in lines {
        // Only fails when memory does.
        let _ = writeln!(text, "{}", visible(line));
    }
    format!("{text}{fence}\n")
}

/// Text inside a comment of HTML, which a pipeline looks for: nothing that could end it.
pub(super) fn marker(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
    text.chars().take(63).map(|c| if allowed(c) { c } else { '_' }).collect()
}

/// Characters that are not seen, that turn the direction of writing, or that end a line, as a sign
/// that is seen.
pub(in crate::view) fn visible(text: &str) -> String {
    let one = |c: char| match c {
        '\n' => '⏎',
        '\t' => ' ',
        c if c.is_control() || is_hidden(c) => '\u{fffd}',
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(one).collect()
}

fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// A text that is not longer than `most` characters; what is cut off is counted.
pub(super) fn clipped(text: &str, most: usize) -> String {
    let all = text.chars().count();
    if all <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most).collect();
    format!("{kept}… ({all} characters)")
}
