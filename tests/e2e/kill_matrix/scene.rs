//! The cluster and the documents of the kill matrix: what is there before, what is asked for, and
//! what belongs to other people.

use pvx_sim::{Guest, Volume, World};

use crate::environment::Environment;

/// One document.
struct Vm {
    name: &'static str,
    /// What its document says; an `L` at the end stands for [`LINKED`].
    keys: &'static str,
}

const LINKED: &str = "template: debian-13\nclone: linked\n";

/// What is there before: each is changed, moved, replaced or removed by [`after`].
const BEFORE: &[Vm] = &[
    Vm { name: "cfg-a", keys: "vmid: 1101\nnode: pve1\nL" },
    Vm { name: "cfg-b", keys: "vmid: 1102\nnode: pve2\npower: stopped\nL" },
    Vm { name: "cfg-c", keys: "vmid: 1103\nnode: pve3\ndescription: before\nL" },
    Vm { name: "move-a", keys: "vmid: 1104\nnode: pve1\ndisks: {scsi0: {storage: shared}}\nL" },
    Vm {
        name: "move-b",
        keys: "vmid: 1105\nnode: pve2\npower: stopped\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    },
    Vm { name: "grow-a", keys: "vmid: 1106\nnode: pve3\ndisk: 4G\nL" },
    Vm { name: "go-a", keys: "vmid: 1107\nnode: pve1\nplacement: pinned\nL" },
    Vm {
        name: "go-b",
        keys: "vmid: 1108\nnode: pve2\nplacement: pinned\npower: stopped\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    },
    Vm {
        name: "anew-a",
        keys: "vmid: 1109\nnode: pve1\ndisks: {scsi2: {size: 5G, storage: local-lvm, keep: true}}\nL",
    },
    Vm { name: "gone-a", keys: "vmid: 1110\nnode: pve1\nL" },
    Vm {
        name: "gone-b",
        keys: "vmid: 1111\nnode: pve2\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    },
    Vm {
        name: "gone-c",
        keys: "vmid: 1112\nnode: pve3\ndisks: {scsi2: {size: 3G, storage: local-lvm, keep: true}}\nL",
    },
];

/// What is asked for: eight are made, nine changed or moved, `gone-*` are removed.
const AFTER: &[Vm] = &[
    Vm {
        name: "cfg-a",
        keys: "vmid: 1101\nnode: pve1\ndescription: after\ntags: [after]\nonboot: true\nL",
    },
    Vm { name: "cfg-b", keys: "vmid: 1102\nnode: pve2\npower: stopped\nmemory: 1024\ncores: 3\nL" },
    Vm { name: "cfg-c", keys: "vmid: 1103\nnode: pve3\npower: stopped\nL" },
    Vm { name: "move-a", keys: "vmid: 1104\nnode: pve1\ndisks: {scsi0: {storage: local-lvm}}\nL" },
    Vm {
        name: "move-b",
        keys: "vmid: 1105\nnode: pve2\npower: stopped\ndisks: {scsi0: {size: 3G, storage: shared}, scsi1: {size: 1G, storage: local-lvm}}\n",
    },
    Vm { name: "grow-a", keys: "vmid: 1106\nnode: pve3\ndisk: 6G\ndescription: grown\nL" },
    Vm { name: "go-a", keys: "vmid: 1107\nnode: pve2\nplacement: pinned\nL" },
    Vm {
        name: "go-b",
        keys: "vmid: 1108\nnode: pve3\nplacement: pinned\npower: running\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    },
    Vm {
        name: "anew-a",
        keys: "vmid: 1109\nnode: pve1\ndisks: {scsi2: {size: 5G, storage: local-lvm, keep: true}}\nL",
    },
    Vm { name: "new-a", keys: "vmid: 1001\nnode: pve1\ndescription: made\nL" },
    Vm { name: "new-b", keys: "node: pve2\ndisk: 6G\nL" },
    Vm { name: "new-c", keys: "node: pve3\npower: stopped\ndepends_on: [vm/new-b]\nL" },
    Vm { name: "new-d", keys: "node: pve2\ntemplate: debian-13-local\nstorage: local-lvm\n" },
    Vm {
        name: "new-e",
        keys: "vmid: 1005\nnode: pve3\ntemplate: debian-13-local\nstorage: local-lvm\ndisk: 5G\n",
    },
    Vm { name: "new-f", keys: "node: pve3\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n" },
    Vm {
        name: "new-g",
        keys: "vmid: 1007\nnode: pve2\npower: stopped\ndisks: {scsi0: {size: 2G, storage: shared}}\n",
    },
    Vm { name: "new-h", keys: "node: pve1\ndisks: {scsi2: {size: 1G, storage: local-lvm}}\nL" },
];

fn write(environment: &Environment, vms: &[Vm]) {
    let document = |Vm { name, keys }: &Vm| {
        let memory = if keys.contains("memory:") { "" } else { "memory: 512\n" };
        let keys = keys.strip_suffix('L').map_or((*keys).to_owned(), |k| format!("{k}{LINKED}"));
        format!("kind: vm\nname: {name}\n{memory}{keys}")
    };
    let documents: Vec<String> = vms.iter().map(document).collect();
    environment.write("vms.yaml", &documents.join("---\n"));
}

/// Writes the documents of what is there before.
pub(super) fn before(environment: &Environment) {
    write(environment, BEFORE);
}

/// Writes the documents of what is asked for.
pub(super) fn after(environment: &Environment) {
    write(environment, AFTER);
}

/// The names that are asked for.
pub(super) fn wanted() -> Vec<&'static str> {
    AFTER.iter().map(|vm| vm.name).collect()
}

/// VMIDs of other people's guests: the one that would be taken next, a copy with our mark that was
/// made in the web interface and has the name of a guest that is to be made, and one among ours.
pub(super) const FOREIGN: [u32; 4] = [1000, 1002, 1003, 1113];

/// The cluster `lab` with guests of other people.
pub(super) fn world() -> World {
    let mut world = World::lab();
    let keys: [&[(&str, &str)]; 4] = [
        &[("name", "theirs"), ("description", "made by hand")],
        &[
            ("name", "new-b"),
            ("tags", "pvx-vm"),
            ("smbios1", "uuid=00000000-0000-4000-8000-000000001002"),
        ],
        &[("name", "gone-a-kept"), ("tags", "pvx-vm;kept")],
        &[("name", "anew-a"), ("tags", "after"), ("protection", "1")],
    ];
    for ((vmid, keys), node) in FOREIGN.into_iter().zip(keys).zip(["pve3", "pve2", "pve1", "pve1"])
    {
        let disk = format!("local-lvm:vm-{vmid}-disk-0");
        let mut guest = Guest::new(vmid, node, keys);
        guest.config.insert("memory".to_owned(), "512".to_owned());
        guest.config.insert("scsi0".to_owned(), format!("{disk},size=1G"));
        world.add_guest(guest);
        let volume = Volume {
            content: "images".to_owned(),
            format: "raw".to_owned(),
            size: 1 << 30,
            used: 1 << 20,
            vmid: Some(vmid),
            ..Volume::default()
        };
        world.add_volume(node, &disk, volume);
    }
    world
}
