//! `printf`, and the escapes that it shares with `echo -e`.

use super::super::io::Io;

/// Takes `\n` and its like for what they mean.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(found) = rest.next() {
        if found != '\\' {
            out.push(found);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('\\') => out.push('\\'),
            Some('0') => out.push('\0'),
            Some('e') => out.push('\u{1b}'),
            Some('"') => out.push('"'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

pub(super) fn run(words: &[String], io: &Io) -> i32 {
    let words =
        if words.first().is_some_and(|word| word == "--") { words.get(1..) } else { Some(words) };
    let Some((format, arguments)) = words.and_then(<[String]>::split_first) else {
        io.err.line("printf: usage: printf [-v var] format [arguments]");
        return 2;
    };
    let mut arguments = arguments.iter();
    // The format is used again until all arguments are.
    loop {
        let before = arguments.len();
        io.out.text(&once(format, &mut arguments));
        if arguments.len() == 0 || arguments.len() == before {
            return 0;
        }
    }
}

fn once(format: &str, arguments: &mut std::slice::Iter<'_, String>) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(&unescape(before));
        let end =
            after.find(|found: char| !"-+ 0123456789.#".contains(found)).unwrap_or(after.len());
        let (spec, tail) = after.split_at(end);
        let mut tail = tail.chars();
        match tail.next() {
            Some('%') => out.push('%'),
            Some(kind) => {
                let value = arguments.next().map(String::as_str).unwrap_or_default();
                out.push_str(&field(spec, kind, value));
            }
            None => out.push('%'),
        }
        rest = tail.as_str();
    }
    out.push_str(&unescape(rest));
    out
}

/// `printf` of awk: escapes are resolved already, numbers may have fractions.
pub(super) fn awk(format: &str, values: impl Iterator<Item = (String, f64)>) -> String {
    let mut values = values;
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let end =
            after.find(|found: char| !"-+ 0123456789.#".contains(found)).unwrap_or(after.len());
        let (spec, tail) = after.split_at(end);
        let mut tail = tail.chars();
        match tail.next() {
            Some('%') => out.push('%'),
            Some(kind) => {
                let (text, number) = values.next().unwrap_or_default();
                let text = match kind {
                    'd' | 'i' | 'u' | 'x' | 'X' | 'o' => (number as i64).to_string(),
                    'f' | 'e' | 'g' => number.to_string(),
                    _ => text,
                };
                out.push_str(&field(spec, kind, &text));
            }
            None => out.push('%'),
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
    out
}

fn field(spec: &str, kind: char, value: &str) -> String {
    let left = spec.contains('-');
    let zero = spec.starts_with('0');
    let (width, precision) = spec.split_once('.').map_or((spec, None), |(w, p)| (w, Some(p)));
    let width: usize = width.trim_start_matches(['-', '+', ' ', '0', '#']).parse().unwrap_or(0);
    let precision: Option<usize> = precision.map(|precision| precision.parse().unwrap_or(0));
    let number = || value.parse::<i64>().unwrap_or(0);
    let text = match kind {
        'd' | 'i' | 'u' => number().to_string(),
        'x' => format!("{:x}", number()),
        'X' => format!("{:X}", number()),
        'o' => format!("{:o}", number()),
        'f' => format!("{:.*}", precision.unwrap_or(6), value.parse::<f64>().unwrap_or(0.0)),
        'b' => unescape(value),
        'q' => format!("'{value}'"),
        'c' => value.chars().take(1).collect(),
        _ => value.chars().take(precision.unwrap_or(usize::MAX)).collect(),
    };
    let width = width.min(4096);
    match (left, zero && kind != 's') {
        (true, _) => format!("{text:<width$}"),
        (false, true) => format!("{text:0>width$}"),
        (false, false) => format!("{text:>width$}"),
    }
}
