//! Proxmox VE's own commands. Like the real ones they call the handlers of the API, as root@pam on
//! the node they run on, wait for what they start, and print (`PVE::CLIHandler`).

mod calls;
mod disks;
mod errno;
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
use crate::api::call::load_config;
use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;
use errno::Asked;
use options::Parsed;

/// Commands that are known.
pub(super) const NAMES: &[&str] = &[
    "ha-manager",
    "pct",
    "pve-firewall",
    "pvecm",
    "pvedaemon",
    "pvenode",
    "pveproxy",
    "pvereport",
    "pvesh",
    "pvesm",
    "pvesr",
    "pvesubscription",
    "pveum",
    "pveversion",
    "qm",
    "qmrestore",
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
    /// A node's tasks.
    Tasks,
    /// A node's certificates.
    Certificates,
    /// The rules of HA, each with its state.
    Rules,
}

/// What a command does.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// Calls an endpoint.
    Api(Method, &'static str, After),
    /// Something of its own; these options it takes, a `!` marks a flag, a `?` what may be left
    /// out of the positional arguments.
    Own(Own, &'static [&'static str]),
    /// Another command.
    Alias(&'static str),
    /// Known, but not simulated.
    Refused,
}

/// Commands without an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// Prints nothing: there is nothing to tell.
    Nothing,
    Status,
    Unlock,
    Wait,
    Rescan,
    ImportDisk,
    Exec,
    Path,
    Prune,
    ApiInfo,
    ClusterStatus,
    ClusterNodes,
    HaStatus,
    HaMigrate,
    HaRelocate,
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
    /// Parameters that the command sets itself.
    pub(super) fixed: &'static [(&'static str, &'static str)],
}

impl Command {
    /// The command with parameters that it sets itself.
    pub(super) const fn fixing(mut self, fixed: &'static [(&'static str, &'static str)]) -> Self {
        self.fixed = fixed;
        self
    }
}

pub(super) const fn command(
    words: &'static str,
    places: &'static [&'static str],
    usage: &'static str,
    class: u8,
    action: Action,
) -> Command {
    Command { words, places, usage, class, action, fixed: &[] }
}

fn table_of(name: &str) -> Option<&'static [Command]> {
    Some(match name {
        "qm" => qm::COMMANDS,
        "pvesm" => pvesm::COMMANDS,
        "pveum" => pveum::COMMANDS,
        "pvecm" => pvecm::COMMANDS,
        "pvenode" => node::COMMANDS,
        "ha-manager" => ha::COMMANDS,
        "pvesr" => node::REPLICATION,
        "pvesubscription" => node::SUBSCRIPTION,
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
            "qmrestore" => self.qmrestore(words, io).await,
            "pct" => self.containers(words, io),
            "pvereport" => node::report(self, io).await,
            "pve-firewall" => node::firewall(words, io),
            "pvestatd" | "pveproxy" | "pvedaemon" | "spiceproxy" | "pvescheduler" => {
                node::service(name, words, io)
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
            return self.refused(found, rest, &line, &usage, io);
        }
        let schema = self.options_of(found);
        let parsed = match options::parse(&schema, found.places, rest) {
            Ok(parsed) => parsed,
            Err(error) => {
                io.err.text(&format!("{error}{usage}\n"));
                return 255;
            }
        };
        let mut parsed = parsed;
        for (name, value) in found.fixed {
            parsed.values.insert((*name).to_owned(), (*value).to_owned());
        }
        let running = parsed.get("vmid").is_some_and(|vmid| self.runs(vmid));
        let result = match found.action {
            Action::Own(own, _) => self.own(own, parsed, io).await,
            Action::Api(method, path, after) => self.api(method, path, after, parsed, io).await,
            Action::Alias(_) | Action::Refused => Ok(255),
        };
        match result {
            Ok(status) => status,
            Err(refusal) => {
                print::complain(&refusal, &usage, Asked { command: &line, running }, io)
            }
        }
    }

    /// Whether a guest runs.
    fn runs(&self, vmid: &str) -> bool {
        let world = self.shared.world();
        let guest = vmid.parse().ok().and_then(|vmid| world.guest(vmid));
        guest.is_some_and(|guest| guest.running.is_some())
    }

    /// What is not simulated: the guest that it is about must be there all the same.
    fn refused(&self, found: &Command, rest: &[String], line: &str, usage: &str, io: &Io) -> i32 {
        let words: Vec<&String> = rest.iter().take_while(|word| !word.starts_with('-')).collect();
        let needed = found.usage.split(' ').take_while(|word| !word.starts_with("--"));
        if words.len() < needed.filter(|word| word.starts_with('<')).count() {
            io.err.text(&format!("400 not enough arguments\n{usage}\n"));
            return 255;
        }
        let guest = found.usage.starts_with(" <vmid>").then(|| words.first()).flatten();
        if let Some(vmid) = guest.and_then(|word| word.parse().ok())
            && !found.words.starts_with("import")
            && let Err(refusal) = load_config(&self.shared.world(), &self.node, vmid)
        {
            return print::complain(&refusal, usage, Asked::of(line), io);
        }
        io.err.line(&format!("{line}: not simulated"));
        255
    }

    async fn api(
        &mut self,
        method: Method,
        template: &'static str,
        after: After,
        mut parsed: Parsed,
        io: &Io,
    ) -> Result<i32, Refusal> {
        let format = parsed.take_format()?;
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
            After::Format => {
                print::result(&result, schema::of(method, template).as_ref(), &format, io);
            }
            After::Permissions => print::permissions(&result, &format, io),
            After::Tasks => print::tasks(result, &format, io),
            After::Certificates => print::certificates(&result, &format, io),
            After::Rules => print::rules(result, &format, io),
        }
        Ok(0)
    }
}
