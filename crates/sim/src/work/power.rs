//! Power: `qmstart`, `qmstop`, `qmshutdown`, `qmreboot`, `qmreset`, `qmpause`, `qmresume`.

use serde::{Deserialize, Serialize};

use super::{Next, Stage, config_lock};
use crate::guest::allocate::cloudinit_volume;
use crate::guest::drive::{boots, drives};
use crate::guest::property::Values;
use crate::guest::{agent, pending};
use crate::world::World;
use crate::world::guest::{Guest, Running};
use crate::world::volumes::split_volid;

/// Milliseconds until QEMU runs.
pub(super) const START_MS: i64 = 850;
/// More milliseconds when the cloud-init drive is written.
pub(super) const CLOUDINIT_MS: i64 = 200;
/// Milliseconds after which a system inside has booted.
pub(super) const BOOT_MS: i64 = 1500;
/// Milliseconds of a stop.
pub(super) const STOP_MS: i64 = 1200;
/// Milliseconds that a booted system takes to power off.
const POWEROFF_MS: i64 = 600;
/// Seconds that a shutdown waits when neither the request nor `startup` says (`_do_vm_stop`).
const SHUTDOWN_TIMEOUT: i64 = 60;

/// What is done to the power of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Start,
    Stop,
    Shutdown,
    Reboot,
    Reset,
    Suspend,
    Resume,
}

/// A change of power.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Power {
    pub(crate) vmid: u32,
    pub(crate) action: Action,
    /// Seconds.
    pub(crate) timeout: Option<i64>,
    pub(crate) force: bool,
    pub(crate) skiplock: bool,
    /// The guest answers the power button.
    pub(crate) obeys: bool,
    /// UPIDs of shutdowns that a stop ends first.
    #[serde(default)]
    pub(crate) overrules: Vec<String>,
}

impl Power {
    pub(crate) fn new(vmid: u32, action: Action) -> Self {
        Self {
            vmid,
            action,
            timeout: None,
            force: false,
            skiplock: false,
            obeys: false,
            overrules: Vec::new(),
        }
    }

    pub(crate) fn start(vmid: u32) -> Self {
        Self::new(vmid, Action::Start)
    }

    /// Whether it writes the guest's configuration: what only ends a process does not.
    pub(crate) fn writes(&self) -> bool {
        self.action == Action::Start
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if stage.number == 0 {
            self.overrule(stage);
            // A shutdown waits for the guest without holding the lock against readers; the lock
            // is what a second change of power waits for.
            return Ok(config_lock(self.vmid, 10_000));
        }
        let node = stage.node.clone();
        let guest = crate::api::call::load_config(stage.world, &node, self.vmid)
            .map_err(|e| e.exit())?
            .clone();
        match self.action {
            Action::Start => self.starting(stage, &guest),
            Action::Stop => self.stopping(stage, &guest),
            Action::Shutdown | Action::Reboot => self.shutting_down(stage, &guest),
            Action::Resume => self.resuming(stage, &guest),
            Action::Reset | Action::Suspend => self.signalling(stage, &guest),
        }
    }

    /// `abort_guest_tasks`.
    fn overrule(&self, stage: &mut Stage<'_>) {
        for upid in &self.overrules {
            if let Some(key) = stage.world.tasks.find(upid).map(|(key, _)| key) {
                super::stop(stage.world, stage.moment, key);
            }
        }
        if !self.overrules.is_empty() {
            stage.say(format!("overruled qmshutdown tasks: {}", self.overrules.join(", ")));
        }
    }

    fn lock(&self, guest: &Guest) -> Result<(), String> {
        if self.skiplock { Ok(()) } else { crate::api::call::check_lock(guest) }
    }

    fn starting(&self, stage: &mut Stage<'_>, guest: &Guest) -> Result<Next, String> {
        if guest.template() {
            return Err("you can't start a vm if it's a template".to_owned());
        }
        let suspended = guest.get("lock") == Some("suspended");
        if guest.running.is_some() && guest.get("lock") == Some("backup") {
            // QEMU may run for the backup alone: the guest goes on in it.
            return self.resuming(stage, guest);
        }
        if !suspended {
            self.lock(guest)?;
        }
        if guest.running.is_some() {
            return Err(format!("VM {} already running", self.vmid));
        }
        let resumes = suspended || guest.get("vmstate").is_some();
        if stage.number == 1 {
            if !resumes {
                self.apply_pending(stage);
            }
            // What waited is in effect from now on, whatever comes of this start.
            let fresh = stage.world.guest(self.vmid).unwrap_or(guest).clone();
            let cloudinit = prepare_start(stage, &fresh)?;
            let mut log = Vec::new();
            let refused = crate::guest::start::check(stage.world, &fresh, &mut log);
            stage.log.append(&mut log);
            refused?;
            stage.log.extend(crate::guest::warnings::warnings(&fresh));
            super::suspend::announce(stage, guest);
            return Ok(Next::After(START_MS + if cloudinit { CLOUDINIT_MS } else { 0 }));
        }
        if resumes {
            super::suspend::load(stage, guest);
            return Ok(Next::Done);
        }
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.cloudinit.clear();
        }
        let inside = stage.world.guest(self.vmid).is_some_and(|guest| boots(stage.world, guest));
        let moment = stage.moment;
        stage.world.next_pid += 1;
        let pid = stage.world.next_pid;
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            let booted_ms = inside.then(|| moment.after(BOOT_MS));
            guest.running = Some(Running { since_ms: moment.now, booted_ms, pid, paused: false });
        }
        Ok(Next::Done)
    }

    /// What cannot be applied is warned of, and waits on.
    fn apply_pending(&self, stage: &mut Stage<'_>) {
        let errors = pending::apply(stage.world, self.vmid);
        stage.log.extend(errors.values().map(|text| text.trim_end().to_owned()));
    }

    fn stopping(&self, stage: &mut Stage<'_>, guest: &Guest) -> Result<Next, String> {
        if guest.running.is_none() {
            return Ok(Next::Done);
        }
        self.lock(guest)?;
        if stage.number == 1 {
            return Ok(Next::After(STOP_MS));
        }
        power_off(stage.world, self.vmid);
        Ok(Next::Done)
    }

    fn shutting_down(&mut self, stage: &mut Stage<'_>, guest: &Guest) -> Result<Next, String> {
        if guest.running.is_none() {
            return Ok(Next::Done);
        }
        self.lock(guest)?;
        let limit = self.timeout.or_else(|| startup_down(guest)).unwrap_or(SHUTDOWN_TIMEOUT);
        let limit = limit.max(0).saturating_mul(1000);
        if stage.number == 1 {
            let needs = poweroff_wait(guest, stage.moment.now);
            self.obeys = needs.is_some_and(|needs| needs <= limit || stage.moment.instant);
            return Ok(Next::After(needs.filter(|_| self.obeys).unwrap_or(limit)));
        }
        if !self.obeys && stage.number == 2 {
            if !self.force {
                return Err("VM quit/powerdown failed - got timeout".to_owned());
            }
            stage.say("VM still running - terminating now with SIGTERM");
            return Ok(Next::After(1000));
        }
        power_off(stage.world, self.vmid);
        if self.action == Action::Reboot {
            // The clean-up after the end of QEMU starts the guest again.
            let (node, id) = (stage.node.clone(), self.vmid.to_string());
            let work = super::Work::Power(Self::start(self.vmid));
            super::fork(stage.world, stage.moment, &node, "qmstart", &id, "root@pam", work);
        }
        Ok(Next::Done)
    }

    /// `PVE::QemuServer::RunState::vm_resume`: one that runs needs nothing, whatever its lock, and
    /// a backup is no hindrance.
    fn resuming(&self, stage: &mut Stage<'_>, guest: &Guest) -> Result<Next, String> {
        let Some(running) = &guest.running else {
            return Err(format!("VM {} not running", self.vmid));
        };
        if !running.paused {
            return Ok(Next::Done);
        }
        if guest.get("lock") != Some("backup") {
            self.lock(guest)?;
        }
        if stage.number == 1 {
            return Ok(Next::After(10));
        }
        let guest = stage.world.guests.get_mut(&self.vmid);
        if let Some(running) = guest.and_then(|guest| guest.running.as_mut()) {
            running.paused = false;
        }
        Ok(Next::Done)
    }

    /// A reset, or a pause, which a backup does not hinder
    /// (`PVE::QemuServer::RunState::vm_suspend`).
    fn signalling(&self, stage: &mut Stage<'_>, guest: &Guest) -> Result<Next, String> {
        if self.action == Action::Reset || guest.get("lock") != Some("backup") {
            self.lock(guest)?;
        }
        if guest.running.is_none() {
            return Err(format!("VM {} not running", self.vmid));
        }
        if stage.number == 1 {
            return Ok(Next::After(if self.action == Action::Reset { 200 } else { 10 }));
        }
        let moment = stage.moment;
        let inside = boots(stage.world, guest);
        let running =
            stage.world.guests.get_mut(&self.vmid).and_then(|guest| guest.running.as_mut());
        if let Some(running) = running {
            match self.action {
                Action::Suspend => running.paused = true,
                _ => running.booted_ms = inside.then(|| moment.after(BOOT_MS)),
            }
        }
        Ok(Next::Done)
    }
}

/// Milliseconds after which a guest that is asked to power off has done so; none when it never does.
pub(super) fn poweroff_wait(guest: &Guest, now: i64) -> Option<i64> {
    let running = guest.running.as_ref()?;
    // A system that still boots obeys once it is up.
    let waits = running.booted_ms.map(|at| (at - now).max(0));
    let hears = !running.paused && (guest.get("acpi") != Some("0") || agent::configured(guest));
    waits.filter(|_| hears).map(|waits| waits + POWEROFF_MS)
}

/// Seconds that `startup` gives a shutdown.
fn startup_down(guest: &Guest) -> Option<i64> {
    let parts = guest.get("startup")?.split(',');
    let down = parts.filter_map(|part| part.strip_prefix("down=")?.parse().ok()).next_back();
    down.filter(|seconds| *seconds > 0)
}

/// QEMU was ended: the clean-up makes pending changes real.
pub(crate) fn power_off(world: &mut World, vmid: u32) {
    gone(world, vmid);
    pending::apply(world, vmid);
}

/// QEMU ended by itself, as when the system inside powers off: pending changes wait for the next
/// start, or for the next change (`qm cleanup`).
pub(crate) fn gone(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.running = None;
        guest.inside = crate::guest::inside::Inside::default();
    }
}

/// What comes before QEMU: the volumes are looked at and the cloud-init drive is written, made
/// anew when a rollback brought back a drive without its volume. True when there is such a drive.
pub(super) fn prepare_start(stage: &mut Stage<'_>, guest: &Guest) -> Result<bool, String> {
    // Without a drive to write, nobody looks for the snippets.
    if drives(guest).iter().any(|(_, drive)| drive.is_cloudinit()) {
        custom_files(stage.world, guest)?;
    }
    missing_volumes(stage.world, guest)?;
    let mut cloudinit = false;
    for (_, drive) in drives(guest).iter().filter(|(_, drive)| drive.is_cloudinit()) {
        cloudinit = true;
        let storage = split_volid(drive.file())
            .filter(|_| stage.world.volume(&guest.node, drive.file()).is_none());
        if let Some((storage, _)) = storage {
            let now = stage.moment.now;
            let format = drive.file().rsplit_once('.').map(|(_, format)| format);
            cloudinit_volume(stage.world, &guest.node, guest.vmid, storage, format, now)?;
        }
    }
    if cloudinit {
        stage.say("generating cloud-init ISO");
    }
    Ok(cloudinit)
}

/// A disk whose volume is gone keeps a guest from starting, and a storage that is not meant for
/// what is on it (`get_current_vm_volumes`).
fn missing_volumes(world: &World, guest: &Guest) -> Result<(), String> {
    for (_, drive) in drives(guest) {
        let Some((storage, _)) = split_volid(drive.file()) else { continue };
        let kind = crate::api::guest_checks::volume_type(world, drive.file())?;
        if !crate::guest::allocate::storage_of(world, storage)?.holds(kind) {
            return Err(format!("storage '{storage}' does not support content-type '{kind}'"));
        }
    }
    for (_, drive) in drives(guest).iter().filter(|(_, drive)| !drive.is_cloudinit()) {
        let file = drive.file();
        if split_volid(file).is_some() {
            crate::storage::activate::volume(world, &guest.node, file)?;
        }
    }
    Ok(())
}

/// `cicustom` snippets must be there when the drive is written (`get_custom_cloudinit_files`).
pub(crate) fn custom_files(world: &World, guest: &Guest) -> Result<(), String> {
    let values = Values::parse(guest.get("cicustom").unwrap_or_default(), "user");
    for name in ["network", "user", "meta", "vendor"] {
        let Some(volid) = values.get(name) else { continue };
        if crate::api::guest_checks::volume_type(world, volid)? != "snippets" {
            return Err(format!("{volid} is not in the snippets directory"));
        }
        crate::storage::activate::volume(world, &guest.node, volid)?;
    }
    Ok(())
}
