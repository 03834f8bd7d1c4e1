//! `qmigrate`: the configuration, and volumes on node-local storage, go to another node
//! (`PVE::QemuMigrate`).

use serde::{Deserialize, Serialize};

use super::create::copy_ms;
use super::destroy::volumes;
use super::{Next, Stage, config_lock};
use crate::guest::drive::drives;
use crate::guest::status::measure;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::volumes::{base_name, split_volid};

/// Milliseconds of a migration that copies nothing.
const BASE_MS: i64 = 1050;
/// Milliseconds to start the other side of an online migration.
const ONLINE_MS: i64 = 3000;

/// A guest to move.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Migrate {
    pub(crate) vmid: u32,
    pub(crate) target: String,
    pub(crate) online: bool,
    pub(crate) with_local_disks: bool,
    /// `targetstorage`, when all local volumes go to one storage.
    pub(crate) storage: Option<String>,
    pub(crate) locked: bool,
}

impl Migrate {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let result = self.step(stage);
        if result.is_err() && self.locked {
            unlock(stage.world, self.vmid);
        }
        result.map_err(|error| {
            stage.say(format!("ERROR: migration aborted (duration 00:00:00): {error}"));
            "migration aborted".to_owned()
        })
    }

    fn step(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 1000)),
            1 => self.begin(stage),
            _ => self.finish(stage),
        }
    }

    fn begin(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let guest =
            crate::api::call::load_config(stage.world, &node, self.vmid).map_err(|e| e.exit())?;
        crate::api::call::check_lock(guest)?;
        let running = guest.running.is_some();
        if running && !self.online {
            return Err("can't migrate running VM without --online".to_owned());
        }
        let memory = measure(guest).memory;
        let ip = match stage.world.nodes.get(&self.target) {
            Some(target) if target.online => target.ip.clone(),
            _ => return Err("Can't connect to destination address using public key".to_owned()),
        };
        stage.say(format!(
            "starting migration of VM {} to node '{}' ({ip})",
            self.vmid, self.target
        ));
        let bytes = self.scan(stage, &node, running)?;
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.config.insert("lock".to_owned(), "migrate".to_owned());
            self.locked = true;
        }
        let online = if running { ONLINE_MS + copy_ms(memory / 4) } else { 0 };
        Ok(Next::After(BASE_MS + online + copy_ms(bytes)))
    }

    /// `scan_local_volumes`: what has to be copied, or why that cannot be.
    fn scan(&self, stage: &mut Stage<'_>, node: &str, running: bool) -> Result<u64, String> {
        let guest = crate::api::call::load_config(stage.world, node, self.vmid)
            .map_err(|e| e.exit())?
            .clone();
        let (mut bytes, mut problems) = (0, Vec::new());
        for (volid, generated) in local_volumes(stage.world, &guest) {
            if let Err(error) = self.check_volume(stage.world, &guest, &volid) {
                problems.push(format!("can't migrate local disk '{volid}': {error}"));
            } else if running && !self.with_local_disks && !generated {
                let text =
                    "can't live migrate attached local disks without with-local-disks option";
                problems.push(format!("can't migrate local disk '{volid}': {text}"));
            }
            stage.say(format!("found local disk '{volid}' (attached)"));
            bytes += stage.world.volume(node, &volid).map_or(0, |volume| volume.used);
        }
        for (_, drive) in drives(&guest) {
            let local = split_volid(drive.file())
                .and_then(|(storage, _)| stage.world.storages.get(storage));
            if drive.is_cdrom()
                && !drive.is_cloudinit()
                && local.is_some_and(|storage| !storage.shared)
            {
                problems.push(format!(
                    "can't migrate local disk '{}': local cdrom image",
                    drive.file()
                ));
            }
        }
        if !problems.is_empty() {
            stage.log.extend(problems);
            return Err(
                "Problem found while scanning volumes - can't migrate VM - check log".to_owned()
            );
        }
        for (volid, _) in local_volumes(stage.world, &guest) {
            if let Some(base) = split_volid(&volid).and_then(|(_, name)| base_name(name)) {
                let base = base.rsplit('/').next().unwrap_or(base);
                return Err(format!(
                    "Problem found while scanning volumes - can't migrate '{volid}' as it's a clone of '{base}'"
                ));
            }
        }
        Ok(bytes)
    }

    fn check_volume(&self, world: &World, guest: &Guest, volid: &str) -> Result<(), String> {
        let Some((storage, _)) = split_volid(volid) else {
            return Err("local file/device".to_owned());
        };
        let target = self.storage.as_deref().unwrap_or(storage);
        let Some(found) = world.storages.get(target) else {
            return Err(format!("storage '{target}' does not exist"));
        };
        if !found.on_node(&self.target) {
            return Err(format!("storage '{target}' is not available on node '{}'", self.target));
        }
        if !world.clones_of(&guest.node, volid).is_empty() {
            return Err("referenced by linked clone(s)".to_owned());
        }
        Ok(())
    }

    fn finish(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let Some(guest) = stage.world.guest(self.vmid).cloned() else {
            return Err(crate::api::call::no_config(&node, self.vmid));
        };
        for (volid, _) in local_volumes(stage.world, &guest) {
            self.move_volume(stage.world, &node, &volid)?;
        }
        unlock(stage.world, self.vmid);
        let target = self.target.clone();
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.node = target;
        }
        stage.say("migration finished successfully".to_owned());
        Ok(Next::Done)
    }

    /// Copies a volume to the same name there, or to the next free name on another storage.
    fn move_volume(&self, world: &mut World, node: &str, volid: &str) -> Result<(), String> {
        let Some(volume) = world.volume(node, volid).cloned() else {
            return Err(format!("volume '{volid}' does not exist"));
        };
        let (storage, name) = split_volid(volid).unwrap_or_default();
        let to = self.storage.as_deref().unwrap_or(storage);
        let found = crate::guest::drive::storage_of(world, to)?;
        if world.used(to, &self.target).saturating_add(volume.used) > found.capacity {
            return Err(format!(
                "storage migration for '{volid}' to storage '{to}' failed - No space left on device"
            ));
        }
        let same = format!("{to}:{}", crate::world::volumes::own_name(name));
        let new = if to == storage && world.volume(&self.target, &same).is_none() {
            world.add_volume(&self.target, &same, volume);
            same
        } else {
            crate::guest::drive::place_image(world, &self.target, to, self.vmid, volume)?
        };
        world.remove_volume(node, volid);
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            for value in guest.config.values_mut() {
                if value == volid || value.starts_with(&format!("{volid},")) {
                    *value = value.replacen(volid, &new, 1);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn abandon(self, world: &mut World) {
        if self.locked {
            unlock(world, self.vmid);
        }
    }
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.remove("lock");
    }
}

/// Volumes of a guest that are not on shared storage, and whether they are generated (cloud-init).
pub(crate) fn local_volumes(world: &World, guest: &Guest) -> Vec<(String, bool)> {
    let local = |volid: &String| {
        let storage = split_volid(volid).and_then(|(storage, _)| world.storages.get(storage));
        storage.is_some_and(|storage| !storage.shared)
    };
    let all = volumes(world, guest.vmid).into_iter().filter(local);
    all.map(|volid| {
        let generated = crate::guest::drive::Drive::parse(&volid).is_cloudinit();
        (volid, generated)
    })
    .collect()
}
