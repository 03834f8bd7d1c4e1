//! `pvenode`, `pveversion`, `pct`, `vzdump`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Shell;
use super::super::io::Io;
use super::table::cell;
use super::{Action, After, Command, command};
use crate::api::endpoint::Method::{self, Get, Post, Put};

pub(super) const COMMANDS: &[Command] = &[
    command(
        "config get",
        &[],
        "  [OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/config", After::Print(config)),
    ),
    command(
        "config set",
        &[],
        "  [OPTIONS]",
        0,
        Action::Api(Put, "/nodes/{node}/config", After::Quiet),
    ),
    command(
        "task list",
        &[],
        "  [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/tasks", After::Format),
    ),
    command(
        "task log",
        &["upid"],
        " <upid> [OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/tasks/{upid}/log", After::Print(log)),
    ),
    command(
        "task status",
        &["upid"],
        " <upid> [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/tasks/{upid}/status", After::Format),
    ),
    command(
        "migrateall",
        &["target"],
        " <target> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/migrateall", After::Quiet),
    ),
    command(
        "startall",
        &[],
        "  [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/startall", After::Quiet),
    ),
    command(
        "stopall",
        &[],
        "  [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/stopall", After::Quiet),
    ),
];

fn config(value: &Value) -> String {
    let members = value.as_object().into_iter().flatten().filter(|(key, _)| *key != "digest");
    members.map(|(key, value)| format!("{key}: {}\n", cell(value))).collect()
}

fn log(value: &Value) -> String {
    let lines = value.as_array().into_iter().flatten();
    lines.map(|line| format!("{}\n", line.get("t").map(cell).unwrap_or_default())).collect()
}

/// Packages that `pveversion -v` names first, with the versions that are simulated.
const PACKAGES: &[(&str, &str)] = &[
    ("proxmox-ve", "9.2.0 (running kernel: 6.18.44)"),
    ("pve-manager", "9.2.11 (running version: 9.2.11/14a22df35955d97d)"),
    ("libpve-access-control", "9.0.5"),
    ("libpve-cluster-api-perl", "9.1.6"),
    ("libpve-storage-perl", "9.1.7"),
    ("pve-cluster", "9.1.6"),
    ("pve-qemu-kvm", "10.2.2-1"),
    ("qemu-server", "9.2.6"),
];

pub(super) fn version(words: &[String], io: &Io) -> i32 {
    match words.first().map(String::as_str) {
        None => io.out.line("pve-manager/9.2.11/14a22df35955d97d (running kernel: 6.18.44)"),
        Some("-v" | "--verbose" | "-verbose") => {
            for (name, version) in PACKAGES {
                io.out.line(&format!("{name}: {version}"));
            }
        }
        Some(_) => {
            io.err.line("USAGE: pveversion [--verbose]");
            return 255;
        }
    }
    0
}

/// There are no containers.
pub(super) fn containers(words: &[String], io: &Io) -> i32 {
    match words.first().map(String::as_str) {
        Some("list") => 0,
        _ => {
            io.err.line("pct: containers are not simulated");
            255
        }
    }
}

impl Shell {
    /// `vzdump VMID… [OPTIONS]`.
    pub(super) async fn vzdump(&mut self, words: &[String], io: &Io) -> i32 {
        const PATH: &str = "/nodes/{node}/vzdump";
        let Some(endpoint) = super::invoke::endpoint(Method::Post, PATH) else {
            io.err.line("vzdump: backups are not simulated");
            return 255;
        };
        let known = super::invoke::known(endpoint, &["node", "vmid"]);
        let parsed = match super::options::parse(&known, &["extra-args"], words) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}vzdump {{<vmid>}} [OPTIONS]\n"));
                return 255;
            }
        };
        let mut values: BTreeMap<String, String> = parsed.values;
        if !parsed.extra.is_empty() {
            values.insert("vmid".to_owned(), parsed.extra.join(","));
        }
        match self.call(Method::Post, PATH, values, io).await {
            Ok(Value::String(upid)) if upid.starts_with("UPID:") => {
                if self.follow(&upid, io).await { 0 } else { 255 }
            }
            Ok(_) => 0,
            Err(refusal) => {
                super::print::complain(&refusal, "vzdump {<vmid>} [OPTIONS]", "vzdump", io)
            }
        }
    }
}
