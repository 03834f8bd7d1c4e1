//! Whether a storage can be used on a node (`storage_check_enabled`, `activate_storage`).

use crate::world::World;
use crate::world::storage::{Storage, StorageKind, Volume};
use crate::world::volumes::split_volid;

/// The storage, or the error of `storage_config`.
pub(crate) fn find<'a>(world: &'a World, id: &str) -> Result<&'a Storage, String> {
    world.storages.get(id).ok_or_else(|| format!("storage '{id}' does not exist"))
}

/// The storage, when it is enabled on the node.
pub(crate) fn enabled<'a>(world: &'a World, id: &str, node: &str) -> Result<&'a Storage, String> {
    let storage = find(world, id)?;
    if storage.disabled() {
        return Err(format!("storage '{id}' is disabled"));
    }
    if !storage.on_node(node) {
        return Err(format!("storage '{id}' is not available on node '{node}'"));
    }
    Ok(storage)
}

/// The storage, when it is enabled and can be reached from the node.
pub(crate) fn active<'a>(world: &'a World, id: &str, node: &str) -> Result<&'a Storage, String> {
    let storage = enabled(world, id, node)?;
    if storage.reachable(node) {
        return Ok(storage);
    }
    Err(unreachable(storage))
}

/// A volume, once its storage can be used (`activate_volumes`).
pub(crate) fn volume<'a>(world: &'a World, node: &str, volid: &str) -> Result<&'a Volume, String> {
    if let Some((id, _)) = split_volid(volid) {
        active(world, id, node)?;
    }
    world.volume(node, volid).ok_or_else(|| format!("volume '{volid}' does not exist"))
}

/// What the plugin says of a storage that is not there.
pub(crate) fn unreachable(storage: &Storage) -> String {
    let id = &storage.id;
    let option = |key: &str| storage.options.get(key).map(String::as_str).unwrap_or_default();
    match storage.kind {
        StorageKind::Dir | StorageKind::Btrfs => {
            let path = storage.path.as_deref().unwrap_or_default();
            match super::config::mount_point(storage) {
                Some(mount) => format!(
                    "unable to activate storage '{id}' - directory is expected to be a mount point but is not mounted: '{mount}'"
                ),
                None => format!(
                    "unable to activate storage '{id}' - directory '{path}' does not exist or is unreachable"
                ),
            }
        }
        StorageKind::LvmThin => {
            format!("no such logical volume {}/{}", option("vgname"), option("thinpool"))
        }
        StorageKind::Lvm => format!("no such volume group '{}'", option("vgname")),
        StorageKind::ZfsPool => {
            let pool = option("pool").split('/').next().unwrap_or_default();
            format!(
                "could not activate storage '{id}', zfs error: cannot import '{pool}': no such pool available"
            )
        }
        StorageKind::Rbd => "rbd error: rbd: couldn't connect to the cluster!".to_owned(),
        StorageKind::Pbs => format!(
            "{id}: error fetching datastores - 500 Can't connect to {}:8007 (No route to host)",
            option("server")
        ),
        _ => format!("storage '{id}' is not online"),
    }
}
