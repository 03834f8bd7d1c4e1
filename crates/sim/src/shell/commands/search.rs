//! `grep` and `sed`.

use regex::{Regex, RegexBuilder};

use super::super::Shell;
use super::super::io::Io;
use super::{Flags, text};
use crate::world::files::{Body, Bytes};

/// A basic regular expression as an extended one: what needs a backslash in one does not in the
/// other.
fn extended(basic: &str) -> String {
    let mut out = String::new();
    let mut rest = basic.chars();
    while let Some(found) = rest.next() {
        match found {
            '\\' => match rest.next() {
                Some(next @ ('(' | ')' | '{' | '}' | '|' | '+' | '?')) => out.push(next),
                Some(next) => {
                    out.push('\\');
                    out.push(next);
                }
                None => out.push('\\'),
            },
            '(' | ')' | '{' | '}' | '|' | '+' | '?' => {
                out.push('\\');
                out.push(found);
            }
            _ => out.push(found),
        }
    }
    out
}

impl Shell {
    pub(super) async fn search_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        if name == "sed" { self.sed(words, io).await } else { self.grep(name, words, io).await }
    }

    async fn grep(&self, name: &str, words: &[String], io: &Io) -> i32 {
        let flags = Flags::of(words, "emABC");
        let mut files = flags.words.clone();
        let pattern = match flags.value('e') {
            Some(pattern) => pattern.to_owned(),
            None if files.is_empty() => {
                io.err.line("Usage: grep [OPTION]... PATTERNS [FILE]...");
                return 2;
            }
            None => files.remove(0),
        };
        let fixed = flags.has('F') || name == "fgrep";
        let is_extended = flags.has('E') || flags.has('P') || name == "egrep";
        let mut regex = match (fixed, is_extended) {
            (true, _) => regex::escape(&pattern),
            (_, true) => pattern.clone(),
            _ => extended(&pattern),
        };
        if flags.has('w') {
            regex = format!(r"\b(?:{regex})\b");
        }
        if flags.has('x') {
            regex = format!("^(?:{regex})$");
        }
        let Ok(regex) = RegexBuilder::new(&regex).case_insensitive(flags.has('i')).build() else {
            io.err.line(&format!("grep: invalid pattern: {pattern}"));
            return 2;
        };
        if flags.has('r') || flags.has('R') {
            files = self.below(&files);
        }
        let named = (files.len() > 1 || flags.has('r') || flags.has('H')) && !flags.has('h');
        let quiet = flags.has('q') || flags.long("quiet");
        let (inputs, failed) = if flags.has('s') || quiet {
            let mut silent = io.clone();
            silent.err = super::super::io::Sink::Nowhere;
            self.inputs("grep", &files, &silent).await
        } else {
            self.inputs("grep", &files, io).await
        };
        let limit = flags.value('m').and_then(|count| count.parse().ok()).unwrap_or(usize::MAX);
        let mut any = false;
        for (file, bytes) in inputs {
            let mut count = 0;
            let prefix = if named { format!("{file}:") } else { String::new() };
            for (number, line) in (1..).zip(text(&bytes).lines()) {
                if regex.is_match(line) == flags.has('v') || count >= limit {
                    continue;
                }
                count += 1;
                if quiet || flags.has('c') || flags.has('l') {
                    continue;
                }
                let at = if flags.has('n') { format!("{number}:") } else { String::new() };
                if flags.has('o') {
                    for found in regex.find_iter(line).filter(|found| !found.is_empty()) {
                        io.out.line(&format!("{prefix}{at}{}", found.as_str()));
                    }
                } else {
                    io.out.line(&format!("{prefix}{at}{line}"));
                }
            }
            any |= count > 0;
            if flags.has('c') && !quiet {
                io.out.line(&format!("{prefix}{count}"));
            } else if flags.has('l') && count > 0 {
                io.out.line(&file);
            }
        }
        if failed != 0 && !(quiet && any) { 2 } else { i32::from(!any) }
    }

    /// All files below folders.
    fn below(&self, paths: &[String]) -> Vec<String> {
        let mut out = Vec::new();
        let mut todo: Vec<String> =
            if paths.is_empty() { vec![".".to_owned()] } else { paths.to_vec() };
        while let Some(next) = todo.pop() {
            let path = self.path(&next);
            match self.fs(|fs| fs.is_folder(&path).then(|| fs.list(&path).unwrap_or_default())) {
                Some(names) if out.len() < 10_000 => {
                    todo.extend(
                        names
                            .iter()
                            .rev()
                            .map(|name| format!("{}/{name}", next.trim_end_matches('/'))),
                    );
                }
                _ => out.push(next),
            }
        }
        out
    }

    async fn sed(&self, words: &[String], io: &Io) -> i32 {
        // `-i.bak` keeps a copy on a node; here `-i` alone is known.
        let words: Vec<String> = words
            .iter()
            .map(|word| if word.starts_with("-i.") { "-i".to_owned() } else { word.clone() })
            .collect();
        let flags = Flags::of(&words, "e");
        let mut files = flags.words.clone();
        let mut scripts: Vec<String> =
            flags.values.iter().map(|(_, script)| script.clone()).collect();
        if scripts.is_empty() {
            if files.is_empty() {
                io.err.line(
                    "Usage: sed [OPTION]... {script-only-if-no-other-script} [input-file]...",
                );
                return 1;
            }
            scripts.push(files.remove(0));
        }
        let is_extended = flags.has('E') || flags.has('r');
        let mut steps = Vec::new();
        for part in scripts.iter().flat_map(|script| split_script(script)) {
            match Step::parse(&part, is_extended) {
                Some(step) => steps.push(step),
                None => {
                    io.err.line(&format!(
                        "sed: -e expression #1, char 1: the simulator does not know `{part}'"
                    ));
                    return 1;
                }
            }
        }
        let (inputs, status) = self.inputs("sed", &files, io).await;
        for (file, bytes) in inputs {
            let result = transform(&text(&bytes), &steps, flags.has('n'));
            if !flags.has('i') {
                io.out.text(&result);
                continue;
            }
            let path = self.path(&file);
            let body = Body::Bytes(Bytes::from(result.into_bytes()));
            if let Err(errno) = self.fs(|fs| fs.write(&path, body)) {
                io.err.line(&format!("sed: couldn't open file {file}: {}", errno.text()));
                return 4;
            }
        }
        status
    }
}

/// Commands are apart by `;` and line ends, but not within `s/…/…/`.
fn split_script(script: &str) -> Vec<String> {
    let mut out = Vec::new();
    for line in script.lines() {
        let mut rest = line.trim();
        while !rest.is_empty() {
            let end = command_end(rest);
            let (command, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            out.push(command.trim().to_owned());
            rest = after.trim_start_matches([';', ' ']);
        }
    }
    out
}

fn command_end(text: &str) -> usize {
    let Some(start) = text.find(['s', 'y']).filter(|at| {
        text.get(at + 1..).is_some_and(|rest| rest.starts_with(['/', '|', '#', ',', '@', ':']))
    }) else {
        return text.find(';').unwrap_or(text.len());
    };
    let mark = text.get(start + 1..).and_then(|rest| rest.chars().next()).unwrap_or('/');
    let (mut seen, mut escaped) = (0, false);
    for (at, found) in text.char_indices().skip(start + 1) {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            found if found == mark => seen += 1,
            ';' if seen >= 3 => return at,
            _ => {}
        }
    }
    text.len()
}

enum Address {
    Line(usize),
    Last,
    Fits(Regex),
}

enum Action {
    Replace { regex: Regex, by: String, all: bool, print: bool },
    Print,
    Delete,
    Quit,
    Append(String),
    Insert(String),
    Change(String),
}

struct Step {
    from: Option<Address>,
    to: Option<Address>,
    not: bool,
    action: Action,
}

fn delimited(text: &str) -> Option<(String, &str)> {
    let mark = text.chars().next()?;
    let mut out = String::new();
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, found)) = rest.next() {
        if found == '\\' {
            let (_, next) = rest.next()?;
            if next != mark {
                out.push('\\');
            }
            out.push(next);
        } else if found == mark {
            return Some((out, text.get(at..)?));
        } else {
            out.push(found);
        }
    }
    None
}

fn compile(pattern: &str, is_extended: bool, flags: &str) -> Option<Regex> {
    let pattern = if is_extended { pattern.to_owned() } else { extended(pattern) };
    RegexBuilder::new(&pattern).case_insensitive(flags.contains(['i', 'I'])).build().ok()
}

impl Step {
    fn parse(text: &str, is_extended: bool) -> Option<Self> {
        let (from, rest) = address(text, is_extended)?;
        let (to, rest) = match rest.strip_prefix(',').filter(|_| from.is_some()) {
            Some(rest) => address(rest, is_extended)?,
            None => (None, rest),
        };
        let rest = rest.trim_start();
        let (not, rest) =
            rest.strip_prefix('!').map_or((false, rest), |rest| (true, rest.trim_start()));
        let kind = rest.chars().next()?;
        let argument = rest.get(kind.len_utf8()..)?;
        let words = || argument.trim_start().trim_start_matches('\\').trim_start().to_owned();
        let action = match kind {
            'p' => Action::Print,
            'd' => Action::Delete,
            'q' => Action::Quit,
            'a' => Action::Append(words()),
            'i' => Action::Insert(words()),
            'c' => Action::Change(words()),
            's' => {
                let (pattern, rest) = delimited(argument)?;
                let (by, rest) = delimited(rest)?;
                let flags = rest.get(1..)?;
                if !flags.chars().all(|flag| "giIp".contains(flag)) {
                    return None;
                }
                let regex = compile(&pattern, is_extended, flags)?;
                let (all, print) = (flags.contains('g'), flags.contains('p'));
                Action::Replace { regex, by: replacement(&by), all, print }
            }
            _ => return None,
        };
        let plain = matches!(action, Action::Print | Action::Delete | Action::Quit);
        if plain && !argument.trim().is_empty() {
            return None;
        }
        Some(Self { from, to, not, action })
    }

    /// Whether the step is for a line; `inside` says that a range is open.
    fn applies(&self, number: usize, last: bool, line: &str, inside: &mut bool) -> bool {
        let fits = |address: &Address| match address {
            Address::Line(wanted) => *wanted == number,
            Address::Last => last,
            Address::Fits(regex) => regex.is_match(line),
        };
        let hit = match (&self.from, &self.to) {
            (None, _) => true,
            (Some(from), None) => fits(from),
            (Some(_), Some(to)) if *inside => {
                *inside = !(fits(to) || matches!(to, Address::Line(end) if *end <= number));
                true
            }
            (Some(from), Some(to)) => {
                let hit = fits(from);
                *inside = hit && !matches!(to, Address::Line(end) if *end <= number);
                hit
            }
        };
        hit != self.not
    }
}

/// `\1` and `&` as the regex crate writes them.
fn replacement(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(found) = rest.next() {
        match found {
            '\\' => match rest.next() {
                Some(digit) if digit.is_ascii_digit() => out.push_str(&format!("${{{digit}}}")),
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            '&' => out.push_str("${0}"),
            '$' => out.push_str("$$"),
            _ => out.push(found),
        }
    }
    out
}

#[expect(clippy::option_option, reason = "no address, and a wrong one, are two things")]
fn address_only(text: &str, is_extended: bool) -> Option<Option<(Address, &str)>> {
    if let Some(rest) = text.strip_prefix('$') {
        return Some(Some((Address::Last, rest)));
    }
    if text.starts_with('/') {
        let (pattern, rest) = delimited(text)?;
        return Some(Some((Address::Fits(compile(&pattern, is_extended, "")?), rest.get(1..)?)));
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Some(None);
    }
    Some(Some((Address::Line(text.get(..digits)?.parse().ok()?), text.get(digits..)?)))
}

fn address(text: &str, is_extended: bool) -> Option<(Option<Address>, &str)> {
    Some(match address_only(text, is_extended)? {
        Some((address, rest)) => (Some(address), rest),
        None => (None, text),
    })
}

fn transform(whole: &str, steps: &[Step], silent: bool) -> String {
    let mut out = String::new();
    let mut inside = vec![false; steps.len()];
    let count = whole.lines().count();
    let line_end = whole.ends_with('\n') || whole.is_empty();
    for (number, line) in (1..).zip(whole.lines()) {
        let mut line = line.to_owned();
        let (mut deleted, mut quit, mut after) = (false, false, String::new());
        for (step, inside) in steps.iter().zip(&mut inside) {
            if deleted || !step.applies(number, number == count, &line, inside) {
                continue;
            }
            match &step.action {
                Action::Print => out.push_str(&format!("{line}\n")),
                Action::Delete => deleted = true,
                Action::Quit => quit = true,
                Action::Append(text) => after.push_str(&format!("{text}\n")),
                Action::Insert(text) => out.push_str(&format!("{text}\n")),
                Action::Change(text) => {
                    out.push_str(&format!("{text}\n"));
                    deleted = true;
                }
                Action::Replace { regex, by, all, print } => {
                    let hit = regex.is_match(&line);
                    line = regex.replacen(&line, usize::from(!all), by.as_str()).into_owned();
                    if hit && *print {
                        out.push_str(&format!("{line}\n"));
                    }
                }
            }
        }
        if !deleted && !silent {
            out.push_str(&line);
            if number < count || line_end {
                out.push('\n');
            }
        }
        out.push_str(&after);
        if quit {
            break;
        }
    }
    out
}
