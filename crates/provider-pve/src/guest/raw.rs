//! `raw`: keys and properties that pvx knows nothing of, compared as text.

use pvx_core::plan::Effect;

use super::differ::Differ;
use crate::codec::{self, PropertyString};

pub(super) fn compare(differ: &mut Differ<'_>) {
    for (name, wanted) in &differ.wanted.spec.raw {
        let path = format!("raw.{name}");
        differ.manage(&path);
        match name.split_once('.') {
            Some((key, property)) => one(differ, &path, (key, property), Some(wanted)),
            None if differ.current(name).as_deref() != Some(wanted) => {
                let before = differ.current(name);
                differ.name_key(&path, name);
                differ.attribute(&path, before.as_deref(), Some(wanted), Effect::Live);
                differ.set(name, wanted);
            }
            None => {}
        }
    }
    let before: Vec<&str> = differ.managed_before("raw.").collect();
    for path in before.into_iter().filter(|path| differ.is_dropped(path)).collect::<Vec<_>>() {
        let name = path.strip_prefix("raw.").unwrap_or_default();
        match name.split_once('.') {
            Some((key, property)) => one(differ, path, (key, property), None),
            None => differ.reset(path, name),
        }
    }
}

/// One property of a key, on top of whatever else is going to be written there.
fn one(differ: &mut Differ<'_>, path: &str, (key, property): (&str, &str), wanted: Option<&str>) {
    let Some(current) = differ.current(key) else {
        if wanted.is_some() {
            let text = format!("'{path}' is a property of {key}, which the guest does not have");
            differ.finding(
                pvx_core::plan::Finding::error("raw-property", text)
                    .help(format!("say '{key}' in the document, too")),
            );
        }
        return;
    };
    let Ok(mut value) = PropertyString::parse(&current, codec::default_key(key)) else { return };
    let before = value.get(property).map(str::to_owned);
    if before.as_deref() == wanted {
        return;
    }
    match wanted {
        Some(wanted) if value.set(property, wanted).is_err() => return,
        Some(_) => {}
        None => {
            value.remove(property);
        }
    }
    differ.name_key(path, key);
    differ.attribute(path, before.as_deref(), wanted, Effect::Live);
    differ.set(key, &value.to_string());
}
