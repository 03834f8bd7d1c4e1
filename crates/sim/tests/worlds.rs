//! World files: the examples load, short forms mean what they say, errors are told with their
//! place, and the schema in the documentation is the one of the code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use pvx_sim::direct::{Ask, Direct};
use pvx_sim::{GuestStatus, World, world_schema};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn example(name: &str) -> World {
    World::load(&root().join("examples/worlds").join(name))
        .unwrap_or_else(|error| panic!("{error}"))
}

fn world(text: &str) -> World {
    World::from_yaml(text).unwrap_or_else(|error| panic!("{error}"))
}

/// What a `GET` of the operator answers.
fn get(world: World, target: &str) -> (u16, Value) {
    let (id, secret) = world.token();
    let authorization = Some(format!("PVEAPIToken={id}={secret}"));
    let mut direct = Direct::new(world, 1_800_000_000_000);
    let (method, target) = ("GET".to_owned(), target.to_owned());
    let told = direct.ask(&Ask { method, target, authorization, ..Ask::default() });
    let body: Value = serde_json::from_slice(&told.body).unwrap_or_default();
    (told.status, body["data"].clone())
}

#[test]
fn the_schema_in_the_documentation_is_current() {
    let path = root().join("docs/reference/world.schema.json");
    let now = serde_json::to_string_pretty(&world_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "UPDATE=1 cargo test -p pvx-sim --test worlds writes {}", path.display());
}

#[test]
fn all_keys_of_the_schema_are_described() {
    let schema = world_schema();
    let mut objects = vec![&schema];
    objects.extend(schema["$defs"].as_object().unwrap().values());
    for object in objects {
        for (key, property) in object["properties"].as_object().into_iter().flatten() {
            let described = property["description"].is_string() || property["$ref"].is_string();
            assert!(described, "{key}: {property}");
        }
    }
}

#[test]
fn every_example_loads_and_answers() {
    for (name, nodes, guests) in [
        ("small.yaml", 3, 1),
        ("storages.yaml", 3, 4),
        ("faults.yaml", 3, 3),
        ("users.yaml", 3, 3),
        ("big.yaml", 50, 20_000),
    ] {
        let world = example(name);
        assert_eq!((world.nodes().count(), world.guests().count()), (nodes, guests), "{name}");
        let again: World =
            serde_json::from_slice(&serde_json::to_vec(&world).unwrap()).expect("it can be kept");
        assert_eq!(again.guests().count(), guests);
        let (status, resources) = get(world, "/cluster/resources");
        assert_eq!(status, 200, "{name}");
        assert!(resources.as_array().unwrap().len() >= nodes + guests, "{name}");
    }
    let files = std::fs::read_dir(root().join("examples/worlds")).unwrap();
    assert_eq!(files.count(), 5, "list new examples above");
}

#[test]
fn worlds_in_the_documentation_load() {
    let text = std::fs::read_to_string(root().join("docs/simulator.md")).unwrap();
    let blocks: Vec<&str> =
        text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 2, "{}", blocks.len());
    for block in blocks {
        World::from_yaml(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn nothing_is_a_world_too() {
    for text in ["", "# nothing\n", "{}"] {
        let world = world(text);
        let names: Vec<&str> = world.nodes().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["pve1", "pve2", "pve3"]);
        let storages: Vec<&str> = world.storages().map(|storage| storage.id.as_str()).collect();
        assert_eq!(storages, ["local", "local-lvm", "shared"]);
        assert_eq!(world.token().0, "root@pam!pvx");
        assert_eq!(get(world, "/version").0, 200);
    }
}

#[test]
fn a_built_in_world_can_be_changed() {
    let world = world(
        "from: lab\nnodes: [a, {name: b, memory: 8GiB}]\nstorages: {local-lvm: {capacity: 1TiB}}\n\
         guests: [{vmid: 100000, node: b, config: {scsi0: 'local-lvm:8'}}]\n",
    );
    assert_eq!(world.guests().count(), 4, "the templates are there");
    assert_eq!(world.nodes().map(|node| node.memory >> 30).collect::<Vec<_>>(), [64, 8]);
    let thin = world.storages().find(|storage| storage.id == "local-lvm").unwrap();
    assert_eq!((thin.capacity >> 40, thin.options["thinpool"].as_str()), (1, "data"));
    assert_eq!(world.token().0, "pvx@pve!sim");
}

#[test]
fn a_past_is_in_the_lists_of_tasks() {
    let world = world(
        "tasks:
  - {type: vzdump, id: 100, node: pve2, minutes_ago: 90, status: 'job errors'}
  - {type: aptupdate, user: root@pam, minutes_ago: 600}
",
    );
    let (_, tasks) = get(world, "/cluster/tasks");
    let told: Vec<_> = tasks.as_array().unwrap().iter().collect();
    let of = |kind: &str| told.iter().find(|task| task["type"] == kind).unwrap();
    assert_eq!(told.len(), 2);
    assert_eq!(
        (&of("vzdump")["status"], &of("vzdump")["node"]),
        (&"job errors".into(), &"pve2".into())
    );
    let apart = of("vzdump")["starttime"].as_i64().unwrap()
        - of("aptupdate")["starttime"].as_i64().unwrap();
    assert!((apart - 510 * 60).abs() <= 1, "{apart}");
    for (text, expected) in [
        ("tasks: [{type: 'a b'}]", "'a b' cannot stand in the UPID of a task"),
        ("tasks: [{type: vzdump, node: pve9}]", "there is no node 'pve9'"),
    ] {
        let error = World::from_yaml(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn disks_are_made_as_their_storage_names_them() {
    let text = "
storages: {local: dir, thin: lvmthin, tank: zfspool, nas: nfs, ceph: rbd}
guests:
  - {vmid: 100, config: {scsi0: 'thin:8', scsi1: 'tank:8', scsi2: 'nas:8', scsi3: 'nas:8,format=qcow2', scsi4: 'ceph:8'}}
  - {vmid: 101, template: true, config: {scsi0: 'thin:8', scsi1: 'nas:101/vm-101-disk-7.raw,size=1G', ide2: 'thin:cloudinit'}}
  - {vmid: 102, config: {scsi0: 'thin:vm-102-disk-3,size=1500M', ide2: none}}
";
    let world = world(text);
    let value = |vmid, key: &str| world.guest(vmid).unwrap().get(key).unwrap().to_owned();
    for (vmid, key, expected) in [
        (100, "scsi0", "thin:vm-100-disk-0,size=8G"),
        (100, "scsi1", "tank:vm-100-disk-0,size=8G"),
        (100, "scsi2", "nas:100/vm-100-disk-0.raw,size=8G"),
        (100, "scsi3", "nas:100/vm-100-disk-0.qcow2,size=8G"),
        (100, "scsi4", "ceph:vm-100-disk-0,size=8G"),
        (100, "boot", "order=scsi0"),
        (101, "scsi0", "thin:base-101-disk-0,size=8G"),
        (101, "scsi1", "nas:101/base-101-disk-7.raw,size=1G"),
        (101, "ide2", "thin:vm-101-cloudinit,media=cdrom"),
        (102, "scsi0", "thin:vm-102-disk-3,size=1500M"),
    ] {
        assert_eq!(value(vmid, key), expected, "{vmid} {key}");
    }
    for volid in ["thin:base-101-disk-0", "thin:vm-102-disk-3", "nas:100/vm-100-disk-0.qcow2"] {
        assert!(world.volume("pve1", volid).is_some(), "{volid}");
    }
    assert!(world.volume("pve1", "thin:base-101-disk-0").unwrap().bootable);
}

#[test]
fn guests_run_since_an_hour_and_faults_count_from_the_start() {
    let world = world("guests: [{running: true, config: {scsi0: 'shared:8', agent: '1'}}]\n");
    assert_eq!(world.guest(100).unwrap().status(), GuestStatus::Running);
    let (_, status) = get(world, "/nodes/pve1/qemu/100/status/current");
    assert_eq!(status["uptime"], 3600);
}

#[test]
fn the_same_file_gives_the_same_world() {
    let text = std::fs::read_to_string(root().join("examples/worlds/storages.yaml")).unwrap();
    let json = |world: &World| serde_json::to_string(world).unwrap();
    assert_eq!(json(&world(&text)), json(&world(&text)));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let mut wrong: Vec<String> = Vec::new();
    for (text, expected) in [
        ("nodez: 3\n", "world:1:1: there is no key 'nodez' here|did you mean 'nodes'?"),
        ("nodes: [a, {name: b, memry: 1}]\n", ":1:22: there is no key 'memry' here|'memory'"),
        ("nodes: [a, a]\n", ":1:12: node 'a' is listed twice"),
        ("nodes: [{cpus: 4}]\n", "a node needs a name"),
        ("nodes:\n  - {name: a, memory: 12 elephants}\n", ":2:23: '12 elephants' is no size"),
        ("nodes: 0\n", ":1:8: a cluster has at least one node"),
        ("storages: {xx: zfspol}\n", "there is no storage type 'zfspol'|'zfspool'"),
        ("storages: {xx: {type: rbd, content: [iso]}}\n", "a storage of type rbd cannot"),
        ("storages: {xx: {type: rbd, options: {vgname: a}}}\n", "has no option 'vgname'"),
        ("guests:\n- {vmid: 100}\n- {vmid: 100}\n", ":3:10: guest 100 is there already"),
        ("guests: [{vmid: 7}]\n", ":1:17: 7 is no guest id"),
        ("guests: [{node: pve9}]\n", ":1:17: there is no node 'pve9'|'pve1'"),
        ("guests: [{config: {memroy: 1}}]\n", ":1:28: a guest's configuration has no key|'memory'"),
        ("guests: [{config: {cores: none}}]\n", ":1:27: cores: type check ('integer') failed"),
        ("guests: [{config: {scsi0: 'locl:8'}}]\n", "scsi0: there is no storage 'locl'|'local'"),
        ("storages: {thick: lvm}\nguests: [{config: {scsi0: 'thick:2000'}}]\n", "scsi0: "),
        ("guests: [{config: {scsi0: 'local-lvm:vm-100-disk-0'}}]\n", "the size of"),
        ("guests: [{config: {ide2: 'local:iso/x.iso,media=cdrom'}}]\n", "under 'volumes'"),
        ("guests: [{template: true, running: true}]\n", "is a template and cannot run"),
        ("volumes: ['local:disk']\n", ":1:11: unable to parse directory volume name 'disk'"),
        ("users: {alice: {}}\n", "'alice' is no user|name@realm"),
        ("roles: {R: [VM.Clon]}\n", "there is no privilege 'VM.Clon'|'VM.Clone'"),
        ("acl: [{path: /, user: a@pve, role: PVEAdmin}]\n", ":1:23: there is no user 'a@pve'"),
        ("acl: [{path: /, role: PVEAdmin}]\n", "whom is this entry for?"),
        ("acl: [{path: /, user: root@pam, role: PVEAdmn}]\n", "no role 'PVEAdmn'|'PVEAdmin'"),
        ("pools: {p: {guests: [5]}}\n", ":1:22: there is no guest 5"),
        ("ha: {resources: [100]}\n", "there is no guest 100"),
        ("options: {consol: vv}\n", "datacenter.cfg has no option 'consol'|'console'"),
        ("faults: [{on: {path: /}}]\n", ":1:11: it has no effect"),
        ("faults: [{full: {storage: x}}]\n", "there is no storage 'x'"),
        ("from: moon\n", ":1:7: there is no built-in world 'moon'|lab, truth"),
        ("operator: pvx\n", "'pvx' is no token"),
        ("nodes: [\n", "world:"),
    ] {
        let error = World::from_yaml(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        let missing = expected.split('|').filter(|part| !error.contains(part));
        wrong.extend(missing.map(|part| format!("{text}wanted {part}\n{error}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_error_reads_well() {
    let text =
        "cluster: x\nguests:\n  - {vmid: 100, node: pve7}\n  - {vmid: 101, config: {memry: 5}}\n";
    assert_eq!(
        World::from_yaml(text).unwrap_err(),
        "world:3:23: there is no node 'pve7'
  3 |   - {vmid: 100, node: pve7}
    |                       ^^^^
  help: did you mean 'pve1'?

world:4:33: a guest's configuration has no key 'memry'
  4 |   - {vmid: 101, config: {memry: 5}}
    |                                 ^
  help: did you mean 'memory'?"
    );
}

#[test]
fn bridges_and_replication_jobs_are_read_from_a_file() {
    let text = "nodes: [{name: a, bridges: [vmbr0, {name: vmbr1, vlan_aware: true}]}, b]\n\
                guests: [{vmid: 200, node: a}]\n\
                replication: [{guest: 200, target: b}]\n";
    let world = || World::from_yaml(text).unwrap();
    let (_, bridges) = get(world(), "/nodes/a/network?type=any_bridge");
    let shown = |bridge: &Value| {
        (
            bridge["iface"].clone(),
            bridge["bridge_ports"].clone(),
            bridge["bridge_vlan_aware"].clone(),
        )
    };
    let shown: Vec<_> = bridges.as_array().unwrap().iter().map(shown).collect();
    assert_eq!(
        shown,
        [("vmbr0".into(), "eth0".into(), Value::Null), ("vmbr1".into(), "".into(), 1.into()),]
    );
    let (_, jobs) = get(world(), "/cluster/replication");
    assert_eq!((&jobs[0]["id"], &jobs[0]["target"]), (&"200-0".into(), &"b".into()));
    let wrong = World::from_yaml("nodes: [a]\nreplication: [{guest: 200, target: b}]\n");
    assert!(wrong.unwrap_err().contains("there is no guest 200"));
}
