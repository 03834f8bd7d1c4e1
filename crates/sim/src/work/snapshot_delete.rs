//! `qmdelsnapshot` (`snapshot_delete` of `PVE::AbstractConfig`).

use serde::{Deserialize, Serialize};

use super::snapshot::{VOLUMES_MS, activate_storages, drop_section};
use super::{Next, Stage, config_lock};
use crate::api::call::{check_lock, load_config};
use crate::guest::drive::{Drive, drives};
use crate::guest::pending;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::lock::LockName;
use crate::world::volumes::split_volid;

const LOCK: &str = "snapshot-delete";

/// A snapshot to remove.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct DeleteSnapshot {
    pub(crate) vmid: u32,
    pub(crate) name: String,
    /// Goes on when a volume's snapshot cannot be removed.
    pub(crate) force: bool,
    /// Volumes that were part of it.
    #[serde(default)]
    volumes: Vec<String>,
}

impl DeleteSnapshot {
    pub(crate) fn new(vmid: u32, name: &str, force: bool) -> Self {
        Self { vmid, name: name.to_owned(), force, volumes: Vec::new() }
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 if !self.force => {
                let lock = LockName::Migration(self.vmid);
                Ok(Next::Lock { lock, exclusive: true, wait_ms: 10_000 })
            }
            0 => Ok(Next::After(0)),
            1 | 5 => Ok(config_lock(self.vmid, 10_000)),
            2 => self.prepare(stage),
            3 => {
                let state = self.view(stage.world, &stage.node)?;
                let state = state.get("vmstate").and_then(split_volid);
                Ok(state.map_or(Next::After(0), |(storage, _)| stage.storage_lock(storage)))
            }
            4 => self.free(stage),
            _ => self.finish(stage),
        }
    }

    fn view(&self, world: &World, node: &str) -> Result<Guest, String> {
        let guest = load_config(world, node, self.vmid).map_err(|refusal| refusal.exit())?;
        let view = guest.at_snapshot(&self.name);
        view.ok_or_else(|| format!("snapshot '{}' does not exist", self.name))
    }

    fn prepare(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let view = self.view(stage.world, &node)?;
        let guest = load_config(stage.world, &node, self.vmid).map_err(|refusal| refusal.exit())?;
        tpm_of_chain(stage.world, guest, &view, &self.name)?;
        activate_storages(stage.world, &view, true)?;
        check_lock(guest)?;
        let template = guest.template();
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.config.insert("lock".to_owned(), LOCK.to_owned());
            if template {
                // As on the real server, the lock stays.
                return Err("you can't delete a snapshot if vm is a template".to_owned());
            }
            if let Some(section) = guest.snapshots.get_mut(&self.name) {
                section.insert("snapstate".to_owned(), "delete".to_owned());
            }
        }
        stage.world.locks.give(&LockName::Config(self.vmid), stage.holder);
        Ok(Next::After(VOLUMES_MS))
    }

    /// Frees the state and the volumes' snapshots. What fails leaves the guest locked.
    fn free(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let view = self.view(stage.world, &node)?;
        if let Some(state) = view.get("vmstate") {
            stage.world.remove_volume(&node, state);
            if let Some((storage, _)) = split_volid(state) {
                stage.unlock_storage(storage);
            }
            self.forget(stage.world, "vmstate", None);
        }
        for (key, drive) in drives(&view) {
            let backup = drive.values.get("backup").is_none() || drive.values.flag("backup");
            if drive.is_cdrom() || (self.name == "vzdump" && !backup) {
                continue;
            }
            let volid = drive.file();
            let (log, result) = stage.world.delete_volume_snapshot(&node, volid, &self.name);
            stage.log.extend(log);
            match result {
                Ok(()) => self.volumes.push(volid.to_owned()),
                Err(error) if self.force => stage.say(error),
                Err(error) => return Err(error),
            }
            self.forget(stage.world, &key, Some(volid));
        }
        Ok(Next::After(0))
    }

    /// Takes a drive out of the section, its volume becomes `unusedN` there.
    fn forget(&self, world: &mut World, key: &str, volid: Option<&str>) {
        let guest = world.guests.get_mut(&self.vmid).filter(|_| !self.force);
        let Some(section) = guest.and_then(|guest| guest.snapshots.get_mut(&self.name)) else {
            return;
        };
        section.remove(key);
        let free = (0..256).map(|n| format!("unused{n}")).find(|key| !section.contains_key(key));
        if let (Some(free), Some(volid)) = (free, volid) {
            section.insert(free, volid.to_owned());
        }
    }

    fn finish(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        self.view(stage.world, &stage.node)?;
        let Some(guest) = stage.world.guests.get_mut(&self.vmid) else { return Ok(Next::Done) };
        if guest.get("lock") != Some(LOCK) {
            return Err(format!("encountered invalid lock, expected '{LOCK}'"));
        }
        drop_section(guest, &self.name);
        guest.config.remove("lock");
        for volid in &self.volumes {
            pending::add_unused(guest, volid);
        }
        Ok(Next::Done)
    }
}

/// `assert_tpm_snapshot_delete_possible`: the newest snapshot of a TPM state that is a file of a
/// chain stays while the guest runs.
fn tpm_of_chain(world: &World, guest: &Guest, view: &Guest, name: &str) -> Result<(), String> {
    let file = |guest: &Guest| Some(Drive::parse(guest.get("tpmstate0")?).file().to_owned());
    let (Some(now), Some(then)) = (file(guest), file(view)) else { return Ok(()) };
    let storage = split_volid(&now).and_then(|(storage, _)| world.storages.get(storage));
    let chain = storage.and_then(|storage| storage.options.get("snapshot-as-volume-chain"));
    let newest = guest.get("parent") == Some(name);
    if guest.running.is_some()
        && newest
        && now == then
        && now.ends_with(".qcow2")
        && chain.is_some_and(|value| value == "1")
    {
        return Err(format!(
            "top-most snapshot of TPM state '{now}' on storage with 'snapshot-as-volume-chain' cannot be removed while the VM is running."
        ));
    }
    Ok(())
}
