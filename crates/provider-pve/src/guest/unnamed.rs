//! Volumes of a clone that is not made yet. Proxmox chooses their names while it clones, and a
//! drive's options can only be written together with its volume: so a plan says the options, and
//! the name is put in when the clone is there. Without this the template's own volume would be
//! written into its clone.

use std::collections::BTreeMap;

use pvx_core::live::Guest;
use pvx_core::provider::{ErrorClass, ProviderError};

use super::identity::disk_in;
use crate::codec::{Drive, PropertyError};

/// Stands for the volume's name in a plan. Proxmox would refuse it.
const VOLUME: &str = "<volume of the clone>";

/// The same for a disk that gets another volume, or another guest, on the way.
const MOVED: &str = "<moved volume>";

/// The drive of a template as it is in a clone: everything but the volume's name.
pub(super) fn of_clone(drive: &Drive) -> Option<Drive> {
    renamed(drive, drive.storage(), VOLUME)
}

/// A drive whose volume gets another name by a move.
pub(super) fn moved(drive: &Drive) -> Option<Drive> {
    renamed(drive, drive.storage(), MOVED)
}

/// The drive of a clone that is put on one storage.
pub(super) fn on_storage(drive: &Drive, storage: &str) -> Option<Drive> {
    drive.storage()?;
    let mut clone = renamed(drive, Some(storage), VOLUME)?;
    if drive.storage() != Some(storage) {
        // Another storage may know other formats.
        clone.remove("format");
    }
    Some(clone)
}

fn renamed(drive: &Drive, storage: Option<&str>, name: &str) -> Option<Drive> {
    let file = storage.map_or_else(|| name.to_owned(), |storage| format!("{storage}:{name}"));
    let mut renamed = Drive::on(&file).ok()?;
    // The copy has the format of its source.
    if let Some((_, format @ ("raw" | "qcow2" | "vmdk"))) = drive.file().rsplit_once('.') {
        renamed.set("format", format).ok()?;
    }
    for (key, value) in drive.properties().iter().filter(|(key, _)| !is_volume(key)) {
        renamed.set(key, value).ok()?;
    }
    Some(renamed)
}

/// Is this the drive of a clone that is not made yet?
pub(super) fn is(drive: &Drive) -> bool {
    [VOLUME, MOVED].iter().any(|name| drive.file().ends_with(name))
}

/// Does any of these values wait for the name of its volume?
pub(crate) fn any(set: &BTreeMap<String, String>) -> bool {
    set.iter().any(|(key, value)| is_unnamed(key, value))
}

/// The same values with the volumes that the guest has.
///
/// # Errors
/// When the guest has no disk in a slot: then it is not the clone that was planned.
pub(crate) fn named(
    set: &BTreeMap<String, String>,
    guest: &Guest,
) -> Result<BTreeMap<String, String>, ProviderError> {
    let value = |(key, value): (&String, &String)| {
        let value = if is_unnamed(key, value) { merged(key, value, guest)? } else { value.clone() };
        Ok((key.clone(), value))
    };
    set.iter().map(value).collect()
}

fn is_unnamed(key: &str, value: &str) -> bool {
    disk_in(key, value).is_some_and(|drive| is(&drive))
}

fn merged(key: &str, planned: &str, guest: &Guest) -> Result<String, ProviderError> {
    let live = guest.config.get(key).and_then(|text| disk_in(key, text));
    let (Some(live), Ok(planned)) = (live, Drive::parse(planned)) else {
        let text = format!("guest {} on {} has no disk {key}", guest.vmid, guest.node);
        return Err(ProviderError::new(ErrorClass::Changed, text).help("plan again"));
    };
    // Size and format are what the volume has; the plan changes them with actions of their own.
    let written = |name: &str| !is_volume(name) && !matches!(name, "size" | "format");
    let options = planned.properties().iter().filter(|(name, _)| written(name));
    let named = || {
        // What a clone has beside the plan stays; of a moved disk the plan knows everything.
        let fresh = planned.file().ends_with(MOVED);
        let mut drive = if fresh { Drive::on(live.file())? } else { live.clone() };
        for (name, value) in options.chain(live.get("size").map(|size| ("size", size))) {
            drive.set(name, value)?;
        }
        Ok(drive.to_string())
    };
    named()
        .map_err(|e: PropertyError| ProviderError::new(ErrorClass::Refused, format!("{key}: {e}")))
}

fn is_volume(key: &str) -> bool {
    matches!(key, "file" | "volume")
}
