//! Pending changes of a running guest: what applies at once, what waits for a cold boot, and what
//! is refused (`vmconfig_hotplug_pending` of `PVE::QemuServer`).

use std::collections::{BTreeMap, BTreeSet};

use super::drive::{Drive, boot_order, drives};
use super::format::list;
use super::keys::{self, Effect};
use super::property::{Values, parse};
use super::status::memory_mib;
use super::{agent, devices, formats, network, pending};
use crate::work::power::custom_files;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::node::Node;

/// Why a change does not apply.
#[derive(Debug, PartialEq, Eq)]
enum Not {
    /// It waits for a cold boot.
    Yet,
    /// It cannot; the text goes to the caller.
    Ever(String),
}

fn never(text: impl Into<String>) -> Not {
    Not::Ever(text.into())
}

/// Errors by key.
pub(crate) type Errors = BTreeMap<String, String>;

/// Applies what can be applied at once. Keys outside `only` are left, but for those that never
/// fail. Of volumes that may not be freed the errors are known.
pub(crate) fn apply(
    world: &mut World,
    vmid: u32,
    only: &BTreeSet<String>,
    denied: &Errors,
    now: i64,
) -> Errors {
    let Some(mut guest) = world.guests.remove(&vmid) else { return Errors::new() };
    let mut errors = Errors::new();
    fast(&mut guest);
    let features = Features::of(world, &guest);
    let selected = |key: &&String| only.contains(*key);
    let removals: Vec<String> = guest.pending_delete.keys().filter(selected).cloned().collect();
    for key in removals {
        let force = guest.pending_delete.get(&key).is_some_and(|force| *force);
        let plugged = removable(&guest, &features, &key, now);
        match plugged.and_then(|()| pending::may_go(&guest, &key, force, denied).map_err(Not::Ever))
        {
            Ok(()) => remove(world, &mut guest, &key),
            Err(Not::Yet) => {}
            Err(Not::Ever(text)) => {
                errors.insert(key, format!("hotplug problem - {text}\n"));
            }
        }
    }
    let mut changes: Vec<String> = guest.pending.keys().filter(selected).cloned().collect();
    // The cloud-init drive comes last: it is written with all other changes.
    changes.sort_by_key(|key| is_cloudinit(&guest, key));
    for key in changes {
        let Some(value) = guest.pending.get(&key).cloned() else { continue };
        let written = match is_cloudinit(&guest, &key) {
            true => custom_files(world, &guest).map_err(Not::Ever),
            false => Ok(()),
        };
        match written.and_then(|()| change(world, &guest, &features, &key, &value, now)) {
            Ok(value) => {
                guest.pending.remove(&key);
                let old = guest.config.get(&key).cloned();
                pending::record(&mut guest, &key, old.as_deref(), Some(&value));
                if left_behind(&key, old.as_deref(), &value) {
                    guest.config.insert(key, value);
                    pending::drop_used(&mut guest);
                } else {
                    pending::set(world, &mut guest, &key, value);
                }
            }
            Err(Not::Yet) => {}
            Err(Not::Ever(text)) => {
                errors.insert(key, format!("hotplug problem - {text}\n"));
            }
        }
    }
    let drive = drives(&guest).iter().any(|(_, drive)| drive.is_cloudinit());
    // Without a drive nothing is noted (`write_vm_config`).
    if !drive || (features.cloudinit && custom_files(world, &guest).is_ok()) {
        guest.cloudinit.clear();
    }
    world.guests.insert(vmid, guest);
    errors
}

/// The volume of a cloud-init drive is freed when the drive is emptied; when it gets another
/// medium the volume stays on its storage, and nothing names it any more (`vmconfig_update_disk`).
fn left_behind(key: &str, old: Option<&str>, new: &str) -> bool {
    let Some(old) = old.filter(|_| keys::is_drive(key)).map(Drive::parse) else { return false };
    let new = Drive::parse(new);
    old.is_cloudinit() && new.file() != "none" && new.file() != old.file()
}

/// Whether the cloud-init drive is written anew with each change.
pub(crate) fn follows(guest: &Guest) -> bool {
    guest.get("hotplug").is_some_and(|value| list(value).any(|word| word == "cloudinit"))
}

fn is_cloudinit(guest: &Guest, key: &str) -> bool {
    let value = guest.pending.get(key).filter(|_| keys::is_drive(key));
    value.is_some_and(|value| Drive::parse(value).is_cloudinit())
}

/// Values that have no effect on the process.
fn fast(guest: &mut Guest) {
    let at_once = |key: &&String| {
        let effect = keys::find(key).map(|key| key.effect);
        matches!(effect, Some(Effect::Now | Effect::Cloudinit))
    };
    let found: Vec<String> = guest.pending.keys().filter(at_once).cloned().collect();
    for key in found {
        let Some(value) = guest.pending.remove(&key) else { continue };
        let old = guest.config.insert(key.clone(), value.clone());
        pending::record(guest, &key, old.as_deref(), Some(&value));
    }
}

fn remove(world: &mut World, guest: &mut Guest, key: &str) {
    let force = guest.pending_delete.remove(key).unwrap_or(false);
    let Some(value) = guest.config.remove(key) else { return };
    pending::record(guest, key, Some(&value), None);
    if keys::is_drive(key) {
        pending::release(world, guest, &Drive::parse(&value), force);
    }
}

/// The features of `hotplug`.
struct Features {
    network: bool,
    disk: bool,
    cpu: bool,
    memory: bool,
    usb: bool,
    cloudinit: bool,
    /// The node that it runs on.
    node: Option<Node>,
}

impl Features {
    fn of(world: &World, guest: &Guest) -> Self {
        let value = match guest.get("hotplug") {
            None | Some("1") => "network,disk,usb",
            Some("0") => "",
            Some(value) => value,
        };
        let has = |word: &str| list(value).any(|found| found == word);
        Self {
            network: has("network"),
            disk: has("disk"),
            cpu: has("cpu"),
            memory: has("memory"),
            usb: has("usb"),
            cloudinit: has("cloudinit"),
            node: world.nodes.get(&guest.node).cloned(),
        }
    }
}

fn when(applies: bool) -> Result<(), Not> {
    if applies { Ok(()) } else { Err(Not::Yet) }
}

/// USB needs a Linux or a Windows that knows the xHCI controller.
fn usb(guest: &Guest, features: &Features) -> Result<(), Not> {
    when(features.usb && devices::knows_xhci(guest))
}

fn number(guest: &Guest, key: &str, default: u64) -> u64 {
    guest.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Whether a key can go at once.
fn removable(guest: &Guest, features: &Features, key: &str, now: i64) -> Result<(), Not> {
    let fast =
        keys::find(key).is_some_and(|key| matches!(key.effect, Effect::Now | Effect::Cloudinit));
    match keys::split_number(key).map_or(key, |(stem, _)| stem) {
        _ if fast => Ok(()),
        "hotplug" => {
            let value = guest.get("hotplug").unwrap_or_default();
            when(!value.contains("cpu") && !value.contains("memory"))
        }
        "tablet" => when(features.usb),
        "usb" => usb(guest, features),
        "vcpus" => {
            when(features.cpu)?;
            vcpus(guest, None, now).map(|_| ())
        }
        "balloon" => when(guest.get("balloon") != Some("0")),
        "net" => {
            when(features.network)?;
            unplug(guest, key, now)
        }
        "scsi" | "virtio" => {
            when(features.disk)?;
            unplug(guest, key, now)
        }
        "memory" => {
            when(features.memory)?;
            memory(guest, "512", now).map(|_| ())
        }
        "cpuunits" | "cpulimit" => Ok(()),
        _ => Err(Not::Yet),
    }
}

/// `get_bootdisks`: a drive of the order, or `bootdisk` when there is no order.
fn boots(guest: &Guest, key: &str) -> bool {
    let boot = guest.get("boot").unwrap_or_default();
    let order = parse(formats::BOOT, boot).unwrap_or_default();
    if boot.is_empty() || order.get("legacy").is_some() {
        return guest.get("bootdisk") == Some(key);
    }
    keys::is_drive(key) && boot_order(boot).iter().any(|device| device == key)
}

/// `vm_deviceunplug`. A PCI device goes when the system inside lets it go; a disk behind a SCSI
/// controller goes as it is, but a controller of its own goes with it.
fn unplug(guest: &Guest, key: &str, now: i64) -> Result<(), Not> {
    if boots(guest, key) {
        return Err(never(format!("can't unplug bootdisk '{key}'")));
    }
    let busy = match keys::split_number(key) {
        Some(("ide" | "sata", _)) => {
            return Err(never(format!("can't unplug device '{key}'")));
        }
        Some(("scsi", number)) => controller(guest, key, number),
        _ => Some(key.to_owned()),
    };
    match busy {
        Some(device) if !agent::booted(guest, now) => {
            Err(never(format!("error on hot-unplugging device '{device}' - still busy in guest?")))
        }
        _ => Ok(()),
    }
}

/// The controller that goes with a SCSI disk (`qemu_deletescsihw`, `scsihw_infos`): that of its
/// own, or one that has no other disk.
fn controller(guest: &Guest, key: &str, number: u32) -> Option<String> {
    let most = match guest.get("scsihw") {
        Some("virtio-scsi-single") => return Some(format!("virtioscsi{number}")),
        None | Some("lsi" | "lsi53c810") => 7,
        Some(_) => 256,
    };
    let group = number / most;
    // The real check looks at all disks below the controller's last, those of earlier ones too.
    let below = (most - 1) * (group + 1);
    let other =
        guest.config.keys().filter(|other| *other != key).any(
            |other| matches!(keys::split_number(other), Some(("scsi", number)) if number < below),
        );
    (!other).then(|| format!("scsihw{group}"))
}

/// The value to store when a change applies at once.
fn change(
    world: &World,
    guest: &Guest,
    features: &Features,
    key: &str,
    value: &str,
    now: i64,
) -> Result<String, Not> {
    let stem = keys::split_number(key).map_or(key, |(stem, _)| stem);
    match stem {
        "hotplug" => {
            let old = guest.get("hotplug").unwrap_or_default();
            when(!["cpu", "memory"].iter().any(|word| old.contains(word) || value.contains(word)))?;
        }
        "tablet" => when(features.usb)?,
        "usb" => {
            usb(guest, features)?;
            devices::usb(world, &guest.node, value).map_err(Not::Ever)?;
        }
        "vcpus" => {
            when(features.cpu)?;
            return vcpus(guest, value.parse().ok(), now).map(|count| count.to_string());
        }
        "balloon" => when((guest.get("balloon") != Some("0")) == (value != "0"))?,
        "net" => card(guest, features, key, value, now)?,
        "memory" => {
            when(features.memory)?;
            return memory(guest, value, now);
        }
        "cpuunits" | "cpulimit" => {}
        "agent" => agent_options(guest, value)?,
        "ide" | "sata" | "scsi" | "virtio" => disk(guest, features, key, value, now)?,
        _ => return Err(Not::Yet),
    }
    Ok(value.to_owned())
}

/// `qemu_cpu_hotplug`: up to sockets times cores; a processor goes when the system inside agrees.
fn vcpus(guest: &Guest, wanted: Option<u64>, now: i64) -> Result<u64, Not> {
    let most = number(guest, "sockets", 1).saturating_mul(number(guest, "cores", 1));
    let wanted = wanted.unwrap_or(most);
    if wanted > most {
        return Err(never("you can't add more vcpus than maxcpus"));
    }
    let have = number(guest, "vcpus", most);
    if wanted < have && !agent::booted(guest, now) {
        return Err(never(format!(
            "400 Parameter verification failed.\nvcpus: error unplugging cpu{have}"
        )));
    }
    Ok(wanted)
}

/// MiB that are there from the start, the rest being modules.
const STATIC_MIB: u64 = 1024;
/// The most that a guest can have on hosts with 40 bits of addresses, MiB.
const MOST_MIB: u64 = 524_288;

/// `qemu_memory_hotplug`: memory grows in modules of 512 MiB (larger from the 33rd on).
fn memory(guest: &Guest, value: &str, now: i64) -> Result<String, Not> {
    let (old, new) = (memory_mib(guest.get("memory")), memory_mib(Some(value)));
    if old == new {
        return Ok(value.to_owned());
    }
    let sockets = number(guest, "sockets", 1);
    let huge = guest.get("hugepages") == Some("1024");
    let fixed = if huge { STATIC_MIB.saturating_mul(sockets) } else { STATIC_MIB };
    if new < fixed {
        return Err(never(format!(
            "memory can't be lower than {fixed} MB at /usr/share/perl5/PVE/QemuServer/Memory.pm line 219."
        )));
    }
    if new > MOST_MIB {
        return Err(never(format!("you cannot add more memory than max mem {MOST_MIB} MB!")));
    }
    let module = if huge { 1024 } else { 512 };
    if new > old {
        return Ok(modules(fixed, module, new).1.to_string());
    }
    let (count, size) = fewer(fixed, module, old, new);
    if count > 0 && !agent::booted(guest, now) {
        let text = format!(
            "400 Parameter verification failed.\ndimm{}: error unplug memory module",
            count - 1
        );
        return Err(never(text));
    }
    Ok(size.to_string())
}

/// How many modules are added until `wanted` is met, and the size that is reached.
fn modules(fixed: u64, mut module: u64, wanted: u64) -> (u64, u64) {
    let (mut count, mut size) = (0, fixed);
    for _ in 0..8 {
        for _ in 0..32 {
            if size >= wanted {
                return (count, size);
            }
            size = size.saturating_add(module);
            count += 1;
        }
        module = module.saturating_mul(2);
    }
    (count, size)
}

/// How many modules a guest of a size has, and the size when the last ones are taken away until
/// it is no more than `wanted`.
fn fewer(fixed: u64, module: u64, size: u64, wanted: u64) -> (u64, u64) {
    let (count, mut left) = modules(fixed, module, size);
    for index in (0..count).rev() {
        if left <= wanted {
            break;
        }
        // They double every 32.
        left = left.saturating_sub(module << (index / 32));
    }
    (count, left)
}

/// `vmconfig_update_net`: the host's side of a card changes without plugging.
fn card(guest: &Guest, features: &Features, key: &str, value: &str, now: i64) -> Result<(), Not> {
    let read = |text: &str| parse(formats::NET, text).unwrap_or_default();
    let new = read(value);
    let fault = features.node.as_ref().and_then(|node| network::plug(node, &new).err());
    // The script that plugs it in fails.
    let plug = || match &fault {
        Some((_, status)) => Err(never(format!(
            "VM {} qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status {status}",
            guest.vmid
        ))),
        None => Ok(()),
    };
    let Some(old) = guest.get(key).map(read) else {
        when(features.network)?;
        return plug();
    };
    // A number that is not given is not 0 (`safe_num_ne`).
    let number =
        |values: &Values, name: &str| values.get(name).map(|text| text.parse::<u64>().unwrap_or(0));
    let same_device = ["model", "macaddr"].iter().all(|name| old.get(name) == new.get(name))
        && ["queues", "mtu"].iter().all(|name| number(&old, name) == number(&new, name));
    if same_device && old.get("bridge").is_some() && new.get("bridge").is_some() {
        let moves = ["bridge", "trunks"].iter().any(|name| old.get(name) != new.get(name))
            || ["tag", "firewall"].iter().any(|name| number(&old, name) != number(&new, name));
        return match fault.filter(|_| moves) {
            Some((_, 512)) => {
                let bridge = new.get("bridge").unwrap_or_default();
                Err(never(format!("bridge '{bridge}' is neither a linux nor an OVS bridge!")))
            }
            Some((text, _)) => Err(never(text)),
            None => Ok(()),
        };
    }
    when(features.network)?;
    unplug(guest, key, now)?;
    plug()
}

/// `vmconfig_update_agent`: only whether clones are trimmed changes at once.
fn agent_options(guest: &Guest, value: &str) -> Result<(), Not> {
    let read = |text: &str| {
        let mut values = parse(formats::AGENT, text).unwrap_or_default();
        if !values.flag("enabled") {
            values.0.clear();
        }
        values.0.remove("fstrim_cloned_disks");
        values
    };
    when(guest.get("agent").is_some_and(|old| old != "0" && read(old) == read(value)))
}

/// Options of a disk that need a cold boot.
const COLD: &[&str] =
    &["aio", "discard", "iothread", "queues", "product", "cache", "ssd", "vendor", "ro"];

/// `vmconfig_update_disk`.
fn disk(guest: &Guest, features: &Features, key: &str, value: &str, now: i64) -> Result<(), Not> {
    let new = Drive::parse(value);
    if let Some(old) = guest.get(key).map(Drive::parse) {
        if old.is_cdrom() != new.is_cdrom() {
            return Err(never("unable to change media type"));
        }
        if old.is_cdrom() {
            // Another medium is no plugging.
            return Ok(());
        }
        if old.file() == new.file() {
            return when(COLD.iter().all(|name| old.values.get(name) == new.values.get(name)));
        }
        when(features.disk)?;
        unplug(guest, key, now)?;
    }
    when(features.disk && !key.starts_with("ide") && !key.starts_with("sata"))
}

#[cfg(test)]
#[path = "hotplug_tests.rs"]
mod tests;
