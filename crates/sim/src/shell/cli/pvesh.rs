//! `pvesh` (`PVE::CLI::pvesh`): any path of the API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::Shell;
use super::super::io::Io;
use super::errno::Asked;
use super::options::{FORMAT, Known, OutputFormat, Parsed, parse};
use super::schema::{self, Schema};
use super::table::cell;
use super::{invoke, print};
use crate::api::endpoint::{Endpoint, Method};
use crate::api::methods;
use crate::api::refusal::Refusal;
use crate::guest::format::Kind;

/// The commands with what each does, as `help` tells it.
const COMMANDS: &[(&str, &str)] = &[
    ("create", "Call API POST on <api_path>."),
    ("delete", "Call API DELETE on <api_path>."),
    ("get", "Call API GET on <api_path>."),
    ("ls", "List child objects on <api_path>."),
    ("set", "Call API PUT on <api_path>."),
    ("usage", "print API usage information for <api_path>."),
];

fn listing() -> String {
    let line = |(command, _): &(&str, &str)| {
        let formats = if *command == "usage" { "" } else { " [FORMAT_OPTIONS]" };
        format!("       pvesh {command} <api_path> [OPTIONS]{formats}\n")
    };
    let lines: String = COMMANDS.iter().map(line).collect();
    format!(
        "USAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n\n{lines}\n       pvesh help [<extra-args>] [OPTIONS]\n"
    )
}

fn method_of(command: &str) -> Option<Method> {
    Some(match command {
        "get" => Method::Get,
        "create" => Method::Post,
        "set" => Method::Put,
        "delete" => Method::Delete,
        _ => return None,
    })
}

/// A command, perhaps shortened.
fn full(word: &str) -> Option<&'static str> {
    let all = || COMMANDS.iter().map(|(command, _)| *command).chain(["help"]);
    let mut hits = all().filter(|known| known.starts_with(word));
    all().find(|known| *known == word).or_else(|| hits.next().filter(|_| hits.next().is_none()))
}

/// The usage line: what must be given beside the path.
fn usage(command: &str, place: &str, schema: Option<&Schema>) -> String {
    let required = schema.into_iter().flat_map(|schema| schema.required.iter());
    let required: String = required.map(|(name, kind)| format!(" --{name} <{kind}>")).collect();
    format!("pvesh {command} {place}{required}")
}

impl Shell {
    pub(super) async fn pvesh(&mut self, words: &[String], io: &Io) -> i32 {
        // `--noproxy` and `--nooutput` may stand before the command.
        let own = |word: &&String| matches!(word.as_str(), "--noproxy" | "--nooutput");
        let before = words.iter().take_while(own).count();
        let nothing = words.iter().take(before).any(|word| word == "--nooutput");
        let words = words.get(before..).unwrap_or_default();
        let Some(first) = words.first() else {
            io.err.text(&format!("ERROR: no command specified\n{}", listing()));
            return 255;
        };
        let Some(command) = full(first) else {
            io.err.text(&format!("ERROR: unknown command 'pvesh {first}'\n{}", listing()));
            return 255;
        };
        let rest = words.get(1..).unwrap_or_default();
        match command {
            "help" => help(rest, io),
            "usage" => self.pvesh_usage(rest, io),
            "ls" => self.pvesh_ls(rest, io).await,
            _ => self.pvesh_call(command, rest, nothing, io).await,
        }
    }

    async fn pvesh_call(
        &mut self,
        command: &'static str,
        rest: &[String],
        nothing: bool,
        io: &Io,
    ) -> i32 {
        let method = method_of(command).unwrap_or(Method::Get);
        // The path is the first word after the command, whatever it is (`extract_path_info`).
        let path = rest.first().map(String::as_str).unwrap_or_default();
        let found = self.find_path(method, path);
        if !path.is_empty() && found.is_none() {
            if methods::exists(method, path) {
                let name = method.name();
                io.err.line(&format!("'{name} {path}' is not simulated: Proxmox VE has it"));
                return 255;
            }
            io.err.line(&format!("No '{command}' handler defined for '{path}'"));
            return 1;
        }
        let schema = found.as_ref().and_then(|(found, _)| schema::of(method, found.path));
        let usage =
            format!("{} [OPTIONS] [FORMAT_OPTIONS]", usage(command, "<api_path>", schema.as_ref()));
        let known = match &found {
            Some((endpoint, in_path)) => {
                let fixed: Vec<&str> = in_path.0.keys().map(String::as_str).collect();
                known(Some(endpoint), &fixed)
            }
            None => known(None, &[]),
        };
        let mut parsed = match parse(&known, &["api_path"], rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{usage}\n"));
                return 255;
            }
        };
        let Some((_, in_path)) = found else { return 255 };
        let format = match parsed.take_format() {
            Ok(format) => format,
            Err(refusal) => return print::complain(&refusal, &usage, Asked::of("pvesh"), io),
        };
        parsed.values.remove("api_path");
        parsed.values.remove("noproxy");
        let node = in_path.get("node").filter(|node| self.elsewhere(node)).map(str::to_owned);
        let given = parsed.values.clone();
        let Some(result) = self.call_path(method, path, parsed.values, io).await else { return 1 };
        let value = match (result, node) {
            (Ok(value), _) => value,
            (Err(refusal), None) => {
                return print::complain(&refusal, &usage, Asked::of("pvesh"), io);
            }
            (Err(refusal), Some(node)) => {
                let status = print::complain(&refusal, &usage, Asked::of("pvesh"), io);
                let line = self.ssh_line(&node, command, path, &given);
                io.err.line(&format!(
                    "proxy handler failed: command '{line}' failed: exit code {status}"
                ));
                return 255;
            }
        };
        if let Some(upid) = value.as_str().filter(|text| text.starts_with("UPID:"))
            && method != Method::Get
        {
            self.follow(upid, io).await;
        }
        if !nothing {
            print::result(&value, schema.as_ref(), &format, io);
        }
        0
    }

    /// Whether a name is that of another node: what runs there goes through SSH.
    fn elsewhere(&self, node: &str) -> bool {
        node != self.node && self.shared.world().nodes.contains_key(node)
    }

    /// The command that reaches another node (`PVE::SSHInfo::ssh_info_to_command`), quoted.
    fn ssh_line(
        &self,
        node: &str,
        command: &str,
        path: &str,
        values: &BTreeMap<String, String>,
    ) -> String {
        let ip = self.shared.world().nodes.get(node).map(|node| node.ip.clone());
        let known = format!("/etc/pve/nodes/{node}/ssh_known_hosts");
        let mut line = format!(
            "/usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias={node}' \
             -o 'UserKnownHostsFile={known}' -o 'GlobalKnownHostsFile=none' root@{} \
             -- pvesh --noproxy {command} {path} --output-format json",
            ip.unwrap_or_default()
        );
        for (name, value) in values {
            line.push_str(&format!(" '--{name} {value}'"));
        }
        line
    }

    fn pvesh_usage(&self, rest: &[String], io: &Io) -> i32 {
        const USAGE: &str = "pvesh usage <api_path> [OPTIONS]";
        let known = [
            Known::new("api_path", Kind::TEXT, true),
            Known::new("verbose", Kind::Bool, false),
            Known::new("returns", Kind::Bool, false),
            Known::new("command", Kind::TEXT, false),
        ];
        let parsed = match parse(&known, &["api_path"], rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{USAGE}\n"));
                return 255;
            }
        };
        let path = parsed.get("api_path").unwrap_or_default();
        let mut found = false;
        for command in ["get", "set", "create", "delete"] {
            let Some(method) = method_of(command) else { continue };
            if parsed.get("command").is_some_and(|only| only != command)
                || !methods::exists(method, path)
            {
                continue;
            }
            found = true;
            let schema = schema::at(method, path);
            let endpoint = self.find_path(method, path).map(|(endpoint, in_path)| {
                let fixed: Vec<String> = in_path.0.keys().cloned().collect();
                let fixed: Vec<&str> = fixed.iter().map(String::as_str).collect();
                invoke::known(endpoint, &fixed).len()
            });
            let options = if endpoint.is_some_and(|count| count > 0) { " [OPTIONS]" } else { "" };
            // Without arguments a blank stands after the path.
            let args = usage(command, path, schema.as_ref());
            let blank =
                if schema.is_none_or(|schema| schema.required.is_empty()) { " " } else { "" };
            io.out.line(&format!("USAGE: {args}{blank}{options}"));
        }
        if !found {
            io.err.line(&format!("no such resource '{path}'"));
            return 255;
        }
        0
    }

    /// The children that a list names, with what can be done on each.
    async fn pvesh_ls(&mut self, rest: &[String], io: &Io) -> i32 {
        const USAGE: &str = "pvesh ls <api_path> [OPTIONS] [FORMAT_OPTIONS]";
        let mut parsed = match parse(&known(None, &[]), &["api_path"], rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{USAGE}\n"));
                return 255;
            }
        };
        match self.children(&mut parsed, io).await {
            Ok((rows, format)) => {
                match format.format.as_str() {
                    "text" => io.out.text(&lines(&rows)),
                    _ => print::result(&Value::Array(rows), None, &format, io),
                }
                0
            }
            Err(refusal) => print::complain(&refusal, USAGE, Asked::of("pvesh"), io),
        }
    }

    async fn children(
        &mut self,
        parsed: &mut Parsed,
        io: &Io,
    ) -> Result<(Vec<Value>, OutputFormat), Refusal> {
        let format = parsed.take_format()?;
        let path = parsed.values.remove("api_path").unwrap_or_default();
        let path = path.as_str();
        let root = path.trim_matches('/').is_empty();
        if !root && !methods::exists(Method::Get, path) {
            return Err(Refusal::die(format!("no such resource '{path}'\n")));
        }
        let schema = schema::at(Method::Get, path);
        let child = match schema {
            Some(schema) if schema.has_children => schema.child,
            None if root => Some("subdir"),
            _ => {
                let text = format!("resource '{path}' does not define child links\n");
                return Err(Refusal::die(text));
            }
        };
        let result = self.call_path(Method::Get, path, BTreeMap::new(), io).await;
        let Some(value) = result.transpose()? else {
            return Err(Refusal::die(format!("'{path}' is not simulated")));
        };
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut names: Vec<String> = child
            .into_iter()
            .flat_map(|child| items.iter().filter_map(move |item| item.get(child)).map(cell))
            .collect();
        names.sort();
        let path = path.trim_end_matches('/');
        let row = |name: &String| {
            let at = format!("{path}/{name}");
            json!({ "capabilities": capabilities(&at), "name": name })
        };
        Ok((names.iter().map(row).collect(), format))
    }
}

/// What can be done on a path (`resource_cap`).
fn capabilities(path: &str) -> String {
    let can = |method, letter| if methods::exists(method, path) { letter } else { '-' };
    let folder = schema::at(Method::Get, path).is_some_and(|schema| schema.has_children);
    [
        if folder { 'D' } else { '-' },
        can(Method::Get, 'r'),
        can(Method::Put, 'w'),
        can(Method::Post, 'c'),
        can(Method::Delete, 'd'),
    ]
    .iter()
    .collect()
}

/// The table of `ls`, without header and borders.
fn lines(rows: &[Value]) -> String {
    let text = |row: &Value, key: &str| row.get(key).map(cell).unwrap_or_default();
    let line = |row| format!("{:<12} {}\n", text(row, "capabilities"), text(row, "name"));
    rows.iter().map(line).collect()
}

/// The options of a call: those of the endpoint, and pvesh's own.
fn known(endpoint: Option<&Endpoint>, fixed: &[&str]) -> Vec<Known> {
    let mut known = endpoint.map(|found| invoke::known(found, fixed)).unwrap_or_default();
    known.push(Known::new("api_path", Kind::TEXT, true));
    known.push(Known::new("noproxy", Kind::Bool, false));
    for (name, flag) in FORMAT {
        if !known.iter().any(|known| known.name == *name) {
            known.push(Known::new(name, if *flag { Kind::Bool } else { Kind::TEXT }, false));
        }
    }
    known
}

fn help(rest: &[String], io: &Io) -> i32 {
    let Some(word) = rest.iter().find(|word| !word.starts_with('-')) else {
        io.out.text(&listing());
        return 0;
    };
    let found = full(word).and_then(|full| COMMANDS.iter().find(|(command, _)| *command == full));
    let Some((command, about)) = found else {
        io.err.text(&format!("ERROR: unknown command '{word}'\n{}", listing()));
        return 255;
    };
    let formats = if *command == "usage" { "" } else { " [FORMAT_OPTIONS]" };
    io.out.text(&format!("USAGE: pvesh {command} <api_path> [OPTIONS]{formats}\n\n  {about}\n\n"));
    0
}
