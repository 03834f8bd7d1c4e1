//! What the shell does itself.

use super::super::io::Io;
use super::super::{Shell, Stop};

impl Shell {
    /// Runs a builtin; none when it is not one.
    pub(super) async fn builtin(&mut self, name: &str, words: &[String], io: &Io) -> Option<i32> {
        let first = words.first().map(String::as_str);
        let number = |default: i32| first.and_then(|word| word.parse().ok()).unwrap_or(default);
        Some(match name {
            "trap" => self.trap(words),
            ":" | "true" | "wait" | "ulimit" | "hash" | "disown" => 0,
            "umask" => self.set_umask(first, io),
            "false" => 1,
            "exit" => {
                let status = number(self.status);
                self.stop = Some(Stop::Exit);
                self.status = status;
                status & 0xff
            }
            "return" => {
                let status = number(self.status);
                self.stop = Some(Stop::Return);
                self.status = status;
                status
            }
            "break" | "continue" => {
                let count = u32::try_from(number(1)).unwrap_or(1).max(1);
                let stop = if name == "break" { Stop::Break(count) } else { Stop::Continue(count) };
                self.stop = Some(stop);
                0
            }
            "cd" => self.change_folder(first.unwrap_or("/root"), io),
            "pwd" => {
                io.out.line(&self.folder);
                0
            }
            "echo" => {
                echo(words, io);
                0
            }
            "printf" => super::printf::run(words, io),
            "test" => super::test::run(self, words, io, false),
            "[" => super::test::run(self, words, io, true),
            "set" => self.set(words),
            "export" | "local" | "declare" | "readonly" | "typeset" => {
                for word in words.iter().filter(|word| !word.starts_with('-')) {
                    if let Some((name, value)) = word.split_once('=') {
                        self.variables.insert(name.to_owned(), value.to_owned());
                    }
                }
                0
            }
            "unset" => {
                for word in words {
                    self.variables.remove(word);
                    self.arrays.remove(word);
                    self.functions.remove(word);
                }
                0
            }
            "shift" => {
                let count = usize::try_from(number(1)).unwrap_or(1);
                if count > self.arguments.len() {
                    return Some(1);
                }
                self.arguments.drain(..count);
                0
            }
            "read" => self.read_line(words, io).await,
            "eval" => Box::pin(self.run(&words.join(" "), io)).await,
            "exec" | "command" | "nohup" | "sudo" | "time" if !is_query(words) => {
                let rest: Vec<&String> =
                    words.iter().skip_while(|word| word.starts_with('-')).collect();
                if name == "sudo" {
                    io.err.line("bash: line 1: sudo: command not found");
                    return Some(127);
                }
                let Some((name, rest)) = rest.split_first() else { return Some(0) };
                let rest: Vec<String> = rest.iter().map(|&word| word.clone()).collect();
                let status = Box::pin(self.command(name, &rest, io)).await;
                if words.is_empty() {
                    return Some(0);
                }
                status
            }
            "command" | "type" | "which" => self.locate(name, words, io),
            "source" | "." => {
                let path = self.path(first.unwrap_or_default());
                match self.fs(|fs| fs.read(&path)) {
                    Ok(bytes) => Box::pin(self.run(&super::text(&bytes), io)).await,
                    Err(errno) => {
                        io.err.line(&format!("bash: line 1: {path}: {}", errno.text()));
                        1
                    }
                }
            }
            _ => return None,
        })
    }

    /// `trap ACTION EXIT`; no other signal ever comes.
    /// Octal, as it is asked for without an argument.
    fn set_umask(&mut self, mask: Option<&str>, io: &Io) -> i32 {
        match mask.map(|text| u32::from_str_radix(text, 8)) {
            None => io.out.line(&format!("{:04o}", self.umask)),
            Some(Ok(mask)) if mask <= 0o777 => self.umask = mask,
            Some(_) => {
                let mask = mask.unwrap_or_default();
                io.err.line(&format!("bash: line 1: umask: {mask}: octal number out of range"));
                return 1;
            }
        }
        0
    }

    fn trap(&mut self, words: &[String]) -> i32 {
        let words: Vec<&String> = words.iter().filter(|word| *word != "--").collect();
        let Some((action, signals)) = words.split_first() else { return 0 };
        if signals.iter().any(|signal| matches!(signal.as_str(), "EXIT" | "0")) {
            self.on_exit = (action.as_str() != "-").then(|| (*action).clone());
        }
        0
    }

    fn change_folder(&mut self, to: &str, io: &Io) -> i32 {
        let to =
            if to == "-" { self.variable("OLDPWD").unwrap_or_default() } else { to.to_owned() };
        let path = self.path(&to);
        match self.fs(|fs| fs.meta(&path)) {
            Ok(meta) if meta.folder => {
                self.variables.insert("OLDPWD".to_owned(), self.folder.clone());
                self.variables.insert("PWD".to_owned(), path.clone());
                self.folder = path;
                0
            }
            other => {
                let text = other.map_or_else(super::super::fs::Errno::text, |_| "Not a directory");
                io.err.line(&format!("bash: line 1: cd: {to}: {text}"));
                1
            }
        }
    }

    fn set(&mut self, words: &[String]) -> i32 {
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let on = word.starts_with('-');
            if word == "--" {
                self.arguments = rest.cloned().collect();
                return 0;
            }
            let Some(letters) = word.strip_prefix(['-', '+']) else {
                self.arguments = std::iter::once(word).chain(rest).cloned().collect();
                return 0;
            };
            for letter in letters.chars() {
                match letter {
                    'e' => self.options.errexit = on,
                    'u' => self.options.nounset = on,
                    'x' => self.options.xtrace = on,
                    'o' => match rest.next().map(String::as_str) {
                        Some("pipefail") => self.options.pipefail = on,
                        Some("errexit") => self.options.errexit = on,
                        Some("nounset") => self.options.nounset = on,
                        _ => {}
                    },
                    _ => {}
                }
            }
        }
        0
    }

    async fn read_line(&mut self, words: &[String], io: &Io) -> i32 {
        let flags = super::Flags::of(words, "pdntu");
        let Some(line) = io.stdin.lock().await.line().await else { return 1 };
        let line = String::from_utf8_lossy(&line).into_owned();
        let mut rest = line.trim_end_matches('\n').trim();
        let last = flags.words.len().saturating_sub(1);
        for (at, name) in flags.words.iter().enumerate() {
            let (value, after) = match rest.split_once(char::is_whitespace) {
                Some((value, after)) if at < last => (value, after.trim_start()),
                _ => (rest, ""),
            };
            self.variables.insert(name.clone(), value.to_owned());
            rest = after;
        }
        if flags.words.is_empty() {
            self.variables.insert("REPLY".to_owned(), rest.to_owned());
        }
        0
    }

    fn locate(&self, command: &str, words: &[String], io: &Io) -> i32 {
        let mut status = 0;
        for name in words.iter().filter(|word| !word.starts_with('-')) {
            let builtin =
                ["cd", "echo", "test", "[", "set", "true", "false", "read", "printf", "exit"];
            let builtin = builtin.contains(&name.as_str()) || self.functions.contains_key(name);
            match self.located(name) {
                Some(path) if command == "type" && !builtin => {
                    io.out.line(&format!("{name} is {path}"));
                }
                _ if builtin && command == "type" => {
                    io.out.line(&format!("{name} is a shell builtin"));
                }
                _ if builtin && command == "command" => io.out.line(name),
                Some(path) => io.out.line(&path),
                None => {
                    if command == "type" {
                        io.err.line(&format!("bash: line 1: type: {name}: not found"));
                    }
                    status = 1;
                }
            }
        }
        status
    }
}

/// `command -v` asks, it does not run.
fn is_query(words: &[String]) -> bool {
    words.first().is_some_and(|word| word == "-v" || word == "-V")
}

fn echo(words: &[String], io: &Io) {
    let (mut end, mut escapes, mut at) = ("\n", false, 0);
    while let Some(word) = words.get(at) {
        let flags = word.strip_prefix('-').filter(|flags| !flags.is_empty());
        match flags {
            Some(flags) if flags.chars().all(|flag| "neE".contains(flag)) => {
                for flag in flags.chars() {
                    match flag {
                        'n' => end = "",
                        'e' => escapes = true,
                        _ => escapes = false,
                    }
                }
            }
            _ => break,
        }
        at += 1;
    }
    let text = words.get(at..).unwrap_or_default().join(" ");
    let text = if escapes { super::printf::unescape(&text) } else { text };
    io.out.text(&format!("{text}{end}"));
}
