//! Cloud-init.

use pvx_core::desired::{GuestSpec, IpConfig};

use super::{attributes, compare, line, live, spec};

fn drive(change: impl FnOnce(&mut GuestSpec)) -> GuestSpec {
    spec(|s| {
        s.cloudinit.drive = true;
        change(s);
    })
}

#[test]
fn where_the_drive_goes() {
    let disk = ("scsi0", "local-lvm:vm-1000-disk-0,size=1G");
    let table: [(&[(&str, &str)], &str); 9] = [
        (&[disk], "ide2=local-lvm:cloudinit"),
        (&[disk, ("bios", "ovmf")], "scsi1=local-lvm:cloudinit"),
        (&[disk, ("ide2", "none,media=cdrom")], "scsi1=local-lvm:cloudinit"),
        (
            &[disk, ("bios", "ovmf"), ("scsi1", "x:vm-1000-disk-1")],
            "scsi2=local-lvm:cloudinit Note:disk-unmanaged",
        ),
        (
            &[disk, ("ide2", "x:1"), ("scsi1", "x:1"), ("sata5", "x:1")],
            "Note:disk-unmanaged Error:cloudinit-slot",
        ),
        (&[], "Error:cloudinit-storage"),
        (&[disk, ("ide0", "local:vm-1000-cloudinit.qcow2,media=cdrom")], ""),
        (&[disk, ("scsi1", "local:vm-1000-cloudinit,media=cdrom,size=4M")], ""),
        (&[disk, ("ide2", "local:iso/cloudinit.iso,media=cdrom")], "scsi1=local-lvm:cloudinit"),
    ];
    for (config, expected) in table {
        let comparison = compare(&drive(|_| {}), &[], &live(config));
        assert_eq!(line(&comparison), expected, "{config:?}");
        assert_eq!(comparison.allocates.is_empty(), comparison.set.is_empty());
        let none = compare(&spec(|_| {}), &[], &live(config));
        assert!(none.is_empty(), "none is wanted: {}", line(&none));
    }
    let chosen = compare(&drive(|s| s.storage = Some("shared".into())), &[], &live(&[disk]));
    assert_eq!(line(&chosen), "ide2=shared:cloudinit");
    // A slot that documents want for a disk is not taken.
    let claimed = drive(|s| {
        s.storage = Some("shared".into());
        let disk = pvx_core::desired::Disk { size: Some(1 << 30), ..Default::default() };
        s.disks.insert("ide2".into(), disk);
    });
    assert_eq!(
        line(&compare(&claimed, &[], &live(&[disk]))),
        "ide2=shared:1 scsi1=shared:cloudinit"
    );
}

#[test]
fn texts() {
    type Change = fn(&mut GuestSpec);
    let table: [(Change, &str, &str, &[&str], &str); 4] = [
        (
            |s| s.cloudinit.user = Some("debian".into()),
            "cloudinit.user",
            "ciuser",
            &["debian"],
            "debian",
        ),
        (
            |s| s.cloudinit.ssh_keys = Some("ssh-rsa A+ b\nssh-rsa C d\n".into()),
            "cloudinit.ssh_keys",
            "sshkeys",
            &["ssh-rsa%20C%20d%0Assh-rsa%20A%2B%20b"],
            "ssh-rsa%20A%2B%20b%0Assh-rsa%20C%20d%0A",
        ),
        (
            |s| s.cloudinit.nameservers = vec!["10.0.0.1".into(), "10.0.0.2".into()],
            "cloudinit.nameservers",
            "nameserver",
            &["10.0.0.1 10.0.0.2", "10.0.0.1,10.0.0.2"],
            "10.0.0.1 10.0.0.2",
        ),
        (
            |s| s.cloudinit.searchdomain = Some("lab.example".into()),
            "cloudinit.searchdomain",
            "searchdomain",
            &["lab.example"],
            "lab.example",
        ),
    ];
    for (change, path, key, same, set) in table {
        let wanted = spec(change);
        for same in same {
            let comparison = compare(&wanted, &[], &live(&[(key, same)]));
            assert_eq!(line(&comparison), "", "{same}");
            assert!(comparison.managed.contains(path));
        }
        assert_eq!(line(&compare(&wanted, &[], &live(&[]))), format!("{key}={set}"));
        assert_eq!(line(&compare(&wanted, &[], &live(&[(key, "other")]))), format!("{key}={set}"));
        assert_eq!(
            line(&compare(&spec(|_| {}), &[path], &live(&[(key, "other")]))),
            format!("-{key}")
        );
        assert_eq!(line(&compare(&spec(|_| {}), &[], &live(&[(key, "other")]))), "");
    }
}

#[test]
fn no_keys_are_no_value() {
    for keys in ["", "\n", "  \n"] {
        let wanted = spec(|s| s.cloudinit.ssh_keys = Some(keys.into()));
        assert_eq!(line(&compare(&wanted, &[], &live(&[]))), "");
    }
}

fn address(parts: [Option<&str>; 4]) -> GuestSpec {
    let [ip, gw, ip6, gw6] = parts.map(|part| part.map(str::to_owned));
    spec(|s| drop(s.cloudinit.ipconfig.insert(0, IpConfig { ip, gw, ip6, gw6 })))
}

#[test]
fn addresses_by_family() {
    let (ip, gw) = (Some("10.0.0.6/24"), Some("10.0.0.1"));
    let table = [
        ([ip, gw, None, None], &[][..], "gw=10.0.0.1,ip=10.0.0.6/24", ""),
        ([ip, gw, None, None], &[], "", "ipconfig0=ip=10.0.0.6/24,gw=10.0.0.1"),
        ([ip, gw, None, None], &[], "ip=dhcp", "ipconfig0=ip=10.0.0.6/24,gw=10.0.0.1"),
        // The other family is not the documents'.
        ([ip, gw, None, None], &[], "ip6=auto,ip=10.0.0.6/24,gw=10.0.0.1", ""),
        (
            [ip, gw, None, None],
            &[],
            "ip=dhcp,ip6=auto",
            "ipconfig0=ip=10.0.0.6/24,gw=10.0.0.1,ip6=auto",
        ),
        // It was, before.
        (
            [ip, gw, None, None],
            &["ipconfig0", "ipconfig0.ip6"],
            "ip=dhcp,ip6=auto",
            "ipconfig0=ip=10.0.0.6/24,gw=10.0.0.1",
        ),
        // A gateway goes with its address.
        ([ip, None, None, None], &[], "ip=10.0.0.6/24,gw=10.0.0.1", "ipconfig0=ip=10.0.0.6/24"),
        ([None, None, Some("fd00:0::6/64"), None], &[], "ip6=fd00::6/64", ""),
        ([None; 4], &[], "ip=dhcp", ""),
        ([None; 4], &[], "", ""),
        ([None; 4], &["ipconfig0", "ipconfig0.ip"], "ip=dhcp", "-ipconfig0"),
        ([Some("a,b"), None, None, None], &[], "ip=dhcp", "-ipconfig0 Error:ipconfig"),
    ];
    for (parts, before, stored, expected) in table {
        let live = if stored.is_empty() { live(&[]) } else { live(&[("ipconfig0", stored)]) };
        assert_eq!(
            line(&compare(&address(parts), before, &live)),
            expected,
            "{parts:?} on {stored}"
        );
    }
}

#[test]
fn an_index_that_is_no_longer_said() {
    let stored = live(&[("ipconfig0", "ip=dhcp"), ("ipconfig1", "ip=dhcp")]);
    let before = ["ipconfig0", "ipconfig0.ip", "ipconfig1", "ipconfig1.ip"];
    let comparison = compare(&address([Some("dhcp"), None, None, None]), &before, &stored);
    assert_eq!(line(&comparison), "-ipconfig1");
    assert_eq!(attributes(&comparison), ["ipconfig1 ip=dhcp → ∅"]);
}

#[test]
fn a_gateway_needs_an_address_beside_it() {
    for (parts, wrong) in [
        ([None, Some("10.0.0.1"), None, None], true),
        ([Some("dhcp"), Some("10.0.0.1"), None, None], true),
        ([None, None, Some("auto"), Some("fe80::1")], true),
        ([Some("10.0.0.5/24"), Some("10.0.0.1"), None, None], false),
        ([Some("dhcp"), None, Some("auto"), None], false),
    ] {
        let comparison = compare(&address(parts), &[], &live(&[]));
        let found = comparison.findings.iter().any(|f| f.code == "ipconfig");
        assert_eq!(found, wrong, "{parts:?}");
    }
}
