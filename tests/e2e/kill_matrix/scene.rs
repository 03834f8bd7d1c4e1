//! The cluster and the documents of the kill matrix: what is there before, what is asked for, and
//! what belongs to other people.

use pvx_sim::{Guest, Volume, World};

use crate::environment::Environment;

/// What a guest is made from.
#[derive(Clone, Copy, PartialEq)]
enum Origin {
    /// Member of `app`: a linked clone on shared storage.
    Linked,
    /// Member of `local`: a full clone on node-local storage, which moves to the guest's node.
    Full,
    /// A standalone VM without a template.
    Nothing,
}

use Origin::{Full, Linked, Nothing};

/// One guest.
struct Vm {
    from: Origin,
    name: &'static str,
    keys: &'static str,
}

const fn vm(from: Origin, name: &'static str, keys: &'static str) -> Vm {
    Vm { from, name, keys }
}

/// What is there before: each is changed, moved, replaced or removed by [`AFTER`].
const BEFORE: &[Vm] = &[
    vm(Linked, "cfg-a", "vmid: 1101\nnode: pve1\n"),
    vm(Linked, "cfg-b", "vmid: 1102\nnode: pve2\npower: stopped\n"),
    vm(Linked, "cfg-c", "vmid: 1103\nnode: pve3\ndescription: before\n"),
    vm(Linked, "move-a", "vmid: 1104\nnode: pve1\ndisks: {scsi0: {storage: shared}}\n"),
    vm(
        Nothing,
        "move-b",
        "vmid: 1105\nnode: pve2\npower: stopped\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    ),
    vm(Linked, "grow-a", "vmid: 1106\nnode: pve3\ndisk: 4G\n"),
    vm(Linked, "go-a", "vmid: 1107\nnode: pve1\nplacement: pinned\n"),
    vm(
        Nothing,
        "go-b",
        "vmid: 1108\nnode: pve2\nplacement: pinned\npower: stopped\n\
         disks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    ),
    vm(
        Linked,
        "anew-a",
        "vmid: 1109\nnode: pve1\ndisks: {scsi2: {size: 5G, storage: local-lvm, keep: true}}\n",
    ),
    vm(Linked, "gone-a", "vmid: 1110\nnode: pve1\n"),
    vm(Full, "gone-b", "vmid: 1111\nnode: pve2\n"),
    vm(
        Linked,
        "gone-c",
        "vmid: 1112\nnode: pve3\ndisks: {scsi2: {size: 3G, storage: local-lvm, keep: true}}\n",
    ),
    vm(Full, "stays", "vmid: 1114\nnode: pve1\npower: stopped\n"),
];

/// What is asked for: eight are made, nine changed, moved or made anew, `gone-*` are removed.
const AFTER: &[Vm] = &[
    vm(
        Linked,
        "cfg-a",
        "vmid: 1101\nnode: pve1\ndescription: after\ntags: [after]\nonboot: true\n",
    ),
    vm(Linked, "cfg-b", "vmid: 1102\nnode: pve2\npower: stopped\nmemory: 1024\ncores: 3\n"),
    vm(Linked, "cfg-c", "vmid: 1103\nnode: pve3\npower: stopped\n"),
    vm(Linked, "move-a", "vmid: 1104\nnode: pve1\ndisks: {scsi0: {storage: local-lvm}}\n"),
    vm(
        Nothing,
        "move-b",
        "vmid: 1105\nnode: pve2\npower: stopped\n\
         disks: {scsi0: {size: 3G, storage: shared}, scsi1: {size: 1G, storage: local-lvm}}\n",
    ),
    vm(Linked, "grow-a", "vmid: 1106\nnode: pve3\ndisk: 6G\ndescription: grown\n"),
    vm(Linked, "go-a", "vmid: 1107\nnode: pve2\nplacement: pinned\n"),
    vm(
        Nothing,
        "go-b",
        "vmid: 1108\nnode: pve3\nplacement: pinned\npower: running\n\
         disks: {scsi0: {size: 2G, storage: local-lvm}}\n",
    ),
    vm(
        Linked,
        "anew-a",
        "vmid: 1109\nnode: pve1\ndisks: {scsi2: {size: 5G, storage: local-lvm, keep: true}}\n",
    ),
    vm(Linked, "new-a", "vmid: 1001\nnode: pve1\ndescription: made\n"),
    vm(Linked, "new-b", "node: pve2\ndisk: 6G\n"),
    vm(Linked, "new-c", "node: pve3\npower: stopped\n"),
    vm(Full, "new-d", "node: pve2\n"),
    vm(Full, "new-e", "vmid: 1005\nnode: pve3\ndisk: 5G\n"),
    vm(Nothing, "new-f", "node: pve3\ndisks: {scsi0: {size: 2G, storage: local-lvm}}\n"),
    vm(
        Nothing,
        "new-g",
        "vmid: 1007\nnode: pve2\ndepends_on: [vm/new-f]\ndisks: {scsi0: {size: 2G, storage: shared}}\n",
    ),
    vm(Linked, "new-h", "node: pve1\ndisks: {scsi2: {size: 1G, storage: local-lvm}}\n"),
    vm(Full, "stays", "vmid: 1114\nnode: pve1\npower: stopped\n"),
];

fn write(environment: &Environment, vms: &[Vm]) {
    let profile = |name: &str, template: &str, from: Origin| {
        let of_it = vms.iter().filter(|vm| vm.from == from);
        let member = |vm: &Vm| {
            let lines = vm.keys.lines().map(|line| format!("        {line}\n"));
            format!("      {}:\n{}", vm.name, lines.collect::<String>())
        };
        format!(
            "kind: cluster\nname: {name}\ntype: generic\n{template}tags: [{name}]\n\
             nodes:\n  controlplane:\n    memory: 512\n    for_each:\n{}",
            of_it.map(member).collect::<String>()
        )
    };
    let mut documents = vec![
        profile("app", "template: debian-13\nclone: linked\n", Linked),
        profile("local", "template: debian-13-local\nstorage: local-lvm\n", Full),
    ];
    for Vm { name, keys, .. } in vms.iter().filter(|vm| vm.from == Nothing) {
        documents.push(format!("kind: vm\nname: {name}\nmemory: 512\n{keys}"));
    }
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
pub(super) fn wanted() -> Vec<String> {
    let name =
        |vm: &Vm| if vm.from == Nothing { vm.name.to_owned() } else { format!("cp-{}", vm.name) };
    AFTER.iter().map(name).collect()
}

/// VMIDs of other people's guests: the one that would be taken next, a clone that was made in the web
/// interface and has our mark, one that is called as a keeper would be, and one with the name of a
/// guest that is to be made.
pub(super) const FOREIGN: [u32; 4] = [1000, 1002, 1003, 1113];

/// The cluster `lab` with guests of other people.
pub(super) fn world() -> World {
    let mut world = World::lab();
    let keys: [&[(&str, &str)]; 4] = [
        &[("name", "theirs"), ("description", "made by hand")],
        &[
            ("name", "copy"),
            ("tags", "pvx-app"),
            ("smbios1", "uuid=00000000-0000-4000-8000-000000001002"),
        ],
        &[("name", "cp-gone-a-kept"), ("tags", "after")],
        &[("name", "cp-new-b"), ("tags", "after"), ("protection", "1")],
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
