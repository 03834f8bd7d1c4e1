//! What real clients that no other test runs met: Ansible's modules for disks, Go libraries,
//! Terraform providers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{Options, Sim, TimeScale, World};
use serde_json::Value;
use support::{Answer, Client, Who, wait_task};

struct Lab {
    client: Client,
    who: Who,
    _sim: Sim,
}

impl Lab {
    async fn start() -> Self {
        let options = Options { time_scale: TimeScale::times(50.0), ..Options::default() };
        let sim = Sim::start(World::truth(), options).await.unwrap();
        let who = Who::token("root@pam!lab", "11111111-2222-4333-8444-000000000001");
        Self { client: Client::new(sim.addr()), who, _sim: sim }
    }

    /// `METHOD path key=value …`.
    async fn call(&self, line: &str) -> Answer {
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let params: Vec<(&str, &str)> = words.map(|word| word.split_once('=').unwrap()).collect();
        self.client.call(&self.who, method, path, &params).await
    }

    /// How a task ended, `done` without one, or why there was none.
    async fn outcome(&self, line: &str) -> String {
        let answer = self.call(line).await;
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

/// `volume_has_feature` knows `rename` of whatever is no base; `rename_volume` keeps the base in
/// the name. Freeing a base is `vdisk_free`'s to refuse, with its own words.
#[tokio::test]
async fn disks_of_linked_clones_go_to_another_guest_and_bases_stay() {
    let lab = Lab::start().await;
    lab.play(&[
        ("POST /nodes/pve1/qemu vmid=300 scsi0=shared:1 scsi1=vmdata:1", "OK"),
        ("POST /nodes/pve1/qemu/300/template", "OK"),
        ("POST /nodes/pve1/qemu/300/clone newid=301", "OK"),
        ("POST /nodes/pve1/qemu vmid=302", "OK"),
        ("POST /nodes/pve1/qemu/301/move_disk disk=scsi0 target-vmid=302 target-disk=scsi4", "OK"),
        (
            "POST /nodes/pve1/qemu/300/move_disk disk=scsi1 target-vmid=302 target-disk=scsi5",
            "Can't move disks from or to template VMs",
        ),
        ("PUT /nodes/pve1/qemu/300/config delete=scsi0", "done"),
        (
            "PUT /nodes/pve1/qemu/300/config delete=unused0",
            "base volume '300/base-300-disk-0.raw' is still in use by linked clones",
        ),
    ])
    .await;
    let config = lab.data("GET /nodes/pve1/qemu/302/config").await;
    assert_eq!(config["scsi4"], "shared:300/base-300-disk-0.raw/302/vm-302-disk-0.qcow2,size=1G");
    assert_eq!(lab.data("GET /nodes/pve1/qemu/301/config").await["scsi0"], Value::Null);
    lab.play(&[("DELETE /nodes/pve1/qemu/302", "OK")]).await;
}

/// proxmox-api-go's own tests know it: a guest without any device has a blank boot order.
#[tokio::test]
async fn what_is_set_to_nothing_is_read_back_as_a_blank() {
    let lab = Lab::start().await;
    let config = "GET /nodes/pve1/qemu/4710/config";
    let put = "PUT /nodes/pve1/qemu/4710/config";
    lab.play(&[("POST /nodes/pve1/qemu vmid=4710 name=bare tags= ciuser=", "OK")]).await;
    let found = lab.data(config).await;
    for key in ["boot", "tags", "ciuser"] {
        assert_eq!(found[key], " ", "{key}: {found}");
    }
    let listed = lab.data("GET /nodes/pve1/qemu").await;
    assert_eq!((&listed[0]["tags"], &listed[0]["maxdisk"]), (&" ".into(), &0.into()));

    // A disk that comes later is not booted from, and its size is not the guest's.
    let sets = [
        (format!("{put} scsi0=shared:1 net0=virtio ciuser=debian nameserver="), "done"),
        (
            format!(
                "{put} sshkeys=ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIEaqz6eWZ0LkzAYNzZTVUsVVBJGTTbXCLTmBzKSkUnYw"
            ),
            "done",
        ),
        // A blank is no URL-encoded text: the keys stay.
        (format!("{put} sshkeys="), "done"),
    ];
    for (line, outcome) in sets {
        assert_eq!(lab.outcome(&line).await, outcome, "{line}");
    }
    let found = lab.data(config).await;
    let of = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        ["boot", "ciuser", "nameserver", "sshkeys"].map(of),
        [
            " ",
            "debian",
            " ",
            "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIEaqz6eWZ0LkzAYNzZTVUsVVBJGTTbXCLTmBzKSkUnYw"
        ]
    );
    let listed = lab.data("GET /nodes/pve1/qemu").await;
    assert_eq!(listed[0]["maxdisk"], 0);

    // The last device of a boot order leaves a blank, too.
    lab.play(&[(&format!("{put} boot=order=scsi0"), "done")]).await;
    assert_eq!(lab.data("GET /nodes/pve1/qemu").await[0]["maxdisk"], 1 << 30);
    lab.play(&[(&format!("{put} delete=scsi0"), "done")]).await;
    assert_eq!(lab.data(config).await["boot"], " ");
}
