//! `qmdestroy`: a guest and its volumes go.

use serde::{Deserialize, Serialize};

use super::disk::enabled;
use super::freeing::{Freeing, Progress};
use super::{Next, Stage, config_lock};
use crate::api::refusal::Refusal;
use crate::guest::drive::{Drive, drive_order, owner};
use crate::guest::keys;
use crate::world::World;
use crate::world::volumes::split_volid;

/// Milliseconds besides those for the volumes.
const BASE_MS: i64 = 110;
/// Milliseconds for which a cluster-wide lock is tried.
const LOCK_MS: i64 = 10_000;

/// A guest to remove.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Destroy {
    pub(crate) vmid: u32,
    pub(crate) purge: bool,
    #[serde(default)]
    pub(crate) skiplock: bool,
    /// Also volumes that the configuration does not name.
    pub(crate) unreferenced: bool,
    /// The volumes of the guest's that go before it.
    #[serde(default)]
    pub(crate) freeing: Freeing,
    /// Those that are freed, or stay for want of a lock.
    #[serde(default)]
    pub(crate) handled: Vec<String>,
}

impl Destroy {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => {
                let node = stage.node.clone();
                self.check(stage.world, &node)?;
                if !stage.world.quorate() {
                    return Ok(Next::After(self.without_quorum(stage)));
                }
                self.freeing = Freeing::of(self.owned(stage.world, &node));
                Ok(Next::After(BASE_MS))
            }
            _ => {
                let node = stage.node.clone();
                if !stage.world.quorate() {
                    return Err(super::not_writable(&node, self.vmid));
                }
                // What was checked before the wait may have changed.
                self.check(stage.world, &node)?;
                if let Some(next) = self.free(stage) {
                    return Ok(next);
                }
                self.remove(stage);
                Ok(Next::Done)
            }
        }
    }

    /// The lock of a storage was not to be had in time: its volume stays, and the guest goes all the
    /// same. False when it was another lock.
    pub(crate) fn goes_on(&mut self, why: &str) -> bool {
        self.freeing.refuse(why)
    }

    /// The volumes that the guest owns and that can be freed.
    fn owned(&self, world: &World, node: &str) -> Vec<String> {
        let all = volumes(world, self.vmid).into_iter().chain(states(world, self.vmid));
        all.filter(|volid| self.stays(world, node, volid).is_none())
            .filter(|volid| {
                world.volume(node, volid).is_some_and(|volume| volume.vmid == Some(self.vmid))
            })
            .collect()
    }

    /// Frees the next volumes; what comes next, as long as there are any.
    fn free(&mut self, stage: &mut Stage<'_>) -> Option<Next> {
        loop {
            match self.freeing.step(stage) {
                Progress::Wait(next) => return Some(next),
                Progress::Free(volid) => {
                    self.handled.push(volid.clone());
                    let node = stage.node.clone();
                    stage.world.remove_volume(&node, &volid);
                }
                Progress::Refused(volid, why) => {
                    stage.say(format!(
                        "WARN: Could not remove disk '{volid}', check manually: {why}"
                    ));
                    self.handled.push(volid);
                }
                Progress::Done => return None,
            }
        }
    }

    /// Without quorum volumes on node-local storage go, and each on shared storage is tried for
    /// 10 s. Milliseconds that this takes.
    fn without_quorum(&self, stage: &mut Stage<'_>) -> i64 {
        let node = stage.node.clone();
        let mut took = 0;
        for volid in volumes(stage.world, self.vmid) {
            let storage = split_volid(&volid).map_or("", |(storage, _)| storage).to_owned();
            if !stage.world.storages.get(&storage).is_some_and(|found| found.shared) {
                stage.world.remove_volume(&node, &volid);
                continue;
            }
            took += LOCK_MS;
            for _ in 0..9 {
                stage.say(format!("trying to acquire cfs lock 'storage-{storage}' ..."));
            }
            stage.say(format!(
                "WARN: Could not remove disk '{volid}', check manually: cfs-lock 'storage-{storage}' error: no quorum!"
            ));
        }
        took
    }

    fn remove(&self, stage: &mut Stage<'_>) {
        let node = stage.node.clone();
        let states = states(stage.world, self.vmid);
        let all = volumes(stage.world, self.vmid).into_iter().chain(states);
        for volid in all.filter(|volid| !self.handled.contains(volid)) {
            if let Some(warning) = self.stays(stage.world, &node, &volid) {
                stage.say(format!("WARN: {warning}"));
                continue;
            }
            let own = stage.world.volume(&node, &volid).map(|volume| volume.vmid);
            match own {
                Some(Some(vmid)) if vmid == self.vmid => {
                    stage.world.remove_volume(&node, &volid);
                }
                Some(_) => {}
                None => {
                    let path = crate::guest::allocate::path_of(stage.world, &volid);
                    stage.say(format!("disk image '{path}' does not exist"));
                }
            }
        }
        if self.unreferenced {
            self.remove_unreferenced(stage.world, &node);
        }
        stage.world.guests.remove(&self.vmid);
        for pool in stage.world.pools.values_mut() {
            pool.guests.remove(&self.vmid);
        }
        let path = format!("/vms/{}", self.vmid);
        stage.world.access.acl.retain(|entry| entry.path != path);
        if self.purge {
            stage.say(format!("purging VM {} from related configurations..", self.vmid));
            stage.world.purge_from_jobs(self.vmid);
            let sid = crate::ha::sid_of(self.vmid);
            if stage.world.ha.resources.contains_key(&sid) {
                stage.world.ha.remove(&sid, true);
                stage
                    .say(format!("NOTE: removed VM {} from HA resource configuration.", self.vmid));
            }
        }
    }

    /// Why a volume of the guest's cannot be freed (`$remove_owned_drive`). The guest goes all the
    /// same.
    fn stays(&self, world: &World, node: &str, volid: &str) -> Option<String> {
        let (storage, name) = split_volid(volid)?;
        if !world.storages.contains_key(storage) {
            let why = format!("storage '{storage}' does not exist");
            return Some(format!("failed to get path and owner of volume '{volid}': {why}"));
        }
        if owner(volid) != Some(self.vmid) {
            return None;
        }
        let used = || format!("base volume '{name}' is still in use by linked clones");
        let clones = !world.clones_of(node, volid).is_empty();
        let why = enabled(world, storage, node).err().or_else(|| clones.then(used))?;
        Some(format!("Could not remove disk '{volid}', check manually: {why}"))
    }

    /// What was checked before the task, then lock and linked clones: in a template only.
    fn check(&self, world: &World, node: &str) -> Result<(), String> {
        check(world, node, self.vmid, self.purge).map_err(|refusal| refusal.exit())?;
        let Some(guest) = world.guest(self.vmid) else { return Ok(()) };
        if !self.skiplock && guest.get("lock") != Some("suspended") {
            crate::api::call::check_lock(guest)?;
        }
        let mut named: Vec<(&String, &String)> = guest.config.iter().collect();
        named.retain(|(key, _)| keys::is_drive(key) || keys::is_numbered(key, "unused"));
        named.sort_by_key(|(key, _)| drive_order(key));
        for (_, value) in named.iter().filter(|_| guest.template()) {
            let drive = Drive::parse(value);
            if !drive.is_cdrom() && !world.clones_of(node, drive.file()).is_empty() {
                let volid = drive.file();
                return Err(format!("base volume '{volid}' is still in use by linked cloned"));
            }
        }
        Ok(())
    }

    fn remove_unreferenced(&self, world: &mut World, node: &str) {
        // `vdisk_list` looks at what is there and may hold images.
        let there =
            |id: &&String| enabled(world, id, node).is_ok_and(|storage| storage.holds("images"));
        let storages: Vec<String> = world.storages.keys().filter(there).cloned().collect();
        for storage in storages {
            let kept = |volid: &String| !self.handled.contains(volid);
            let owned: Vec<String> = world
                .volumes_on(&storage, node)
                .filter(|(_, volume)| volume.vmid == Some(self.vmid) && volume.content == "images")
                .map(|(name, _)| format!("{storage}:{name}"))
                .filter(kept)
                .collect();
            for volid in owned {
                world.remove_volume(node, &volid);
            }
        }
    }
}

/// The volumes that a configuration names, ISOs apart.
pub(crate) fn volumes(world: &World, vmid: u32) -> Vec<String> {
    let Some(guest) = world.guest(vmid) else { return Vec::new() };
    let named = guest.config.iter().chain(&guest.pending);
    let drives = named.filter(|(key, _)| keys::is_drive(key) || key.starts_with("unused"));
    let drives = drives.map(|(_, value)| Drive::parse(value));
    let disks = drives.filter(|drive| !drive.is_cdrom() || drive.is_cloudinit());
    let mut found: Vec<String> = disks
        .map(|drive| drive.file().to_owned())
        .filter(|file| split_volid(file).is_some())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The volumes with the RAM of a suspended guest and of its snapshots. What else a snapshot names
/// and the configuration does not stays.
fn states(world: &World, vmid: u32) -> Vec<String> {
    let Some(guest) = world.guest(vmid) else { return Vec::new() };
    let sections = guest.snapshots.values().chain([&guest.config]);
    sections.filter_map(|section| section.get("vmstate").cloned()).collect()
}

/// What keeps a guest from being destroyed, before the task and again in it.
pub(crate) fn check(world: &World, node: &str, vmid: u32, purge: bool) -> Result<(), Refusal> {
    let guest = crate::api::call::load_config(world, node, vmid)?;
    if guest.flag("protection") {
        return Err(Refusal::die(format!("can't remove VM {vmid} - protection mode enabled")));
    }
    if !purge && world.ha.resources.contains_key(&crate::ha::sid_of(vmid)) {
        return Err(Refusal::die(format!(
            "unable to remove VM {vmid} - used in HA resources and purge parameter not set."
        )));
    }
    if let Some((id, _)) = world.replication_of(vmid).next().filter(|_| !purge) {
        return Err(Refusal::die(format!(
            "There is a replication job '{id}' for guest '{vmid}' - Please remove that first."
        )));
    }
    if guest.running.is_some() {
        return Err(Refusal::die(format!("VM {vmid} is running - destroy failed")));
    }
    Ok(())
}
