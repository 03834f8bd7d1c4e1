//! `test`, `[` and `[[`.

use super::super::io::Io;
use super::super::{Shell, pattern};

pub(super) fn run(shell: &Shell, words: &[String], io: &Io, bracket: bool) -> i32 {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if bracket && !matches!(words.pop(), Some("]" | "]]")) {
        io.err.line("bash: line 1: [: missing `]'");
        return 2;
    }
    let mut test = Test { shell, words: &words, at: 0, wrong: None, double: false, found: None };
    let holds = !words.is_empty() && test.or();
    if let Some(wrong) = test.wrong {
        io.err.line(&format!("bash: line 1: [: {wrong}"));
        return 2;
    }
    i32::from(!holds)
}

/// `[[ … ]]`: the status, and what an expression fitted.
pub(in crate::shell) fn double_bracket(
    shell: &Shell,
    words: &[String],
    io: &Io,
) -> (i32, Option<Vec<String>>) {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut test = Test { shell, words: &words, at: 0, wrong: None, double: true, found: None };
    let holds = !words.is_empty() && test.or();
    if let Some(wrong) = test.wrong {
        io.err.line(&format!("bash: line 1: [[: {wrong}"));
        return (2, None);
    }
    (i32::from(!holds), test.found)
}

struct Test<'a> {
    shell: &'a Shell,
    words: &'a [&'a str],
    at: usize,
    wrong: Option<String>,
    /// `[[`: patterns are compared with.
    double: bool,
    /// What `=~` found: all, and each group.
    found: Option<Vec<String>>,
}

impl Test<'_> {
    fn next(&mut self) -> &str {
        let word = self.words.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        word
    }

    fn eat(&mut self, words: &[&str]) -> bool {
        let fits = self.words.get(self.at).is_some_and(|word| words.contains(word));
        self.at += usize::from(fits);
        fits
    }

    fn or(&mut self) -> bool {
        let mut holds = self.and();
        while self.eat(&["-o", "||"]) {
            holds |= self.and();
        }
        holds
    }

    fn and(&mut self) -> bool {
        let mut holds = self.one();
        while self.eat(&["-a", "&&"]) {
            holds &= self.one();
        }
        holds
    }

    fn one(&mut self) -> bool {
        let left = self.words.len().saturating_sub(self.at);
        if left >= 2 && self.eat(&["!"]) {
            return !self.one();
        }
        if left >= 3 && self.eat(&["("]) {
            let holds = self.or();
            self.eat(&[")"]);
            return holds;
        }
        let operator = self.words.get(self.at + 1).copied().unwrap_or_default();
        if left >= 3 && BINARY.contains(&operator) {
            let first = self.next().to_owned();
            self.at += 1;
            let second = self.next().to_owned();
            return self.binary(operator, &first, &second);
        }
        let first = self.next().to_owned();
        if left >= 2 && first.starts_with('-') && first.len() == 2 {
            let value = self.next().to_owned();
            return self.unary(&first, &value);
        }
        !first.is_empty()
    }

    fn unary(&mut self, operator: &str, value: &str) -> bool {
        let path = self.shell.path(value);
        let meta = self.shell.fs(|fs| fs.meta(&path));
        match operator {
            "-n" => !value.is_empty(),
            "-z" => value.is_empty(),
            "-e" | "-r" | "-w" => meta.is_ok(),
            "-x" => meta.is_ok_and(|meta| meta.folder || meta.mode & 0o111 != 0),
            "-f" => meta.is_ok_and(|meta| !meta.folder),
            "-d" => meta.is_ok_and(|meta| meta.folder),
            "-s" => meta.is_ok_and(|meta| meta.size > 0),
            "-v" => self.shell.variable(value).is_some(),
            "-b" | "-c" | "-L" | "-h" | "-p" | "-S" | "-t" => false,
            _ => {
                self.wrong = Some(format!("{operator}: unary operator expected"));
                false
            }
        }
    }

    fn binary(&mut self, operator: &str, left: &str, right: &str) -> bool {
        match operator {
            "=" | "==" if self.double => pattern::fits(right, left),
            "!=" if self.double => !pattern::fits(right, left),
            "=" => left == right,
            "==" => left == right || pattern::fits(right, left),
            "!=" => left != right,
            "<" => left < right,
            ">" => left > right,
            "=~" => {
                let Ok(regex) = regex::Regex::new(right) else { return false };
                let found = regex.captures(left).map(|groups| {
                    let text = |group: Option<regex::Match<'_>>| {
                        group.map(|group| group.as_str().to_owned()).unwrap_or_default()
                    };
                    groups.iter().map(text).collect()
                });
                self.found = found;
                self.found.is_some()
            }
            _ => {
                let (Ok(a), Ok(b)) = (left.trim().parse::<i64>(), right.trim().parse::<i64>())
                else {
                    let bad = if left.trim().parse::<i64>().is_err() { left } else { right };
                    self.wrong = Some(format!("{bad}: integer expression expected"));
                    return false;
                };
                match operator {
                    "-eq" => a == b,
                    "-ne" => a != b,
                    "-lt" => a < b,
                    "-le" => a <= b,
                    "-gt" => a > b,
                    _ => a >= b,
                }
            }
        }
    }
}

const BINARY: &[&str] =
    &["=", "==", "!=", "<", ">", "=~", "-eq", "-ne", "-lt", "-le", "-gt", "-ge"];
