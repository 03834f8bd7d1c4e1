//! The cluster in sim time: what is written without quorum, power in odd states, logs to download,
//! backup jobs.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use script::{START_MS, Script as Lab};
use serde_json::json;

/// The guest that most scripts are about.
const GUEST: &str = "/nodes/pve1/qemu/200";

impl Lab {
    /// A line of the guest's configuration, as if written into its file.
    fn set(&mut self, key: &str, value: Option<&str>) {
        let config = &mut self.direct.world_mut().guest_mut(200).unwrap().config;
        match value {
            Some(value) => config.insert(key.to_owned(), value.to_owned()),
            None => config.remove(key),
        };
    }
}

const CREATE: (&str, &str) = (
    "POST /nodes/pve1/qemu vmid=200 name=web memory=128 scsi0=shared:1,format=qcow2 scsi1=vmdata:1",
    "OK",
);
const START: (&str, &str) = ("POST status/start", "OK");

/// What is refused by itself is so without quorum too; what would write cannot.
#[test]
fn without_quorum_checks_come_first() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[CREATE]);
    for node in ["pve2", "pve3"] {
        assert!(lab.direct.world_mut().set_node_online(node, false));
    }
    let denied =
        "unable to open file '/etc/pve/nodes/pve1/qemu-server/200.conf.tmp.1' - Permission denied";
    let moved = format!("storage migration failed: {denied}");
    let lock = "cfs-lock 'storage-shared' error: no quorum!";
    lab.play(&[
        ("PUT config cores=2", denied),
        ("PUT config cores=2 digest=0123", "checksum mismatch (file change by other user?)"),
        ("PUT config scsi2=shared:1", lock),
        ("PUT config scsi2=vmdata:1", denied),
        ("PUT unlink idlist=scsi0", denied),
        ("PUT snapshot/aa/config description=x", "snapshot 'aa' does not exist"),
        ("PUT cloudinit", "done"),
        ("POST snapshot snapname=aa", "snapshot feature is not available"),
        ("DELETE snapshot/aa", "snapshot 'aa' does not exist"),
        ("POST snapshot/aa/rollback", "snapshot 'aa' does not exist"),
        ("PUT resize disk=scsi0 size=1G", "OK"),
        ("PUT resize disk=scsi0 size=2G", denied),
        ("PUT resize disk=scsi5 size=2G", "disk 'scsi5' does not exist"),
        ("POST move_disk disk=scsi0 storage=vmdata", &moved),
        ("POST move_disk disk=scsi1 storage=shared", &format!("storage migration failed: {lock}")),
        ("POST template", denied),
        ("POST /nodes/pve1/vzdump vmid=200", "job errors"),
        (
            "POST /nodes/pve1/storage/shared/content vmid=200 filename=vm-200-disk-9.raw size=1M",
            lock,
        ),
        (
            "POST /nodes/pve1/storage/vmdata/content vmid=200 filename=vm-200-disk-9.raw size=1M",
            "done",
        ),
        ("DELETE /nodes/pve1/storage/shared/content/shared:200/vm-200-disk-0.qcow2", lock),
        ("DELETE /nodes/pve1/storage/vmdata/content/vmdata:200/vm-200-disk-9.raw", "OK"),
    ]);
}

#[test]
fn power_in_odd_states() {
    let mut lab = Lab::below(GUEST);
    let root = "skiplock: Only root may use this option.";
    lab.play(&[
        CREATE,
        ("POST status/suspend skiplock=1", root),
        ("POST status/reset skiplock=1", root),
        ("POST status/reset", "VM 200 not running"),
        (
            "POST status/start migration_network=here",
            "migration_network: invalid format - value does not look like a valid CIDR network\n",
        ),
        (
            "POST status/start machine=pc-9",
            "machine: invalid format - format error\nmachine.type: value does not match the regex pattern\n",
        ),
        START,
    ]);
    lab.set("lock", Some("migrate"));
    // One that runs needs no resume, and nobody looks at its lock.
    lab.play(&[
        ("POST status/resume", "OK"),
        ("POST status/suspend", "VM is locked (migrate)"),
        ("POST status/reset", "VM is locked (migrate)"),
    ]);
    lab.set("lock", Some("backup"));
    lab.play(&[
        ("POST status/reset", "VM is locked (backup)"),
        ("POST status/suspend todisk=1", "cannot suspend to disk during backup"),
        ("POST status/suspend", "OK"),
    ]);
    assert_eq!(lab.data("GET status/current")["qmpstatus"], "paused");
    // A start goes on with what runs for the backup.
    lab.play(&[START]);
    assert_eq!(lab.data("GET status/current")["qmpstatus"], "running");
    lab.play(&[("POST status/suspend", "OK"), ("POST status/resume", "OK")]);
    lab.set("lock", Some("migrate"));
    lab.play(&[START].map(|(line, _)| (line, "VM is locked (migrate)")));
}

#[test]
fn a_status_tells_of_devices_that_qemu_has() {
    let mut lab = Lab::below(GUEST);
    lab.play(&[("POST /nodes/pve1/qemu vmid=200 memory=128", "OK"), START]);
    let bare = lab.data("GET status/current");
    assert!(bare.get("nics").is_none() && bare.get("blockstat").is_none(), "{bare:#}");
    lab.play(&[
        ("POST status/stop", "OK"),
        (
            "PUT config net0=virtio,bridge=vmbr0 net1=virtio bios=ovmf efidisk0=shared:1 tpmstate0=shared:1 scsi0=shared:1",
            "done",
        ),
        START,
    ]);
    let full = lab.data("GET status/current");
    let names = |key: &str| full[key].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names("nics"), ["tap200i0"]);
    assert_eq!(names("blockstat"), ["efidisk0", "pflash0", "scsi0"]);
}

#[test]
fn a_log_is_downloaded_as_a_file() {
    let mut lab = Lab::below(GUEST);
    let (_, body) = lab.call(CREATE.0);
    let upid = body["data"].as_str().unwrap().to_owned();
    assert_eq!(lab.exit(&upid), "OK");
    let line = format!("GET /nodes/pve1/tasks/{upid}/log download=1");
    let (told, _) = lab.call(&line);
    let text = String::from_utf8(told.body).unwrap();
    assert!(told.status == 200 && text.ends_with("\nTASK OK\n"), "{text}");
    let gone = "UPID:pve1:00000001:00000001:0000000A:qmstart:1:root@pam:";
    lab.play(&[(
        &format!("GET /nodes/pve1/tasks/{gone}/log download=1"),
        &format!("Could not open file '/var/log/pve/tasks/A/{gone}' - No such file or directory"),
    )]);
}

#[test]
fn backup_jobs_are_kept() {
    let mut lab = Lab::below(GUEST);
    let verify = "400 Parameter verification failed.";
    lab.play(&[
        CREATE,
        ("POST /nodes/pve2/qemu vmid=300 name=db", "OK"),
        ("POST /pools poolid=lab", "done"),
        (
            "POST /cluster/backup id=nightly schedule=sat~12:30 storage=shared vmid=200,300 mode=snapshot compress=zstd prune-backups=keep-last=3,keep-daily=7 comment=each~night",
            "done",
        ),
        ("POST /cluster/backup id=all starttime=03:15 dow=mon,tue all=1 enabled=0", "done"),
        ("POST /cluster/backup id=nightly schedule=daily all=1", "Job 'nightly' already exists"),
        ("POST /cluster/backup id=none schedule=daily", &format!("{verify}\nvmid: property is missing")),
        ("POST /cluster/backup id=two schedule=daily all=1 vmid=200", &format!("{verify}\nall: option conflicts with option 'vmid'")),
        ("POST /cluster/backup id=when all=1", "schedule: neither 'starttime' nor 'schedule' were set"),
        ("POST /cluster/backup id=both all=1 schedule=daily starttime=1:00", "starttime: 'starttime' and 'schedule' cannot both be set"),
        ("POST /cluster/backup id=dow all=1 dow=mon", "starttime: missing property required by 'dow'"),
        ("POST /cluster/backup id=pool schedule=daily pool=gone", "Permission check failed (pool 'gone' does not exist)"),
        ("POST /cluster/backup id=root schedule=daily all=1 script=/x", "script: Only root may set this option."),
        ("POST /cluster/backup id=mode schedule=daily all=1 mode=warp", "mode: value 'warp' does not have a value in the enumeration 'snapshot, suspend, stop'"),
        ("POST /cluster/backup id=mail schedule=daily all=1 mailto=a~b@c,d/e", "mailto: invalid format - value does not look like a valid email address or user name\n"),
        ("GET /cluster/backup/gone", "id: No such job 'gone'"),
        ("DELETE /cluster/backup/gone", &format!("{verify}\nid: No such job 'gone'")),
        ("PUT /cluster/backup/gone all=1", "no such vzdump job"),
        ("PUT /cluster/backup/nightly", "no options specified"),
        ("PUT /cluster/backup/nightly delete=schedule", &format!("{verify}\ndelete: unknown option 'schedule'")),
    ]);
    let nightly = json!({
        "id": "nightly", "type": "vzdump", "enabled": 1, "schedule": "sat 12:30",
        "storage": "shared", "vmid": "200,300", "mode": "snapshot", "compress": "zstd",
        "comment": "each night", "prune-backups": { "keep-last": "3", "keep-daily": "7" },
    });
    assert_eq!(lab.data("GET /cluster/backup/nightly"), nightly);
    let all = lab.data("GET /cluster/backup");
    assert_eq!((&all[0]["id"], &all[1]["schedule"]), (&json!("nightly"), &json!("mon,tue 03:15")));
    assert!(all[0]["next-run"].as_i64().unwrap() > START_MS / 1000);
    assert_eq!(lab.data("GET /cluster/backup-info/not-backed-up"), json!([]));
    let tree = lab.data("GET /cluster/backup/nightly/included_volumes");
    assert_eq!(
        tree["children"][0]["children"][0],
        json!({
            "id": "200:scsi0", "name": "shared:200/vm-200-disk-0.qcow2", "included": 1,
            "reason": "backup=yes", "leaf": 1,
        })
    );
    assert_eq!(
        tree["children"][1],
        json!({ "id": 300, "type": "qemu", "name": "db", "children": [], "leaf": 1 })
    );
    lab.play(&[
        ("PUT /cluster/backup/all vmid=300 enabled=1 fleecing=1,storage=local", "done"),
        ("PUT /cluster/backup/nightly delete=comment,prune-backups schedule=daily", "done"),
        ("DELETE /nodes/pve2/qemu/300 purge=1", "OK"),
    ]);
    // A job that named this guest alone went with it.
    let left = lab.data("GET /cluster/backup");
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!((&left[0]["vmid"], left[0].get("comment")), (&json!("200"), None));
    lab.play(&[
        ("PUT /cluster/backup/nightly pool=lab", "done"),
        ("DELETE /cluster/backup/nightly", "done"),
        ("GET /cluster/backup/nightly", "id: No such job 'nightly'"),
    ]);
}

#[test]
fn what_cannot_be_replicated_is_refused() {
    let mut lab = Lab::below(GUEST);
    let path = "POST /cluster/replication type=local";
    lab.play(&[
        CREATE,
        ("POST /nodes/pve1/qemu vmid=300 scsi0=shared:1", "OK"),
        (&format!("{path} id=200-0 target=pve2"), "missing replicate feature on volume 'vmdata:200/vm-200-disk-0.raw'"),
        (&format!("{path} id=300-0 target=pve2"), "No replicatable volumes found"),
        (&format!("{path} id=300-0 target=pve1"), "Source and target must not be identical"),
        (&format!("{path} id=300-0 target=pve9"), "Target 'pve9' does not exist."),
        (&format!("{path} id=300-0 target=pve2 source=pve3"), "Source 'pve3' does not match current node of guest '300' (pve1)"),
        (&format!("{path} id=999-0 target=pve2"), "Guest '999' does not exist."),
        (&format!("{path} id=300 target=pve2"), "id: invalid format - invalid replication job id '300'\n"),
        (&format!("{path} id=99-0 target=pve2"), "id: invalid format - invalid replication job id '99-0' (guest IDs < 100 are reserved)\n"),
        (&format!("{path} id=300-0 target=pve2 rate=0.5"), "rate: value must have a minimum value of 1"),
        ("PUT /cluster/replication/300-0 disable=1", "no such job '300-0'"),
        ("DELETE /cluster/replication/300-0", "no such job '300-0'"),
        ("DELETE /cluster/replication/300-0 force=1", "done"),
    ]);
}

#[test]
fn a_node_has_a_configuration_of_its_own() {
    let mut lab = Lab::below(GUEST);
    assert_eq!(lab.data("GET /nodes/pve2/config"), json!({}));
    lab.play(&[
        (
            "PUT /nodes/pve2/config startall-onboot-delay=301",
            "startall-onboot-delay: value must have a maximum value of 300",
        ),
        ("PUT /nodes/pve2/config startall-onboot-delay=20 wakeonlan=02:00:00:00:00:01", "done"),
        (
            "PUT /nodes/pve2/config digest=0123 description=x",
            "detected modified configuration - file changed by other user? Try again.",
        ),
        ("POST /nodes/pve1/wakeonlan", "'pve1' is local node, cannot wake my self!"),
        ("POST /nodes/pve3/wakeonlan", "No wake on LAN MAC address defined for 'pve3'!"),
        ("POST /nodes/pve9/wakeonlan", "no such cluster node 'pve9'"),
    ]);
    assert!(lab.direct.world_mut().set_node_online("pve2", false));
    assert_eq!(lab.data("POST /nodes/pve2/wakeonlan"), "02:00:00:00:00:01");
    assert!(lab.direct.world_mut().set_node_online("pve2", true));
    let mut found = lab.data("GET /nodes/pve2/config");
    assert_eq!(found["digest"].as_str().unwrap().len(), 40);
    found.as_object_mut().unwrap().remove("digest");
    let expected = json!({
        "description": "", "startall-onboot-delay": "20", "wakeonlan": "02:00:00:00:00:01",
    });
    assert_eq!(found, expected);
    lab.play(&[(
        "PUT /nodes/pve2/config delete=startall-onboot-delay,wakeonlan description=rack~7",
        "done",
    )]);
    assert_eq!(
        lab.data("GET /nodes/pve2/config property=description"),
        json!({ "description": "rack 7\n" })
    );
}
