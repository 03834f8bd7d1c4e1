//! `qmrestore`: a guest out of a backup (`restore_vma_archive` of `PVE::QemuServer`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::config::mac_prefix;
use super::create::copy_ms;
use super::{Next, Stage, config_lock};
use crate::guest::allocate;
use crate::guest::drive::{self, Drive};
use crate::guest::{keys, network, size};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::storage::{StorageKind, Volume};
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
    #[serde(default)]
    pub(crate) live: bool,
    pub(crate) pool: Option<String>,
    /// Keys that replace what the backup says.
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) made: Vec<String>,
    /// The configuration to be, once the volumes are made.
    #[serde(default)]
    pub(crate) config: BTreeMap<String, String>,
}

impl Restore {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let result = match stage.number {
            0 => {
                self.check(stage)?;
                return Ok(config_lock(self.vmid, 1000));
            }
            1 => self.prepare(stage),
            _ => self.finish(stage),
        };
        result.map_err(|error| self.fail(stage, error))
    }

    /// The first lines of `$restorefn`. What fails here leaves the lock to be taken off, too.
    fn check(&self, stage: &mut Stage<'_>) -> Result<(), String> {
        let emsg = format!("unable to restore VM {} -", self.vmid);
        let found = stage.world.guest(self.vmid);
        let error = match found {
            Some(guest) if guest.flag("protection") => {
                Some(format!("{emsg} - protection mode enabled"))
            }
            Some(guest) if guest.running.is_some() => Some(format!("{emsg} vm is running")),
            _ if self.live => Some(
                "live-restore is only compatible with backup images from a Proxmox Backup Server"
                    .to_owned(),
            ),
            _ => None,
        };
        error.map_or(Ok(()), |error| Err(self.fail(stage, error)))
    }

    /// Nothing but volumes and the lock is cleaned up: an empty guest stays.
    fn fail(&self, stage: &mut Stage<'_>, error: String) -> String {
        let node = stage.node.clone();
        for volid in &self.made {
            stage.world.remove_volume(&node, volid);
            stage.say(format!("temporary volume '{volid}' successfully removed"));
        }
        self.clone().abandon(stage.world);
        stage.say(format!(
            "error before or during data restore, some or all disks were not completely restored. VM {} state is NOT cleaned up.",
            self.vmid
        ));
        error
    }

    /// The command that reads the archive, as the log shows it.
    fn command(&self, stage: &Stage<'_>, archive: &Volume) -> Result<String, String> {
        let path = stage.world.path_of(&self.archive)?;
        let pid = stage.world.tasks.get(stage.holder).map_or(0, |task| task.pid);
        let unpack = match archive.format.rsplit('.').next() {
            Some("zst") => "zstd -q -d -c ",
            Some("gz") => "zcat ",
            Some("lzo") => "lzop -d -c ",
            _ => "",
        };
        let extract = format!("vma extract -v -r /var/tmp/vzdumptmp{pid}.fifo");
        Ok(match unpack {
            "" => format!("{extract} {path} /var/tmp/vzdumptmp{pid}"),
            _ => format!("{unpack}{path} | {extract} - /var/tmp/vzdumptmp{pid}"),
        })
    }

    /// Reads the head of the archive and makes the volumes.
    fn prepare(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let Some(archive) = stage.world.volume(&node, &self.archive).cloned() else {
            return Err(format!("volume '{}' does not exist", self.archive));
        };
        let command = self.command(stage, &archive)?;
        stage.say(format!("restore vma archive: {command}"));
        let text = archive.text.as_deref().unwrap_or_default();
        stage.say(format!("CFG: size: {} name: qemu-server.conf", text.len()));
        for (at, (key, volume)) in archive.disks.iter().enumerate() {
            let device = device(key);
            stage.say(format!("DEV: dev_id={} size: {} devname: {device}", at + 1, volume.size));
        }
        stage.say(format!("CTIME: {}", ctime(archive.ctime)));
        let failed =
            |error: String| format!("command 'set -o pipefail && {command}' failed: {error}");
        self.config = parse(text);
        self.check_targets(stage, &archive).map_err(failed)?;
        self.make_room(stage, &archive);
        let failed =
            |error: String| format!("command 'set -o pipefail && {command}' failed: {error}");
        self.volumes(stage, &archive).map_err(failed)?;
        let read: u64 = archive.disks.iter().map(|(_, volume)| volume.used).sum();
        Ok(Next::After(300 + copy_ms(read)))
    }

    /// Every storage must hold images, and the user may allocate there (`$parse_backup_hints`).
    fn check_targets(&self, stage: &Stage<'_>, archive: &Volume) -> Result<(), String> {
        let value = |key: &String| self.config.get(key).cloned().unwrap_or_default();
        let disks = archive.disks.iter().map(|(key, _)| Drive::parse(&value(key)));
        let all = self.config.iter().filter(|(key, _)| keys::is_drive(key));
        let cloudinit = all.map(|(_, value)| Drive::parse(value)).filter(Drive::is_cloudinit);
        for drive in disks.chain(cloudinit) {
            let id = self.target(drive.file());
            let storage = allocate::storage_of(stage.world, &id)?;
            if !storage.holds("images") {
                return Err(format!("Content type 'images' is not available on storage '{id}'"));
            }
            let caller = Caller { authid: stage.user.clone() };
            let path = format!("/storage/{id}");
            let may = stage.world.require(&caller, &path, &["Datastore.AllocateSpace"]);
            may.map_err(|refusal| refusal.exit())?;
        }
        Ok(())
    }

    /// Disks of an overwritten guest go that the archive brings too; others become unused ones
    /// (`$restore_cleanup_oldconf`).
    fn make_room(&self, stage: &mut Stage<'_>, archive: &Volume) {
        let Some(old) = stage.world.guest(self.vmid).cloned() else { return };
        if old.config.len() <= 1 {
            return;
        }
        let node = stage.node.clone();
        for (key, drive) in drive::drives(&old) {
            let file = drive.file().to_owned();
            let restored = archive.disks.iter().any(|(name, _)| *name == key)
                || drive.is_cloudinit() && self.config.contains_key(&key);
            let own = drive::owner(&file) == Some(self.vmid);
            if restored && own && (!drive.is_cdrom() || drive.is_cloudinit()) {
                match crate::storage::free::free(stage.world, &node, &file) {
                    Ok(lines) => stage.log.extend(lines),
                    Err(error) => stage.say(error),
                }
            }
        }
        let states = old.snapshots.values().filter_map(|snapshot| snapshot.get("vmstate"));
        for state in states {
            stage.world.remove_volume(&node, state);
        }
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            *guest = Guest::new(self.vmid, &node, &[("lock", "create"), ("memory", "128")]);
        }
    }

    fn volumes(&mut self, stage: &mut Stage<'_>, archive: &Volume) -> Result<(), String> {
        let mut maps = Vec::new();
        let mut disks: Vec<&(String, Volume)> = archive.disks.iter().collect();
        disks.sort_by(|a, b| a.0.cmp(&b.0));
        for (key, from) in disks {
            let (value, map) = self.disk(stage, key, from)?;
            self.config.insert(key.clone(), value);
            maps.push(map);
        }
        self.cloudinit(stage)?;
        stage.log.extend(maps);
        Ok(())
    }

    /// Makes a disk; its value, and the line about it.
    fn disk(
        &mut self,
        stage: &mut Stage<'_>,
        key: &str,
        from: &Volume,
    ) -> Result<(String, String), String> {
        let mut drive = Drive::parse(self.config.get(key).map_or("", String::as_str));
        let id = self.target(drive.file());
        let node = stage.node.clone();
        let storage = allocate::storage_of(stage.world, &id)?;
        let valid = storage.formats();
        let format = if valid.0.contains(&from.format.as_str()) { &from.format } else { valid.1 };
        let zeros = u8::from(storage.kind == StorageKind::Lvm);
        let new = allocate::image(self.vmid, format, from.size, stage.moment.now, from.bootable);
        let new = Volume { used: from.used.max(new.used), ..new };
        if new.used > crate::storage::alloc::free_bytes(stage.world, storage, &node)
            && !storage.is_thick()
        {
            return Err("vma extract: write failed - No space left on device".to_owned());
        }
        let volid = allocate::place_image(stage.world, &node, &id, self.vmid, new)?;
        stage.log.extend(allocate::formatting(stage.world, &node, &volid));
        stage.say(format!("new volume ID is '{volid}'"));
        let path = stage.world.path_of(&volid).unwrap_or_default();
        self.made.push(volid.clone());
        drive.values.0.remove("format");
        drive.set("file", volid);
        drive.set("size", size::print(from.size));
        let map = format!("map '{}' to '{path}' (write zeros = {zeros})", device(key));
        Ok((drive.print(), map))
    }

    fn target(&self, file: &str) -> String {
        let own = split_volid(file).map(|(storage, _)| storage.to_owned());
        self.storage.clone().or(own).unwrap_or_else(|| "local".to_owned())
    }

    /// The drive of cloud-init is made anew.
    fn cloudinit(&mut self, stage: &mut Stage<'_>) -> Result<(), String> {
        let node = stage.node.clone();
        for (key, value) in self.config.clone() {
            let mut drive = Drive::parse(&value);
            if !keys::is_drive(&key) || !drive.is_cloudinit() {
                continue;
            }
            let id = self.target(drive.file());
            let now = stage.moment.now;
            let format = drive.file().rsplit_once('.').map_or("raw", |(_, format)| format);
            let volid =
                allocate::cloudinit_volume(stage.world, &node, self.vmid, &id, Some(format), now)?;
            stage.say(format!("new volume ID is '{volid}'"));
            self.made.push(volid.clone());
            drive.set("file", volid);
            self.config.insert(key, drive.print());
        }
        Ok(())
    }

    /// The data is there: the configuration is written (`restore_update_config_line`).
    fn finish(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let mut config = std::mem::take(&mut self.config);
        let prefix = mac_prefix(stage.world).to_owned();
        let uuid = || uuid::Uuid::new_v4().to_string();
        if config.get("vmgenid").is_some_and(|id| id != "0") {
            config.insert("vmgenid".to_owned(), uuid());
        }
        if self.unique {
            if let Some(smbios) = config.get_mut("smbios1") {
                *smbios = renewed(smbios, &uuid());
            }
            for (_, value) in config.iter_mut().filter(|(key, _)| keys::is_numbered(key, "net")) {
                *value = network::normalise(value, &prefix, true);
            }
        }
        for (key, value) in &self.set {
            let stored = match keys::is_numbered(key, "net") {
                true => network::normalise(value, &prefix, false),
                false => crate::guest::written::normalise(stage.world, key, value),
            };
            config.insert(key.clone(), stored);
        }
        let template = config.remove("template").is_some_and(|flag| flag == "1");
        let mut guest = Guest::new(self.vmid, &stage.node, &[]);
        guest.config = config;
        stage.say("rescan volumes...");
        self.adopt(stage, &mut guest);
        stage.world.add_guest(guest);
        if let Some(pool) = self.pool.as_ref().and_then(|pool| stage.world.pools.get_mut(pool)) {
            pool.guests.insert(self.vmid);
        }
        if template {
            stage.say("Convert to template.");
            super::template::convert(stage, self.vmid)?;
        }
        if self.start {
            stage.say("Execute autostart");
            let work = super::Work::Power(super::power::Power::start(self.vmid));
            let (node, user) = (stage.node.clone(), stage.user.clone());
            let id = self.vmid.to_string();
            super::fork(stage.world, stage.moment, &node, "qmstart", &id, &user, work);
        }
        Ok(Next::Done)
    }

    /// Volumes of this guest that nothing names become unused ones (`update_disk_config`).
    fn adopt(&self, stage: &mut Stage<'_>, guest: &mut Guest) {
        let node = stage.node.clone();
        let mut found = Vec::new();
        for id in stage.world.storages.keys() {
            let own = stage
                .world
                .volumes_on(id, &node)
                .filter(|(_, volume)| volume.vmid == Some(self.vmid) && volume.content == "images");
            found.extend(own.map(|(name, volume)| (format!("{id}:{name}"), volume.parent.clone())));
        }
        let named: Vec<String> =
            drive::drives(guest).iter().map(|(_, drive)| drive.file().to_owned()).collect();
        for (volid, _) in found {
            let own = split_volid(&volid).map_or("", |(_, name)| name);
            let in_use =
                named.iter().any(|file| *file == volid || file.ends_with(&format!("/{own}")));
            if in_use || volid.contains(&format!("vm-{}-state-", self.vmid)) {
                continue;
            }
            let free = (0..256).map(|at| format!("unused{at}"));
            let Some(key) = free.into_iter().find(|key| guest.get(key).is_none()) else { return };
            stage.say(format!(
                "VM {} add unreferenced volume '{volid}' as '{key}' to config",
                self.vmid
            ));
            guest.config.insert(key, volid);
        }
    }

    /// The lock goes; the guest stays as it is.
    pub(crate) fn abandon(self, world: &mut World) {
        let node = world.guest(self.vmid).map(|guest| guest.node.clone()).unwrap_or_default();
        for volid in &self.made {
            world.remove_volume(&node, volid);
        }
        if let Some(guest) = world.guests.get_mut(&self.vmid)
            && guest.get("lock") == Some("create")
        {
            guest.config.remove("lock");
        }
    }
}

/// The name of a disk in an archive.
fn device(key: &str) -> String {
    let backup = if key == "tpmstate0" { "-backup" } else { "" };
    format!("drive-{key}{backup}")
}

/// `Mon Nov 23 04:05:06 2026`.
fn ctime(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

/// `smbios1` with another uuid, all else as it is.
fn renewed(value: &str, uuid: &str) -> String {
    let others = value.split(',').filter(|part| !part.starts_with("uuid=") && !part.is_empty());
    let mut parts: Vec<String> = others.map(str::to_owned).collect();
    parts.push(format!("uuid={uuid}"));
    parts.sort();
    parts.join(",")
}

/// The keys of a configuration file, before its first section.
fn parse(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().take_while(|line| !line.starts_with('['));
    let mut out = BTreeMap::new();
    let mut notes: Vec<String> = Vec::new();
    for line in lines {
        let skipped = ["lock:", "parent:", "unused", "#qmdump#", "#vzdump#"];
        if skipped.iter().any(|start| line.starts_with(start)) {
            continue;
        }
        // A disk that is not in the archive stays as a comment: a line of the description.
        let left_out = line.split_once(": ").is_some_and(|(key, value)| {
            keys::is_drive(key) && Drive::parse(value).values.get("backup") == Some("0")
        });
        if left_out {
            notes.push(line.to_owned());
        } else if let Some(note) = line.strip_prefix('#') {
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
