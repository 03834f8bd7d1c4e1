use proptest::prelude::*;

use super::*;

/// Pairs that Proxmox VE stores differently and means alike.
const SAME: &[(&str, &str, &str)] = &[
    ("agent", "1", "enabled=1"),
    ("agent", "1", "enabled=yes,freeze-fs=1,type=virtio"),
    ("agent", "1,freeze-fs-on-backup=0", "guest-fsfreeze=0,enabled=1"),
    ("net0", "virtio=BC:24:11:6A:35:05,bridge=vmbr0", "bridge=vmbr0,virtio=bc:24:11:6a:35:05"),
    ("net0", "virtio=BC:24:11:6A:35:05", "model=virtio,macaddr=bc:24:11:6a:35:05"),
    ("net0", "virtio,macaddr=BC:24:11:6A:35:05", "virtio=BC:24:11:6A:35:05,firewall=0"),
    ("net1", "virtio,firewall=on,tag=020", "virtio,tag=20,firewall=1"),
    ("net1", "virtio,trunks=3;1-2", "virtio,trunks=1-2;3"),
    ("scsi0", "vmdata:1/a.raw,size=1G,ssd=1", "file=vmdata:1/a.raw,ssd=on,size=1024M"),
    ("scsi0", "volume=vmdata:1/a.raw", "vmdata:1/a.raw,media=disk,backup=1,discard=ignore"),
    ("scsi0", "a:b,mbps=10", "a:b,mbps=10.000"),
    ("efidisk0", "a:b,efitype=4m", "a:b,efitype=4m,pre-enrolled-keys=0"),
    ("tags", "alpha;zeta", "Zeta, alpha alpha"),
    ("description", "first\nsecond", "first\nsecond\n \n"),
    ("onboot", "1", "on"),
    ("cores", "2", "+02"),
    ("cpulimit", "1.5", "1.50"),
    ("cpulimit", "2", "2.0"),
    ("memory", "2048", "current=2048"),
    ("startup", "order=1,up=5", "up=05,1"),
    (
        "smbios1",
        "uuid=B1AC2673-A79A-4E76-AFA6-8361BD4F6263",
        "base64=0,uuid=b1ac2673-a79a-4e76-afa6-8361bd4f6263",
    ),
    ("vmgenid", "3A4040E7-bdd3-45c8-be87-c3af4dce3126", "3a4040e7-bdd3-45c8-be87-c3af4dce3126"),
    ("boot", "order=scsi0;net0", "order=scsi0;net0;"),
    ("hotplug", "1", "usb,disk,network"),
    ("hotplug", "0", ""),
    ("ipconfig0", "ip=10.0.0.5/24,gw=10.0.0.1", "gw=10.0.0.1,ip=10.0.0.5/24"),
    ("ipconfig0", "ip6=fd00::0:1/64", "ip6=FD00::1/64"),
    ("sshkeys", "ssh-ed25519%20AAAA%2B%20me%40x%0A", "ssh-ed25519%20AAAA%2B%20me@x"),
    ("nameserver", "10.0.0.1 10.0.0.2", "10.0.0.1,10.0.0.2"),
    ("cpu", "x86-64-v2-AES,flags=+aes;-pcid", "flags=-pcid;+aes,cputype=x86-64-v2-AES,hidden=0"),
    ("hostpci0", "0000:0A:00.0,pcie=1", "pcie=on,host=0000:0a:00.0,rombar=1"),
    ("vga", "serial0", "type=serial0"),
    ("affinity", "0,1,5", "5,0-1"),
    ("net1", "virtio,trunks=1;2;3", "virtio,trunks=1-3"),
    ("numa0", "cpus=0-1,memory=512", "memory=512,cpus=1;0"),
    ("amd-sev", "std", "type=std,allow-smt=1"),
    ("net0", "virtio,,bridge=vmbr0", "virtio,bridge=vmbr0"),
];

/// Pairs that differ.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("agent", "1", "0"),
    ("agent", "1", "1,fstrim_cloned_disks=1"),
    ("net0", "virtio=BC:24:11:6A:35:05", "virtio=BC:24:11:6A:35:06"),
    ("net0", "virtio=BC:24:11:6A:35:05", "e1000=BC:24:11:6A:35:05"),
    ("net0", "virtio=BC:24:11:6A:35:05", "virtio"),
    ("net0", "virtio,bridge=vmbr0", "virtio,bridge=vmbr0,firewall=1"),
    ("net0", "virtio,bridge=vmbr0", "virtio,bridge=VMBR0"),
    ("net0", "virtio=BC:24:11:6A:35:05,macaddr=BC:24:11:6A:35:05", "virtio=BC:24:11:6A:35:05"),
    ("scsi0", "vmdata:1/a.raw,size=1G", "vmdata:1/a.raw,size=2G"),
    ("scsi0", "vmdata:1/a.raw,size=1G", "vmdata:1/a.raw"),
    ("scsi0", "vmdata:1/a.raw", "vmdata:1/a.raw,future=1"),
    ("ide2", "none,media=cdrom", "none"),
    ("tags", "a;b", "a"),
    ("description", "first", " first"),
    ("description", "first", "First"),
    ("onboot", "1", "0"),
    ("onboot", "1", "maybe"),
    ("cores", "2", "20"),
    ("cores", "2", ""),
    ("cpulimit", "1.5", "1.05"),
    ("boot", "order=scsi0;net0", "order=net0;scsi0"),
    ("boot", "order=scsi0", "cdn"),
    ("name", "a", "A"),
    ("ciuser", "debian", "debian "),
    ("hotplug", "1", "network,disk,usb,cpu"),
    ("ipconfig0", "ip=10.0.0.5/24", "ip=10.0.0.5/16"),
    ("ipconfig0", "ip=dhcp", "ip6=dhcp"),
    ("nameserver", "10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1"),
    ("sshkeys", "a%20b", "a%20c"),
    ("virtio0", "a:b,iothread=1", "a:b"),
    ("affinity", "0-1", "0-2"),
    ("affinity", "1-0", "0-1"),
    ("meta", "creation-qemu=10.2.2,ctime=1", "ctime=1,creation-qemu=10.2.2"),
];

#[test]
fn values_that_mean_the_same_are_equal() {
    for (key, a, b) in SAME {
        assert!(equal(key, a, b), "{key}: {a} and {b}");
        assert!(equal(key, b, a), "{key}: {b} and {a}");
    }
}

#[test]
fn values_that_differ_are_not() {
    for (key, a, b) in DIFFERENT {
        assert!(!equal(key, a, b), "{key}: {a} and {b}");
        assert!(!equal(key, b, a), "{key}: {b} and {a}");
    }
}

const KEYS: &[&str] = &[
    "agent",
    "boot",
    "cicustom",
    "cores",
    "cpu",
    "cpulimit",
    "description",
    "hotplug",
    "ide2",
    "ipconfig0",
    "memory",
    "name",
    "net0",
    "onboot",
    "scsi0",
    "smbios1",
    "sshkeys",
    "startup",
    "tags",
    "vga",
    "nonsense",
    "rng0",
    "usb0",
    "hostpci0",
    "numa0",
    "virtiofs0",
];

/// Texts that are nearly, but not always, values of some key.
fn value() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        prop::sample::select(vec![
            "1",
            "0",
            "on",
            "virtio",
            "e1000",
            "file",
            "volume",
            "model",
            "macaddr",
            "enabled",
            "size",
            "1G",
            "1024M",
            "BC:24:11:6A:35:05",
            "bc:24:11:6a:35:05",
            "a:b",
            "ip",
            "dhcp",
            "order",
            "uuid",
            "base64",
            "2.0",
            "02",
            "=",
            ",",
            ";",
            " ",
            "%20",
            "\n",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
    ];
    prop::collection::vec(token, 0..8).prop_map(|tokens| tokens.concat())
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(KEYS)
}

/// Entries that can be written: `None` for the bare one.
fn entries() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::btree_map("[a-z_-]{1,8}", "[!-+.-~]([ -+.-~]{0,10}[!-+.-~])?", 0..8)
        .prop_map(|map| map.into_iter().collect::<Vec<_>>())
        .prop_shuffle()
}

proptest! {
    #[test]
    fn equal_is_reflexive_and_symmetric(key in key(), a in value(), b in value()) {
        prop_assert!(equal(key, &a, &a));
        prop_assert_eq!(equal(key, &a, &b), equal(key, &b, &a));
    }

    #[test]
    fn equal_is_transitive(key in key(), a in value(), b in value(), c in value()) {
        if equal(key, &a, &b) && equal(key, &b, &c) {
            prop_assert!(equal(key, &a, &c));
        }
    }

    #[test]
    fn what_is_set_is_read_again(entries in entries(), bare in any::<bool>()) {
        let default = bare.then_some("file");
        let mut built = PropertyString::new(default);
        for (key, value) in &entries {
            built.set(key, value).unwrap();
        }
        if bare {
            built.set("file", "vmdata:1/a.raw").unwrap();
        }
        let parsed = PropertyString::parse(&built.encode(), default).unwrap();
        prop_assert_eq!(&parsed, &built);
        prop_assert_eq!(parsed.encode(), built.encode());
        for (key, value) in &entries {
            prop_assert_eq!(parsed.get(key), Some(value.as_str()));
        }
    }

    #[test]
    fn any_text_is_refused_or_written_back(text in value(), bare in any::<bool>()) {
        let default = bare.then_some("file");
        if let Ok(parsed) = PropertyString::parse(&text, default) {
            let parts: Vec<&str> = text.split(',').filter(|p| !p.trim().is_empty()).collect();
            prop_assert_eq!(parsed.encode(), parts.join(","));
            prop_assert_eq!(PropertyString::parse(&parsed.encode(), default).unwrap(), parsed);
        }
    }

    #[test]
    fn order_of_entries_is_no_difference(entries in entries(), seed in any::<u64>()) {
        let text = |entries: &[(String, String)]| {
            entries.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
        };
        let mut turned = entries.clone();
        if !turned.is_empty() {
            let by = usize::try_from(seed % turned.len() as u64).unwrap();
            turned.rotate_left(by);
        }
        let drive = |entries: &[(String, String)]| format!("{},file=a:b", text(entries));
        prop_assert!(equal("scsi0", &drive(&entries), &drive(&turned)));
    }

    #[test]
    fn views_write_back_what_they_read(text in value()) {
        let normal = |default| PropertyString::parse(&text, default).map(|p| p.encode());
        if let Ok(drive) = Drive::parse(&text) {
            prop_assert_eq!(Ok(drive.to_string()), normal(Some("file")));
            let _ = (drive.volume(), drive.is_cloudinit(), drive.size());
        }
        if let Ok(nic) = Nic::parse(&text) {
            prop_assert_eq!(Ok(nic.to_string()), normal(Some("model")));
            let _ = (nic.macaddr(), nic.tag());
        }
        if let Ok(smbios) = Smbios::parse(&text) {
            prop_assert_eq!(Ok(smbios.to_string()), normal(None));
        }
    }

    #[test]
    fn sizes_are_exact(bytes in any::<u64>()) {
        let size = Size::from_bytes(bytes);
        prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        // Below 4 KiB more decimals are needed than are read; no disk has such a size.
        let size = Size::from_bytes(bytes & !4095);
        prop_assert_eq!(format!("{}G", size.gib_text()).parse::<Size>().unwrap(), size);
    }

    #[test]
    fn sizes_never_panic(text in "[0-9.]{0,60}[KMGT]?(iB)?") {
        let _ = text.parse::<Size>();
    }

    #[test]
    fn ssh_keys_survive(keys in "\\PC*") {
        let stored = encode_ssh_keys(&keys);
        prop_assert!(stored.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%".contains(&b)));
        prop_assert_eq!(decode_ssh_keys(&stored), keys);
    }

    #[test]
    fn tags_are_stable(text in "[A-Za-z0-9_;, +.-]{0,40}") {
        let tags = Tags::parse(&text);
        prop_assert_eq!(Tags::parse(&tags.to_string()), tags);
    }
}
