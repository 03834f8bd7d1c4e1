//! What the preflight concludes of places, and of what it concludes nothing.

use pvx_core::desired::{Disk, Network, Origin, Placement};
use pvx_core::preflight::place::{Bridge, Interface, Known, Listed, StorageState, Volumes};

use crate::lab::{GIB, Lab};

/// A guest on pve1 with one disk, on `shared`.
fn lab(disk: Disk) -> Lab {
    let mut lab = Lab::new();
    let mut guest = lab.guest("k3s", "w01");
    guest.placement = Placement::Node("pve1".to_owned());
    guest.origin = Origin::Empty;
    guest.spec.disks.insert("scsi0".into(), disk);
    lab.profile("k3s", vec![guest]);
    lab
}

/// `shared` as pve1 sees it, and the images on it that can be imported.
fn shared(free: u64, images: &[(&str, u64)]) -> Known {
    let image = |(volid, size): &(&str, u64)| Listed {
        volid: (*volid).to_owned(),
        size: *size,
        used: None,
    };
    let place = |content: &str, list| Volumes {
        node: "pve1".to_owned(),
        storage: "shared".to_owned(),
        content: content.to_owned(),
        list,
    };
    let state = StorageState {
        node: "pve1".to_owned(),
        storage: "shared".to_owned(),
        enabled: true,
        active: true,
        total: 100 * GIB,
        used: 100 * GIB - free,
        free,
        content: ["images", "import"].map(str::to_owned).into(),
    };
    Known {
        storages: vec![state],
        volumes: vec![
            place("images", Vec::new()),
            place("import", images.iter().map(image).collect()),
        ],
        ..Known::default()
    }
}

/// The file of an image may have holes: how long it is proves nothing.
#[test]
fn an_image_that_is_longer_than_what_is_free() {
    let import_from = Some("shared:import/a.raw".to_owned());
    let disk = Disk { storage: Some("shared".into()), import_from, ..Disk::default() };
    let image = [("shared:import/a.raw", 4 * GIB)];
    assert_eq!(lab(disk.clone()).foreseen(shared(2 * GIB, &image)), ["Warning storage-full"]);
    assert_eq!(lab(disk).foreseen(shared(8 * GIB, &image)), [""; 0]);
}

/// Only what its configuration says makes a ZFS pool take whole volumes.
#[test]
fn a_pool_of_which_nothing_is_known() {
    let disk = Disk { size: Some(4 * GIB), storage: Some("shared".into()), ..Disk::default() };
    let mut lab = lab(disk);
    for ((_, name), storage) in &mut lab.snapshot.inventory.storages {
        if name == "shared" {
            "zfspool".clone_into(&mut storage.plugin);
        }
    }
    let unknown = shared(2 * GIB, &[]);
    let thick = Known { thick: vec!["shared".to_owned()], ..unknown.clone() };
    assert_eq!(lab.foreseen(unknown), ["Warning storage-overcommitted"]);
    assert_eq!(lab.foreseen(thick), ["Error storage-full"]);
}

/// Not every bridge stands in `/etc/network/interfaces`: the one that somebody uses is there.
#[test]
fn a_bridge_that_is_not_listed_and_in_use() {
    let disk = Disk { size: Some(GIB), storage: Some("shared".into()), ..Disk::default() };
    let mut lab = lab(disk);
    let net = Network { bridge: Some("vmbr7".into()), ..Network::default() };
    lab.first().spec.networks.insert("net0".into(), net);
    let listed = Bridge {
        node: "pve1".to_owned(),
        name: "vmbr0".to_owned(),
        linux: Some(Interface { vlan_aware: false, has_ports: true }),
        addresses: Vec::new(),
    };
    let known = || Known { bridges: vec![listed.clone()], ..Known::default() };
    assert_eq!(lab.foreseen(known()), ["Error bridge-missing"]);
    let card = [("net0", "virtio=BC:24:11:00:00:07,bridge=vmbr7")];
    for (vmid, node, running, found) in [
        (900, "pve2", true, vec!["Error bridge-missing"]),
        (901, "pve1", false, vec!["Error bridge-missing"]),
        (902, "pve1", true, vec![]),
    ] {
        lab.live(vmid, node, running, &card);
        assert_eq!(lab.foreseen(known()), found, "{vmid}");
    }
}
