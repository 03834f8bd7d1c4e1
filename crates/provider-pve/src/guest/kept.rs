//! Disks that outlive their guest: the guest that holds them meanwhile, and where that is possible.

use std::collections::BTreeMap;

use pvx_core::live::Guest;
use uuid::Uuid;

use super::unnamed;
use crate::codec::{Drive, Smbios};

/// Storage plugins that can rename a volume, which handing it to another guest comes down to
/// (pve-storage, `rename` in volume_has_feature). The list is one of the others: a plugin that is
/// not known here is tried.
const NO_RENAME: &[&str] = &["iscsi", "iscsidirect", "zfs", "pbs", "esxi"];

/// The guest as it is when it has got the disk: its volume is renamed on the way.
pub(super) fn with_disk(guest: &Guest, slot: &str, value: &str) -> Guest {
    let mut with = guest.clone();
    if let Some(drive) = Drive::parse(value).ok().and_then(|drive| unnamed::moved(&drive)) {
        with.config.insert(slot.to_owned(), drive.to_string());
    }
    with
}

/// A guest that is never started. Protected, so that nobody takes it for a left-over: removing it
/// would remove what it holds.
pub(super) fn keeper(
    name: &str,
    identity: Uuid,
    mark: &str,
    note: &str,
) -> BTreeMap<String, String> {
    let smbios = Smbios::from_uuid(identity).map(|smbios| smbios.to_string());
    let fixed = [
        ("name", name),
        ("tags", mark),
        ("description", note),
        ("memory", "64"),
        ("onboot", "0"),
        ("protection", "1"),
    ];
    let fixed = fixed.map(|(key, value)| (key.to_owned(), value.to_owned()));
    fixed.into_iter().chain(smbios.map(|smbios| ("smbios1".to_owned(), smbios))).collect()
}

/// Can a volume change hands on a storage of this kind?
pub(super) fn can_reassign(plugin: &str) -> bool {
    !NO_RENAME.contains(&plugin)
}
