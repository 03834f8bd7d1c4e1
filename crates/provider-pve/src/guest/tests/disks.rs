//! Disks.

use pvx_core::desired::{Disk, GuestSpec};
use pvx_core::provider::GuestKind;

use super::{Qemu, attributes, compare, create, line, live, spec};

const GIB: u64 = 1 << 30;
const STORED: &str = "shared:vm-1000-disk-0,discard=on,size=10G,ssd=1";

fn disk(slot: &str, change: impl FnOnce(&mut Disk)) -> GuestSpec {
    let mut disk = Disk::default();
    change(&mut disk);
    spec(|s| drop(s.disks.insert(slot.into(), disk)))
}

fn option(name: &str, value: &str) -> GuestSpec {
    disk("scsi0", |d| drop(d.options.insert(name.into(), value.into())))
}

#[test]
fn sizes() {
    let table = [
        (10 * GIB, ""),
        (11 * GIB, "scsi0→11264M"),
        (9 * GIB, "Error:disk-shrink"),
        // A storage rounded up to its extents.
        (10 * GIB - 1024, ""),
        (10 * GIB - (4 << 20), "Error:disk-shrink"),
        (u64::MAX, "scsi0→17592186044415M"),
    ];
    for (size, expected) in table {
        let stored = live(&[("scsi0", STORED)]);
        assert_eq!(line(&compare(&disk("scsi0", |d| d.size = Some(size)), &[], &stored)), expected);
        assert_eq!(line(&compare(&spec(|s| s.boot_disk = Some(size)), &[], &stored)), expected);
    }
    let unknown = live(&[("scsi0", "shared:vm-1000-disk-0")]);
    let comparison = compare(&spec(|s| s.boot_disk = Some(GIB)), &[], &unknown);
    assert_eq!(line(&comparison), "Warning:disk-size-unknown");
}

#[test]
fn which_disk_the_guest_boots_from() {
    let sized = |text: &str| format!("{text},size=1G");
    let (a, b) = (sized("s:vm-1-disk-0"), sized("s:vm-1-disk-1"));
    let cd = "local:iso/x.iso,media=cdrom,size=1G";
    let table: [(&[(&str, &str)], &str); 6] = [
        (&[("scsi0", &a), ("virtio1", &b), ("boot", "order=virtio1;scsi0")], "virtio1→2048M"),
        (&[("scsi0", &a), ("ide2", cd), ("boot", "order=ide2;net0;scsi0")], "scsi0→2048M"),
        (&[("sata0", &a), ("boot", "cdn"), ("bootdisk", "sata0"), ("ide0", &b)], "sata0→2048M"),
        (&[("virtio0", &a)], "virtio0→2048M"),
        (&[("ide2", cd)], "Error:no-boot-disk"),
        (&[], "Error:no-boot-disk"),
    ];
    for (config, expected) in table {
        let comparison = compare(&spec(|s| s.boot_disk = Some(2 * GIB)), &[], &live(config));
        assert_eq!(line(&comparison), expected, "{config:?}");
    }
}

#[test]
fn options() {
    let table = [
        ("ssd", "1", ""),
        ("ssd", "on", ""),
        ("discard", "on", ""),
        // A default is no difference from an absent one.
        ("iothread", "0", ""),
        ("backup", "1", ""),
        ("iothread", "1", "scsi0=shared:vm-1000-disk-0,discard=on,size=10G,ssd=1,iothread=1"),
        ("ssd", "0", "scsi0=shared:vm-1000-disk-0,discard=on,size=10G,ssd=0"),
        ("cache", "none", "scsi0=shared:vm-1000-disk-0,discard=on,size=10G,ssd=1,cache=none"),
        ("serial", "a,b", "Error:drive-option"),
        ("serial", "", "Error:drive-option"),
    ];
    for (name, value, expected) in table {
        let comparison = compare(&option(name, value), &[], &live(&[("scsi0", STORED)]));
        assert_eq!(line(&comparison), expected, "{name}={value}");
    }
}

#[test]
fn options_that_are_dropped() {
    let before = ["disks.scsi0", "disks.scsi0.ssd", "disks.scsi0.format", "disks.scsi0.size"];
    let stored = live(&[("scsi0", STORED), ("scsi01", "x:y")]);
    let comparison = compare(&disk("scsi0", |_| {}), &before, &stored);
    assert_eq!(line(&comparison), "scsi0=shared:vm-1000-disk-0,discard=on,size=10G");
    assert_eq!(attributes(&comparison), ["scsi0.ssd 1 → ∅"]);
    assert_eq!(line(&compare(&disk("scsi0", |_| {}), &[], &stored)), "");
}

#[test]
fn options_and_size_together_carry_the_new_size() {
    let mut wanted = option("iothread", "1");
    wanted.disks.get_mut("scsi0").unwrap().size = Some(20 * GIB);
    let comparison = compare(&wanted, &[], &live(&[("scsi0", STORED)]));
    let set = "scsi0=shared:vm-1000-disk-0,discard=on,size=20G,ssd=1,iothread=1";
    assert_eq!(line(&comparison), format!("{set} scsi0→20480M"));
    // `disk` sizes the boot disk when its slot says only options.
    let mut wanted = option("iothread", "1");
    wanted.boot_disk = Some(20 * GIB);
    let comparison = compare(&wanted, &[], &live(&[("scsi0", STORED)]));
    assert_eq!(line(&comparison), format!("{set} scsi0→20480M"));
}

#[test]
fn a_disk_that_is_not_there() {
    let mut wanted = disk("virtio1", |d| {
        d.size = Some(GIB / 2);
        d.format = Some("qcow2".into());
        d.options.insert("ssd".into(), "1".into());
    });
    let said = "Error:disk-incomplete";
    assert_eq!(line(&compare(&wanted, &[], &live(&[]))), said, "no storage");
    wanted.storage = Some("local".into());
    let comparison = compare(&wanted, &[], &live(&[]));
    assert_eq!(line(&comparison), "virtio1=local:0.5,format=qcow2,ssd=1");
    assert!(comparison.allocates.contains("local"));
    wanted.disks.get_mut("virtio1").unwrap().storage = Some("fast".into());
    assert_eq!(line(&compare(&wanted, &[], &live(&[]))), "virtio1=fast:0.5,format=qcow2,ssd=1");
    wanted.disks.get_mut("virtio1").unwrap().size = None;
    assert_eq!(line(&compare(&wanted, &[], &live(&[]))), said, "no size");
}

#[test]
fn a_slot_that_holds_no_disk_is_never_resized_or_overwritten() {
    for stored in [
        "none,media=cdrom",
        "local:iso/x.iso,media=cdrom,size=1G",
        "shared:vm-1000-cloudinit,media=cdrom,size=4M",
        "=what",
    ] {
        let wanted = spec(|s| {
            s.storage = Some("shared".into());
            s.disks.insert("scsi1".into(), Disk { size: Some(GIB), ..Disk::default() });
        });
        assert_eq!(line(&compare(&wanted, &[], &live(&[("scsi1", stored)]))), "Error:disk-slot");
    }
}

#[test]
fn a_disk_that_is_no_longer_said_stays() {
    let comparison =
        compare(&spec(|_| {}), &["disks.scsi0", "disks.scsi0.ssd"], &live(&[("scsi0", STORED)]));
    assert_eq!(line(&comparison), "Note:disk-kept");
    assert!(comparison.managed.contains("disks.scsi0"), "and is said again next time");
    assert_eq!(line(&compare(&spec(|_| {}), &["disks.scsi0"], &live(&[]))), "");
}

#[test]
fn a_disk_on_another_storage_is_not_moved() {
    let wanted = disk("scsi0", |d| d.storage = Some("fast".into()));
    assert_eq!(line(&compare(&wanted, &[], &live(&[("scsi0", STORED)]))), "Warning:disk-storage");
}

#[test]
fn ovmf_needs_an_efi_disk_when_it_is_made() {
    let table = [
        (None, Some("shared"), "efidisk0=shared:1,efitype=4m,pre-enrolled-keys=0"),
        (Some(true), Some("shared"), "efidisk0=shared:1,efitype=4m,pre-enrolled-keys=1"),
        (None, None, "Error:efidisk-storage"),
    ];
    for (keys, storage, expected) in table {
        let wanted = spec(|s| {
            s.set("bios", "ovmf");
            s.efidisk_pre_enrolled_keys = keys;
            s.storage = storage.map(str::to_owned);
        });
        assert!(line(&create(&wanted)).contains(expected));
        assert!(!line(&compare(&wanted, &[], &live(&[("bios", "ovmf")]))).contains("efidisk"));
    }
    assert!(!line(&create(&spec(|s| s.storage = Some("shared".into())))).contains("efidisk"));
}

#[test]
fn volumes_by_name_and_kind() {
    let table = [
        ("scsi0", "shared:100/base-100-disk-0.raw/1001/vm-1001-disk-0.qcow2,size=3G", "disk"),
        ("scsi0", "local-lvm:base-100-disk-0,size=3G", "disk"),
        ("virtio1", "volume=local-zfs:base-100-disk-0/vm-1001-disk-0,size=3G", "disk"),
        ("ide2", "local:iso/debian.iso,media=cdrom,size=600M", "iso"),
        ("ide2", "shared:1001/vm-1001-cloudinit.qcow2,media=cdrom,size=4M", "cloudinit"),
        ("unused0", "local-lvm:vm-1001-disk-7", "disk"),
    ];
    for (slot, value, kind) in table {
        let volumes = Qemu.volumes(&live(&[(slot, value)]));
        let [volume] = volumes.as_slice() else { panic!("{value}: {volumes:?}") };
        let file = value.split(',').next().unwrap().trim_start_matches("volume=");
        assert_eq!(format!("{}:{}", volume.storage, volume.name), file);
        assert_eq!((volume.iso, volume.cloudinit), (kind == "iso", kind == "cloudinit"), "{value}");
    }
    for value in ["none,media=cdrom", "cdrom,media=cdrom", "/dev/sda", "=what"] {
        assert_eq!(Qemu.volumes(&live(&[("ide2", value)])), [], "{value}");
    }
}
