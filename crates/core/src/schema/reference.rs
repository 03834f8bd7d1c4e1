//! The reference of all keys as Markdown: docs/reference/documents.md.

use std::fmt::Write;

use super::document::{Effect, Field, Form, Kind, Mapping};
use super::{KEYS, Key, Properties, Property, Shape, documents, vm};

/// What a change of a key costs, in words. The provider knows.
pub trait Effects {
    /// Of a key of [`KEYS`], or of another config key (`net0`, `scsi0`).
    fn of_key(&self, key: &str) -> String;

    /// Of one property of a key.
    fn of_property(&self, key: &str, property: &str) -> String;
}

/// The whole reference. `head` and `foot` are its hand-written parts.
pub fn reference(head: &str, foot: &str, effects: &dyn Effects) -> String {
    let mut text = format!("{}\n", head.trim_end());
    for kind in Kind::ALL {
        section(&mut text, 2, heading(kind), kind.mapping(), effects);
    }
    section(&mut text, 2, "Included file", &documents::INCLUDED, effects);
    text.push_str("\n## VM keys\n");
    let _ = writeln!(text, "\n{}", vm::VM.about);
    table(&mut text, vm::VM.fields, effects);
    inner(&mut text, 3, vm::VM.fields, effects);
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

const KEYS_INTRODUCTION: &str = "\n### Config keys by Proxmox's names\n\nA key that holds several \
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
        Kind::Policy => "Policy file",
    }
}

fn section(
    text: &mut String,
    level: usize,
    title: &str,
    mapping: &'static Mapping,
    effects: &dyn Effects,
) {
    let _ = writeln!(text, "\n{} {title}", "#".repeat(level));
    about(text, mapping);
    table(text, mapping.fields, effects);
    if mapping.vm {
        text.push_str("\nAnd the [VM keys](#vm-keys).\n");
    }
    for (path, inner) in mappings(mapping.fields) {
        section(text, level + 1, &format!("`{path}`"), inner, effects);
    }
}

fn about(text: &mut String, mapping: &Mapping) {
    if !mapping.about.is_empty() {
        let _ = writeln!(text, "\n{}", mapping.about);
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

/// The fields of a mapping; with what a change costs and needs where any of them is about a guest.
fn table(text: &mut String, fields: &[Field], effects: &dyn Effects) {
    let of_guests = fields.iter().any(|field| !matches!(field.effect, Effect::None));
    text.push_str(if of_guests {
        "\n| key | type | default | effect | privilege | meaning |\n|---|---|---|---|---|---|\n"
    } else {
        "\n| key | type | default | meaning |\n|---|---|---|---|\n"
    });
    for field in fields {
        let default = match (field.required, field.default) {
            (true, "") => "required".to_owned(),
            (true, more) => format!("required; {more}"),
            (false, default) => or_dash(default).to_owned(),
        };
        let form = self::form(&field.form);
        let _ = write!(text, "| `{}` | {form} | {default} |", field.name);
        if of_guests {
            let effect = effect(field.effect, effects);
            let _ = write!(text, " {} | {} |", or_dash(&effect), or_dash(field.privilege));
        }
        let _ = writeln!(text, " {} |", field.about);
    }
}

fn effect(effect: Effect, effects: &dyn Effects) -> String {
    match effect {
        Effect::None => String::new(),
        Effect::Words(words) => words.to_owned(),
        Effect::Of(key) => match key.split_once('.') {
            Some((key, property)) => effects.of_property(key, property),
            None => effects.of_key(key),
        },
    }
}

/// An empty cell looks forgotten.
fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

/// Mappings under VM keys, with the options that have a table of their own.
fn inner(text: &mut String, level: usize, fields: &[Field], effects: &dyn Effects) {
    for (path, mapping) in mappings(fields) {
        let _ = writeln!(text, "\n{} `{path}`", "#".repeat(level));
        about(text, mapping);
        table(text, mapping.fields, effects);
        if let Some(further) = vm::further(mapping) {
            let (key, privilege) = match mapping.title {
                "a disk" => ("scsi0", "VM.Config.Disk"),
                _ => ("net0", "VM.Config.Network"),
            };
            let _ = writeln!(text, "\nAnd these properties; all of them need {privilege}.");
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
            "| {} | {} | {} | {} | {effect} | {} | {} |",
            cell(key),
            shape(key.shape),
            key.unit.unwrap_or("–"),
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

/// Its name; a link to its properties where it has any.
fn cell(key: &Key) -> String {
    match key.shape {
        Shape::Properties(_) => format!("[{}](#{})", headline(key), anchor(&headline(key))),
        _ => headline(key),
    }
}

/// `usb0` to `usb13`
fn headline(key: &Key) -> String {
    match key.slots {
        0 | 1 => format!("`{}`", first(key)),
        slots => format!("`{0}0` to `{0}{1}`", key.name, slots - 1),
    }
}

/// The anchor that Markdown renderers give a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn default(default: Option<&str>) -> String {
    match default {
        None => "–".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

fn property_table(text: &mut String, key: &Key, format: &Properties, effects: &dyn Effects) {
    let [one, other] = key.examples;
    let _ = writeln!(text, "\n#### {}", headline(key));
    let _ = writeln!(text, "\nFor instance `{one}`, or `{other}`. Privilege: {}.", key.privilege);
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
        property.unit.unwrap_or("–"),
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
        Shape::Properties(_) => "properties".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_guest_says_what_a_change_costs_and_needs() {
        let mut open = vec![("VM keys".to_owned(), &vm::VM)];
        while let Some((path, mapping)) = open.pop() {
            for field in mapping.fields {
                let said = !matches!(field.effect, Effect::None) && !field.privilege.is_empty();
                assert!(said, "{path}: {}", field.name);
            }
            open.extend(mappings(mapping.fields));
        }
        for key in KEYS {
            assert!(!key.privilege.is_empty(), "{}", key.name);
        }
    }

    #[test]
    fn links_lead_to_headings() {
        assert_eq!(anchor("`usb0` to `usb13`"), "usb0-to-usb13");
        assert_eq!(anchor("`spice_enhancements`"), "spice_enhancements");
    }
}
