//! Changing a configuration (`$update_vm_api` of `PVE::API2::Qemu`), at once or as task
//! `qmconfig`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::create::{VOLUME_MS, copy_ms};
use super::freeing::FREE_MS;
use super::power::custom_files;
use super::{Next, Stage, config_lock};
use crate::api::call::{check_lock, load_config};
use crate::api::guest_checks::{
    Deed, Settings, check_bridges, check_device, check_tags, unwritable,
};
use crate::api::refusal::Refusal;
use crate::guest::allocate::{allocate, to_copy};
use crate::guest::drive::{Drive, boot_order, print_order};
use crate::guest::property::parse;
use crate::guest::status::memory_mib;
use crate::guest::written::{hash_password, normalise, written};
use crate::guest::{format, formats, hotplug, keys, machine, network, pending};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::volumes::split_volid;

/// A change of a configuration, parameters checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) vmid: u32,
    pub(crate) set: BTreeMap<String, String>,
    /// Keys that were given without a value.
    #[serde(default)]
    pub(crate) blank: Vec<String>,
    pub(crate) delete: Vec<String>,
    pub(crate) revert: Vec<String>,
    pub(crate) force: bool,
    pub(crate) skiplock: bool,
    pub(crate) digest: Option<String>,
    pub(crate) caller: String,
    /// The first line of the task's log.
    #[serde(default)]
    pub(crate) line: String,
    /// What is left to wait for before it is written, the last first.
    #[serde(default)]
    pub(crate) waits: Vec<Making>,
}

/// A volume that a change makes takes its time (`create_disks`): the lock of its storage, for as
/// long as it is allocated, then the copy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Making {
    Lock {
        storage: String,
    },
    Volume,
    Copy {
        storage: String,
        bytes: u64,
    },
    /// A volume that is freed.
    Free,
}

impl Update {
    /// Taking a change back is setting what is there, or removing what only waits.
    fn expanded(&self, guest: &Guest) -> Self {
        let mut update = self.clone();
        for key in &self.revert {
            if let Some(value) = guest.get(key) {
                update.set.insert(key.clone(), value.to_owned());
            } else if guest.pending.contains_key(key) {
                update.delete.push(key.clone());
            }
        }
        update
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let (node, now) = (stage.node.clone(), stage.moment.now);
        match stage.number {
            0 => return Ok(config_lock(self.vmid, 10_000)),
            1 => {
                if let Err(refusal) = check(stage.world, &node, self) {
                    return Err(stage.refuse(refusal));
                }
                self.waits = self.makes(stage.world, &node, now);
            }
            _ => {}
        }
        match self.waits.pop() {
            Some(Making::Lock { storage }) => return Ok(stage.storage_lock(&storage)),
            Some(Making::Free) => return Ok(Next::After(FREE_MS)),
            Some(Making::Volume) => return Ok(Next::After(VOLUME_MS)),
            Some(Making::Copy { storage, bytes }) => {
                stage.unlock_storage(&storage);
                return Ok(Next::After(copy_ms(bytes)));
            }
            None => {}
        }
        let mut log = Vec::new();
        let result = apply(stage.world, &node, self, now, &mut log);
        stage.log.append(&mut log);
        result.map_err(|refusal| stage.refuse(refusal))?;
        Ok(Next::Done)
    }

    /// What the drives that it sets make it wait for, the last first.
    fn makes(&self, world: &mut World, node: &str, now: i64) -> Vec<Making> {
        let mut waits = Vec::new();
        for storage in self.frees(world, node) {
            waits.push(Making::Copy { storage: storage.clone(), bytes: 0 });
            waits.push(Making::Free);
            waits.push(Making::Lock { storage });
        }
        for (_, value) in self.set.iter().rev().filter(|(key, _)| keys::is_drive(key)) {
            let drive = Drive::parse(value);
            let Some(storage) = drive.wish().storage().map(str::to_owned) else { continue };
            let bytes = to_copy(world, node, &drive, now);
            waits.push(Making::Copy { storage: storage.clone(), bytes });
            waits.push(Making::Volume);
            waits.push(Making::Lock { storage });
        }
        waits
    }

    /// The storages of the volumes that go with the keys that it removes (`vdisk_free`).
    fn frees(&self, world: &World, node: &str) -> Vec<String> {
        let Some(guest) = world.guest(self.vmid) else { return Vec::new() };
        let drives = self.delete.iter().filter_map(|key| {
            let unused = keys::is_numbered(key, "unused");
            let value = guest.get(key).filter(|_| unused || keys::is_drive(key))?;
            let drive = Drive::parse(value);
            (unused || self.force || drive.is_cloudinit()).then_some(drive)
        });
        let owned = drives.filter(|drive| {
            let volume = world.volume(node, drive.file());
            volume.is_some_and(|volume| volume.vmid == Some(self.vmid))
        });
        owned
            .filter_map(|drive| split_volid(drive.file()).map(|(storage, _)| storage.to_owned()))
            .collect()
    }

    /// Whether it makes or frees volumes, which takes time.
    pub(crate) fn takes_time(&self, world: &World, node: &str) -> bool {
        if !self.frees(world, node).is_empty() {
            return true;
        }
        let mut drives = self.set.iter().filter(|(key, _)| keys::is_drive(key));
        drives.any(|(_, value)| Drive::parse(value).wish().storage().is_some())
    }
}

/// Values that are made before anything is asked: MAC addresses, generation ids. A hook script has
/// to be there.
pub(crate) fn complete(world: &World, node: &str, set: &mut Settings) -> Result<(), Refusal> {
    let prefix = mac_prefix(world);
    for (key, value) in set.iter_mut() {
        if keys::is_numbered(key, "net") {
            *value = network::normalise(value, prefix, false);
        } else if key == "vmgenid" && value == "1" {
            *value = uuid::Uuid::new_v4().to_string();
        } else if key == "hookscript" {
            hook_script(world, node, value)
                .map_err(|text| Refusal::param(key, format!("{text}\n")))?;
        }
    }
    Ok(())
}

/// `check_hookscript`.
fn hook_script(world: &World, node: &str, volid: &str) -> Result<(), String> {
    if crate::api::guest_checks::volume_type(world, volid)? != "snippets" {
        return Err(format!("'{volid}' is not in the snippets directory"));
    }
    match world.volume(node, volid) {
        Some(_) => Ok(()),
        None => Err(format!("script '{volid}' does not exist")),
    }
}

/// The early checks: the guest is there, unlocked, and as the digest says.
pub(crate) fn check<'a>(
    world: &'a World,
    node: &str,
    update: &Update,
) -> Result<&'a Guest, Refusal> {
    let guest = load_config(world, node, update.vmid)?;
    if update.digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
        return Err(Refusal::die("checksum mismatch (file change by other user?)"));
    }
    // The lock of a suspended guest goes with its state.
    let revives =
        update.delete.iter().any(|key| key == "vmstate") && guest.get("lock") == Some("suspended");
    if !update.skiplock && !revives {
        check_lock(guest).map_err(Refusal::die)?;
    }
    let set = update.expanded(guest).set;
    if set.contains_key("memory") || set.contains_key("balloon") {
        let given = |key: &str| set.get(key).map(String::as_str);
        let stored = |key: &str| {
            let waits = guest.pending.get(key).map(String::as_str).filter(|text| *text != "0");
            waits.or_else(|| guest.get(key))
        };
        let memory = memory_mib(given("memory").or_else(|| stored("memory")));
        let balloon = given("balloon").or_else(|| stored("balloon"));
        if balloon.and_then(|text| text.parse().ok()).unwrap_or(0) > memory {
            return Err(Refusal::die(
                "balloon value too large (must be smaller than assigned memory)",
            ));
        }
    }
    Ok(guest)
}

/// Carries a change out, under the configuration's lock. `log` gets what the worker prints.
pub(crate) fn apply(
    world: &mut World,
    node: &str,
    update: &Update,
    now: i64,
    log: &mut Vec<String>,
) -> Result<(), Refusal> {
    let guest = check(world, node, update)?;
    let order = boot_order(guest.get("boot").unwrap_or_default());
    let update = &update.expanded(guest);
    log.push(update.line.clone());
    let mut change = Change {
        update,
        node,
        now,
        caller: Caller { authid: update.caller.clone() },
        order,
        modified: BTreeSet::new(),
        denied: hotplug::Errors::new(),
    };
    for key in &update.delete {
        change.delete(world, key, log)?;
    }
    unwritable(&update.blank, &["description", "tags"])?;
    for (key, value) in &update.set {
        change.set(world, key, value, log)?;
    }
    let Some(guest) = world.guests.get_mut(&update.vmid) else { return Ok(()) };
    pending::cleanup(guest);
    if guest.pending.is_empty() && guest.pending_delete.is_empty() {
        return Ok(());
    }
    if guest.running.is_none() {
        let errors = pending::apply_but(world, update.vmid, &change.denied);
        let is_cloudinit = |key: &&String| {
            let value = world.guest(update.vmid).and_then(|guest| guest.get(key));
            keys::is_drive(key) && value.is_some_and(|value| Drive::parse(value).is_cloudinit())
        };
        if update.set.keys().any(|key| is_cloudinit(&key)) {
            snippets(world, update.vmid)?;
            log.push("generating cloud-init ISO".to_owned());
        }
        return if errors.is_empty() { Ok(()) } else { Err(Refusal::Params(errors)) };
    }
    let errors = hotplug::apply(world, update.vmid, &change.modified, &change.denied, now);
    let behind = |guest: &Guest| hotplug::follows(guest) && !guest.cloudinit.is_empty();
    if world.guest(update.vmid).is_some_and(behind) {
        snippets(world, update.vmid)?;
    }
    if errors.is_empty() { Ok(()) } else { Err(Refusal::Params(errors)) }
}

/// What the cloud-init drive is written with has to be there; the change itself is made by then.
fn snippets(world: &World, vmid: u32) -> Result<(), Refusal> {
    let guest = world.guest(vmid);
    guest.map_or(Ok(()), |guest| custom_files(world, guest)).map_err(Refusal::die)
}

/// A change under way.
struct Change<'a> {
    update: &'a Update,
    node: &'a str,
    now: i64,
    caller: Caller,
    /// The boot order as it becomes.
    order: Vec<String>,
    /// The keys that are looked at for hot-plugging.
    modified: BTreeSet<String>,
    /// Why volumes are not freed, by key: found out when the change is applied.
    denied: hotplug::Errors,
}

impl Change<'_> {
    fn delete(
        &mut self,
        world: &mut World,
        key: &str,
        log: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let vmid = self.update.vmid;
        let Some(guest) = world.guest(vmid) else { return Ok(()) };
        let waiting = guest.pending.contains_key(key);
        let stored = guest.get(key).or_else(|| guest.pending.get(key).map(String::as_str));
        let Some(value) = stored.map(str::to_owned) else {
            log.push(format!("cannot delete '{key}' - not set in current configuration!"));
            return Ok(());
        };
        self.modified.insert(key.to_owned());
        let protection = |what: &str| protection(guest, what);
        if keys::is_numbered(key, "unused") {
            let volid = Drive::parse(&value).file().to_owned();
            protection(&format!("can't remove unused disk '{volid}'"))?;
            return self.free_unused(world, key, &volid);
        }
        match keys::split_number(key).map_or(key, |(stem, _)| stem) {
            "vmstate" => {
                protection(&format!("can't remove vmstate '{value}'"))?;
                return self.free_state(world, &value);
            }
            _ if keys::is_drive(key) => {
                protection(&format!("can't remove drive '{key}'"))?;
                self.drive_permission(world, &value)?;
                if self.update.force
                    && let Err(refusal) = self.may_free(world, &value)
                {
                    self.denied.insert(key.to_owned(), refusal.exit());
                }
            }
            "serial" | "usb" | "hostpci" | "rng" | "virtiofs" => {
                check_device(world, &self.caller, vmid, None, key, &value, Deed::Delete)?;
            }
            "tags" => check_tags(world, &self.caller, vmid, &value, "")?,
            "net" => {
                let (key, value) = (key.to_owned(), value.clone());
                check_bridges(world, &self.caller, [(&key, &value)].into_iter())?;
            }
            _ => {}
        }
        self.leave_boot_order(world, key);
        if waiting && keys::is_drive(key) {
            pending::give_up(world, vmid, key);
        }
        let Some(guest) = world.guests.get_mut(&vmid) else { return Ok(()) };
        guest.pending.remove(key);
        if key == "tags" {
            guest.config.remove(key);
            return Ok(());
        }
        guest.pending_delete.insert(key.to_owned(), self.update.force);
        Ok(())
    }

    /// A device that goes is no longer booted from.
    fn leave_boot_order(&mut self, world: &mut World, key: &str) {
        if !self.order.iter().any(|device| device == key) {
            return;
        }
        self.order.retain(|device| device != key);
        self.write_order(world);
    }

    fn write_order(&mut self, world: &mut World) {
        let value = print_order(self.order.iter().map(String::as_str));
        self.modified.insert("boot".to_owned());
        if let (Ok(Some(value)), Some(guest)) =
            (written("boot", &value), world.guests.get_mut(&self.update.vmid))
        {
            guest.pending.insert("boot".to_owned(), value);
        }
    }

    /// A volume that no key names is freed when the guest owns it.
    fn free_unused(&self, world: &mut World, key: &str, volid: &str) -> Result<(), Refusal> {
        let vmid = self.update.vmid;
        world.require(&self.caller, &format!("/vms/{vmid}"), &["VM.Config.Disk"])?;
        if crate::guest::drive::owner(volid) == Some(vmid) {
            self.may_free(world, volid)?;
            let Some(guest) = world.guest(vmid) else { return Ok(()) };
            if crate::guest::drive::in_use(guest, key, volid) {
                return Err(Refusal::die(format!(
                    "unable to delete '{volid}' - volume is still in use (snapshot?)"
                )));
            }
            if !world.clones_of(self.node, volid).is_empty() {
                return Err(Refusal::die(format!(
                    "base volume '{}' is still in use by linked clones",
                    split_volid(volid).map_or(volid, |(_, name)| name)
                )));
            }
            world.remove_volume(self.node, volid);
        }
        if let Some(guest) = world.guests.get_mut(&vmid) {
            guest.config.remove(key);
        }
        Ok(())
    }

    /// The state of a guest that is suspended to disk goes, and its lock with it.
    fn free_state(&self, world: &mut World, volid: &str) -> Result<(), Refusal> {
        self.may_free(world, volid)?;
        world.remove_volume(self.node, volid);
        if let Some(guest) = world.guests.get_mut(&self.update.vmid) {
            let suspended = guest.get("lock") == Some("suspended");
            let goes = |key: &str| {
                crate::guest::vmstate::KEYS.contains(&key) || (suspended && key == "lock")
            };
            guest.config.retain(|key, _| !goes(key));
            guest.inside = crate::guest::inside::Inside::default();
        }
        Ok(())
    }

    fn may_free(&self, world: &World, value: &str) -> Result<(), Refusal> {
        let drive = Drive::parse(value);
        let Some((storage, _)) = split_volid(drive.file()) else { return Ok(()) };
        world.require(&self.caller, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"])
    }

    /// `$check_drive_perms`: what is on a drive decides who may change it.
    fn drive_permission(&self, world: &World, value: &str) -> Result<(), Refusal> {
        let drive = Drive::parse(value);
        let wanted: &[&str] = if drive.is_cloudinit() {
            &["VM.Config.Cloudinit", "VM.Config.CDROM"]
        } else if drive.is_cdrom() {
            &["VM.Config.CDROM"]
        } else {
            &["VM.Config.Disk"]
        };
        world.require(&self.caller, &format!("/vms/{}", self.update.vmid), wanted)
    }

    fn set(
        &mut self,
        world: &mut World,
        key: &str,
        value: &str,
        log: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let vmid = self.update.vmid;
        self.modified.insert(key.to_owned());
        let Some(guest) = world.guest(vmid) else { return Ok(()) };
        if guest.pending.get(key).is_some_and(|old| old == value) {
            return Ok(());
        }
        let stored = self.stored(world, key, value, log)?;
        let stored = written(key, &stored).map_err(Refusal::die)?;
        let Some(guest) = world.guests.get_mut(&vmid) else { return Ok(()) };
        guest.pending_delete.remove(key);
        guest.pending.remove(key);
        match stored {
            None => {}
            Some(hash) if key == "cipassword" => drop(guest.config.insert(key.to_owned(), hash)),
            Some(text) if key == "description" && text.is_empty() => {
                guest.config.remove(key);
            }
            Some(value) => drop(guest.pending.insert(key.to_owned(), value)),
        }
        pending::drop_used(guest);
        Ok(())
    }

    /// The checks of one key, and its value as it is stored.
    fn stored(
        &mut self,
        world: &mut World,
        key: &str,
        value: &str,
        log: &mut Vec<String>,
    ) -> Result<String, Refusal> {
        let vmid = self.update.vmid;
        let Some(guest) = world.guest(vmid) else { return Ok(value.to_owned()) };
        let old = guest.get(key).map(str::to_owned);
        match keys::split_number(key).map_or(key, |(stem, _)| stem) {
            _ if keys::is_drive(key) => return self.drive(world, key, value, log),
            "serial" => {
                let socket = old.as_deref().is_none_or(|old| old == "socket");
                let worst = if socket { value } else { "" };
                check_device(world, &self.caller, vmid, None, key, worst, Deed::Modify)?;
            }
            "usb" | "hostpci" | "rng" | "virtiofs" => {
                for value in old.as_deref().into_iter().chain([value]) {
                    check_device(world, &self.caller, vmid, None, key, value, Deed::Set)?;
                }
            }
            "tags" => {
                check_tags(world, &self.caller, vmid, old.as_deref().unwrap_or(""), value)?;
            }
            "net" => {
                if let Some(old) = old {
                    let key = key.to_owned();
                    check_bridges(world, &self.caller, [(&key, &old)].into_iter())?;
                }
                return Ok(value.to_owned());
            }
            "vga" => clipboard(value).map_err(Refusal::die)?,
            "machine" => machine::check(value).map_err(Refusal::die)?,
            "ostype" => self.pin(world, value, log),
            "cipassword" if windows(guest.get("ostype")) => return Ok(value.to_owned()),
            "cipassword" => return Ok(hash_password(value)),
            "boot" => return self.boot(world, value),
            _ => {}
        }
        Ok(normalise(world, key, value))
    }

    fn drive(
        &mut self,
        world: &mut World,
        key: &str,
        value: &str,
        log: &mut Vec<String>,
    ) -> Result<String, Refusal> {
        let vmid = self.update.vmid;
        let Some(guest) = world.guest(vmid) else { return Ok(value.to_owned()) };
        if let Some(old) = guest.get(key) {
            self.drive_permission(world, old)?;
            same_tpm(key, old, value).map_err(Refusal::die)?;
        }
        self.drive_permission(world, value)?;
        // A cloud-init drive that waited is freed before its name is taken again.
        let waits = guest.pending.get(key).map(|value| Drive::parse(value).is_cloudinit());
        if waits == Some(true) {
            pending::give_up(world, vmid, key);
        }
        let Some(guest) = world.guest(vmid) else { return Ok(value.to_owned()) };
        let mut others = guest.pending.clone();
        others.extend(guest.config.clone());
        let made = allocate(world, self.node, vmid, key, value, &others, self.now)
            .map_err(Refusal::die)?;
        log.extend(made.log);
        pending::give_up(world, vmid, key);
        // A new CD-ROM drive joins a boot order that is set.
        let drive = Drive::parse(&made.value);
        let joins = !self.order.is_empty() && drive.is_cdrom() && !drive.is_cloudinit();
        if joins && !self.order.iter().any(|device| device == key) {
            self.order.push(key.to_owned());
            self.write_order(world);
        }
        Ok(made.value)
    }

    /// Windows guests get the machine version that is current when they become such.
    fn pin(&mut self, world: &mut World, ostype: &str, log: &mut Vec<String>) {
        let vmid = self.update.vmid;
        let Some(guest) = world.guests.get_mut(&vmid) else { return };
        let given = self.update.set.contains_key("machine")
            || guest.pending.contains_key("machine")
            || self.modified.contains("machine");
        if given {
            return;
        }
        match machine::pin(guest.get("machine"), ostype) {
            Ok((Some(value), line)) => {
                log.extend(line);
                guest.pending.insert("machine".to_owned(), value);
            }
            Ok((None, _)) => {}
            Err(text) => log.push(format!("automatic pinning of machine version failed - {text}")),
        }
    }

    fn boot(&self, world: &mut World, value: &str) -> Result<String, Refusal> {
        let boot = parse(formats::BOOT, value).unwrap_or_default();
        let devices: Vec<&str> = format::list(boot.get("order").unwrap_or_default()).collect();
        let Some(guest) = world.guests.get_mut(&self.update.vmid) else {
            return Ok(value.to_owned());
        };
        if devices.is_empty() {
            return Ok(value.to_owned());
        }
        for device in &devices {
            let there = guest.config.contains_key(*device)
                || guest.pending.contains_key(*device)
                || self.update.set.contains_key(*device);
            if !there || self.update.delete.iter().any(|key| key == device) {
                return Err(Refusal::die(format!(
                    "invalid bootorder: device '{device}' does not exist'"
                )));
            }
        }
        if guest.config.contains_key("bootdisk") {
            guest.pending_delete.insert("bootdisk".to_owned(), false);
        }
        Ok(format!("order={}", devices.join(";")))
    }
}

fn protection(guest: &Guest, what: &str) -> Result<(), Refusal> {
    if guest.flag("protection") {
        return Err(Refusal::die(format!("{what} - protection mode enabled")));
    }
    Ok(())
}

/// `prohibit_tpm_version_change`.
fn same_tpm(key: &str, old: &str, new: &str) -> Result<(), String> {
    let (old, new) = (Drive::parse(old), Drive::parse(new));
    let version = |drive: &Drive| drive.values.get("version").unwrap_or("v1.2").to_owned();
    if key == "tpmstate0" && old.file() == new.file() && version(&old) != version(&new) {
        return Err("cannot change TPM state version after creation".to_owned());
    }
    Ok(())
}

/// `assert_clipboard_config`.
pub(crate) fn clipboard(vga: &str) -> Result<(), String> {
    let vga = parse(formats::VGA, vga).unwrap_or_default();
    let works = ["std", "cirrus", "vmware", "virtio", "qxl"];
    match (vga.get("clipboard"), vga.get("type")) {
        (Some("vnc"), Some(kind)) if !works.iter().any(|start| kind.starts_with(start)) => {
            Err(format!("vga type {kind} is not compatible with VNC clipboard"))
        }
        _ => Ok(()),
    }
}

/// `windows_version`: whether it is one.
pub(crate) fn windows(ostype: Option<&str>) -> bool {
    ostype.is_some_and(|ostype| ostype.starts_with('w'))
}

/// The prefix of new MAC addresses (`mac_prefix` of datacenter.cfg).
pub(crate) fn mac_prefix(world: &World) -> &str {
    world.options.get("mac_prefix").map_or("BC:24:11", String::as_str)
}
