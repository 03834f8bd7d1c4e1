//! Base volumes: what the disks of a template are, read by its linked clones.

use crate::world::World;
use crate::world::volumes::split_volid;

/// Renames a volume (`PVE::Storage::vdisk_create_base`): its new id, or the old one when it is not
/// such a volume.
pub(crate) fn make(
    world: &mut World,
    node: &str,
    vmid: u32,
    volid: &str,
) -> Result<String, String> {
    let Some(new) = name(volid, vmid) else { return Ok(volid.to_owned()) };
    let Some(volume) = world.remove_volume(node, volid) else {
        return Err(format!("volume '{volid}' does not exist"));
    };
    world.add_volume(node, &new, volume);
    Ok(new)
}

/// `vm-100-disk-0` becomes `base-100-disk-0`, behind the base that it stands on if there is one;
/// none when it is a base already.
fn name(volid: &str, vmid: u32) -> Option<String> {
    let (storage, name) = split_volid(volid)?;
    let (folder, last) = name.rsplit_once('/').map_or(("", name), |(folder, last)| (folder, last));
    let rest = last.strip_prefix(&format!("vm-{vmid}-"))?;
    let slash = if folder.is_empty() { "" } else { "/" };
    Some(format!("{storage}:{folder}{slash}base-{vmid}-{rest}"))
}
