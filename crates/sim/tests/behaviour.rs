//! The world `lab` over HTTPS: what pvx does with it, and what it refuses.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

mod support;

use std::path::PathBuf;

use pvx_sim::{GuestStatus, Options, Sim, SimError, TimeScale, World};
use serde_json::{Value, json};
use support::{Answer, Client, Who, wait_task};

struct Lab {
    sim: Sim,
    client: Client,
    who: Who,
}

impl Lab {
    async fn start(world: World, time_scale: TimeScale, state_file: Option<PathBuf>) -> Self {
        let options = Options { time_scale, state_file, ..Options::default() };
        let sim = Sim::start(world, options).await.unwrap();
        let (id, secret) = sim.token();
        Self { client: Client::new(sim.addr()), who: Who::token(&id, &secret), sim }
    }

    async fn instant() -> Self {
        Self::start(World::lab(), TimeScale::INSTANT, None).await
    }

    async fn call(&self, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
        self.client.call(&self.who, method, path, params).await
    }

    /// A call that must be answered with a UPID; the exit status of its task.
    async fn task(&self, method: &str, path: &str, params: &[(&str, &str)]) -> String {
        let answer = self.call(method, path, params).await;
        let upid = answer.body["data"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
        let status = wait_task(&self.client, &self.who, &upid).await;
        status["exitstatus"].as_str().unwrap_or_default().to_owned()
    }

    async fn refusal(&self, method: &str, path: &str, params: &[(&str, &str)]) -> String {
        let answer = self.call(method, path, params).await;
        assert_ne!(answer.status, 200, "{path}: {answer:?}");
        answer.reason
    }
}

fn volids(world: &World, storage: &str, node: &str, vmid: u32) -> Vec<String> {
    let own = world.volumes_on(storage, node).filter(|(_, volume)| volume.vmid == Some(vmid));
    own.map(|(name, _)| name.to_owned()).collect()
}

#[tokio::test]
async fn a_guest_lives_and_dies() {
    let lab = Lab::instant().await;
    let clone = [("newid", "200"), ("name", "web"), ("target", "pve2")];
    assert_eq!(lab.task("POST", "/nodes/pve1/qemu/100/clone", &clone).await, "OK");
    let world = lab.sim.world();
    let guest = world.guest(200).unwrap();
    assert_eq!((guest.node.as_str(), guest.name().as_str()), ("pve2", "web"));
    assert_eq!(
        guest.get("scsi0"),
        Some("shared:100/base-100-disk-0.raw/200/vm-200-disk-0.qcow2,size=4G")
    );
    assert_eq!(guest.get("scsi1"), Some("shared:200/vm-200-cloudinit.qcow2,media=cdrom,size=4M"));
    assert_ne!(guest.get("net0"), world.guest(100).unwrap().get("net0"));
    assert_ne!(guest.get("smbios1"), world.guest(100).unwrap().get("smbios1"));
    let path = "/nodes/pve2/qemu/200";
    let set = [("cores", "4"), ("ipconfig0", "ip=10.0.0.5/24,gw=10.0.0.1"), ("tags", "B;a")];
    assert_eq!(lab.call("PUT", &format!("{path}/config"), &set).await.status, 200);
    let resize = [("disk", "scsi0"), ("size", "20G")];
    assert_eq!(lab.task("PUT", &format!("{path}/resize"), &resize).await, "OK");
    assert_eq!(lab.task("POST", &format!("{path}/status/start"), &[]).await, "OK");
    let addresses = lab.call("GET", &format!("{path}/agent/network-get-interfaces"), &[]).await;
    assert_eq!(addresses.body["data"]["result"][1]["ip-addresses"][0]["ip-address"], "10.0.0.5");
    assert_eq!(lab.sim.world().guest(200).unwrap().status(), GuestStatus::Running);
    assert_eq!(lab.refusal("DELETE", path, &[]).await, "VM 200 is running - destroy failed");
    assert_eq!(lab.task("POST", &format!("{path}/status/shutdown"), &[]).await, "OK");
    assert_eq!(lab.task("DELETE", path, &[("purge", "1")]).await, "OK");
    let world = lab.sim.world();
    assert!(world.guest(200).is_none());
    assert!(volids(&world, "shared", "pve1", 200).is_empty());
    assert!(world.guest(100).is_some_and(pvx_sim::Guest::template));
    lab.sim.shutdown().await;
}

#[tokio::test]
async fn node_local_templates_clone_and_migrate() {
    let lab = Lab::instant().await;
    let elsewhere = [("newid", "201"), ("target", "pve2")];
    assert_eq!(
        lab.refusal("POST", "/nodes/pve1/qemu/102/clone", &elsewhere).await,
        "can't clone VM to node 'pve2' (VM uses local storage)"
    );
    assert_eq!(lab.task("POST", "/nodes/pve1/qemu/102/clone", &[("newid", "201")]).await, "OK");
    assert_eq!(
        lab.sim.world().guest(201).unwrap().get("scsi0"),
        Some("local-lvm:vm-201-disk-0,size=4G")
    );
    let migrate = [("target", "pve3")];
    assert_eq!(lab.task("POST", "/nodes/pve1/qemu/201/migrate", &migrate).await, "OK");
    let world = lab.sim.world();
    assert_eq!(world.guest(201).unwrap().node, "pve3");
    assert_eq!(volids(&world, "local-lvm", "pve3", 201), ["vm-201-cloudinit", "vm-201-disk-0"]);
    assert!(volids(&world, "local-lvm", "pve1", 201).is_empty());
    assert_eq!(
        lab.refusal("GET", "/nodes/pve1/qemu/201/config", &[]).await,
        "Configuration file 'nodes/pve1/qemu-server/201.conf' does not exist"
    );
}

#[tokio::test]
async fn a_running_guest_needs_online_to_move() {
    let lab = Lab::instant().await;
    lab.task("POST", "/nodes/pve1/qemu/100/clone", &[("newid", "200")]).await;
    lab.task("POST", "/nodes/pve1/qemu/200/status/start", &[]).await;
    assert_eq!(
        lab.refusal("POST", "/nodes/pve1/qemu/200/migrate", &[("target", "pve2")]).await,
        "can't migrate running VM without --online"
    );
    let online = [("target", "pve2"), ("online", "1")];
    assert_eq!(lab.task("POST", "/nodes/pve1/qemu/200/migrate", &online).await, "OK");
    let world = lab.sim.world();
    assert_eq!(world.guest(200).unwrap().node, "pve2");
    assert_eq!(world.guest(200).unwrap().status(), GuestStatus::Running);
}

#[tokio::test]
async fn a_template_in_use_stays() {
    let lab = Lab::instant().await;
    lab.task("POST", "/nodes/pve1/qemu/100/clone", &[("newid", "200")]).await;
    assert_eq!(
        lab.task("DELETE", "/nodes/pve1/qemu/100", &[("purge", "1")]).await,
        "base volume 'shared:100/base-100-disk-0.raw' is still in use by linked cloned"
    );
    lab.task("DELETE", "/nodes/pve1/qemu/200", &[]).await;
    assert_eq!(lab.task("DELETE", "/nodes/pve1/qemu/100", &[("purge", "1")]).await, "OK");
}

#[tokio::test]
async fn a_world_goes_on_where_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sim.json");
    // Slow enough that the clone still runs when the server ends.
    let lab = Lab::start(World::lab(), TimeScale::REAL, Some(file.clone())).await;
    let answer = lab.call("POST", "/nodes/pve1/qemu/100/clone", &[("newid", "200")]).await;
    let upid = answer.body["data"].as_str().unwrap().to_owned();
    let fingerprint = lab.sim.fingerprint();
    lab.sim.shutdown().await;
    assert!(World::load(&file).unwrap().tasks().any(pvx_sim::Task::running));
    let lab = Lab::start(World::truth(), TimeScale::INSTANT, Some(file.clone())).await;
    assert_eq!(lab.sim.fingerprint(), fingerprint);
    let status = wait_task(&lab.client, &lab.who, &upid).await;
    assert_eq!(status["exitstatus"], "OK");
    lab.sim.shutdown().await;
    assert!(
        World::load(&file).unwrap().guest(200).is_some_and(|guest| guest.get("lock").is_none())
    );
    std::fs::write(&file, "{\"version\": 0}").unwrap();
    let options = Options { state_file: Some(file), ..Options::default() };
    let error = Sim::start(World::lab(), options).await.err().unwrap();
    assert!(matches!(error, SimError::Version { found: 0, .. }), "{error}");
}

#[tokio::test]
async fn protocol() {
    let lab = Lab::instant().await;
    let json = lab.client.raw(
        &lab.who,
        "POST",
        "/nodes/pve1/qemu",
        "application/json",
        r#"{"vmid":300,"onboot":true}"#,
    );
    assert_eq!(json.await.status, 200);
    assert_eq!(lab.sim.world().guest(300).unwrap().get("onboot"), Some("1"));
    let body = lab
        .client
        .raw(&lab.who, "DELETE", "/nodes/pve1/qemu/300", "application/x-www-form-urlencoded", "a=b")
        .await;
    assert_eq!(
        (body.status, body.reason.as_str()),
        (501, "Unexpected content for method 'DELETE'")
    );
    let extjs =
        lab.client.raw(&lab.who, "GET", "/api2/extjs/nodes/pve1/qemu/999/config", "", "").await;
    assert_eq!((extjs.status, &extjs.body["success"]), (200, &json!(0)));
    let nobody = lab.client.call(&Who::default(), "GET", "/version", &[]).await;
    assert_eq!(
        (nobody.status, nobody.reason.as_str(), &nobody.body),
        (401, "No ticket", &Value::Null)
    );
    assert!(lab.sim.fingerprint().len() == 95 && lab.sim.ca_pem().contains("BEGIN CERTIFICATE"));
}

#[tokio::test]
async fn requests_are_recorded() {
    let lab = Lab::instant().await;
    lab.sim.clear_requests();
    lab.call("GET", "/nodes/pve1/qemu/100/config", &[]).await;
    lab.call("PUT", "/nodes/pve1/qemu/100/config", &[("description", "x")]).await;
    lab.call("GET", "/no/such", &[]).await;
    let all = lab.sim.requests();
    let brief: Vec<(&str, u16, bool)> =
        all.iter().map(|r| (r.template.as_str(), r.status, r.write)).collect();
    let config = "/nodes/{node}/qemu/{vmid}/config";
    assert_eq!(brief, [(config, 200, false), (config, 200, true), ("/no/such", 501, false)]);
    assert_eq!(all[0].node.as_deref(), Some("pve1"));
    assert!(all[1].bytes_in == "description=x".len() as u64 && all[0].bytes_out > 100);
}

#[tokio::test]
async fn nodes_go_and_quorum_with_them() {
    let lab = Lab::instant().await;
    lab.sim.edit(|world| world.set_node_online("pve3", false));
    let gone = lab.call("GET", "/nodes/pve3/status", &[]).await;
    assert_eq!((gone.status, gone.reason.as_str()), (595, "No route to host"));
    assert_eq!(lab.task("POST", "/nodes/pve1/qemu", &[("vmid", "300")]).await, "OK");
    assert_eq!(
        lab.task("POST", "/nodes/pve1/qemu/300/migrate", &[("target", "pve3")]).await,
        "migration aborted"
    );
    lab.sim.edit(|world| world.set_node_online("pve2", false));
    assert_eq!(lab.call("GET", "/nodes/pve1/qemu/300/config", &[]).await.status, 200);
    assert_eq!(
        lab.refusal("POST", "/nodes/pve1/qemu", &[("vmid", "301")]).await,
        "cluster not ready - no quorum?"
    );
    assert!(
        lab.refusal("PUT", "/nodes/pve1/qemu/300/config", &[("cores", "2")])
            .await
            .ends_with("Permission denied")
    );
}

#[tokio::test]
async fn tasks_of_others_and_lists_are_filtered() {
    let lab = Lab::instant().await;
    lab.sim.edit(|world| world.access_mut().add_token("see@pve", "t1", "s", false));
    let other = Who::token("see@pve!t1", "s");
    for kind in ["vm", "storage", "sdn"] {
        let list = lab.client.call(&other, "GET", "/cluster/resources", &[("type", kind)]).await;
        assert_eq!(list.body["data"], json!([]));
    }
    // Nodes are always listed, their use is not.
    let list = lab.client.call(&other, "GET", "/cluster/resources", &[]).await;
    let node = &list.body["data"][0];
    assert_eq!((&node["id"], &node["status"]), (&json!("node/pve1"), &json!("online")));
    assert!(node.get("maxmem").is_none() && list.body["data"].as_array().unwrap().len() == 3);
    let config = lab.client.call(&other, "GET", "/nodes/pve1/qemu/100/config", &[]).await;
    assert_eq!(
        (config.status, config.reason.as_str()),
        (403, "Permission check failed (/vms/100, VM.Audit)")
    );
}
