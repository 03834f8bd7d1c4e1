//! The keys of the table in [`schema`](crate::schema): from a document's value to Proxmox's
//! spelling of it.

use std::collections::BTreeMap;

use super::super::size::{self, MIB};
use super::super::yaml::{Kind, Node};
use super::fields::Fields;
use super::value::{self, bad_value, out_of_range, wrong_type};
use super::vm::PlacesByPath;
use super::{fields, names};
use crate::desired::Setting;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::schema::{KEYS, Key, Properties, Shape};

/// Items of one list, at most.
const MOST_ITEMS: usize = 256;

/// Takes every key of the table out of `fields`.
pub(crate) fn take(
    fields: &mut Fields<'_, '_>,
    places: &mut PlacesByPath,
) -> BTreeMap<String, Setting> {
    let mut settings = BTreeMap::new();
    for key in KEYS {
        for (name, node) in fields.take_key(key) {
            if let Some(setting) = read(node, name, key, places, fields.problems) {
                places.insert(name.to_owned(), node.span);
                settings.insert(name.to_owned(), setting);
            }
        }
    }
    settings
}

fn read(
    node: &Node,
    name: &str,
    key: &Key,
    places: &mut PlacesByPath,
    problems: &mut Vec<Diagnostic>,
) -> Option<Setting> {
    let Shape::Properties(format) = key.shape else {
        return scalar(node, name, key.shape, problems).map(Setting::Value);
    };
    let properties = match (&node.kind, format.default_key) {
        (Kind::Map(_), _) => mapping(node, (name, key.name), format, places, problems)?,
        (Kind::Text(text), _) if text.contains(',') || text.contains('=') => {
            pasted(node, name, text, format, problems)?
        }
        (_, Some(default_key)) => {
            let shape = format.get(default_key)?.shape;
            let value = scalar(node, name, shape, problems)?;
            places.insert(format!("{name}.{default_key}"), node.span);
            BTreeMap::from([(default_key.to_owned(), value)])
        }
        (_, None) => {
            let known: Vec<&str> = format.properties.iter().map(|p| p.name).collect();
            problems.push(
                wrong_type(node, name, "a mapping").help(format!("of: {}", known.join(", "))),
            );
            return None;
        }
    };
    complete(node, name, format, &properties, problems).then_some(Setting::Properties(properties))
}

/// A mapping of properties by Proxmox's names.
fn mapping(
    node: &Node,
    (name, key): (&str, &'static str),
    format: &Properties,
    places: &mut PlacesByPath,
    problems: &mut Vec<Diagnostic>,
) -> Option<BTreeMap<String, String>> {
    let mut fields = Fields::open(node, name, key, problems)?;
    let mut properties = BTreeMap::new();
    for property in format.properties {
        let Some(node) = fields.take(property.name) else { continue };
        if let Some(value) = scalar(node, property.name, property.shape, fields.problems) {
            places.insert(format!("{name}.{}", property.name), node.span);
            properties.insert(property.name.to_owned(), value);
        }
    }
    fields.finish();
    Some(properties)
}

/// A property string as Proxmox shows it: `host,flags=+aes`.
fn pasted(
    node: &Node,
    name: &str,
    text: &str,
    format: &Properties,
    problems: &mut Vec<Diagnostic>,
) -> Option<BTreeMap<String, String>> {
    let mut properties = BTreeMap::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = match (part.split_once('='), format.default_key) {
            (Some((key, value)), _) => (key.trim(), value.trim()),
            (None, Some(default_key)) => (default_key, part),
            (None, None) => {
                let why = format!("'{part}' has no key; write a mapping");
                problems.push(bad_value(node.span, name, why));
                return None;
            }
        };
        let Some(property) = format.get(key) else {
            let known: Vec<&str> = format.properties.iter().map(|p| p.name).collect();
            problems.push(value::unknown_word(node.span, name, key, &known));
            return None;
        };
        let part = Node { span: node.span, kind: kind_of(value) };
        let value = scalar(&part, key, property.shape, problems)?;
        if properties.insert(key.to_owned(), value).is_some() {
            problems.push(bad_value(node.span, name, format!("'{key}' is given twice")));
            return None;
        }
    }
    Some(properties)
}

/// A piece of a pasted text as YAML would take it.
fn kind_of(text: &str) -> Kind {
    if text.parse::<f64>().is_ok() {
        Kind::Number(text.to_owned())
    } else {
        Kind::Text(text.to_owned())
    }
}

fn complete(
    node: &Node,
    name: &str,
    format: &Properties,
    found: &BTreeMap<String, String>,
    problems: &mut Vec<Diagnostic>,
) -> bool {
    let missing = format.required.iter().find(|property| !found.contains_key(**property));
    if let Some(property) = missing {
        problems.push(
            Diagnostic::error("missing-key", format!("'{name}' needs '{property}'"))
                .at(node.span, format!("'{property}' is missing here")),
        );
    }
    if missing.is_none() && found.is_empty() {
        problems.push(bad_value(node.span, name, "says nothing"));
        return false;
    }
    missing.is_none()
}

/// One value of a shape that is no property string.
pub(crate) fn scalar(
    node: &Node,
    key: &str,
    shape: Shape,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    match shape {
        Shape::Boolean => value::boolean(node, key, problems).map(|v| flag(v.value)),
        Shape::Integer(least, most) => integer(node, key, least, most, problems),
        Shape::Decimal(least, most) => decimal(node, key, least, most, problems),
        Shape::Mebibytes(least, most) => mebibytes(node, key, least, most, problems),
        Shape::Word(words) => word(node, key, words, problems),
        Shape::Token => token(node, key, problems),
        Shape::Line(longest) => line(node, key, longest, problems),
        Shape::Lines(longest) => {
            let text = value::long_text(node, key, longest, problems)?;
            Some(text.value.trim_end().to_owned())
        }
        Shape::List(separator) => list(node, key, separator, problems),
        Shape::Features(words) => features(node, key, words, problems),
        // A property string inside another is nowhere in the table.
        Shape::Properties(_) => None,
    }
}

fn flag(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

fn integer(
    node: &Node,
    key: &str,
    least: u64,
    most: u64,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    if let (Ok(least), Ok(most)) = (u32::try_from(least), u32::try_from(most)) {
        return value::integer(node, key, least..=most, problems).map(|v| v.value.to_string());
    }
    let Kind::Number(text) = &node.kind else {
        problems.push(wrong_type(node, key, "a number"));
        return None;
    };
    let found = text.parse::<u64>().ok().filter(|n| (least..=most).contains(n));
    if found.is_none() {
        let range = format!("a whole number, {least} to {most}");
        problems.push(out_of_range(node.span, key, range));
    }
    found.map(|n| n.to_string())
}

/// A number as it is written: `1.5`. Digits and one point only, so nothing is rounded.
fn decimal(
    node: &Node,
    key: &str,
    least: u64,
    most: u64,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    let Kind::Number(text) = &node.kind else {
        problems.push(wrong_type(node, key, "a number"));
        return None;
    };
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let number = text.parse::<f64>().ok().filter(|_| plain);
    // Ranges of the table are far below what a float cannot hold.
    let inside = |n: &f64| *n >= least as f64 && *n <= most as f64;
    if number.filter(inside).is_none() {
        problems.push(out_of_range(node.span, key, format!("a number, {least} to {most}")));
        return None;
    }
    Some(text.clone())
}

fn mebibytes(
    node: &Node,
    key: &str,
    least: u64,
    most: u64,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    let (Kind::Number(text) | Kind::Text(text)) = &node.kind else {
        problems.push(wrong_type(node, key, "a size, such as 4G or 4096M"));
        return None;
    };
    let bytes = match size::parse(text, MIB) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(bad_value(node.span, key, error));
            return None;
        }
    };
    let mib = bytes / MIB;
    if bytes % MIB != 0 || !(least..=most).contains(&mib) {
        let range = format!("{least} to {most} MiB, in whole MiB");
        problems.push(out_of_range(node.span, key, range));
        return None;
    }
    Some(mib.to_string())
}

/// A word; `true` and `false` are words of some keys that YAML takes for something else.
fn word(node: &Node, key: &str, words: &[&str], problems: &mut Vec<Diagnostic>) -> Option<String> {
    value::word(node, key, words, problems).map(|word| word.value)
}

fn token(node: &Node, key: &str, problems: &mut Vec<Diagnostic>) -> Option<String> {
    fields::parsed(node, key, plain, problems).map(|text| text.value)
}

fn plain(text: &str) -> Result<String, String> {
    if text.contains(',') {
        return Err("a comma cannot stand in it".to_owned());
    }
    names::option(text)
}

fn line(node: &Node, key: &str, longest: usize, problems: &mut Vec<Diagnostic>) -> Option<String> {
    let text: Spanned<String> = value::long_text(node, key, longest, problems)?;
    if text.value.chars().any(char::is_control) || text.value.trim().is_empty() {
        problems.push(bad_value(node.span, key, "must be one line of text"));
        return None;
    }
    Some(text.value)
}

/// A list, or the text that Proxmox makes of it.
fn list(node: &Node, key: &str, separator: char, problems: &mut Vec<Diagnostic>) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    for item in value::items(node, key, MOST_ITEMS, problems) {
        let text = value::text(item, key, problems)?;
        for part in text.value.split([',', ';', ' ']).filter(|part| !part.is_empty()) {
            match names::option(part) {
                Ok(part) => found.push(part),
                Err(why) => {
                    problems.push(bad_value(item.span, key, why));
                    return None;
                }
            }
        }
    }
    if found.is_empty() && matches!(node.kind, Kind::Seq(_)) {
        problems.push(bad_value(node.span, key, "is an empty list"));
    }
    (!found.is_empty()).then(|| found.join(&separator.to_string()))
}

/// Words, or all and none of them.
fn features(
    node: &Node,
    key: &str,
    words: &[&str],
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    match &node.kind {
        Kind::Seq(items) if items.is_empty() => return Some("0".to_owned()),
        // Not a word of the list: every spelling of yes and no.
        Kind::Bool(_) | Kind::Text(_) | Kind::Number(_) => {
            if let Some(on) = value::boolean(node, key, &mut Vec::new()) {
                return Some(flag(on.value));
            }
        }
        _ => {}
    }
    let text = list(node, key, ',', problems)?;
    for part in text.split(',') {
        if !words.contains(&part) {
            problems.push(value::unknown_word(node.span, key, part, words));
            return None;
        }
    }
    Some(text)
}
