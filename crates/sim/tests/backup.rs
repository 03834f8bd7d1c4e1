//! Backups and what comes out of them again: `vzdump`, `extractconfig`, restore.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{AclKind, Guest, Options, Running, Sim, TimeScale, Volume, World};
use serde_json::{Value, json};
use support::{Client, Who, wait_task};

const SECRET: &str = "11111111-2222-4333-8444-555555555555";
const DISK: &str = "vmdata:100/vm-100-disk-0.qcow2";

struct Lab {
    sim: Sim,
    client: Client,
    root: Who,
}

impl Lab {
    async fn start(change: impl FnOnce(&mut World)) -> Self {
        let mut world = World::truth();
        world.access_mut().add_token("root@pam", "test", SECRET, false);
        let disk = Volume {
            content: "images".into(),
            format: "qcow2".into(),
            size: 1 << 30,
            used: 10 << 20,
            vmid: Some(100),
            ..Volume::default()
        };
        world.add_volume("pve1", DISK, disk);
        world.add_guest(Guest::new(
            100,
            "pve1",
            &[
                ("name", "web"),
                ("scsi0", &format!("{DISK},size=1G")),
                ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
                ("smbios1", "uuid=11111111-2222-4333-8444-000000000100"),
                ("description", "first\nsecond"),
                ("ide2", "local:iso/truth.iso,media=cdrom"),
            ],
        ));
        change(&mut world);
        let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
        let sim = Sim::start(world, options).await.unwrap();
        Self { client: Client::new(sim.addr()), root: Who::token("root@pam!test", SECRET), sim }
    }

    /// `POST /path?a=b`: what it answers, or how its task ends and its log.
    async fn play_as(&self, who: &Who, line: &str) -> (String, Vec<String>) {
        let (method, rest) = line.split_once(' ').unwrap();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let params: Vec<(&str, &str)> =
            query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let answer = self.client.call(who, method, path, &params).await;
        let data = &answer.body["data"];
        let Some(upid) = data.as_str().filter(|data| data.starts_with("UPID:")) else {
            let errors = &answer.body["errors"];
            let brief = if errors.is_object() {
                format!("{} {errors}", answer.status)
            } else if answer.status == 200 {
                format!("200 {data}")
            } else {
                format!("{} {}", answer.status, answer.reason)
            };
            return (brief, Vec::new());
        };
        let status = wait_task(&self.client, &self.root, upid).await;
        let node = upid.split(':').nth(1).unwrap();
        let path = format!("/nodes/{node}/tasks/{}/log", support::encode(upid));
        let log = self.client.call(&self.root, "GET", &path, &[("limit", "0")]).await;
        let lines = log.body["data"].as_array().unwrap().iter();
        let lines = lines.map(|line| line["t"].as_str().unwrap().to_owned()).collect();
        (format!("task {}", status["exitstatus"].as_str().unwrap()), lines)
    }

    async fn play(&self, line: &str) -> (String, Vec<String>) {
        self.play_as(&self.root, line).await
    }

    async fn ends(&self, line: &str, expected: &str) {
        let (end, log) = self.play(line).await;
        assert_eq!(end, expected, "{line}\n{}", log.join("\n"));
    }

    async fn content(&self) -> Vec<Value> {
        let path = "/nodes/pve1/storage/local/content";
        let answer = self.client.call(&self.root, "GET", path, &[("content", "backup")]).await;
        answer.body["data"].as_array().unwrap().clone()
    }

    /// Backs up guest 100; the archive.
    async fn archive(&self) -> String {
        self.ends("POST /nodes/pve1/vzdump?vmid=100&compress=zstd", "task OK").await;
        self.content().await.last().unwrap()["volid"].as_str().unwrap().to_owned()
    }
}

fn run(world: &mut World, booted: bool) {
    let mut guest = world.guest(100).unwrap().clone();
    let booted_ms = booted.then_some(0);
    guest.running = Some(Running { since_ms: 0, booted_ms, pid: 77, paused: false });
    world.add_guest(guest);
}

/// What differs from run to run is left out.
fn plain(log: &[String]) -> Vec<String> {
    let line = |line: &String| {
        let cut = [
            "INFO: Backup started at",
            "INFO: Backup finished at",
            "INFO: started backup task",
            "INFO: creating vzdump archive",
            "INFO: 100% (1.0 GiB of 1.0 GiB)",
            "INFO: transferred 1.00 GiB",
            "INFO: resuming VM again after",
            "INFO: Finished Backup of VM 100",
        ];
        cut.iter().find(|cut| line.starts_with(*cut)).map_or(line.clone(), |cut| (*cut).to_owned())
    };
    log.iter().map(line).collect()
}

#[tokio::test]
async fn a_switched_off_guest_is_started_for_it() {
    let lab = Lab::start(|_| {}).await;
    let (end, log) = lab.play("POST /nodes/pve1/vzdump?vmid=100&compress=zstd&mode=snapshot").await;
    assert_eq!(end, "task OK");
    assert_eq!(
        plain(&log),
        [
            "INFO: starting new backup job: vzdump 100 --compress zstd --mode snapshot --node pve1",
            "INFO: Starting Backup of VM 100 (qemu)",
            "INFO: Backup started at",
            "INFO: status = stopped",
            "INFO: backup mode: stop",
            "INFO: ionice priority: 7",
            "INFO: VM Name: web",
            "INFO: include disk 'scsi0' 'vmdata:100/vm-100-disk-0.qcow2' 1G",
            "INFO: creating vzdump archive",
            "INFO: starting kvm to execute backup task",
            "INFO: starting backup via QMP command",
            "INFO: started backup task",
            "INFO: 100% (1.0 GiB of 1.0 GiB)",
            "INFO: backup is sparse: 1014.00 MiB (99%) total zero data",
            "INFO: transferred 1.00 GiB",
            "INFO: stopping kvm after backup task",
            "INFO: archive file size: 4MB",
            "INFO: Finished Backup of VM 100",
            "INFO: Backup finished at",
            "INFO: Backup job finished successfully",
            "TASK OK",
        ]
    );
    let world = lab.sim.world();
    let guest = world.guest(100).unwrap();
    assert!(guest.running.is_none() && guest.get("lock").is_none());
}

#[tokio::test]
async fn modes_of_a_running_guest() {
    for (mode, expected) in [
        ("snapshot", ["INFO: backup mode: snapshot", "INFO: resuming VM again"]),
        ("suspend", ["INFO: suspending guest", "INFO: resume vm"]),
        ("stop", ["INFO: stopping virtual guest", "INFO: starting kvm to execute backup task"]),
    ] {
        let lab = Lab::start(|world| run(world, true)).await;
        let line = format!("POST /nodes/pve1/vzdump?vmid=100&mode={mode}");
        let (end, log) = lab.play(&line).await;
        assert_eq!(end, "task OK", "{mode}: {log:?}");
        for text in expected {
            assert!(log.iter().any(|line| line == text), "{mode}: {text} is not in {log:#?}");
        }
        let running = lab.sim.world().guest(100).unwrap().running.clone().unwrap();
        assert!(!running.paused, "{mode}");
        assert_eq!(running.pid == 77, mode != "stop", "{mode}: a new process after a stop");
    }
    let lab = Lab::start(|world| run(world, false)).await;
    let (end, log) = lab.play("POST /nodes/pve1/vzdump?vmid=100&mode=stop&stopwait=1").await;
    assert_eq!(end, "task job errors");
    let error = "ERROR: Backup of VM 100 failed - command 'qm shutdown 100 --skiplock --keepActive --timeout 60' failed: exit code 255";
    assert!(log.iter().any(|line| line == error), "{log:#?}");
    let world = lab.sim.world();
    assert!(world.guest(100).unwrap().running.is_some());
    assert_eq!(world.guest(100).unwrap().get("lock"), None);
}

#[tokio::test]
async fn refusals() {
    let lab = Lab::start(|world| {
        world.add_guest(Guest::new(101, "pve1", &[("lock", "migrate")]));
        world.add_guest(Guest::new(102, "pve2", &[]));
    })
    .await;
    let v = "POST /nodes/pve1/vzdump";
    for (query, expected) in [
        ("", r#"400 {"vmid":"property is missing"}"#),
        ("vmid=100&all=1", r#"400 {"all":"option conflicts with option 'vmid'"}"#),
        (
            "vmid=100&stdout=1",
            r#"400 {"stdout":"option is only allowed on the command line interface."}"#,
        ),
        (
            "vmid=100&storage=local&notes-template={{x}} \\q",
            r#"400 {"notes-template":"found unknown: escape sequence '\\q' at char 6, variable 'x' at char 4\n"}"#,
        ),
        ("vmid=102", r#"200 "OK""#),
        ("stop=1", r#"200 "OK""#),
        (
            "vmid=100&storage=vmdata",
            "task could not get storage information for 'vmdata': can't use storage 'vmdata' for backups - wrong content type",
        ),
        (
            "vmid=100&storage=none",
            "task could not activate storage 'none': storage 'none' does not exist\ncould not get storage information for 'none': storage 'none' does not exist",
        ),
        ("vmid=101", "task job errors"),
        ("vmid=999", "task job errors"),
        ("vmid=100,101", "task job errors"),
    ] {
        lab.ends(&format!("{v}?{query}"), expected).await;
    }
    let (_, log) = lab.play(&format!("{v}?vmid=101,999")).await;
    let errors: Vec<&String> = log.iter().filter(|line| line.starts_with("ERROR: ")).collect();
    assert_eq!(
        errors,
        [
            "ERROR: Backup of VM 101 failed - VM is locked (migrate)",
            "ERROR: Backup of VM 999 failed - unable to find VM '999'"
        ]
    );
    assert_eq!(lab.sim.world().guest(101).unwrap().get("lock"), Some("migrate"));
    // The node of the path is an option of the backup: guests of others are not even skipped.
    let (_, log) = lab.play(&format!("{v}?all=1&exclude=101")).await;
    assert!(!log.iter().any(|line| line.contains("102")), "{log:#?}");
}

#[tokio::test]
async fn who_may_back_up() {
    let lab = Lab::start(|world| {
        world.access_mut().add_token("b@pve", "test", SECRET, false);
        world.access_mut().roles.insert("B".into(), ["VM.Backup".to_owned()].into());
        world.access_mut().roles.insert("S".into(), ["Datastore.AllocateSpace".to_owned()].into());
        world.access_mut().grant("/vms/100", AclKind::User, "b@pve", "B");
        world.add_guest(Guest::new(101, "pve1", &[]));
    })
    .await;
    let who = Who::token("b@pve!test", SECRET);
    let v = "POST /nodes/pve1/vzdump";
    for (query, expected) in [
        ("vmid=100", "403 Permission check failed (/storage/local, Datastore.AllocateSpace)"),
        ("vmid=100&bwlimit=5", "403 Permission check failed (/, Sys.Modify)"),
        (
            "vmid=100&prune-backups=keep-last=1",
            "403 Permission check failed (/storage/local, Datastore.Allocate)",
        ),
        ("vmid=100&script=/x", r#"400 {"script":"Only root may set this option."}"#),
        ("vmid=100&stop=1", "403 Permission check failed (/nodes/pve1, Sys.Modify)"),
    ] {
        assert_eq!(lab.play_as(&who, &format!("{v}?{query}")).await.0, expected, "{query}");
    }
    lab.sim.edit(|world| world.access_mut().grant("/storage/local", AclKind::User, "b@pve", "S"));
    for (query, expected) in [
        ("vmid=101", "task 403 Permission check failed (/vms/101, VM.Backup)"),
        ("vmid=100", "task OK"),
        ("all=1", "task OK"),
    ] {
        assert_eq!(lab.play_as(&who, &format!("{v}?{query}")).await.0, expected, "{query}");
    }
}

#[tokio::test]
async fn notes_protection_and_the_list() {
    let lab = Lab::start(|_| {}).await;
    let line = "POST /nodes/pve1/vzdump?vmid=100&storage=local&protected=1&notes-template={{guestname}} on {{node}}\\n{{vmid}} \\\\";
    lab.ends(line, "task OK").await;
    let list = lab.content().await;
    let one = &list[0];
    let keys: Vec<&String> = one.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["content", "ctime", "format", "notes", "protected", "size", "subtype", "vmid", "volid"]
    );
    // Lists show the first line.
    assert_eq!(one["notes"], json!("web on pve1"));
    assert_eq!(
        (&one["format"], &one["subtype"], &one["vmid"]),
        (&json!("vma"), &json!("qemu"), &json!(100))
    );
    let volid = one["volid"].as_str().unwrap();
    let name = volid.strip_prefix("local:backup/vzdump-qemu-100-").unwrap();
    assert!(name.ends_with(".vma") && name.len() == "2026_11_23-04_05_06.vma".len(), "{volid}");
    let freed = format!("DELETE /nodes/pve1/storage/local/content/{volid}");
    let (end, _) = lab.play(&freed).await;
    assert!(end.starts_with("task cannot remove protected volume "), "{end}");
    let volume = format!("/nodes/pve1/storage/local/content/{volid}");
    let shown = lab.client.call(&lab.root, "GET", &volume, &[]).await;
    assert_eq!(shown.body["data"]["notes"], json!("web on pve1\n100 \\"));
    lab.ends(&format!("PUT {volume}?protected=0"), "200 null").await;
    lab.ends(&freed, "task OK").await;
    assert!(lab.content().await.is_empty());
}

#[tokio::test]
async fn limits_and_pruning() {
    let lab = Lab::start(|world| {
        for hour in 1..4 {
            let name = format!("local:backup/vzdump-qemu-100-2020_01_01-0{hour}_00_00.vma");
            let content = "backup".to_owned();
            world.add_volume(
                "pve1",
                &name,
                Volume { content, vmid: Some(100), protected: hour == 1, ..Volume::default() },
            );
        }
    })
    .await;
    let v = "POST /nodes/pve1/vzdump?vmid=100&storage=local";
    let (end, log) = lab.play(&format!("{v}&remove=0&prune-backups=keep-last=2")).await;
    assert_eq!(end, "task job errors");
    assert_eq!(
        log[1],
        "ERROR: Backup of VM 100 failed - There is a max backup limit of 2 enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups."
    );
    let (_, log) = lab.play(&format!("{v}&prune-backups=keep-last=2,keep-daily=1")).await;
    let from = log.iter().position(|line| line.starts_with("INFO: prune")).unwrap();
    assert_eq!(
        log[from..from + 3],
        [
            "INFO: prune older backups with retention: keep-daily=1, keep-last=2",
            "INFO: removing backup 'local:backup/vzdump-qemu-100-2020_01_01-02_00_00.vma'",
            "INFO: pruned 1 backup(s) not covered by keep-retention policy",
        ]
    );
    assert_eq!(lab.content().await.len(), 3);
    lab.sim.edit(|world| {
        let mut local = world.storages().find(|storage| storage.id == "local").unwrap().clone();
        local.options.insert("max-protected-backups".into(), "1".into());
        world.add_storage(local);
    });
    let (_, log) = lab.play(&format!("{v}&protected=1")).await;
    assert_eq!(
        log[1],
        "ERROR: Backup of VM 100 failed - The number of protected backups per guest is limited to 1 on storage 'local'"
    );
}

#[tokio::test]
async fn the_configuration_in_an_archive() {
    let lab = Lab::start(|world| {
        let mut guest = world.guest(100).unwrap().clone();
        guest.pending.insert("memory".into(), "512".into());
        guest.config.insert("unused0".into(), "vmdata:100/vm-100-disk-9.raw".into());
        guest.config.insert("scsi1".into(), "vmdata:100/vm-100-disk-1.raw,backup=0".into());
        let content = "images".to_owned();
        let extra = Volume {
            content,
            format: "raw".into(),
            size: 1 << 30,
            vmid: Some(100),
            ..Volume::default()
        };
        world.add_volume("pve1", "vmdata:100/vm-100-disk-1.raw", extra);
        world.add_guest(guest);
    })
    .await;
    let (_, log) = lab.play("POST /nodes/pve1/vzdump?vmid=100").await;
    for text in [
        "INFO: exclude disk 'scsi1' 'vmdata:100/vm-100-disk-1.raw' (backup=no)",
        "INFO: skip unused drive 'vmdata:100/vm-100-disk-9.raw' (not included into backup)",
        "INFO: pending configuration changes found (not included into backup)",
    ] {
        assert!(log.iter().any(|line| line == text), "{text} is not in {log:#?}");
    }
    let volid = lab.content().await[0]["volid"].as_str().unwrap().to_owned();
    let text = lab
        .client
        .call(&lab.root, "GET", "/nodes/pve1/vzdump/extractconfig", &[("volume", &volid)])
        .await;
    assert_eq!(
        text.body["data"],
        "#first\n#second\nide2: local:iso/truth.iso,media=cdrom\nname: web\nnet0: virtio=BC:24:11:00:00:01,bridge=vmbr0\nscsi0: vmdata:100/vm-100-disk-0.qcow2,size=1G\nscsi1: vmdata:100/vm-100-disk-1.raw,backup=0\nsmbios1: uuid=11111111-2222-4333-8444-000000000100\n#qmdump#map:scsi0:drive-scsi0:vmdata:qcow2:\n"
    );
    lab.ends(&format!("POST /nodes/pve1/qemu?vmid=200&archive={volid}"), "task OK").await;
    let world = lab.sim.world();
    let description = world.guest(200).unwrap().get("description").unwrap();
    assert_eq!(description, "first\nsecond\nscsi1: vmdata:100/vm-100-disk-1.raw,backup=0");
    assert_eq!(world.guest(200).unwrap().get("scsi1"), None);
}

#[tokio::test]
async fn restores() {
    let lab = Lab::start(|_| {}).await;
    let volid = lab.archive().await;
    let q = "POST /nodes/pve1/qemu";
    let (end, log) = lab.play(&format!("{q}?vmid=200&archive={volid}&storage=shared")).await;
    assert_eq!(end, "task OK", "{log:#?}");
    let get = |vmid: u32, key: &str| {
        lab.sim.world().guest(vmid).unwrap().get(key).unwrap_or_default().to_owned()
    };
    assert_eq!(get(200, "scsi0"), "shared:200/vm-200-disk-0.qcow2,size=1G");
    assert_eq!(get(200, "net0"), get(100, "net0"));
    assert_eq!(get(200, "smbios1"), get(100, "smbios1"));
    assert!(
        log[0].starts_with("restore vma archive: zstd -q -d -c /var/lib/vz/dump/vzdump-qemu-100-"),
        "{log:#?}"
    );
    assert_eq!(log[2], "DEV: dev_id=1 size: 1073741824 devname: drive-scsi0");
    for text in [
        "new volume ID is 'shared:200/vm-200-disk-0.qcow2'",
        "map 'drive-scsi0' to '/mnt/shared/images/200/vm-200-disk-0.qcow2' (write zeros = 0)",
        "rescan volumes...",
    ] {
        assert!(log.iter().any(|line| line == text), "{text} is not in {log:#?}");
    }
    lab.ends(&format!("{q}?vmid=201&archive={volid}&unique=1&name=copy&memory=64"), "task OK")
        .await;
    assert_ne!(get(201, "net0"), get(100, "net0"));
    assert_ne!(get(201, "smbios1"), get(100, "smbios1"));
    assert_eq!((get(201, "name"), get(201, "memory")), ("copy".to_owned(), "64".to_owned()));
    let none = "local:backup/vzdump-qemu-100-2020_01_01-01_00_00.vma";
    for (query, expected) in [
        (
            format!("vmid=100&archive={volid}"),
            "500 unable to restore VM 100 - VM 100 already exists on node 'pve1'",
        ),
        (
            format!("vmid=300&archive={volid}&scsi1=local:1"),
            r#"400 {"scsi1":"option conflicts with option 'archive'"}"#,
        ),
        (
            format!("vmid=300&archive={none}"),
            "500 volume 'local:backup/vzdump-qemu-100-2020_01_01-01_00_00.vma' does not exist",
        ),
        ("vmid=300&archive=-".to_owned(), "500 pipe requires cli environment"),
        (
            "vmid=300&force=1".to_owned(),
            r#"400 {"archive":"missing property required by 'force'"}"#,
        ),
        (
            format!("vmid=300&archive={volid}&live-restore=1"),
            "task live-restore is only compatible with backup images from a Proxmox Backup Server",
        ),
    ] {
        let (end, _) = lab.play(&format!("{q}?{query}")).await;
        assert_eq!(end, expected, "{query}");
    }
    // What failed in the worker is not cleaned up.
    assert_eq!(lab.sim.world().guest(300).unwrap().config.len(), 0);
}

#[tokio::test]
async fn restores_over_a_guest() {
    let lab = Lab::start(|_| {}).await;
    let volid = lab.archive().await;
    lab.sim.edit(|world| {
        let mut guest = world.guest(100).unwrap().clone();
        guest.config.insert("virtio1".into(), "vmdata:100/vm-100-disk-1.raw,size=1G".into());
        guest.config.insert("name".into(), "changed".into());
        let content = "images".to_owned();
        let extra = Volume {
            content,
            format: "raw".into(),
            size: 1 << 30,
            vmid: Some(100),
            ..Volume::default()
        };
        world.add_volume("pve1", "vmdata:100/vm-100-disk-1.raw", extra);
        world.add_guest(guest);
    });
    let line = format!("POST /nodes/pve1/qemu?vmid=100&archive={volid}&force=1");
    let (end, log) = lab.play(&line).await;
    assert_eq!(end, "task OK", "{log:#?}");
    let world = lab.sim.world();
    let guest = world.guest(100).unwrap();
    assert_eq!(guest.get("name"), Some("web"));
    assert_eq!(guest.get("scsi0"), Some("vmdata:100/vm-100-disk-0.qcow2,size=1G"));
    assert_eq!(guest.get("unused0"), Some("vmdata:100/vm-100-disk-1.raw"));
    drop(world);
    lab.sim.edit(|world| run(world, true));
    lab.ends(&line, "task unable to restore VM 100 - vm is running").await;
    lab.sim.edit(|world| {
        let mut guest = world.guest(100).unwrap().clone();
        guest.running = None;
        guest.config.insert("protection".into(), "1".into());
        world.add_guest(guest);
    });
    lab.ends(&line, "task unable to restore VM 100 - - protection mode enabled").await;
    assert_eq!(lab.sim.world().guest(100).unwrap().get("lock"), None);
}

#[tokio::test]
async fn templates_come_back_as_templates() {
    let lab = Lab::start(|_| {}).await;
    lab.ends("POST /nodes/pve1/qemu/100/template", "task OK").await;
    let volid = lab.archive().await;
    lab.ends(&format!("POST /nodes/pve1/qemu?vmid=200&archive={volid}"), "task OK").await;
    let world = lab.sim.world();
    let guest = world.guest(200).unwrap();
    assert!(guest.template());
    assert_eq!(guest.get("scsi0"), Some("vmdata:200/base-200-disk-0.qcow2,size=1G"));
}

#[tokio::test]
async fn full_storages() {
    let fill = |world: &mut World, id: &str| {
        let used = world.storages().find(|storage| storage.id == id).unwrap().clone();
        world.add_storage(pvx_sim::Storage { capacity: 1 << 20, ..used });
    };
    let lab = Lab::start(|_| {}).await;
    let volid = lab.archive().await;
    lab.sim.edit(|world| fill(world, "vmdata"));
    let (end, log) = lab.play(&format!("POST /nodes/pve1/qemu?vmid=200&archive={volid}")).await;
    assert!(end.starts_with("task command 'set -o pipefail && zstd -q -d -c "), "{end}");
    assert!(end.ends_with("No space left on device"), "{end}");
    assert!(log.iter().any(|line| line.ends_with("VM 200 state is NOT cleaned up.")), "{log:#?}");
    assert!(lab.sim.world().volume("pve1", "vmdata:200/vm-200-disk-0.qcow2").is_none());
    lab.sim.edit(|world| fill(world, "local"));
    let (end, log) = lab.play("POST /nodes/pve1/vzdump?vmid=100").await;
    assert_eq!(end, "task job errors");
    let error =
        "ERROR: Backup of VM 100 failed - vma_queue_write: write error - No space left on device";
    assert!(log.iter().any(|line| line == error), "{log:#?}");
    assert_eq!(lab.content().await.len(), 1);
    assert!(lab.sim.world().guest(100).unwrap().running.is_none());
}
