//! `pvenode`, `pveversion`, `pct`, `vzdump`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::Shell;
use super::super::io::{Io, Sink};
use super::errno::Asked;
use super::options::Known;
use super::table::cell;
use super::{Action, After, Command, command};
use crate::api::endpoint::Method::{self, Get, Post};
use crate::guest::format::Kind;

pub(super) const COMMANDS: &[Command] = &[
    command("acme account deactivate", &[], " [<name>]", 0, Action::Refused),
    command(
        "acme account info",
        &["name"],
        " [<name>] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/cluster/acme/account/{name}", After::Format),
    ),
    command(
        "acme account list",
        &[],
        " ",
        0,
        Action::Api(Get, "/cluster/acme/account", After::Print(accounts)),
    ),
    command("acme account update", &[], " [<name>] [OPTIONS]", 0, Action::Refused),
    command("acme account register", &[], " [<name>] {<contact>} [OPTIONS]", 0, Action::Refused),
    command("acme cert order", &[], "  [OPTIONS]", 0, Action::Refused),
    command("acme cert renew", &[], "  [OPTIONS]", 0, Action::Refused),
    command("acme cert revoke", &[], " ", 0, Action::Refused),
    command("acme plugin add", &[], " <type> <id> [OPTIONS]", 0, Action::Refused),
    command("acme plugin config", &[], " <id> [FORMAT_OPTIONS]", 0, Action::Refused),
    command("acme plugin list", &[], "  [OPTIONS] [FORMAT_OPTIONS]", 0, Action::Refused),
    command("acme plugin remove", &[], " <id>", 0, Action::Refused),
    command("acme plugin set", &[], " <id> [OPTIONS]", 0, Action::Refused),
    command("cert delete", &[], " [<restart>]", 0, Action::Refused),
    command(
        "cert info",
        &[],
        "  [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/certificates/info", After::Certificates),
    ),
    command(
        "cert set",
        &[],
        " <certificates> [<key>] [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Refused,
    ),
    command(
        "config get",
        &[],
        "  [OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/config", After::Print(config)),
    ),
    command("config set", &[], "  [OPTIONS]", 0, Action::Refused),
    command(
        "task list",
        &[],
        "  [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/tasks", After::Tasks),
    ),
    command(
        "task log",
        &["upid"],
        " <upid> [OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/tasks/{upid}/log", After::Print(log)),
    )
    .fixing(&[("limit", "1000000")]),
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
    command("wakeonlan", &[], " <node>", 1, Action::Refused),
];

/// `pvesr` (`PVE::CLI::pvesr`): there are no jobs.
pub(super) const REPLICATION: &[Command] = &[
    command("schedule-now", &[], " <id>", 1, Action::Refused),
    command(
        "status",
        &[],
        "  [OPTIONS]",
        1,
        Action::Api(Get, "/nodes/{node}/replication", After::Print(job_states)),
    ),
    command("create-local-job", &[], " <id> <target> [OPTIONS]", 2, Action::Refused),
    command("delete", &[], " <id> [OPTIONS]", 2, Action::Refused),
    command("list", &[], " ", 2, Action::Api(Get, "/cluster/replication", After::Print(jobs))),
    command(
        "read",
        &["id"],
        " <id>",
        2,
        Action::Api(Get, "/cluster/replication/{id}", After::Format),
    ),
    command("update", &[], " <id> [OPTIONS]", 2, Action::Refused),
    command("disable", &[], " <id>", 3, Action::Refused),
    command("enable", &[], " <id>", 3, Action::Refused),
    command("finalize-local-job", &[], " <id> [<extra-args>] [OPTIONS]", 3, Action::Refused),
    command("prepare-local-job", &[], " <id> [<extra-args>] [OPTIONS]", 3, Action::Refused),
    command("run", &[], "  [OPTIONS]", 3, Action::Refused),
    command("set-state", &[], " <vmid> <state>", 3, Action::Refused),
];

/// `pvesubscription` (`PVE::CLI::pvesubscription`).
pub(super) const SUBSCRIPTION: &[Command] = &[
    command("delete", &[], " ", 1, Action::Refused),
    command(
        "get",
        &[],
        " ",
        1,
        Action::Api(Get, "/nodes/{node}/subscription", After::Print(members)),
    ),
    command("set", &[], " <key>", 1, Action::Refused),
    command("update", &[], "  [OPTIONS]", 1, Action::Refused),
    command("set-offline-key", &[], " <data>", 2, Action::Refused),
];

fn jobs(_: &Value) -> String {
    format!("{:<20} {:<20} {:>10} {:>5} {:>8}\n", "JobID", "Target", "Schedule", "Rate", "Enabled")
}

fn job_states(_: &Value) -> String {
    format!(
        "{:<10} {:<10} {:<20} {:>20} {:>20} {:>10} {:>10} {}\n",
        "JobID", "Enabled", "Target", "LastSync", "NextSync", "Duration", "FailCount", "State"
    )
}

fn members(value: &Value) -> String {
    let mut lines: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}: {}\n", cell(value)))
        .collect();
    lines.sort();
    lines.concat()
}

fn accounts(value: &Value) -> String {
    let names = value.as_array().into_iter().flatten().filter_map(|item| item.get("name"));
    names.map(|name| format!("{}\n", cell(name))).collect()
}

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

/// `pvestatd status` and its like (`PVE::Daemon`); they always run.
pub(super) fn service(name: &str, words: &[String], io: &Io) -> i32 {
    let line = |command: &str, rest: &str| format!("       {name} {command} {rest}\n");
    match words.first().map(String::as_str) {
        Some("status") => {
            io.out.line("running");
            0
        }
        Some("start" | "restart" | "reload" | "stop") => 0,
        other => {
            let complaint = match other {
                Some(word) => format!("unknown command '{name} {word}'"),
                None => "no command specified".to_owned(),
            };
            let lines = ["restart", "start", "status", "stop"].map(|command| line(command, ""));
            io.err.text(&format!(
                "ERROR: {complaint}\nUSAGE: {name} <COMMAND> [ARGS] [OPTIONS]\n\n{}\n       {name} help [<extra-args>] [OPTIONS]\n",
                lines.concat()
            ));
            255
        }
    }
}

/// `pve-firewall status`: the service runs, the firewall is off (`PVE::Service::pve_firewall`).
pub(super) fn firewall(words: &[String], io: &Io) -> i32 {
    match words.first().map(String::as_str) {
        Some("status") => {
            io.out.line("Status: disabled/running");
            0
        }
        Some("start" | "restart") => 0,
        _ => {
            io.err.line("pve-firewall: not simulated");
            255
        }
    }
}

/// `pvereport`: what `/nodes/{node}/report` answers.
pub(super) async fn report(shell: &Shell, io: &Io) -> i32 {
    match shell.call(Method::Get, "/nodes/{node}/report", BTreeMap::new(), io).await {
        Ok(value) => {
            io.out.line(cell(&value).trim_end());
            0
        }
        Err(refusal) => super::print::complain(&refusal, "pvereport", Asked::of("pvereport"), io),
    }
}

impl Shell {
    /// `pct`: there are no containers.
    pub(super) fn containers(&self, words: &[String], io: &Io) -> i32 {
        const OF_ONE: &[&str] = &[
            "config",
            "console",
            "delsnapshot",
            "destroy",
            "enter",
            "exec",
            "listsnapshot",
            "migrate",
            "mount",
            "move-volume",
            "pending",
            "pull",
            "push",
            "reboot",
            "resize",
            "resume",
            "rollback",
            "set",
            "shutdown",
            "snapshot",
            "start",
            "status",
            "stop",
            "suspend",
            "template",
            "unlock",
            "unmount",
        ];
        let guest = words.get(1).filter(|word| word.chars().all(|found| found.is_ascii_digit()));
        match (words.first().map(String::as_str), guest) {
            (Some("list"), None) => 0,
            (Some(command), Some(vmid)) if OF_ONE.contains(&command) => {
                let node = &self.node;
                io.err.line(&format!(
                    "Configuration file 'nodes/{node}/lxc/{vmid}.conf' does not exist"
                ));
                2
            }
            _ => {
                io.err.line("pct: containers are not simulated");
                255
            }
        }
    }

    /// `qmrestore ARCHIVE VMID [OPTIONS]` (`PVE::CLI::qmrestore`).
    pub(super) async fn qmrestore(&mut self, words: &[String], io: &Io) -> i32 {
        const PATH: &str = "/nodes/{node}/qemu";
        const USAGE: &str = "qmrestore <archive> <vmid> [OPTIONS]";
        let flags = ["force", "unique", "live-restore", "start", "ha-managed"];
        let texts = ["archive", "vmid", "storage", "pool", "bwlimit"];
        let required = |name: &str| matches!(name, "archive" | "vmid");
        let known: Vec<Known> = flags
            .iter()
            .map(|name| Known::new(name, Kind::Bool, false))
            .chain(texts.iter().map(|name| Known::new(name, Kind::TEXT, required(name))))
            .collect();
        let parsed = match super::options::parse(&known, &["archive", "vmid"], words) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{USAGE}\n"));
                return 255;
            }
        };
        match self.call(Method::Post, PATH, parsed.values, io).await {
            Ok(value) => match value.as_str() {
                Some(upid) if !self.follow(upid, io).await => 255,
                _ => 0,
            },
            Err(refusal) => super::print::complain(&refusal, USAGE, Asked::of("qmrestore"), io),
        }
    }

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
        let quiet = values.get("quiet").is_some_and(|quiet| quiet == "1");
        match self.call(Method::Post, PATH, values, io).await {
            Ok(Value::String(upid)) if upid.starts_with("UPID:") => {
                let nowhere = Io { out: Sink::Nowhere, err: Sink::Nowhere, ..io.clone() };
                if self.follow(&upid, if quiet { &nowhere } else { io }).await { 0 } else { 255 }
            }
            Ok(_) => 0,
            Err(refusal) => {
                let asked = Asked::of("vzdump");
                super::print::complain(&refusal, "vzdump {<vmid>} [OPTIONS]", asked, io)
            }
        }
    }
}
