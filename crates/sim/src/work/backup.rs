//! `vzdump`: backups of guests, one after the other (`PVE::VZDump`).

use serde::{Deserialize, Serialize};

use super::create::copy_ms;
use super::{Next, Stage};
use crate::fetch::stamp;
use crate::guest::drive::drives;
use crate::guest::size;
use crate::storage::activate::active;
use crate::storage::alloc::fills_up;
use crate::storage::prune::{Keep, plan};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::storage::Volume;

/// Guests to back up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Backup {
    /// Those that are not done yet.
    pub(crate) vmids: Vec<u32>,
    pub(crate) storage: String,
    /// `snapshot`, `suspend` or `stop`.
    pub(crate) mode: String,
    /// `zstd`, `gzip`, `lzo`, or none.
    pub(crate) compress: String,
    /// Retention instead of the storage's.
    pub(crate) keep: Option<String>,
    /// Whether old backups go.
    pub(crate) remove: bool,
    /// Template of the notes.
    pub(crate) notes: Option<String>,
    pub(crate) protected: bool,
    /// Guests without permission are left out.
    pub(crate) all: bool,
    pub(crate) command: String,
    pub(crate) begun: bool,
    /// What is being written: guest, file name, start in Unix seconds.
    pub(crate) current: Option<(u32, String, i64)>,
    pub(crate) errors: u32,
}

impl Backup {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if !self.begun {
            self.begun = true;
            self.prepare(stage)?;
        }
        if let Some((vmid, file, start)) = self.current.take() {
            let result = self.store(stage, vmid, &file);
            unlock(stage.world, vmid);
            self.close(stage, vmid, start, result);
        }
        while !self.vmids.is_empty() {
            let vmid = self.vmids.remove(0);
            let caller = Caller { authid: stage.user.clone() };
            let path = format!("/vms/{vmid}");
            if stage.world.guest(vmid).is_some()
                && let Err(refusal) = stage.world.require(&caller, &path, &["VM.Backup"])
            {
                if self.all {
                    continue;
                }
                return Err(refusal.exit());
            }
            let start = stage.moment.seconds();
            match self.open(stage, vmid, start) {
                Ok(ms) => return Ok(Next::After(ms)),
                Err(error) => self.close(stage, vmid, start, Err(error)),
            }
        }
        if self.errors > 0 {
            stage.say("INFO: Backup job finished with errors");
            return Err("job errors".to_owned());
        }
        stage.say("INFO: Backup job finished successfully");
        Ok(Next::Done)
    }

    /// The checks of `PVE::VZDump::new`.
    fn prepare(&self, stage: &mut Stage<'_>) -> Result<(), String> {
        let (id, node) = (&self.storage, stage.node.clone());
        let mut errors = Vec::new();
        if let Err(error) = active(stage.world, id, &node) {
            errors.push(format!("could not activate storage '{id}': {error}"));
        }
        match stage.world.storages.get(id) {
            Some(storage) if storage.holds("backup") => {}
            Some(_) => errors.push(format!(
                "could not get storage information for '{id}': can't use storage '{id}' for backups - wrong content type"
            )),
            None => errors.push(format!(
                "could not get storage information for '{id}': storage '{id}' does not exist"
            )),
        }
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        stage.say(format!("INFO: starting new backup job: {}", self.command));
        Ok(())
    }

    /// Begins with a guest; how long it takes.
    fn open(&mut self, stage: &mut Stage<'_>, vmid: u32, start: i64) -> Result<i64, String> {
        let Some(guest) = stage.world.guest(vmid).cloned() else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        stage.say(format!("INFO: Starting Backup of VM {vmid} (qemu)"));
        stage.say(format!("INFO: Backup started at {}", stamp(start)));
        let running = guest.running.is_some();
        stage.say(format!("INFO: status = {}", if running { "running" } else { "stopped" }));
        crate::api::call::check_lock(&guest)?;
        let mode = if running { self.mode.as_str() } else { "stop" };
        stage.say(format!("INFO: backup mode: {mode}"));
        stage.say("INFO: ionice priority: 7");
        stage.say(format!("INFO: VM Name: {}", guest.get("name").unwrap_or_default()));
        let disks = disks(stage.world, &guest.node, vmid, stage);
        stage.log.extend(disks.lines);
        if let Some(locked) = stage.world.guests.get_mut(&vmid) {
            locked.config.insert("lock".to_owned(), "backup".to_owned());
        }
        let file = format!(
            "vzdump-qemu-{vmid}-{}.{}",
            stamp(start).replace(['-', ':'], "_").replace(' ', "-"),
            self.extension()
        );
        let volid = format!("{}:backup/{file}", self.storage);
        let path = stage.world.path_of(&volid).unwrap_or_default();
        stage.say(format!("INFO: creating vzdump archive '{path}'"));
        if !running {
            stage.say("INFO: starting kvm to execute backup task");
        }
        stage.say(format!("INFO: started backup task '{}'", uuid::Uuid::new_v4()));
        self.current = Some((vmid, file, start));
        Ok(500 + copy_ms(disks.used))
    }

    fn extension(&self) -> &'static str {
        match self.compress.as_str() {
            "1" | "lzo" => "vma.lzo",
            "gzip" => "vma.gz",
            "zstd" => "vma.zst",
            _ => "vma",
        }
    }

    /// Writes the archive.
    fn store(&self, stage: &mut Stage<'_>, vmid: u32, file: &str) -> Result<(), String> {
        let node = stage.node.clone();
        let Some(guest) = stage.world.guest(vmid).cloned() else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        let disks = disks(stage.world, &guest.node, vmid, stage);
        let packed = if self.extension() == "vma" { disks.used } else { disks.used / 5 * 2 };
        let size = packed + 20_480;
        let volid = format!("{}:backup/{file}", self.storage);
        if fills_up(stage.world, &node, &volid, size).is_some() {
            return Err("vma_queue_write: write error - Broken pipe".to_owned());
        }
        let mut saved = guest.clone();
        saved.config.remove("lock");
        saved.pending.clear();
        saved.pending_delete.clear();
        let notes = self.notes.as_ref().map(|notes| {
            let name = guest.name();
            notes
                .replace("{{cluster}}", &stage.world.cluster)
                .replace("{{guestname}}", guest.get("name").unwrap_or(&name))
                .replace("{{node}}", &node)
                .replace("{{vmid}}", &vmid.to_string())
                .replace("\\n", "\n")
        });
        let volume = Volume {
            content: "backup".to_owned(),
            format: self.extension().to_owned(),
            size,
            used: size,
            vmid: Some(vmid),
            ctime: stage.moment.seconds(),
            text: Some(saved.text()),
            notes: notes.clone(),
            protected: self.protected,
            disks: disks.volumes,
            ..Volume::default()
        };
        stage.world.add_volume(&node, &volid, volume);
        stage.say(format!("INFO: transferred {:.2} GiB in <1 seconds", gib(disks.used)));
        if guest.running.is_none() {
            stage.say("INFO: stopping kvm after backup task");
        }
        stage.say(format!("INFO: archive file size: {}MB", size >> 20));
        if notes.is_some() {
            stage.say("INFO: adding notes to backup");
        }
        if self.protected {
            stage.say("INFO: marking backup as protected");
        }
        self.prune(stage, &node, vmid);
        Ok(())
    }

    fn prune(&self, stage: &mut Stage<'_>, node: &str, vmid: u32) {
        let storage = stage.world.storages.get(&self.storage);
        let configured = storage.and_then(|storage| storage.options.get("prune-backups"));
        let Some(text) = self.keep.as_ref().or(configured).cloned() else { return };
        let keep = Keep::parse(&text);
        if !self.remove || keep.all || !keep.limits() {
            return;
        }
        stage.say(format!("INFO: prune older backups with retention: {text}"));
        let entries = plan(stage.world, node, &self.storage, &keep, Some(vmid), Some("qemu"));
        let mut pruned = 0;
        for entry in entries.iter().filter(|entry| entry.mark == "remove") {
            stage.say(format!("INFO: removing backup '{}'", entry.volid));
            stage.world.remove_volume(node, &entry.volid);
            pruned += 1;
        }
        stage.say(format!("INFO: pruned {pruned} backup(s) not covered by keep-retention policy"));
    }

    fn close(&mut self, stage: &mut Stage<'_>, vmid: u32, start: i64, result: Result<(), String>) {
        let end = stage.moment.seconds();
        match result {
            Ok(()) => {
                let took = (end - start).max(0);
                let (hours, minutes, seconds) = (took / 3600, took / 60 % 60, took % 60);
                stage.say(format!(
                    "INFO: Finished Backup of VM {vmid} ({hours:02}:{minutes:02}:{seconds:02})"
                ));
                stage.say(format!("INFO: Backup finished at {}", stamp(end)));
            }
            Err(error) => {
                self.errors += 1;
                stage.say(format!("ERROR: Backup of VM {vmid} failed - {error}"));
                stage.say(format!("INFO: Failed at {}", stamp(end)));
            }
        }
    }

    pub(crate) fn abandon(self, world: &mut World) {
        if let Some((vmid, _, _)) = self.current {
            unlock(world, vmid);
        }
    }
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid)
        && guest.get("lock") == Some("backup")
    {
        guest.config.remove("lock");
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// The disks of a guest that go into a backup.
struct Disks {
    volumes: Vec<(String, Volume)>,
    used: u64,
    lines: Vec<String>,
}

fn disks(world: &World, node: &str, vmid: u32, _: &Stage<'_>) -> Disks {
    let mut out = Disks { volumes: Vec::new(), used: 0, lines: Vec::new() };
    let Some(guest) = world.guest(vmid) else { return out };
    for (key, drive) in drives(guest) {
        if drive.is_cdrom() {
            continue;
        }
        let file = drive.file();
        if drive.values.get("backup") == Some("0") {
            out.lines.push(format!("INFO: exclude disk '{key}' '{file}' (backup=no)"));
            continue;
        }
        let Some(volume) = world.volume(node, file) else { continue };
        out.lines.push(format!("INFO: include disk '{key}' '{file}' {}", size::print(volume.size)));
        out.used += volume.used;
        out.volumes.push((key, volume.clone()));
    }
    out
}
