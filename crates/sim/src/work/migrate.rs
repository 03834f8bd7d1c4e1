//! `qmigrate`: the configuration, and volumes on node-local storage, go to another node
//! (`PVE::QemuMigrate`).

use serde::{Deserialize, Serialize};

use super::create::copy_ms;
use super::{Next, Stage, config_lock};
use crate::guest::local::Resources;
use crate::guest::status::measure;
use crate::guest::volids::{Named, named};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::lock::LockName;
use crate::world::storage::{StorageKind, Volume};
use crate::world::volumes::{base_name, split_volid};

/// Milliseconds of a migration that copies nothing.
const BASE_MS: i64 = 1050;
/// Milliseconds to start the other side of an online migration.
const ONLINE_MS: i64 = 3000;

/// Milliseconds of the task that starts it.
const INCOMING_MS: i64 = 1500;
/// Milliseconds after which a connection to a node that is off fails.
const NO_ROUTE_MS: i64 = 3_000;

/// A guest to move.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Migrate {
    pub(crate) vmid: u32,
    pub(crate) target: String,
    pub(crate) online: bool,
    pub(crate) with_local_disks: bool,
    /// `targetstorage`, when all local volumes go to one storage.
    pub(crate) storage: Option<String>,
    /// Source to target storage, before [`Migrate::storage`].
    #[serde(default)]
    pub(crate) storages: std::collections::BTreeMap<String, String>,
    pub(crate) locked: bool,
    /// Devices of the node do not matter.
    #[serde(default)]
    pub(crate) force: bool,
}

impl Migrate {
    /// Where the volumes of a storage go.
    fn target_storage<'a>(&'a self, storage: &'a str) -> &'a str {
        let mapped = self.storages.get(storage).or(self.storage.as_ref());
        mapped.map_or(storage, String::as_str)
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let result = self.step(stage);
        if result.is_err() && self.locked {
            unlock(stage.world, self.vmid);
        }
        result.map_err(|error| {
            stage.say(format!("ERROR: migration aborted (duration 00:00:00): {error}"));
            "migration aborted".to_owned()
        })
    }

    fn step(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => {
                let lock = LockName::Migration(self.vmid);
                Ok(Next::Lock { lock, exclusive: true, wait_ms: 10_000 })
            }
            1 => Ok(config_lock(self.vmid, 10_000)),
            2 => self.begin(stage),
            _ if !reachable(stage.world, &self.target) => {
                let text = match self.locked {
                    true => "command '/usr/bin/ssh' failed: exit code 255",
                    false => "Can't connect to destination address using public key",
                };
                Err(text.to_owned())
            }
            _ => self.finish(stage),
        }
    }

    fn begin(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let guest =
            crate::api::call::load_config(stage.world, &node, self.vmid).map_err(|e| e.exit())?;
        crate::api::call::check_lock(guest)?;
        let running = guest.running.is_some();
        if running && !self.online {
            return Err("can't migrate running VM without --online".to_owned());
        }
        let memory = measure(guest).memory;
        let warnings = crate::guest::warnings::warnings(guest);
        let resources = Resources::of(stage.world, guest);
        let target = &self.target;
        let ip = stage.world.nodes.get(target).map_or_else(String::new, |node| node.ip.clone());
        if !reachable(stage.world, target) {
            stage.say(format!(
                "# /usr/bin/ssh -e none -o 'BatchMode=yes' -o 'HostKeyAlias={target}' -o 'UserKnownHostsFile=/etc/pve/nodes/{target}/ssh_known_hosts' -o 'GlobalKnownHostsFile=none' root@{ip} /bin/true"
            ));
            stage.say(format!("ssh: connect to host {ip} port 22: No route to host"));
            return Ok(Next::After(NO_ROUTE_MS));
        }
        stage.say(format!(
            "starting migration of VM {} to node '{}' ({ip})",
            self.vmid, self.target
        ));
        self.devices(stage, &resources, running)?;
        let bytes = self.scan(stage, &node, running)?;
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.config.insert("lock".to_owned(), "migrate".to_owned());
            self.locked = true;
        }
        if running {
            self.other_side(stage)?;
            let (target, id, moment) = (&self.target, self.vmid.to_string(), stage.moment);
            let work = super::Work::Incoming(Incoming { waited: false, warnings });
            super::fork(stage.world, moment, target, "qmstart", &id, "root@pam", work);
        }
        let online = if running { ONLINE_MS + copy_ms(memory / 4) } else { 0 };
        Ok(Next::After(BASE_MS + online + copy_ms(bytes)))
    }

    /// QEMU has to start there, too.
    fn other_side(&self, stage: &mut Stage<'_>) -> Result<(), String> {
        let Some(guest) = stage.world.guest(self.vmid).cloned() else { return Ok(()) };
        let there = Guest { node: self.target.clone(), ..guest };
        let mut log = Vec::new();
        let Err(error) = crate::guest::start::check(stage.world, &there, &mut log) else {
            return Ok(());
        };
        for line in log.into_iter().chain([error]) {
            stage.say(format!("[{}] {line}", self.target));
        }
        Err("online migrate failure - remote command failed with exit code 255".to_owned())
    }

    /// Devices of the node keep a guest there; for a stopped one, `force` lets it go.
    fn devices(
        &self,
        stage: &mut Stage<'_>,
        resources: &Resources,
        running: bool,
    ) -> Result<(), String> {
        let blocking = resources.blocking();
        if !blocking.is_empty() {
            if running || !self.force {
                let list = blocking.join(", ");
                return Err(format!("can't migrate VM which uses local devices: {list}"));
            }
            stage.say("migrating VM which uses local devices");
        }
        if resources.mapped.is_empty() {
            return Ok(());
        }
        let target = &self.target;
        let missing = resources.missing_on(stage.world, target);
        if !missing.is_empty() {
            let keys = missing.join(", ");
            return Err(format!("can't migrate to '{target}': missing mapped devices {keys}"));
        }
        let held = resources.held();
        if running && !held.is_empty() {
            let held = held.join(", ");
            return Err(format!(
                "can't live migrate running VM which uses following mapped devices: {held}"
            ));
        }
        stage.say("migrating VM which uses mapped local devices");
        Ok(())
    }

    /// `scan_local_volumes`: what has to be copied, or why that cannot be.
    fn scan(&self, stage: &mut Stage<'_>, node: &str, running: bool) -> Result<u64, String> {
        let guest = crate::api::call::load_config(stage.world, node, self.vmid)
            .map_err(|e| e.exit())?
            .clone();
        let (mut bytes, mut problems) = (0, Vec::new());
        for (volid, named) in named(&guest) {
            if volid == "cdrom" && named.cdrom {
                problems.push("can't migrate local cdrom drive".to_owned());
            } else if volid.starts_with('/') && !named.shared {
                stage.say(format!("found local disk '{volid}'"));
                problems.push(format!("can't migrate local disk '{volid}': local file/device"));
            }
        }
        for (volid, named) in local_volumes(stage.world, &guest) {
            let how = how_named(&named);
            let mut problem = self.check_volume(stage.world, &guest, &volid, &named).err();
            if how == "(attached)" && running && !self.with_local_disks {
                let text =
                    "can't live migrate attached local disks without with-local-disks option";
                problem = Some(text.to_owned());
            }
            if !named.cdrom || named.cloudinit {
                let kind = if how.starts_with("(in") { "generated" } else { "local" };
                stage.say(format!("found {kind} disk '{volid}' {how}"));
            }
            problems
                .extend(problem.map(|text| format!("can't migrate local disk '{volid}': {text}")));
            bytes += stage.world.volume(node, &volid).map_or(0, |volume| volume.used);
        }
        if !problems.is_empty() {
            stage.log.extend(problems);
            return Err(
                "Problem found while scanning volumes - can't migrate VM - check log".to_owned()
            );
        }
        for (volid, _) in local_volumes(stage.world, &guest) {
            if let Some(base) = split_volid(&volid).and_then(|(_, name)| base_name(name)) {
                let base = base.rsplit('/').next().unwrap_or(base);
                return Err(format!(
                    "Problem found while scanning volumes - can't migrate '{volid}' as it's a clone of '{base}'"
                ));
            }
        }
        Ok(bytes)
    }

    fn check_volume(
        &self,
        world: &World,
        guest: &Guest,
        volid: &str,
        named: &Named,
    ) -> Result<(), String> {
        let Some((storage, _)) = split_volid(volid) else {
            return Err("local file/device".to_owned());
        };
        let target = self.target_storage(storage);
        let Some(found) = world.storages.get(target) else {
            return Err(format!("storage '{target}' does not exist"));
        };
        if !found.on_node(&self.target) {
            return Err(format!("storage '{target}' is not available on node '{}'", self.target));
        }
        if named.cdrom {
            let local = "local cdrom image".to_owned();
            return if named.cloudinit { Ok(()) } else { Err(local) };
        }
        if named.state {
            return Ok(());
        }
        if !named.snapshots.is_empty() {
            snapshots_move(world, guest, &self.target, volid)?;
        }
        if !world.clones_of(&guest.node, volid).is_empty() {
            return Err("referenced by linked clone(s)".to_owned());
        }
        Ok(())
    }

    fn finish(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let Some(guest) = stage.world.guest(self.vmid).cloned() else {
            return Err(crate::api::call::no_config(&node, self.vmid));
        };
        let (mut mirrored, copied): (Vec<_>, Vec<_>) = local_volumes(stage.world, &guest)
            .into_iter()
            .partition(|(_, named)| guest.running.is_some() && is_mirrored(named));
        mirrored.sort_by(|(_, left), (_, right)| left.drive.cmp(&right.drive));
        let copied = copied.into_iter().map(|(volid, _)| (true, volid));
        let all = copied.chain(mirrored.into_iter().map(|(volid, _)| (false, volid)));
        let mut moved = Vec::new();
        for (keeps, volid) in all {
            match self.move_volume(stage.world, &node, &volid, keeps) {
                Ok(new) => moved.push((volid, new)),
                Err(error) => {
                    self.move_back(stage.world, guest, &moved);
                    return Err(error);
                }
            }
        }
        unlock(stage.world, self.vmid);
        let target = self.target.clone();
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.node = target;
        }
        stage.say("migration finished successfully".to_owned());
        Ok(Next::Done)
    }

    /// What a failed migration has copied is removed again; the originals are still there.
    fn move_back(&self, world: &mut World, guest: Guest, moved: &[(String, String)]) {
        for (old, new) in moved {
            if let Some(volume) = world.volume(&self.target, new).cloned() {
                world.remove_volume(&self.target, new);
                world.add_volume(&guest.node, old, volume);
            }
        }
        world.guests.insert(self.vmid, guest);
    }

    /// Copies a volume: to the same name there if it `keeps` it and the name is free
    /// (`storage_migrate`), else to the next free one. What it is called then.
    fn move_volume(
        &self,
        world: &mut World,
        node: &str,
        volid: &str,
        keeps: bool,
    ) -> Result<String, String> {
        let Some(volume) = world.volume(node, volid).cloned() else {
            return Err(format!("volume '{volid}' does not exist"));
        };
        let (storage, name) = split_volid(volid).unwrap_or_default();
        let to = self.target_storage(storage);
        let found = crate::guest::allocate::storage_of(world, to)?;
        if world.used(to, &self.target).saturating_add(volume.used) > found.capacity {
            return Err(format!(
                "storage migration for '{volid}' to storage '{to}' failed - No space left on device"
            ));
        }
        let same = format!("{to}:{}", crate::world::volumes::own_name(name));
        let kind = world.storages.get(storage).map(|storage| storage.kind);
        let alike = kind == Some(found.kind)
            || (found.kind.has_files() && kind.is_some_and(StorageKind::has_files));
        let format = crate::guest::allocate::wanted_format(found, None, &volume.format);
        let new = if keeps && alike && world.volume(&self.target, &same).is_none() {
            world.add_volume(&self.target, &same, volume);
            same
        } else {
            let volume = Volume { format, ..volume };
            crate::guest::allocate::place_image(world, &self.target, to, self.vmid, volume)?
        };
        world.remove_volume(node, volid);
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            // Throughout: snapshots, unused and pending ones too.
            let sections = guest.snapshots.values_mut().flatten();
            let values = sections.chain(&mut guest.config).chain(&mut guest.pending);
            for (_, value) in values {
                if value == volid || value.starts_with(&format!("{volid},")) {
                    *value = value.replacen(volid, &new, 1);
                }
            }
        }
        Ok(new)
    }

    pub(crate) fn abandon(self, world: &mut World) {
        if self.locked {
            unlock(world, self.vmid);
        }
    }
}

/// The other side of an online migration (`qm start --migratedfrom`): a `qmstart` of root@pam
/// there, which ends when QEMU waits for what comes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Incoming {
    waited: bool,
    /// What it says.
    warnings: Vec<String>,
}

impl Incoming {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        stage.log.append(&mut self.warnings);
        let waits = !std::mem::replace(&mut self.waited, true);
        Ok(if waits { Next::After(INCOMING_MS) } else { Next::Done })
    }
}

fn reachable(world: &World, node: &str) -> bool {
    world.nodes.get(node).is_some_and(|node| node.online)
}

fn unlock(world: &mut World, vmid: u32) {
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.remove("lock");
    }
}

/// How the log names the place of a local volume: the last of these that it has.
fn how_named(named: &Named) -> &'static str {
    if named.tpm || (named.cdrom && named.cloudinit) {
        "(in current VM config)"
    } else if named.attached {
        "(attached)"
    } else if named.unused {
        "(unused)"
    } else if !named.snapshots.is_empty() {
        "(referenced by snapshot(s))"
    } else {
        "(pending change)"
    }
}

/// Snapshots go along with files of qcow2 and with ZFS; while the guest runs only those that are
/// replicated to the other node.
fn snapshots_move(world: &World, guest: &Guest, target: &str, volid: &str) -> Result<(), String> {
    let replicated = world.replication_of(guest.vmid).any(|(_, node)| node == target);
    if guest.running.is_some() && !replicated {
        let text = "online storage migration not possible if non-replicated snapshot exists";
        return Err(text.to_owned());
    }
    let storage = split_volid(volid).and_then(|(storage, _)| world.storages.get(storage));
    let moves = storage.is_some_and(|storage| {
        let chain = storage.options.get("snapshot-as-volume-chain");
        let qcow2 = volid.ends_with(".qcow2") && chain.is_none_or(|value| value != "1");
        storage.kind == StorageKind::ZfsPool || qcow2
    });
    if moves { Ok(()) } else { Err("non-migratable snapshot exists".to_owned()) }
}

/// What QEMU mirrors while a guest runs (`vm_migrate_get_nbd_disks`): it goes to a volume that the
/// other side makes. All else is copied under its name.
fn is_mirrored(named: &Named) -> bool {
    named.attached && !named.cdrom && !named.tpm
}

/// What `$check_vm_disks_local` names: local volumes, and what is no volume.
pub(crate) fn local_disks(world: &World, guest: &Guest) -> Vec<(String, Named)> {
    let shared = |volid: &str| {
        let storage = split_volid(volid).and_then(|(storage, _)| world.storages.get(storage));
        storage.is_some_and(|storage| storage.shared)
    };
    let none = |volid: &str, named: &Named| named.cdrom && volid == "none";
    let all = named(guest).into_iter();
    all.filter(|(volid, named)| !shared(volid) && !named.shared && !none(volid, named)).collect()
}

/// Volumes that a guest names and that are not on shared storage: of its drives, unused, pending,
/// of its snapshots.
pub(crate) fn local_volumes(world: &World, guest: &Guest) -> Vec<(String, Named)> {
    let local = |volid: &str| {
        let storage = split_volid(volid).and_then(|(storage, _)| world.storages.get(storage));
        storage.is_some_and(|storage| !storage.shared)
    };
    let all = named(guest).into_iter();
    all.filter(|(volid, named)| local(volid) && !named.shared).collect()
}
