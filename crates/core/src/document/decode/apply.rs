//! `apply` of the configuration: how much is done at once.

use std::time::Duration;

use super::super::config::Apply;
use super::super::yaml::Kind;
use super::fields::Fields;
use super::value;

/// The name that stands for all storages without a bound of their own.
const DEFAULT: &str = "default";

/// Actions in flight, at least and at most.
const COUNT: std::ops::RangeInclusive<u32> = 1..=1000;

/// Seconds that may wait at a lock: Proxmox VE gives up after 10.
const WAIT: std::ops::RangeInclusive<u32> = 1..=8;

pub(crate) fn take(fields: &mut Fields<'_, '_>) -> Apply {
    let Some(mut fields) = fields.mapping("apply", "apply") else { return Apply::default() };
    let mut apply = Apply {
        parallel: count(&mut fields, "parallel"),
        per_node: count(&mut fields, "per_node"),
        per_template: count(&mut fields, "per_template"),
        ..Apply::default()
    };
    per_storage(&mut fields, &mut apply);
    let wait = fields.integer("lock_wait", WAIT);
    apply.lock_wait = wait.map(|wait| Duration::from_secs(u64::from(wait.value)));
    fields.finish();
    apply
}

fn count(fields: &mut Fields<'_, '_>, key: &'static str) -> Option<usize> {
    fields.integer(key, COUNT).map(|found| found.value as usize)
}

/// A number for all storages, or numbers by storage.
fn per_storage(fields: &mut Fields<'_, '_>, apply: &mut Apply) {
    let Some(node) = fields.take("per_storage") else { return };
    if !matches!(node.kind, Kind::Map(_)) {
        let found = value::integer(node, "per_storage", COUNT, fields.problems);
        apply.per_storage = found.map(|found| found.value as usize);
        return;
    }
    for entry in super::fields::named(node, "per_storage", fields.problems) {
        let name = &entry.key.value;
        let found = value::integer(&entry.value, name, COUNT, fields.problems);
        let Some(count) = found.map(|found| found.value as usize) else { continue };
        if name == DEFAULT {
            apply.per_storage = Some(count);
        } else {
            apply.storages.insert(name.clone(), count);
        }
    }
}
