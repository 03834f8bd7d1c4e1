//! Guests and disks that cannot move.

use pvx_sim::AclKind;

use super::scenario::{Scenario, play};

const fn case(name: &'static str, code: &'static str) -> Scenario {
    Scenario::new(name, code)
}

const MOVES: &[Scenario] = &[
    case("a device of the node", "migrate-refused")
        .first("name: db\nnode: pve1\nmemory: 512\npower: stopped\n")
        .meanwhile(|world| {
            let guest = world.guests().find(|guest| guest.name() == "db").unwrap().vmid;
            let guest = world.guest_mut(guest).unwrap();
            guest.config.insert("hostpci0".to_owned(), "0000:01:00.0".to_owned());
        })
        .document("name: db\nnode: pve2\nmemory: 512\npower: stopped\n"),
    case("a storage that the other node lacks", "migrate-refused")
        .world("storages: {tank: {type: zfspool, nodes: [pve1]}}\n")
        .first("name: db\nnode: pve1\nmemory: 512\npower: stopped\ndisks: {scsi0: {size: 4G, storage: tank}}\n")
        .document("name: db\nnode: pve2\nmemory: 512\npower: stopped\ndisks: {scsi0: {size: 4G, storage: tank}}\n"),
    case("an ISO on a shared storage that the other node lacks", "migrate-refused")
        .world(
            "storages: {discs: {type: nfs, nodes: [pve1], content: [iso]}}\n\
             volumes: [{volid: 'discs:iso/a.iso', size: 1MiB}]\n",
        )
        .first("name: db\nnode: pve1\nmemory: 512\npower: stopped\ncdroms: {ide2: \"discs:iso/a.iso\"}\n")
        .document("name: db\nnode: pve2\nmemory: 512\npower: stopped\ncdroms: {ide2: \"discs:iso/a.iso\"}\n"),
    case("a bridge that the other node lacks", "bridge-missing")
        .world("nodes: {pve1: {bridges: [vmbr0, vmbr1]}, pve2: {}}\n")
        .first("name: db\nnode: pve1\nmemory: 512\nnetworks: {net0: {bridge: vmbr1}}\n")
        .document("name: db\nnode: pve2\nmemory: 512\nnetworks: {net0: {bridge: vmbr1}}\n"),
    case("no room for disks that move along", "storage-full")
        .world(
            "storages: {vg: {type: lvm, capacity: 10GiB}}\n\
             volumes: [{volid: 'vg:vm-900-disk-0', nodes: [pve2], size: 8GiB, used: 8GiB}]\n",
        )
        .first("name: db\nnode: pve1\nmemory: 512\npower: stopped\ndisks: {scsi0: {size: 4G, storage: vg}}\n")
        .document("name: db\nnode: pve2\nmemory: 512\npower: stopped\ndisks: {scsi0: {size: 4G, storage: vg}}\n"),
    case("a guest that runs, and is replicated elsewhere", "replicated")
        .world("storages: {tank: {type: zfspool}}\n")
        .first("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: tank}}\n")
        .meanwhile(|world| {
            world.access_mut().add_role("Replicator", &["VM.Replicate"]);
            world.access_mut().grant("/", AclKind::User, "pvx@pve", "Replicator");
        })
        .post("/cluster/replication", &[("id", "1000-0"), ("target", "pve3"), ("type", "local")])
        .document(
            "name: db\nnode: pve2\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: tank}}\n",
        ),
    case("a disk of the node that a snapshot holds", "migrate-refused")
        .first("name: db\nnode: pve1\nmemory: 512\npower: stopped\ndisks: {scsi0: {size: 4G, storage: local-lvm}}\n")
        .post("/nodes/pve1/qemu/1000/snapshot", &[("snapname", "before")])
        .document("name: db\nnode: pve2\nmemory: 512\npower: stopped\ndisks: {scsi0: {size: 4G, storage: local-lvm}}\n"),
    case("HA rules that keep it apart", "migrate-refused")
        .world(
            "guests: [{vmid: 900, name: old, node: pve2, running: true}]\n",
        )
        .first("name: db\nnode: pve1\nmemory: 512\nha: started\n")
        .meanwhile(|world| {
            world.access_mut().add_role("PvxHa", &["Sys.Console"]);
            world.access_mut().grant("/", AclKind::User, "pvx@pve", "PvxHa");
        })
        .post("/cluster/ha/resources", &[("sid", "vm:900"), ("state", "started")])
        .post("/cluster/ha/rules", &[("rule", "apart"), ("type", "resource-affinity"), ("affinity", "negative"), ("resources", "vm:900,vm:1000")])
        .document("name: db\nnode: pve2\nmemory: 512\nha: started\n"),
];

#[tokio::test(flavor = "multi_thread")]
async fn moves() {
    insta::assert_snapshot!(play(MOVES).await);
}

/// What looks like an obstacle and is none: nothing is found, and the move works.
const FREE: &[Scenario] = &[
    case("a mapped device that is on both nodes", "")
        .world("mappings:\n  usb: {stick: ['node=pve1,id=1234:5678', 'node=pve2,id=1234:5678']}\n")
        .first("name: db\nnode: pve1\nmemory: 512\npower: stopped\n")
        .meanwhile(|world| {
            let guest = world.guests().find(|guest| guest.name() == "db").unwrap().vmid;
            let guest = world.guest_mut(guest).unwrap();
            guest.config.insert("usb0".to_owned(), "mapping=stick".to_owned());
        })
        .document("name: db\nnode: pve2\nmemory: 512\npower: stopped\n"),
    case("a running guest whose snapshots are replicated to that node", "")
        .world("storages: {tank: {type: zfspool}}\n")
        .first("name: db\nnode: pve1\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: tank}}\n")
        .meanwhile(|world| {
            world.access_mut().add_role("Replicator", &["VM.Replicate"]);
            world.access_mut().grant("/", AclKind::User, "pvx@pve", "Replicator");
        })
        .post("/nodes/pve1/qemu/1000/snapshot", &[("snapname", "before")])
        .post("/cluster/replication", &[("id", "1000-0"), ("target", "pve2"), ("type", "local")])
        .document("name: db\nnode: pve2\nmemory: 512\ndisks: {scsi0: {size: 4G, storage: tank}}\n"),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_in_moves_that_work() {
    for scenario in FREE {
        scenario.play_free().await;
    }
}
