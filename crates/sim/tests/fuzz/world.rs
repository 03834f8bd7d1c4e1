//! The world that is asked: guests of several kinds, on all nodes.

use pvx_sim::{Guest, Volume, World};

/// VMID, node, storage of the disk, and what else the configuration has.
type Described = (u32, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const GUESTS: &[Described] = &[
    (100, "pve1", "local", &[("agent", "1")]),
    (101, "pve2", "local", &[("memory", "2048"), ("hotplug", "network,disk,usb,memory,cpu")]),
    (102, "pve3", "shared", &[("tags", "a;b")]),
    (103, "pve1", "shared", &[("protection", "1")]),
    (104, "pve1", "shared", &[("ide2", "none,media=cdrom")]),
    (105, "pve2", "vmdata", &[("agent", "enabled=1")]),
    (106, "pve1", "local", &[("onboot", "1")]),
    (107, "pve3", "shared", &[("agent", "1"), ("numa", "1")]),
];

fn image(vmid: u32, format: &str) -> Volume {
    Volume {
        content: "images".to_owned(),
        format: format.to_owned(),
        size: 1 << 30,
        used: 1 << 20,
        vmid: Some(vmid),
        bootable: true,
        ..Volume::default()
    }
}

pub(crate) fn world() -> World {
    let mut world = World::truth();
    for &(vmid, node, storage, more) in GUESTS {
        // Only qcow2 has snapshots, on directories.
        let format = if vmid % 4 == 3 { "raw" } else { "qcow2" };
        let disk = format!("{storage}:{vmid}/vm-{vmid}-disk-0.{format}");
        let drive = format!("{disk},size=1G");
        let mut config = vec![
            ("name", "a"),
            ("memory", "512"),
            ("scsi0", &*drive),
            ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
            ("boot", "order=scsi0"),
        ];
        config.extend(more);
        world.add_guest(Guest::new(vmid, node, &config));
        assert!(world.add_volume(node, &disk, image(vmid, format)));
    }
    world
}
