//! Devices and directories under one name: the API, who may use them, and guests that do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use pvx_sim::World;
use pvx_sim::direct::Direct;
use script::{ROOT, START_MS, Script};
use serde_json::{Value, json};

const GUEST: &str = "/nodes/pve1/qemu/200";
const CREATE: (&str, &str) =
    ("POST /nodes/pve1/qemu vmid=200 memory=128 ostype=l26 machine=q35", "OK");
const CARD: &str = "node=pve1,path=0000:01:00.0,id=8086:1521";
const STICK: &str = "node=pve1,id=1234:abcd,path=1-2";

fn lab() -> Script {
    Script::below(GUEST)
}

/// Why a migration is given up, as its log says.
fn refused(lab: &mut Script, line: &str) -> String {
    let upid = lab.begin(line);
    assert_eq!(lab.exit(&upid), "migration aborted");
    let log = lab.data(&format!("GET /nodes/pve1/tasks/{upid}/log"));
    let lines = log.as_array().unwrap().iter().map(|line| line["t"].as_str().unwrap());
    let found =
        lines.filter_map(|line| line.split_once("ERROR: migration aborted (duration 00:00:00): "));
    let mut found = found.map(|(_, text)| text.to_owned()).collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{log}");
    found.remove(0)
}

#[test]
fn mappings_are_kept() {
    let mut lab = lab();
    let card = format!("POST /cluster/mapping/pci id=card map={CARD} mdev=1");
    lab.play(&[
        (&card, "done"),
        (&card, "create hardware mapping failed: pci ID 'card' already defined"),
        (&format!("POST /cluster/mapping/usb id=stick map={STICK} description=a~key"), "done"),
        ("POST /cluster/mapping/dir id=share map=node=pve1,path=/srv", "done"),
        ("POST /cluster/mapping/usb id=other", "map: property is missing and it is not optional"),
        (
            "POST /cluster/mapping/dir id=other map=node=pve1,path=/nowhere",
            "Path /nowhere does not exist",
        ),
        (
            "POST /cluster/mapping/dir id=other map=node=pve2,path=/a map=node=pve2,path=/b",
            "Node 'pve2' is specified 2 times.",
        ),
        (
            "POST /cluster/mapping/pci id=other map=node=pve1,path=01:00.0,id=8086:1521",
            "map[0]: invalid format - format error\nmap[0].path: value does not match the regex pattern\n",
        ),
    ]);
    let shown = lab.data("GET /cluster/mapping/pci/card");
    assert_eq!(
        (&shown["map"], &shown["mdev"], &shown["type"]),
        (&json!([CARD]), &json!(1), &json!("pci"))
    );
    let all = lab.data("GET /cluster/mapping/usb check-node=pve2");
    assert_eq!(all[0]["id"], "stick");
    assert_eq!(all[0]["errors"][0]["message"], "No mapping for node pve2.");
    let all = lab.data("GET /cluster/mapping/dir check-node=pve1");
    assert_eq!(all[0]["checks"], json!([]));
}

#[test]
fn an_update_says_where_the_devices_are() {
    let mut lab = lab();
    let digest = "detected modified configuration - file changed by other user? Try again.";
    lab.play(&[
        (&format!("POST /cluster/mapping/pci id=card map={CARD} description=one"), "done"),
        (
            "PUT /cluster/mapping/pci/card description=two",
            "update hardware mapping failed: missing value for required option 'map'",
        ),
        (
            "PUT /cluster/mapping/usb/card description=two",
            "map: property is missing and it is not optional",
        ),
        (
            &format!("PUT /cluster/mapping/pci/none map={CARD}"),
            "update hardware mapping failed: pci ID 'none' does not exist",
        ),
        (
            &format!("PUT /cluster/mapping/pci/card map={CARD} digest=1"),
            &format!("update hardware mapping failed: {digest}"),
        ),
        (
            &format!("PUT /cluster/mapping/pci/card map={CARD} delete=map"),
            "update hardware mapping failed: unable to delete required option 'map'",
        ),
        (&format!("PUT /cluster/mapping/pci/card map={CARD} map=node=pve2,path=0000:02:00,id=8086:1521 delete=description"), "done"),
    ]);
    let shown = lab.data("GET /cluster/mapping/pci/card");
    assert_eq!((shown["map"].as_array().unwrap().len(), &shown["description"]), (2, &Value::Null));
    let wanted = shown["digest"].as_str().unwrap().to_owned();
    lab.play(&[
        (&format!("PUT /cluster/mapping/pci/card map={CARD} digest={wanted}"), "done"),
        ("DELETE /cluster/mapping/pci/card", "done"),
        ("DELETE /cluster/mapping/pci/card", "done"),
        ("GET /cluster/mapping/pci/card", "mapping 'card' not found"),
    ]);
}

#[test]
fn a_guest_starts_where_its_devices_are() {
    let mut lab = lab();
    let devices = "PUT config hostpci0=mapping=card,pcie=1 usb0=mapping=stick virtiofs0=share";
    lab.play(&[
        CREATE,
        (devices, "done"),
        ("POST status/start", "PCI device mapping not found for 'card'"),
        (&format!("POST /cluster/mapping/pci id=card map={CARD}"), "done"),
        ("POST status/start", "USB device mapping not found for 'stick'"),
        (&format!("POST /cluster/mapping/usb id=stick map={STICK}"), "done"),
        ("POST status/start", "Directory ID share does not exist."),
        ("POST /cluster/mapping/dir id=share map=node=pve2,path=/srv", "done"),
        ("POST status/start", "No directory mapping for node pve1."),
        ("PUT /cluster/mapping/dir/share map=node=pve1,path=/srv map=node=pve2,path=/srv", "done"),
        ("POST status/start", "OK"),
        (
            "PUT config usb1=mapping=none",
            "usb1: hotplug problem - USB device mapping not found for 'none'\n",
        ),
        ("PUT config delete=usb0 revert=usb1", "done"),
        ("PUT config usb0=mapping=stick", "done"),
    ]);
    assert_eq!(lab.data("GET config?current=1")["usb0"], "mapping=stick");
    lab.play(&[
        ("POST status/stop", "OK"),
        ("PUT config machine=pc", "done"),
        (
            "POST status/start",
            "q35 machine model is not enabled at /usr/share/perl5/PVE/QemuServer/PCI.pm line 510.",
        ),
        ("PUT config hostpci0=mapping=card", "done"),
        ("POST status/start", "OK"),
    ]);
}

#[test]
fn a_guest_moves_where_its_devices_are() {
    let mut lab = lab();
    lab.play(&[
        CREATE,
        ("PUT config hostpci0=mapping=card", "done"),
        (&format!("POST /cluster/mapping/pci id=card map={CARD}"), "done"),
    ]);
    let missing = "can't migrate to 'pve2': missing mapped devices hostpci0";
    assert_eq!(refused(&mut lab, "POST migrate target=pve2"), missing);
    let both = format!(
        "PUT /cluster/mapping/pci/card map={CARD} map=node=pve2,path=0000:02:00.0,id=8086:1521"
    );
    lab.play(&[(&both, "done"), ("POST status/start", "OK")]);
    let held = "can't live migrate running VM which uses following mapped devices: hostpci0:card";
    assert_eq!(refused(&mut lab, "POST migrate target=pve2 online=1"), held);
    let check = lab.data("GET migrate");
    assert_eq!(check["mapped-resource-info"], json!({ "hostpci0": { "name": "card" } }));
    assert_eq!(check["allowed_nodes"], json!(["pve2"]));
    lab.play(&[(&format!("{both} live-migration-capable=1"), "done")]);
    lab.play(&[("POST migrate target=pve2 online=1", "OK")]);
}

#[test]
fn who_may() {
    let mut lab = lab();
    lab.play(&[
        CREATE,
        (&format!("POST /cluster/mapping/pci id=card map={CARD}"), "done"),
        ("POST /access/roles roleid=Changer privs=VM.Config.HWType,VM.Config.Disk", "done"),
        ("POST /access/users userid=changer@pve", "done"),
        ("PUT /access/acl path=/ users=changer@pve roles=Changer", "done"),
    ]);
    let (_, body) = lab.call("POST /access/users/changer@pve/token/own privsep=0");
    let secret = body["data"]["value"].as_str().unwrap().to_owned();
    let changer = format!("PVEAPIToken=changer@pve!own={secret}");
    lab.caller.clone_from(&changer);
    let denied = "Permission check failed";
    assert_eq!(lab.data("GET /cluster/mapping/pci"), json!([]));
    lab.play(&[
        (
            &format!("POST /cluster/mapping/pci id=b map={CARD}"),
            "Permission check failed (/mapping/pci, Mapping.Modify)",
        ),
        ("GET /cluster/mapping/pci/card", denied),
        (
            "DELETE /cluster/mapping/pci/card",
            "Permission check failed (/mapping/pci, Mapping.Modify)",
        ),
        (
            "PUT config hostpci0=mapping=card",
            "Permission check failed (/mapping/pci/card, Mapping.Use)",
        ),
        (
            "PUT config hostpci0=0000:01:00.0",
            "only root can set 'hostpci0' config for non-mapped devices",
        ),
    ]);
    ROOT.clone_into(&mut lab.caller);
    lab.play(&[(
        "PUT /access/acl path=/mapping/pci/card users=changer@pve roles=PVEMappingUser",
        "done",
    )]);
    lab.caller = changer;
    lab.play(&[
        ("PUT config hostpci0=mapping=card", "done"),
        ("PUT config delete=hostpci0", "done"),
    ]);
    assert_eq!(lab.data("GET /cluster/mapping/pci")[0]["id"], "card");
}

#[test]
fn world_files_have_mappings() {
    let world = World::from_yaml(
        "nodes: 2\n\
         guests: [{vmid: 200, config: {virtiofs0: share, usb0: mapping=stick}}]\n\
         mappings:\n  dir: {share: ['node=pve1,path=/export/share']}\n  \
         usb: {stick: {map: ['node=pve1,id=1234:abcd'], description: key}}\n",
    );
    let mut lab = lab();
    lab.direct = Direct::new(world.unwrap(), START_MS);
    "root@pam".clone_into(&mut lab.caller);
    lab.play(&[("POST status/start", "OK")]);
    for (text, part) in [
        ("mappings: {dir: {share: ['node=pve9,path=/x']}}", "there is no node 'pve9'"),
        ("mappings: {usb: {stick: ['node=pve1']}}", "map.id: property is missing"),
        ("mappings: {usb: {stick: {map: [], mdev: true}}}", "'mdev' is for PCI devices"),
    ] {
        let error = World::from_yaml(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

/// A clone has the devices of what it is made from: who makes it must be allowed to use them.
#[test]
fn who_may_clone() {
    let mut lab = lab();
    lab.play(&[
        CREATE,
        (&format!("POST /cluster/mapping/usb id=stick map={STICK}"), "done"),
        ("PUT config usb0=mapping=stick", "done"),
        ("POST /access/roles roleid=Cloner privs=VM.Clone,VM.Allocate", "done"),
        ("POST /access/users userid=cloner@pve", "done"),
        ("PUT /access/acl path=/ users=cloner@pve roles=Cloner", "done"),
    ]);
    let (_, body) = lab.call("POST /access/users/cloner@pve/token/own privsep=0");
    let secret = body["data"]["value"].as_str().unwrap().to_owned();
    let cloner = format!("PVEAPIToken=cloner@pve!own={secret}");
    lab.caller.clone_from(&cloner);
    let denied = "Permission check failed (/mapping/usb/stick, Mapping.Use)";
    lab.play(&[("POST clone newid=201", denied)]);
    ROOT.clone_into(&mut lab.caller);
    lab.play(&[(
        "PUT /access/acl path=/mapping/usb/stick users=cloner@pve roles=PVEMappingUser",
        "done",
    )]);
    lab.caller = cloner;
    lab.play(&[("POST clone newid=201", "OK")]);
}
