//! Changing a configuration (`$update_vm_api` of `PVE::API2::Qemu`), at once or as task
//! `qmconfig`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Next, Stage, config_lock};
use crate::api::call::{check_lock, load_config};
use crate::api::refusal::Refusal;
use crate::guest::drive::{Drive, allocate, boot_order};
use crate::guest::status::memory_mib;
use crate::guest::{format, keys, network, pending};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::{Guest, hex};

/// A change of a configuration, parameters checked.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Update {
    pub(crate) vmid: u32,
    pub(crate) set: BTreeMap<String, String>,
    pub(crate) delete: Vec<String>,
    pub(crate) revert: Vec<String>,
    pub(crate) force: bool,
    pub(crate) skiplock: bool,
    pub(crate) digest: Option<String>,
    pub(crate) caller: String,
}

impl Update {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => Ok(Next::After(20)),
            _ => {
                let node = stage.node.clone();
                let moment = stage.moment;
                stage.say(self.line());
                let log = apply(stage.world, &node, self, moment.now)
                    .map_err(|refusal| refusal.exit())?;
                stage.log.extend(log);
                Ok(Next::Done)
            }
        }
    }

    /// `update VM 100: -cores 2`.
    fn line(&self) -> String {
        let pairs = self.set.iter().map(|(key, value)| match key.as_str() {
            "cipassword" => format!("-{key} <hidden>"),
            _ => format!("-{key} {value}"),
        });
        let delete =
            (!self.delete.is_empty()).then(|| format!("-delete {}", self.delete.join(",")));
        let all: Vec<String> = pairs.chain(delete).collect();
        format!("update VM {}: {}", self.vmid, all.join(" "))
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
    if !update.skiplock {
        check_lock(guest).map_err(Refusal::die)?;
    }
    if update.set.contains_key("memory") || update.set.contains_key("balloon") {
        let value =
            |key: &str| update.set.get(key).map(String::as_str).or_else(|| guest.merged(key));
        let memory = memory_mib(value("memory"));
        let balloon: u64 = value("balloon").and_then(|text| text.parse().ok()).unwrap_or(0);
        if balloon > memory {
            return Err(Refusal::die(
                "balloon value too large (must be smaller than assigned memory)",
            ));
        }
    }
    Ok(guest)
}

/// Carries a change out; the answer is the lines of the task log.
pub(crate) fn apply(
    world: &mut World,
    node: &str,
    update: &Update,
    now: i64,
) -> Result<Vec<String>, Refusal> {
    let guest = check(world, node, update)?;
    let mut order = boot_order(guest.get("boot").unwrap_or_default());
    let mut log = Vec::new();
    revert(world, update);
    for key in &update.delete {
        delete(world, update, key, &mut order)?;
    }
    for (key, value) in &update.set {
        log.extend(set(world, node, update, key, value, &mut order, now)?);
    }
    let running = world.guest(update.vmid).is_some_and(|guest| guest.running.is_some());
    pending::apply(world, update.vmid, !running);
    Ok(log)
}

/// Drops pending changes.
fn revert(world: &mut World, update: &Update) {
    let Some(guest) = world.guests.get_mut(&update.vmid) else { return };
    for key in &update.revert {
        guest.pending.remove(key);
        guest.pending_delete.remove(key);
    }
}

fn delete(
    world: &mut World,
    update: &Update,
    key: &str,
    order: &mut Vec<String>,
) -> Result<(), Refusal> {
    let Some(guest) = world.guest(update.vmid) else { return Ok(()) };
    let waiting = guest.pending.contains_key(key);
    let Some(value) = guest.get(key).or_else(|| guest.merged(key)).map(str::to_owned) else {
        return Ok(());
    };
    let caller = Caller { authid: update.caller.clone() };
    if guest.flag("protection") {
        let what = if key.starts_with("unused") { "unused disk" } else { "drive" };
        let name = if key.starts_with("unused") { value.clone() } else { key.to_owned() };
        if key.starts_with("unused") || keys::is_drive(key) {
            let text = format!("can't remove {what} '{name}' - protection mode enabled");
            return Err(Refusal::die(text));
        }
    }
    if keys::is_drive(key) {
        drive_permission(world, &caller, update.vmid, &value)?;
    }
    if key.starts_with("unused") {
        free_unused(world, &caller, update.vmid, key, &value)?;
        return Ok(());
    }
    if keys::is_drive(key) && update.force {
        may_free(world, &caller, &value)?;
    }
    let Some(guest) = world.guests.get_mut(&update.vmid) else { return Ok(()) };
    guest.pending.remove(key);
    if order.iter().any(|device| device == key) {
        order.retain(|device| device != key);
        guest.pending.insert("boot".to_owned(), format!("order={}", order.join(";")));
    }
    if waiting && keys::is_drive(key) {
        pending::add_unused(guest, Drive::parse(&value).file());
    }
    guest.pending_delete.insert(key.to_owned(), update.force);
    Ok(())
}

fn may_free(world: &World, caller: &Caller, value: &str) -> Result<(), Refusal> {
    let drive = Drive::parse(value);
    let Some((storage, _)) = drive.file().split_once(':') else { return Ok(()) };
    world.require(caller, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"])
}

fn free_unused(
    world: &mut World,
    caller: &Caller,
    vmid: u32,
    key: &str,
    value: &str,
) -> Result<(), Refusal> {
    world.require(caller, &format!("/vms/{vmid}"), &["VM.Config.Disk"])?;
    may_free(world, caller, value)?;
    let Some(node) = world.guest(vmid).map(|guest| guest.node.clone()) else { return Ok(()) };
    world.remove_volume(&node, value);
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.config.remove(key);
    }
    Ok(())
}

/// `$check_drive_perms`: what is on a drive decides who may change it.
fn drive_permission(world: &World, caller: &Caller, vmid: u32, value: &str) -> Result<(), Refusal> {
    let drive = Drive::parse(value);
    let wanted: &[&str] = if drive.is_cloudinit() {
        &["VM.Config.Cloudinit", "VM.Config.CDROM"]
    } else if drive.is_cdrom() {
        &["VM.Config.CDROM"]
    } else {
        &["VM.Config.Disk"]
    };
    world.require(caller, &format!("/vms/{vmid}"), wanted)
}

fn set(
    world: &mut World,
    node: &str,
    update: &Update,
    key: &str,
    value: &str,
    order: &mut Vec<String>,
    now: i64,
) -> Result<Vec<String>, Refusal> {
    let vmid = update.vmid;
    let Some(guest) = world.guest(vmid) else { return Ok(Vec::new()) };
    if guest.pending.get(key).is_some_and(|old| old == value) {
        return Ok(Vec::new());
    }
    let mut log = Vec::new();
    let stored = if keys::is_drive(key) {
        let caller = Caller { authid: update.caller.clone() };
        if let Some(old) = guest.get(key) {
            drive_permission(world, &caller, vmid, old)?;
        }
        drive_permission(world, &caller, vmid, value)?;
        let made = allocate(world, node, vmid, key, value, now).map_err(Refusal::die)?;
        log = made.log;
        cdrom_boots(world, vmid, key, &made.value, order);
        made.value
    } else if key == "boot" {
        boot_value(guest, update, value)?
    } else if keys::is_numbered(key, "net") {
        // A value without an address keeps the card's own.
        let prefix = mac_prefix(world).to_owned();
        network::normalise(value, &prefix, false)
    } else {
        normalise(key, value)
    };
    if let Some(guest) = world.guests.get_mut(&vmid) {
        if key == "cipassword" {
            guest.config.insert(key.to_owned(), stored);
            return Ok(log);
        }
        if stored.is_empty() && matches!(key, "description" | "tags") {
            guest.pending.remove(key);
            guest.config.remove(key);
        } else {
            guest.pending.insert(key.to_owned(), stored);
        }
        guest.pending_delete.remove(key);
    }
    Ok(log)
}

/// A new CD-ROM drive joins a boot order that is set.
fn cdrom_boots(world: &mut World, vmid: u32, key: &str, value: &str, order: &mut Vec<String>) {
    let drive = Drive::parse(value);
    if order.is_empty() || !drive.is_cdrom() || order.iter().any(|device| device == key) {
        return;
    }
    order.push(key.to_owned());
    if let Some(guest) = world.guests.get_mut(&vmid) {
        guest.pending.insert("boot".to_owned(), format!("order={}", order.join(";")));
    }
}

fn boot_value(guest: &Guest, update: &Update, value: &str) -> Result<String, Refusal> {
    let order = boot_order(value);
    if order.is_empty() {
        return Ok(value.to_owned());
    }
    for device in &order {
        let there = guest.merged(device).is_some() || update.set.contains_key(device);
        if !there || update.delete.contains(device) {
            return Err(Refusal::die(format!(
                "invalid bootorder: device '{device}' does not exist'"
            )));
        }
    }
    Ok(format!("order={}", order.join(";")))
}

/// The prefix of new MAC addresses (`mac_prefix` of datacenter.cfg).
pub(crate) fn mac_prefix(world: &World) -> &str {
    world.options.get("mac_prefix").map_or("BC:24:11", String::as_str)
}

/// A value as it is stored: booleans as 0 or 1, tags in order, descriptions without white space at
/// their end, passwords hashed.
pub(crate) fn normalise(key: &str, value: &str) -> String {
    match (key, keys::find(key).map(|key| key.kind)) {
        ("tags", _) => unique_tags(value),
        ("description", _) => value.trim_end().to_owned(),
        ("cipassword", _) => hash_password(value),
        ("vmgenid", _) if value == "1" => uuid::Uuid::new_v4().to_string(),
        (_, Some(format::Kind::Bool)) => {
            u8::from(format::parse_bool(value).unwrap_or(false)).to_string()
        }
        _ => value.to_owned(),
    }
}

/// Lower-case, without duplicates, in order, joined with `;`.
pub(crate) fn unique_tags(value: &str) -> String {
    let tags = format::tags(value).map(str::to_lowercase);
    tags.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(";")
}

/// Something in the shape of SHA-256 crypt, from which the password cannot be read.
fn hash_password(value: &str) -> String {
    use sha2::{Digest, Sha256};
    if value.starts_with("$5$")
        || value.starts_with("$6$")
        || value.starts_with("$1$")
        || value.starts_with("$2")
    {
        return value.to_owned();
    }
    let salt: String = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
    let digest = hex(&Sha256::digest(format!("{salt}{value}").as_bytes()));
    let short: String = digest.chars().take(43).collect();
    format!("$5${salt}${short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_stored() {
        let cases = [
            ("tags", "Zeta;alpha;alpha", "alpha;zeta"),
            ("tags", "web, db prod", "db;prod;web"),
            ("description", "a\nb\n \n", "a\nb"),
            ("onboot", "yes", "1"),
            ("cores", "2", "2"),
        ];
        for (key, value, stored) in cases {
            assert_eq!(normalise(key, value), stored, "{key} {value}");
        }
        assert!(normalise("cipassword", "x").starts_with("$5$"));
        assert_eq!(normalise("cipassword", "$6$a$b"), "$6$a$b");
    }
}
