//! Guests in sim time: clones and what they leave, locks, lists of tasks, preconditions, removal.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use pvx_sim::{Storage, StorageKind};
use script::Script as Lab;
use serde_json::{Value, json};

/// The guest that most scripts are about.
const GUEST: &str = "/nodes/pve1/qemu/200";

impl Lab {
    fn log(&self, upid: &str) -> Vec<String> {
        self.direct.world().tasks().find(|task| task.upid == upid).unwrap().log.clone()
    }

    /// Volumes of a guest on the shared storage.
    fn volumes(&self, vmid: u32) -> Vec<String> {
        let all = self.direct.world().volumes_on("shared", "pve1");
        let own = all.filter(|(_, volume)| volume.vmid == Some(vmid));
        own.map(|(name, _)| name.to_owned()).collect()
    }

    /// A line of the guest's configuration, as if written into its file.
    fn set(&mut self, key: &str, value: &str) {
        let guest = self.direct.world_mut().guest_mut(200).unwrap();
        guest.config.insert(key.to_owned(), value.to_owned());
    }

    /// Where `vmdata` is.
    fn vmdata(&mut self, nodes: &[&str], disabled: bool) {
        let mut storage = Storage::new("vmdata", StorageKind::Dir, false, &["images"], 1 << 40);
        storage.nodes = Some(nodes.iter().map(|&node| node.to_owned()).collect());
        storage.options.extend(disabled.then(|| ("disable".to_owned(), "1".to_owned())));
        self.direct.world_mut().add_storage(storage);
    }

    /// Makes copies of a volume take a second per so many GiB.
    fn fill(&mut self, name: &str, gib: u64) {
        let world = self.direct.world_mut();
        let mut volume = world.volume("pve1", name).unwrap().clone();
        volume.used = gib << 30;
        world.add_volume("pve1", name, volume);
    }
}

const CREATE: (&str, &str) = (
    "POST /nodes/pve1/qemu vmid=200 name=web memory=1024 ostype=l26 scsihw=virtio-scsi-pci scsi0=shared:1,format=qcow2 ide2=shared:cloudinit net0=virtio,bridge=vmbr0",
    "OK",
);
const START: (&str, &str) = ("POST status/start", "OK");
const BUSY: &str = "can't lock file '/var/lock/qemu-server/lock-200.conf' - got timeout";

#[test]
fn clones_are_refused_in_order() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        ("POST /nodes/pve2/qemu vmid=300", "OK"),
        ("POST clone newid=201 pool=no", "Permission check failed (pool 'no' does not exist)"),
        ("POST clone newid=201 target=pve9", "no such cluster node 'pve9'"),
        ("POST clone newid=201 storage=no", "storage 'no' does not exist"),
        (
            "POST clone newid=201 storage=vmdata target=pve2",
            "can't clone to non-shared storage 'vmdata'",
        ),
        ("POST clone newid=201 full=0 storage=shared", "parameter 'storage' not allowed for linked clones"),
        ("POST clone newid=201 full=0 format=raw", "parameter 'format' not allowed for linked clones"),
        ("POST clone newid=201 snapname=s0", "snapshot 's0' does not exist"),
        (
            "POST clone newid=201 full=0",
            "Linked clone feature is not supported for 'shared:200/vm-200-disk-0.qcow2' (scsi0)",
        ),
        ("POST clone newid=200", "unable to create VM 200: config file already exists"),
        // The id is taken on another node: that shows when the file is to be written.
        (
            "POST clone newid=300",
            "close (rename) atomic file '/etc/pve/nodes/pve1/qemu-server/300.conf' failed: File exists",
        ),
    ]);
    lab.set("lock", "backup");
    lab.play(&[("POST clone newid=201", "VM is locked (backup)")]);
}

#[test]
fn a_storage_of_the_target_node_is_looked_at() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE]);
    let line = "POST clone newid=201 storage=vmdata target=pve2";
    lab.vmdata(&["pve1"], false);
    lab.play(&[(line, "storage 'vmdata' is not available on node 'pve2'")]);
    lab.vmdata(&["pve1", "pve2"], false);
    lab.play(&[(line, "can't clone to non-shared storage 'vmdata'")]);
    lab.vmdata(&["pve1"], true);
    lab.play(&[(line, "storage 'vmdata' is disabled")]);
}

#[test]
fn clones_discard_what_waits_and_ask_for_formats_in_vain() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        START,
        ("PUT config memory=2048 delete=name", "done"),
        ("PUT config cores=2", "done"),
    ]);
    let upid = lab.begin("POST clone newid=201 description=0 format=raw target=pve2");
    assert_eq!(lab.exit(&upid), "OK");
    let log = lab.log(&upid);
    let told = log.iter().find(|line| line.starts_with("found pending changes for '"));
    assert!(told.is_some_and(|line| line.contains("cores")), "{log:#?}");
    let config = lab.data("GET /nodes/pve2/qemu/201/config");
    assert_eq!(config.get("lock"), None);
    assert_eq!(config["scsi0"], "shared:201/vm-201-disk-0.raw,size=1G");
    assert_eq!(config["ide2"], "shared:201/vm-201-cloudinit.raw,media=cdrom,size=4M");
    let pending = lab.data("GET /nodes/pve2/qemu/201/pending");
    assert!(pending.as_array().unwrap().iter().all(|item| item.get("pending").is_none()));
}

#[test]
fn a_stopped_clone_leaves_nothing() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE]);
    lab.fill("shared:200/vm-200-disk-0.qcow2", 8);
    let upid = lab.begin("POST clone newid=201");
    lab.direct.advance(2000);
    assert_eq!(lab.volumes(201).len(), 2);
    lab.play(&[(&format!("DELETE /nodes/pve1/tasks/{upid}"), "done")]);
    assert_eq!(
        lab.exit(&upid),
        "clone failed: copy failed: command '/usr/bin/qemu-img convert -p -n -f qcow2 -O qcow2 /mnt/shared/images/200/vm-200-disk-0.qcow2 zeroinit:/mnt/shared/images/201/vm-201-disk-0.qcow2' failed: interrupted by signal"
    );
    assert_eq!((lab.volumes(201), lab.volumes(200).len()), (Vec::new(), 2));
    lab.play(&[("GET /nodes/pve1/qemu/201/config", NO_CONFIG)]);
}

/// What is stopped while it copies for 8 s, after how long, and how it ends.
#[test]
fn stopped_tasks_say_what_was_interrupted() {
    let aborted = "migration aborted";
    let copy = "copy failed: command '/usr/bin/qemu-img convert -p -n -r 1024K -f qcow2 -O raw /mnt/shared/images/200/vm-200-disk-0.qcow2 zeroinit:/var/lib/vmdata/images/201/vm-201-disk-0.raw' failed: interrupted by signal";
    let moved = "copy failed: command '/usr/bin/qemu-img convert -p -n -f qcow2 -O qcow2 /mnt/shared/images/200/vm-200-disk-0.qcow2 zeroinit:/var/lib/vmdata/images/200/vm-200-disk-0.qcow2' failed: interrupted by signal";
    let mirror = "block job (mirror) error: interrupted by signal";
    for (line, running, expected) in [
        (
            "POST clone newid=201 format=raw storage=vmdata bwlimit=1024",
            false,
            &*format!("clone failed: {copy}"),
        ),
        ("POST clone newid=201", true, &format!("clone failed: {mirror}")),
        (
            "POST move_disk disk=scsi0 storage=vmdata",
            false,
            &format!("storage migration failed: {moved}"),
        ),
        (
            "POST move_disk disk=scsi0 storage=vmdata",
            true,
            &format!("storage migration failed: {mirror}"),
        ),
        ("POST migrate target=pve2 online=1", true, aborted),
        ("POST status/shutdown", true, "received interrupt"),
    ] {
        let mut lab = Lab::below(GUEST);
        lab.play(&[CREATE]);
        if running {
            lab.play(&[START]);
        }
        lab.fill("shared:200/vm-200-disk-0.qcow2", 8);
        let before = lab.data("GET config");
        let upid = lab.begin(line);
        lab.direct.advance(1200);
        lab.play(&[(&format!("DELETE /nodes/pve1/tasks/{upid}"), "done")]);
        assert_eq!(lab.exit(&upid), expected, "{line}");
        assert_eq!(lab.data("GET config"), before, "{line}");
        lab.play(&[("GET /nodes/pve1/qemu/201/config", NO_CONFIG)]);
        lab.direct.world().check().unwrap();
    }
}

const NO_CONFIG: &str = "Configuration file 'nodes/pve1/qemu-server/201.conf' does not exist";

#[test]
fn bwlimit_slows_a_clone() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE]);
    lab.fill("shared:200/vm-200-disk-0.qcow2", 1);
    let upid = lab.begin("POST clone newid=201 bwlimit=102400");
    lab.direct.advance(10_000);
    assert_eq!(lab.data(&format!("GET /nodes/pve1/tasks/{upid}/status"))["status"], "running");
    assert_eq!(lab.exit(&upid), "OK");
}

/// What waits for the lock of a guest that is being cloned while it runs: how long, in sim ms.
#[test]
fn locks_are_waited_for_as_long_as_there() {
    for (line, waits, error) in [
        ("PUT config cores=1", 10_000, BUSY),
        ("PUT resize disk=scsi0 size=+1G", 10_000, BUSY),
        ("POST status/shutdown", 10_000, BUSY),
        ("POST snapshot snapname=before", 10_000, BUSY),
        ("POST clone newid=202", 1_000, BUSY),
        ("POST /nodes/pve1/qemu vmid=201", 5_000, ""),
    ] {
        let mut lab = Lab::below(GUEST);
        lab.play(&[CREATE, START]);
        lab.fill("shared:200/vm-200-disk-0.qcow2", 60);
        let first = lab.begin("POST clone newid=201");
        lab.direct.advance(500);
        let now = lab.now();
        let error = if error.is_empty() {
            "unable to create VM 201 - can't lock file '/var/lock/qemu-server/lock-201.conf' - got timeout"
        } else {
            error
        };
        lab.play(&[(line, error)]);
        let took = lab.now() - now;
        assert!((waits..waits + 1500).contains(&took), "{line}: {took}");
        assert_eq!(lab.exit(&first), "OK");
    }
}

impl Lab {
    /// Sim ms, as the node's clock tells it: whole seconds.
    fn now(&mut self) -> i64 {
        self.data("GET /nodes/pve1/time")["time"].as_i64().unwrap() * 1000
    }
}

#[test]
fn a_template_is_cloned_by_many_at_once() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        CREATE,
        ("POST template disk=scsi77", &format!("disk: {}", unknown_drive("scsi77"))),
        ("POST template disk=scsi9", "OK"),
        ("POST template", "you can't convert a template to a template"),
        ("POST template disk=scsi0", "OK"),
        ("POST status/start", "you can't start a vm if it's a template"),
    ]);
    let config = lab.data("GET config");
    assert_eq!(config["scsi0"], "shared:200/base-200-disk-0.qcow2,size=1G");
    let upids: Vec<String> =
        (201..206).map(|vmid| lab.begin(&format!("POST clone newid={vmid}"))).collect();
    for upid in &upids {
        assert_eq!(lab.exit(upid), "OK");
    }
    // A template of a linked clone still stands on its base.
    lab.play(&[
        ("POST /nodes/pve1/qemu/201/template", "OK"),
        (
            "DELETE /nodes/pve1/qemu/200",
            "base volume 'shared:200/base-200-disk-0.qcow2' is still in use by linked cloned",
        ),
    ]);
    let config = lab.data("GET /nodes/pve1/qemu/201/config");
    let volume = "shared:200/base-200-disk-0.qcow2/201/base-201-disk-0.qcow2,size=1G";
    assert_eq!(config["scsi0"], volume);
    assert_eq!(lab.data("GET config")["template"], 1);
    for vmid in (201..206).chain([200]) {
        lab.play(&[(&format!("DELETE /nodes/pve1/qemu/{vmid}"), "OK")]);
    }
    assert_eq!(lab.volumes(200), Vec::<String>::new());
}

fn unknown_drive(name: &str) -> String {
    let buses = [("ide", 4), ("scsi", 31), ("virtio", 16), ("sata", 6)];
    let names = buses.iter().flat_map(|(bus, count)| (0..*count).map(move |n| format!("{bus}{n}")));
    let names: Vec<String> = names.chain(["efidisk0".into(), "tpmstate0".into()]).collect();
    format!("value '{name}' does not have a value in the enumeration '{}'", names.join(", "))
}

#[test]
fn guests_are_destroyed_with_what_is_theirs() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        ("POST /pools poolid=team", "done"),
        ("POST /nodes/pve1/qemu vmid=200 pool=team ha-managed=1 scsi0=shared:1 protection=1", "OK"),
        ("DELETE /nodes/pve1/qemu/200", "can't remove VM 200 - protection mode enabled"),
        ("PUT config protection=0", "done"),
        (
            "DELETE /nodes/pve1/qemu/200",
            "unable to remove VM 200 - used in HA resources and purge parameter not set.",
        ),
    ]);
    assert_eq!(lab.data("GET /cluster/ha/resources/vm:200")["state"], "stopped");
    lab.set("lock", "backup");
    // The lock is looked at by the task.
    lab.play(&[("DELETE /nodes/pve1/qemu/200 purge=1", "VM is locked (backup)")]);
    let world = lab.direct.world_mut();
    world.guest_mut(200).unwrap().config.remove("lock");
    lab.play(&[("DELETE /nodes/pve1/qemu/200 purge=1", "OK")]);
    assert_eq!(lab.data("GET /pools/team")["members"], json!([]));
    assert_eq!(lab.data("GET /cluster/ha/resources"), json!([]));
}

#[test]
fn a_stop_overrules_a_shutdown() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE, START]);
    let first = lab.begin("POST status/shutdown timeout=300");
    lab.direct.advance(1000);
    let second = lab.begin("POST status/shutdown");
    assert_eq!(lab.exit(&second), BUSY);
    assert_eq!(lab.log(&second)[0], "trying to acquire lock...");
    lab.play(&[("POST status/stop", BUSY)]);
    let stop = lab.begin("POST status/stop overrule-shutdown=1");
    assert_eq!((lab.exit(&first), lab.exit(&stop)), ("received interrupt".into(), "OK".into()));
    assert_eq!(lab.log(&stop)[0], format!("overruled qmshutdown tasks: {first}"));
}

#[test]
fn tasks_are_listed_and_chosen() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE, START, ("POST /nodes/pve2/qemu vmid=300", "OK")]);
    let running = lab.begin("POST status/shutdown timeout=300");
    lab.direct.advance(2000);
    for (query, count) in [
        ("", 2),
        ("source=active", 1),
        ("source=all", 3),
        ("typefilter=qmstart", 1),
        ("typefilter=qm", 0),
        ("typefilter=", 2),
        ("userfilter=ROOT", 2),
        ("userfilter=nobody", 0),
        ("vmid=201", 0),
        ("errors=1", 0),
        ("source=all errors=1", 1),
        ("statusfilter=ok", 2),
        ("statusfilter=unknown source=all", 1),
        ("since=4000000000", 0),
        ("until=1000000000", 0),
        ("limit=1", 1),
        ("limit=0", 0),
        ("start=1", 1),
    ] {
        let line = format!("GET /nodes/pve1/tasks {query}");
        let found = lab.data(line.trim_end());
        assert_eq!(found.as_array().unwrap().len(), count, "{query}: {found:#}");
    }
    let bad = lab.outcome("GET /nodes/pve1/tasks statusfilter=bad");
    assert!(bad.starts_with("statusfilter: invalid format - invalid status 'bad'"), "{bad}");
    let all = lab.data("GET /nodes/pve1/tasks source=all");
    assert_eq!((&all[0]["upid"], &all[0]["status"]), (&json!(running), &json!("RUNNING")));
    let cluster = lab.data("GET /cluster/tasks");
    let cluster = cluster.as_array().unwrap();
    // Nine are from before the world began.
    assert_eq!(cluster.len(), 9 + 4);
    assert!(cluster[0].get("pid").is_some() && cluster[0].get("pstart").is_none());
    assert!(cluster[1].get("pid").is_none() && cluster[1]["status"] == "OK");
    let path = format!("GET /nodes/pve1/tasks/{running}/log");
    lab.play(&[(
        &format!("{path} download=1 start=1"),
        "'download' cannot be used together with 'start' or 'limit' parameters",
    )]);
    assert_eq!(lab.data(&path), json!([{ "n": 1, "t": "no content" }]));
}

#[test]
fn preconditions_name_what_ties_a_guest() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE, ("PUT config serial1=socket scsi1=vmdata:1", "done")]);
    lab.set("serial0", "/dev/ttyS0");
    lab.vmdata(&["pve1", "pve3"], false);
    let found = lab.data("GET migrate");
    assert_eq!(found["local_resources"], json!(["serial0"]));
    assert_eq!(found["allowed_nodes"], json!(["pve3"]));
    assert_eq!(
        found["not_allowed_nodes"],
        json!({ "pve2": { "unavailable_storages": ["vmdata"] }, "pve3": {} })
    );
    let upid = lab.begin("POST migrate target=pve3");
    assert_eq!(lab.exit(&upid), "migration aborted");
    let log = lab.log(&upid).join("\n");
    assert!(log.contains("can't migrate VM which uses local devices: serial0"), "{log}");
    lab.play(&[START]);
    assert_eq!(lab.data("GET migrate")["allowed_nodes"], json!(["pve3"]));
    lab.set("lock", "backup");
    lab.play(&[("GET migrate", "VM is locked (backup)")]);
}

#[test]
fn a_status_has_what_the_configuration_brings() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE]);
    let keys = ["spice", "clipboard", "serial", "agent", "balloon_min", "shares", "lock", "tags"];
    for (change, expected) in [
        ("cores=1", json!({})),
        ("vga=virtio", json!({ "spice": 1, "clipboard": null })),
        ("vga=qxl,clipboard=vnc", json!({ "spice": 1, "clipboard": "vnc" })),
        ("vga=std", json!({ "clipboard": null })),
        ("delete=vga serial0=socket", json!({ "serial": 1 })),
        ("delete=serial0 agent=1", json!({ "agent": 1 })),
        ("delete=agent balloon=256", json!({ "balloon_min": 268_435_456, "shares": 1000 })),
        ("delete=balloon tags=a", json!({ "tags": "a" })),
    ] {
        lab.play(&[(&format!("PUT config {change}"), "done")]);
        let status = lab.data("GET status/current");
        let found = status.as_object().unwrap().iter();
        let found = found.filter(|(key, _)| keys.contains(&key.as_str()));
        let found = found.map(|(key, value)| (key.clone(), value.clone()));
        assert_eq!(Value::Object(found.collect()), expected, "{change}");
    }
    lab.set("lock", "clone");
    assert_eq!(lab.data("GET status/current")["lock"], "clone");
    lab.direct.world_mut().guest_mut(200).unwrap().config.remove("lock");
    // More processors than the node has are not shown.
    lab.play(&[("PUT config cores=8", "done")]);
    assert_eq!(lab.data("GET status/current")["cpus"], 2);
    lab.play(&[("PUT config cores=2", "done"), START]);
    let short = lab.data("GET /nodes/pve1/qemu");
    let full = lab.data("GET /nodes/pve1/qemu full=1");
    for key in ["qmpstatus", "blockstat", "running-machine", "diskread"] {
        assert!(short[0].get(key).is_none() && full[0].get(key).is_some(), "{key}");
    }
    assert!(full[0].get("ha").is_none());
}

/// `name` without `=` is `undef` in Perl: nothing to verify, and nothing that can be written.
#[test]
fn keys_without_a_value() {
    let mut lab = Lab::below(GUEST);
    lab.outcome("POST /nodes/pve1/qemu vmid=200 name=a description=Text");
    for (line, expected) in [
        ("PUT config name", "unable to parse value of 'name' - got undefined value"),
        ("PUT config memory cores=2", "unable to parse value of 'memory' - got undefined value"),
        ("POST config sshkeys", "unable to parse value of 'sshkeys' - got undefined value"),
        ("PUT config scsi0", "scsi0: unable to parse drive options"),
        ("PUT config description tags", "done"),
        ("PUT config delete", "no options specified"),
        (
            "POST /nodes/pve1/qemu vmid=201 name",
            "unable to create VM 201 - unable to parse value of 'name' - got undefined value",
        ),
        ("POST /nodes/pve1/qemu vmid=202 description boot", "OK"),
    ] {
        assert_eq!(lab.outcome(line), expected, "{line}");
    }
    let (_, config) = lab.call("GET config");
    assert_eq!(
        (&config["data"]["name"], &config["data"]["description"]),
        (&json!("a"), &json!("Text"))
    );
    assert!(lab.direct.world().guest(201).is_none() && lab.direct.world().guest(202).is_some());
}

/// A migration that fails at the second disk has not taken the first one along.
#[test]
fn a_migration_that_fails_leaves_everything() {
    let mut lab = Lab::below(GUEST);
    lab.outcome("POST /nodes/pve1/qemu vmid=200 scsi0=local:1 scsi1=local:1");
    lab.outcome("DELETE /nodes/pve1/storage/local/content/local:200/vm-200-disk-1.raw");
    assert_eq!(lab.outcome("POST migrate target=pve2"), "migration aborted");
    let (told, body) = lab.call("GET /nodes/pve1/storage/local/content vmid=200");
    assert_eq!(
        (told.status, &body["data"][0]["volid"]),
        (200, &json!("local:200/vm-200-disk-0.raw"))
    );
    assert!(lab.direct.world().guest(200).is_some_and(|guest| guest.node == "pve1"));
    lab.outcome("PUT config delete=scsi1");
    lab.outcome("PUT config delete=unused0");
    assert_eq!(lab.outcome("POST migrate target=pve2"), "OK");
}

#[test]
fn a_pool_keeps_who_is_yet_to_come_and_loses_who_is_gone() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[
        ("POST /pools poolid=lab", "done"),
        // Nobody looks whether there is such a guest.
        ("PUT /pools/lab vms=200", "done"),
    ]);
    let members = |lab: &mut Lab| lab.data("GET /pools/lab")["members"].as_array().unwrap().len();
    assert_eq!(members(&mut lab), 0);
    lab.play(&[CREATE]);
    assert_eq!(members(&mut lab), 1);
    lab.play(&[("DELETE /nodes/pve1/qemu/200", "OK"), CREATE]);
    assert_eq!(members(&mut lab), 0);
}
