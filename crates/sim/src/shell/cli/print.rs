//! Results in text, JSON and YAML (`PVE::CLIFormatter`), and errors with their exit status.

use serde_json::{Value, json};

use super::super::io::Io;
use super::errno::Asked;
use super::options::OutputFormat;
use super::schema::Schema;
use super::table::{Column, Style, Type};
use super::{errno, json, schema, table};
use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;

/// Prints an error; the answer is the exit status.
pub(super) fn complain(refusal: &Refusal, usage: &str, asked: Asked<'_>, io: &Io) -> i32 {
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
    errno::exit_status(&refusal.text(), asked)
}

/// Prints a result as asked for (`PVE::CLIFormatter::print_api_result`).
pub(super) fn result(value: &Value, schema: Option<&Schema>, format: &OutputFormat, io: &Io) {
    let nothing = match schema {
        Some(schema) => schema.kind == "null" || (schema.optional && value.is_null()),
        None => value.is_null(),
    };
    if format.quiet || nothing {
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
    let style = format.style();
    let columns = schema.map(|schema| schema.columns.as_slice()).unwrap_or_default();
    match value {
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Array(items) => {
            let objects = match schema {
                Some(schema) => schema.items == Some("object"),
                None => items.first().is_some_and(Value::is_object),
            };
            if objects {
                let columns =
                    if columns.is_empty() { table::guessed(items) } else { columns.to_vec() };
                return table::render(items, &columns, style);
            }
            let rows: Vec<Value> = items.iter().map(|item| json!({ "value": item })).collect();
            let numbers = schema.is_some_and(|schema| schema.items == Some("integer"));
            let kind = if numbers { Type::Number } else { Type::Text };
            let column = Column { kind, ..Column::text("value") };
            table::render(&rows, &[column], Style { header: false, ..style })
        }
        Value::Object(members) => {
            let known = |key: &str| match columns.iter().find(|column| names(column, key)) {
                Some(column) => Some(column.clone()),
                None => columns.is_empty().then(|| Column::text(key)),
            };
            let rows: Vec<Value> = members
                .iter()
                .filter(|(_, value)| !value.is_null())
                .filter_map(|(key, value)| {
                    let text = known(key)?.show(value, format.human);
                    Some(json!({ "key": key, "value": text }))
                })
                .collect();
            table::render(&rows, &table::plain(&["key", "value"]), style)
        }
        other => format!("{}\n", table::cell(other)),
    }
}

/// Whether a column is that of a key; `net[n]` is of `net0` and so on.
fn names(column: &Column, key: &str) -> bool {
    match column.name.strip_suffix("[n]") {
        Some(base) => key.strip_prefix(base).is_some_and(|rest| {
            !rest.is_empty() && rest.chars().all(|found| found.is_ascii_digit())
        }),
        None => column.name == key,
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
        io.out.text(&table::render(&rows, &columns, format.style()));
    }
    io.out.line("Permissions marked with '(*)' have the 'propagate' flag set.");
}

/// `pvenode task list`: how a task ended is only told as such.
pub(super) fn tasks(mut value: Value, format: &OutputFormat, io: &Io) {
    for task in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let status = task.get("status").and_then(Value::as_str);
        let told = match status {
            None => "UNKNOWN",
            Some(status)
                if ["OK", "RUNNING"].contains(&status) || status.starts_with("WARNINGS") =>
            {
                continue;
            }
            Some(_) => "ERROR",
        };
        task.insert("status".to_owned(), json!(told));
    }
    let order = ["upid", "type", "id", "user", "starttime", "endtime", "status"];
    ordered(&value, Method::Get, "/nodes/{node}/tasks", &order, format, io);
}

/// `ha-manager rules config`.
pub(super) fn rules(mut value: Value, format: &OutputFormat, io: &Io) {
    for rule in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        let enabled = u8::from(!rule.contains_key("disable"));
        let clash = rule.get("errors").is_some_and(|errors| !errors.is_null());
        rule.insert("enabled".to_owned(), json!(enabled));
        let state = if clash { "ignored (conflicts)" } else { "in use" };
        rule.insert("state".to_owned(), json!(state));
    }
    let order = ["enabled", "state", "rule", "type", "resources", "comment"];
    ordered(&value, Method::Get, "/cluster/ha/rules", &order, format, io);
}

/// A list with these columns.
fn ordered(
    value: &Value,
    method: Method,
    template: &str,
    order: &[&str],
    format: &OutputFormat,
    io: &Io,
) {
    let schema = schema::of(method, template).map(|mut schema| {
        let find = |name: &&str| {
            let known = schema.columns.iter().find(|column| column.name == *name);
            known.cloned().unwrap_or_else(|| Column::text(name))
        };
        schema.columns = order.iter().map(find).collect();
        schema
    });
    result(value, schema.as_ref(), format, io);
}

/// `pvenode cert info`: a table for each certificate.
pub(super) fn certificates(value: &Value, format: &OutputFormat, io: &Io) {
    if format.format != "text" {
        result(value, None, format, io);
        return;
    }
    const ORDER: &[&str] = &[
        "filename",
        "fingerprint",
        "subject",
        "issuer",
        "notbefore",
        "notafter",
        "public-key-type",
        "public-key-bits",
        "san",
    ];
    let schema = schema::of(Method::Get, "/nodes/{node}/certificates/info");
    let columns = schema.map(|schema| schema.columns).unwrap_or_default();
    for certificate in value.as_array().into_iter().flatten() {
        let rows: Vec<Value> = ORDER
            .iter()
            .filter_map(|name| {
                let value = certificate.get(name).filter(|value| !value.is_null())?;
                let column = columns.iter().find(|column| column.name == *name).cloned();
                let text = column.unwrap_or_else(|| Column::text(name)).show(value, format.human);
                Some(json!({ "key": name, "value": text }))
            })
            .collect();
        let style = Style { header: false, ..format.style() };
        io.out.text(&table::in_order(&rows, &table::plain(&["key", "value"]), style));
    }
}
