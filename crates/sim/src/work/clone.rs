//! `qmclone`: a linked or full copy of a guest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::mac_prefix;
use super::copying::{Copying, SIGNAL};
use super::create::copy_ms;
use super::{Next, Stage, config_lock};
use crate::api::refusal::broken;
use crate::guest::allocate;
use crate::guest::drive::Drive;
use crate::guest::property::Values;
use crate::guest::{keys, network, size};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::lock::LockName;
use crate::world::storage::Volume;
use crate::world::volumes::{own_name, split_volid};

/// Milliseconds for the configuration.
const BASE_MS: i64 = 30;
/// Milliseconds for a volume, copying apart.
const VOLUME_MS: i64 = 90;
/// Milliseconds before the volumes of a failed clone are freed ("some storage like rbd need to
/// wait").
const UNDO_MS: i64 = 1000;

/// A copy to make.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CloneGuest {
    pub(crate) source: u32,
    pub(crate) vmid: u32,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) full: bool,
    pub(crate) storage: Option<String>,
    pub(crate) format: Option<String>,
    /// Another node than the source's.
    pub(crate) target: Option<String>,
    pub(crate) pool: Option<String>,
    /// Copies what a snapshot has, not what is there now.
    #[serde(default)]
    pub(crate) snapname: Option<String>,
    /// The source ran when the request was checked.
    #[serde(default)]
    pub(crate) running: bool,
    /// KiB/s.
    #[serde(default)]
    pub(crate) bwlimit: Option<u64>,
    /// What failed; the volumes are freed a second later.
    #[serde(default)]
    pub(crate) failed: Option<String>,
    /// Drives to copy: key and value, worked off from the end.
    pub(crate) queue: Vec<(String, String)>,
    /// The storage whose lock is held.
    pub(crate) locked: Option<String>,
    /// Bytes to copy into the volume that was just made.
    pub(crate) copying: Option<u64>,
    /// From and to which volume is copied.
    #[serde(default)]
    pub(crate) transfer: Option<(String, String)>,
    /// A volume was copied whose drive is not in the guest's configuration yet.
    #[serde(default)]
    pub(crate) copied: bool,
    /// Volumes made so far.
    pub(crate) made: Vec<String>,
    /// The new configuration is there, though perhaps only [`TEMPORARY`].
    pub(crate) begun: bool,
    /// The new configuration as it will be written after the next disk.
    #[serde(default)]
    pub(crate) config: BTreeMap<String, String>,
    /// What waits at the source. It is copied too, and discarded at the end.
    #[serde(default)]
    pub(crate) pending: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) pending_delete: BTreeMap<String, bool>,
    /// What the source's cloud-init drive lacks.
    #[serde(default)]
    pub(crate) cloudinit: BTreeMap<String, String>,
}

/// The description of a clone until its first disk is copied, which is all that its configuration
/// says beside its lock: `clone_vm` writes `# qmclone temporary file`, and reads back what follows
/// the `#`.
const TEMPORARY: &str = " qmclone temporary file";

impl CloneGuest {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if let Some(error) = self.failed.take() {
            for volid in &self.made {
                stage.world.remove_volume(&stage.node, volid);
            }
            stage.world.guests.remove(&self.vmid);
            return Err(format!("clone failed: {error}"));
        }
        match self.step(stage) {
            Err(error) if self.begun => {
                self.failed = Some(error);
                Ok(Next::After(UNDO_MS))
            }
            result => result,
        }
    }

    /// How it ends when it is interrupted now. What copies is a command of its own, which dies
    /// with it.
    pub(crate) fn interrupted(&self, world: &World, node: &str) -> String {
        if !self.begun {
            return super::INTERRUPTED.to_owned();
        }
        let copy = self.transfer.as_ref().filter(|_| self.copied).map(|(from, to)| Copying {
            from,
            to,
            snapshot: self.snapname.as_deref(),
            limit: self.bwlimit,
            mirror: self.running && self.snapname.is_none(),
        });
        let why = copy.map_or_else(|| SIGNAL.to_owned(), |copy| copy.interrupted(world, node));
        format!("clone failed: {why}")
    }

    fn step(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            // Exclusive on a running source, else shared.
            0 => {
                let exclusive =
                    stage.world.guest(self.source).is_some_and(|guest| guest.running.is_some());
                Ok(Next::Lock { lock: LockName::Config(self.source), exclusive, wait_ms: 1000 })
            }
            1 => Ok(config_lock(self.vmid, 1000)),
            2 => self.begin(stage),
            _ => {
                if let Some(copied) = self.copying.take() {
                    // The lock covers the allocation, not the copying.
                    if let Some(storage) = self.locked.take() {
                        stage.unlock_storage(&storage);
                    }
                    self.copied = true;
                    return Ok(Next::After(self.copy_ms(copied)));
                }
                if std::mem::take(&mut self.copied) {
                    self.transfer = None;
                    self.write(stage)?;
                }
                if self.locked.is_some() {
                    return self.copy_next(stage);
                }
                let Some((_, value)) = self.queue.last() else { return self.finish(stage) };
                let storage = self.target_storage(value);
                self.locked = Some(storage.clone());
                Ok(stage.storage_lock(&storage))
            }
        }
    }

    fn copy_ms(&self, bytes: u64) -> i64 {
        let limit = self.bwlimit.filter(|limit| *limit > 0);
        let limited = limit.map(|limit| bytes.saturating_mul(1000) / limit.saturating_mul(1024));
        let limited = limited.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
        copy_ms(bytes).max(limited)
    }

    fn target_storage(&self, value: &str) -> String {
        let drive = Drive::parse(value);
        let own = split_volid(drive.file()).map(|(storage, _)| storage.to_owned());
        self.storage.clone().or(own).unwrap_or_default()
    }

    fn begin(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let source =
            crate::api::call::load_config(stage.world, &node, self.source).map_err(|e| e.exit())?;
        crate::api::call::check_lock(source)?;
        if source.running.is_some() != self.running {
            return Err("unexpected state change".to_owned());
        }
        let source = &match &self.snapname {
            None => source.clone(),
            Some(name) => source
                .at_snapshot(name)
                .ok_or_else(|| format!("snapshot '{name}' does not exist"))?,
        };
        if let Some(taken) = stage.world.guests.get(&self.vmid) {
            if taken.node == node {
                let vmid = self.vmid;
                return Err(format!("unable to create VM {vmid}: config file already exists"));
            }
            stage.say(format!("creating a clone of VM {} with ID {}", self.source, self.vmid));
            // The cluster's file system holds an id once, on whatever node.
            return Err(format!(
                "close (rename) atomic file '/etc/pve/nodes/{node}/qemu-server/{}.conf' failed: File exists",
                self.vmid
            ));
        }
        let prefix = mac_prefix(stage.world);
        let mut config = BTreeMap::from([("lock".to_owned(), "clone".to_owned())]);
        for (key, value) in &source.config {
            if matches!(key.as_str(), "parent" | "snaptime" | "snapstate" | "template")
                || crate::guest::vmstate::KEYS.contains(&key.as_str())
                || key.starts_with("unused")
            {
                continue;
            }
            let drive = keys::is_drive(key).then(|| Drive::parse(value));
            let stored = match drive {
                Some(drive) if drive.is_cdrom() && !drive.is_cloudinit() => value.clone(),
                Some(_) => {
                    self.queue.push((key.clone(), value.clone()));
                    continue;
                }
                None if keys::is_numbered(key, "net") => network::normalise(value, prefix, true),
                None => value.clone(),
            };
            config.insert(key.clone(), stored);
        }
        self.queue.sort();
        self.queue.reverse();
        self.identify(&mut config, source);
        self.pending.clone_from(&source.pending);
        self.pending_delete.clone_from(&source.pending_delete);
        self.cloudinit.clone_from(&source.cloudinit);
        self.config = config;
        let temporary = [("lock", "clone"), ("description", TEMPORARY)];
        let guest = Guest::new(self.vmid, &node, &temporary);
        stage.world.add_guest(guest);
        self.begun = true;
        stage.say(format!("creating a clone of VM {} with ID {}", self.source, self.vmid));
        Ok(Next::After(BASE_MS))
    }

    /// A clone has its own uuid, generation id, name and description.
    fn identify(&self, config: &mut BTreeMap<String, String>, source: &Guest) {
        let new_uuid = || uuid::Uuid::new_v4().to_string();
        let mut smbios = Values::parse(config.get("smbios1").map_or("", String::as_str), "uuid");
        smbios.0.insert("uuid".to_owned(), new_uuid());
        let pairs: Vec<String> =
            smbios.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        config.insert("smbios1".to_owned(), pairs.join(","));
        if config.contains_key("vmgenid") {
            config.insert("vmgenid".to_owned(), new_uuid());
        }
        let original = source.get("name").map_or_else(|| self.source.to_string(), str::to_owned);
        let name = self.name.clone().filter(|name| !name.is_empty() && name != "0");
        let name = name.unwrap_or_else(|| format!("Copy-of-VM-{original}"));
        config.insert("name".to_owned(), name);
        // An empty one is none, for Perl: the source's stays.
        if let Some(text) =
            self.description.as_ref().filter(|text| !matches!(text.as_str(), "" | "0"))
        {
            config.insert("description".to_owned(), text.trim_end().to_owned());
        }
    }

    fn copy_next(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let Some((key, value)) = self.queue.pop() else { return Ok(Next::After(0)) };
        let mut drive = Drive::parse(&value);
        let storage = self.target_storage(&value);
        let whole = self.full || drive.is_cloudinit() || key == "tpmstate0";
        let node = stage.node.clone();
        let file = drive.file().to_owned();
        let mut volume = crate::storage::activate::volume(stage.world, &node, &file)?.clone();
        let then = volume.snapshots.iter().find(|then| Some(&then.name) == self.snapname.as_ref());
        if let Some(then) = then.cloned() {
            // A copy is as large as the volume is now, a linked clone as its origin.
            volume.size = if whole { volume.size } else { then.size };
            (volume.used, volume.bootable) = (then.used, then.bootable);
        }
        let how = if whole { "full" } else { "linked" };
        stage.say(format!("create {how} clone of drive {key} ({file})"));
        if whole {
            self.warn_of_format(stage, &storage, &volume.format)?;
        }
        let (volid, copied) = if drive.is_cloudinit() {
            let target = allocate::storage_of(stage.world, &storage)?;
            let format = allocate::wanted_format(target, self.format.as_deref(), &volume.format);
            let (vmid, now) = (self.vmid, stage.moment.now);
            let format = Some(format.as_str());
            (allocate::cloudinit_volume(stage.world, &node, vmid, &storage, format, now)?, 0)
        } else if whole {
            self.copy_volume(stage, &storage, &volume)?
        } else {
            let now = stage.moment.now;
            let snapshot = self.snapname.is_some();
            (link_volume(stage.world, &node, self.vmid, &file, &volume, snapshot, now)?, 0)
        };
        let own = crate::world::volumes::own_name(volid.split_once(':').map_or("", |(_, n)| n));
        let own = own.rsplit('/').next().unwrap_or(own).to_owned();
        let has_files = stage.world.storages.get(&storage).is_some_and(|s| s.kind.has_files());
        if !whole && has_files {
            let base = file.split_once(':').map_or(file.as_str(), |(_, name)| name);
            let vmid = self.vmid;
            stage.say(format!("clone {base}: images, {own}, {vmid} to {own} (base=../{base})"));
        }
        let printed = allocate::formatting(stage.world, &node, &volid);
        stage.log.extend(printed);
        if whole {
            stage.say(format!("allocated target volume '{volid}'"));
        }
        if copied > 0 {
            stage.log.extend(allocate::transferred(volume.size));
        }
        self.made.push(volid.clone());
        if whole && !drive.is_cloudinit() {
            self.transfer = Some((file, volid.clone()));
        }
        drive.set("file", volid);
        drive.set("size", size::print(volume.size));
        drive.values.0.remove("format");
        self.config.insert(key, drive.print());
        self.copying = Some(copied);
        Ok(Next::After(VOLUME_MS))
    }

    fn warn_of_format(
        &self,
        stage: &mut Stage<'_>,
        storage: &str,
        source: &str,
    ) -> Result<(), String> {
        let target = allocate::storage_of(stage.world, storage)?;
        let format = allocate::wanted_format(target, self.format.as_deref(), source);
        if let Some(asked) = self.format.as_ref().filter(|asked| **asked != format) {
            stage.say(format!(
                "format '{asked}' is not supported by the target storage '{storage}' - using '{format}' instead"
            ));
        }
        Ok(())
    }

    /// Writes the configuration as far as it is: without the drives that are still to be copied.
    fn write(&self, stage: &mut Stage<'_>) -> Result<(), String> {
        let Some(guest) = stage.world.guests.get_mut(&self.vmid) else {
            return Err(broken("the configuration file vanished"));
        };
        guest.config.clone_from(&self.config);
        guest.pending.clone_from(&self.pending);
        guest.pending_delete.clone_from(&self.pending_delete);
        guest.cloudinit.clone_from(&self.cloudinit);
        Ok(())
    }

    fn copy_volume(
        &self,
        stage: &mut Stage<'_>,
        storage: &str,
        from: &Volume,
    ) -> Result<(String, u64), String> {
        let target = allocate::storage_of(stage.world, storage)?;
        let format = allocate::wanted_format(target, self.format.as_deref(), &from.format);
        let image = allocate::image(self.vmid, &format, from.size, stage.moment.now, from.bootable);
        // A copy of a linked clone holds what its base holds too.
        let copy = Volume { used: from.used.max(image.used), ..image };
        let node = stage.node.clone();
        let volid = allocate::place_image(stage.world, &node, storage, self.vmid, copy)?;
        Ok((volid, from.used))
    }

    fn finish(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        self.config.remove("lock");
        let waiting = std::mem::take(&mut self.pending);
        let mut names: Vec<&str> = waiting.keys().map(String::as_str).collect();
        if !std::mem::take(&mut self.pending_delete).is_empty() {
            names.push("delete");
        }
        if !names.is_empty() {
            let names = names.join(",");
            stage.say(format!("found pending changes for '{names}', discarding for clone"));
        }
        self.write(stage)?;
        let guest = stage.world.guests.get_mut(&self.vmid);
        if let (Some(guest), Some(target)) = (guest, &self.target) {
            guest.node.clone_from(target);
        }
        if let Some(pool) = self.pool.as_ref().and_then(|pool| stage.world.pools.get_mut(pool)) {
            pool.guests.insert(self.vmid);
        }
        Ok(Next::Done)
    }

    pub(crate) fn abandon(self, world: &mut World) {
        if self.begun {
            let node = world.guest(self.vmid).map(|guest| guest.node.clone()).unwrap_or_default();
            for volid in &self.made {
                world.remove_volume(&node, volid);
            }
            world.guests.remove(&self.vmid);
        }
    }
}

/// A linked clone of a base volume: an overlay file, or a snapshot in the pool.
fn link_volume(
    world: &mut World,
    node: &str,
    vmid: u32,
    base: &str,
    from: &Volume,
    from_snapshot: bool,
    now: i64,
) -> Result<String, String> {
    let Some((storage, volname)) = split_volid(base) else {
        return Err(format!("unable to parse volume ID '{base}'"));
    };
    let kind = allocate::storage_of(world, storage)?.kind;
    let format = if kind.has_files() { "qcow2" } else { "raw" };
    let mut image = allocate::image(vmid, format, from.size, now, from.bootable);
    // Thin snapshots do not depend on their origin, and clones of a snapshot do not name it.
    let independent = kind == crate::world::storage::StorageKind::LvmThin || from_snapshot;
    image.parent = (!independent).then(|| own_name(volname).to_owned());
    let volid = allocate::place_image(world, node, storage, vmid, image)?;
    let (_, name) = split_volid(&volid).unwrap_or_default();
    if independent {
        Ok(volid.clone())
    } else {
        Ok(format!("{storage}:{}/{name}", own_name(volname)))
    }
}
