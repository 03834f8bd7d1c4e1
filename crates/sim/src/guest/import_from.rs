//! Disks of other guests, as the source of an import (`$import_from_volid` of `PVE::API2::Qemu`).

use super::drive::{drives, owner};
use crate::world::World;

/// What `clone_disk` refuses of a volume that its owner names as a drive; that drive's key.
pub(super) fn importable(
    world: &World,
    vmid: u32,
    key: &str,
    source: &str,
) -> Result<Option<String>, String> {
    let Some(guest) = owner(source).and_then(|vmid| world.guest(vmid)) else { return Ok(None) };
    let mut all = drives(guest).into_iter();
    let Some((from, _)) = all.find(|(_, drive)| drive.file() == source) else { return Ok(None) };
    let either = |name: &str| from != key && (from == name || key == name);
    let runs = guest.running.is_some();
    let problem = if either("efidisk0") {
        "cloning from/to EFI disk requires EFI disk"
    } else if either("tpmstate0") {
        "cloning from/to TPM state requires TPM state"
    } else if runs && from != key && guest.vmid == vmid {
        "cannot change drive name when cloning disk from/to the same VM"
    } else if runs && from == "tpmstate0" {
        "cannot move TPM state while VM is running"
    } else {
        return Ok(Some(from));
    };
    Err(format!("cannot import from '{source}' - {problem}"))
}
