//! The decision, enumerated: every key of the table on guests of every kind.

use pvx_core::live::{Guest, Pending};

use super::*;

/// A guest that has everything.
fn guest(running: bool, hotplug: Option<&str>, numa: bool) -> Guest {
    let config = [
        ("agent", "1"),
        ("balloon", "1024"),
        ("boot", "order=scsi0;net0"),
        ("cores", "2"),
        ("ide2", "none,media=cdrom"),
        ("ide3", "shared:1000/vm-1000-cloudinit.qcow2,media=cdrom"),
        ("memory", "2048"),
        ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
        ("ostype", "l26"),
        ("sata0", "shared:1000/vm-1000-disk-2.raw,size=1G"),
        ("scsi0", "shared:1000/vm-1000-disk-0.raw,size=1G"),
        ("scsi1", "shared:1000/vm-1000-disk-1.raw,size=1G"),
        ("tpmstate0", "shared:1000/vm-1000-disk-3.raw,version=v2.0"),
        ("usb0", "spice"),
    ];
    let all = config.into_iter().chain(hotplug.map(|value| ("hotplug", value)));
    let all = all.chain(numa.then_some(("numa", "1")));
    let config = all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Guest { running, config, ..Guest::default() }
}

fn change(key: &str, after: Option<&str>, guest: &Guest) -> Cost {
    of_change(key, running(guest, key), after, guest)
}

/// Values that say something else than the guest above, for keys where the value matters.
const VALUES: &[(&str, &str)] = &[
    ("agent", "1,fstrim_cloned_disks=1"),
    ("agent", "0"),
    ("balloon", "512"),
    ("balloon", "0"),
    ("hotplug", "network"),
    ("hotplug", "network,cpu"),
    ("ide0", "none,media=cdrom"),
    ("ide2", "shared:iso/tools.iso,media=cdrom"),
    ("ide2", "shared:1000/vm-1000-disk-9.raw,size=1G"),
    ("memory", "3072"),
    ("memory", "3000"),
    ("memory", "512"),
    (
        "net0",
        "virtio=BC:24:11:00:00:01,bridge=vmbr1,tag=5,firewall=1,rate=5,trunks=1;2,link_down=1",
    ),
    ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,mtu=1"),
    ("net0", "virtio=BC:24:11:00:00:02,bridge=vmbr0"),
    ("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0"),
    ("net0", "virtio=BC:24:11:00:00:01"),
    ("net1", "virtio=BC:24:11:00:00:03,bridge=vmbr0"),
    ("sata0", "shared:1000/vm-1000-disk-2.raw,size=1G,mbps=5"),
    ("sata0", "shared:1000/vm-1000-disk-9.raw,size=1G"),
    ("scsi0", "shared:1000/vm-1000-disk-9.raw,size=1G"),
    ("scsi1", "shared:1000/vm-1000-disk-1.raw,size=1G,backup=0,replicate=0"),
    ("scsi1", "shared:1000/vm-1000-disk-1.raw,size=1G,iops=5,backup=0"),
    ("scsi1", "shared:1000/vm-1000-disk-1.raw,size=1G,ssd=1,iops=5"),
    ("scsi1", "shared:1000/vm-1000-disk-1.raw,size=1G,serial=5"),
    ("scsi1", "shared:1000/vm-1000-disk-9.raw,size=1G"),
    ("scsi2", "shared:5"),
    ("tpmstate0", "shared:1000/vm-1000-disk-3.raw,version=v1.2"),
    ("vcpus", "1"),
    ("vcpus", "3"),
    ("virtio0", "shared:5"),
];

const HOTPLUG: [Option<&str>; 9] = [
    None,
    Some("0"),
    Some("1"),
    Some("network"),
    Some("disk"),
    Some("usb"),
    Some("cpu"),
    Some("memory"),
    Some("cloudinit"),
];

/// What happens to a running guest in all of its kinds, in one line.
fn line(key: &str, after: Option<&str>) -> String {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for hotplug in HOTPLUG {
        for numa in [false, true] {
            let cost = change(key, after, &guest(true, hotplug, numa));
            let mut word = format!("{:?}", cost.effect);
            if !cost.noticed {
                word += " unnoticed";
            }
            if !cost.why.is_empty() {
                word += &format!(" ({})", cost.why);
            }
            let kind = format!("{}{}", hotplug.unwrap_or("unset"), if numa { "+numa" } else { "" });
            match found.iter_mut().find(|(known, _)| *known == word) {
                Some((_, kinds)) => kinds.push(kind),
                None => found.push((word, vec![kind])),
            }
        }
    }
    let stopped = change(key, after, &guest(false, None, false));
    let mut text = format!("{key} → {}", after.unwrap_or("∅"));
    if stopped.effect != Effect::Live {
        text += &format!("\n    stopped: {:?} ({})", stopped.effect, stopped.why);
    }
    match found.as_slice() {
        [(word, _)] => text += &format!("\n    always {word}"),
        // The word of the most kinds comes last, as all others.
        several => {
            let most = several.iter().map(|(_, kinds)| kinds.len()).max();
            let usual = several.iter().position(|(_, kinds)| Some(kinds.len()) == most);
            for (index, (word, kinds)) in several.iter().enumerate() {
                if Some(index) != usual {
                    text += &format!("\n    {}: {word}", kinds.join(" "));
                }
            }
            if let Some((word, _)) = usual.and_then(|index| several.get(index)) {
                text += &format!("\n    else: {word}");
            }
        }
    }
    text
}

/// Every key set to some value and removed, and the values that matter, on a running guest with
/// each `hotplug`, with and without numa, and on a stopped one where that is not simply live.
#[test]
fn the_whole_decision() {
    let mut lines = Vec::new();
    for (name, _) in table() {
        let key = name.replace("[n]", "0");
        let values = VALUES.iter().filter(|(of, _)| *of == key).map(|(_, value)| *value);
        let values: Vec<&str> = values.collect();
        let plain = if values.is_empty() { vec!["9"] } else { values };
        lines.extend(plain.into_iter().map(|value| line(&key, Some(value))));
        if running(&guest(true, None, false), &key).is_some() {
            lines.push(line(&key, None));
        }
    }
    let further =
        VALUES.iter().filter(|(key, _)| !table().any(|(name, _)| name.replace("[n]", "0") == *key));
    lines.extend(further.map(|(key, value)| line(key, Some(value))));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_runs_decides_and_not_what_waits() {
    let mut guest = guest(true, Some("network"), false);
    guest.pending = vec![
        Pending { key: "hotplug".into(), running: Some("0".into()), next: Some("network".into()) },
        Pending { key: "cores".into(), running: Some("2".into()), next: Some("4".into()) },
    ];
    assert_eq!(change("net1", Some("virtio,bridge=vmbr0"), &guest), Cost::off(Feature::Network));
    assert_eq!(change("cores", Some("8"), &guest).effect, Effect::Pending);
    // Back to what runs: nothing waits any more.
    assert_eq!(change("cores", Some("2"), &guest), Cost::live());
    assert_eq!(change("vcpus", Some("3"), &guest).effect, Effect::Pending);
}

#[test]
fn usb_by_operating_system_and_machine() {
    let table = [
        ("l26", "q35", Effect::Live),
        ("win11", "pc-q35-9.2+pve1", Effect::Live),
        ("l26", "pc-i440fx-6.2", Effect::Pending),
        ("l26", "pc-i440fx-7.1", Effect::Live),
        ("win7", "q35", Effect::Pending),
        ("other", "q35", Effect::Pending),
    ];
    for (ostype, machine, effect) in table {
        let mut guest = guest(true, None, false);
        guest.config.insert("ostype".into(), ostype.into());
        guest.config.insert("machine".into(), machine.into());
        assert_eq!(change("usb1", Some("spice"), &guest).effect, effect, "{ostype} {machine}");
    }
}

#[test]
fn a_disk_it_boots_from() {
    for (boot, bootdisk, offline) in [
        (Some("order=scsi1"), None, true),
        (Some("cdn"), Some("scsi1"), true),
        (None, Some("scsi1"), true),
        (Some("order=scsi0"), Some("scsi1"), false),
        (Some("cdn"), None, false),
    ] {
        let mut guest = guest(true, None, false);
        guest.config.remove("boot");
        guest.config.extend(boot.map(|value| ("boot".to_owned(), value.to_owned())));
        guest.config.extend(bootdisk.map(|value| ("bootdisk".to_owned(), value.to_owned())));
        let effect = change("scsi1", None, &guest).effect;
        assert_eq!(effect == Effect::Offline, offline, "{boot:?} {bootdisk:?}");
    }
}

#[test]
fn cloudinit_without_a_drive_is_nobodys_matter() {
    let mut guest = guest(true, None, false);
    guest.config.remove("ide3");
    assert_eq!(change("ciuser", Some("debian"), &guest), Cost::unnoticed());
}

#[test]
fn keys_of_paths() {
    for (path, key) in [
        ("cores", "cores"),
        ("net0.bridge", "net0"),
        ("scsi0.size", "scsi0"),
        ("disks.scsi0", "scsi0"),
        ("disks.scsi0.ssd", "scsi0"),
        ("smbios1.uuid", "smbios1"),
    ] {
        assert_eq!(key_of(path), key);
    }
}
