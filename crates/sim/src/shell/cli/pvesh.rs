//! `pvesh` (`PVE::CLI::pvesh`): any path of the API.

use serde_json::{Value, json};

use super::super::Shell;
use super::super::io::Io;
use super::options::{FORMAT, Known, parse};
use super::{invoke, print, schema, table};
use crate::api::endpoint::{Endpoint, Method};
use crate::api::router::TABLES;
use crate::guest::format::Kind;

const USAGE: &str = "USAGE: pvesh <COMMAND> [ARGS] [OPTIONS]\n\n       pvesh create <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh delete <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh get <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh ls <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh set <api_path> [OPTIONS] [FORMAT_OPTIONS]\n       pvesh usage <api_path> [OPTIONS]\n\n       pvesh help [<extra-args>] [OPTIONS]\n";

fn method_of(command: &str) -> Option<Method> {
    Some(match command {
        "get" | "ls" => Method::Get,
        "create" => Method::Post,
        "set" => Method::Put,
        "delete" => Method::Delete,
        _ => return None,
    })
}

/// A command, perhaps shortened.
fn full(word: &str) -> Option<&'static str> {
    let all = ["create", "delete", "get", "help", "ls", "set", "usage"];
    let exact = all.iter().find(|known| **known == word);
    let mut hits = all.iter().filter(|known| known.starts_with(word));
    exact.or_else(|| hits.next().filter(|_| hits.next().is_none())).copied()
}

fn usage(command: &str, place: &str, endpoint: Option<&Endpoint>) -> String {
    let required = endpoint.into_iter().flat_map(|endpoint| endpoint.params);
    let mut required: Vec<String> = required
        .filter(|param| param.required)
        .map(|param| {
            let kind = match param.kind {
                Kind::Bool => "boolean",
                Kind::Int { .. } => "integer",
                Kind::Num { .. } => "number",
                _ => "string",
            };
            format!(" --{} <{kind}>", param.name)
        })
        .collect();
    required.sort();
    format!("pvesh {command} {place}{}", required.concat())
}

impl Shell {
    pub(super) async fn pvesh(&mut self, words: &[String], io: &Io) -> i32 {
        let Some(first) = words.first() else {
            io.err.text(&format!("ERROR: no command specified\n{USAGE}"));
            return 255;
        };
        let Some(command) = full(first) else {
            io.err.text(&format!("ERROR: unknown command 'pvesh {first}'\n{USAGE}"));
            return 255;
        };
        if command == "help" {
            io.out.text(USAGE);
            return 0;
        }
        let rest = words.get(1..).unwrap_or_default();
        // The path is the first word after the command, whatever it is (`extract_path_info`).
        let Some(path) = rest.first().cloned() else {
            io.err.text(&format!(
                "400 not enough arguments\n{} [OPTIONS] [FORMAT_OPTIONS]\n",
                usage(command, "<api_path>", None)
            ));
            return 255;
        };
        if command == "usage" {
            return self.pvesh_usage(&path, io);
        }
        let method = method_of(command).unwrap_or(Method::Get);
        let Some((endpoint, in_path)) = self.find_path(method, &path) else {
            io.err.line(&format!("No '{command}' handler defined for '{path}'"));
            return 1;
        };
        let fixed: Vec<&str> = in_path.0.keys().map(String::as_str).collect();
        let mut known = invoke::known(endpoint, &fixed);
        known.push(Known::new("api_path", Kind::TEXT, true));
        known.push(Known::new("noproxy", Kind::Bool, false));
        for (name, flag) in FORMAT {
            if !known.iter().any(|known| known.name == *name) {
                known.push(Known::new(name, if *flag { Kind::Bool } else { Kind::TEXT }, false));
            }
        }
        let usage =
            format!("{} [OPTIONS] [FORMAT_OPTIONS]", usage(command, "<api_path>", Some(endpoint)));
        let mut parsed = match parse(&known, &["api_path"], rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{usage}\n"));
                return 255;
            }
        };
        let format = parsed.take_format();
        parsed.values.remove("api_path");
        parsed.values.remove("noproxy");
        let Some(result) = self.call_path(method, &path, parsed.values, io).await else { return 1 };
        let value = match result {
            Ok(value) => value,
            Err(refusal) => return print::complain(&refusal, &usage, "pvesh", io),
        };
        if let Some(upid) = value.as_str().filter(|text| text.starts_with("UPID:"))
            && method != Method::Get
        {
            self.follow(upid, io).await;
        }
        if command == "ls" {
            return self.pvesh_ls(&path, &value, &format, io);
        }
        let silent = value.is_null() && method != Method::Get;
        if !silent {
            print::result(&value, schema::of(method, endpoint.path), &format, io);
        }
        0
    }

    fn pvesh_usage(&self, path: &str, io: &Io) -> i32 {
        let mut found = false;
        for (command, method) in [
            ("get", Method::Get),
            ("set", Method::Put),
            ("create", Method::Post),
            ("delete", Method::Delete),
        ] {
            if let Some((endpoint, _)) = self.find_path(method, path) {
                let options = if endpoint.params.iter().any(|param| !param.required) {
                    " [OPTIONS]"
                } else {
                    ""
                };
                io.out.line(&format!("USAGE: {}{options}", usage(command, path, Some(endpoint))));
                found = true;
            }
        }
        if !found {
            io.err.line(&format!("no such resource '{path}'"));
            return 255;
        }
        0
    }

    /// The children that a list names, with what can be done on each.
    fn pvesh_ls(
        &self,
        path: &str,
        value: &Value,
        format: &super::options::OutputFormat,
        io: &Io,
    ) -> i32 {
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let path = path.trim_end_matches('/');
        let keys = [
            "subdir", "name", "node", "vmid", "storage", "userid", "roleid", "groupid", "poolid",
            "realm", "upid", "volid", "sid", "rule", "id",
        ];
        let name = |item: &Value| {
            keys.iter().find_map(|key| {
                let value = item.get(key).filter(|value| !value.is_null())?;
                let child = format!("{path}/{}", invoke::encoded(&table::cell(value)));
                self.find_path(Method::Get, &child).map(|_| table::cell(value))
            })
        };
        let names: Vec<String> = items.iter().filter_map(name).collect();
        if names.is_empty() && !items.is_empty() {
            io.err.line(&format!("resource '{path}' does not define child links"));
            return 255;
        }
        let rows: Vec<Value> = names
            .iter()
            .map(|name| {
                let child = format!("{path}/{}", invoke::encoded(name));
                let can = |method, letter| {
                    if self.find_path(method, &child).is_some() { letter } else { '-' }
                };
                let inner = self.find_path(Method::Get, &child).is_some_and(|(found, _)| {
                    let below = format!("{}/", found.path);
                    TABLES.iter().copied().flatten().any(|known| known.path.starts_with(&below))
                });
                let capabilities: String = [
                    if inner { 'D' } else { '-' },
                    can(Method::Get, 'r'),
                    can(Method::Put, 'w'),
                    can(Method::Post, 'c'),
                    can(Method::Delete, 'd'),
                ]
                .iter()
                .collect();
                json!({ "capabilities": capabilities, "name": name })
            })
            .collect();
        match format.format.as_str() {
            "text" => {
                let mut rows = rows;
                rows.sort_by_key(|row| row.get("name").map(table::cell));
                for row in rows {
                    let text = |key: &str| row.get(key).map(table::cell).unwrap_or_default();
                    io.out.line(&format!("{:<12} {}", text("capabilities"), text("name")));
                }
            }
            _ => print::result(&Value::Array(rows), None, format, io),
        }
        0
    }
}
