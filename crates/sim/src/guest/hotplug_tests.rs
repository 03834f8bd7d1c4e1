//! What hot-plugging does and leaves.

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
        // No queues at all are not the same as none.
        ("0", "net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,queues=0,tag=5", new, waits),
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
        ("", true, "sata0", Some("vmdata:100/vm-100-disk-9.raw"), "can't unplug device 'sata0'"),
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
    assert_eq!(modules(1024, 512, 20_480), (35, 20_480));
    // Taken away, they go below what is asked; the first 32 have 512 MiB, the next 1024.
    for (size, wanted, left) in
        [(4096, 2100, (6, 2048)), (20_480, 18_000, (35, 17_408)), (1024, 1024, (0, 1024))]
    {
        assert_eq!(fewer(1024, 512, size, wanted), left, "{size} {wanted}");
    }
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

/// Who lets a disk go: nobody, the system inside for the controller that goes with it.
#[test]
fn a_controller_without_disks_goes_too() {
    let second = ("scsi8", "vmdata:100/vm-100-disk-8.raw,size=1G");
    for (scsihw, extra, device) in [
        (None, None, None),
        (Some("virtio-scsi-pci"), None, None),
        (Some("virtio-scsi-single"), None, Some("virtioscsi1")),
        (Some("lsi"), Some(second), None),
    ] {
        let mut guest = Guest::new(100, "pve1", CONFIG);
        guest.config.extend(scsihw.map(|value| ("scsihw".to_owned(), value.to_owned())));
        guest.config.extend(extra.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(controller(&guest, "scsi1", 1).as_deref(), device, "{scsihw:?}");
    }
    let alone = Guest::new(100, "pve1", &[second]);
    assert_eq!(controller(&alone, "scsi8", 8).as_deref(), Some("scsihw1"));
}

#[test]
fn what_a_guest_boots_from() {
    for (config, boots_from) in [
        (&[("boot", "order=scsi0;net0")][..], &["scsi0"][..]),
        (&[("boot", "c"), ("bootdisk", "virtio0")], &["virtio0"]),
        (&[("bootdisk", "scsi1")], &["scsi1"]),
        (&[], &[]),
    ] {
        let guest = Guest::new(100, "pve1", config);
        let mut all = vec!["scsi0", "scsi1", "virtio0", "net0"];
        all.retain(|key| boots(&guest, key));
        assert_eq!(all, boots_from, "{config:?}");
    }
}

#[test]
fn another_medium_leaves_the_volume_of_a_cloudinit_drive_behind() {
    let drive = "vmdata:100/vm-100-cloudinit.qcow2,media=cdrom";
    for (value, freed) in [("none,media=cdrom", true), ("local:iso/truth.iso,media=cdrom", false)] {
        let mut world = World::truth();
        let mut guest = Guest::new(100, "pve1", &[("ide2", drive), ("ide0", "none,media=cdrom")]);
        guest.running = Some(Running { since_ms: 0, booted_ms: None, pid: 1, paused: false });
        guest.pending.insert("ide2".into(), value.into());
        world.add_guest(guest);
        let volid = "vmdata:100/vm-100-cloudinit.qcow2";
        world.add_volume("pve1", volid, crate::world::storage::Volume::default());
        let only = BTreeSet::from(["ide2".to_owned()]);
        assert_eq!(apply(&mut world, 100, &only, &Errors::new(), 0), Errors::new());
        assert_eq!(world.guest(100).unwrap().get("ide2"), Some(value));
        assert_eq!(world.volume("pve1", volid).is_none(), freed, "{value}");
    }
}
