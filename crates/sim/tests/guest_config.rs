//! A guest's configuration as its file keeps it: values written and read again, what waits and
//! what is taken back, tags.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use script::{ROOT, Script as Lab};
use serde_json::{Value, json};

/// The guest that most scripts are about.
const GUEST: &str = "/nodes/pve1/qemu/200";

impl Lab {
    /// The values of some keys of the configuration.
    fn config<const N: usize>(&mut self, path: &str, names: [&str; N]) -> [Value; N] {
        let (told, body) = self.call(&format!("GET {path}"));
        assert_eq!(told.status, 200, "{path}: {told:?}");
        names.map(|name| body["data"][name].clone())
    }

    /// What waits: keys, each with its new value or none.
    fn pending(&mut self) -> Vec<(String, Value)> {
        let (_, body) = self.call("GET pending");
        let mut all: Vec<(String, Value)> = body["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|item| item.get("pending").is_some() || item.get("delete").is_some())
            .map(|item| (item["key"].as_str().unwrap().to_owned(), item["pending"].clone()))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}

const CREATE: (&str, &str) = (
    "POST /nodes/pve1/qemu vmid=200 memory=1024 ostype=l26 scsihw=virtio-scsi-pci scsi0=vmdata:1 scsi1=vmdata:1 net0=virtio,bridge=vmbr0",
    "OK",
);
const START: (&str, &str) = ("POST status/start", "OK");

#[test]
fn a_guest_with_nothing_has_a_boot_order_all_the_same() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[(
        "POST /nodes/pve1/qemu vmid=200 cpulimit=1.5 cores=02 tags= smbios1= description= sshkeys=",
        "OK",
    )]);
    let names = ["boot", "cpulimit", "cores", "tags", "description", "sshkeys"];
    let expected = [json!(" "), json!("1.5"), json!(2), json!(" "), Value::Null, Value::Null];
    assert_eq!(lab.config("config", names), expected);
    let [smbios] = lab.config("config", ["smbios1"]);
    assert!(smbios.as_str().unwrap().starts_with("uuid="), "{smbios}");
}

#[test]
fn values_are_written_and_read_again() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        ("PUT config ciuser=a~ searchdomain= nameserver=1.1.1.1 tags=b;a", "done"),
        ("PUT config tags= nameserver= sshkeys=", "done"),
        ("PUT config cores=%2B2", "cores: type check ('integer') failed - got '%2B2'"),
        ("PUT config cores=+2", "unable to parse value of 'cores' - type check ('integer') failed - got '+2'"),
        ("PUT config searchdomain=a^b", "unable to parse value of 'searchdomain' - property contains a line feed"),
        ("POST config cpulimit=1e1", "unable to parse value of 'cpulimit' - type check ('number') failed - got '1e1'"),
        (
            "POST /nodes/pve1/qemu vmid=201 args= searchdomain=a^b",
            "only root can set 'args' config",
        ),
        (
            "POST /nodes/pve1/qemu vmid=201 searchdomain=a^b",
            "unable to create VM 201 - unable to parse value of 'searchdomain' - property contains a line feed",
        ),
        ("PUT config smp=3", "done"),
    ]);
    let names = ["ciuser", "searchdomain", "nameserver", "tags", "sshkeys", "smp", "sockets"];
    let expected =
        [json!("a"), json!(" "), json!(" "), json!(" "), Value::Null, Value::Null, json!(3)];
    assert_eq!(lab.config("config", names), expected);
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        START,
        ("PUT config protection=1", "done"),
        ("PUT config delete=scsi0", "can't remove drive 'scsi0' - protection mode enabled"),
    ]);
    assert_eq!(lab.pending(), []);
    lab.play(&[
        ("PUT config protection=0 sata0=vmdata:1", "done"),
        (
            "PUT config sata0=vmdata:200/vm-200-disk-9.raw",
            "volume 'vmdata:200/vm-200-disk-9.raw' does not exist",
        ),
    ]);
    assert_eq!(
        lab.pending(),
        [("sata0".to_owned(), json!("vmdata:200/vm-200-disk-2.raw,size=1G"))]
    );
}

#[test]
fn changes_are_taken_back_like_changes() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        START,
        ("PUT config ide0=none,media=cdrom cores=2 balloon=0", "done"),
        ("PUT config revert=ide0,cores,name", "done"),
    ]);
    let waits = lab.pending().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!(waits, ["balloon", "boot"]);
    assert_eq!(lab.config("config", ["unused0", "cores"]), [Value::Null, Value::Null]);
    lab.play(&[
        ("PUT config protection=1 sata0=vmdata:1", "done"),
        ("PUT config revert=sata0", "can't remove drive 'sata0' - protection mode enabled"),
        (
            "PUT config memory=16 balloon=512",
            "balloon value too large (must be smaller than assigned memory)",
        ),
    ]);
}

#[test]
fn a_volume_that_waits_to_be_attached_is_not_unused() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE, ("PUT config delete=scsi1", "done"), START]);
    let disk = json!("vmdata:200/vm-200-disk-1.raw");
    let [unused] = lab.config("config", ["unused0"]);
    assert_eq!(unused, disk);
    lab.play(&[("PUT config ide1=vmdata:200/vm-200-disk-1.raw", "done")]);
    assert_eq!(lab.config("config?current=1", ["unused0", "ide1"]), [Value::Null, Value::Null]);
    lab.play(&[("PUT config revert=ide1", "done")]);
    assert_eq!(lab.config("config", ["unused0", "ide1"]), [disk, Value::Null]);
    lab.play(&[("PUT config unused7=vmdata:200/vm-200-disk-0.raw", "done")]);
    lab.play(&[("POST status/stop", "OK"), START]);
    assert_eq!(lab.config("config", ["unused7"]), [Value::Null]);
}

#[test]
fn a_deletion_that_waits_hides_a_value_unless_it_is_false() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        ("PUT config balloon=0 cores=2", "done"),
        START,
        ("PUT config delete=balloon,cores", "done"),
    ]);
    assert_eq!(lab.config("config", ["balloon", "cores"]), [json!(0), Value::Null]);
}

#[test]
fn tags_keep_the_style_of_the_datacenter() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        ("PUT /cluster/options tag-style=ordering=config,case-sensitive=1", "done"),
        CREATE,
        ("PUT config tags=b;B;a;b", "done"),
    ]);
    assert_eq!(lab.config("config", ["tags"]), [json!("b;B;a")]);
}

#[test]
fn tags_of_a_new_guest_need_their_privileges() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        ("POST /access/roles roleid=Maker privs=VM.Allocate,VM.Config.Memory", "done"),
        ("POST /access/users userid=maker@pve", "done"),
        ("PUT /access/acl path=/ users=maker@pve roles=Maker", "done"),
    ]);
    let (_, body) = lab.call("POST /access/users/maker@pve/token/own privsep=0");
    let secret = body["data"]["value"].as_str().unwrap().to_owned();
    lab.caller = format!("PVEAPIToken=maker@pve!own={secret}");
    let create = "POST /nodes/pve1/qemu vmid=201 memory=128 tags=a";
    lab.play(&[(
        create,
        "unable to create VM 201 - 403 Permission check failed (/vms/201, VM.Config.Options)",
    )]);
    let maker = std::mem::replace(&mut lab.caller, ROOT.to_owned());
    lab.play(&[
        ("PUT /access/roles/Maker privs=VM.Config.Options append=1", "done"),
        ("PUT /cluster/options registered-tags=a", "done"),
    ]);
    lab.caller = maker;
    lab.play(&[(
        create,
        "unable to create VM 201 - 403 Permission check failed (/, Sys.Modify for modifying tag 'a')",
    )]);
    lab.play(&[("POST /nodes/pve1/qemu vmid=201 memory=128 tags=b", "OK")]);
}

#[test]
fn a_cloudinit_drive_is_written_with_what_is_there() {
    let mut lab = Lab::below(GUEST);
    let missing = "volume 'local:snippets/x.yaml' does not exist";
    let plugged = format!("scsi3: hotplug problem - {missing}\n");
    lab.play(&[
        CREATE,
        ("PUT config cicustom=user=local:snippets/x.yaml", "done"),
        ("PUT config scsi2=vmdata:cloudinit", missing),
    ]);
    let drive = json!("vmdata:200/vm-200-cloudinit.qcow2,media=cdrom");
    assert_eq!(lab.config("config", ["scsi2"]), [drive]);
    lab.play(&[
        ("PUT config delete=scsi2,cicustom", "done"),
        START,
        ("PUT config cicustom=user=local:snippets/x.yaml", "done"),
        ("PUT config scsi3=vmdata:cloudinit", plugged.as_str()),
        ("PUT config hotplug=disk,cloudinit ciuser=x", "done"),
        ("PUT config delete=cicustom", "done"),
        ("PUT config revert=scsi3", "done"),
        ("PUT config scsi3=vmdata:cloudinit", "done"),
        ("PUT config cicustom=user=local:snippets/x.yaml", missing),
    ]);
    assert_eq!(lab.pending(), []);
}

#[test]
fn a_volume_that_may_not_be_freed_stays() {
    let mut lab = Lab::below(GUEST);
    let denied = "403 Permission check failed (/storage/vmdata, Datastore.AllocateSpace)\n";
    let stopped = format!("scsi1: unable to apply pending change scsi1 : {denied}");
    let running = format!("scsi1: hotplug problem - {denied}");
    lab.play(&[
        CREATE,
        ("POST /access/roles roleid=Changer privs=VM.Config.Disk", "done"),
        ("POST /access/users userid=changer@pve", "done"),
        ("PUT /access/acl path=/ users=changer@pve roles=Changer", "done"),
    ]);
    let (_, body) = lab.call("POST /access/users/changer@pve/token/own privsep=0");
    let secret = body["data"]["value"].as_str().unwrap().to_owned();
    let changer = format!("PVEAPIToken=changer@pve!own={secret}");
    for (begin, expected) in [("GET config", stopped), ("POST status/start", running)] {
        assert_eq!(lab.call(begin).0.status, 200);
        lab.caller.clone_from(&changer);
        lab.play(&[("PUT config delete=scsi1 force=1", expected.as_str())]);
        ROOT.clone_into(&mut lab.caller);
        lab.play(&[("PUT config revert=scsi1", "done")]);
    }
    assert_eq!(lab.pending(), []);
}
