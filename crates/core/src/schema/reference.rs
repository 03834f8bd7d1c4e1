//! The reference of all keys as Markdown: docs/reference/documents.md.

use std::fmt::Write;

use super::document::{Field, Form, Kind, Mapping};
use super::{KEYS, Key, Properties, Property, Shape, documents};

/// What a change of a key costs, in words. The provider knows.
pub trait Effects {
    /// Of a key of [`KEYS`](super::KEYS), or of another config key (`net0`, `scsi0`).
    fn of_key(&self, key: &str) -> String;

    /// Of one property of a key.
    fn of_property(&self, key: &str, property: &str) -> String;
}

/// The whole reference. `head` and `foot` are its hand-written parts.
pub fn reference(head: &str, foot: &str, effects: &dyn Effects) -> String {
    let mut text = format!("{}\n", head.trim_end());
    for kind in Kind::ALL {
        section(&mut text, 2, heading(kind), kind.mapping());
    }
    text.push_str("\n## VM keys\n");
    text.push_str(&format!("{}\n", documents::VM.about));
    table(&mut text, documents::VM.fields);
    inner(&mut text, 3, documents::VM.fields, effects);
    text.push_str(KEYS_INTRODUCTION);
    keys(&mut text, effects);
    for key in KEYS {
        if let Shape::Properties(format) = key.shape {
            property_table(&mut text, key, format, effects);
        }
    }
    text.push('\n');
    text.push_str(foot.trim_end());
    text.push('\n');
    text
}

const KEYS_INTRODUCTION: &str = "\n### Config keys by Proxmox's names\nA key that holds several \
properties is written as a mapping, as the value of its first property alone, or as the text that \
Proxmox shows (`cpu: host,flags=+aes`). Defaults are Proxmox's: what holds when nobody says the key. \
*Effect* is what a change costs a running guest; a stopped one is changed at once \
([how-to](../how-to/changes.md)). *Privilege* is needed on `/vms/{vmid}`; keys of root@pam are \
written over SSH, because no API token may.\n\n\
| key | type | unit | default | effect | privilege | meaning |\n|---|---|---|---|---|---|---|\n";

fn heading(kind: Kind) -> &'static str {
    match kind {
        Kind::Config => "cluster-config.yaml",
        Kind::Cluster => "Cluster profile",
        Kind::Vm => "Standalone VM",
    }
}

fn section(text: &mut String, level: usize, title: &str, mapping: &Mapping) {
    let _ = writeln!(text, "\n{} {title}", "#".repeat(level));
    if !mapping.about.is_empty() {
        let _ = writeln!(text, "{}", mapping.about);
    }
    table(text, mapping.fields);
    if mapping.vm {
        text.push_str("\nAnd the [VM keys](#vm-keys).\n");
    }
    for (path, inner) in mappings(mapping.fields) {
        section(text, level + 1, &format!("`{path}`"), inner);
    }
}

/// Mappings under the fields of a mapping, with their paths.
pub(super) fn mappings(fields: &[Field]) -> Vec<(String, &'static Mapping)> {
    let under = |field: &Field| {
        let (mapping, tail) = inside(&field.form)?;
        Some((format!("{}{tail}", field.name), mapping))
    };
    fields.iter().filter_map(under).collect()
}

/// The mapping in a form, and what its path ends with.
fn inside(form: &Form) -> Option<(&'static Mapping, String)> {
    match form {
        Form::Mapping(mapping) => Some((mapping, String::new())),
        Form::List(item) => inside(item).map(|(mapping, tail)| (mapping, format!("[]{tail}"))),
        Form::Named(name, _, value) => {
            inside(value).map(|(mapping, tail)| (mapping, format!(".<{name}>{tail}")))
        }
        Form::Either(forms) => forms.iter().find_map(inside),
        _ => None,
    }
}

fn table(text: &mut String, fields: &[Field]) {
    text.push_str("\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let default = if field.required { "required" } else { field.default };
        let default = match (field.required, field.default) {
            (true, more) if !more.is_empty() => format!("required; {more}"),
            _ => default.to_owned(),
        };
        let form = self::form(&field.form);
        let _ = writeln!(text, "| `{}` | {form} | {default} | {} |", field.name, field.about);
    }
}

/// Mappings under VM keys, with the options that have a table of their own.
fn inner(text: &mut String, level: usize, fields: &[Field], effects: &dyn Effects) {
    for (path, mapping) in mappings(fields) {
        let _ = writeln!(text, "\n{} `{path}`", "#".repeat(level));
        if !mapping.about.is_empty() {
            let _ = writeln!(text, "{}", mapping.about);
        }
        table(text, mapping.fields);
        let key = if mapping.title == "a disk" { "scsi0" } else { "net0" };
        if let Some(further) = documents::further(mapping) {
            properties(text, key, further, effects);
        }
        inner(text, level + 1, mapping.fields, effects);
    }
}

fn keys(text: &mut String, effects: &dyn Effects) {
    for key in KEYS {
        let effect = effects.of_key(&first(key));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {effect} | {} | {} |",
            title(key),
            shape(key.shape),
            key.unit.unwrap_or_default(),
            default(key.default),
            key.privilege,
            key.about
        );
    }
}

/// The first key of a row: `usb0`.
fn first(key: &Key) -> String {
    if key.slots == 0 { key.name.to_owned() } else { format!("{}0", key.name) }
}

fn title(key: &Key) -> String {
    key.title().replace('-', if key.slots > 1 { "` to `" } else { "-" })
}

fn default(default: Option<&str>) -> String {
    match default {
        None => String::new(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn property_table(text: &mut String, key: &Key, format: &Properties, effects: &dyn Effects) {
    let _ = writeln!(text, "\n#### `{}`", title(key));
    let _ = writeln!(text, "For instance `{}`, or `{}`.", key.examples[0], key.examples[1]);
    properties(text, &first(key), format, effects);
}

fn properties(text: &mut String, key: &str, format: &Properties, effects: &dyn Effects) {
    text.push_str("\n| property | type | unit | default | effect | meaning |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for property in format.properties {
        text.push_str(&row(key, format, property, effects));
    }
}

fn row(key: &str, format: &Properties, property: &Property, effects: &dyn Effects) -> String {
    let needed = format.required.contains(&property.name);
    let value = if needed { "required".to_owned() } else { default(property.default) };
    format!(
        "| `{}` | {} | {} | {value} | {} | {} |\n",
        property.name,
        shape(property.shape),
        property.unit.unwrap_or_default(),
        effects.of_property(key, property.name),
        property.about
    )
}

fn form(form: &Form) -> String {
    match form {
        Form::Text(what) => (*what).to_owned(),
        Form::Shape(shape) => self::shape(*shape),
        Form::Size(unit) => format!("size; a bare number is {unit}"),
        Form::List(item) => format!("list of {}", self::form(item)),
        Form::Mapping(_) => "mapping".to_owned(),
        Form::Named(name, _, value) => format!("mapping of {name}: {}", self::form(value)),
        Form::Either(forms) => forms.iter().map(self::form).collect::<Vec<_>>().join(" or "),
    }
}

fn shape(shape: Shape) -> String {
    match shape {
        Shape::Boolean => "bool".to_owned(),
        Shape::Integer(least, most) => format!("{least}-{most}"),
        Shape::Decimal(least, most) => format!("number, {least}-{most}"),
        Shape::Mebibytes(least, most) => format!("size, {least}-{most} MiB; a bare number is MiB"),
        Shape::Word(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Shape::Token => "word".to_owned(),
        Shape::Line(longest) => format!("text, {longest} bytes"),
        Shape::Lines(longest) => format!("lines, {longest} bytes"),
        Shape::List(_) => "list".to_owned(),
        Shape::Features(words) => {
            let words: Vec<_> = words.iter().map(|w| format!("`{w}`")).collect();
            format!("list of {}; or bool", words.join(", "))
        }
        Shape::Properties(_) => "properties, below".to_owned(),
    }
}
