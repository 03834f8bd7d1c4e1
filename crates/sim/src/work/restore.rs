//! `qmrestore`: a guest out of a backup (`restore_vma_archive` of `PVE::QemuServer`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::mac_prefix;
use super::create::copy_ms;
use super::{Next, Stage, config_lock};
use crate::guest::drive::{self, Drive};
use crate::guest::{keys, network, size};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::storage::Volume;
use crate::world::volumes::split_volid;

/// A guest to bring back. Its configuration is there already, locked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Restore {
    pub(crate) vmid: u32,
    pub(crate) archive: String,
    /// For all disks, instead of those they were on.
    pub(crate) storage: Option<String>,
    /// New MACs and uuid.
    pub(crate) unique: bool,
    pub(crate) start: bool,
    pub(crate) pool: Option<String>,
    /// Keys that replace what the backup says.
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) made: Vec<String>,
    pub(crate) copied: bool,
}

impl Restore {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if stage.number == 0 {
            return Ok(config_lock(self.vmid, 1000));
        }
        self.step(stage).map_err(|error| {
            self.clone().abandon(stage.world);
            format!("unable to restore VM {} - {error}", self.vmid)
        })
    }

    fn step(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let Some(archive) = stage.world.volume(&node, &self.archive).cloned() else {
            let path = stage.world.path_of(&self.archive)?;
            return Err(format!("archive '{path}' does not exist"));
        };
        if !self.copied {
            self.copied = true;
            let path = stage.world.path_of(&self.archive)?;
            stage.say(format!("restore vma archive: vma extract -v {path}"));
            let bytes = archive.disks.iter().map(|(_, volume)| volume.used).sum();
            return Ok(Next::After(300 + copy_ms(bytes)));
        }
        let mut config = parse(archive.text.as_deref().unwrap_or_default());
        for (key, volume) in &archive.disks {
            let value = config.get(key).cloned().unwrap_or_default();
            let stored = self.disk(stage, key, &value, volume)?;
            config.insert(key.clone(), stored);
        }
        self.cloudinit(stage, &mut config)?;
        self.finish(stage, config)
    }

    fn disk(
        &mut self,
        stage: &mut Stage<'_>,
        key: &str,
        value: &str,
        from: &Volume,
    ) -> Result<String, String> {
        let mut drive = Drive::parse(value);
        let id = self.target(drive.file());
        let node = stage.node.clone();
        let storage = drive::storage_of(stage.world, &id)?;
        let valid = storage.formats();
        let format = if valid.0.contains(&from.format.as_str()) { &from.format } else { valid.1 };
        let new = drive::image(self.vmid, format, from.size, stage.moment.now, from.bootable);
        let new = Volume { used: from.used.max(new.used), ..new };
        if new.used > crate::storage::alloc::free_bytes(stage.world, storage, &node) {
            return Err("vma extract: write failed - No space left on device".to_owned());
        }
        let volid = drive::place_image(stage.world, &node, &id, self.vmid, new)?;
        stage.say(format!("new volume ID is '{volid}'"));
        let path = stage.world.path_of(&volid).unwrap_or_default();
        stage.say(format!("map 'drive-{key}' to '{path}' (write zeros = 0)"));
        self.made.push(volid.clone());
        drive.set("file", volid);
        drive.set("size", size::print(from.size));
        Ok(drive.print())
    }

    fn target(&self, file: &str) -> String {
        let own = split_volid(file).map(|(storage, _)| storage.to_owned());
        self.storage.clone().or(own).unwrap_or_else(|| "local".to_owned())
    }

    /// The drive of cloud-init is made anew.
    fn cloudinit(
        &mut self,
        stage: &mut Stage<'_>,
        config: &mut BTreeMap<String, String>,
    ) -> Result<(), String> {
        let node = stage.node.clone();
        for (key, value) in config.iter_mut().filter(|(key, _)| keys::is_drive(key)) {
            let mut drive = Drive::parse(value);
            if !drive.is_cloudinit() {
                continue;
            }
            let id = self.target(drive.file());
            let now = stage.moment.now;
            let volid = drive::cloudinit_volume(stage.world, &node, self.vmid, &id, None, now)?;
            stage.log.push(format!("new volume ID is '{volid}' ({key})"));
            self.made.push(volid.clone());
            drive.set("file", volid);
            *value = drive.print();
        }
        Ok(())
    }

    fn finish(
        &self,
        stage: &mut Stage<'_>,
        mut config: BTreeMap<String, String>,
    ) -> Result<Next, String> {
        let prefix = mac_prefix(stage.world).to_owned();
        let uuid = || uuid::Uuid::new_v4().to_string();
        if config.contains_key("vmgenid") {
            config.insert("vmgenid".to_owned(), uuid());
        }
        if self.unique {
            config.insert("smbios1".to_owned(), format!("uuid={}", uuid()));
            for (_, value) in config.iter_mut().filter(|(key, _)| keys::is_numbered(key, "net")) {
                *value = network::normalise(value, &prefix, true);
            }
        }
        // A template's disks are restored as plain ones.
        config.remove("template");
        for (key, value) in &self.set {
            config.insert(key.clone(), super::config::normalise(key, value));
        }
        let mut guest = Guest::new(self.vmid, &stage.node, &[]);
        guest.config = config;
        // What an overwritten guest had is gone.
        let old: Vec<String> = super::destroy::volumes(stage.world, self.vmid);
        for volid in old.iter().filter(|volid| !self.made.contains(volid)) {
            let node = stage.node.clone();
            stage.world.remove_volume(&node, volid);
        }
        stage.world.add_guest(guest);
        stage.say("rescan volumes...");
        if let Some(pool) = self.pool.as_ref().and_then(|pool| stage.world.pools.get_mut(pool)) {
            pool.guests.insert(self.vmid);
        }
        if self.start {
            let work = super::Work::Power(super::power::Power::start(self.vmid));
            let (node, user) = (stage.node.clone(), stage.user.clone());
            let id = self.vmid.to_string();
            super::fork(stage.world, stage.moment, &node, "qmstart", &id, &user, work);
        }
        Ok(Next::Done)
    }

    /// An overwritten guest keeps its lock `create`, as on the real server; a new one goes.
    pub(crate) fn abandon(self, world: &mut World) {
        let node = world.guest(self.vmid).map(|guest| guest.node.clone()).unwrap_or_default();
        for volid in &self.made {
            world.remove_volume(&node, volid);
        }
        let empty = world
            .guest(self.vmid)
            .is_some_and(|guest| guest.get("lock") == Some("create") && guest.config.len() == 1);
        if empty {
            world.guests.remove(&self.vmid);
        } else if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.remove("lock");
        }
    }
}

/// The keys of a configuration file, before its first section.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().take_while(|line| !line.starts_with('['));
    let mut out = BTreeMap::new();
    let mut notes: Vec<String> = Vec::new();
    for line in lines {
        if let Some(note) = line.strip_prefix('#') {
            let decoded = percent_encoding::percent_decode_str(note).decode_utf8_lossy();
            notes.push(decoded.into_owned());
        } else if let Some((key, value)) = line.split_once(": ") {
            out.insert(key.to_owned(), value.to_owned());
        }
    }
    if !notes.is_empty() {
        out.insert("description".to_owned(), notes.join("\n"));
    }
    out
}
