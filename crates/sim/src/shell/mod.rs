//! The shell of a node: it parses scripts as bash does and runs commands that act on the world.
//! No program of the machine that serves is ever run.

mod arithmetic;
mod budget;
mod cli;
mod commands;
mod exec;
mod expand;
pub(crate) mod fs;
#[cfg(test)]
mod fuzz_tests;
pub(crate) mod io;
mod parse;
mod pattern;
mod syntax;
#[cfg(test)]
mod tests;
mod word;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::server::Shared;
use budget::Budget;
use fs::Fs;
use io::Io;
use syntax::Node;

/// Why a script does not go on with the next command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Exit,
    Return,
    Break(u32),
    Continue(u32),
}

/// `set -e` and its like.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    errexit: bool,
    nounset: bool,
    pipefail: bool,
    xtrace: bool,
}

/// A running shell.
#[derive(Clone)]
pub(crate) struct Shell {
    pub(crate) shared: Arc<Shared>,
    /// The node that it runs on.
    pub(crate) node: String,
    pub(crate) folder: String,
    variables: BTreeMap<String, String>,
    /// `$1` and on.
    arguments: Vec<String>,
    functions: BTreeMap<String, Node>,
    /// Variables that are lists.
    arrays: BTreeMap<String, Vec<String>>,
    /// Files of `<(…)` that go when the command is done.
    temporary: Vec<String>,
    /// What runs when the shell ends (`trap … EXIT`).
    on_exit: Option<String>,
    options: Options,
    /// The permission bits that new files do not get.
    umask: u32,
    /// `$?`.
    status: i32,
    /// What `$?` stands for in the assignments of a command without words, whose own status is
    /// that of what they ran (`s=$?`).
    asked: Option<i32>,
    stop: Option<Stop>,
    /// How many conditions are around: there `set -e` does nothing.
    guarded: u32,
    /// Functions and nested shells.
    depth: u32,
    /// Commands around this one.
    nesting: u32,
    /// How much more the script may do; nested shells share it.
    budget: Budget,
    /// The number of the line that error messages name.
    name: &'static str,
}

impl Shell {
    /// A login as root.
    pub(crate) fn new(shared: Arc<Shared>, node: &str) -> Self {
        let variables = [
            ("HOME", "/root"),
            ("USER", "root"),
            ("LOGNAME", "root"),
            ("SHELL", "/bin/bash"),
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("PWD", "/root"),
            ("LANG", "en_US.UTF-8"),
            ("HOSTNAME", node),
        ];
        let variables =
            variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self {
            shared,
            node: node.to_owned(),
            folder: "/root".to_owned(),
            variables,
            arguments: Vec::new(),
            functions: BTreeMap::new(),
            arrays: BTreeMap::new(),
            temporary: Vec::new(),
            on_exit: None,
            options: Options::default(),
            umask: fs::UMASK,
            status: 0,
            asked: None,
            stop: None,
            guarded: 0,
            depth: 0,
            nesting: 0,
            budget: Budget::default(),
            name: "bash",
        }
    }

    /// Takes variables over from a client.
    pub(crate) fn accept(&mut self, variables: Vec<(String, String)>) {
        self.variables.extend(variables);
    }

    /// Runs a script; the answer is its exit status.
    pub(crate) async fn run(&mut self, script: &str, io: &Io) -> i32 {
        match parse::parse(script) {
            Ok(node) => self.exec(&node, io.clone()).await,
            Err(error) => {
                io.err.line(&format!("{}: -c: line 1: {error}", self.name));
                self.status = 2;
                2
            }
        }
    }

    /// Runs a script to the end of the shell, and what it asked for at its exit.
    pub(crate) async fn whole(&mut self, script: &str, io: &Io) -> i32 {
        let status = self.run(script, io).await;
        self.leave(status, io).await
    }

    /// The end of the shell: its exit trap is run; the status stays, unless it exits itself.
    async fn leave(&mut self, status: i32, io: &Io) -> i32 {
        let Some(script) = self.on_exit.take() else { return status };
        self.stop = None;
        self.status = status;
        let last = Box::pin(self.run(&script, io)).await;
        if self.ended() { last } else { status }
    }

    /// A shell within this one: it has no exit trap yet.
    fn inner(&self) -> Self {
        Self { on_exit: None, temporary: Vec::new(), asked: None, ..self.clone() }
    }

    /// Whether `exit` was met.
    pub(crate) fn ended(&self) -> bool {
        self.stop == Some(Stop::Exit)
    }

    /// Works on the node's files.
    pub(crate) fn fs<R>(&self, work: impl FnOnce(&mut Fs<'_>) -> R) -> R {
        let now = self.shared.clock.moment().seconds();
        let mut world = self.shared.world();
        work(&mut Fs { world: &mut world, node: &self.node, now, umask: self.umask })
    }

    /// A path as the shell's folder sees it.
    pub(crate) fn path(&self, path: &str) -> String {
        fs::normal(&self.folder, path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let number = |value: usize| Some(value.to_string());
        match name {
            "?" => Some(self.asked.unwrap_or(self.status).to_string()),
            "#" => number(self.arguments.len()),
            "$" => Some("1".to_owned()),
            "-" => Some("hBc".to_owned()),
            "0" => Some(self.name.to_owned()),
            "*" | "@" => Some(self.arguments.join(" ")),
            "RANDOM" => number(self.shared.clock.moment().now.unsigned_abs() as usize % 32_768),
            "SECONDS" => Some("0".to_owned()),
            "UID" | "EUID" => Some("0".to_owned()),
            _ => match name.parse::<usize>() {
                Ok(at) => self.arguments.get(at.checked_sub(1)?).cloned(),
                Err(_) => {
                    let first = || self.arrays.get(name).and_then(|items| items.first());
                    self.variables.get(name).or_else(first).cloned()
                }
            },
        }
    }
}
