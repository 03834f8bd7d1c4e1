//! The big world: 50 nodes and 20,000 guests in pools, with tags, disks and some of them running.

use pvx_sim::direct::{Ask, Direct};
use pvx_sim::{Guest, LabOptions, Running, Volume, World};

/// A world of so many nodes and guests.
pub(crate) fn big(nodes: usize, guests: u32) -> World {
    let names: Vec<String> = (1..=nodes).map(|number| format!("node{number:02}")).collect();
    let options = LabOptions { nodes: names.clone(), ..LabOptions::default() };
    let world = with_pools(World::lab_with(options));
    let mut world = world;
    for (vmid, node) in (1000..1000 + guests).zip(names.iter().cycle()) {
        // Most disks are the node's own, some on the storage that all nodes share.
        let disk = if vmid.is_multiple_of(10) {
            format!("shared:{vmid}/vm-{vmid}-disk-0.raw")
        } else {
            format!("local-lvm:vm-{vmid}-disk-0")
        };
        world.add_guest(guest(vmid, node, &disk));
        let volume = Volume {
            content: "images".to_owned(),
            format: "raw".to_owned(),
            size: 20 << 30,
            used: 3 << 30,
            vmid: Some(vmid),
            ..Volume::default()
        };
        world.add_volume(node, &disk, volume);
    }
    world
}

fn guest(vmid: u32, node: &str, disk: &str) -> Guest {
    let (scsi0, name) = (format!("{disk},discard=on,iothread=1,size=20G"), format!("app-{vmid}"));
    let net0 =
        format!("virtio=BC:24:11:00:{:02X}:{:02X},bridge=vmbr0", vmid / 256 % 256, vmid % 256);
    let tags = format!("env-{};pvx;team-{}", vmid % 3, vmid % 20);
    let mut guest = Guest::new(
        vmid,
        node,
        &[
            ("agent", "enabled=1"),
            ("boot", "order=scsi0"),
            ("cores", "2"),
            ("cpu", "x86-64-v2-AES"),
            ("description", "Made for the benchmark"),
            ("memory", "2048"),
            ("name", &name),
            ("net0", &net0),
            ("ostype", "l26"),
            ("scsi0", &scsi0),
            ("scsihw", "virtio-scsi-single"),
            ("tags", &tags),
        ],
    );
    if vmid.is_multiple_of(2) {
        guest.running = Some(Running { since_ms: 1, booted_ms: Some(1), pid: vmid, paused: false });
    }
    guest
}

/// Pools are made through the API, as everybody makes them.
fn with_pools(world: World) -> World {
    let mut direct = Direct::new(world, 1_790_000_000_000);
    let (id, secret) = direct.world().token();
    let authorization = Some(format!("PVEAPIToken={id}={secret}"));
    for number in 0..20 {
        direct.ask(&Ask {
            method: "POST".to_owned(),
            target: "/pools".to_owned(),
            authorization: authorization.clone(),
            content_type: "application/x-www-form-urlencoded".to_owned(),
            body: format!("poolid=team-{number}").into_bytes(),
            ..Ask::default()
        });
    }
    direct.world().clone()
}
