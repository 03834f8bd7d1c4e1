//! Finding a command by its words, and the overview of all (`PVE::CLIHandler`).

use super::super::io::Io;
use super::{Action, Command};

/// The command that words name, and what follows them. Words may be shortened as long as they
/// are unique.
pub(super) fn resolve<'a>(
    name: &str,
    table: &'static [Command],
    words: &'a [String],
) -> Result<(&'static Command, &'a [String]), String> {
    let mut prefix = String::new();
    for (at, word) in words.iter().enumerate() {
        let full = expand(table, &prefix, word).unwrap_or_else(|| word.clone());
        let line = if prefix.is_empty() { full } else { format!("{prefix} {full}") };
        let rest = words.get(at + 1..).unwrap_or_default();
        if let Some(found) = table.iter().find(|command| command.words == line) {
            let Action::Alias(target) = found.action else { return Ok((found, rest)) };
            let other = table.iter().find(|command| command.words == target);
            return other
                .map(|other| (other, rest))
                .ok_or_else(|| overview(name, table, &format!("unknown command '{name} {line}'")));
        }
        let inner = format!("{line} ");
        if !table.iter().any(|command| command.words.starts_with(&inner)) {
            return Err(overview(name, table, &format!("unknown command '{name} {line}'")));
        }
        prefix = line;
    }
    let complaint = format!("incomplete command '{name} {prefix}'");
    let inner = format!("{prefix} ");
    let lines = table.iter().filter(|command| command.words.starts_with(&inner));
    let lines: String =
        lines.filter(|command| shown(command)).map(|command| line(name, command)).collect();
    Err(format!("ERROR: {complaint}\nUSAGE: {name} <COMMAND> [ARGS] [OPTIONS]\n\n{lines}"))
}

/// A word written out, when only one begins with it.
fn expand(table: &[Command], prefix: &str, word: &str) -> Option<String> {
    let inner = if prefix.is_empty() { String::new() } else { format!("{prefix} ") };
    let next = |command: &Command| {
        let rest = command.words.strip_prefix(&inner)?;
        let first = rest.split(' ').next().unwrap_or(rest);
        let alias = matches!(command.action, Action::Alias(_));
        Some((first.to_owned(), alias))
    };
    let all: Vec<(String, bool)> = table.iter().filter_map(next).collect();
    if all.iter().any(|(first, _)| first == word) {
        return Some(word.to_owned());
    }
    let mut hits: Vec<&String> = all
        .iter()
        .filter(|(first, alias)| !alias && first.starts_with(word))
        .map(|(first, _)| first)
        .collect();
    hits.dedup();
    match hits.as_slice() {
        [only] => Some((*only).clone()),
        _ => None,
    }
}

fn shown(command: &Command) -> bool {
    !matches!(command.action, Action::Alias(_))
}

fn line(name: &str, command: &Command) -> String {
    format!("       {name} {}{}\n", command.words, command.usage)
}

/// The complaint, and all commands: groups first, then by class.
pub(super) fn overview(name: &str, table: &[Command], complaint: &str) -> String {
    format!("ERROR: {complaint}\n{}", listing(name, table))
}

fn listing(name: &str, table: &[Command]) -> String {
    let mut out = format!("USAGE: {name} <COMMAND> [ARGS] [OPTIONS]\n\n");
    let mut last: Option<(String, u8)> = None;
    for command in table.iter().filter(|command| shown(command)) {
        let group = match command.words.split_once(' ') {
            Some((group, _)) => (group.to_owned(), 0),
            None => (String::new(), command.class),
        };
        if last.as_ref().is_some_and(|last| *last != group) {
            out.push('\n');
        }
        out.push_str(&line(name, command));
        last = Some(group);
    }
    out.push_str(&format!("\n       {name} help [<extra-args>] [OPTIONS]\n"));
    out
}

/// `help`, alone or for a command.
pub(super) fn help(name: &str, table: &'static [Command], words: &[String], io: &Io) -> i32 {
    let words: Vec<String> = words.iter().filter(|word| !word.starts_with('-')).cloned().collect();
    if words.is_empty() {
        io.out.text(&listing(name, table));
        return 0;
    }
    match resolve(name, table, &words) {
        Ok((found, _)) => {
            io.out.text(&format!("USAGE: {name} {}{}\n\n", found.words, found.usage));
            0
        }
        Err(complaint) => {
            io.err.text(&complaint);
            255
        }
    }
}
