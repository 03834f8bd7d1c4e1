//! Writes that no API token may do: they are taken out of the ordinary write and go over SSH.

use pvx_core::live::Guest;
use pvx_core::provider::Comparison;
use pvx_core::schema;

/// Moves what only root@pam may set or delete to its own place.
pub(super) fn split(comparison: &mut Comparison, live: &Guest) {
    let stored = |key: &str| live.config.get(key).map_or("", String::as_str);
    let root = |key: &str, value: &str| {
        let device = !stored(key).is_empty() && schema::needs_root(key, stored(key));
        schema::needs_root(key, value) || device
    };
    let set = std::mem::take(&mut comparison.set);
    let (as_root, plain) = set.into_iter().partition(|(key, value)| root(key, value));
    comparison.set = plain;
    comparison.set_as_root = as_root;
    let delete = std::mem::take(&mut comparison.delete);
    let (as_root, plain) = delete.into_iter().partition(|key| root(key, stored(key)));
    comparison.delete = plain;
    comparison.delete_as_root = as_root;
}
