//! Running parsed commands.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use super::budget::TEXT;
use super::fs::spool::Spool;
use super::io::{Input, Io, Sink, taken};
use super::syntax::{Assign, Node, Redirect, Target, Value};
use super::{Shell, Stop, pattern};
use crate::world::files::{Body, Bytes};

type Running<'a> = Pin<Box<dyn Future<Output = i32> + Send + 'a>>;

enum Writing {
    /// What is added to the file that is there.
    Append(Arc<Mutex<Vec<u8>>>),
    New(Arc<Mutex<Spool>>),
}

/// Output that goes to a file when the command is done.
struct ToFile {
    path: String,
    kind: Writing,
}

/// Commands within commands, those of functions, files and nested shells included.
const NESTING: u32 = 400;
/// So many of them share a stack.
const PER_STACK: u32 = 2;

impl Shell {
    /// Runs a command; its status is `$?` afterwards.
    pub(super) fn exec<'a>(&'a mut self, node: &'a Node, io: Io) -> Running<'a> {
        Box::pin(async move {
            if self.stop.is_some() {
                return self.status;
            }
            if !self.budget.take() {
                return self.killed(&io);
            }
            if self.nesting >= NESTING {
                io.err.line("bash: line 1: maximum nesting level exceeded");
                self.stop = Some(Stop::Exit);
                self.status = 1;
                return 1;
            }
            self.nesting += 1;
            let result = match self.nesting % PER_STACK {
                0 => self.on_a_stack(node, io).await,
                _ => self.node(node, io).await,
            };
            let status = match result {
                _ if self.budget.spent() => 137,
                status => status,
            };
            self.nesting -= 1;
            self.status = status;
            status
        })
    }

    /// Runs a command as a task of its own, which begins at the bottom of a stack: a script may
    /// nest deeper than one stack would hold. It ends with whoever waits for it.
    async fn on_a_stack(&mut self, node: &Node, io: Io) -> i32 {
        let (mut shell, node) = (self.clone(), node.clone());
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let status = shell.node(&node, io).await;
            (shell, status)
        });
        match tasks.join_next().await {
            Some(Ok((shell, status))) => {
                *self = shell;
                status
            }
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            _ => 137,
        }
    }

    async fn node(&mut self, node: &Node, io: Io) -> i32 {
        match node {
            Node::List(nodes) => {
                let mut status = 0;
                for node in nodes {
                    status = self.exec(node, io.clone()).await;
                    if self.stop.is_some() {
                        break;
                    }
                }
                status
            }
            Node::And(left, right) => match self.condition(left, &io).await {
                0 if self.stop.is_none() => self.exec(right, io).await,
                status => status,
            },
            Node::Or(left, right) => match self.condition(left, &io).await {
                status if status != 0 && self.stop.is_none() => self.exec(right, io).await,
                status => status,
            },
            Node::Pipe { parts, not } => {
                let status = self.pipe(parts, io, *not).await;
                if *not { i32::from(status == 0) } else { status }
            }
            Node::If(arms, other) => {
                for (condition, body) in arms {
                    let holds = self.condition(condition, &io).await == 0;
                    if self.stop.is_some() {
                        return self.status;
                    }
                    if holds {
                        return self.exec(body, io).await;
                    }
                }
                match other {
                    Some(body) => self.exec(body, io).await,
                    None => 0,
                }
            }
            Node::For(name, words, body) => {
                let values = match words {
                    Some(words) => self.words(words, &io).await,
                    None => self.arguments.clone(),
                };
                let mut status = 0;
                for value in values {
                    self.variables.insert(name.clone(), value);
                    status = self.exec(body, io.clone()).await;
                    if self.leave_loop() {
                        break;
                    }
                }
                status
            }
            Node::While(condition, body, until) => {
                let mut status = 0;
                while (self.condition(condition, &io).await == 0) != *until && self.stop.is_none() {
                    status = self.exec(body, io.clone()).await;
                    if self.leave_loop() {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                status
            }
            Node::Case(word, arms) => {
                let value = self.single(word, &io).await;
                for (patterns, body) in arms {
                    for wanted in patterns {
                        let wanted = self.as_pattern(wanted, &io).await;
                        if pattern::fits(&wanted, &value) {
                            return self.exec(body, io).await;
                        }
                    }
                }
                0
            }
            Node::Function(name, body) => {
                self.functions.insert(name.clone(), (**body).clone());
                0
            }
            Node::Count([first, condition, step], body) => {
                self.count(first, &io).await;
                let mut status = 0;
                while self.count(condition, &io).await != 0 && self.stop.is_none() {
                    status = self.exec(body, io.clone()).await;
                    if self.leave_loop() || !self.budget.take() {
                        break;
                    }
                    self.count(step, &io).await;
                    tokio::task::yield_now().await;
                }
                status
            }
            Node::Arithmetic(text) => i32::from(self.count(text, &io).await == 0),
            Node::Test(words) => self.double_test(words, &io).await,
            Node::Subshell(body) => {
                let mut shell = self.inner();
                let status = shell.exec(body, io.clone()).await;
                shell.leave(status, &io).await
            }
            Node::Redirected(inner, redirects) => match self.redirect(redirects, io).await {
                Ok((io, files)) => {
                    let status = self.exec(inner, io.clone()).await;
                    self.flush(files, &io).unwrap_or(status)
                }
                Err(status) => status,
            },
            Node::Simple { assign, words, redirects } => {
                let status = self.simple(assign, words, redirects, io).await;
                for path in std::mem::take(&mut self.temporary) {
                    let _ = self.fs(|fs| fs.remove(&path));
                }
                self.arrays.insert("PIPESTATUS".to_owned(), vec![status.to_string()]);
                self.errexit(status);
                status
            }
        }
    }

    /// The end of a script that took too much, as of one that the kernel kills.
    fn killed(&mut self, io: &Io) -> i32 {
        io.err.line("Killed");
        self.stop = Some(Stop::Exit);
        self.status = 137;
        137
    }

    fn errexit(&mut self, status: i32) {
        if status != 0 && self.options.errexit && self.guarded == 0 && self.stop.is_none() {
            self.stop = Some(Stop::Exit);
        }
    }

    async fn condition(&mut self, node: &Node, io: &Io) -> i32 {
        self.guarded += 1;
        let status = self.exec(node, io.clone()).await;
        self.guarded -= 1;
        status
    }

    /// Whether a loop ends here; takes `break` and `continue` in.
    fn leave_loop(&mut self) -> bool {
        match self.stop {
            Some(Stop::Break(count)) => {
                self.stop = (count > 1).then_some(Stop::Break(count.saturating_sub(1)));
                true
            }
            Some(Stop::Continue(count)) if count > 1 => {
                self.stop = Some(Stop::Continue(count - 1));
                true
            }
            Some(Stop::Continue(_)) => {
                self.stop = None;
                false
            }
            Some(_) => true,
            None => false,
        }
    }

    /// One after the other, each on the output of the one before.
    async fn pipe(&mut self, parts: &[Node], io: Io, not: bool) -> i32 {
        let last = parts.len().saturating_sub(1);
        if last == 0 {
            self.guarded += u32::from(not);
            let status = match parts.first() {
                Some(only) => self.exec(only, io).await,
                None => 0,
            };
            self.guarded -= u32::from(not);
            return status;
        }
        let mut stdin = io.stdin.clone();
        let mut statuses = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let (sink, buffer) = Sink::buffer();
            let out = if at == last { io.out.clone() } else { sink };
            let mut shell = self.inner();
            let streams = Io { stdin: stdin.clone(), out, err: io.err.clone() };
            statuses.push(shell.exec(part, streams).await);
            stdin = Input::of(taken(&buffer));
        }
        let told = statuses.iter().map(i32::to_string).collect();
        self.arrays.insert("PIPESTATUS".to_owned(), told);
        let failed = statuses.iter().rev().find(|status| **status != 0).copied();
        let status = match failed {
            Some(failed) if self.options.pipefail => failed,
            _ => statuses.last().copied().unwrap_or(0),
        };
        if !not {
            self.errexit(status);
        }
        status
    }

    async fn simple(
        &mut self,
        assign: &[Assign],
        words: &[super::syntax::Word],
        redirects: &[Redirect],
        io: Io,
    ) -> i32 {
        self.asked = words.is_empty().then_some(self.status);
        self.status = if words.is_empty() { 0 } else { self.status };
        let arguments = self.words(words, &io).await;
        let mut before = Vec::new();
        for Assign { name, append, value } in assign {
            let value = match value {
                Value::Text(value) => self.single(value, &io).await,
                Value::List(items) => {
                    let items = self.words(items, &io).await;
                    let list = self.arrays.entry(name.clone()).or_default();
                    if !append {
                        list.clear();
                    }
                    list.extend(items);
                    self.variables.remove(name);
                    continue;
                }
                Value::Item(at, value) => {
                    let at = usize::try_from(self.count(at, &io).await).unwrap_or(0).min(9_999);
                    let value = self.single(value, &io).await;
                    let list = self.arrays.entry(name.clone()).or_default();
                    list.resize(list.len().max(at + 1), String::new());
                    if let Some(place) = list.get_mut(at) {
                        *place = value;
                    }
                    continue;
                }
            };
            let old = self.variables.get(name).cloned();
            let value = if *append { old.clone().unwrap_or_default() + &value } else { value };
            if value.len() > TEXT {
                return self.killed(&io);
            }
            self.variables.insert(name.clone(), value);
            before.push((name.clone(), old));
        }
        if self.stop.is_some() {
            return self.status;
        }
        let (streams, files) = match self.redirect(redirects, io.clone()).await {
            Ok(ready) => ready,
            Err(status) => return status,
        };
        self.asked = None;
        if arguments.is_empty() {
            return self.flush(files, &io).unwrap_or(self.status);
        }
        if arguments.iter().map(String::len).sum::<usize>() > TEXT {
            return self.killed(&io);
        }
        if self.options.xtrace {
            io.err.line(&format!("+ {}", arguments.join(" ")));
        }
        tokio::task::yield_now().await;
        let status = self.run_words(&arguments, &streams).await;
        // An assignment before a command holds for that command alone.
        for (name, old) in before {
            match old {
                Some(old) => self.variables.insert(name, old),
                None => self.variables.remove(&name),
            };
        }
        self.shared.persist();
        self.flush(files, &io).unwrap_or(status)
    }

    /// `[[ … ]]`: words are not split, and what `==` compares with is a pattern.
    async fn double_test(&mut self, words: &[super::syntax::Word], io: &Io) -> i32 {
        let mut texts: Vec<String> = Vec::new();
        for word in words {
            let compared =
                texts.last().is_some_and(|last| matches!(last.as_str(), "==" | "=" | "!="));
            texts.push(match compared {
                true => self.as_pattern(word, io).await,
                false => self.single(word, io).await,
            });
        }
        let (status, found) = super::commands::double_bracket(self, &texts, io);
        if let Some(found) = found {
            self.arrays.insert("BASH_REMATCH".to_owned(), found);
        }
        status
    }

    /// A function or a command.
    async fn run_words(&mut self, arguments: &[String], io: &Io) -> i32 {
        let Some((name, rest)) = arguments.split_first() else { return 0 };
        let Some(body) = self.functions.get(name).cloned() else {
            return Box::pin(self.command(name, rest, io)).await;
        };
        self.depth += 1;
        if self.depth > 40 {
            self.depth -= 1;
            io.err.line(&format!("bash: {name}: maximum function nesting level exceeded (40)"));
            return 1;
        }
        let outer = std::mem::replace(&mut self.arguments, rest.to_vec());
        let mut status = self.exec(&body, io.clone()).await;
        if self.stop == Some(Stop::Return) {
            self.stop = None;
            status = self.status;
        }
        self.arguments = outer;
        self.depth -= 1;
        status
    }

    /// The streams after redirections, and the files to write at the end.
    async fn redirect(&mut self, redirects: &[Redirect], io: Io) -> Result<(Io, Vec<ToFile>), i32> {
        let mut io = io;
        let mut files = Vec::new();
        for redirect in redirects {
            match &redirect.to {
                Target::Same(1) if redirect.from == 2 => io.err = io.out.clone(),
                Target::Same(2) if redirect.from == 1 => io.out = io.err.clone(),
                Target::Same(_) => {}
                Target::Here(word) => {
                    let text = self.single(word, &io).await;
                    io.stdin = Input::of(text.into_bytes());
                }
                Target::Read(word) => {
                    let name = self.single(word, &io).await;
                    let path = self.path(&name);
                    match self.fs(|fs| fs.read(&path)) {
                        Ok(bytes) => io.stdin = Input::of(bytes.0.to_vec()),
                        Err(errno) => {
                            io.err.line(&format!("bash: line 1: {name}: {}", errno.text()));
                            return Err(1);
                        }
                    }
                }
                Target::Write(word) | Target::Append(word) => {
                    let append = matches!(redirect.to, Target::Append(_));
                    let name = self.single(word, &io).await;
                    let sink = self.open(&name, append, &io, &mut files)?;
                    match redirect.from {
                        2 => io.err = sink,
                        9 => (io.out, io.err) = (sink.clone(), sink),
                        _ => io.out = sink,
                    }
                }
            }
        }
        Ok((io, files))
    }

    /// Opens a file for writing: it is there, empty, from now on.
    fn open(
        &self,
        name: &str,
        append: bool,
        io: &Io,
        files: &mut Vec<ToFile>,
    ) -> Result<Sink, i32> {
        match name {
            "/dev/null" => return Ok(Sink::Nowhere),
            "/dev/stdout" => return Ok(io.out.clone()),
            "/dev/stderr" => return Ok(io.err.clone()),
            _ => {}
        }
        let path = self.path(name);
        let made = self.fs(|fs| {
            let generated = path.starts_with("/etc/pve/");
            if (append || generated) && fs.meta(&path).is_ok_and(|meta| !meta.folder) {
                return Ok(());
            }
            fs.write(&path, Body::Bytes(Bytes::default()))
        });
        if let Err(errno) = made {
            io.err.line(&format!("bash: line 1: {name}: {}", errno.text()));
            return Err(1);
        }
        if append {
            let (sink, buffer) = Sink::buffer();
            files.push(ToFile { path, kind: Writing::Append(buffer) });
            return Ok(sink);
        }
        let spool = Arc::new(Mutex::new(Spool::default()));
        files.push(ToFile { path, kind: Writing::New(Arc::clone(&spool)) });
        Ok(Sink::File(spool))
    }

    /// Writes what went to files. The status of a failure.
    fn flush(&self, files: Vec<ToFile>, io: &Io) -> Option<i32> {
        let mut failed = None;
        for file in files {
            let written = self.fs(|fs| match &file.kind {
                Writing::Append(buffer) => {
                    let mut content = fs.read(&file.path)?.0.to_vec();
                    content.extend(taken(buffer));
                    fs.write(&file.path, Body::Bytes(Bytes::from(content)))
                }
                Writing::New(spool) => {
                    let mut spool = spool.lock().unwrap_or_else(PoisonError::into_inner);
                    fs.write(&file.path, std::mem::take(&mut *spool).finish())
                }
            });
            if let Err(errno) = written {
                io.err.line(&format!("bash: line 1: {}: {}", file.path, errno.text()));
                failed = Some(1);
            }
        }
        failed
    }
}
