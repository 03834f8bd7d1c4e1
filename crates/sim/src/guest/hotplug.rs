//! Pending changes of a running guest: what applies at once, what waits for a cold boot, and what
//! is refused (`vmconfig_hotplug_pending` of `PVE::QemuServer`).

use std::collections::{BTreeMap, BTreeSet};

use super::drive::{Drive, boot_order, drives};
use super::format::list;
use super::keys::{self, Effect};
use super::property::{Values, parse};
use super::status::memory_mib;
use super::{agent, devices, formats, pending};
use crate::work::power::custom_files;
use crate::world::World;
use crate::world::guest::Guest;

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
        match written.and_then(|()| change(&guest, &features, &key, &value, now)) {
            Ok(value) => {
                guest.pending.remove(&key);
                let old = guest.config.get(&key).cloned();
                pending::record(&mut guest, &key, old.as_deref(), Some(&value));
                pending::set(world, &mut guest, &key, value);
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
    /// The bridges of the node.
    bridges: Vec<String>,
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
            bridges: world
                .nodes
                .get(&guest.node)
                .map(|node| node.bridges.clone())
                .unwrap_or_default(),
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

/// `vm_deviceunplug`. A PCI device goes when the system inside lets it go.
fn unplug(guest: &Guest, key: &str, now: i64) -> Result<(), Not> {
    if boot_order(guest.get("boot").unwrap_or_default()).iter().any(|device| device == key)
        && keys::is_drive(key)
    {
        return Err(never(format!("can't unplug bootdisk '{key}'")));
    }
    if !key.starts_with("scsi") && !agent::booted(guest, now) {
        return Err(never(format!(
            "error on hot-unplugging device '{key}' - still busy in guest?"
        )));
    }
    Ok(())
}

/// The value to store when a change applies at once.
fn change(
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
            devices::usb(value).map_err(Not::Ever)?;
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
    if new < old && !agent::booted(guest, now) {
        return Err(never("400 Parameter verification failed.\ndimm0: error unplug memory module"));
    }
    Ok(modules(fixed, if huge { 1024 } else { 512 }, new).to_string())
}

/// The size that is reached when modules are added until `wanted` is met.
fn modules(fixed: u64, mut module: u64, wanted: u64) -> u64 {
    let mut size = fixed;
    for _ in 0..8 {
        for _ in 0..32 {
            if size >= wanted {
                return size;
            }
            size = size.saturating_add(module);
        }
        module = module.saturating_mul(2);
    }
    size
}

/// `vmconfig_update_net`: the host's side of a card changes without plugging.
fn card(guest: &Guest, features: &Features, key: &str, value: &str, now: i64) -> Result<(), Not> {
    let read = |text: &str| parse(formats::NET, text).unwrap_or_default();
    let new = read(value);
    let missing = new.get("bridge").filter(|name| !features.bridges.iter().any(|it| it == name));
    // The script that plugs it in fails.
    let plug = || match missing {
        Some(_) => Err(never(format!(
            "VM {} qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512",
            guest.vmid
        ))),
        None => Ok(()),
    };
    let Some(old) = guest.get(key).map(read) else {
        when(features.network)?;
        return plug();
    };
    let number = |values: &Values, name: &str| {
        values.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0)
    };
    let same_device = ["model", "macaddr"].iter().all(|name| old.get(name) == new.get(name))
        && ["queues", "mtu"].iter().all(|name| number(&old, name) == number(&new, name));
    if same_device && old.get("bridge").is_some() && new.get("bridge").is_some() {
        let moves = ["bridge", "trunks"].iter().any(|name| old.get(name) != new.get(name))
            || ["tag", "firewall"].iter().any(|name| number(&old, name) != number(&new, name));
        return match missing.filter(|_| moves) {
            Some(bridge) => {
                Err(never(format!("bridge '{bridge}' is neither a linux nor an OVS bridge!")))
            }
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
    when(guest.get("agent").is_some_and(|old| read(old) == read(value)))
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
mod tests {
    use super::*;
    use crate::world::guest::Running;

    const CONFIG: &[(&str, &str)] = &[
        ("boot", "order=scsi0"),
        ("cores", "2"),
        ("ide2", "none,media=cdrom"),
        ("memory", "2048"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5"),
        ("ostype", "l26"),
        ("sata0", "vmdata:100/vm-100-disk-3.raw,size=1G"),
        ("scsi0", "vmdata:100/vm-100-disk-0.raw,size=1G"),
        ("scsi1", "vmdata:100/vm-100-disk-1.raw,size=1G"),
        ("virtio0", "vmdata:100/vm-100-disk-2.raw,size=1G"),
    ];

    fn play(hotplug: &str, booted: bool, key: &str, value: Option<&str>) -> (Guest, Errors) {
        let mut world = World::truth();
        let mut guest = Guest::new(100, "pve1", CONFIG);
        if !hotplug.is_empty() {
            guest.config.insert("hotplug".into(), hotplug.into());
        }
        let booted_ms = booted.then_some(0);
        guest.running = Some(Running { since_ms: 0, booted_ms, pid: 1, paused: false });
        match value {
            Some(value) => drop(guest.pending.insert(key.into(), value.into())),
            None => drop(guest.pending_delete.insert(key.into(), false)),
        }
        world.add_guest(guest);
        let errors = apply(&mut world, 100, &BTreeSet::from([key.to_owned()]), &Errors::new(), 10);
        (world.guest(100).unwrap().clone(), errors)
    }

    #[test]
    fn what_applies_and_what_waits() {
        let (new, now, waits) = (None, true, false);
        type Row = (&'static str, &'static str, &'static str, Option<&'static str>, bool);
        let net = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=6";
        let scsi1 = "vmdata:100/vm-100-disk-1.raw,size=1G";
        let table: &[Row] = &[
            ("", "name", "x", new, now),
            ("0", "name", "x", new, now),
            ("", "migrate_speed", "5", new, now),
            ("", "cores", "4", new, waits),
            ("", "affinity", "0", new, waits),
            ("", "cpulimit", "1", new, now),
            ("", "cpuunits", "50", new, now),
            ("", "balloon", "512", new, now),
            ("", "balloon", "0", new, waits),
            ("", "memory", "4096", new, waits),
            ("memory", "memory", "4096", new, now),
            ("", "vcpus", "1", new, waits),
            ("cpu", "vcpus", "1", new, now),
            ("", "tablet", "0", new, now),
            ("disk", "tablet", "0", new, waits),
            ("", "usb0", "spice", new, now),
            ("", "hotplug", "disk", new, now),
            ("", "hotplug", "disk,memory", new, waits),
            ("0", "net0", net, new, now),
            ("0", "net0", "virtio=BC:24:11:00:00:02,bridge=vmbr0", new, waits),
            ("", "net0", "virtio=BC:24:11:00:00:02,bridge=vmbr0", new, now),
            ("0", "net1", "virtio=BC:24:11:00:00:02,bridge=vmbr0", new, waits),
            ("", "scsi2", "vmdata:100/vm-100-disk-9.raw", new, now),
            ("0", "scsi2", "vmdata:100/vm-100-disk-9.raw", new, waits),
            ("", "sata1", "vmdata:100/vm-100-disk-9.raw", new, waits),
            ("0", "scsi1", "backup=0", Some(scsi1), now),
            ("0", "scsi1", "mbps=10", Some(scsi1), now),
            ("", "scsi1", "cache=writeback", Some(scsi1), waits),
            ("", "scsi1", "ssd=1", Some(scsi1), waits),
            ("0", "ide2", "local:iso/truth.iso,media=cdrom", new, now),
            ("", "efidisk0", "vmdata:100/vm-100-disk-9.raw", new, waits),
            ("", "agent", "1", new, waits),
        ];
        for (hotplug, key, value, base, at_once) in table {
            let value = base.map_or((*value).to_owned(), |base| format!("{base},{value}"));
            let (guest, errors) = play(hotplug, true, key, Some(&value));
            assert_eq!(errors, Errors::new(), "{key} {value}");
            assert_eq!(guest.get(key) == Some(value.as_str()), *at_once, "{hotplug} {key} {value}");
            assert_eq!(guest.pending.contains_key(*key), !*at_once, "{hotplug} {key} {value}");
        }
    }

    #[test]
    fn what_is_removed_and_what_waits() {
        for (hotplug, key, at_once) in [
            ("", "scsi1", true),
            ("0", "scsi1", false),
            ("", "virtio0", true),
            ("", "sata0", false),
            ("", "ide2", false),
            ("", "net0", true),
            ("0", "net0", false),
            ("", "cores", false),
        ] {
            let (guest, errors) = play(hotplug, true, key, None);
            assert_eq!(errors, Errors::new(), "{key}");
            assert_eq!(guest.get(key).is_none(), at_once, "{hotplug} {key}");
            assert_eq!(guest.pending_delete.contains_key(key), !at_once, "{hotplug} {key}");
        }
        assert_eq!(
            play("", true, "scsi1", None).0.get("unused0"),
            Some("vmdata:100/vm-100-disk-1.raw")
        );
    }

    #[test]
    fn what_is_refused() {
        let busy = "error on hot-unplugging device 'net0' - still busy in guest?";
        for (hotplug, booted, key, value, text) in [
            ("", true, "scsi0", None, "can't unplug bootdisk 'scsi0'"),
            ("", false, "net0", None, busy),
            (
                "0",
                true,
                "net0",
                Some("virtio=BC:24:11:00:00:01,bridge=vmbr9"),
                "bridge 'vmbr9' is neither a linux nor an OVS bridge!",
            ),
            (
                "",
                true,
                "net1",
                Some("virtio=BC:24:11:00:00:02,bridge=vmbr9"),
                "VM 100 qmp command 'netdev_add' failed - network script /usr/libexec/qemu-server/pve-bridge-hotplug failed with status 512",
            ),
            ("", true, "sata0", Some("none,media=cdrom"), "unable to change media type"),
            ("", true, "usb0", Some("mapping=stick"), "USB device mapping not found for 'stick'"),
            ("cpu", true, "vcpus", Some("9"), "you can't add more vcpus than maxcpus"),
            (
                "memory",
                true,
                "memory",
                Some("512"),
                "memory can't be lower than 1024 MB at /usr/share/perl5/PVE/QemuServer/Memory.pm line 219.",
            ),
        ] {
            let (guest, errors) = play(hotplug, booted, key, value);
            let text = format!("hotplug problem - {text}\n");
            assert_eq!(errors, Errors::from([(key.to_owned(), text)]), "{key}");
            assert!(guest.pending.contains_key(key) || guest.pending_delete.contains_key(key));
        }
    }

    #[test]
    fn memory_comes_in_modules() {
        for (value, stored) in [("2048", "2048"), ("2100", "2560"), ("4096", "4096")] {
            let (guest, _) = play("memory", true, "memory", Some(value));
            assert_eq!(guest.get("memory"), Some(stored), "{value}");
        }
        assert_eq!(modules(1024, 512, 20_480), 20_480);
    }

    #[test]
    fn the_cloudinit_drive_lags_unless_it_is_hot_plugged() {
        for (hotplug, key, lags) in [
            ("network,disk,usb", "scsi2", true),
            ("network,cloudinit", "scsi2", false),
            ("network,disk,usb", "unused0", false),
        ] {
            let mut world = World::truth();
            let mut guest = Guest::new(100, "pve1", &[("hotplug", hotplug)]);
            let drive = "vmdata:100/vm-100-cloudinit.raw,media=cdrom";
            guest.config.insert(key.into(), drive.into());
            guest.pending.insert("ciuser".into(), "debian".into());
            world.add_guest(guest);
            apply(&mut world, 100, &BTreeSet::new(), &Errors::new(), 0);
            let guest = world.guest(100).unwrap();
            assert_eq!((guest.get("ciuser"), guest.cloudinit.is_empty()), (Some("debian"), !lags));
        }
    }
}
