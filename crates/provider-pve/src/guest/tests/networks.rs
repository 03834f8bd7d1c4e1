//! Network devices.

use pvx_core::desired::Network;

use super::{attributes, compare, line, live, spec};

const STORED: &str = "virtio=BC:24:11:6A:35:05,bridge=vmbr0,firewall=1,tag=7,rate=50,queues=4";

fn set(network: &mut Network, property: &str, value: &str) {
    network.options.insert(property.to_owned(), value.to_owned());
}

fn net0(change: impl FnOnce(&mut Network)) -> pvx_core::desired::GuestSpec {
    let mut network = Network::default();
    change(&mut network);
    spec(|s| drop(s.networks.insert("net0".into(), network)))
}

#[test]
fn property_by_property() {
    type Change = fn(&mut Network);
    let table: [(Change, &str); 15] = [
        (|_| {}, ""),
        (|n| n.bridge = Some("vmbr0".into()), ""),
        (|n| n.mac = Some("bc:24:11:6a:35:05".into()), ""),
        (|n| n.model = Some("virtio".into()), ""),
        (|n| set(n, "tag", "7"), ""),
        (|n| set(n, "firewall", "1"), ""),
        (
            |n| n.bridge = Some("vmbr1".into()),
            "net0=virtio=BC:24:11:6A:35:05,bridge=vmbr1,firewall=1,tag=7,rate=50,queues=4",
        ),
        (
            |n| n.mac = Some("BC:24:11:00:00:02".into()),
            "net0=virtio=BC:24:11:00:00:02,bridge=vmbr0,firewall=1,tag=7,rate=50,queues=4",
        ),
        (
            |n| n.model = Some("e1000".into()),
            "net0=e1000=BC:24:11:6A:35:05,bridge=vmbr0,firewall=1,tag=7,rate=50,queues=4",
        ),
        (
            |n| set(n, "tag", "8"),
            "net0=virtio=BC:24:11:6A:35:05,bridge=vmbr0,firewall=1,tag=8,rate=50,queues=4",
        ),
        (
            |n| set(n, "firewall", "0"),
            "net0=virtio=BC:24:11:6A:35:05,bridge=vmbr0,firewall=0,tag=7,rate=50,queues=4",
        ),
        (
            |n| set(n, "mtu", "1"),
            "net0=virtio=BC:24:11:6A:35:05,bridge=vmbr0,firewall=1,tag=7,rate=50,queues=4,mtu=1",
        ),
        (|n| n.model = Some("token-ring".into()), "Error:unknown-model"),
        (|n| n.mac = Some("01:24:11:00:00:02".into()), "Error:network-option"),
        (|n| n.bridge = Some("a,b".into()), "Error:network-option"),
    ];
    for (change, expected) in table {
        let comparison = compare(&net0(change), &[], &live(&[("net0", STORED)]));
        assert_eq!(line(&comparison), expected);
    }
}

#[test]
fn no_firewall_is_a_firewall_that_is_off() {
    let stored = live(&[("net0", "virtio=BC:24:11:6A:35:05,bridge=vmbr0")]);
    assert_eq!(line(&compare(&net0(|n| set(n, "firewall", "0")), &[], &stored)), "");
}

#[test]
fn a_device_that_is_not_there() {
    let said = net0(|n| {
        n.bridge = Some("vmbr0".into());
        n.mac = Some("bc:24:11:6a:35:05".into());
        set(n, "firewall", "0");
        set(n, "tag", "3");
    });
    let comparison = compare(&said, &[], &live(&[]));
    assert_eq!(line(&comparison), "net0=virtio=BC:24:11:6A:35:05,bridge=vmbr0,tag=3");
    assert_eq!(attributes(&comparison)[0], "net0.bridge ∅ → vmbr0");
    // Even one of which nothing is said has a line for people.
    let bare = compare(&net0(|_| {}), &[], &live(&[]));
    assert_eq!(
        (line(&bare), attributes(&bare)),
        ("net0=virtio".into(), vec!["net0 ∅ → virtio".into()])
    );
    let model = compare(&net0(|n| n.model = Some("e1000".into())), &[], &live(&[]));
    assert_eq!(
        (line(&model), attributes(&model)),
        ("net0=e1000".into(), vec!["net0 ∅ → e1000".into()])
    );
    let unknown = compare(&net0(|n| n.model = Some("token-ring".into())), &[], &live(&[]));
    assert_eq!(line(&unknown), "Error:unknown-model");
}

#[test]
fn what_is_dropped_of_a_device() {
    let before = ["net0", "net0.bridge", "net0.macaddr", "net0.model", "net0.tag", "net0.firewall"];
    let comparison = compare(&net0(|_| {}), &before, &live(&[("net0", STORED)]));
    // Without bridge it would be on QEMU's own NAT.
    assert_eq!(line(&comparison), "net0=virtio=BC:24:11:6A:35:05,bridge=vmbr0,rate=50,queues=4");
    assert_eq!(attributes(&comparison), ["net0.firewall 1 → ∅", "net0.tag 7 → ∅"]);
    let stored = live(&[("net0", STORED), ("net1", STORED), ("net10", STORED)]);
    assert_eq!(line(&compare(&net0(|_| {}), &["net1", "net1.tag"], &stored)), "-net1");
    assert_eq!(line(&compare(&spec(|_| {}), &[], &stored)), "");
}

#[test]
fn what_a_change_costs_a_running_guest() {
    use pvx_core::plan::Effect::{self, Live, Pending};
    type Change = fn(&mut Network);
    let effects = |change: Change, stored: &str, hotplug: &str| -> Vec<Effect> {
        let mut live = live(&[("net0", stored), ("hotplug", hotplug)]);
        live.running = true;
        let before = ["net0", "net0.mtu"];
        let comparison = compare(&net0(change), &before, &live);
        comparison.attributes.iter().map(|a| a.effect).collect()
    };
    let table: [(Change, &str, &[Effect]); 7] = [
        (|n| n.bridge = Some("vmbr1".into()), STORED, &[Live]),
        (|n| set(n, "tag", "8"), STORED, &[Live]),
        (|n| n.model = Some("e1000".into()), STORED, &[Pending]),
        (|n| n.mac = Some("BC:24:11:00:00:02".into()), STORED, &[Pending]),
        // The tag waits with the device.
        (
            |n| {
                set(n, "tag", "8");
                n.model = Some("e1000".into());
            },
            STORED,
            &[Pending, Pending],
        ),
        (|n| n.bridge = Some("vmbr1".into()), "virtio=BC:24:11:6A:35:05", &[Pending]),
        (|_| {}, "virtio=BC:24:11:6A:35:05,bridge=vmbr0,mtu=1400", &[Pending]),
    ];
    for (change, stored, expected) in table {
        assert_eq!(effects(change, stored, "disk"), expected, "{stored}");
        assert!(effects(change, stored, "network").iter().all(|e| *e == Live), "{stored}");
    }
}
