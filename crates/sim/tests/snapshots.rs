//! Snapshots of guests: what is answered, what the tasks end with, and what is left.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{AclKind, Options, Sim, Storage, StorageKind, TimeScale, World};
use serde_json::{Value, json};
use support::{Answer, Client, Who, encode, wait_task};

/// The guest that most scripts are about.
const GUEST: &str = "/nodes/pve1/qemu/200";

struct Lab {
    sim: Sim,
    client: Client,
    who: Who,
}

impl Lab {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(prepare: impl FnOnce(&mut World)) -> Self {
        let mut world = World::truth();
        prepare(&mut world);
        let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
        let sim = Sim::start(world, options).await.unwrap();
        let who = Who::token("root@pam!lab", "11111111-2222-4333-8444-000000000001");
        Self { client: Client::new(sim.addr()), who, sim }
    }

    async fn call(&self, line: &str) -> Answer {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{GUEST}/{path}") };
        let params: Vec<(&str, String)> = words
            .map(|word| word.split_once('=').unwrap())
            .map(|(key, value)| (key, value.replace('_', " ")))
            .collect();
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.client.call(&self.who, method, path.trim_end_matches('/'), &params).await
    }

    /// What a task ended with, `done` for an answer without one, else status and reason.
    async fn outcome(&self, line: &str) -> (String, Vec<String>) {
        let answer = self.call(line).await;
        if answer.status != 200 {
            return (format!("{} {}", answer.status, answer.reason), Vec::new());
        }
        let Some(upid) = answer.body["data"].as_str().filter(|text| text.starts_with("UPID:"))
        else {
            return ("done".to_owned(), Vec::new());
        };
        let root = Who::token("root@pam!lab", "11111111-2222-4333-8444-000000000001");
        let status = wait_task(&self.client, &root, upid).await;
        let node = upid.split(':').nth(1).unwrap();
        let path = format!("/nodes/{node}/tasks/{}/log", encode(upid));
        let log = self.client.call(&root, "GET", &path, &[("limit", "500")]).await;
        let lines = log.body["data"].as_array().unwrap().iter();
        let lines = lines.map(|line| line["t"].as_str().unwrap_or_default().to_owned()).collect();
        (status["exitstatus"].as_str().unwrap().to_owned(), lines)
    }

    async fn play(&self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            let (outcome, _) = self.outcome(line).await;
            assert_eq!(outcome, *expected, "{line}");
        }
    }

    async fn data(&self, line: &str) -> Value {
        let answer = self.call(line).await;
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        answer.body["data"].clone()
    }

    /// Name and parent of each snapshot, `current` last.
    async fn tree(&self) -> String {
        let list = self.data("GET snapshot").await;
        let items = list.as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let items = items.map(|item| format!("{}<{}", text(&item["parent"]), text(&item["name"])));
        items.collect::<Vec<_>>().join(" ")
    }

    fn volumes(&self, storage: &str) -> Vec<String> {
        let world = self.sim.world();
        let own = world.volumes_on(storage, "pve1").filter(|(_, volume)| volume.vmid.is_some());
        own.map(|(name, _)| name.to_owned()).collect()
    }
}

const CREATE: (&str, &str) =
    ("POST /nodes/pve1/qemu vmid=200 name=web memory=256 scsi0=shared:1,format=qcow2", "OK");

#[tokio::test]
async fn a_tree_grows_and_is_pruned() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("POST snapshot snapname=one description=the_first_", "OK"),
        ("PUT config cores=2 description=now", "done"),
        ("POST snapshot snapname=two", "OK"),
        ("POST snapshot snapname=three", "OK"),
        ("POST snapshot/two/rollback", "OK"),
        ("POST snapshot snapname=four", "OK"),
    ])
    .await;
    assert_eq!(lab.tree().await, "two<four -<one two<three one<two four<current");
    lab.play(&[("DELETE snapshot/two", "OK")]).await;
    assert_eq!(lab.tree().await, "one<four -<one one<three four<current");
    lab.play(&[("DELETE snapshot/one", "OK"), ("DELETE snapshot/four?force=1", "OK")]).await;
    assert_eq!(lab.tree().await, "-<three -<current");
    lab.play(&[("DELETE snapshot/three", "OK")]).await;
    let config = lab.data("GET config").await;
    assert_eq!((&config["cores"], &config["description"]), (&json!(2), &json!("now")));
    assert_eq!(
        (&config["parent"], &config["lock"], &config["unused0"]),
        (&Value::Null, &Value::Null, &Value::Null)
    );
    assert_eq!(lab.volumes("shared"), ["200/vm-200-disk-0.qcow2"]);
}

#[tokio::test]
async fn what_the_api_refuses_and_what_the_task_does() {
    let lab = Lab::start().await;
    let long = "a".repeat(41);
    let missing = "Configuration file 'nodes/pve1/qemu-server/200.conf' does not exist";
    let invalid = "400 Parameter verification failed.";
    lab.play(&[
        ("POST snapshot snapname=a1", &format!("500 {missing}")),
        ("POST snapshot/a1/rollback", missing),
        ("DELETE snapshot/a1", missing),
        ("GET snapshot", &format!("500 {missing}")),
        ("PUT snapshot/a1/config", "done"),
        CREATE,
        ("POST snapshot", invalid),
        ("POST snapshot snapname=a", invalid),
        ("POST snapshot snapname=1a", invalid),
        ("POST snapshot snapname=a1 vmstate=maybe", invalid),
        ("POST snapshot snapname=a1 colour=red", invalid),
        (&format!("POST snapshot snapname={long}"), invalid),
        ("GET snapshot/x%20y", invalid),
        (
            "POST snapshot snapname=current",
            "500 unable to use snapshot name 'current' (reserved name)",
        ),
        (
            "POST snapshot snapname=PENDING",
            "500 unable to use snapshot name 'pending' (reserved name)",
        ),
        ("POST snapshot snapname=a1", "OK"),
        ("POST snapshot snapname=a1", "snapshot name 'a1' already used"),
        ("GET snapshot/none/config", "500 snapshot 'none' does not exist"),
        ("PUT snapshot/none/config description=x", "500 snapshot 'none' does not exist"),
        ("POST snapshot/none/rollback", "snapshot 'none' does not exist"),
        ("DELETE snapshot/none", "snapshot 'none' does not exist"),
        ("GET config?snapshot=none", "500 snapshot 'none' does not exist"),
        ("GET config?snapshot=a1&current=1", invalid),
        ("GET feature", invalid),
        ("GET feature?feature=clone&snapname=none", "500 snapshot 'none' does not exist"),
        ("POST template", "500 unable to create template, because VM contains snapshots"),
        ("POST clone newid=201 snapname=none", "500 snapshot 'none' does not exist"),
        ("PUT config lock=backup", "500 only root can set 'lock' config"),
        ("PUT config snaptime=1", invalid),
    ])
    .await;
    let text = lab.call(&format!("POST snapshot snapname={long}")).await.body["errors"].clone();
    assert_eq!(text, json!({ "snapname": "value may only be 40 characters long" }));
    lab.sim
        .edit(|world| world.guest_mut(200).unwrap().config.insert("lock".into(), "backup".into()));
    lab.play(&[
        ("POST snapshot snapname=b1", "VM is locked (backup)"),
        ("POST snapshot/a1/rollback", "VM is locked (backup)"),
        ("DELETE snapshot/a1", "VM is locked (backup)"),
        ("PUT snapshot/a1/config description=x", "500 VM is locked (backup)"),
        ("DELETE /nodes/pve1/qemu/200", "VM is locked (backup)"),
    ])
    .await;
}

#[tokio::test]
async fn a_snapshot_is_described() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("PUT config cipassword=secret", "done"),
        ("POST snapshot snapname=a1", "OK"),
    ])
    .await;
    assert_eq!(
        lab.data("GET snapshot/a1").await,
        json!([{ "cmd": "rollback" }, { "cmd": "config" }])
    );
    let digest = |lab: &Lab| lab.sim.world().guest(200).unwrap().digest();
    let before = digest(&lab);
    let first = lab.data("GET snapshot/a1/config").await;
    assert!(first.get("description").is_none() && first.get("digest").is_none());
    assert!(first["snaptime"].is_i64() && first["cipassword"].as_str().unwrap().starts_with("$5$"));
    lab.play(&[("PUT snapshot/a1/config description=why_", "done")]).await;
    assert_ne!(digest(&lab), before);
    let config = lab.data("GET config?snapshot=a1").await;
    assert_eq!((&config["description"], &config["digest"]), (&json!("why"), &json!(digest(&lab))));
    assert_eq!(config["cipassword"], "**********");
    lab.play(&[("PUT snapshot/a1/config description=", "done")]).await;
    assert_eq!(digest(&lab), before);
    let text = lab.sim.world().guest(200).unwrap().text();
    let (main, section) = text.split_once("\n[a1]\n").unwrap();
    assert!(main.contains("\nparent: a1\n") && section.contains("\nsnaptime: "), "{text}");
}

#[tokio::test]
async fn formats_and_storages_that_cannot() {
    let lab = Lab::with(|world| {
        for (id, kind) in [
            ("thin", StorageKind::LvmThin),
            ("tank", StorageKind::ZfsPool),
            ("ceph", StorageKind::Rbd),
        ] {
            world.add_storage(Storage::new(
                id,
                kind,
                kind == StorageKind::Rbd,
                &["images"],
                1 << 40,
            ));
        }
    })
    .await;
    let no = "snapshot feature is not available";
    for (disks, snapshot, old, linked) in [
        ("scsi0=shared:1", no, "", ""),
        ("scsi0=shared:1,format=qcow2 scsi1=vmdata:1", no, "", ""),
        ("scsi0=shared:1,format=qcow2 efidisk0=shared:1", no, "", ""),
        (
            "scsi0=shared:1,format=qcow2 ide2=local:iso/truth.iso,media=cdrom ide0=shared:cloudinit",
            "OK",
            "OK",
            "a snapshot of 'shared:200/vm-200-disk-0.qcow2' (scsi0)",
        ),
        ("scsi0=thin:1 efidisk0=thin:1", "OK", "OK", ""),
        ("scsi0=ceph:1", "OK", "OK", ""),
        (
            "scsi0=tank:1",
            "OK",
            "can't rollback, 'a1' is not most recent snapshot on 'tank:vm-200-disk-0'",
            "a snapshot of 'tank:vm-200-disk-0' (scsi0)",
        ),
        ("memory=64", "OK", "OK", ""),
    ] {
        lab.play(&[
            (&format!("POST /nodes/pve1/qemu vmid=200 {disks}"), "OK"),
            ("POST snapshot snapname=a1", snapshot),
        ])
        .await;
        let has = lab.data("GET feature?feature=snapshot").await;
        assert_eq!(has["hasFeature"], u8::from(snapshot == "OK"), "{disks}");
        if snapshot == "OK" {
            lab.play(&[("POST snapshot snapname=a2", "OK"), ("POST snapshot/a1/rollback", old)])
                .await;
            let expected = match linked {
                "" => "OK".to_owned(),
                of => format!("500 Linked clone feature is not supported for {of}"),
            };
            lab.play(&[("POST clone newid=201 snapname=a1 full=0", &expected)]).await;
            lab.outcome("DELETE /nodes/pve1/qemu/201").await;
        } else {
            assert_eq!(lab.tree().await, "-<current");
        }
        lab.play(&[("DELETE /nodes/pve1/qemu/200", "OK")]).await;
    }
    assert_eq!(
        lab.volumes("thin").len() + lab.volumes("tank").len() + lab.volumes("ceph").len(),
        0
    );
}

#[tokio::test]
async fn a_rollback_brings_back_disks_sizes_and_keys() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("PUT config ide2=shared:cloudinit ciuser=old", "done"),
        ("POST snapshot snapname=a1 description=x", "OK"),
        ("PUT config delete=ide2,scsi0 description=kept ciuser=new scsi1=vmdata:2 tags=t", "done"),
        ("PUT resize disk=scsi1 size=+1G", "OK"),
        ("PUT config delete=unused0", "500 unable to delete 'shared:200/vm-200-disk-0.qcow2' - volume is still in use (snapshot?)"),
    ])
    .await;
    let before = lab.data("GET config").await;
    assert_eq!(before["unused0"], "shared:200/vm-200-disk-0.qcow2");
    lab.play(&[("POST snapshot/a1/rollback", "OK")]).await;
    let after = lab.data("GET config").await;
    for (key, expected) in [
        ("scsi0", json!("shared:200/vm-200-disk-0.qcow2,size=1G")),
        ("ide2", json!("shared:200/vm-200-cloudinit.qcow2,media=cdrom")),
        ("unused0", Value::Null),
        ("unused1", json!("vmdata:200/vm-200-disk-0.raw")),
        ("scsi1", Value::Null),
        ("tags", Value::Null),
        ("description", json!("kept")),
        ("ciuser", json!("old")),
        ("parent", json!("a1")),
        ("lock", Value::Null),
    ] {
        assert_eq!(after[key], expected, "{key}");
    }
    assert_ne!(after["vmgenid"], before["vmgenid"]);
    // The drive's volume was freed with the drive: a start makes it anew.
    assert!(!lab.volumes("shared").contains(&"200/vm-200-cloudinit.qcow2".to_owned()));
    lab.play(&[("POST status/start", "OK")]).await;
    assert!(lab.volumes("shared").contains(&"200/vm-200-cloudinit.qcow2".to_owned()));
}

#[tokio::test]
async fn a_grown_disk_shrinks_and_what_waits_is_lost() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("POST status/start", "OK"),
        ("POST snapshot snapname=a1", "OK"),
        ("PUT resize disk=scsi0 size=5G", "OK"),
        ("PUT config cores=4 ide0=shared:cloudinit", "done"),
    ])
    .await;
    let size =
        |lab: &Lab| lab.sim.world().volume("pve1", "shared:200/vm-200-disk-0.qcow2").unwrap().size;
    assert_eq!(size(&lab), 5 << 30);
    let pending = lab.data("GET pending").await;
    assert!(pending.as_array().unwrap().iter().any(|item| item.get("pending").is_some()));
    lab.play(&[("POST snapshot/a1/rollback start=1", "OK")]).await;
    assert_eq!(size(&lab), 1 << 30);
    let world = lab.sim.world();
    let guest = world.guest(200).unwrap();
    assert!(guest.pending.is_empty() && guest.get("scsi0").unwrap().ends_with("size=1G"));
    // The start is a task of its own.
    let tasks = lab.data("GET /nodes/pve1/tasks?vmid=200").await;
    let started = tasks.as_array().unwrap().iter().filter(|task| task["type"] == "qmstart");
    assert_eq!(started.count(), 2);
}

#[tokio::test]
async fn ram_is_saved_and_loaded() {
    let lab = Lab::start().await;
    lab.play(&[
        ("POST /nodes/pve1/qemu vmid=200 memory=256 agent=1 net0=virtio,bridge=vmbr0 scsi0=shared:0,import-from=local:import/truth-guest.qcow2", "OK"),
        ("POST snapshot snapname=cold vmstate=1", "OK"),
        ("POST status/start", "OK"),
    ])
    .await;
    let (exit, log) = lab.outcome("POST snapshot snapname=warm vmstate=1").await;
    assert_eq!(exit, "OK");
    assert_eq!(
        log,
        [
            "Formatting '/mnt/shared/images/200/vm-200-state-warm.raw', fmt=raw size=1061158912 preallocation=off",
            "saving VM state and RAM using storage 'shared'",
            "5.01 MiB in 0s",
            "completed saving the VM state in 0s, saved 92.00 MiB",
            "snapshotting 'drive-scsi0' (shared:200/vm-200-disk-0.qcow2)",
            "internal qemu snapshot",
            "TASK OK",
        ]
    );
    let list = lab.data("GET snapshot").await;
    let states: Vec<&Value> =
        list.as_array().unwrap().iter().map(|item| &item["vmstate"]).collect();
    assert_eq!(states, [&json!(0), &json!(1), &Value::Null]);
    let section = lab.data("GET snapshot/warm/config").await;
    for (key, expected) in [
        ("vmstate", "shared:200/vm-200-state-warm.raw"),
        ("runningmachine", "pc-i440fx-10.2+pve0"),
        ("running-nets-host-mtu", "net0=1500"),
    ] {
        assert_eq!(section[key], expected);
    }
    let state =
        lab.sim.world().volume("pve2", "shared:200/vm-200-state-warm.raw").cloned().unwrap();
    assert_eq!((state.size, state.used, state.vmid), (1_061_158_912, 92 << 20, Some(200)));
    lab.play(&[
        ("POST status/stop", "OK"),
        ("POST snapshot/warm/rollback", "OK"),
        ("POST agent/ping", "done"),
        ("POST snapshot/cold/rollback", "OK"),
    ])
    .await;
    assert_eq!(lab.data("GET status/current").await["status"], "stopped");
    assert!(lab.data("GET config").await.get("runningmachine").is_none());
    lab.play(&[("POST clone newid=201 snapname=warm", "OK")]).await;
    let world = lab.sim.world();
    let clone = world.guest(201).unwrap();
    for key in ["vmstate", "runningcpu", "runningmachine", "parent", "snaptime"] {
        assert_eq!(clone.get(key), None);
    }
    drop(world);
    lab.play(&[("DELETE /nodes/pve1/qemu/200", "OK"), ("DELETE /nodes/pve1/qemu/201", "OK")]).await;
    assert_eq!(lab.volumes("shared"), Vec::<String>::new());
}

#[tokio::test]
async fn a_full_storage_takes_no_ram_and_nothing_stays() {
    let lab = Lab::start().await;
    lab.play(&[CREATE, ("POST status/start", "OK")]).await;
    lab.sim.edit(|world| {
        let mut small = Storage::new("small", StorageKind::Dir, false, &["images"], 1 << 20);
        small.path = Some("/mnt/small".to_owned());
        world.add_storage(small);
    });
    lab.play(&[
        ("PUT config vmstatestorage=small", "done"),
        (
            "POST snapshot snapname=a1 vmstate=1",
            "unable to save VM state and RAM - No space left on device",
        ),
        ("PUT config delete=vmstatestorage", "done"),
    ])
    .await;
    assert_eq!(lab.tree().await, "-<current");
    assert!(lab.volumes("small").is_empty());
    lab.play(&[("POST snapshot snapname=a1 vmstate=1", "OK")]).await;
    let section = lab.data("GET snapshot/a1/config").await;
    assert_eq!(section["running-nets-host-mtu"], " ", "without a card of the model virtio");
    let (_, log) = lab.outcome("POST snapshot snapname=a2").await;
    assert_eq!(log[0], "skipping guest filesystem freeze - disabled in VM options");
}

#[tokio::test]
async fn disks_of_snapshots_are_kept() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("POST snapshot snapname=a1", "OK"),
        (
            "POST move_disk disk=scsi0 storage=vmdata delete=1",
            "500 you can't move a disk with snapshots and delete the source",
        ),
        ("POST move_disk disk=scsi0 storage=vmdata", "OK"),
        ("DELETE snapshot/a1", "OK"),
        ("PUT config delete=unused0", "done"),
        // Removed from the guest, the volume comes back as unused with the snapshot's end.
        ("POST snapshot snapname=a2", "OK"),
        ("PUT config delete=scsi0", "done"),
    ])
    .await;
    lab.sim.edit(|world| world.guest_mut(200).unwrap().config.remove("unused0"));
    lab.play(&[("DELETE snapshot/a2", "OK")]).await;
    let config = lab.data("GET config").await;
    assert_eq!(config["unused0"], "vmdata:200/vm-200-disk-0.qcow2");
    assert!(lab.volumes("shared").is_empty());
}

#[tokio::test]
async fn a_copy_of_a_snapshot_is_what_was() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("PUT config cores=1", "done"),
        ("POST snapshot snapname=a1 description=then", "OK"),
        ("PUT config cores=4 name=later", "done"),
        ("PUT resize disk=scsi0 size=3G", "OK"),
        ("POST clone newid=201 snapname=a1", "OK"),
        ("POST clone newid=202", "OK"),
    ])
    .await;
    let world = lab.sim.world();
    let keys = ["name", "cores", "description", "scsi0", "parent"];
    let of = |vmid| keys.map(|key| world.guest(vmid).unwrap().get(key));
    let disk = |vmid: u32| format!("shared:{vmid}/vm-{vmid}-disk-0.qcow2,size=3G");
    // The copy is as large as the volume is now.
    assert_eq!(of(201), [Some("Copy-of-VM-web"), Some("1"), Some("then"), Some(&*disk(201)), None]);
    assert_eq!(of(202), [Some("Copy-of-VM-later"), Some("4"), None, Some(&*disk(202)), None]);
    assert!(world.guest(202).unwrap().snapshots.is_empty());
}

#[tokio::test]
async fn who_may() {
    let lab = Lab::start().await;
    lab.play(&[CREATE, ("POST snapshot snapname=a1", "OK")]).await;
    let all = ["VM.Audit", "VM.Snapshot", "VM.Snapshot.Rollback", "VM.PowerMgmt"];
    let denied = |path: &str| format!("403 Permission check failed (/vms/200, {path})");
    let table = [
        ("GET snapshot", "VM.Audit", "VM.Audit", "done"),
        ("POST snapshot snapname=b1", "VM.Snapshot", "VM.Snapshot", "OK"),
        ("PUT snapshot/a1/config description=x", "VM.Snapshot", "VM.Snapshot", "done"),
        ("GET snapshot/a1/config", "VM.Snapshot|VM.Snapshot.Rollback|VM.Audit", "VM.Audit", "done"),
        (
            "POST snapshot/a1/rollback",
            "VM.Snapshot|VM.Snapshot.Rollback",
            "VM.Snapshot.Rollback",
            "OK",
        ),
        ("DELETE snapshot/b1", "VM.Snapshot", "VM.Snapshot", "OK"),
        ("GET feature?feature=copy", "VM.Audit", "VM.Audit", "done"),
    ];
    let mut other = lab;
    let secret = "22222222-2222-4333-8444-000000000001";
    for (line, named, wanted, outcome) in table {
        for has in all {
            other.sim.edit(|world| {
                let access = world.access_mut();
                access.add_token("some@pve", "tok", secret, false);
                access.add_role("Some", &[has]);
                access.grant("/vms/200", AclKind::User, "some@pve", "Some");
            });
            other.who = Who::token("some@pve!tok", secret);
            let suffices = has == wanted || named.split('|').any(|name| name == has);
            if suffices && has != wanted {
                continue;
            }
            let expected = if suffices { outcome.to_owned() } else { denied(named) };
            assert_eq!(other.outcome(line).await.0, expected, "{line} with {has}");
        }
    }
    other.sim.edit(|world| world.access_mut().add_role("Some", &["VM.Snapshot.Rollback"]));
    other.play(&[("POST snapshot/a1/rollback start=1", &denied("VM.PowerMgmt"))]).await;
}

#[tokio::test]
async fn local_snapshots_move_with_the_guest_or_hold_it() {
    let lab = Lab::with(|world| {
        world.add_storage(Storage::new("thin", StorageKind::LvmThin, false, &["images"], 1 << 40));
    })
    .await;
    let scan = "migration aborted";
    lab.play(&[
        ("POST /nodes/pve1/qemu vmid=200 memory=64 scsi0=vmdata:1,format=qcow2", "OK"),
        ("POST status/start", "OK"),
        ("POST snapshot snapname=a1 vmstate=1", "OK"),
        ("POST migrate target=pve2 online=1 with-local-disks=1", scan),
        ("POST status/stop", "OK"),
        ("POST migrate target=pve2", "OK"),
        ("POST /nodes/pve2/qemu/200/snapshot/a1/rollback", "OK"),
        ("DELETE /nodes/pve2/qemu/200/snapshot/a1", "OK"),
        ("POST /nodes/pve2/qemu/200/status/stop", "OK"),
        ("POST /nodes/pve2/qemu/200/migrate target=pve1", "OK"),
        ("DELETE /nodes/pve1/qemu/200", "OK"),
        ("POST /nodes/pve1/qemu vmid=200 memory=64 scsi0=thin:1", "OK"),
        ("POST snapshot snapname=a1", "OK"),
    ])
    .await;
    let (exit, log) = lab.outcome("POST migrate target=pve2").await;
    assert_eq!(exit, scan);
    let wanted = "can't migrate local disk 'thin:vm-200-disk-0': non-migratable snapshot exists";
    assert!(log.iter().any(|line| line.ends_with(wanted)), "{log:?}");
}

#[tokio::test]
async fn file_systems_are_frozen_or_the_log_says_why_not() {
    let lab = Lab::start().await;
    lab.play(&[
        ("POST /nodes/pve1/qemu vmid=200 memory=256 agent=1 scsi0=shared:0,import-from=local:import/truth-guest.qcow2", "OK"),
        ("POST status/start", "OK"),
    ])
    .await;
    let skipped = |why: &str| Some(format!("skipping guest filesystem freeze - {why}"));
    for (prepare, name, expected) in [
        ("POST agent/ping", "b1", None),
        ("POST agent/fsfreeze-freeze", "b2", skipped("already frozen")),
        ("POST agent/fsfreeze-thaw", "b3", None),
        ("POST status/suspend", "b4", skipped("agent configured but not running?")),
        ("POST status/resume", "b5", None),
    ] {
        lab.outcome(prepare).await;
        let (exit, log) = lab.outcome(&format!("POST snapshot snapname={name}")).await;
        let found = log.into_iter().find(|line| line.contains("freeze"));
        assert_eq!((exit.as_str(), found), ("OK", expected), "{prepare}");
    }
}

#[tokio::test]
async fn the_manager_starts_what_it_looks_after() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("POST snapshot snapname=a1", "OK"),
        ("POST status/start", "OK"),
        ("POST /cluster/ha/resources sid=vm:200 state=started", "done"),
        ("POST status/suspend todisk=1", "500 Cannot suspend HA managed VM to disk"),
        ("POST snapshot/a1/rollback start=1", "OK"),
    ])
    .await;
    let tasks = lab.data("GET /nodes/pve1/tasks?vmid=200").await;
    let kinds: Vec<&str> =
        tasks.as_array().unwrap().iter().filter_map(|task| task["type"].as_str()).collect();
    assert!(kinds.contains(&"hastart"), "{kinds:?}");
}

#[tokio::test]
async fn suspended_to_disk_and_back() {
    let lab = Lab::start().await;
    lab.play(&[
        CREATE,
        ("POST status/suspend todisk=1", "500 VM 200 not running"),
        ("POST status/suspend statestorage=vmdata", "400 Parameter verification failed."),
        ("POST status/start", "OK"),
        ("PUT config cores=2", "done"),
        ("POST status/suspend todisk=1 statestorage=vmdata", "OK"),
        ("POST status/shutdown", "OK"),
        ("PUT config name=x", "500 VM is locked (suspended)"),
        ("POST snapshot snapname=a1", "VM is locked (suspended)"),
    ])
    .await;
    let current = lab.data("GET status/current").await;
    assert_eq!((&current["status"], &current["lock"]), (&json!("stopped"), &json!("suspended")));
    let [state] = &lab.volumes("vmdata")[..] else { panic!("one state") };
    assert!(state.starts_with("200/vm-200-state-suspend-20") && state.ends_with(".raw"));
    let (exit, log) = lab.outcome("POST status/resume").await;
    assert_eq!((exit.as_str(), log[0].as_str()), ("OK", "Resuming suspended VM"));
    let config = lab.data("GET config?current=1").await;
    assert_eq!(
        (&config["lock"], &config["vmstate"], config.get("cores")),
        (&Value::Null, &Value::Null, None)
    );
    assert!(lab.volumes("vmdata").is_empty());
    lab.play(&[
        ("POST status/suspend todisk=1", "OK"),
        ("PUT config delete=vmstate", "done"),
        ("PUT config name=x", "done"),
        ("POST status/start", "OK"),
        ("POST status/suspend todisk=1", "OK"),
        ("DELETE /nodes/pve1/qemu/200", "OK"),
    ])
    .await;
    assert!(lab.volumes("shared").is_empty());
}
