//! Reads that web interface, exporters and Terraform ask for: who may, and the shapes.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{Options, Sim, TimeScale, World};
use serde_json::{Value, json};
use support::{Client, Who};

struct Truth {
    sim: Sim,
    client: Client,
}

impl Truth {
    async fn start() -> Self {
        let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
        let sim = Sim::start(World::truth(), options).await.unwrap();
        Self { client: Client::new(sim.addr()), sim }
    }

    async fn get(&self, who: &str, path: &str) -> (u16, String, Value) {
        let (id, last) = match who {
            "root" => ("root@pam!lab", 1),
            "viewer" => ("viewer@pve!ro", 4),
            "nobody" => ("nobody@pve!none", 5),
            other => panic!("{other}"),
        };
        let who = Who::token(id, &format!("11111111-2222-4333-8444-00000000000{last}"));
        let answer = self.client.call(&who, "GET", path, &[]).await;
        (answer.status, answer.reason, answer.body["data"].clone())
    }
}

#[tokio::test]
async fn folders_list_what_is_below() {
    let truth = Truth::start().await;
    for (path, key, some) in [
        ("/", "subdir", &["nodes", "cluster", "access"][..]),
        ("/cluster", "name", &["sdn", "mapping", "notifications", "resources"]),
        ("/cluster/sdn", "id", &["vnets", "zones"]),
        ("/nodes/pve1", "name", &["qemu", "lxc", "disks", "wakeonlan"]),
        ("/nodes/pve1/apt", "id", &["update", "versions"]),
        ("/nodes/pve2/hardware", "type", &["pci", "usb"]),
        ("/nodes/pve1/capabilities/qemu", "name", &["cpu", "machines"]),
        ("/nodes/pve1/qemu/100", "subdir", &["config", "move", "firewall"]),
    ] {
        let (status, reason, data) = truth.get("nobody", path).await;
        if path == "/cluster/sdn" {
            assert_eq!(
                (status, reason.as_str()),
                (403, "Permission check failed (/sdn, SDN.Audit)")
            );
        }
        let (_, _, data) = if status == 200 {
            (0, 0, data)
        } else {
            let (_, _, data) = truth.get("root", path).await;
            (0, 0, data)
        };
        let names: Vec<&str> =
            data.as_array().unwrap().iter().map(|item| item[key].as_str().unwrap()).collect();
        for name in some {
            assert!(names.contains(name), "{path}: {names:?}");
        }
    }
    truth.sim.shutdown().await;
}

#[tokio::test]
async fn shapes() {
    let truth = Truth::start().await;
    for (path, pointer, wanted) in [
        ("/nodes/pve1/time", "/timezone", json!("Etc/UTC")),
        ("/nodes/pve1/dns", "/dns1", json!("10.99.7.1")),
        ("/nodes/pve1/hosts", "/digest", Value::Null),
        ("/nodes/pve1/services", "/12/service", json!("pvedaemon")),
        ("/nodes/pve1/services/pveproxy/state", "/active-state", json!("active")),
        ("/nodes/pve1/subscription", "/status", json!("notfound")),
        ("/nodes/pve1/apt/update", "", json!([])),
        ("/nodes/pve1/apt/versions", "/1/Package", json!("pve-manager")),
        ("/nodes/pve1/certificates/info", "/0/filename", json!("pve-root-ca.pem")),
        ("/nodes/pve1/certificates/info", "/1/filename", json!("pve-ssl.pem")),
        ("/nodes/pve1/disks/list", "/0/devpath", json!("/dev/sda")),
        ("/nodes/pve1/network/vmbr0", "/type", json!("bridge")),
        ("/nodes/pve1/network/vmbr0", "/iface", Value::Null),
        ("/nodes/pve1/lxc", "", json!([])),
        ("/nodes/pve1/config", "", json!({})),
        ("/nodes/pve1/syslog", "/0/t", json!("no content")),
        ("/nodes/pve1/rrddata?timeframe=hour", "/59/maxcpu", json!(2)),
        ("/nodes/pve1/capabilities/qemu/machines", "/0/id", json!("pc-i440fx-10.2")),
        ("/nodes/pve1/capabilities/qemu/cpu", "/0/custom", json!(0)),
        ("/nodes/pve1/qemu/100/firewall/rules", "", json!([])),
        ("/cluster/backup-info/not-backed-up", "", json!([])),
        ("/cluster/config/nodes", "/0/quorum_votes", json!("1")),
        ("/cluster/config/qdevice", "", json!({})),
        ("/cluster/config/join?node=pve2", "/preferred_node", json!("pve2")),
        ("/cluster/sdn/ipams/pve/status", "", json!([])),
        ("/cluster/firewall/options", "/digest", json!("da39a3ee5e6b4b0d3255bfef95601890afd80709")),
        ("/cluster/notifications/targets", "/0/name", json!("mail-to-root")),
        ("/cluster/sdn/ipams", "/0/ipam", json!("pve")),
        ("/cluster/mapping/pci", "", json!([])),
    ] {
        let (status, reason, data) = truth.get("root", path).await;
        assert_eq!(status, 200, "{path}: {reason}");
        let found = data.pointer(pointer).cloned().unwrap_or_default();
        if path.ends_with("/hosts") {
            assert!(data["data"].as_str().unwrap().contains("10.99.7.11 pve1"), "{data}");
        } else {
            assert_eq!(found, wanted, "{path}{pointer}: {data}");
        }
    }
    truth.sim.shutdown().await;
}

#[tokio::test]
async fn refusals() {
    let truth = Truth::start().await;
    for (who, path, status, reason) in [
        ("nobody", "/nodes/pve1/time", 403, "Permission check failed (/nodes/pve1, Sys.Audit)"),
        ("nobody", "/nodes/pve1/syslog", 403, "Permission check failed (/nodes/pve1, Sys.Syslog)"),
        ("nobody", "/nodes/pve1/disks/list", 403, "Permission check failed"),
        ("nobody", "/cluster/notifications/targets", 403, "Permission check failed"),
        (
            "nobody",
            "/nodes/pve1/qemu/100/rrddata",
            403,
            "Permission check failed (/vms/100, VM.Audit)",
        ),
        ("viewer", "/nodes/pve1/hardware/usb", 403, "Permission check failed (/, Sys.Modify)"),
        ("root", "/cluster/backup-info", 403, "Permission check failed (user != root@pam)"),
        ("root", "/nodes/pve1/rrddata", 400, "Parameter verification failed."),
        ("root", "/nodes/pve1/services/none", 400, "Parameter verification failed."),
        ("root", "/nodes/pve1/network/none", 400, "Parameter verification failed."),
        ("root", "/cluster/ceph/status", 500, "binary not installed: /usr/bin/ceph-mon"),
        ("root", "/cluster/mapping/pci/gpu", 500, "mapping 'gpu' not found"),
        ("nobody", "/cluster/mapping/pci/gpu", 403, "Permission check failed"),
        ("root", "/cluster/sdn/vnets/net", 500, "sdn vnet 'net' does not exist"),
        ("root", "/cluster/firewall/rules/0", 500, "no rule at position 0"),
        ("root", "/cluster/backup/job", 400, "Parameter verification failed."),
        (
            "root",
            "/nodes/pve1/storage/local/rrd",
            501,
            "Method 'GET /nodes/pve1/storage/local/rrd' is not simulated: Proxmox VE has it, this simulator has not",
        ),
        ("root", "/nodes/pve1/none", 501, "Method 'GET /nodes/pve1/none' not implemented"),
    ] {
        let (found, text, _) = truth.get(who, path).await;
        assert_eq!((found, text.as_str()), (status, reason), "{who} {path}");
    }
    truth.sim.shutdown().await;
}
