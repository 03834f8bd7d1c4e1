//! From words to arguments: variables, commands, splitting, patterns of file names.

use std::future::Future;
use std::pin::Pin;

use super::io::{Io, Sink, taken};
use super::syntax::{Part, Word};
use super::{Shell, Stop, arithmetic, fs, pattern};
use crate::world::files::{Body, Bytes};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// An argument in the making: pieces, and whether each was quoted.
#[derive(Default)]
struct Field {
    pieces: Vec<(String, bool)>,
}

impl Field {
    fn push(&mut self, text: &str, quoted: bool) {
        self.pieces.push((text.to_owned(), quoted));
    }

    fn text(&self) -> String {
        self.pieces.iter().map(|(text, _)| text.as_str()).collect()
    }

    fn is_pattern(&self) -> bool {
        self.pieces.iter().any(|(text, quoted)| !quoted && pattern::is_pattern(text))
    }

    /// The pattern, with what was quoted escaped.
    fn pattern(&self) -> String {
        let mut out = String::new();
        for (text, quoted) in &self.pieces {
            for found in text.chars() {
                if *quoted && "*?[\\".contains(found) {
                    out.push('\\');
                }
                out.push(found);
            }
        }
        out
    }
}

impl Shell {
    /// The arguments that words make.
    pub(super) fn words<'a>(&'a mut self, words: &'a [Word], io: &'a Io) -> Boxed<'a, Vec<String>> {
        Box::pin(async move {
            let mut out = Vec::new();
            for word in words {
                for alternative in braces(word) {
                    for field in self.fields(&alternative, io, true).await {
                        if field.is_pattern() {
                            let found = self.glob(&field.pattern());
                            if !found.is_empty() {
                                out.extend(found);
                                continue;
                            }
                        }
                        out.push(field.text());
                    }
                }
            }
            out
        })
    }

    /// A word as one text: nothing is split.
    pub(super) async fn single(&mut self, word: &Word, io: &Io) -> String {
        let fields = self.fields(word, io, false).await;
        fields.iter().map(Field::text).collect::<Vec<_>>().join(" ")
    }

    /// A word as a pattern.
    pub(super) async fn as_pattern(&mut self, word: &Word, io: &Io) -> String {
        let fields = self.fields(word, io, false).await;
        fields.iter().map(Field::pattern).collect::<Vec<_>>().join(" ")
    }

    async fn fields(&mut self, word: &Word, io: &Io, split: bool) -> Vec<Field> {
        let mut done: Vec<Field> = Vec::new();
        let mut current: Option<Field> = None;
        for (at, part) in word.iter().enumerate() {
            let (text, quoted) = match part {
                Part::Text(text) => {
                    let text = if at == 0 { self.tilde(text) } else { text.clone() };
                    current.get_or_insert_default().push(&text, false);
                    continue;
                }
                Part::Quoted(text) => {
                    current.get_or_insert_default().push(text, true);
                    continue;
                }
                Part::Variable { text, quoted: true } if text == "@" && split => {
                    let mut rest = self.arguments.clone().into_iter();
                    if let Some(first) = rest.next() {
                        current.get_or_insert_default().push(&first, true);
                    }
                    for argument in rest {
                        done.extend(current.take());
                        current.get_or_insert_default().push(&argument, true);
                    }
                    continue;
                }
                Part::Variable { text, quoted: true } if split && self.list_of(text).is_some() => {
                    let mut rest = self.list_of(text).unwrap_or_default().into_iter();
                    if let Some(first) = rest.next() {
                        current.get_or_insert_default().push(&first, true);
                    }
                    for item in rest {
                        done.extend(current.take());
                        current.get_or_insert_default().push(&item, true);
                    }
                    continue;
                }
                Part::Process(script) => (self.process(script, io).await, true),
                Part::Variable { text, quoted } => (self.parameter(text, io).await, *quoted),
                Part::Command { script, quoted } => (self.substitute(script, io).await, *quoted),
                Part::Arithmetic(text) => (self.arithmetic(text, io).await, true),
            };
            if quoted || !split {
                current.get_or_insert_default().push(&text, quoted);
                continue;
            }
            let separators = self.variable("IFS").unwrap_or_else(|| " \t\n".to_owned());
            let is_separator = |found: char| separators.contains(found);
            if text.starts_with(is_separator) {
                done.extend(current.take());
            }
            let mut pieces = text.split(is_separator).filter(|piece| !piece.is_empty()).peekable();
            while let Some(piece) = pieces.next() {
                current.get_or_insert_default().push(piece, false);
                if pieces.peek().is_some() {
                    done.extend(current.take());
                }
            }
            if text.ends_with(is_separator) {
                done.extend(current.take());
            }
        }
        done.extend(current);
        done
    }

    fn tilde(&self, text: &str) -> String {
        let home = || self.variable("HOME").unwrap_or_default();
        match text.strip_prefix('~') {
            Some("") => home(),
            Some(rest) if rest.starts_with('/') => format!("{}{rest}", home()),
            Some(rest) => match rest.strip_prefix("root") {
                Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/root{rest}"),
                _ => text.to_owned(),
            },
            None => text.to_owned(),
        }
    }

    /// The value of `((…))`; no expression is 1, so that loops may leave them out.
    pub(super) async fn count(&mut self, text: &str, io: &Io) -> i64 {
        if text.trim().is_empty() {
            return 1;
        }
        self.arithmetic(text, io).await.parse().unwrap_or(0)
    }

    async fn arithmetic(&mut self, text: &str, io: &Io) -> String {
        let word = super::parse::Parser::in_quotes(text).unwrap_or_default();
        let text = Box::pin(self.single(&word, io)).await;
        match arithmetic::assigned(&text, &|name| self.variable(name)) {
            Some((value, set)) => {
                self.variables.extend(set.map(|(name, value)| (name, value.to_string())));
                value.to_string()
            }
            None => {
                io.err.line(&format!("bash: line 1: {text}: syntax error in expression"));
                self.status = 1;
                "0".to_owned()
            }
        }
    }

    /// The output of a command without line ends at its end.
    async fn substitute(&mut self, script: &str, io: &Io) -> String {
        let (out, buffer) = Sink::buffer();
        let mut shell = self.inner();
        shell.depth += 1;
        if shell.depth > 40 {
            return String::new();
        }
        let inner = Io { out, ..io.clone() };
        self.status = Box::pin(shell.run(script, &inner)).await;
        String::from_utf8_lossy(&taken(&buffer)).trim_end_matches('\n').replace('\0', "")
    }

    /// `<(…)`: a file with the output, which is gone after the command.
    async fn process(&mut self, script: &str, io: &Io) -> String {
        let (out, buffer) = Sink::buffer();
        let mut shell = self.inner();
        shell.depth += 1;
        if shell.depth <= 40 {
            let inner = Io { out, ..io.clone() };
            Box::pin(shell.run(script, &inner)).await;
        }
        let path = format!("/tmp/.fd-{}-{}", self.depth, self.temporary.len());
        let body = Body::Bytes(Bytes::from(taken(&buffer)));
        let _ = self.fs(|fs| fs.write(&path, body));
        self.temporary.push(path.clone());
        path
    }

    /// The items of `name[@]`.
    fn list_of(&self, text: &str) -> Option<Vec<String>> {
        let name = text.strip_suffix("[@]")?;
        match self.arrays.get(name) {
            Some(items) => Some(items.clone()),
            None => self.variables.get(name).map(|value| vec![value.clone()]).or(Some(Vec::new())),
        }
        .filter(|_| !name.starts_with('#'))
    }

    /// `name[…]` and `#name[@]`.
    async fn item(&mut self, text: &str, io: &Io) -> Option<String> {
        let inside = text.strip_suffix(']')?;
        let (name, at) = inside.split_once('[')?;
        let list = |name: &str| self.list_of(&format!("{name}[@]")).unwrap_or_default();
        if let Some(name) = name.strip_prefix('#') {
            let items = list(name);
            return Some(match at {
                "@" | "*" => items.len().to_string(),
                at => {
                    let item = at.parse().ok().and_then(|at: usize| items.get(at));
                    item.map_or(0, |item| item.chars().count()).to_string()
                }
            });
        }
        let items = list(name);
        if matches!(at, "@" | "*") {
            return Some(items.join(" "));
        }
        let at = self.count(at, io).await;
        let at = if at < 0 { at + i64::try_from(items.len()).ok()? } else { at };
        Some(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned().unwrap_or_default())
    }

    /// `${…}`.
    async fn parameter(&mut self, text: &str, io: &Io) -> String {
        if let Some(item) = Box::pin(self.item(text, io)).await {
            return item;
        }
        if let Some(name) = text.strip_prefix('#').filter(|name| !name.is_empty()) {
            return self.variable(name).unwrap_or_default().chars().count().to_string();
        }
        let special = text.starts_with(|first: char| "?$#@*!-".contains(first));
        let length = if special {
            1
        } else {
            text.find(|found: char| !found.is_ascii_alphanumeric() && found != '_')
                .unwrap_or(text.len())
        };
        let (name, rest) = text.split_at(length);
        let value = self.variable(name);
        if rest.is_empty() {
            return match value {
                Some(value) => value,
                None => {
                    if self.options.nounset && !matches!(name, "@" | "*") {
                        io.err.line(&format!("bash: line 1: {name}: unbound variable"));
                        self.status = 1;
                        self.stop = Some(Stop::Exit);
                    }
                    String::new()
                }
            };
        }
        let set = value.clone().filter(|value| !rest.starts_with(':') || !value.is_empty());
        let operator = rest.strip_prefix(':').unwrap_or(rest);
        let (kind, argument) = operator.split_at(operator.chars().next().map_or(0, char::len_utf8));
        match kind {
            "-" | "=" | "?" => {
                if let Some(value) = set {
                    return value;
                }
                let other = self.text_of(argument, io).await;
                if kind == "=" {
                    self.variables.insert(name.to_owned(), other.clone());
                } else if kind == "?" {
                    io.err.line(&format!("bash: line 1: {name}: {other}"));
                    self.status = 127;
                    self.stop = Some(Stop::Exit);
                }
                other
            }
            "+" if set.is_some() => self.text_of(argument, io).await,
            "+" => String::new(),
            "#" | "%" => {
                let longest = argument.strip_prefix(kind);
                let pattern = self.text_of(longest.unwrap_or(argument), io).await;
                pattern::strip(&value.unwrap_or_default(), &pattern, kind == "#", longest.is_some())
            }
            "/" => {
                let (all, argument) = match argument.strip_prefix('/') {
                    Some(rest) => (true, rest),
                    None => (false, argument),
                };
                let (old, new) = argument.split_once('/').unwrap_or((argument, ""));
                let (old, new) = (self.text_of(old, io).await, self.text_of(new, io).await);
                let value = value.unwrap_or_default();
                if all { value.replace(&old, &new) } else { value.replacen(&old, &new, 1) }
            }
            "^" => value.unwrap_or_default().to_uppercase(),
            "," => value.unwrap_or_default().to_lowercase(),
            _ => substring(&value.unwrap_or_default(), operator).unwrap_or_default(),
        }
    }

    async fn text_of(&mut self, text: &str, io: &Io) -> String {
        let mut parser = super::parse::Parser::over(text);
        let mut words = Vec::new();
        while parser.at < parser.chars.len() {
            match parser.word() {
                Ok(Some(word)) => words.push(Box::pin(self.single(&word, io)).await),
                _ => {
                    words.extend(parser.bump().map(String::from));
                }
            }
        }
        words.concat()
    }

    /// The files that fit a pattern.
    fn glob(&self, text: &str) -> Vec<String> {
        let (mut found, parts) = match text.strip_prefix('/') {
            Some(rest) => (vec!["/".to_owned()], rest),
            None => (vec![String::new()], text),
        };
        for part in parts.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for base in &found {
                let folder = if base.is_empty() { self.folder.clone() } else { self.path(base) };
                let join = |name: &str| match base.as_str() {
                    "" => name.to_owned(),
                    "/" => format!("/{name}"),
                    base => format!("{base}/{name}"),
                };
                if !pattern::is_pattern(part) {
                    let plain = part.replace('\\', "");
                    if self.fs(|fs| fs.exists(&fs::normal(&folder, &plain))) {
                        next.push(join(&plain));
                    }
                    continue;
                }
                let names = self.fs(|fs| fs.list(&folder)).unwrap_or_default();
                let shown = |name: &&String| part.starts_with('.') || !name.starts_with('.');
                let fitting = names.iter().filter(shown).filter(|name| pattern::fits(part, name));
                next.extend(fitting.map(|name| join(name)));
            }
            found = next;
        }
        found
    }
}

/// `${name:1:2}`.
fn substring(value: &str, text: &str) -> Option<String> {
    let (from, count) = text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)));
    let from: usize = from.trim().parse().ok()?;
    let count = count.map_or(Some(usize::MAX), |count| count.trim().parse().ok())?;
    Some(value.chars().skip(from).take(count).collect())
}

/// `{a,b}` and `{1..3}` in the unquoted text of a word: the words that it stands for.
fn braces(word: &Word) -> Vec<Word> {
    for (at, part) in word.iter().enumerate() {
        let Part::Text(text) = part else { continue };
        let Some((before, choices, after)) = brace(text) else { continue };
        let mut out = Vec::new();
        for choice in choices {
            let mut next: Word = word.get(..at).unwrap_or_default().to_vec();
            next.push(Part::Text(format!("{before}{choice}{after}")));
            next.extend(word.get(at + 1..).unwrap_or_default().iter().cloned());
            if out.len() < 10_000 {
                out.extend(braces(&next));
            }
        }
        return out;
    }
    vec![word.clone()]
}

fn brace(text: &str) -> Option<(String, Vec<String>, String)> {
    let open = text.find('{')?;
    let close = open + text.get(open..)?.find('}')?;
    let inside = text.get(open + 1..close)?;
    let choices = match inside.split_once("..") {
        Some((low, high)) => {
            let (low, high): (i64, i64) = (low.parse().ok()?, high.parse().ok()?);
            if high.abs_diff(low) > 10_000 {
                return None;
            }
            let all = low.min(high)..=low.max(high);
            let mut all: Vec<String> = all.map(|number| number.to_string()).collect();
            if low > high {
                all.reverse();
            }
            all
        }
        None if inside.contains(',') => inside.split(',').map(str::to_owned).collect(),
        None => return None,
    };
    Some((text.get(..open)?.to_owned(), choices, text.get(close + 1..)?.to_owned()))
}
