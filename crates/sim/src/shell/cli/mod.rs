//! Proxmox VE's own commands. Like the real ones they call the handlers of the API, as root@pam on
//! the node they run on, wait for what they start, and print (`PVE::CLIHandler`).

mod calls;
mod disks;
mod ha;
mod invoke;
pub(super) mod json;
mod node;
mod options;
mod own;
mod print;
mod pvecm;
mod pvesh;
mod pvesm;
mod pveum;
mod qm;
mod schema;
mod table;
mod usage;

use serde_json::Value;

use super::Shell;
use super::io::Io;
use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;
use options::Parsed;

/// Commands that are known.
pub(super) const NAMES: &[&str] = &[
    "ha-manager",
    "pct",
    "pvecm",
    "pvenode",
    "pvesh",
    "pvesm",
    "pveum",
    "pveversion",
    "qm",
    "vzdump",
];

/// What is done with the result of a call.
#[derive(Clone, Copy)]
pub(super) enum After {
    /// Nothing.
    Quiet,
    /// The exit status is that of the task (`$upid_exit`).
    Task,
    /// It is printed.
    Print(fn(&Value) -> String),
    /// It is printed in the format that is asked for.
    Format,
    /// The privileges of a user or token.
    Permissions,
}

/// What a command does.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// Calls an endpoint.
    Api(Method, &'static str, After),
    /// Something of its own; these options it takes, a `!` marks a flag.
    Own(Own, &'static [&'static str]),
    /// Another command.
    Alias(&'static str),
    /// Known, but not simulated.
    Refused,
}

/// Commands without an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    Status,
    Unlock,
    Wait,
    Rescan,
    ImportDisk,
    Exec,
    Path,
    ApiInfo,
    ClusterStatus,
    ClusterNodes,
    HaStatus,
    HaMigrate,
    HaStop,
}

/// A command: its words, the arguments of its usage line, what it does.
#[derive(Clone, Copy)]
pub(super) struct Command {
    pub(super) words: &'static str,
    /// Positional arguments.
    pub(super) places: &'static [&'static str],
    /// The rest of the usage line, after the command's words.
    pub(super) usage: &'static str,
    /// Commands of one class stand together in the overview.
    pub(super) class: u8,
    pub(super) action: Action,
}

pub(super) const fn command(
    words: &'static str,
    places: &'static [&'static str],
    usage: &'static str,
    class: u8,
    action: Action,
) -> Command {
    Command { words, places, usage, class, action }
}

fn table_of(name: &str) -> Option<&'static [Command]> {
    Some(match name {
        "qm" => qm::COMMANDS,
        "pvesm" => pvesm::COMMANDS,
        "pveum" => pveum::COMMANDS,
        "pvecm" => pvecm::COMMANDS,
        "pvenode" => node::COMMANDS,
        "ha-manager" => ha::COMMANDS,
        _ => return None,
    })
}

impl Shell {
    /// Runs one of the commands; none when it is not one.
    pub(super) async fn cli(&mut self, name: &str, words: &[String], io: &Io) -> Option<i32> {
        if let Some(table) = table_of(name) {
            return Some(self.run_from(name, table, words, io).await);
        }
        Some(match name {
            "pvesh" => self.pvesh(words, io).await,
            "pveversion" => node::version(words, io),
            "vzdump" => self.vzdump(words, io).await,
            "pct" => node::containers(words, io),
            "pvestatd" | "pveproxy" | "pvedaemon" | "service" => {
                io.err.line(&format!("{name}: the simulator has no services"));
                1
            }
            _ => return None,
        })
    }

    async fn run_from(
        &mut self,
        name: &str,
        table: &'static [Command],
        words: &[String],
        io: &Io,
    ) -> i32 {
        if words.is_empty() {
            io.err.text(&usage::overview(name, table, "no command specified"));
            return 255;
        }
        if words.first().is_some_and(|word| word == "help") {
            return usage::help(name, table, words.get(1..).unwrap_or_default(), io);
        }
        let (found, rest) = match usage::resolve(name, table, words) {
            Ok(found) => found,
            Err(complaint) => {
                io.err.text(&complaint);
                return 255;
            }
        };
        let line = format!("{name} {}", found.words);
        let usage = format!("{line}{}", found.usage);
        if let Action::Refused = found.action {
            io.err.line(&format!("{line}: not simulated"));
            return 255;
        }
        let schema = self.options_of(found);
        let parsed = match options::parse(&schema, found.places, rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{usage}\n"));
                return 255;
            }
        };
        let result = match found.action {
            Action::Own(own, _) => self.own(own, parsed, io).await,
            Action::Api(method, path, after) => self.api(method, path, after, parsed, io).await,
            Action::Alias(_) | Action::Refused => Ok(255),
        };
        match result {
            Ok(status) => status,
            Err(refusal) => print::complain(&refusal, &usage, &line, io),
        }
    }

    async fn api(
        &mut self,
        method: Method,
        template: &'static str,
        after: After,
        mut parsed: Parsed,
        io: &Io,
    ) -> Result<i32, Refusal> {
        let format = parsed.take_format();
        self.prepare(method, template, &mut parsed, io).await?;
        let result = self.call(method, template, parsed.values, io).await?;
        let task = match result.as_str().filter(|text| text.starts_with("UPID:")) {
            Some(upid) => Some(self.follow(upid, io).await),
            None => None,
        };
        match after {
            After::Quiet => {}
            After::Task => return Ok(if task == Some(false) { 255 } else { 0 }),
            After::Print(print) => io.out.text(&print(&result)),
            After::Format => print::result(&result, schema::of(method, template), &format, io),
            After::Permissions => print::permissions(&result, &format, io),
        }
        Ok(0)
    }
}
