//! Guests and their disks that move: what keeps a disk from growing, going to another storage or
//! guest, being imported; names of volumes after a migration; what a node holds on to.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

#[path = "support/script.rs"]
mod script;

use script::Script as Lab;
use serde_json::{Value, json};

impl Lab {
    /// A cluster after these calls, all of which went well.
    fn after(script: &[&str]) -> Self {
        let mut lab = Self::below("/nodes/pve1/qemu");
        for line in script {
            let outcome = lab.outcome(line);
            assert!(matches!(outcome.as_str(), "OK" | "done"), "{line}: {outcome}");
        }
        lab
    }

    /// A line of a configuration, as if written into its file.
    fn set(&mut self, vmid: u32, key: &str, value: &str) {
        let guest = self.direct.world_mut().guest_mut(vmid).unwrap();
        guest.config.insert(key.to_owned(), value.to_owned());
    }

    /// The last task's log.
    fn log(&self) -> String {
        let task = self.direct.world().tasks().last().unwrap();
        task.log.join("\n")
    }
}

#[test]
fn what_cannot_grow() {
    let mut lab = Lab::after(&[
        "POST  vmid=200 scsi0=shared:1,format=vmdk scsi1=shared:1,format=qcow2 tpmstate0=shared:1",
        "POST  vmid=201 scsi0=shared:1,format=qcow2 scsi1=vmdata:1",
        "POST 201/template",
        "POST 201/clone newid=202",
    ]);
    let image = "can't resize this image format";
    let base = |how: &str, file: &str, size: u64| {
        format!(
            "command '/usr/bin/qemu-img resize '--preallocation={how} {file} {size}' failed: exit code 1"
        )
    };
    let qcow2 = base("metadata' -f qcow2", "/mnt/shared/images/201/base-201-disk-0.qcow2", 3 << 30);
    let raw = base("off' -f raw", "/var/lib/vmdata/images/201/base-201-disk-0.raw", 2 << 30);
    lab.play(&[
        ("PUT 200/resize disk=scsi0 size=1G", "OK"),
        ("PUT 200/resize disk=scsi0 size=2G", image),
        ("PUT 200/resize disk=tpmstate0 size=8M", "OK"),
        ("PUT 201/resize disk=scsi0 size=3G", &qcow2),
        ("PUT 201/resize disk=scsi1 size=+1G", &raw),
        ("PUT 202/resize disk=scsi0 size=3G", "OK"),
        ("POST 200/status/start", "OK"),
        ("PUT 200/resize disk=scsi0 size=2G", image),
        ("PUT 200/resize disk=scsi1 size=2G", "OK"),
        ("PUT 200/resize disk=tpmstate0 size=9M", "no block node inserted for drive 'tpmstate0'"),
    ]);
    assert_eq!(lab.data("GET 201/config")["scsi0"], "shared:201/base-201-disk-0.qcow2,size=1G");
}

#[test]
fn disks_go_where_their_options_fit() {
    let mut lab = Lab::after(&[
        "POST  vmid=200 scsi0=shared:1,iothread=1 tpmstate0=shared:1,version=v2.0 ide2=shared:cloudinit",
        "POST  vmid=201",
    ]);
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    let problem = |key: &str| {
        format!(
            "failed to parse source disk for target disk format - format error\n{key}: {unknown}"
        )
    };
    lab.play(&[
        ("POST 200/move_disk disk=scsi0 target-vmid=201 target-disk=sata0", &problem("iothread")),
        (
            "POST 200/move_disk disk=tpmstate0 target-vmid=201 target-disk=scsi1",
            &problem("version"),
        ),
        ("POST 200/move_disk disk=scsi0 target-vmid=201 target-disk=virtio0", "OK"),
        ("POST 200/status/start", "OK"),
        (
            "POST 200/move_disk disk=tpmstate0 storage=local",
            "storage migration failed: cannot move TPM state while VM is running",
        ),
        ("POST 200/status/stop", "OK"),
        ("POST 200/move_disk disk=tpmstate0 storage=local", "OK"),
    ]);
    assert!(lab.data("GET 201/config")["virtio0"].as_str().unwrap().contains("iothread=1"));
}

#[test]
fn disks_of_other_kinds_are_not_imported() {
    let mut lab = Lab::after(&[
        "POST  vmid=200 scsi0=shared:1 efidisk0=shared:1,efitype=4m tpmstate0=shared:1",
        "POST  vmid=201",
    ]);
    let from = |file: &str, why: &str| format!("cannot import from 'shared:200/{file}' - {why}");
    let efi = from("vm-200-disk-0.raw", "cloning from/to EFI disk requires EFI disk");
    let tpm = from("vm-200-disk-2.raw", "cloning from/to TPM state requires TPM state");
    let runs = from("vm-200-disk-2.raw", "cannot move TPM state while VM is running");
    let own =
        from("vm-200-disk-1.raw", "cannot change drive name when cloning disk from/to the same VM");
    let import = "import-from=shared:200/vm-200-disk";
    for (line, expected) in [
        (format!("PUT 201/config scsi0=shared:0,{import}-0.raw"), efi.as_str()),
        (format!("PUT 201/config scsi0=shared:0,{import}-2.raw"), &tpm),
        (format!("PUT 201/config scsi0=shared:0,{import}-1.raw"), "done"),
        (format!("PUT 200/config scsi1=shared:0,{import}-1.raw"), "done"),
        ("POST 200/status/start".to_owned(), "OK"),
        (format!("PUT 201/config tpmstate0=shared:0,version=v2.0,{import}-2.raw"), &runs),
        (format!("PUT 200/config scsi2=shared:0,{import}-1.raw"), &own),
        (format!("POST 201/config scsi1=shared:0,{import}-1.raw"), "OK"),
    ] {
        assert_eq!(lab.outcome(&line), expected, "{line}");
    }
    assert!(lab.log().contains("create full clone of drive scsi0 (shared:200/"), "{}", lab.log());
}

/// What is mirrored takes the first free name, what is copied keeps its own.
#[test]
fn volumes_and_their_names_after_a_migration() {
    let mut lab = Lab::after(&[
        "POST  vmid=200 scsi0=local:1 scsi1=local:1 ide2=local:cloudinit",
        "PUT 200/unlink idlist=scsi0",
        "POST 200/migrate target=pve2 targetstorage=shared",
    ]);
    let keys = ["ide2", "scsi1", "unused0"];
    let files = |config: &Value| {
        keys.map(|key| {
            config[key].as_str().unwrap_or_default().split(',').next().unwrap().to_owned()
        })
    };
    let here = lab.data("GET /nodes/pve2/qemu/200/config");
    let kept = ["vm-200-cloudinit.qcow2", "vm-200-disk-1.raw", "vm-200-disk-0.raw"];
    assert_eq!(files(&here), kept.map(|name| format!("shared:200/{name}")));
    let mut lab = Lab::after(&[
        "POST  vmid=200 scsi0=local:1 scsi1=local:1 ide2=local:cloudinit",
        "PUT 200/unlink idlist=scsi0 force=1",
        "POST 200/status/start",
        "POST 200/migrate target=pve2 online=1 with-local-disks=1",
    ]);
    let here = lab.data("GET /nodes/pve2/qemu/200/config");
    let names = ["local:200/vm-200-cloudinit.qcow2", "local:200/vm-200-disk-0.raw", ""];
    assert_eq!(files(&here), names);
}

#[test]
fn drives_of_the_node_keep_a_guest_there() {
    let mut lab = Lab::after(&["POST  vmid=200 scsi0=shared:1 ide2=none,media=cdrom"]);
    assert_eq!(lab.data("GET 200/migrate")["local_disks"], json!([]));
    for (key, value, told) in [
        ("ide2", "cdrom,media=cdrom", "can't migrate local cdrom drive"),
        ("scsi1", "/dev/sdx", "can't migrate local disk '/dev/sdx': local file/device"),
    ] {
        lab.set(200, key, value);
        let disks = lab.data("GET 200/migrate")["local_disks"].clone();
        let volid = value.split(',').next().unwrap();
        let found = disks.as_array().unwrap().iter().find(|disk| disk["volid"] == volid);
        assert_eq!(found.unwrap()["drivename"], key);
        lab.play(&[("POST 200/migrate target=pve2", "migration aborted")]);
        assert!(lab.log().contains(told), "{}", lab.log());
        lab.set(200, "ide2", "none,media=cdrom");
    }
    lab.set(200, "scsi1", "/dev/sdx,shared=1");
    lab.play(&[("POST 200/migrate target=pve2", "OK")]);
}

#[test]
fn a_template_names_its_first_drive_that_clones_stand_on() {
    let mut lab = Lab::after(&[
        "POST  vmid=200 scsi0=vmdata:1 scsi1=local:1",
        "POST 200/template",
        "POST 200/clone newid=201",
    ]);
    let first = "base volume 'vmdata:200/base-200-disk-0.raw' is still in use by linked cloned";
    let second = "base volume 'local:200/base-200-disk-0.raw' is still in use by linked cloned";
    lab.play(&[
        ("DELETE 200", first),
        ("PUT 201/unlink idlist=scsi0 force=1", "done"),
        ("DELETE 200", second),
        ("DELETE 201", "OK"),
        ("DELETE 200", "OK"),
    ]);
}

#[test]
fn no_node_has_a_storage_that_is_off() {
    let mut lab = Lab::after(&["POST  vmid=200 scsi0=shared:1,format=qcow2"]);
    let line = "GET 200/feature feature=snapshot";
    assert_eq!(lab.data(line)["nodes"], json!(["pve1", "pve2", "pve3"]));
    lab.play(&[("PUT /storage/shared disable=1", "done")]);
    assert_eq!(lab.data(line), json!({ "hasFeature": 1, "nodes": [] }));
}

#[test]
fn migration_to_another_cluster_looks_at_the_guest_first() {
    let mut lab = Lab::after(&["POST  vmid=200"]);
    let line = "POST 200/remote_migrate target-storage=1 target-bridge=1 target-endpoint=";
    let whole = format!("{line}host=192.0.2.1,apitoken=PVEAPIToken=a@pam!b=c");
    let errors = lab.call(&format!("{line}host=192.0.2.1,fingerprint=AA")).1["errors"].clone();
    assert_eq!(
        errors["target-endpoint"],
        "invalid format - format error\ntarget-endpoint.apitoken: property is missing and it is not optional\ntarget-endpoint.fingerprint: value does not match the regex pattern\n"
    );
    lab.play(&[("POST /cluster/ha/resources sid=vm:200 state=stopped", "done")]);
    let errors = lab.call(&whole).1["errors"].clone();
    assert_eq!(errors, json!({ "vmid": "cannot remote-migrate VM that is configured for HA" }));
    lab.set(200, "lock", "backup");
    lab.play(&[(&whole, "VM is locked (backup)")]);
}

/// The other node starts the guest, as root@pam, whoever asked.
#[test]
fn an_online_migration_is_a_start_on_the_other_node() {
    let mut lab = Lab::after(&[
        "POST  vmid=210 scsi0=shared:1",
        "POST 210/migrate target=pve2",
        "POST /nodes/pve2/qemu/210/migrate target=pve1",
        "POST 210/status/start",
        "POST 210/migrate target=pve2 online=1",
    ]);
    let there = lab.data("GET /nodes/pve2/tasks vmid=210");
    let told = |task: &Value| {
        let text = |key: &str| task[key].as_str().unwrap_or("-").to_owned();
        ["type", "user", "tokenid", "status"].map(text).join(" ")
    };
    let told: Vec<String> = there.as_array().unwrap().iter().map(told).collect();
    assert_eq!(told, ["qmstart root@pam - OK", "qmigrate root@pam lab OK"]);
}

/// What cannot be freed is told; the guest goes all the same.
#[test]
fn volumes_that_stay_when_a_guest_goes() {
    let mut lab = Lab::after(&[
        "POST  vmid=210 scsi0=vmdata:1 scsi1=shared:1 scsi2=local:1",
        "PUT /storage/vmdata disable=1",
        "DELETE /storage/shared",
    ]);
    lab.play(&[("DELETE 210 destroy-unreferenced-disks=1", "WARNINGS: 2")]);
    let log = lab.log();
    for line in [
        "WARN: Could not remove disk 'vmdata:210/vm-210-disk-0.raw', check manually: storage 'vmdata' is disabled",
        "WARN: failed to get path and owner of volume 'shared:210/vm-210-disk-0.raw': storage 'shared' does not exist",
    ] {
        assert!(log.contains(line), "{log}");
    }
    let there =
        |lab: &Lab, id| lab.direct.world().volumes_on(id, "pve1").any(|(_, v)| v.vmid == Some(210));
    assert!(there(&lab, "vmdata") && !there(&lab, "local"));
}

/// The guest runs, and its start ends with what it warned of.
#[test]
fn starts_that_warn() {
    let mut lab = Lab::after(&[
        "POST  vmid=210 scsi0=shared:1,iothread=1,format=qcow2 bios=ovmf",
        "POST  vmid=211 net0=virtio,bridge=vmbr9 scsi0=shared:1",
    ]);
    lab.play(&[
        ("POST /nodes/pve1/vzdump vmid=211 storage=shared", "job errors"),
        ("POST 211/status/start", "bridge 'vmbr9' does not exist"),
        ("POST /nodes/pve1/vzdump vmid=210 storage=shared mode=stop", "WARNINGS: 2"),
        ("POST 210/status/start", "WARNINGS: 2"),
        ("POST 210/snapshot snapname=ram vmstate=1", "OK"),
        ("POST 210/snapshot/ram/rollback", "WARNINGS: 2"),
        ("POST 210/migrate target=pve2 online=1", "OK"),
        ("POST /nodes/pve2/qemu/210/status/stop", "OK"),
    ]);
    let there = lab.data("GET /nodes/pve2/tasks vmid=210 typefilter=qmstart");
    assert_eq!(there[0]["status"], "WARNINGS: 2");
}
