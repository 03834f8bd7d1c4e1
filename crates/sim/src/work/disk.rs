//! Disks: `resize`, `qmmove`, `imgdel`.

use serde::{Deserialize, Serialize};

use super::create::copy_ms;
use super::{Next, Stage, config_lock};
use crate::guest::drive::{self, Drive};
use crate::guest::{pending, size};
use crate::world::World;
use crate::world::storage::Volume;
use crate::world::volumes::split_volid;

/// A disk to grow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resize {
    pub(crate) vmid: u32,
    pub(crate) disk: String,
    /// `+1G` or `2G`.
    pub(crate) size: String,
    pub(crate) digest: Option<String>,
    pub(crate) skiplock: bool,
}

impl Resize {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => {
                let node = stage.node.clone();
                self.plan(stage.world, &node)?;
                Ok(Next::After(200))
            }
            _ => {
                let node = stage.node.clone();
                self.apply(stage.world, &node)?;
                stage.say("Image resized.");
                Ok(Next::Done)
            }
        }
    }

    /// The drive and its new size; the errors of the worker.
    fn plan(&self, world: &World, node: &str) -> Result<(Drive, u64), String> {
        let guest = crate::api::call::load_config(world, node, self.vmid).map_err(|e| e.exit())?;
        if self.digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
            return Err("checksum mismatch (file change by other user?)".to_owned());
        }
        if !self.skiplock {
            crate::api::call::check_lock(guest)?;
        }
        let disk = &self.disk;
        let Some(drive) = guest.get(disk).map(Drive::parse) else {
            return Err(format!("disk '{disk}' does not exist"));
        };
        if drive.is_cdrom() {
            return Err("you can't resize a cdrom".to_owned());
        }
        let Some(volume) = world.volume(node, drive.file()) else {
            return Err(format!("volume '{}' does not exist", drive.file()));
        };
        let (relative, text) = match self.size.strip_prefix('+') {
            Some(text) => (true, text),
            None => (false, self.size.as_str()),
        };
        let asked = size::parse(text).ok_or_else(|| format!("invalid size '{}'", self.size))?;
        let wanted = if relative { volume.size.saturating_add(asked) } else { asked };
        if wanted < volume.size {
            return Err("shrinking disks is not supported".to_owned());
        }
        Ok((drive, wanted))
    }

    fn apply(&self, world: &mut World, node: &str) -> Result<(), String> {
        let (mut drive, wanted) = self.plan(world, node)?;
        if let Some(volume) = world.volume_mut(node, drive.file()) {
            volume.size = wanted;
        }
        drive.set("size", size::print(wanted));
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.insert(self.disk.clone(), drive.print());
        }
        Ok(())
    }
}

/// A disk to copy to another storage.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Move {
    pub(crate) vmid: u32,
    pub(crate) disk: String,
    pub(crate) storage: String,
    pub(crate) format: Option<String>,
    pub(crate) delete: bool,
}

impl Move {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 1000)),
            1 => Ok(stage.storage_lock(&self.storage)),
            2 => Ok(Next::After(180)),
            3 => {
                let node = stage.node.clone();
                stage.unlock_storage(&self.storage);
                let (_, volume) = self.source(stage.world, &node)?;
                Ok(Next::After(copy_ms(volume.used)))
            }
            _ => self.copy(stage),
        }
    }

    fn source(&self, world: &World, node: &str) -> Result<(Drive, Volume), String> {
        let guest = crate::api::call::load_config(world, node, self.vmid).map_err(|e| e.exit())?;
        crate::api::call::check_lock(guest)?;
        let drive = guest.get(&self.disk).map(Drive::parse);
        let drive = drive.ok_or_else(|| format!("disk '{}' does not exist", self.disk))?;
        let volume = world.volume(node, drive.file()).cloned();
        let volume = volume.ok_or_else(|| format!("volume '{}' does not exist", drive.file()))?;
        Ok((drive, volume))
    }

    fn copy(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let (mut drive, from) = self.source(stage.world, &node)?;
        let old = drive.file().to_owned();
        let target = drive::storage_of(stage.world, &self.storage)?;
        let format = drive::wanted_format(target, self.format.as_deref(), &from.format);
        let image = drive::image(self.vmid, &format, from.size, stage.moment.now, from.bootable);
        let copy = Volume { used: from.used.max(image.used), ..image };
        let volid = drive::place_image(stage.world, &node, &self.storage, self.vmid, copy)?;
        stage.say(format!("create full clone of drive {} ({old})", self.disk));
        stage.say(format!("allocated target volume '{volid}'"));
        drive.set("file", &volid);
        drive.set("size", size::print(from.size));
        drive.values.0.remove("format");
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.config.insert(self.disk.clone(), drive.print());
            if !self.delete {
                pending::add_unused(guest, &old);
            }
        }
        if self.delete {
            stage.say(format!("removing source volume '{old}' after successful copy"));
            stage.world.remove_volume(&node, &old);
        }
        Ok(Next::Done)
    }
}

/// A volume to remove.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Free {
    pub(crate) volid: String,
}

impl Free {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let storage =
            split_volid(&self.volid).map(|(storage, _)| storage.to_owned()).unwrap_or_default();
        match stage.number {
            0 => Ok(stage.storage_lock(&storage)),
            _ => {
                let node = stage.node.clone();
                if !stage.world.clones_of(&node, &self.volid).is_empty() {
                    return Err(format!(
                        "base volume '{}' is still in use by linked cloned",
                        self.volid
                    ));
                }
                stage.world.remove_volume(&node, &self.volid);
                stage.say(format!("Removed volume '{}'", self.volid));
                Ok(Next::Done)
            }
        }
    }
}
