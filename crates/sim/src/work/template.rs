//! `qmtemplate`: disks become base volumes.

use serde::{Deserialize, Serialize};

use super::{Next, Stage, config_lock};
use crate::guest::base;
use crate::guest::drive::{Drive, drives};
use crate::world::World;

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
    check(stage.world, &node, vmid, only.is_some())?;
    if let Some(guest) = stage.world.guests.get_mut(&vmid) {
        guest.config.insert("template".to_owned(), "1".to_owned());
    }
    let all = stage.world.guest(vmid).map(drives).unwrap_or_default();
    for (key, drive) in all {
        let wanted = only.is_none_or(|disk| *disk == key);
        if wanted && !drive.is_cdrom() {
            convert_disk(stage.world, &node, vmid, &key, drive)?;
        }
    }
    Ok(())
}

/// One disk becomes a base volume.
pub(crate) fn convert_disk(
    world: &mut World,
    node: &str,
    vmid: u32,
    key: &str,
    mut drive: Drive,
) -> Result<(), String> {
    let new = base::make(world, node, vmid, drive.file())?;
    drive.set("file", new);
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.insert(key.to_owned(), drive.print());
    }
    Ok(())
}

/// What keeps a guest from becoming a template, before the task and again in it.
pub(crate) fn check(world: &World, node: &str, vmid: u32, one: bool) -> Result<(), String> {
    let guest =
        crate::api::call::load_config(world, node, vmid).map_err(|refusal| refusal.exit())?;
    crate::api::call::check_lock(guest)?;
    if !guest.snapshots.is_empty() {
        return Err("unable to create template, because VM contains snapshots".to_owned());
    }
    if guest.template() && !one {
        return Err("you can't convert a template to a template".to_owned());
    }
    if guest.running.is_some() {
        return Err("you can't convert a VM to template if VM is running".to_owned());
    }
    Ok(())
}
