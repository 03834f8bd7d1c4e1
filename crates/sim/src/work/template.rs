//! `qmtemplate`: disks become base volumes.

use serde::{Deserialize, Serialize};

use super::{Next, Stage, config_lock};
use crate::guest::drive::{Drive, drives};
use crate::world::World;
use crate::world::volumes::split_volid;

/// What is said of a guest that has any.
pub(crate) const HAS_SNAPSHOTS: &str = "unable to create template, because VM contains snapshots";

/// A guest to convert, or one disk of a template.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Template {
    pub(crate) vmid: u32,
    pub(crate) disk: Option<String>,
}

impl Template {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => Ok(Next::After(200)),
            _ => {
                convert_disks(stage, self.vmid, self.disk.as_deref())?;
                Ok(Next::Done)
            }
        }
    }
}

/// Makes a guest a template at once.
pub(super) fn convert(stage: &mut Stage<'_>, vmid: u32) -> Result<(), String> {
    convert_disks(stage, vmid, None)
}

fn convert_disks(stage: &mut Stage<'_>, vmid: u32, only: Option<&str>) -> Result<(), String> {
    let node = stage.node.clone();
    let guest = crate::api::call::load_config(stage.world, &node, vmid).map_err(|e| e.exit())?;
    crate::api::call::check_lock(guest)?;
    if !guest.snapshots.is_empty() {
        return Err(HAS_SNAPSHOTS.to_owned());
    }
    for (key, drive) in drives(guest) {
        let wanted = only.is_none_or(|disk| *disk == key);
        if wanted && !drive.is_cdrom() {
            convert_disk(stage.world, &node, vmid, &key, drive)?;
        }
    }
    if let Some(guest) = stage.world.guests.get_mut(&vmid) {
        guest.config.insert("template".to_owned(), "1".to_owned());
    }
    Ok(())
}

fn convert_disk(
    world: &mut World,
    node: &str,
    vmid: u32,
    key: &str,
    mut drive: Drive,
) -> Result<(), String> {
    let old = drive.file().to_owned();
    let Some(new) = base_name(&old, vmid) else { return Ok(()) };
    let Some(mut volume) = world.remove_volume(node, &old) else {
        return Err(format!("volume '{old}' does not exist"));
    };
    volume.parent = None;
    world.add_volume(node, &new, volume);
    drive.set("file", new);
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.insert(key.to_owned(), drive.print());
    }
    Ok(())
}

/// `vm-100-disk-0` becomes `base-100-disk-0`; none when it is a base already.
fn base_name(volid: &str, vmid: u32) -> Option<String> {
    let (storage, name) = split_volid(volid)?;
    let (folder, last) = name.rsplit_once('/').map_or(("", name), |(folder, last)| (folder, last));
    let rest = last.strip_prefix(&format!("vm-{vmid}-"))?;
    let folder = if folder.is_empty() { String::new() } else { format!("{vmid}/") };
    Some(format!("{storage}:{folder}base-{vmid}-{rest}"))
}
