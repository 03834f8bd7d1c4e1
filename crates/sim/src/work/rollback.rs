//! `qmrollback` (`snapshot_rollback` of `PVE::AbstractConfig`).

use serde::{Deserialize, Serialize};

use super::ha::{Request, Wish};
use super::power::{BOOT_MS, CLOUDINIT_MS, Power, START_MS, STOP_MS};
use super::snapshot::{VOLUMES_MS, activate_storages, copy_section};
use super::{Next, Stage, config_lock};
use crate::api::call::{check_lock, load_config};
use crate::guest::drive::{Drive, boots, drives};
use crate::guest::inside::Inside;
use crate::guest::{keys, vmstate};
use crate::world::World;
use crate::world::guest::{Guest, Running, Section};
use crate::world::lock::LockName;
use crate::world::volumes::split_volid;

/// A snapshot to go back to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rollback {
    pub(crate) vmid: u32,
    pub(crate) name: String,
    /// Starts the guest, unless the snapshot's RAM does.
    pub(crate) start: bool,
}

impl Rollback {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => {
                let lock = LockName::Migration(self.vmid);
                Ok(Next::Lock { lock, exclusive: true, wait_ms: 10_000 })
            }
            1 | 5 => Ok(config_lock(self.vmid, 10_000)),
            2 => {
                let guest = self.check(stage.world, &stage.node)?;
                Ok(Next::After(if guest.running.is_some() { STOP_MS } else { 0 }))
            }
            3 => {
                if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
                    // What waits for a cold boot is lost: the configuration is replaced.
                    guest.running = None;
                    guest.inside = Inside::default();
                    guest.config.insert("lock".to_owned(), "rollback".to_owned());
                }
                stage.world.locks.give(&LockName::Config(self.vmid), stage.holder);
                Ok(Next::After(VOLUMES_MS))
            }
            4 => self.volumes(stage),
            6 => self.configure(stage),
            _ => {
                self.run(stage);
                Ok(Next::Done)
            }
        }
    }

    fn view(&self, world: &World, node: &str) -> Result<Guest, String> {
        let guest = load_config(world, node, self.vmid).map_err(|refusal| refusal.exit())?;
        if guest.template() {
            return Err("you can't rollback if vm is a template".to_owned());
        }
        let view = guest.at_snapshot(&self.name);
        view.ok_or_else(|| format!("snapshot '{}' does not exist", self.name))
    }

    fn check(&self, world: &World, node: &str) -> Result<Guest, String> {
        let view = self.view(world, node)?;
        activate_storages(world, &view, true)?;
        for (_, drive) in drives(&view).iter().filter(|(_, drive)| !drive.is_cdrom()) {
            world.rollback_is_possible(node, drive.file(), &self.name)?;
        }
        if let Some(state) = view.get("snapstate") {
            return Err(format!("unable to rollback to incomplete snapshot (snapstate = {state})"));
        }
        let guest = load_config(world, node, self.vmid).map_err(|refusal| refusal.exit())?;
        check_lock(guest)?;
        Ok(guest.clone())
    }

    /// What fails leaves the guest locked, as on the real server.
    fn volumes(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let view = self.view(stage.world, &node)?;
        for (_, drive) in drives(&view).iter().filter(|(_, drive)| !drive.is_cdrom()) {
            let (log, result) = stage.world.rollback_volume(&node, drive.file(), &self.name);
            stage.log.extend(log);
            result?;
        }
        Ok(Next::After(0))
    }

    fn configure(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let view = self.view(stage.world, &node)?;
        let Some(mut guest) = stage.world.guest(self.vmid).cloned() else {
            return Err(crate::api::call::no_config(&node, self.vmid));
        };
        if guest.running.is_some() {
            return Err(format!("unable to rollback vm {}: vm is running", self.vmid));
        }
        if guest.get("lock") != Some("rollback") {
            return Err("got wrong lock".to_owned());
        }
        for volid in unused(&guest, &view) {
            if Drive::parse(&volid).is_cloudinit() {
                stage.say(format!("found unused cloudinit disk '{volid}', removing it"));
                stage.world.remove_volume(&node, &volid);
            } else {
                keep_unused(&mut guest.config, volid);
            }
        }
        guest.config = configuration(&guest, &view, &self.name);
        guest.pending.clear();
        guest.pending_delete.clear();
        guest.cloudinit.clear();
        stage.world.add_guest(guest.clone());
        if view.get("vmstate").is_some() {
            let cloudinit = super::power::prepare_start(stage, &guest)?;
            stage.log.extend(crate::guest::warnings::warnings(&guest));
            return Ok(Next::After(START_MS + if cloudinit { CLOUDINIT_MS } else { 0 }));
        }
        if self.start {
            let (id, user) = (self.vmid.to_string(), stage.user.clone());
            let vmid = self.vmid;
            let (kind, work) = if stage.world.ha_managed(vmid) {
                ("hastart", super::Work::Ha(Request { vmid, wish: Wish::Start }))
            } else {
                ("qmstart", super::Work::Power(Power::start(vmid)))
            };
            super::fork(stage.world, stage.moment, &node, kind, &id, &user, work);
        }
        Ok(Next::Done)
    }

    /// The guest goes on where its RAM was saved.
    fn run(&self, stage: &mut Stage<'_>) {
        let state = stage.world.guest(self.vmid).and_then(|guest| guest.at_snapshot(&self.name));
        let state = state.as_ref().and_then(|view| view.get("vmstate"));
        resume(stage, self.vmid, state);
    }
}

/// A process that loaded its RAM: what was up is up.
pub(super) fn resume(stage: &mut Stage<'_>, vmid: u32, state: Option<&str>) {
    let moment = stage.moment;
    let Some(guest) = stage.world.guest(vmid) else { return };
    let volume = state.and_then(|volid| stage.world.volume(&guest.node, volid));
    let was_up = volume.is_some_and(|volume| volume.bootable);
    let booted_ms = match was_up {
        true => Some(moment.now),
        false => boots(stage.world, guest).then(|| moment.after(BOOT_MS)),
    };
    stage.world.next_pid += 1;
    let pid = stage.world.next_pid;
    if let Some(guest) = stage.world.guests.get_mut(&vmid) {
        guest.running = Some(Running { since_ms: moment.now, booted_ms, pid, paused: false });
    }
}

/// Volumes that the guest has and the snapshot has not (`__snapshot_rollback_get_unused`).
fn unused(guest: &Guest, view: &Guest) -> Vec<String> {
    let volumes = |guest: &Guest| -> Vec<String> {
        let all = drives(guest).into_iter();
        let disks = all.filter(|(_, drive)| !drive.is_cdrom() || drive.is_cloudinit());
        disks.map(|(_, drive)| drive.file().to_owned()).collect()
    };
    let kept = volumes(view);
    let mut found = volumes(guest);
    found.retain(|volid| split_volid(volid).is_some() && !kept.contains(volid));
    found
}

/// The lowest free `unusedN`, unless the volume has one.
fn keep_unused(config: &mut Section, volid: String) {
    let known = |(key, value): (&String, &String)| key.starts_with("unused") && *value == volid;
    if config.iter().any(known) {
        return;
    }
    let free = (0..256).map(|n| format!("unused{n}")).find(|key| !config.contains_key(key));
    config.extend(free.map(|key| (key, volid)));
}

/// `__snapshot_apply_config` and the hook that follows it.
fn configuration(guest: &Guest, view: &Guest, name: &str) -> Section {
    let mut config = Section::new();
    copy_section(&view.config, &mut config);
    for key in vmstate::KEYS {
        config.remove(*key);
    }
    config.insert("parent".to_owned(), name.to_owned());
    if let Some(id) = config.get_mut("vmgenid") {
        // Another generation, so that what runs inside can react.
        *id = uuid::Uuid::new_v4().to_string();
    }
    let used: Vec<String> = config
        .iter()
        .filter(|(key, _)| keys::is_drive(key))
        .map(|(_, value)| Drive::parse(value).file().to_owned())
        .collect();
    let own = guest.config.iter().filter(|(key, value)| {
        *key == "description" || (key.starts_with("unused") && !used.contains(value))
    });
    config.extend(own.map(|(key, value)| (key.clone(), value.clone())));
    config
}
