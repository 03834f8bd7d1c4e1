//! Storages, room, memory, bridges, addresses.

use super::scenario::{Scenario, play};

const fn case(name: &'static str, code: &'static str) -> Scenario {
    Scenario::new(name, code)
}

const STORAGES: &[Scenario] = &[
    case("an ISO that is not there", "volume-missing").document(
        "name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: local-lvm}}\n\
         cdroms: {ide2: \"local:iso/debian-12.iso\"}\n",
    ),
    case("an ISO on a storage that is not there", "storage-missing").document(
        "name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: local-lvm}}\n\
         cdroms: {ide2: \"locl:iso/debian-13.iso\"}\n",
    ),
    case("an ISO on a storage that is not meant for any", "storage-content")
        .world("storages: {local: {content: [vztmpl, import, snippets, backup]}}\n")
        .document(
            "name: db\nnode: pve1\nmemory: 512\ncdroms: {ide2: \"local:iso/debian-13.iso\"}\n",
        ),
    case("an image that is not there", "volume-missing").document(
        "name: db\nnode: pve1\nmemory: 512\n\
         disks: {scsi0: {storage: local-lvm, import_from: \"shared:import/debian-13.qcow2\"}}\n",
    ),
    case("a storage that cannot be reached", "storage-unavailable")
        .world("storages: {nas: {type: nfs, unreachable: ['*']}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: nas}}\n"),
    case("a storage that is switched off", "storage-unavailable")
        .world("storages: {nas: {type: nfs, options: {disable: '1'}}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: nas}}\n"),
];

const ROOM: &[Scenario] = &[
    case("a volume group that is too small", "storage-full")
        .world("storages: {vg: {type: lvm, capacity: 10GiB}}\n")
        .document(
            "name: db\nnode: pve1\nmemory: 512\n\
             disks: {scsi0: {size: 6G, storage: vg}, scsi1: {size: 6G, storage: vg}}\n",
        ),
    case("a pool that is not sparse", "storage-full")
        .world("storages: {tank: {type: zfspool, capacity: 10GiB}}\n")
        .document(
            "name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 12G, storage: tank}}\n",
        ),
    case("a full clone onto a storage without room", "storage-full")
        .world("storages: {tiny: {type: dir, capacity: 300MiB}}\n")
        .document("name: db\nnode: pve1\ntemplate: debian-13\nstorage: tiny\n"),
    case("a disk that grows beyond its volume group", "storage-full")
        .world("storages: {vg: {type: lvm, capacity: 10GiB}}\n")
        .first("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 6G, storage: vg}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 12G, storage: vg}}\n"),
    case("a disk that moves to where there is no room", "storage-full")
        .world("storages: {vg: {type: lvm, capacity: 5GiB}}\n")
        .first("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 6G, storage: shared}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 6G, storage: vg}}\n"),
    case("more promised than a thin pool has", "storage-overcommitted")
        .world("storages: {thin: {type: lvmthin, capacity: 10GiB}}\n")
        .document(
            "name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 12G, storage: thin}}\n",
        ),
    case("with what other guests are promised", "storage-overcommitted")
        .world(
            "storages: {nas: {type: nfs, capacity: 10GiB}}\n\
             guests: [{vmid: 900, node: pve2, config: {scsi0: 'nas:8'}}]\n",
        )
        .document("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: nas}}\n"),
    case("a linked clone that may outgrow its storage", "storage-overcommitted")
        .world("storages: {shared: {capacity: 5GiB}}\n")
        .document("name: db\nnode: pve1\ntemplate: talos-1\nclone: linked\npower: stopped\n"),
    case("more promised than the configuration allows", "storage-overcommitted")
        .world("storages: {thin: {type: lvmthin, capacity: 10GiB}}\n")
        .config("preflight: {overcommit: {storage: 0.5}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 6G, storage: thin}}\n")
        .works(),
];

const NODES: &[Scenario] = &[
    case("more memory than the node has", "memory-full")
        .world("nodes: {pve1: {memory: 8GiB}}\n")
        .document("name: db\nnode: pve1\nmemory: 16384\n"),
    case("huge pages beyond the node's memory", "memory-full")
        .world("nodes: {pve1: {memory: 8GiB}}\n")
        .first("name: db\nnode: pve1\nmemory: 16384\npower: stopped\n")
        .meanwhile(|world| {
            let config = &mut world.guest_mut(1000).unwrap().config;
            config.extend([("hugepages", "2"), ("numa", "1")].map(|(k, v)| (k.into(), v.into())));
        })
        .document("name: db\nnode: pve1\nmemory: 16384\n"),
    case("more memory than the node has, of the template", "memory-full")
        .world("nodes: {pve2: {memory: 1GiB}}\n")
        .document("name: db\nnode: pve2\ntemplate: debian-13\n"),
    case("all guests of a node together", "memory-overcommitted")
        .world(
            "nodes: {pve1: {memory: 8GiB}}\n\
             guests: [{vmid: 900, node: pve1, running: true, config: {memory: 6144}}]\n",
        )
        .document("name: db\nnode: pve1\nmemory: 4096\n"),
    case("more memory than the configuration allows", "memory-overcommitted")
        .world("nodes: {pve1: {memory: 8GiB}}\n")
        .config("preflight: {overcommit: {memory: 0.5}}\n")
        .document("name: db\nnode: pve1\nmemory: 6144\n")
        .works(),
    case("CPUs of the template", "too-many-cpus")
        .world("nodes: {pve2: {cpus: 1}}\n")
        .document("name: db\nnode: pve2\ntemplate: debian-13\n"),
];

const NETWORKS: &[Scenario] = &[
    case("a bridge that is not there", "bridge-missing")
        .document("name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr1}}\n"),
    case("a bridge that is not there, for a guest that runs", "bridge-missing")
        .first("name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr0}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr1}}\n"),
    case("a VLAN on a bridge without a port", "bridge-vlan")
        .world("nodes: {pve1: {bridges: [vmbr0, vmbr1]}}\n")
        .document("name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr1, tag: 5}}\n"),
    case("trunks on a bridge that is not VLAN-aware", "bridge-vlan")
        .document("name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr0, trunks: 2;3}}\n"),
    case("a MAC address of a guest that runs", "mac-taken")
        .world(
            "guests: [{vmid: 900, name: old, node: pve2, running: true, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr0'}}]\n",
        )
        .document(
            "name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr0, mac: \"BC:24:11:AA:00:01\"}}\n",
        )
        .works(),
    case("a MAC address of a guest that is stopped", "mac-taken")
        .world(
            "guests: [{vmid: 900, name: old, node: pve2, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr0'}}]\n",
        )
        .document(
            "name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr0, mac: \"BC:24:11:AA:00:01\"}}\n",
        ),
    case("an address of a guest that runs", "address-taken")
        .world(
            "guests: [{vmid: 900, name: old, node: pve2, running: true, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr0', ipconfig0: 'ip=10.0.0.5/24,gw=10.0.0.1'}}]\n",
        )
        .document("name: db\nnode: pve1\ntemplate: debian-13\nclone: linked\nip: 10.0.0.5/24\n")
        .works(),
    case("an address of a guest that is stopped", "address-taken")
        .world(
            "guests: [{vmid: 900, name: old, node: pve2, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr0', ipconfig0: 'ip=10.0.0.5/24,gw=10.0.0.1'}}]\n",
        )
        .document("name: db\nnode: pve1\ntemplate: debian-13\nclone: linked\nip: 10.0.0.5/24\n"),
    case("an address of a node", "address-taken")
        .document("name: db\nnode: pve1\ntemplate: debian-13\nclone: linked\nip: 192.0.2.11/24\n")
        .works(),
];

#[tokio::test(flavor = "multi_thread")]
async fn storages() {
    insta::assert_snapshot!(play(STORAGES).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn room() {
    insta::assert_snapshot!(play(ROOM).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes() {
    insta::assert_snapshot!(play(NODES).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn networks() {
    insta::assert_snapshot!(play(NETWORKS).await);
}

/// What looks like one of these and works: nothing is found, and apply does not fail.
const FINE: &[(&str, &str, &str)] = &[
    (
        "a VLAN on a VLAN-aware bridge without a port",
        "nodes: {pve1: {bridges: [vmbr0, {name: vmbr1, vlan_aware: true, ports: []}]}}\n",
        "name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr1, tag: 5}, net1: {bridge: vmbr1, trunks: 2;3}}\n",
    ),
    (
        "a VLAN on a bridge with a port",
        "nodes: {pve1: {bridges: [vmbr0, {name: vmbr1, ports: [eth1]}]}}\n",
        "name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr1, tag: 5}}\n",
    ),
    (
        "a guest that does not start needs no bridge, memory or CPUs",
        "nodes: {pve1: {memory: 8GiB, cpus: 2}}\n",
        "name: db\nnode: pve1\nmemory: 16384\ncores: 4\npower: stopped\nnetworks: {net0: {bridge: vmbr9}}\n",
    ),
    (
        "an ISO on a storage that is not meant for any, for a guest that does not start",
        "storages: {local: {content: [vztmpl, import, snippets, backup]}}\n",
        "name: db\nnode: pve1\nmemory: 512\npower: stopped\ncdroms: {ide2: \"local:iso/debian-13.iso\"}\n",
    ),
    (
        "the same MAC address on another bridge, the same address in another VLAN",
        "nodes: {pve1: {bridges: [vmbr0, vmbr1]}, pve2: {}}\n\
         guests: [{vmid: 900, name: old, node: pve2, running: true, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr0', ipconfig0: 'ip=10.0.0.5/24,gw=10.0.0.1'}}]\n",
        "name: db\nnode: pve1\ntemplate: debian-13\nclone: linked\nip: 10.0.0.5/24\n\
         networks: {net0: {bridge: vmbr0, tag: 7}, net1: {bridge: vmbr1, mac: \"BC:24:11:AA:00:01\"}}\n",
    ),
    (
        "the same addresses in a network that each node has for itself",
        "nodes: {pve1: {bridges: [vmbr0, {name: vmbr1, ports: []}]}, pve2: {bridges: [vmbr0, {name: vmbr1, ports: []}]}}\n\
         guests: [{vmid: 900, name: old, node: pve2, running: true, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr1', ipconfig0: 'ip=10.0.0.5/24'}}]\n",
        "name: db\nnode: pve1\ntemplate: debian-13\nclone: linked\nip: 10.0.0.5/24\n\
         networks: {net0: {bridge: vmbr1, mac: \"BC:24:11:AA:00:01\"}}\n",
    ),
    (
        "the same MAC address in another VLAN",
        "nodes: {pve1: {bridges: [{name: vmbr0, vlan_aware: true}]}}\n\
         guests: [{vmid: 900, name: old, node: pve1, running: true, config: {net0: 'virtio=BC:24:11:AA:00:01,bridge=vmbr0,tag=5'}}]\n",
        "name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr0, mac: \"BC:24:11:AA:00:01\"}}\n",
    ),
    (
        "memory in modules that each fit",
        "nodes: {pve1: {memory: 8GiB}}\n",
        "name: db\nnode: pve1\nmemory: 4096\nnuma: true\nhotplug: [memory, disk]\n",
    ),
];

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stdout, reason = "shown when it fails: which of them it was")]
async fn nothing_is_found_in_what_works() {
    for (name, world, document) in FINE {
        let world = pvx_sim::World::from_yaml(&format!("from: lab\n{world}"));
        let world = world.unwrap_or_else(|error| panic!("{name}: {error}"));
        let lab = crate::harness::Lab::start(world).await;
        lab.apply(&lab.documents(&[("a.yaml", (*document).to_owned())])).await;
        lab.sim.shutdown().await;
    }
}
