//! Guests: configuration, disks, power, the agent and locks, as requests and answers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{Options, Sim, TimeScale, World};
use serde_json::{Value, json};
use support::{Answer, Client, Who, wait_task};

/// The guest that most scripts are about.
const GUEST: &str = "/nodes/pve1/qemu/200";

struct Lab {
    client: Client,
    who: Who,
    _sim: Sim,
}

impl Lab {
    async fn start(time_scale: TimeScale) -> Self {
        let options = Options { time_scale, ..Options::default() };
        let sim = Sim::start(World::truth(), options).await.unwrap();
        let who = Who::token("root@pam!lab", "11111111-2222-4333-8444-000000000001");
        Self { client: Client::new(sim.addr()), who, _sim: sim }
    }

    /// `METHOD path key=value …`, where `~` stands for a space.
    async fn call(&self, line: &str) -> Answer {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{GUEST}/{path}") };
        let params: Vec<(&str, String)> = words
            .map(|word| word.split_once('=').unwrap())
            .map(|(key, value)| (key, value.replace('~', " ")))
            .collect();
        let params: Vec<(&str, &str)> =
            params.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.client.call(&self.who, method, path.trim_end_matches('/'), &params).await
    }

    /// How a task ended; `done` without one; of a refused parameter its error, else the reason.
    async fn outcome(&self, line: &str) -> String {
        let answer = self.call(line).await;
        if let Some(errors) = answer.body["errors"].as_object() {
            let errors =
                errors.iter().map(|(key, text)| format!("{key}: {}", text.as_str().unwrap()));
            return errors.collect::<Vec<_>>().join("; ");
        }
        if answer.status != 200 {
            return answer.reason;
        }
        match answer.body["data"].as_str().filter(|text| text.starts_with("UPID:")) {
            Some(upid) => {
                let status = wait_task(&self.client, &self.who, upid).await;
                status["exitstatus"].as_str().unwrap().to_owned()
            }
            None => "done".to_owned(),
        }
    }

    async fn play(&self, script: &[(&str, &str)]) {
        for (line, expected) in script {
            assert_eq!(self.outcome(line).await, *expected, "{line}");
        }
    }

    async fn data(&self, line: &str) -> Value {
        let answer = self.call(line).await;
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        answer.body["data"].clone()
    }
}

const CREATE: (&str, &str) = (
    "POST /nodes/pve1/qemu vmid=200 name=web memory=2048 cores=2 ostype=l26 scsihw=virtio-scsi-pci scsi0=shared:1 net0=virtio,bridge=vmbr0",
    "OK",
);

#[tokio::test]
async fn values_are_checked_in_the_real_words() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let unknown =
        "property is not defined in schema and the schema does not allow additional properties";
    lab.play(&[CREATE]).await;
    for (change, error) in [
        ("cores=0", "cores: value must have a minimum value of 1"),
        ("onboot=yes", "onboot: type check ('boolean') failed - got 'yes'"),
        ("cpulimit=129", "cpulimit: value must have a maximum value of 128"),
        ("colour=red", &format!("colour: {unknown}")),
        ("meta=ctime=1", &format!("meta: {unknown}")),
        (
            "bios=uefi",
            "bios: value 'uefi' does not have a value in the enumeration 'seabios, ovmf'",
        ),
        ("serial0=ttyS0", "serial0: value does not match the regex pattern"),
        (
            "cpu=host,flags=+warp",
            "cpu: invalid format - VM-specific CPU flags must be a subset of: aes, amd-no-ssb, amd-ssbd, hv-evmcs, hv-tlbflush, ibpb, md-clear, nested-virt, pcid, pdpe1gb, spec-ctrl, ssbd, virt-ssbd\n",
        ),
        (
            "cpu=hosst",
            "cpu: invalid format - Built-in cputype 'hosst' is not defined (missing 'custom-' prefix?)\n",
        ),
        (
            "machine=pc-9",
            "machine: invalid format - format error\nmachine.type: value does not match the regex pattern\n",
        ),
        (
            "net1=virtio,bridge=vm~br",
            "net1: invalid format - format error\nnet1.bridge: invalid format - invalid bridge ID 'vm br'\n\n",
        ),
        (
            "net1=virtio=01:00:00:00:00:01",
            "net1: invalid format - format error\nnet1.macaddr: invalid format - value does not look like a valid unicast MAC address\n\n",
        ),
        (
            "ipconfig0=gw=10.0.0.1",
            "ipconfig0: invalid format - format error\nipconfig0.ip: missing property required by 'ipconfig0.gw'\n",
        ),
        ("boot=order=scsi9", "invalid bootorder: device 'scsi9' does not exist'"),
        (
            "boot=order=floppy",
            "boot: invalid format - format error\nboot.order: invalid format - invalid boot device 'floppy'\n\n",
        ),
        ("startup=first", "startup: invalid format - unable to parse startup options\n"),
        ("hotplug=warp", "hotplug: invalid format - invalid hotplug feature 'warp'\n"),
        ("scsi1=vmdata:1,iops=5,iops_rd=5", "scsi1: unable to parse drive options"),
        ("ide2=local:iso/truth.iso", "ide2: explicit 'media=cdrom' is required for iso images"),
        ("scsi1=local:snippets/a.yaml", "scsi1: content type needs to be 'images' or 'iso'"),
        ("delete=nonsense", "delete: unknown option 'nonsense'"),
        ("revert=nonsense", "revert: unknown option 'nonsense'"),
        ("force=1", "delete: missing property required by 'force'"),
        ("skiplock=1 cores=1", "skiplock: Only root may use this option."),
        ("args=-x", "only root can set 'args' config"),
        ("hostpci0=01:00.0", "only root can set 'hostpci0' config for non-mapped devices"),
        ("vga=serial0,clipboard=vnc", "vga type serial0 is not compatible with VNC clipboard"),
        ("machine=pc,viommu=intel", "to use Intel vIOMMU please set the machine type to q35"),
        ("balloon=4096", "balloon value too large (must be smaller than assigned memory)"),
        ("tags=a~b", "done"),
    ] {
        // Devices that only root may have are looked at when the change is made.
        let line = format!("PUT config {change}");
        let outcome = lab.outcome(&line).await;
        let device = change.starts_with("hostpci");
        assert!(outcome == error || (device && outcome == "done"), "{change}: {outcome}");
    }
}

#[tokio::test]
async fn values_are_stored_as_proxmox_stores_them() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.play(&[CREATE]).await;
    for (change, key, stored) in [
        ("ide2=none", "ide2", json!("none,media=cdrom")),
        ("cdrom=local:iso/truth.iso", "ide2", json!("local:iso/truth.iso,media=cdrom,size=1M")),
        (
            "scsi1=vmdata:1,ssd=on,backup=no",
            "scsi1",
            json!("vmdata:200/vm-200-disk-0.raw,backup=0,size=1G,ssd=1"),
        ),
        (
            "net1=bridge=vmbr0,macaddr=bc:24:11:00:00:01,model=e1000,firewall=on",
            "net1",
            json!("e1000=bc:24:11:00:00:01,bridge=vmbr0,firewall=1"),
        ),
        ("boot=order=net0;scsi0", "boot", json!("order=net0;scsi0")),
        ("cpuunits=20000", "cpuunits", json!(10000)),
        ("agent=1,freeze-fs-on-backup=0", "agent", json!("1,freeze-fs-on-backup=0")),
        (
            "efidisk0=vmdata:1,efitype=4m,pre-enrolled-keys=1",
            "efidisk0",
            json!(
                "vmdata:200/vm-200-disk-1.raw,efitype=4m,ms-cert=2023k,pre-enrolled-keys=1,size=528K"
            ),
        ),
        (
            "tpmstate0=vmdata:1,version=v2.0",
            "tpmstate0",
            json!("vmdata:200/vm-200-disk-2.raw,size=4M,version=v2.0"),
        ),
        ("ostype=win11", "machine", json!("pc-i440fx-10.2")),
    ] {
        lab.play(&[(&format!("PUT config {change}"), "done")]).await;
        assert_eq!(lab.data("GET config").await[key], stored, "{change}");
    }
    lab.play(&[(
        "PUT config tpmstate0=vmdata:200/vm-200-disk-2.raw,version=v1.2",
        "cannot change TPM state version after creation",
    )])
    .await;
}

#[tokio::test]
async fn running_guests_plug_what_they_can() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.play(&[
        CREATE,
        ("PUT config scsi1=vmdata:1", "done"),
        ("POST status/start", "OK"),
        ("PUT config delete=scsi1", "done"),
        ("PUT config delete=scsi0", "scsi0: hotplug problem - can't unplug bootdisk 'scsi0'\n"),
        (
            "PUT config delete=net0",
            "net0: hotplug problem - error on hot-unplugging device 'net0' - still busy in guest?\n",
        ),
        ("PUT config revert=net0,scsi0", "done"),
        ("PUT config delete=unused0", "done"),
        ("PUT config cores=1 background_delay=5", "background_delay: property is not defined in schema and the schema does not allow additional properties"),
        ("POST config cores=1 background_delay=5", "done"),
        ("POST config boot=order=scsi7 background_delay=5", "failed to update VM 200: invalid bootorder: device 'scsi7' does not exist'"),
        ("PUT config scsi0=shared:200/vm-200-disk-0.raw,mbps_rd=10", "done"),
        ("PUT config scsi0=shared:200/vm-200-disk-0.raw,cache=writeback", "done"),
    ])
    .await;
    let pending = lab.data("GET pending").await;
    let waiting: Vec<&str> = pending
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item.get("pending").is_some() || item.get("delete").is_some())
        .map(|item| item["key"].as_str().unwrap())
        .collect();
    // The disk left the boot order before it turned out that it stays.
    assert_eq!(waiting, ["boot", "cores", "scsi0"]);
}

#[tokio::test]
async fn disks_move_and_change_hands() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.play(&[
        CREATE,
        ("POST /nodes/pve1/qemu vmid=201", "OK"),
        ("PUT resize disk=scsi0 size=+1G", "OK"),
        ("PUT resize disk=scsi0 size=1G", "shrinking disks is not supported"),
        ("PUT resize disk=scsi9 size=1G", "disk 'scsi9' does not exist"),
        ("PUT resize disk=scsi0 size=1GB", "size: value does not match the regex pattern"),
        (
            "POST move_disk disk=scsi0 storage=shared",
            "you can't move to the same storage with same format",
        ),
        ("POST move_disk disk=scsi0 storage=nosuch", "storage 'nosuch' does not exist"),
        ("POST move_disk disk=scsi0 storage=vmdata format=qcow2", "OK"),
        ("POST move_disk disk=scsi0 storage=shared delete=1", "OK"),
        (
            "POST move_disk disk=scsi0 target-vmid=200",
            "target-vmid: must be different than source VMID to reassign disk",
        ),
        ("POST move_disk disk=scsi0 target-vmid=999", "could not find target VM 999"),
        ("POST move_disk disk=unused0 target-vmid=201 target-disk=scsi3", "OK"),
        ("POST move_disk disk=scsi7 target-vmid=201", "Disk 'scsi7' for VM '200' does not exist"),
    ])
    .await;
    let other = lab.data("GET /nodes/pve1/qemu/201/config").await;
    assert_eq!(other["scsi3"], "shared:201/vm-201-disk-0.raw,size=2G");
    assert_eq!(lab.data("GET config").await["scsi0"], "shared:200/vm-200-disk-1.qcow2,size=2G");
}

#[tokio::test]
async fn power_refuses_as_it_does() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.play(&[
        CREATE,
        ("POST status/start targetstorage=1", "targetstorage: Only root may use this option."),
        ("POST status/reset", "VM 200 not running"),
        ("PUT config net0=virtio,bridge=vmbr7", "done"),
        ("POST status/start", "bridge 'vmbr7' does not exist"),
        ("PUT config net0=e1000,bridge=vmbr7", "done"),
        ("POST status/start", "start failed: QEMU exited with code 1"),
        ("PUT config net0=virtio,bridge=vmbr0 cores=8", "done"),
        ("POST status/start", "MAX 2 vcpus allowed per VM on this node"),
        ("PUT config cores=1 hotplug=memory", "done"),
        ("POST status/start", "NUMA needs to be enabled for memory hotplug"),
        ("PUT config numa=1", "done"),
        ("POST status/start", "OK"),
        ("PUT config memory=2100", "done"),
        ("POST status/suspend", "OK"),
        ("POST status/shutdown", "VM is paused - cannot shutdown"),
        ("POST status/reboot", "VM is paused - cannot shutdown"),
        ("POST status/shutdown forceStop=1", "OK"),
    ])
    .await;
    // Memory came in modules of 512 MiB.
    assert_eq!(lab.data("GET config").await["memory"], "2560");
}

const BOOTS: (&str, &str) = (
    "POST /nodes/pve1/qemu vmid=200 name=web memory=512 scsi0=shared:0,import-from=local:import/truth-guest.qcow2 net0=virtio,bridge=vmbr0 ide2=shared:cloudinit ipconfig0=ip=10.0.0.5/24 boot=order=scsi0",
    "OK",
);

#[tokio::test]
async fn the_agent_answers_when_it_can() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.play(&[
        BOOTS,
        ("POST agent/ping", "No QEMU guest agent configured"),
        ("PUT config agent=1", "done"),
        ("POST agent/ping", "VM 200 is not running"),
        ("POST status/start", "OK"),
        ("POST agent/ping", "done"),
        ("POST agent command=ping", "done"),
        (
            "POST agent/set-user-password username=root password=abc",
            "password: value must be at least 5 characters long",
        ),
        ("POST agent/file-write file=/root/a content=hello", "done"),
        ("GET agent/exec-status pid=7", "Agent error: PID 7 does not exist"),
    ])
    .await;
    assert_eq!(lab.data("GET agent/file-read file=/root/a").await["content"], "hello");
    let body = r#"{"command":["/bin/sh","-c","echo hi; warp"]}"#;
    let path = format!("{GUEST}/agent/exec");
    let answer = lab.client.raw(&lab.who, "POST", &path, "application/json", body).await;
    let pid = answer.body["data"]["pid"].as_i64().unwrap();
    let ended = lab.data(&format!("GET agent/exec-status pid={pid}")).await;
    assert_eq!((&ended["exitcode"], &ended["out-data"]), (&json!(127), &json!("hi\n")));
    lab.play(&[("POST agent/fsfreeze-freeze", "done")]).await;
    assert_eq!(lab.data("POST agent/fsfreeze-status").await["result"], "frozen");
    lab.play(&[("POST agent/shutdown", "done")]).await;
    assert_eq!(lab.data("GET status/current").await["status"], "stopped");
}

#[tokio::test]
async fn migration_looks_before_it_starts() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.play(&[
        CREATE,
        ("POST migrate target=pve1", "target: target is local node."),
        ("POST migrate target=pve9", "no such cluster node 'pve9'"),
        ("POST migrate target=pve2 force=1", "force: Only root may use this option."),
        ("POST migrate target=pve2 targetstorage=nosuch", "storage 'nosuch' does not exist"),
        (
            "POST migrate target=pve2 targetstorage=1,shared",
            "targetstorage: invalid format - identity mapping cannot be combined with other mappings\n\n",
        ),
        ("PUT config scsi1=vmdata:1", "done"),
        ("POST migrate target=pve2 targetstorage=vmdata:local online=1", "OK"),
    ])
    .await;
    let config = lab.data("GET /nodes/pve2/qemu/200/config").await;
    assert_eq!(config["scsi1"], "local:200/vm-200-disk-0.raw,size=1G");
}
