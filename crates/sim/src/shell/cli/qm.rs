//! `qm` (`PVE::CLI::qm`).

use serde_json::Value;

use super::table::cell;
use super::{Action, After, Command, Own, command};
use crate::api::endpoint::Method::{Delete, Get, Post, Put};

const TEMPLATE_DISK: &str = "/nodes/{node}/qemu/{vmid}/template";

pub(super) const COMMANDS: &[Command] = &[
    command(
        "cloudinit dump",
        &["vmid", "type"],
        " <vmid> <type>",
        0,
        Action::Api(Get, "/nodes/{node}/qemu/{vmid}/cloudinit/dump", After::Print(plain)),
    ),
    command(
        "cloudinit pending",
        &["vmid"],
        " <vmid>",
        0,
        Action::Api(Get, "/nodes/{node}/qemu/{vmid}/cloudinit", After::Print(pending)),
    ),
    command(
        "cloudinit update",
        &["vmid"],
        " <vmid>",
        0,
        Action::Api(Put, "/nodes/{node}/qemu/{vmid}/cloudinit", After::Quiet),
    ),
    command(
        "disk move",
        &["vmid", "disk", "storage"],
        " <vmid> <disk> [<storage>] [OPTIONS]",
        0,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/move_disk", After::Task),
    ),
    command(
        "disk resize",
        &["vmid", "disk", "size"],
        " <vmid> <disk> <size> [OPTIONS]",
        0,
        Action::Api(Put, "/nodes/{node}/qemu/{vmid}/resize", After::Quiet),
    ),
    command(
        "disk unlink",
        &["vmid"],
        " <vmid> --idlist <string> [OPTIONS]",
        0,
        Action::Api(Put, "/nodes/{node}/qemu/{vmid}/unlink", After::Quiet),
    ),
    command(
        "disk import",
        &["vmid", "source", "storage"],
        " <vmid> <source> <storage> [OPTIONS]",
        0,
        Action::Own(Own::ImportDisk, &["vmid", "source", "storage", "format", "target-disk"]),
    ),
    command("disk rescan", &[], "  [OPTIONS]", 0, Action::Own(Own::Rescan, &["vmid", "!dryrun"])),
    command(
        "guest cmd",
        &["vmid", "command"],
        " <vmid> <command>",
        0,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/agent", After::Print(agent)),
    ),
    command(
        "guest exec-status",
        &["vmid", "pid"],
        " <vmid> <pid>",
        0,
        Action::Api(Get, "/nodes/{node}/qemu/{vmid}/agent/exec-status", After::Print(agent)),
    ),
    command(
        "guest passwd",
        &["vmid", "username"],
        " <vmid> <username> [OPTIONS]",
        0,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/agent/set-user-password", After::Quiet),
    ),
    command(
        "guest exec",
        &["vmid", "extra-args"],
        " <vmid> [<extra-args>] [OPTIONS]",
        0,
        Action::Own(Own::Exec, &["vmid", "!synchronous", "timeout", "!pass-stdin"]),
    ),
    command(
        "clone",
        &["vmid", "newid"],
        " <vmid> <newid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/clone", After::Task),
    ),
    command(
        "config",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Get, "/nodes/{node}/qemu/{vmid}/config", After::Print(config)),
    ),
    command(
        "create",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu", After::Task),
    ),
    command(
        "delsnapshot",
        &["vmid", "snapname"],
        " <vmid> <snapname> [OPTIONS]",
        1,
        Action::Api(Delete, "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}", After::Task),
    ),
    command(
        "destroy",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Delete, "/nodes/{node}/qemu/{vmid}", After::Task),
    ),
    command(
        "list",
        &[],
        "  [OPTIONS]",
        1,
        Action::Api(Get, "/nodes/{node}/qemu", After::Print(list)),
    ),
    command(
        "listsnapshot",
        &["vmid"],
        " <vmid>",
        1,
        Action::Api(Get, "/nodes/{node}/qemu/{vmid}/snapshot", After::Print(snapshots)),
    ),
    command(
        "migrate",
        &["vmid", "target"],
        " <vmid> <target> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/migrate", After::Task),
    ),
    command(
        "pending",
        &["vmid"],
        " <vmid>",
        1,
        Action::Api(Get, "/nodes/{node}/qemu/{vmid}/pending", After::Print(pending)),
    ),
    command(
        "reboot",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/reboot", After::Task),
    ),
    command(
        "reset",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/reset", After::Task),
    ),
    command(
        "resume",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/resume", After::Task),
    ),
    command(
        "rollback",
        &["vmid", "snapname"],
        " <vmid> <snapname> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback", After::Task),
    ),
    command(
        "sendkey",
        &["vmid", "key"],
        " <vmid> <key> [OPTIONS]",
        1,
        Action::Api(Put, "/nodes/{node}/qemu/{vmid}/sendkey", After::Quiet),
    ),
    command(
        "set",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Put, "/nodes/{node}/qemu/{vmid}/config", After::Quiet),
    ),
    command(
        "shutdown",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/shutdown", After::Task),
    ),
    command(
        "snapshot",
        &["vmid", "snapname"],
        " <vmid> <snapname> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/snapshot", After::Task),
    ),
    command(
        "start",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/start", After::Task),
    ),
    command(
        "stop",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/stop", After::Task),
    ),
    command(
        "suspend",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, "/nodes/{node}/qemu/{vmid}/status/suspend", After::Task),
    ),
    command(
        "template",
        &["vmid"],
        " <vmid> [OPTIONS]",
        1,
        Action::Api(Post, TEMPLATE_DISK, After::Quiet),
    ),
    command("cleanup", &[], " <vmid> <clean-shutdown> <guest-requested>", 2, Action::Refused),
    command("enroll-efi-keys", &[], " <vmid>", 2, Action::Refused),
    command("import", &[], " <vmid> <source> --storage <string> [OPTIONS]", 2, Action::Refused),
    command("importovf", &[], " <vmid> <manifest> <storage> [OPTIONS]", 2, Action::Refused),
    command("monitor", &[], " <vmid>", 2, Action::Refused),
    command("mtunnel", &[], " ", 2, Action::Refused),
    command("nbdstop", &[], " <vmid>", 2, Action::Refused),
    command(
        "remote-migrate",
        &[],
        " <vmid> [<target-vmid>] <target-endpoint> --target-bridge <string> --target-storage <string> [OPTIONS]",
        2,
        Action::Refused,
    ),
    command("showcmd", &[], " <vmid> [OPTIONS]", 2, Action::Refused),
    command(
        "status",
        &["vmid"],
        " <vmid> [OPTIONS]",
        2,
        Action::Own(Own::Status, &["vmid", "!verbose"]),
    ),
    command("terminal", &[], " <vmid> [OPTIONS]", 2, Action::Refused),
    command("unlock", &["vmid"], " <vmid>", 2, Action::Own(Own::Unlock, &["vmid"])),
    command("vncproxy", &[], " <vmid>", 2, Action::Refused),
    command(
        "wait",
        &["vmid"],
        " <vmid> [OPTIONS]",
        2,
        Action::Own(Own::Wait, &["vmid", "timeout"]),
    ),
    command("agent", &[], "", 2, Action::Alias("guest cmd")),
    command("importdisk", &[], "", 2, Action::Alias("disk import")),
    command("move-disk", &[], "", 2, Action::Alias("disk move")),
    command("move_disk", &[], "", 2, Action::Alias("disk move")),
    command("rescan", &[], "", 2, Action::Alias("disk rescan")),
    command("resize", &[], "", 2, Action::Alias("disk resize")),
    command("unlink", &[], "", 2, Action::Alias("disk unlink")),
];

fn plain(value: &Value) -> String {
    format!("{}\n", cell(value))
}

/// `encode_text`: line ends and what would break a line, percent-encoded.
fn encoded(text: &str) -> String {
    text.chars()
        .map(|found| match found {
            '%' | ':' | '\n' => format!("%{:02X}", u32::from(found)),
            other => other.to_string(),
        })
        .collect()
}

fn shown(key: &str, value: &Value) -> String {
    let text = cell(value);
    if key == "description" { encoded(&text) } else { text }
}

fn config(value: &Value) -> String {
    let members = value.as_object().into_iter().flatten();
    let mut lines: Vec<(&String, String)> = members
        .filter(|(key, _)| *key != "digest")
        .map(|(key, value)| (key, format!("{key}: {}\n", shown(key, value))))
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// `PVE::GuestHelpers::format_pending`.
fn pending(value: &Value) -> String {
    let mut items: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    items.sort_by_key(|item| item.get("key").map(cell));
    let mut out = String::new();
    for item in items {
        let key = item.get("key").map(cell).unwrap_or_default();
        let text = |name: &str| {
            item.get(name).filter(|value| !value.is_null()).map(|value| shown(&key, value))
        };
        if key == "digest" {
            continue;
        }
        let (old, new) = (text("value"), text("pending"));
        let delete =
            item.get("delete").is_some_and(|delete| cell(delete) != "0" && !delete.is_null());
        match (old, new) {
            (Some(old), _) if delete => out.push_str(&format!("del {key}: {old}\n")),
            (Some(old), Some(new)) => {
                out.push_str(&format!("cur {key}: {old}\nnew {key}: {new}\n"));
            }
            (Some(old), None) => out.push_str(&format!("cur {key}: {old}\n")),
            (None, Some(new)) => out.push_str(&format!("new {key}: {new}\n")),
            (None, None) => {}
        }
    }
    out
}

fn list(value: &Value) -> String {
    let mut guests: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    if guests.is_empty() {
        return String::new();
    }
    let number = |guest: &Value, key: &str| {
        guest.get(key).map(cell).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
    };
    guests.sort_by(|a, b| number(a, "vmid").total_cmp(&number(b, "vmid")));
    let mut out = format!(
        "{:>10} {:<20} {:<10} {:<10} {:>12} {:<10}\n",
        "VMID", "NAME", "STATUS", "MEM(MB)", "BOOTDISK(GB)", "PID"
    );
    for guest in guests {
        let text = |key: &str| guest.get(key).map(cell).unwrap_or_default();
        let status = if text("qmpstatus").is_empty() { text("status") } else { text("qmpstatus") };
        let pid = if text("pid").is_empty() { "0".to_owned() } else { text("pid") };
        let memory = number(guest, "maxmem") / 1_048_576.0;
        let disk = number(guest, "maxdisk") / 1_073_741_824.0;
        out.push_str(&format!(
            "{:>10} {:<20} {status:<10} {memory:<10} {disk:>12.2} {pid:<10}\n",
            text("vmid"),
            text("name"),
        ));
    }
    out
}

/// The result of a guest agent's command (`$print_agent_result`).
pub(super) fn agent(value: &Value) -> String {
    let result = value.get("result").unwrap_or(value);
    match result {
        Value::Null => String::new(),
        Value::String(text) if text.trim().is_empty() => String::new(),
        Value::String(text) => format!("{}\n", text.trim_end_matches('\n')),
        Value::Object(members) if members.is_empty() => String::new(),
        Value::Object(_) | Value::Array(_) => format!("{}\n", super::json::pretty(result, 3)),
        other => format!("{other}\n"),
    }
}

/// `print_snapshot_tree`.
fn snapshots(value: &Value) -> String {
    let all: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    let name = |item: &Value| item.get("name").map(cell).unwrap_or_default();
    let names: Vec<String> = all.iter().map(|item| name(item)).collect();
    let parent =
        |item: &Value| item.get("parent").map(cell).filter(|parent| names.contains(parent));
    let mut roots: Vec<&Value> =
        all.iter().copied().filter(|item| parent(item).is_none()).collect();
    sort_snapshots(&mut roots);
    let mut out = String::new();
    for root in roots {
        branch(&mut out, "`->", root, &all, 0);
    }
    out
}

fn time_of(item: &Value) -> i64 {
    item.get("snaptime").and_then(Value::as_i64).unwrap_or(i64::MAX)
}

fn sort_snapshots(items: &mut [&Value]) {
    items.sort_by_key(|item| time_of(item));
}

fn branch(out: &mut String, prefix: &str, item: &Value, all: &[&Value], depth: usize) {
    let text = |key: &str| item.get(key).map(cell).unwrap_or_default();
    let description = match text("description") {
        empty if empty.is_empty() => "no-description".to_owned(),
        given => given.lines().next().unwrap_or_default().to_owned(),
    };
    let time = item.get("snaptime").and_then(Value::as_i64);
    let time = time.and_then(|time| jiff::Timestamp::from_second(time).ok());
    let time = time.map(|time| time.strftime("%F %H:%M:%S").to_string()).unwrap_or_default();
    let width = 30usize.saturating_sub(prefix.len());
    out.push_str(&format!("{prefix} {:<width$} {time:<23} {description}\n", text("name")));
    if depth > 200 {
        return;
    }
    let own = text("name");
    let mut children: Vec<&Value> = all
        .iter()
        .copied()
        .filter(|other| other.get("parent").map(cell).as_deref() == Some(own.as_str()))
        .collect();
    sort_snapshots(&mut children);
    for child in children {
        branch(out, &format!(" {prefix}"), child, all, depth + 1);
    }
}
