//! Law 5: what a document said before and no longer says is reset; what it never said is not
//! touched.

use std::collections::BTreeMap;

use insta::assert_snapshot;
use pvx_core::desired::{Disk, IpConfig, Network};
use pvx_core::state::Memory;

use crate::lab::{Lab, made};

fn much() -> Lab {
    made(|g| {
        let spec = &mut g.spec;
        spec.set("onboot", "1");
        spec.set_property("cpu", "cputype", "host");
        spec.set_property("agent", "enabled", "1");
        spec.set_property("machine", "type", "q35");
        let net = Network { bridge: Some("vmbr1".into()), ..Network::default() }.with("tag", "7");
        spec.networks.insert("net0".into(), net.clone());
        spec.networks.insert("net1".into(), net);
        let options = BTreeMap::from([("ssd".to_owned(), "1".to_owned())]);
        spec.disks.insert("scsi0".into(), Disk { options, ..Disk::default() });
        spec.cloudinit.user = Some("debian".into());
        let ip = IpConfig {
            ip: Some("10.0.0.61/24".into()),
            gw: Some("10.0.0.1".into()),
            ip6: Some("auto".into()),
            ..IpConfig::default()
        };
        spec.cloudinit.ipconfig.insert(0, ip);
    })
}

fn less(lab: &mut Lab) {
    let bare = made(|_| {}).desired.profiles[0].guests[0].clone();
    lab.config(1000, "hookscript", "local:snippets/by-hand.sh");
    let spec = &mut lab.first().spec;
    spec.clone_from(&bare.spec);
    spec.networks.insert("net0".into(), Network::default());
    spec.disks.insert("scsi0".into(), Disk::default());
    let ip = IpConfig { ip: Some("dhcp".into()), ..IpConfig::default() };
    spec.cloudinit.ipconfig.insert(0, ip);
}

#[test]
fn dropped_keys_are_reset() {
    let mut lab = much();
    less(&mut lab);
    assert_snapshot!(lab.apply());
    assert_eq!(lab.get(1000, "hookscript"), "local:snippets/by-hand.sh");
    assert_eq!(lab.get(1000, "ipconfig0"), "ip=dhcp");
}

#[test]
fn without_memory_they_stay() {
    let mut lab = much();
    less(&mut lab);
    lab.memory = Memory::default();
    assert_snapshot!(lab.apply());
}

#[test]
fn keys_that_were_never_said_stay() {
    let mut lab = made(|_| {});
    for (key, value) in [("onboot", "1"), ("ciuser", "root"), ("net3", "virtio=BC:24:11:00:00:09")]
    {
        lab.config(1000, key, value);
    }
    assert_eq!(lab.apply(), "nothing to do");
}
