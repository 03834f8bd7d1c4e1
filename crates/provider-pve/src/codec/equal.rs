//! Whether two stored values mean the same to Proxmox VE.

use std::collections::BTreeMap;
use std::net::IpAddr;

use pvx_core::schema::NIC_MODELS;

use super::format::{Kind, Properties, kind_of};
use super::{PropertyString, Size, Tags, format_boolean, parse_boolean, ssh_keys};

/// Whether two stored values of the config key `key` mean the same to Proxmox VE: property strings
/// key by key in whatever order, with other spellings and defaults taken into account; MAC addresses
/// in whatever case; tags as a set; numbers as numbers; trailing white space of a description not at
/// all. Values that do not have the shape of their key are compared as text.
///
/// Reflexive and symmetric, because both values are brought to one form and that is compared. A
/// value is never equal to a missing one: absent is another thing.
#[must_use]
pub fn equal(key: &str, a: &str, b: &str) -> bool {
    let kind = kind_of(key);
    a == b || canonical(kind, a) == canonical(kind, b)
}

/// The value of one property inside the stored value of `key`, other spellings of its name
/// included.
#[must_use]
pub fn property(key: &str, stored: &str, name: &str) -> Option<String> {
    let Kind::Properties(format) = kind_of(key) else { return None };
    let parsed = PropertyString::parse(stored, format.default_key).ok()?;
    let is_it = |found: &str| {
        found == name || format.aliases.iter().any(|(from, to)| *from == found && *to == name)
    };
    parsed.iter().find(|(found, _)| is_it(found)).map(|(_, value)| value.to_owned())
}

/// Whether two values of one property mean the same; an absent one is the property's default.
#[must_use]
pub fn same_property(key: &str, name: &str, a: Option<&str>, b: Option<&str>) -> bool {
    let Kind::Properties(format) = kind_of(key) else { return a == b };
    let kind = format.kinds.iter().find(|(k, _)| *k == name).map_or(Kind::Text, |(_, kind)| *kind);
    let default = format.defaults.iter().find(|(k, _)| *k == name).map(|(_, default)| *default);
    let form = |value: Option<&str>| value.or(default).map(|value| canonical(kind, value));
    form(a) == form(b)
}

/// The property that may stand without its name in values of `key`.
#[must_use]
pub fn default_key(key: &str) -> Option<&'static str> {
    match kind_of(key) {
        Kind::Properties(format) => format.default_key,
        _ => None,
    }
}

/// Other spellings of a property's name.
#[must_use]
pub fn aliases(key: &str, name: &str) -> Vec<&'static str> {
    let Kind::Properties(format) = kind_of(key) else { return Vec::new() };
    format.aliases.iter().filter(|(_, to)| *to == name).map(|(from, _)| *from).collect()
}

/// One form for all spellings of a value.
#[derive(Debug, PartialEq)]
enum Canonical {
    Text(String),
    Items(Vec<String>),
    Entries(BTreeMap<String, Canonical>),
}

fn canonical(kind: Kind, text: &str) -> Canonical {
    match kind {
        Kind::Text => Canonical::Text(text.to_owned()),
        Kind::Description => Canonical::Text(text.trim_end().to_owned()),
        Kind::NoCase => Canonical::Text(text.to_ascii_lowercase()),
        Kind::Boolean => Canonical::Text(boolean(text)),
        Kind::Number => Canonical::Text(number(text)),
        Kind::Size => Canonical::Text(size(text)),
        Kind::Address => Canonical::Text(address(text)),
        Kind::List => Canonical::Items(items(text)),
        Kind::Set => Canonical::Items(sorted(items(text))),
        Kind::Numbers => Canonical::Items(numbers(text)),
        Kind::Hotplug => Canonical::Items(hotplug(text)),
        Kind::Tags => Canonical::Text(Tags::parse(text).to_string()),
        Kind::SshKeys => Canonical::Items(ssh_keys::lines(text).into_iter().collect()),
        Kind::Properties(format) => properties(format, text),
    }
}

/// The entries under their one spelling, without those that say what holds anyway. What Proxmox
/// would refuse (no property string, or one key in two spellings) stays text.
fn properties(format: &Properties, text: &str) -> Canonical {
    entries(format, text).map_or_else(|| Canonical::Text(text.to_owned()), Canonical::Entries)
}

fn entries(format: &Properties, text: &str) -> Option<BTreeMap<String, Canonical>> {
    let parsed = PropertyString::parse(text, format.default_key).ok()?;
    let mut entries = BTreeMap::new();
    let mut add = |key: &str, value: &str| {
        let kind = format.kinds.iter().find(|(k, _)| *k == key).map_or(Kind::Text, |(_, k)| *k);
        entries.insert(key.to_owned(), canonical(kind, value)).is_none()
    };
    for (key, value) in parsed.iter() {
        let alias = format.aliases.iter().find(|(from, _)| *from == key).map(|(_, to)| *to);
        let fresh = if format.nic && NIC_MODELS.contains(&key) {
            add("model", key) && add("macaddr", value)
        } else {
            add(alias.unwrap_or(key), value)
        };
        if !fresh {
            return None;
        }
    }
    entries.retain(|key, value| {
        let default = format.defaults.iter().find(|(k, _)| k == key).map(|(_, d)| *d);
        !matches!((default, value), (Some(d), Canonical::Text(v)) if d == v)
    });
    Some(entries)
}

fn boolean(text: &str) -> String {
    parse_boolean(text).map_or_else(|| text.to_owned(), |b| format_boolean(b).to_owned())
}

fn size(text: &str) -> String {
    text.parse::<Size>().map_or_else(|_| text.to_owned(), |s| s.bytes().to_string())
}

/// A decimal number without sign, leading zeros and trailing zeros of its fraction. Done on the
/// digits: no number is too large, and none is rounded.
fn number(text: &str) -> String {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return text.to_owned();
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    };
    match fraction.trim_end_matches('0') {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

/// An address in its shortest form, with its prefix length if it has one.
fn address(text: &str) -> String {
    let (ip, length) = match text.split_once('/') {
        Some((ip, length)) => (ip, Some(number(length))),
        None => (text, None),
    };
    match (ip.parse::<IpAddr>(), length) {
        (Ok(ip), Some(length)) => format!("{ip}/{length}"),
        (Ok(ip), None) => ip.to_string(),
        (Err(_), _) => text.to_owned(),
    }
}

/// The items of a list, split as `PVE::Tools::split_list` does.
fn items(text: &str) -> Vec<String> {
    let separator = |c: char| matches!(c, ';' | ',' | '\0') || c.is_whitespace();
    text.split(separator).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// Each number of a list of numbers and ranges; what is neither stays text.
fn numbers(text: &str) -> Vec<String> {
    /// More than any list of CPUs or VLANs has.
    const MOST: u32 = 8192;
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse::<u32>().ok()?);
        (first <= last && last - first < MOST).then_some(first..=last)
    };
    let expanded = items(text).into_iter().flat_map(|item| match range(&item) {
        Some(numbers) => numbers.map(|n| n.to_string()).collect(),
        None => vec![item],
    });
    sorted(expanded.collect())
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort_unstable();
    items.dedup();
    items
}

/// `1` stands for the default features and `0` for none (`parse_hotplug_features`).
fn hotplug(text: &str) -> Vec<String> {
    match text {
        "1" => sorted(items("network,disk,usb")),
        "0" => Vec::new(),
        _ => sorted(items(text)),
    }
}
