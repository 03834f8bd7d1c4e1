//! Disks.

use pvx_core::desired::{Disk, EfiDisk, GuestSpec, Setting, TpmState};
use pvx_core::provider::GuestKind;

use super::{Qemu, attributes, compare, create, line, live, spec};

const GIB: u64 = 1 << 30;
/// Keys and values of a live guest.
type Config = &'static [(&'static str, &'static str)];

const SINGLE: (&str, &str) = ("scsihw", "virtio-scsi-single");
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
fn a_boot_order_names_devices_that_are_there() {
    let cd = "local:iso/x.iso,media=cdrom,size=1G";
    let stored = live(&[("scsi0", STORED), ("ide2", cd), ("boot", "order=scsi0;ide2")]);
    let boot = |order: &str| {
        let boot = Setting::Properties([("order".to_owned(), order.to_owned())].into());
        spec(|s| drop(s.settings.insert("boot".to_owned(), boot)))
    };
    let codes = |spec: &GuestSpec, before: &[&str]| {
        let findings = compare(spec, before, &stored).findings;
        findings.iter().map(|f| f.code.clone()).filter(|c| c == "boot").count()
    };
    assert_eq!(codes(&boot("scsi0;ide2"), &[]), 0);
    assert_eq!(codes(&boot("scsi0;net0"), &[]), 1, "there is no net0");
    assert_eq!(codes(&boot("scsi0;ide2"), &["cdroms.ide2"]), 1, "it goes");
    assert_eq!(codes(&boot("scsi0"), &["cdroms.ide2"]), 0);
}

#[test]
fn which_disk_the_guest_boots_from() {
    let sized = |text: &str| format!("{text},size=1G");
    let (a, b) = (sized("s:vm-1-disk-0"), sized("s:vm-1-disk-1"));
    let cd = "local:iso/x.iso,media=cdrom,size=1G";
    let table: [(&[(&str, &str)], &str); 6] = [
        (
            &[("scsi0", &a), ("virtio1", &b), ("boot", "order=virtio1;scsi0")],
            "virtio1→2048M Note:disk-unmanaged",
        ),
        (&[("scsi0", &a), ("ide2", cd), ("boot", "order=ide2;net0;scsi0")], "scsi0→2048M"),
        (
            &[("sata0", &a), ("boot", "cdn"), ("bootdisk", "sata0"), ("ide0", &b)],
            "sata0→2048M Note:disk-unmanaged",
        ),
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
        let stored = live(&[("scsi0", STORED), SINGLE]);
        assert_eq!(line(&compare(&option(name, value), &[], &stored)), expected, "{name}={value}");
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
    let comparison = compare(&wanted, &[], &live(&[("scsi0", STORED), SINGLE]));
    let set = "scsi0=shared:vm-1000-disk-0,discard=on,size=20G,ssd=1,iothread=1";
    assert_eq!(line(&comparison), format!("{set} scsi0→20480M"));
    // `disk` sizes the boot disk when its slot says only options.
    let mut wanted = option("iothread", "1");
    wanted.boot_disk = Some(20 * GIB);
    let comparison = compare(&wanted, &[], &live(&[("scsi0", STORED), SINGLE]));
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
    assert_eq!(comparison.allocates, ["local"]);
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
fn a_disk_that_is_no_longer_said_is_detached() {
    const DATA: &str = "shared:vm-1000-disk-1,size=5G";
    let table: [(&[&str], Config, &str); 8] = [
        (&["disks.scsi1"], &[("scsi1", DATA)], "⏏scsi1 Note:disk-detached"),
        (&["disks.scsi1", "disks.scsi1.ssd"], &[("scsi1", DATA)], "⏏scsi1 Note:disk-detached"),
        (
            &["disks.scsi1", "disks.scsi1.on_removal"],
            &[("scsi1", DATA), ("unused0", "shared:vm-1000-disk-7")],
            "⏏scsi1!unused1=shared:vm-1000-disk-1",
        ),
        // It is gone already.
        (&["disks.scsi1"], &[], ""),
        // The one it boots from, and what somebody put in its place.
        (&["disks.scsi0", "disks.scsi0.ssd"], &[], ""),
        (&["disks.ide2"], &[("ide2", "local:iso/x.iso,media=cdrom")], ""),
        // Never named: by hand, or with the template.
        (&[], &[("scsi1", DATA)], "Note:disk-unmanaged"),
        (&["found.scsi1"], &[("scsi1", DATA)], ""),
    ];
    for (before, config, expected) in table {
        let config: Vec<_> = config.iter().copied().chain([("scsi0", STORED)]).collect();
        let comparison = compare(&spec(|_| {}), before, &live(&config));
        assert_eq!(line(&comparison), expected, "{before:?} {config:?}");
        assert!(!comparison.managed.contains("disks.scsi1"));
    }
}

#[test]
fn what_a_detached_disk_left_behind_comes_back() {
    let dropped = compare(
        &spec(|_| {}),
        &["disks.scsi1"],
        &live(&[("scsi0", STORED), ("scsi1", "shared:vm-1000-disk-1,size=5G")]),
    );
    let path = "detached.scsi1=shared:vm-1000-disk-1,size=5G";
    assert!(dropped.managed.contains(path), "{:?}", dropped.managed);
    let there = live(&[("scsi0", STORED), ("unused3", "shared:vm-1000-disk-1")]);
    let silent = compare(&spec(|_| {}), &[path], &there);
    assert_eq!((line(&silent).as_str(), silent.managed.contains(path)), ("", true));
    let wanted = disk("scsi1", |d| {
        d.size = Some(6 * GIB);
        d.storage = Some("shared".into());
        d.options.insert("ssd".into(), "1".into());
    });
    let again = compare(&wanted, &[path], &there);
    assert_eq!(line(&again), "scsi1=shared:vm-1000-disk-1,size=5G,ssd=1 scsi1→6144M");
    assert!(!again.managed.contains(path) && again.allocates.is_empty());
    // Somebody erased it, or gave it away.
    let gone = compare(&wanted, &[path], &live(&[("scsi0", STORED)]));
    assert_eq!(line(&gone), "scsi1=shared:6,ssd=1");
}

#[test]
fn a_protected_guest_gives_no_drive_away() {
    let before = ["disks.scsi1", "disks.scsi1.on_removal", "cdroms.ide2", "disks.scsi10"];
    let config = [
        ("scsi0", STORED),
        ("scsi1", "shared:vm-1000-disk-1,size=5G"),
        ("ide2", "none,media=cdrom"),
        ("protection", "1"),
    ];
    let stays = compare(&spec(|_| {}), &before, &live(&config));
    assert_eq!(line(&stays), "Warning:drive-protected Warning:drive-protected");
    let kept: Vec<_> = stays.managed.iter().filter(|p| p.contains(['.'])).collect();
    assert_eq!(kept, ["cdroms.ide2", "disks.scsi1", "disks.scsi1.on_removal"]);
    let open = compare(&spec(|s| s.set("protection", "0")), &before, &live(&config));
    assert!(line(&open).starts_with("protection=0 ⏏ide2 ⏏scsi1!unused0"), "{}", line(&open));
    let closed = compare(&spec(|s| s.set("protection", "1")), &before, &live(&config[..3]));
    assert!(!line(&closed).contains("⏏"), "{}", line(&closed));
}

#[test]
fn bytes_that_could_not_go_while_the_guest_ran_go_later() {
    let mut guest = live(&[("scsi0", STORED), ("sata1", "shared:vm-1000-disk-1,size=5G")]);
    guest.running = true;
    let before = ["disks.sata1", "disks.sata1.on_removal"];
    let waits = compare(&spec(|_| {}), &before, &guest);
    assert_eq!(line(&waits), "⏏sata1 Note:disk-detached");
    assert!(waits.managed.contains("erase.shared:vm-1000-disk-1"));
    // What waits takes no `unusedN` yet.
    guest.config.insert("scsi5".into(), "shared:vm-1000-disk-5,size=5G".into());
    let both = [&before[..], &["disks.scsi5", "disks.scsi5.on_removal"]].concat();
    let comparison = compare(&spec(|_| {}), &both, &guest);
    assert_eq!(line(&comparison), "⏏sata1 ⏏scsi5!unused0=shared:vm-1000-disk-5 Note:disk-detached");
    let later = live(&[("scsi0", STORED), ("unused0", "shared:vm-1000-disk-1")]);
    let goes = compare(&spec(|_| {}), &["erase.shared:vm-1000-disk-1"], &later);
    assert_eq!(line(&goes), "!unused0=shared:vm-1000-disk-1");
    assert!(goes.managed.iter().all(|path| !path.starts_with("erase.")));
}

#[test]
fn a_disk_moves_where_its_own_entry_puts_it() {
    type Change = fn(&mut Disk);
    let file = "shared:1000/vm-1000-disk-0.raw,size=10G";
    let table: [(&str, Change, &str); 7] = [
        (STORED, |d| d.storage = Some("fast".into()), "scsi0⇒fast"),
        (STORED, |d| d.storage = Some("shared".into()), ""),
        (file, |d| d.format = Some("qcow2".into()), "scsi0⇒shared:qcow2"),
        (file, |d| d.format = Some("raw".into()), ""),
        (STORED, |d| d.format = Some("raw".into()), ""),
        (STORED, |d| d.format = Some("qcow2".into()), "Warning:disk-format"),
        (
            STORED,
            |d| {
                d.storage = Some("fast".into());
                d.options.insert("cache".into(), "none".into());
            },
            "scsi0=shared:<moved volume>,discard=on,size=10G,ssd=1,cache=none scsi0⇒fast",
        ),
    ];
    for (stored, change, expected) in table {
        assert_eq!(
            line(&compare(&disk("scsi0", change), &[], &live(&[("scsi0", stored)]))),
            expected
        );
    }
    // A storage that is said for the guest as a whole moves nothing.
    let general = spec(|s| {
        s.storage = Some("fast".into());
        s.disks.insert("scsi0".into(), Disk::default());
    });
    assert_eq!(line(&compare(&general, &[], &live(&[("scsi0", STORED)]))), "");
}

#[test]
fn a_move_that_cannot_be_is_said() {
    let wanted = disk("scsi0", |d| d.storage = Some("fast".into()));
    let snapshots = live(&[("scsi0", STORED), ("parent", "before")]);
    assert_eq!(line(&compare(&wanted, &[], &snapshots)), "Warning:disk-not-moved");
    let mut waiting = live(&[("scsi0", STORED)]);
    waiting.running = true;
    waiting.pending.push(pvx_core::live::Pending {
        key: "scsi0".into(),
        running: Some("shared:vm-1000-disk-0,size=10G".into()),
        next: Some(STORED.into()),
    });
    assert_eq!(line(&compare(&wanted, &[], &waiting)), "Warning:disk-not-moved");
}

#[test]
fn cdroms() {
    const ISO: (&str, &str) = ("ide2", "local:iso/x.iso,media=cdrom,size=600M");
    let table: [(&str, Config, &[&str], &str); 8] = [
        ("none", &[], &[], "ide2=none,media=cdrom"),
        ("cdrom", &[], &[], "ide2=cdrom,media=cdrom"),
        ("local:iso/x.iso", &[ISO], &[], ""),
        ("none", &[ISO], &[], "ide2=none,media=cdrom"),
        ("none", &[("ide2", "shared:vm-1000-disk-1,size=1G")], &[], "Error:cdrom-slot"),
        ("none", &[("ide2", "shared:vm-1000-cloudinit,media=cdrom")], &[], "Error:cdrom-slot"),
        ("", &[ISO], &["cdroms.ide2"], "⏏ide2"),
        ("", &[ISO], &[], ""),
    ];
    for (medium, config, before, expected) in table {
        let wanted = spec(|s| {
            if !medium.is_empty() {
                s.cdroms.insert("ide2".into(), medium.into());
            }
        });
        let comparison = compare(&wanted, before, &live(config));
        let found = line(&comparison).replace(" Note:disk-unmanaged", "");
        assert_eq!(found.replace("Note:disk-unmanaged", ""), expected, "{medium} {config:?}");
    }
    // The medium of a running guest changes at once; a drive on IDE comes with a cold boot.
    let wanted = spec(|s| drop(s.cdroms.insert("ide2".into(), "none".into())));
    for (config, effect) in [(vec![ISO], "Live"), (vec![], "Pending")] {
        let mut guest = live(&config);
        guest.running = true;
        let comparison = compare(&wanted, &[], &guest);
        assert_eq!(format!("{:?}", comparison.attributes[0].effect), effect);
    }
}

#[test]
fn a_disk_that_is_filled_from_another_one() {
    let wanted = disk("scsi1", |d| {
        d.storage = Some("shared".into());
        d.import_from = Some("local:import/x.qcow2".into());
        d.size = Some(20 * GIB);
        d.options.insert("ssd".into(), "1".into());
    });
    let comparison = compare(&wanted, &[], &live(&[]));
    let set = "scsi1=shared:0,import-from=local:import/x.qcow2,ssd=1 scsi1→20480M";
    assert_eq!(line(&comparison), set);
    assert!(comparison.made.contains("scsi1"), "it grows when it is there");
    let there = live(&[("scsi1", "shared:vm-1000-disk-1,size=20G,ssd=1")]);
    assert_eq!(line(&compare(&wanted, &[], &there)), "");
}

#[test]
fn a_firmware_s_disks() {
    type Change = fn(&mut GuestSpec);
    let efi: Change = |s| {
        s.storage = Some("shared".into());
        let keys = Some(true);
        s.efidisk = Some(EfiDisk { pre_enrolled_keys: keys, ..EfiDisk::default() });
    };
    let tpm: Change = |s| {
        let storage = Some("fast".into());
        s.tpmstate = Some(TpmState { storage, version: Some("v2.0".into()) });
    };
    let table: [(Change, Config, &str); 8] = [
        (efi, &[], "efidisk0=shared:1,efitype=4m,pre-enrolled-keys=1"),
        (efi, &[("efidisk0", "local:vm-1-disk-1,efitype=4m,pre-enrolled-keys=1,size=4M")], ""),
        (
            efi,
            &[("efidisk0", "local:vm-1-disk-1,efitype=4m,size=4M")],
            "Warning:firmware-disk-fixed",
        ),
        (tpm, &[], "tpmstate0=fast:1,version=v2.0"),
        (tpm, &[("tpmstate0", "fast:vm-1-disk-1,size=4M,version=v2.0")], ""),
        (tpm, &[("tpmstate0", "fast:vm-1-disk-1,size=4M")], "Warning:firmware-disk-fixed"),
        (tpm, &[("tpmstate0", "local:vm-1-disk-1,size=4M,version=v2.0")], "tpmstate0⇒fast"),
        (|s| s.tpmstate = Some(TpmState::default()), &[], "Error:efidisk-storage"),
    ];
    for (change, config, expected) in table {
        assert_eq!(line(&compare(&spec(change), &[], &live(config))), expected, "{config:?}");
    }
    let general = spec(|s| {
        s.storage = Some("shared".into());
        s.efidisk = Some(EfiDisk::default());
        s.efidisk_pre_enrolled_keys = Some(true);
    });
    let made = "efidisk0=shared:1,efitype=4m,pre-enrolled-keys=1";
    assert_eq!(line(&compare(&general, &[], &live(&[]))), made);
    let there = live(&[("efidisk0", "shared:vm-1-disk-1,efitype=4m,size=4M")]);
    assert_eq!(line(&compare(&general, &[], &there)), "", "only what its entry says is compared");
    let mut guest = live(&[("tpmstate0", "local:vm-1-disk-1,size=4M,version=v2.0")]);
    guest.running = true;
    assert_eq!(line(&compare(&spec(tpm), &[], &guest)), "Warning:disk-not-moved");
}

#[test]
fn a_kept_disk_is_said_on_the_guest_itself() {
    let comparison = compare(&disk("scsi0", |d| d.keep = true), &[], &live(&[("scsi0", STORED)]));
    assert!(line(&comparison).contains("pvx-keep.scsi0"), "{}", line(&comparison));
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

#[test]
fn firmware_disks_are_never_taken_away() {
    let stored = live(&[("scsi0", STORED), ("efidisk0", "local:vm-1-disk-1,size=4M")]);
    let comparison = compare(&spec(|_| {}), &["efidisk0"], &stored);
    assert!(comparison.is_empty());
    assert!(comparison.managed.contains("efidisk0"));
    assert_eq!(line(&comparison), "Note:firmware-disk-stays");
    // Nothing is said of one that no document ever named.
    assert_eq!(line(&compare(&spec(|_| {}), &[], &stored)), "");
}
