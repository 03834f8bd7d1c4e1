//! The keys of the table in [`schema`], all in one way: a key that holds one value is compared by
//! what Proxmox takes it for, a property string property by property. What documents do not say of
//! a property string stays as it is.

use std::collections::BTreeMap;

use pvx_core::desired::Setting;
use pvx_core::plan::Effect;
use pvx_core::schema::{self, Key, Shape};

use super::differ::Differ;
use crate::codec::{self, PropertyString};

pub(super) fn compare(differ: &mut Differ<'_>) {
    let settings = &differ.wanted.spec.settings;
    for (name, setting) in settings {
        let Some(key) = schema::key(name) else { continue };
        match setting {
            Setting::Value(value) => {
                let value = super::scalar::made_value(differ, name, value);
                differ.value(name, name, &value, key.default);
            }
            Setting::Properties(wanted) => properties(differ, name, key, wanted),
        }
    }
    dropped(differ);
}

/// One property that changes.
struct Change<'a> {
    name: &'a str,
    before: Option<String>,
    after: Option<String>,
}

fn properties(
    differ: &mut Differ<'_>,
    name: &str,
    key: &'static Key,
    wanted: &BTreeMap<String, String>,
) {
    differ.manage(name);
    let default_key = codec::default_key(name);
    let stored = differ.current(name);
    let parsed = stored.as_deref().and_then(|text| PropertyString::parse(text, default_key).ok());
    let mut value = parsed.unwrap_or_else(|| PropertyString::new(default_key));
    let mut changes = Vec::new();
    for (property, wanted) in wanted {
        differ.manage(&format!("{name}.{property}"));
        let before = stored.as_deref().and_then(|text| codec::property(name, text, property));
        if is_same(differ, key, (name, property), before.as_deref(), wanted) {
            continue;
        }
        remove(&mut value, name, property);
        if value.set(property, wanted).is_ok() {
            changes.push(Change { name: property, before, after: Some(wanted.clone()) });
        }
    }
    changes.extend(forgotten(differ, name, &mut value));
    write(differ, name, &value, &changes);
}

/// A value that says what holds anyway is no difference, whether the key is there or not.
fn is_same(
    differ: &Differ<'_>,
    key: &Key,
    (name, property): (&str, &str),
    before: Option<&str>,
    wanted: &str,
) -> bool {
    let schema = key.properties().iter().find(|p| p.name == property);
    let before = before.or(schema.and_then(|p| p.default));
    codec::same_property(name, property, before, Some(wanted))
        || super::scalar::is_pinned_machine(differ, (name, property), wanted)
}

fn remove(value: &mut PropertyString, name: &str, property: &str) {
    // The default key keeps its place; another spelling of a name would be a second one.
    for alias in codec::aliases(name, property) {
        value.remove(alias);
    }
}

/// Properties that documents said before and do not say now.
fn forgotten<'a>(differ: &Differ<'a>, name: &str, value: &mut PropertyString) -> Vec<Change<'a>> {
    let prefix = format!("{name}.");
    let before = differ.managed_before(&prefix).filter(|path| differ.is_dropped(path));
    let mut changes = Vec::new();
    for path in before.collect::<Vec<_>>() {
        let property = path.strip_prefix(&prefix).unwrap_or_default();
        remove(value, name, property);
        if let Some(before) = value.remove(property) {
            changes.push(Change { name: property, before: Some(before), after: None });
        }
    }
    changes
}

fn write(differ: &mut Differ<'_>, name: &str, value: &PropertyString, changes: &[Change<'_>]) {
    if changes.is_empty() {
        return;
    }
    let default_key = codec::default_key(name);
    for Change { name: property, before, after } in changes {
        // `cpu kvm64 → host` is what people say.
        let path = match default_key == Some(property) {
            true => name.to_owned(),
            false => format!("{name}.{property}"),
        };
        differ.attribute(&path, before.as_deref(), after.as_deref(), Effect::Live);
    }
    differ.set(name, &value.to_string());
}

/// Keys that documents said before and do not say at all now: what they said of them goes, and
/// the whole key when nothing sensible is left.
fn dropped(differ: &mut Differ<'_>) {
    let is_setting = |path: &&str| !path.contains('.') && schema::key(path).is_some();
    let before: Vec<&str> = differ.managed_before("").filter(is_setting).collect();
    for name in before {
        if !differ.is_dropped(name) {
            continue;
        }
        let Some(key) = schema::key(name) else { continue };
        let Shape::Properties(format) = key.shape else {
            differ.reset(name, name);
            continue;
        };
        let parsed = differ
            .current(name)
            .map(|stored| PropertyString::parse(&stored, codec::default_key(name)).ok());
        // One that waits to go is still a matter of the documents.
        let Some(mut value) = parsed.flatten() else {
            differ.reset(name, name);
            continue;
        };
        let changes = forgotten(differ, name, &mut value);
        let whole = changes.is_empty()
            || value.is_empty()
            || format.required.iter().any(|property| value.get(property).is_none());
        if whole {
            differ.reset(name, name);
        } else {
            write(differ, name, &value, &changes);
        }
    }
}
