//! `raw`: keys and properties that pvx knows nothing of, as they stand.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::value;
use super::vm::VmKeys;
use crate::diagnostic::{Diagnostic, Span};
use crate::schema;

/// Keys that pvx or Proxmox itself writes, each with what is to be used in its place.
const TAKEN: [(&str, &str); 16] = [
    ("cicustom", "cloudinit.cicustom"),
    ("citype", "cloudinit.type"),
    ("ciupgrade", "cloudinit.upgrade"),
    ("ciuser", "cloudinit.user"),
    ("digest", ""),
    ("lock", ""),
    ("meta", ""),
    ("name", "name"),
    ("nameserver", "cloudinit.nameservers"),
    ("parent", ""),
    ("searchdomain", "cloudinit.searchdomain"),
    ("smbios1", ""),
    ("sshkeys", "cloudinit.ssh_keys"),
    ("tags", "tags"),
    ("template", ""),
    ("vmid", "vmid"),
];

/// Bytes of one value.
const LONGEST: usize = 4096;

/// Takes `raw`.
pub(super) fn take(fields: &mut Fields<'_, '_>, keys: &mut VmKeys) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fields.named("raw") {
        let name = &entry.key.value;
        if name.split('.').next() == Some("cipassword") {
            let help = "use 'cloudinit.password', which says where it is";
            let message = "'cipassword' is a secret";
            fields.problems.push(value::secret(entry.value.span, message, help));
            continue;
        }
        if let Err(problem) = check(name, entry.key.span) {
            fields.problems.push(problem);
            continue;
        }
        let Some(text) = value::long_text(&entry.value, name, LONGEST, fields.problems) else {
            continue;
        };
        let property = name.contains('.');
        let bad = text.value.trim().is_empty()
            || text.value.chars().any(char::is_control)
            || (property && text.value.contains(','));
        if bad {
            let why = "must be one line, and inside a property string without commas";
            fields.problems.push(value::bad_value(text.span, name, why));
            continue;
        }
        keys.places.insert(format!("raw.{name}"), text.span);
        found.insert(name.clone(), text.value);
    }
    found
}

/// A key, or a property of one: `intel-tdx`, `net0.host-tunnel`.
fn check(name: &str, span: Span) -> Result<(), Diagnostic> {
    let (key, property) = name.split_once('.').map_or((name, None), |(k, p)| (k, Some(p)));
    let plain = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    if !plain(key) || !property.is_none_or(plain) {
        let problem = Diagnostic::error("bad-value", "this is no key of Proxmox VE");
        return Err(problem.at(span, "write a key, or KEY.PROPERTY"));
    }
    if let Some((_, instead)) = TAKEN.iter().find(|(taken, _)| *taken == key) {
        // An smbios table has more in it than the identity.
        if instead.is_empty() && key == "smbios1" && property.is_some_and(|p| p != "uuid") {
            return Ok(());
        }
        let problem = Diagnostic::error("raw-taken", format!("'{key}' cannot be set in 'raw'"));
        let help = if instead.is_empty() {
            "it belongs to pvx or to Proxmox itself".to_owned()
        } else {
            format!("use '{instead}'")
        };
        return Err(problem.at(span, "not here").help(help));
    }
    let known = match (schema::key(key), property) {
        (Some(_), None) => true,
        (Some(found), Some(property)) => found.properties().iter().any(|p| p.name == property),
        (None, _) => false,
    };
    if known {
        let problem = Diagnostic::error("raw-known", format!("pvx knows '{name}'"));
        let help = "write it outside of 'raw', where it is checked and compared by its meaning";
        return Err(problem.at(span, "not here").help(help));
    }
    Ok(())
}
