//! Results in text, JSON and YAML (`PVE::CLIFormatter`), and errors with their exit status.

use serde_json::{Value, json};

use super::super::io::Io;
use super::options::OutputFormat;
use super::schema::Schema;
use super::{json, table};
use crate::api::refusal::Refusal;

/// Prints an error; the answer is the exit status.
pub(super) fn complain(refusal: &Refusal, usage: &str, command: &str, io: &Io) -> i32 {
    match refusal {
        Refusal::Params(errors) => {
            let lines = errors.iter().map(|(name, text)| format!("{name}: {text}\n"));
            let lines: String = lines.collect();
            io.err.text(&format!("400 Parameter verification failed.\n{lines}{usage}\n"));
        }
        Refusal::Message { status: 400, message } => {
            io.err.text(&format!("400 {message}{usage}\n"));
        }
        Refusal::Message { status: 500, message } => io.err.text(message),
        Refusal::Message { status, message } => io.err.text(&format!("{status} {message}")),
        other => io.err.line(other.text().trim_end()),
    }
    exit_status(refusal, command)
}

/// Perl's `die` exits with `errno`, or 255 where that is 0. `errno` is 2 when a file of
/// `/etc/pve` was asked for and is not there, as of a missing guest, or `domains.cfg` when a user
/// is created (measured).
fn exit_status(refusal: &Refusal, command: &str) -> i32 {
    let text = refusal.text();
    let missing = text.starts_with("Configuration file '") && text.contains("does not exist");
    let domains = command == "pveum user add" && text.starts_with("create user failed");
    if missing || domains { 2 } else { 255 }
}

/// Prints a result as asked for.
pub(super) fn result(value: &Value, schema: Option<&Schema>, format: &OutputFormat, io: &Io) {
    if format.quiet || (value.is_null() && schema.is_none()) {
        return;
    }
    match format.format.as_str() {
        "json" => io.out.line(&json::canonical(value)),
        "json-pretty" => io.out.line(&json::pretty(value, 3)),
        "yaml" => io.out.text(&json::yaml(value)),
        _ => io.out.text(&as_text(value, schema, format)),
    }
}

fn as_text(value: &Value, schema: Option<&Schema>, format: &OutputFormat) -> String {
    match value {
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Array(items) if items.iter().all(Value::is_object) => {
            let columns = match schema {
                Some(schema) => schema.columns(),
                None => table::guessed(items),
            };
            table::render(items, &columns, format.header, format.border)
        }
        Value::Array(items) => {
            let rows: Vec<Value> = items.iter().map(|item| json!({ "value": item })).collect();
            table::render(&rows, &table::plain(&["value"]), false, format.border)
        }
        Value::Object(members) => {
            let ordered: Vec<String> = match schema {
                Some(schema) => schema.columns().into_iter().map(|column| column.name).collect(),
                None => members.keys().cloned().collect(),
            };
            let rows: Vec<Value> = ordered
                .iter()
                .filter_map(|key| Some((key, members.get(key)?)))
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| json!({ "key": key, "value": table::cell(value) }))
                .collect();
            table::render(&rows, &table::plain(&["key", "value"]), format.header, format.border)
        }
        other => format!("{}\n", table::cell(other)),
    }
}

/// `pveum user permissions`.
pub(super) fn permissions(value: &Value, format: &OutputFormat, io: &Io) {
    if format.format != "text" {
        result(value, None, format, io);
        return;
    }
    let empty = serde_json::Map::new();
    let paths = value.as_object().unwrap_or(&empty).iter().map(|(path, privileges)| {
        let lines = privileges.as_object().into_iter().flatten().map(|(name, propagate)| {
            let mark = if *propagate == json!(1) { " (*)" } else { "" };
            format!("{name}{mark}")
        });
        let lines: Vec<String> = lines.collect();
        json!({ "ACL path": path, "Permissions": lines.join("\n") })
    });
    let rows: Vec<Value> = paths.collect();
    if !rows.is_empty() {
        let columns = table::plain(&["ACL path", "Permissions"]);
        io.out.text(&table::render(&rows, &columns, format.header, format.border));
    }
    io.out.line("Permissions marked with '(*)' have the 'propagate' flag set.");
}
