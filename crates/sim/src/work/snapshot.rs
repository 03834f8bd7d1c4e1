//! `qmsnapshot`: a snapshot of a guest (`snapshot_create` of `PVE::AbstractConfig`).

use serde::{Deserialize, Serialize};

use super::{Next, Stage, config_lock};
use crate::api::call::{check_lock, load_config};
use crate::guest::drive::drives;
use crate::guest::property::Values;
use crate::guest::{agent, pending, vmstate};
use crate::world::World;
use crate::world::guest::{Guest, Section};
use crate::world::lock::LockName;
use crate::world::snapshot::Feature;
use crate::world::volumes::split_volid;

/// Milliseconds that the volumes take.
pub(super) const VOLUMES_MS: i64 = 200;

/// A snapshot to take.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) vmid: u32,
    pub(crate) name: String,
    /// With the RAM, when the guest runs.
    pub(crate) ram: bool,
    pub(crate) description: Option<String>,
    /// The section is there and the guest locked.
    #[serde(default)]
    begun: bool,
    /// Drives whose volumes have the snapshot.
    #[serde(default)]
    done: Vec<String>,
}

impl Snapshot {
    pub(crate) fn new(vmid: u32, name: &str, ram: bool, description: Option<String>) -> Self {
        Self { vmid, name: name.to_owned(), ram, description, ..Self::default() }
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 | 4 => Ok(config_lock(self.vmid, 10_000)),
            1 => {
                let guest = self.check(stage.world, &stage.node)?;
                if !self.saves(&guest) {
                    return Ok(Next::After(0));
                }
                Ok(stage.storage_lock(&vmstate::find_storage(stage.world, &guest)?))
            }
            2 => self.prepare(stage),
            3 => {
                let result = self.take(stage);
                result.inspect_err(|_| {
                    stage.say("snapshot create failed: starting cleanup");
                    stage.log.extend(self.undo(stage.world));
                })?;
                Ok(Next::After(VOLUMES_MS))
            }
            _ => self.commit(stage),
        }
    }

    fn saves(&self, guest: &Guest) -> bool {
        self.ram && guest.running.is_some()
    }

    /// The checks of `__snapshot_prepare`.
    fn check(&self, world: &World, node: &str) -> Result<Guest, String> {
        let guest = load_config(world, node, self.vmid).map_err(|refusal| refusal.exit())?;
        if guest.template() {
            return Err("you can't take a snapshot if it's a template".to_owned());
        }
        check_lock(guest)?;
        assert_migratable(guest, self.ram)?;
        if guest.snapshots.contains_key(&self.name) {
            return Err(format!("snapshot name '{}' already used", self.name));
        }
        let backup_only = self.name == "vzdump";
        if !guest_has_feature(world, guest, Feature::Snapshot, false, backup_only)? {
            return Err("snapshot feature is not available".to_owned());
        }
        Ok(guest.clone())
    }

    /// Locks the guest and writes the section, `snapstate: prepare`.
    fn prepare(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let guest = self.check(stage.world, &stage.node)?;
        let now = stage.moment.now;
        let mut section = Section::new();
        let mut wait = 0;
        if self.saves(&guest) {
            let storage = vmstate::find_storage(stage.world, &guest)?;
            let (keys, log) = vmstate::allocate(stage.world, &guest, &storage, &self.name, now)?;
            section.extend(keys);
            stage.log.extend(log);
            stage.unlock_storage(&storage);
            stage.say(format!("saving VM state and RAM using storage '{storage}'"));
            wait = vmstate::save_seconds(vmstate::saved_bytes(&guest)) * 1000;
        } else if guest.running.is_some() {
            stage.log.extend(freeze(&guest, now));
        }
        copy_section(&guest.config, &mut section);
        section.insert("snapstate".to_owned(), "prepare".to_owned());
        section.insert("snaptime".to_owned(), stage.moment.seconds().to_string());
        if let Some(text) = self.description.as_deref().and_then(stored_description) {
            section.insert("description".to_owned(), text);
        }
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            for (other, values) in &mut guest.snapshots {
                // A snapshot of that name was once removed from the file by hand.
                if values.get("parent") == Some(&self.name) {
                    stage.log.push(format!(
                        "deleting parent '{}' reference from '{other}' to avoid bogus snapshot cycle.",
                        self.name
                    ));
                    values.remove("parent");
                }
            }
            guest.snapshots.insert(self.name.clone(), section);
            guest.config.insert("lock".to_owned(), "snapshot".to_owned());
            self.begun = true;
        }
        stage.world.locks.give(&LockName::Config(self.vmid), stage.holder);
        Ok(Next::After(wait))
    }

    fn take(&mut self, stage: &mut Stage<'_>) -> Result<(), String> {
        let node = stage.node.clone();
        let guest = load_config(stage.world, &node, self.vmid).map_err(|refusal| refusal.exit())?;
        let running = guest.running.is_some();
        let Some(view) = guest.at_snapshot(&self.name) else {
            return Err(format!("snapshot '{}' does not exist", self.name));
        };
        activate_storages(stage.world, guest, false)?;
        if let Some(state) = view.get("vmstate") {
            let bytes = vmstate::saved_bytes(&view);
            vmstate::fill(stage.world, &node, state, bytes)?;
            stage.log.extend(vmstate::progress(bytes));
        }
        for (key, drive) in drives(&view).into_iter().filter(|(_, drive)| !drive.is_cdrom()) {
            let volid = drive.file();
            stage.say(format!("snapshotting 'drive-{key}' ({volid})"));
            if running {
                stage.log.extend(by_qemu(stage.world, &key, volid).map(str::to_owned));
            }
            let (log, result) = stage.world.snapshot_volume(&node, volid, &self.name);
            // What QEMU does itself prints nothing.
            if !running || by_qemu(stage.world, &key, volid).is_none() {
                stage.log.extend(log);
            }
            result?;
            self.done.push(key);
        }
        Ok(())
    }

    fn commit(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let Some(guest) = stage.world.guests.get_mut(&self.vmid) else {
            return Err(crate::api::call::no_config(&stage.node, self.vmid));
        };
        if guest.get("lock") != Some("snapshot") {
            return Err("missing snapshot lock".to_owned());
        }
        let Some(section) = guest.snapshots.get_mut(&self.name) else {
            return Err(format!("snapshot '{}' does not exist", self.name));
        };
        if section.remove("snapstate").as_deref() != Some("prepare") {
            return Err("wrong snapshot state".to_owned());
        }
        guest.config.remove("lock");
        guest.config.insert("parent".to_owned(), self.name.clone());
        Ok(Next::Done)
    }

    /// `snapshot_delete` with what was done so far; the lines that it printed.
    fn undo(&mut self, world: &mut World) -> Vec<String> {
        if !std::mem::take(&mut self.begun) {
            return Vec::new();
        }
        let Some(guest) = world.guest(self.vmid) else { return Vec::new() };
        let (node, view) = (guest.node.clone(), guest.at_snapshot(&self.name));
        let mut log = Vec::new();
        let mut unused = Vec::new();
        for (key, drive) in view.iter().flat_map(drives) {
            if self.done.contains(&key) {
                log.extend(world.delete_volume_snapshot(&node, drive.file(), &self.name).0);
                unused.push(drive.file().to_owned());
            }
        }
        if let Some(state) = view.as_ref().and_then(|view| view.get("vmstate")) {
            world.remove_volume(&node, state);
        }
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            drop_section(guest, &self.name);
            guest.config.remove("lock");
            for volid in &unused {
                pending::add_unused(guest, volid);
            }
        }
        log
    }

    /// The worker catches an interrupt and cleans up.
    pub(crate) fn abandon(mut self, world: &mut World) {
        self.undo(world);
    }
}

/// `__snapshot_copy_config`: what of a configuration goes into a snapshot, and back.
pub(super) fn copy_section(from: &Section, to: &mut Section) {
    let stays = ["snapstate", "snaptime", "vmstate", "lock", "digest", "description"];
    for (key, value) in from {
        if !stays.contains(&key.as_str()) && !key.starts_with("unused") {
            to.insert(key.clone(), value.clone());
        }
    }
}

/// Removes a section; what stood on it stands on its parent.
pub(super) fn drop_section(guest: &mut Guest, name: &str) {
    let parent = guest.snapshots.remove(name).and_then(|mut section| section.remove("parent"));
    for section in guest.snapshots.values_mut().chain([&mut guest.config]) {
        if section.get("parent").is_some_and(|found| found == name) {
            match &parent {
                Some(parent) => section.insert("parent".to_owned(), parent.clone()),
                None => section.remove("parent"),
            };
        }
    }
}

/// A description as it comes back from the file: none when it is empty.
pub(crate) fn stored_description(text: &str) -> Option<String> {
    let text = text.trim_end();
    (!text.is_empty() && text != "0").then(|| text.to_owned())
}

/// `check_non_migratable_resources`: what the RAM of cannot be saved.
pub(crate) fn assert_migratable(guest: &Guest, state: bool) -> Result<(), String> {
    let virtiofs = guest.config.keys().any(|key| crate::guest::keys::is_numbered(key, "virtiofs"));
    let found = ["amd-sev", "intel-tdx"].into_iter().filter(|key| guest.get(key).is_some());
    let found: Vec<&str> = found.chain(virtiofs.then_some("virtiofs")).collect();
    if !state || found.is_empty() {
        return Ok(());
    }
    let list = found.join(", ");
    Err(format!("Cannot live-migrate, snapshot (with RAM), or hibernate a VM with: {list}"))
}

/// `PVE::QemuConfig::has_feature`: every disk has it, CD-ROM and cloud-init drives apart.
pub(crate) fn guest_has_feature(
    world: &World,
    guest: &Guest,
    feature: Feature,
    snapshot: bool,
    backup_only: bool,
) -> Result<bool, String> {
    let mut all = true;
    for (_, drive) in drives(guest).iter().filter(|(_, drive)| !drive.is_cdrom()) {
        let skipped = drive.values.get("backup").is_some() && !drive.values.flag("backup");
        if !(backup_only && skipped) {
            all &= world.volume_has_feature(feature, drive.file(), snapshot)?;
        }
    }
    Ok(all)
}

/// `__snapshot_activate_storages`: refuses when a storage of a disk is not there.
pub(super) fn activate_storages(world: &World, guest: &Guest, state: bool) -> Result<(), String> {
    let all = drives(guest);
    let disks = all.iter().filter(|(_, drive)| !drive.is_cdrom()).map(|(_, drive)| drive.file());
    let state = guest.get("vmstate").filter(|_| state);
    let mut ids: Vec<&str> =
        disks.chain(state).filter_map(|volid| Some(split_volid(volid)?.0)).collect();
    ids.sort_unstable();
    for id in ids {
        if !crate::guest::allocate::storage_of(world, id)?.on_node(&guest.node) {
            let node = &guest.node;
            return Err(format!("storage '{id}' is not available on node '{node}'"));
        }
    }
    Ok(())
}

/// The line of a snapshot that QEMU takes itself (`do_snapshots_type`).
fn by_qemu(world: &World, key: &str, volid: &str) -> Option<&'static str> {
    let storage = world.storages.get(split_volid(volid)?.0)?;
    let option = |name: &str| storage.options.get(name).is_some_and(|value| value == "1");
    let qcow2 = volid.ends_with(".qcow2");
    if key == "tpmstate0" && !qcow2 {
        return None;
    }
    let rbd = storage.kind == crate::world::storage::StorageKind::Rbd && !option("krbd");
    match qcow2 {
        true if option("snapshot-as-volume-chain") => Some("external qemu snapshot"),
        true => Some("internal qemu snapshot"),
        false => rbd.then_some("internal qemu snapshot"),
    }
}

/// `guest_fs_freeze_applicable`: why the file systems are not frozen.
fn freeze(guest: &Guest, now: i64) -> Option<String> {
    let values = Values::parse(guest.get("agent").unwrap_or_default(), "enabled");
    let wanted = ["freeze-fs", "guest-fsfreeze", "freeze-fs-on-backup"]
        .iter()
        .find_map(|key| values.get(key))
        .is_none_or(|value| value != "0");
    if !agent::configured(guest) || !wanted {
        return Some("skipping guest filesystem freeze - disabled in VM options".to_owned());
    }
    if !agent::answers(guest, now) {
        let text = "skipping guest filesystem freeze - agent configured but not running?";
        return Some(text.to_owned());
    }
    let frozen = "skipping guest filesystem freeze - already frozen";
    guest.inside.frozen.then(|| frozen.to_owned())
}
