//! Sizes, storages and choices for people.

pub(super) use crate::document::size::rounded as size;

/// `local-lvm on pve1`, and a shared storage by its name alone
pub(super) fn storage(node: &str, storage: &str, shared: bool) -> String {
    if shared { storage.to_owned() } else { format!("{storage} on {node}") }
}

/// `did you mean vmbr0? node pve1 has vmbr0, vmbr1`
pub(super) fn choice(wanted: &str, owner: &str, known: &[&str]) -> String {
    let list = format!("{owner} has {}", known.join(", "));
    match crate::document::nearest(wanted, known.iter().copied()) {
        Some(near) => format!("did you mean {near}? {list}"),
        None => list,
    }
}
