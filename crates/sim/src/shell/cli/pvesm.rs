//! `pvesm` (`PVE::CLI::pvesm`).

use serde_json::Value;

use super::table::cell;
use super::{Action, After, Command, Own, command};
use crate::api::endpoint::Method::{Delete, Get, Post, Put};

pub(super) const COMMANDS: &[Command] = &[
    command(
        "scan cifs",
        &["server"],
        " <server> [OPTIONS]",
        0,
        Action::Api(Get, "/nodes/{node}/scan/cifs", After::Print(shares)),
    ),
    command(
        "scan iscsi",
        &["portal"],
        " <portal>",
        0,
        Action::Api(Get, "/nodes/{node}/scan/iscsi", After::Print(targets)),
    ),
    command(
        "scan lvm",
        &[],
        " ",
        0,
        Action::Api(Get, "/nodes/{node}/scan/lvm", After::Print(groups)),
    ),
    command(
        "scan lvmthin",
        &["vg"],
        " <vg>",
        0,
        Action::Api(Get, "/nodes/{node}/scan/lvmthin", After::Print(thin)),
    ),
    command(
        "scan nfs",
        &["server"],
        " <server>",
        0,
        Action::Api(Get, "/nodes/{node}/scan/nfs", After::Print(exports)),
    ),
    command(
        "scan pbs",
        &[],
        " <server> <username> --password <string> [OPTIONS] [FORMAT_OPTIONS]",
        0,
        Action::Refused,
    ),
    command(
        "scan zfs",
        &[],
        " ",
        0,
        Action::Api(Get, "/nodes/{node}/scan/zfs", After::Print(pools)),
    ),
    command(
        "add",
        &["type", "storage"],
        " <type> <storage> [OPTIONS]",
        1,
        Action::Api(Post, "/storage", After::Quiet),
    ),
    command(
        "remove",
        &["storage"],
        " <storage>",
        1,
        Action::Api(Delete, "/storage/{storage}", After::Quiet),
    ),
    command(
        "set",
        &["storage"],
        " <storage> [OPTIONS]",
        1,
        Action::Api(Put, "/storage/{storage}", After::Quiet),
    ),
    command(
        "alloc",
        &["storage", "vmid", "filename", "size"],
        " <storage> <vmid> <filename> <size> [OPTIONS]",
        2,
        Action::Api(Post, "/nodes/{node}/storage/{storage}/content", After::Print(allocated)),
    ),
    command(
        "free",
        &["volume"],
        " <volume> [OPTIONS]",
        2,
        Action::Api(Delete, "/nodes/{node}/storage/{storage}/content/{*volume}", After::Quiet),
    ),
    command(
        "list",
        &["storage"],
        " <storage> [OPTIONS]",
        2,
        Action::Api(Get, "/nodes/{node}/storage/{storage}/content", After::Print(content)),
    ),
    command(
        "status",
        &[],
        "  [OPTIONS]",
        3,
        Action::Api(Get, "/nodes/{node}/storage", After::Print(status)),
    ),
    command("apiinfo", &[], " ", 4, Action::Own(Own::ApiInfo, &[])),
    command("nfsscan", &[], "", 4, Action::Alias("scan nfs")),
    command("cifsscan", &[], "", 4, Action::Alias("scan cifs")),
    command("iscsiscan", &[], "", 4, Action::Alias("scan iscsi")),
    command("lvmscan", &[], "", 4, Action::Alias("scan lvm")),
    command("lvmthinscan", &[], "", 4, Action::Alias("scan lvmthin")),
    command("zfsscan", &[], "", 4, Action::Alias("scan zfs")),
    command("export", &[], " <volume> <format> <filename> [OPTIONS]", 4, Action::Refused),
    command(
        "extractconfig",
        &["volume"],
        " <volume>",
        4,
        Action::Api(Get, "/nodes/{node}/vzdump/extractconfig", After::Print(plain)),
    ),
    command("import", &[], " <volume> <format> <filename> [OPTIONS]", 4, Action::Refused),
    command("path", &["volume"], " <volume>", 4, Action::Own(Own::Path, &["volume"])),
    command(
        "prune-backups",
        &["storage"],
        " <storage> [OPTIONS]",
        4,
        Action::Own(
            Own::Prune,
            &[
                "storage",
                "!dry-run",
                "type",
                "vmid",
                "!keep-all",
                "keep-last",
                "keep-hourly",
                "keep-daily",
                "keep-weekly",
                "keep-monthly",
                "keep-yearly",
            ],
        ),
    ),
];

/// A column of a list, a line each.
fn column(value: &Value, key: &str) -> String {
    let names = value.as_array().into_iter().flatten().filter_map(|item| item.get(key));
    names.map(|name| format!("{}\n", cell(name))).collect()
}

/// Two columns of a list, the first as wide as it must be.
fn columns(value: &Value, first: &str, second: &str) -> String {
    let items = || value.as_array().into_iter().flatten();
    let text = |item: &Value, key: &str| item.get(key).map(cell).unwrap_or_default();
    let width = items().map(|item| text(item, first).len()).max().unwrap_or(0);
    items().map(|item| format!("{:<width$} {}\n", text(item, first), text(item, second))).collect()
}

fn shares(value: &Value) -> String {
    columns(value, "share", "description")
}

fn targets(value: &Value) -> String {
    columns(value, "target", "portal")
}

fn exports(value: &Value) -> String {
    columns(value, "path", "options")
}

fn groups(value: &Value) -> String {
    column(value, "vg")
}

fn thin(value: &Value) -> String {
    column(value, "lv")
}

fn pools(value: &Value) -> String {
    column(value, "pool")
}

fn plain(value: &Value) -> String {
    format!("{}\n", cell(value))
}

fn allocated(value: &Value) -> String {
    format!("successfully created '{}'\n", cell(value))
}

fn status(value: &Value) -> String {
    let mut items: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    let id = |item: &Value| item.get("storage").map(cell).unwrap_or_default();
    items.sort_by_key(|item| id(item));
    let width = items.iter().map(|item| id(item).len()).max().unwrap_or(0) + 1;
    let mut out = format!(
        "{:<width$} {:>10} {:>10} {:>15} {:>15} {:>15} {:>8}\n",
        "Name", "Type", "Status", "Total (KiB)", "Used (KiB)", "Available (KiB)", "%"
    );
    for item in items {
        let number = |key: &str| item.get(key).and_then(Value::as_f64).unwrap_or(0.0);
        let set = |key: &str| number(key) > 0.0;
        let kib = |key: &str| (number(key) / 1024.0) as u64;
        let percent = if set("total") { number("used") * 100.0 / number("total") } else { 0.0 };
        let (state, percent) = match (set("enabled"), set("active")) {
            (false, _) => ("disabled", format!("{:>8}", "N/A")),
            (true, true) => ("active", format!("{percent:>7.2}%")),
            (true, false) => ("inactive", format!("{percent:>7.2}%")),
        };
        out.push_str(&format!(
            "{:<width$} {:>10} {state:>10} {:>15} {:>15} {:>15} {percent}\n",
            id(item),
            item.get("type").map(cell).unwrap_or_default(),
            kib("total"),
            kib("used"),
            kib("avail"),
        ));
    }
    out
}

fn content(value: &Value) -> String {
    let items: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    let text = |item: &Value, key: &str| {
        item.get(key).filter(|v| !v.is_null()).map(cell).unwrap_or_default()
    };
    let width = items.iter().map(|item| text(item, "volid").len()).max().unwrap_or(0);
    let largest = items.iter().filter_map(|item| item.get("size").and_then(Value::as_u64)).max();
    let digits = largest.unwrap_or(0).to_string().len();
    let head = |id: &str, format: &str, kind: &str, size: &str| {
        format!("{id:<width$} {format:<7} {kind:<9} {size:>digits$}")
    };
    let line = |item: &Value| {
        let size = match item.get("size") {
            Some(size) if !size.is_null() => cell(size),
            _ => "-".to_owned(),
        };
        head(&text(item, "volid"), &text(item, "format"), &text(item, "content"), &size)
    };
    let owned = |item: &&&Value| !matches!(text(item, "vmid").as_str(), "" | "0");
    let mut out = format!("{} VMID\n", head("Volid", "Format", "Type", "Size"));
    for item in items.iter().filter(owned) {
        out.push_str(&format!("{} {}\n", line(item), text(item, "vmid")));
    }
    let mut others: Vec<&&Value> = items.iter().filter(|item| !owned(item)).collect();
    others.sort_by_key(|item| text(item, "format"));
    for item in others {
        out.push_str(&format!("{}\n", line(item)));
    }
    out
}

/// `pvesm prune-backups --dry-run`.
pub(super) fn pruned(value: &Value) -> String {
    let mut items: Vec<&Value> = value.as_array().into_iter().flatten().collect();
    if items.is_empty() {
        return "No backups found\n".to_owned();
    }
    let number = |item: &Value, key: &str| item.get(key).and_then(Value::as_i64);
    let text = |item: &Value, key: &str| item.get(key).map(cell).unwrap_or_default();
    items.sort_by_key(|item| (number(item, "vmid"), number(item, "ctime")));
    let width = items.iter().map(|item| text(item, "volid").len()).max().unwrap_or(0) + 1;
    let mut out = "NOTE: this is only a preview and might not be what a subsequent\n\
                   prune call does if backups are removed/added in the meantime.\n\n"
        .to_owned();
    let line = |volid: &str, id: &str, mark: &str| format!("{volid:<width$} {id:>15} {mark:>10}\n");
    out.push_str(&line("Backup", "Backup-ID", "Prune-Mark"));
    for item in items {
        let (kind, vmid) = (text(item, "type"), text(item, "vmid"));
        let id = if vmid.is_empty() { kind } else { format!("{kind}/{vmid}") };
        out.push_str(&line(&text(item, "volid"), &id, &text(item, "mark")));
    }
    out
}
