//! Pending changes: applied at once to a stopped guest, by hot-plug to a running one, else at the
//! next cold boot (`vmconfig_apply_pending`, `vmconfig_hotplug_pending`).

use super::drive::Drive;
use super::format::list;
use super::keys::{self, Effect};
use super::property::Values;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::volumes::split_volid;

/// Drops pending values that change nothing and removals of what is not there.
pub(crate) fn cleanup(guest: &mut Guest) {
    let config = &guest.config;
    guest.pending.retain(|key, value| config.get(key) != Some(value));
    guest.pending_delete.retain(|key, _| config.contains_key(key));
}

/// Makes pending changes real: all of them when the guest is stopped, else those that hot-plug.
pub(crate) fn apply(world: &mut World, vmid: u32, cold: bool) {
    let Some(mut guest) = world.guests.remove(&vmid) else { return };
    cleanup(&mut guest);
    for (key, force) in std::mem::take(&mut guest.pending_delete) {
        if cold || removes_hot(&guest, &key) {
            remove(world, &mut guest, &key, force, cold);
        } else {
            guest.pending_delete.insert(key, force);
        }
    }
    for (key, value) in std::mem::take(&mut guest.pending) {
        if cold || changes_hot(&guest, &key, &value) {
            set(world, &mut guest, &key, value, cold);
        } else {
            guest.pending.insert(key, value);
        }
    }
    // The drive is written anew at a boot, and at once where that is hot-plugged.
    if cold || hotplug(&guest, "cloudinit") {
        guest.cloudinit.clear();
    }
    world.guests.insert(vmid, guest);
}

fn hotplug(guest: &Guest, feature: &str) -> bool {
    match guest.get("hotplug") {
        None | Some("1") => matches!(feature, "network" | "disk" | "usb"),
        Some(value) => list(value).any(|word| word == feature),
    }
}

fn removes_hot(guest: &Guest, key: &str) -> bool {
    match keys::find(key).map(|key| key.effect) {
        Some(Effect::Now | Effect::Cloudinit) => true,
        Some(Effect::Hotplug(feature)) => {
            feature != "memory" && feature != "cpu" && hotplug(guest, feature)
        }
        _ => false,
    }
}

fn changes_hot(guest: &Guest, key: &str, value: &str) -> bool {
    match keys::find(key).map(|key| key.effect) {
        Some(Effect::Now | Effect::Cloudinit) => true,
        Some(Effect::Hotplug("disk")) => disk_hot(guest, key, value),
        Some(Effect::Hotplug("network")) => net_hot(guest, key, value),
        Some(Effect::Hotplug(feature)) => hotplug(guest, feature),
        // Another medium in a CD-ROM drive is no plugging.
        Some(Effect::Boot) if keys::is_drive(key) => {
            let old = guest.get(key).map(Drive::parse);
            old.is_some_and(|old| old.is_cdrom() && !old.is_cloudinit())
                && Drive::parse(value).is_cdrom()
        }
        _ => false,
    }
}

/// The host's side of a card changes without hot-plugging; the card itself is unplugged and
/// plugged in (`vmconfig_update_net`).
fn net_hot(guest: &Guest, key: &str, value: &str) -> bool {
    let host_side = |name: &str| {
        matches!(name, "bridge" | "tag" | "firewall" | "trunks" | "rate" | "link_down" | "host_mtu")
    };
    let device = |text: &str| {
        let mut values = Values::parse(text, "model");
        let bridged = values.get("bridge").is_some();
        values.0.retain(|name, _| !host_side(name));
        (values, bridged)
    };
    let same = guest.get(key).map(device).is_some_and(|(old, had_bridge)| {
        let (new, has_bridge) = device(value);
        old == new && had_bridge && has_bridge
    });
    same || hotplug(guest, "network")
}

/// A new disk or a swapped one hot-plugs; changed options do when they only limit or report.
fn disk_hot(guest: &Guest, key: &str, value: &str) -> bool {
    if !hotplug(guest, "disk") {
        return false;
    }
    let Some(old) = guest.get(key).map(Drive::parse) else { return true };
    let new = Drive::parse(value);
    if old.file() != new.file() {
        return true;
    }
    let soft = |name: &str| {
        ["bps", "mbps", "iops"].iter().any(|stem| name.starts_with(stem))
            || matches!(
                name,
                "backup" | "replicate" | "rerror" | "werror" | "size" | "discard" | "ro"
            )
    };
    let names = old.values.0.keys().chain(new.values.0.keys());
    let mut changed = names.filter(|name| old.values.get(name) != new.values.get(name));
    changed.all(|name| soft(name) && name != "discard" && name != "ro")
}

fn record_cloudinit(guest: &mut Guest, key: &str, cold: bool) {
    let is_cloudinit = keys::find(key).is_some_and(|found| found.effect == Effect::Cloudinit);
    if cold || !(is_cloudinit || key == "name" || keys::is_numbered(key, "net")) {
        return;
    }
    let old = guest.get(key).unwrap_or_default().to_owned();
    if has_cloudinit(guest) {
        guest.cloudinit.entry(key.to_owned()).or_insert(old);
    }
}

fn has_cloudinit(guest: &Guest) -> bool {
    super::drive::drives(guest).iter().any(|(_, drive)| drive.is_cloudinit())
}

fn remove(world: &mut World, guest: &mut Guest, key: &str, force: bool, cold: bool) {
    record_cloudinit(guest, key, cold);
    let Some(value) = guest.config.remove(key) else { return };
    if keys::is_drive(key) {
        release(world, guest, &Drive::parse(&value), force);
    }
}

fn set(world: &mut World, guest: &mut Guest, key: &str, value: String, cold: bool) {
    record_cloudinit(guest, key, cold);
    let old = guest.config.insert(key.to_owned(), value.clone());
    let old = old.filter(|_| keys::is_drive(key)).map(|old| Drive::parse(&old));
    if let Some(old) = old.filter(|old| old.file() != Drive::parse(&value).file()) {
        release(world, guest, &old, false);
    }
    let used = Drive::parse(&value).file().to_owned();
    if keys::is_drive(key) {
        guest.config.retain(|name, volume| !(name.starts_with("unused") && *volume == used));
    }
}

/// A drive that is no longer attached: its volume becomes `unusedN`, or is freed.
pub(crate) fn release(world: &mut World, guest: &mut Guest, drive: &Drive, force: bool) {
    let volid = drive.file().to_owned();
    if split_volid(&volid).is_none() {
        return;
    }
    if drive.is_cloudinit() {
        world.remove_volume(&guest.node, &volid);
        guest.cloudinit.clear();
        return;
    }
    if drive.is_cdrom() {
        return;
    }
    if force {
        world.remove_volume(&guest.node, &volid);
        return;
    }
    add_unused(guest, &volid);
}

/// `unusedN` for a volume, unless it is in use or listed.
pub(crate) fn add_unused(guest: &mut Guest, volid: &str) {
    let listed = guest.config.values().chain(guest.pending.values());
    if listed.into_iter().any(|value| Drive::parse(value).file() == volid) {
        return;
    }
    let free = (0..256)
        .map(|number| format!("unused{number}"))
        .find(|key| !guest.config.contains_key(key));
    if let Some(key) = free {
        guest.config.insert(key, volid.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::guest::Running;

    fn world(running: bool) -> World {
        let mut world = World::truth();
        let mut guest = Guest::new(
            100,
            "pve1",
            &[
                ("cores", "1"),
                ("memory", "128"),
                ("scsi0", "vmdata:100/vm-100-disk-0.raw,size=1G"),
                ("scsi1", "vmdata:100/vm-100-disk-1.raw,size=1G"),
                ("ide2", "none,media=cdrom"),
            ],
        );
        if running {
            guest.running = Some(Running { since_ms: 0, booted_ms: None, pid: 1, paused: false });
        }
        world.add_guest(guest);
        world
    }

    fn change(world: &mut World, pairs: &[(&str, &str)], delete: &[&str]) {
        let guest = world.guest_mut(100).unwrap();
        guest.pending.extend(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        guest.pending_delete.extend(delete.iter().map(|key| ((*key).to_owned(), false)));
    }

    #[test]
    fn a_running_guest_keeps_what_cannot_be_plugged() {
        let mut world = world(true);
        let pairs = [
            ("cores", "2"),
            ("memory", "256"),
            ("name", "x"),
            ("net0", "virtio=BC:24:11:00:00:01"),
            ("ide0", "vmdata:100/vm-100-disk-2.raw"),
            ("ide2", "local:iso/truth.iso,media=cdrom"),
        ];
        change(&mut world, &pairs, &["scsi1"]);
        apply(&mut world, 100, false);
        let guest = world.guest(100).unwrap();
        assert_eq!(guest.pending.keys().collect::<Vec<_>>(), ["cores", "ide0", "memory"]);
        assert_eq!(guest.get("unused0"), Some("vmdata:100/vm-100-disk-1.raw"));
        assert_eq!(guest.get("name"), Some("x"));
        assert!(guest.get("ide2").is_some_and(|value| value.starts_with("local:iso")));
    }

    #[test]
    fn a_cold_boot_applies_everything() {
        let mut world = world(false);
        change(&mut world, &[("cores", "2")], &["scsi0", "absent"]);
        apply(&mut world, 100, true);
        let guest = world.guest(100).unwrap();
        assert!(guest.pending.is_empty() && guest.pending_delete.is_empty());
        assert_eq!(guest.get("cores"), Some("2"));
        assert_eq!(guest.get("unused0"), Some("vmdata:100/vm-100-disk-0.raw"));
    }

    #[test]
    fn hotplug_can_be_switched_off() {
        let mut world = world(true);
        world.guest_mut(100).unwrap().config.insert("hotplug".into(), "0".into());
        change(&mut world, &[("net0", "virtio=BC:24:11:00:00:01")], &["scsi1"]);
        apply(&mut world, 100, false);
        let guest = world.guest(100).unwrap();
        assert!(guest.pending.contains_key("net0") && guest.pending_delete.contains_key("scsi1"));
    }

    #[test]
    fn a_bridge_changes_without_plugging() {
        let stored = "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=5";
        let table = [
            ("virtio=BC:24:11:00:00:01,bridge=vmbr1,firewall=1", true),
            ("virtio=BC:24:11:00:00:01,bridge=vmbr0,link_down=1,rate=5,tag=6", true),
            ("virtio=BC:24:11:00:00:02,bridge=vmbr0,tag=5", false),
            ("e1000=BC:24:11:00:00:01,bridge=vmbr0,tag=5", false),
            ("virtio=BC:24:11:00:00:01,bridge=vmbr0,mtu=1400", false),
            ("virtio=BC:24:11:00:00:01,bridge=vmbr0,queues=2", false),
            ("virtio=BC:24:11:00:00:01", false),
        ];
        for (value, at_once) in table {
            for (hotplug, plugs) in [("disk", false), ("network", true)] {
                let mut world = world(true);
                let config = &mut world.guest_mut(100).unwrap().config;
                config.insert("hotplug".into(), hotplug.into());
                config.insert("net0".into(), stored.into());
                change(&mut world, &[("net0", value)], &[]);
                apply(&mut world, 100, false);
                let guest = world.guest(100).unwrap();
                assert_eq!(guest.get("net0") == Some(value), at_once || plugs, "{value}");
                assert_eq!(guest.pending.is_empty(), at_once || plugs, "{value}");
            }
        }
    }

    #[test]
    fn the_cloudinit_drive_lags_unless_it_is_hot_plugged() {
        for (hotplug, lags) in [("network,disk,usb", true), ("network,cloudinit", false)] {
            let mut world = world(true);
            let config = &mut world.guest_mut(100).unwrap().config;
            config.insert("hotplug".into(), hotplug.into());
            config.insert("scsi2".into(), "vmdata:100/vm-100-cloudinit.raw,media=cdrom".into());
            change(&mut world, &[("ciuser", "debian")], &[]);
            apply(&mut world, 100, false);
            let guest = world.guest(100).unwrap();
            assert_eq!((guest.get("ciuser"), guest.cloudinit.is_empty()), (Some("debian"), !lags));
        }
    }
}
