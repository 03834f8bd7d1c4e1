//! The backup of one guest (`exec_backup_task` of `PVE::VZDump`, `PVE::VZDump::QemuServer`).

use serde::{Deserialize, Serialize};

use super::Stage;
use super::backup::Backup;
use super::create::copy_ms;
use super::power::{poweroff_wait, prepare_start};
use crate::fetch::stamp;
use crate::guest::drive::drives;
use crate::storage::alloc::fills_up;
use crate::storage::prune::{Keep, plan};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::{Guest, Running};
use crate::world::storage::Volume;

/// Seconds of a minute, and how many of these a guest gets to shut down (`stopwait`).
const STOPWAIT: i64 = 10;
/// Most protected backups of a guest for those who may not allocate on the storage.
const PROTECTED: usize = 5;

/// Where the backup of a guest is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    #[default]
    Opening,
    /// The guest shuts down; whether it will.
    Stopping(bool),
    /// The archive is to be begun.
    Beginning,
    /// The archive is being written.
    Writing,
}

/// A guest being backed up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Current {
    pub(crate) vmid: u32,
    /// Unix seconds.
    pub(crate) start: i64,
    phase: Phase,
    file: String,
    /// What it comes to: a guest that is switched off is backed up in mode `stop`.
    mode: String,
    was_running: bool,
    was_paused: bool,
    locked: bool,
    /// Unix seconds at which the guest was stopped or paused.
    stopped: Option<i64>,
    /// QEMU runs for the backup alone.
    started: bool,
    /// The guest is to be resumed at the end.
    resume: bool,
}

impl Current {
    pub(crate) fn new(vmid: u32, start: i64) -> Self {
        Self { vmid, start, ..Self::default() }
    }

    /// Everything up to the archive, or to the end of the guest; how many milliseconds it takes.
    pub(crate) fn open(&mut self, job: &Backup, stage: &mut Stage<'_>) -> Result<i64, String> {
        let vmid = self.vmid;
        let Some(guest) = stage.world.guest(vmid).cloned() else {
            return Err(format!("unable to find VM '{vmid}'"));
        };
        let requested = stage.world.ha.resources.get(&crate::ha::sid_of(vmid));
        let started = requested.is_some_and(|found| found.request() == "started");
        if job.mode == "stop" && started && stage.world.ha_managed(vmid) {
            return Err("Cannot execute a backup with stop mode on a HA managed and enabled Service. Use snapshot mode or disable the Service.".to_owned());
        }
        limits(job, stage, vmid)?;
        let name = stamp(self.start).replace(['-', ':'], "_").replace(' ', "-");
        self.file = format!("vzdump-qemu-{vmid}-{name}.{}", job.extension());
        self.was_running = guest.running.is_some();
        self.was_paused = guest.running.as_ref().is_some_and(|running| running.paused);
        stage.say(format!("INFO: Starting Backup of VM {vmid} (qemu)"));
        stage.say(format!("INFO: Backup started at {}", stamp(self.start)));
        let status = if self.was_running { "running" } else { "stopped" };
        stage.say(format!("INFO: status = {status}"));
        crate::api::call::check_lock(&guest)?;
        if !stage.world.quorate() {
            return Err(super::not_writable(&stage.node, vmid));
        }
        if let Some(found) = stage.world.guests.get_mut(&vmid) {
            found.config.insert("lock".to_owned(), "backup".to_owned());
        }
        self.locked = true;
        self.mode = if self.was_running { job.mode.clone() } else { "stop".to_owned() };
        if self.mode == "snapshot" {
            describe(stage, &guest)?;
        }
        stage.say(format!("INFO: backup mode: {}", self.mode));
        if let Some(limit) = job.bwlimit.as_ref().filter(|limit| *limit != "0") {
            stage.say(format!("INFO: bandwidth limit: {limit} KiB/s"));
        }
        stage.say(format!("INFO: ionice priority: {}", job.ionice.as_deref().unwrap_or("7")));
        if self.mode != "snapshot" {
            describe(stage, &guest)?;
        }
        self.halt(job, stage, &guest)
    }

    /// Mode `stop` shuts the guest down, mode `suspend` pauses it.
    fn halt(&mut self, job: &Backup, stage: &mut Stage<'_>, guest: &Guest) -> Result<i64, String> {
        self.phase = Phase::Beginning;
        if !self.was_running || self.mode == "snapshot" {
            return Ok(0);
        }
        self.stopped = Some(stage.moment.seconds());
        if self.mode == "suspend" {
            stage.say("INFO: suspending guest");
            pause(stage.world, self.vmid, true);
            self.resume = true;
            return Ok(0);
        }
        stage.say("INFO: stopping virtual guest");
        let limit = job.stopwait.unwrap_or(STOPWAIT).saturating_mul(60_000);
        let needs = poweroff_wait(guest, stage.moment.now);
        let obeys = needs.is_some_and(|needs| needs <= limit || stage.moment.instant);
        self.phase = Phase::Stopping(obeys);
        Ok(needs.filter(|_| obeys).unwrap_or(limit))
    }

    /// What comes next; milliseconds, or none at the end.
    pub(crate) fn advance(
        &mut self,
        job: &Backup,
        stage: &mut Stage<'_>,
    ) -> Result<Option<i64>, String> {
        if let Phase::Stopping(obeys) = self.phase {
            if !obeys {
                stage.say("INFO: VM quit/powerdown failed - got timeout");
                let seconds = job.stopwait.unwrap_or(STOPWAIT).saturating_mul(60);
                return Err(format!(
                    "command 'qm shutdown {} --skiplock --keepActive --timeout {seconds}' failed: exit code 255",
                    self.vmid
                ));
            }
            super::power::power_off(stage.world, self.vmid);
            self.phase = Phase::Beginning;
        }
        match self.phase {
            Phase::Writing => self.store(job, stage).map(|()| None),
            _ => self.begin(job, stage).map(Some),
        }
    }

    /// Begins with the archive.
    fn begin(&mut self, job: &Backup, stage: &mut Stage<'_>) -> Result<i64, String> {
        let Some(guest) = stage.world.guest(self.vmid).cloned() else {
            return Err(format!("unable to find VM '{}'", self.vmid));
        };
        assemble(stage, &guest);
        let path = stage.world.path_of(&self.volid(job)).unwrap_or_default();
        stage.say(format!("INFO: creating vzdump archive '{path}'"));
        self.phase = Phase::Writing;
        let disks = disks(stage.world, &guest);
        if disks.is_empty() {
            stage.say("INFO: backup contains no disks");
            stage.say("INFO: starting diskless backup");
            return Ok(100);
        }
        if guest.running.is_none() {
            stage.say("INFO: starting kvm to execute backup task");
            if let Err(error) = self.start_qemu(stage, &guest) {
                self.cancel(stage, &error);
                return Err(error);
            }
        }
        if disks.iter().any(|(key, _)| key == "tpmstate0") {
            stage.say("INFO: attaching TPM drive to QEMU for backup");
        }
        self.freeze(stage, &guest);
        stage.say("INFO: starting backup via QMP command");
        if self.frozen(stage, &guest) {
            stage.say("INFO: issuing guest-agent 'fs-thaw' command");
        }
        stage.say(format!("INFO: started backup task '{}'", uuid::Uuid::new_v4()));
        self.go_on(stage);
        Ok(500 + copy_ms(disks.iter().map(|(_, volume)| volume.used).sum()))
    }

    fn start_qemu(&mut self, stage: &mut Stage<'_>, guest: &Guest) -> Result<(), String> {
        prepare_start(stage, guest)?;
        // Of a template there is but the disks.
        if !guest.template() {
            let mut log = Vec::new();
            let refused = crate::guest::start::check(stage.world, guest, &mut log);
            stage.log.append(&mut log);
            refused?;
            stage.log.extend(crate::guest::warnings::warnings(guest));
        }
        self.started = !self.was_running;
        let boots = crate::guest::drive::boots(stage.world, guest) && self.was_running;
        let moment = stage.moment;
        stage.world.next_pid += 1;
        let pid = stage.world.next_pid;
        if let Some(found) = stage.world.guests.get_mut(&self.vmid) {
            let booted_ms = boots.then(|| moment.after(super::power::BOOT_MS));
            found.running = Some(Running { since_ms: moment.now, booted_ms, pid, paused: true });
        }
        Ok(())
    }

    /// `qga_fs_freeze`: only a guest that goes on running is frozen.
    fn frozen(&self, stage: &Stage<'_>, guest: &Guest) -> bool {
        let booted = guest.running.as_ref().and_then(|running| running.booted_ms);
        let up = booted.is_some_and(|at| at <= stage.moment.now);
        self.mode != "stop"
            && self.was_running
            && !self.was_paused
            && up
            && self.mode == "snapshot"
            && crate::guest::agent::configured(guest)
    }

    fn freeze(&self, stage: &mut Stage<'_>, guest: &Guest) {
        if self.frozen(stage, guest) {
            stage.say("INFO: issuing guest-agent 'fs-freeze' command");
        }
    }

    /// `resume_vm_after_job_start`.
    fn go_on(&mut self, stage: &mut Stage<'_>) {
        if !self.was_running || self.was_paused {
            return;
        }
        match self.stopped.take() {
            Some(stopped) => {
                let delay = (stage.moment.seconds() - stopped).max(0);
                stage.say(format!("INFO: resuming VM again after {delay} seconds"));
            }
            None => stage.say("INFO: resuming VM again"),
        }
        pause(stage.world, self.vmid, false);
    }

    fn cancel(&mut self, stage: &mut Stage<'_>, error: &str) {
        stage.say(format!("ERROR: {error}"));
        stage.say("INFO: aborting backup job");
        if stage.world.guest(self.vmid).is_some_and(|guest| guest.running.is_none()) {
            stage.say(format!("ERROR: VM {} not running", self.vmid));
        }
        self.go_on(stage);
        self.back_off(stage);
    }

    /// `restore_vm_power_state`.
    fn back_off(&mut self, stage: &mut Stage<'_>) {
        if std::mem::take(&mut self.started) {
            stage.say("INFO: stopping kvm after backup task");
            super::power::power_off(stage.world, self.vmid);
        }
    }

    fn volid(&self, job: &Backup) -> String {
        format!("{}:backup/{}", job.storage, self.file)
    }

    /// The archive is whole.
    fn store(&mut self, job: &Backup, stage: &mut Stage<'_>) -> Result<(), String> {
        let node = stage.node.clone();
        let Some(guest) = stage.world.guest(self.vmid).cloned() else {
            return Err(format!("unable to find VM '{}'", self.vmid));
        };
        let disks = disks(stage.world, &guest);
        let used: u64 = disks.iter().map(|(_, volume)| volume.used).sum();
        let total: u64 = disks.iter().map(|(_, volume)| volume.size).sum();
        let packed = if job.extension() == "vma" { used } else { used / 5 * 2 };
        let size = packed + 20_480;
        let volid = self.volid(job);
        if fills_up(stage.world, &node, &volid, size).is_some() {
            let why =
                if job.extension() == "vma" { "No space left on device" } else { "Broken pipe" };
            let error = format!("vma_queue_write: write error - {why}");
            self.cancel(stage, &error);
            return Err(error);
        }
        if total > 0 {
            self.transferred(stage, total, used);
        }
        self.back_off(stage);
        stage.say(format!("INFO: archive file size: {}", file_size(size)));
        let volume = Volume {
            content: "backup".to_owned(),
            format: job.extension().to_owned(),
            size,
            used: size,
            vmid: Some(self.vmid),
            ctime: self.start,
            text: Some(archived(stage.world, &guest)),
            disks,
            ..Volume::default()
        };
        stage.world.add_volume(&node, &volid, volume);
        self.mark(job, stage, &guest, &volid);
        prune(job, stage, &node, self.vmid);
        Ok(())
    }

    /// The last lines of `query_backup_status_loop`.
    fn transferred(&self, stage: &mut Stage<'_>, total: u64, used: u64) {
        let seconds = (stage.moment.seconds() - self.start).max(0);
        let rate = |bytes: u64| match bytes / u64::try_from(seconds).unwrap_or(1).max(1) {
            0 => "0 B/s".to_owned(),
            rate => format!("{}/s", bytes_text(rate, 1)),
        };
        let all = bytes_text(total, 1);
        stage.say(format!(
            "INFO: 100% ({all} of {all}) in {}, read: {}, write: {}",
            duration(seconds),
            rate(total),
            rate(used)
        ));
        let zero = total.saturating_sub(used);
        if zero > 0 {
            let part = u128::from(zero) * 100 / u128::from(total.max(1));
            let zero = bytes_text(zero, 2);
            stage.say(format!("INFO: backup is sparse: {zero} ({part}%) total zero data"));
        }
        let total_text = bytes_text(total, 2);
        stage.say(match seconds {
            0 => format!("INFO: transferred {total_text} in <1 seconds"),
            _ => format!("INFO: transferred {total_text} in {seconds} seconds ({})", rate(total)),
        });
    }

    /// Notes and protection, before old backups go.
    fn mark(&self, job: &Backup, stage: &mut Stage<'_>, guest: &Guest, volid: &str) {
        let node = stage.node.clone();
        let notes = job.notes.as_ref().filter(|notes| !notes.is_empty());
        let notes = notes.map(|notes| self::notes(stage.world, guest, &node, notes));
        if notes.is_some() {
            stage.say("INFO: adding notes to backup");
        }
        if job.protected {
            stage.say("INFO: marking backup as protected");
        }
        if let Some(volume) = stage.world.volume_mut(&node, volid) {
            volume.notes = notes;
            volume.protected = job.protected;
        }
    }

    /// What is undone however it ended.
    pub(crate) fn clean_up(&self, stage: &mut Stage<'_>) {
        if self.locked {
            unlock(stage.world, self.vmid);
        }
        if self.resume {
            stage.say("INFO: resume vm");
            pause(stage.world, self.vmid, false);
            if let Some(stopped) = self.stopped {
                let delay = stage.moment.seconds() - stopped;
                let delay = if delay < 1 { "<1".to_owned() } else { delay.to_string() };
                stage.say(format!("INFO: guest is online again after {delay} seconds"));
            }
        }
    }

    /// An interrupt: as [`Current::clean_up`], and QEMU ends that ran for the backup.
    pub(crate) fn abandon(&self, world: &mut World) {
        unlock(world, self.vmid);
        if self.started {
            super::power::power_off(world, self.vmid);
        } else if !self.was_paused {
            pause(world, self.vmid, false);
        }
    }
}

/// The limits that count before anything is done.
fn limits(job: &Backup, stage: &Stage<'_>, vmid: u32) -> Result<(), String> {
    let keep = job.retention(stage.world);
    let limit: u64 = keep.as_ref().map_or(0, |keep| keep.counts.iter().sum());
    if !(limit > 0 && !job.remove || job.protected) {
        return Ok(());
    }
    let all = stage.world.volumes_on(&job.storage, &stage.node);
    let own = all.filter(|(_, volume)| volume.content == "backup" && volume.vmid == Some(vmid));
    let (kept, free): (Vec<_>, Vec<_>) = own.partition(|(_, volume)| volume.protected);
    if job.protected {
        let storage = stage.world.storages.get(&job.storage);
        let option = storage.and_then(|storage| storage.options.get("max-protected-backups"));
        let caller = Caller { authid: stage.user.clone() };
        let path = format!("/storage/{}", job.storage);
        let may = stage.world.may_any(&caller, &path, &["Datastore.Allocate"]);
        let most = match option.and_then(|text| text.parse::<i64>().ok()) {
            Some(most) => usize::try_from(most).ok(),
            None if may => None,
            None => Some(PROTECTED),
        };
        return match most.filter(|most| kept.len() >= *most) {
            Some(most) => Err(format!(
                "The number of protected backups per guest is limited to {most} on storage '{}'",
                job.storage
            )),
            None => Ok(()),
        };
    }
    if free.len() as u64 >= limit {
        return Err(format!(
            "There is a max backup limit of {limit} enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups."
        ));
    }
    Ok(())
}

impl Backup {
    fn retention_text(&self, world: &World) -> Option<String> {
        let storage = world.storages.get(&self.storage);
        let configured = storage.and_then(|storage| storage.options.get("prune-backups"));
        self.keep.as_ref().or(configured).cloned()
    }

    /// What is kept; none when all is.
    fn retention(&self, world: &World) -> Option<Keep> {
        let keep = Keep::parse(&self.retention_text(world)?);
        (!keep.all && keep.limits()).then_some(keep)
    }
}

fn prune(job: &Backup, stage: &mut Stage<'_>, node: &str, vmid: u32) {
    let Some(keep) = job.retention(stage.world).filter(|_| job.remove) else { return };
    let text = job.retention_text(stage.world).unwrap_or_default();
    let mut parts: Vec<&str> = text.split(',').collect();
    parts.sort_unstable();
    stage.say(format!("INFO: prune older backups with retention: {}", parts.join(", ")));
    let entries = plan(stage.world, node, &job.storage, &keep, Some(vmid), Some("qemu"));
    let mut pruned = 0;
    for entry in entries.iter().filter(|entry| entry.mark == "remove") {
        stage.say(format!("INFO: removing backup '{}'", entry.volid));
        stage.world.remove_volume(node, &entry.volid);
        pruned += 1;
    }
    let extra = if pruned > 0 { " not covered by keep-retention policy" } else { "" };
    stage.say(format!("INFO: pruned {pruned} backup(s){extra}"));
}

/// The name, and which disks are in (`prepare`).
fn describe(stage: &mut Stage<'_>, guest: &Guest) -> Result<(), String> {
    if let Some(name) = guest.get("name") {
        stage.say(format!("INFO: VM Name: {name}"));
    }
    for (key, drive) in drives(guest).iter().filter(|(_, drive)| !drive.is_cdrom()) {
        let file = drive.file();
        if let Some(reason) = excluded(guest, key, drive.values.get("backup")) {
            stage.say(format!("INFO: exclude disk '{key}' '{file}' ({reason})"));
            continue;
        }
        let size = drive.values.get("size").map(|size| format!(" {size}")).unwrap_or_default();
        stage.say(format!("INFO: include disk '{key}' '{file}'{size}"));
    }
    for (_, drive) in included(guest) {
        let file = drive.file();
        crate::storage::activate::volume(stage.world, &guest.node, file)?;
    }
    Ok(())
}

/// Why a disk is left out (`get_backup_volumes`).
fn excluded(guest: &Guest, key: &str, backup: Option<&str>) -> Option<&'static str> {
    if key.starts_with("efidisk") && guest.get("bios") != Some("ovmf") {
        return Some("efidisk but no OVMF BIOS");
    }
    (backup == Some("0")).then_some("backup=no")
}

fn included(guest: &Guest) -> Vec<(String, crate::guest::drive::Drive)> {
    let all = drives(guest).into_iter().filter(|(_, drive)| !drive.is_cdrom());
    all.filter(|(key, drive)| excluded(guest, key, drive.values.get("backup")).is_none()).collect()
}

/// The disks that go into a backup.
fn disks(world: &World, guest: &Guest) -> Vec<(String, Volume)> {
    let found = included(guest)
        .into_iter()
        .filter_map(|(key, drive)| Some((key, world.volume(&guest.node, drive.file())?.clone())));
    found.collect()
}

/// What the configuration in the archive leaves out.
fn assemble(stage: &mut Stage<'_>, guest: &Guest) {
    let unused =
        guest.config.iter().filter(|(key, _)| crate::guest::keys::is_numbered(key, "unused"));
    let lines: Vec<String> = unused
        .map(|(_, file)| format!("INFO: skip unused drive '{file}' (not included into backup)"))
        .collect();
    stage.log.extend(lines);
    if !guest.cloudinit.is_empty() {
        stage.say("INFO: special config section found (not included into backup)");
    }
    if !guest.snapshots.is_empty() {
        stage.say("INFO: snapshots found (not included into backup)");
    }
    if !guest.pending.is_empty() || !guest.pending_delete.is_empty() {
        stage.say("INFO: pending configuration changes found (not included into backup)");
    }
}

/// The configuration in the archive, with its hints for a restore.
fn archived(world: &World, guest: &Guest) -> String {
    let mut saved = Guest::new(guest.vmid, &guest.node, &[]);
    saved.config = guest.config.clone();
    saved.config.retain(|key, _| {
        !matches!(key.as_str(), "lock" | "parent")
            && !crate::guest::keys::is_numbered(key, "unused")
    });
    let mut text = saved.text();
    let mut hints: Vec<(String, String)> = Vec::new();
    for (key, drive) in included(guest) {
        let (storage, _) = drive.file().split_once(':').unwrap_or_default();
        let format = world.volume(&guest.node, drive.file()).map(|volume| volume.format.clone());
        let device = if key == "tpmstate0" {
            "drive-tpmstate0-backup".to_owned()
        } else {
            format!("drive-{key}")
        };
        let format = format.unwrap_or_default();
        hints.push((key.clone(), format!("#qmdump#map:{key}:{device}:{storage}:{format}:\n")));
    }
    hints.sort();
    text.extend(hints.into_iter().map(|(_, line)| line));
    text
}

/// `$generate_notes`.
fn notes(world: &World, guest: &Guest, node: &str, template: &str) -> String {
    let mut plain = String::new();
    let mut letters = template.chars();
    while let Some(letter) = letters.next() {
        match (letter, letter == '\\') {
            (_, true) => plain.push(if letters.next() == Some('n') { '\n' } else { '\\' }),
            (letter, false) => plain.push(letter),
        }
    }
    plain
        .replace("{{cluster}}", &world.cluster)
        .replace("{{guestname}}", &guest.name())
        .replace("{{node}}", node)
        .replace("{{vmid}}", &guest.vmid.to_string())
}

fn pause(world: &mut World, vmid: u32, paused: bool) {
    if let Some(running) = world.guests.get_mut(&vmid).and_then(|guest| guest.running.as_mut()) {
        running.paused = paused;
    }
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid)
        && guest.get("lock") == Some("backup")
    {
        guest.config.remove("lock");
    }
}

/// `render_bytes`.
fn bytes_text(bytes: u64, digits: usize) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.digits$} {}", units.get(unit).copied().unwrap_or_default())
}

/// `format_size` of `PVE::VZDump`.
fn file_size(bytes: u64) -> String {
    match bytes >> 10 {
        kib @ 0..1024 => format!("{kib}KB"),
        kib if kib >> 10 < 1024 => format!("{}MB", kib >> 10),
        kib if kib >> 20 < 1024 => format!("{:.2}GB", bytes as f64 / f64::from(1 << 30)),
        _ => format!("{:.2}TB", bytes as f64 / f64::from(1 << 30) / 1024.0),
    }
}

/// `render_duration`, below a day.
fn duration(seconds: i64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let some: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if some.is_empty() { "0s".to_owned() } else { some.join(" ") }
}
