//! High availability, bulk actions and what the cluster does by itself, on the world `truth`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use pvx_sim::{Guest, GuestStatus, Options, Sim, TimeScale, Volume, World};
use serde_json::Value;
use support::{Answer, Client, Who, encode, wait_task};

struct Cluster {
    sim: Sim,
    client: Client,
    root: Who,
}

impl Cluster {
    async fn start(world: World, time_scale: TimeScale) -> Self {
        let options = Options { time_scale, ..Options::default() };
        let sim = Sim::start(world, options).await.unwrap();
        let secret = "11111111-2222-4333-8444-000000000001";
        Self { client: Client::new(sim.addr()), root: Who::token("root@pam!lab", secret), sim }
    }

    /// Guests 100 and up, one on each of pve1, pve2, pve3, pve1, …; disks on shared storage.
    async fn with_guests(count: u32, time_scale: TimeScale) -> Self {
        let mut world = World::truth();
        for index in 0..count {
            let node = ["pve1", "pve2", "pve3"][index as usize % 3];
            add_guest(&mut world, 100 + index, node, "shared");
        }
        Self::start(world, time_scale).await
    }

    async fn call(&self, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
        self.client.call(&self.root, method, path, params).await
    }

    async fn good(&self, method: &str, path: &str, params: &[(&str, &str)]) -> Value {
        let answer = self.call(method, path, params).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.body["data"].clone()
    }

    async fn refused(&self, method: &str, path: &str, params: &[(&str, &str)]) -> String {
        let answer = self.call(method, path, params).await;
        assert_ne!(answer.status, 200, "{method} {path}: {answer:?}");
        let errors = answer.body["errors"].as_object().cloned().unwrap_or_default();
        let errors: Vec<String> = errors
            .iter()
            .map(|(key, text)| format!("{key}: {}", text.as_str().unwrap().trim_end()))
            .collect();
        if errors.is_empty() {
            let text = answer.body["message"].as_str().map(|text| text.trim_end().to_owned());
            return text.unwrap_or(answer.reason);
        }
        errors.join("; ")
    }

    /// The exit status of a task, and its log.
    async fn task(
        &self,
        method: &str,
        path: &str,
        params: &[(&str, &str)],
    ) -> (String, Vec<String>) {
        let upid = self.good(method, path, params).await.as_str().unwrap().to_owned();
        let status = wait_task(&self.client, &self.root, &upid).await;
        let node = upid.split(':').nth(1).unwrap();
        let log =
            self.good("GET", &format!("/nodes/{node}/tasks/{}/log", encode(&upid)), &[]).await;
        let lines = log.as_array().unwrap().iter();
        let lines = lines.map(|line| line["t"].as_str().unwrap().to_owned()).collect();
        (status["exitstatus"].as_str().unwrap().to_owned(), lines)
    }

    /// Kinds and users of the tasks of a guest, oldest first.
    fn tasks_of(&self, vmid: u32) -> Vec<String> {
        let world = self.sim.world();
        let own = world.tasks().filter(|task| task.id == vmid.to_string());
        own.map(|task| format!("{} {}", task.kind, task.user)).collect()
    }

    async fn state(&self, vmid: u32) -> String {
        let list = self.good("GET", "/cluster/resources", &[("type", "vm")]).await;
        let found = list.as_array().unwrap().iter().find(|item| item["vmid"] == vmid).unwrap();
        found["hastate"].as_str().unwrap_or("none").to_owned()
    }

    async fn until(&self, what: &str, holds: impl Fn(&World) -> bool) {
        for _ in 0..2000 {
            if holds(&self.sim.world()) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("never: {what}");
    }
}

fn add_guest(world: &mut World, vmid: u32, node: &str, storage: &str) {
    let name = format!("{storage}:{vmid}/vm-{vmid}-disk-0.raw");
    let size = 1 << 30;
    world.add_volume(
        node,
        &name,
        Volume {
            content: "images".into(),
            format: "raw".into(),
            size,
            vmid: Some(vmid),
            ..Volume::default()
        },
    );
    let disk = format!("{name},size=1G");
    world.add_guest(Guest::new(vmid, node, &[("memory", "64"), ("scsi0", &disk)]));
}

fn running(world: &World, vmid: u32) -> bool {
    world.guest(vmid).is_some_and(|guest| guest.status() == GuestStatus::Running)
}

const RESOURCES: &str = "/cluster/ha/resources";
const RULES: &str = "/cluster/ha/rules";

#[tokio::test]
async fn resources_are_verified_stored_and_removed() {
    let it = Cluster::with_guests(2, TimeScale::REAL).await;
    let bad: &[(&[(&str, &str)], &str)] = &[
        (&[], "sid: property is missing and it is not optional"),
        (&[("sid", "x")], "sid: invalid format - value does not look like a valid ha resource id"),
        (
            &[("sid", "vm:100"), ("state", "up")],
            "state: value 'up' does not have a value in the enumeration 'started, stopped, enabled, disabled, ignored'",
        ),
        (
            &[("sid", "vm:100"), ("max_restart", "-1")],
            "max_restart: value must have a minimum value of 0",
        ),
        (
            &[("sid", "vm:100"), ("group", "old")],
            "invalid parameter 'group': ha groups have been migrated to rules",
        ),
        (&[("sid", "vm:100"), ("type", "ct")], "types does not match"),
        (&[("sid", "vm:999")], "resource 'vm:999' does not exist in cluster"),
        (&[("sid", "999")], "unable to detect SID from VMID - VM/CT 999 does not exist"),
        (&[("sid", "ct:100")], "resource 'ct:100' - guest with ID 100 is not a container"),
        (&[("sid", "vm:x")], "invalid VMID"),
        (&[("sid", "pod:100")], "unknown section type 'pod'"),
    ];
    for (params, text) in bad {
        assert_eq!(it.refused("POST", RESOURCES, params).await, *text);
    }
    it.good("POST", RESOURCES, &[("sid", "100"), ("state", "ignored"), ("max_restart", "3")]).await;
    assert_eq!(
        it.refused("POST", RESOURCES, &[("sid", "vm:100")]).await,
        "create resource failed: resource ID 'vm:100' already defined"
    );
    let path = format!("{RESOURCES}/vm:100");
    let got = it.good("GET", &path, &[]).await;
    assert_eq!(
        (&got["max_restart"], &got["sid"], &got["type"]),
        (&3.into(), &"vm:100".into(), &"vm".into())
    );
    let digest = got["digest"].as_str().unwrap().to_owned();
    it.good("PUT", &path, &[("failback", "0"), ("delete", "max_restart"), ("digest", &digest)])
        .await;
    assert_eq!(
        it.refused("PUT", &path, &[("failback", "1"), ("digest", &digest)]).await,
        "update resources config failed: detected modified configuration - file changed by other user? Try again."
    );
    assert_eq!(
        it.refused("PUT", &path, &[("delete", "nope")]).await,
        "update resources config failed: no such option 'nope'"
    );
    let got = it.good("GET", &format!("{RESOURCES}/100"), &[]).await;
    assert_eq!((&got["failback"], got.get("max_restart")), (&0.into(), None));
    assert_eq!(
        it.refused("GET", &format!("{RESOURCES}/vm:101"), &[]).await,
        "no such resource 'vm:101'"
    );
    it.good("DELETE", &path, &[]).await;
    assert_eq!(
        it.refused("DELETE", &path, &[]).await,
        "cannot delete service 'vm:100', not HA managed!"
    );
    it.sim.shutdown().await;
}

#[tokio::test]
async fn rules_that_cannot_hold_are_refused() {
    let it = Cluster::with_guests(4, TimeScale::REAL).await;
    for sid in ["vm:100", "vm:101", "vm:102"] {
        it.good("POST", RESOURCES, &[("sid", sid), ("state", "ignored")]).await;
    }
    let node = |rule: &'static str, resources: &'static str, nodes: &'static str| {
        vec![("type", "node-affinity"), ("rule", rule), ("resources", resources), ("nodes", nodes)]
    };
    let kept = |rule: &'static str, resources: &'static str, affinity: &'static str| {
        vec![
            ("type", "resource-affinity"),
            ("rule", rule),
            ("resources", resources),
            ("affinity", affinity),
        ]
    };
    let fails = "create ha rule failed: ";
    for (params, text) in [
        (vec![("rule", "aa")], "type: property is missing and it is not optional".to_owned()),
        (
            vec![("rule", "aa"), ("type", "node-affinity"), ("resources", "vm:100")],
            "oneOf[node-affinity].nodes: property is missing and it is not optional".to_owned(),
        ),
        (
            vec![("rule", "aa"), ("type", "node-affinity"), ("resources", "vm:100"), ("nodes", "pve1"), ("affinity", "positive")],
            "affinity: property is not defined in schema and the schema does not allow additional properties".to_owned(),
        ),
        (node("aa", "vm:103", "pve1"), format!("{fails}cannot use unmanaged resource(s) vm:103.")),
        (node("aa", "vm:100", "pve1,pve7"), format!("{fails}cannot use non-existent node(s) pve7.")),
        (
            kept("aa", "vm:100", "positive"),
            format!("{fails}400 Rule 'aa' is invalid.\nresources: rule is ineffective as there are less than two resources"),
        ),
    ] {
        assert_eq!(it.refused("POST", RULES, &params).await, text);
    }
    it.good("POST", RULES, &node("near", "vm:100", "pve1:2,pve2")).await;
    assert_eq!(
        it.refused("POST", RULES, &node("near", "vm:100", "pve1")).await,
        format!("{fails}HA rule 'near' already defined")
    );
    assert_eq!(
        it.refused("POST", RULES, &node("far", "vm:100", "pve3")).await,
        format!(
            "{fails}400 Rule 'far' is invalid.\nresources: resource 'vm:100' is already used in another node affinity rule"
        )
    );
    assert_eq!(
        it.refused("POST", RULES, &kept("pair", "vm:100,vm:101", "negative")).await,
        format!(
            "{fails}400 Rule 'pair' is invalid.\nresources: resources are in node affinity rules with multiple priorities"
        )
    );
    it.good("POST", RULES, &kept("pair", "vm:101,vm:102", "negative")).await;
    assert_eq!(
        it.refused("POST", RULES, &kept("both", "vm:101,vm:102", "positive")).await,
        format!(
            "{fails}400 Rule 'both' is invalid.\nresources: rule shares two or more resources with a negative resource affinity rule"
        )
    );
    let list = it.good("GET", RULES, &[("type", "node-affinity")]).await;
    let rule = &list.as_array().unwrap()[0];
    assert_eq!(
        (&rule["nodes"], &rule["order"], rule.get("strict")),
        (&"pve1:2,pve2".into(), &1.into(), None)
    );
    let path = format!("{RULES}/near");
    assert_eq!(
        it.refused("PUT", &path, &[("type", "resource-affinity")]).await,
        "update HA rules failed: unexpected property 'type'"
    );
    it.good("PUT", &path, &[("type", "node-affinity"), ("strict", "1"), ("disable", "1")]).await;
    let rule = it.good("GET", &path, &[]).await;
    assert_eq!((&rule["strict"], &rule["disable"]), (&1.into(), &1.into()));
    it.good("DELETE", &format!("{RESOURCES}/vm:100"), &[]).await;
    assert_eq!(it.refused("GET", &path, &[]).await, "no such ha rule 'near'");
    assert_eq!(
        it.refused("GET", "/cluster/ha/groups", &[]).await,
        "cannot index groups: ha groups have been migrated to rules"
    );
    it.sim.shutdown().await;
}

#[tokio::test]
async fn the_manager_starts_stops_and_moves_what_it_manages() {
    let it = Cluster::with_guests(1, TimeScale::INSTANT).await;
    it.good("POST", RESOURCES, &[("sid", "vm:100")]).await;
    it.until("started", |world| running(world, 100)).await;
    assert_eq!(it.tasks_of(100), ["qmstart root@pam"]);
    assert_eq!(it.state(100).await, "started");
    let current = it.good("GET", "/nodes/pve1/qemu/100/status/current", &[]).await;
    assert_eq!(current["ha"], serde_json::json!({ "managed": 1, "state": "started" }));

    let (exit, log) = it
        .task("POST", "/nodes/pve1/qemu/100/migrate", &[("target", "pve2"), ("online", "1")])
        .await;
    assert_eq!(
        (exit.as_str(), log[0].as_str()),
        ("OK", "Requesting HA migration for VM 100 to node pve2")
    );
    it.until("moved", |world| world.guest(100).unwrap().node == "pve2").await;
    assert!(running(&it.sim.world(), 100));

    let (exit, log) = it.task("POST", "/nodes/pve2/qemu/100/status/shutdown", &[]).await;
    assert_eq!((exit.as_str(), log[0].as_str()), ("OK", "Requesting HA stop for VM 100"));
    it.until("stopped", |world| !running(world, 100)).await;
    let got = it.good("GET", &format!("{RESOURCES}/vm:100"), &[]).await;
    assert_eq!(got["state"], "stopped", "a stop is remembered");

    assert_eq!(
        it.refused("DELETE", "/nodes/pve2/qemu/100", &[]).await,
        "unable to remove VM 100 - used in HA resources and purge parameter not set."
    );
    let (exit, log) = it.task("POST", "/nodes/pve2/qemu/100/status/start", &[]).await;
    assert_eq!((exit.as_str(), log[0].as_str()), ("OK", "Requesting HA start for VM 100"));
    it.until("started again", |world| running(world, 100)).await;
    it.good("POST", &format!("{RESOURCES}/vm:100/relocate"), &[("node", "pve1")]).await;
    it.until("relocated", |world| world.guest(100).unwrap().node == "pve1" && running(world, 100))
        .await;
    let tail: Vec<String> = it.tasks_of(100).split_off(it.tasks_of(100).len() - 3);
    assert_eq!(tail, ["qmshutdown root@pam", "qmigrate root@pam", "qmstart root@pam"]);

    it.good("PUT", &format!("{RESOURCES}/vm:100"), &[("state", "disabled")]).await;
    it.until("disabled", |world| !running(world, 100)).await;
    let (exit, log) = it.task("DELETE", "/nodes/pve1/qemu/100", &[("purge", "1")]).await;
    assert_eq!(exit, "OK");
    assert!(
        log.contains(&"NOTE: removed VM 100 from HA resource configuration.".to_owned()),
        "{log:?}"
    );
    assert_eq!(it.good("GET", RESOURCES, &[]).await, serde_json::json!([]));
    it.sim.shutdown().await;
}

#[tokio::test]
async fn a_lost_node_is_fenced_and_its_guests_recovered() {
    let it = Cluster::with_guests(3, TimeScale::times(400.0)).await;
    // 102 lives on pve3; 105 there too, with a disk that is nowhere else.
    it.sim.edit(|world| add_guest(world, 105, "pve3", "vmdata"));
    for sid in ["vm:102", "vm:105"] {
        it.good("POST", RESOURCES, &[("sid", sid)]).await;
    }
    it.until("started", |world| running(world, 102) && running(world, 105)).await;
    let began = it.sim.world().tasks().map(|task| task.start_ms).max().unwrap();
    it.sim.edit(|world| world.set_node_online("pve3", false));
    it.until("recovered", |world| running(world, 102)).await;
    let world = it.sim.world();
    assert_ne!(world.guest(102).unwrap().node, "pve3");
    let started = world.tasks().filter(|task| task.id == "102").map(|task| task.start_ms).max();
    let took = (started.unwrap() - began) / 1000;
    assert!((110..260).contains(&took), "{took} s");
    // The other one cannot start anywhere: tried here and there, then given up.
    let mut state = String::new();
    for _ in 0..1000 {
        state = it.state(105).await;
        if state == "error" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(state, "error");
    let failed = it.sim.world().tasks().rfind(|task| task.id == "105").unwrap().clone();
    assert!(failed.exit().is_some_and(|exit| exit != "OK"), "{failed:?}");
    assert_eq!(
        it.refused("PUT", &format!("{RESOURCES}/vm:105"), &[("state", "started")]).await,
        "service 'vm:105' in error state, must be disabled and fixed first"
    );
    it.sim.shutdown().await;
}

#[tokio::test]
async fn rules_say_where_guests_run() {
    let it = Cluster::with_guests(2, TimeScale::INSTANT).await;
    for sid in ["vm:100", "vm:101"] {
        it.good("POST", RESOURCES, &[("sid", sid)]).await;
    }
    let near = [
        ("type", "node-affinity"),
        ("rule", "near"),
        ("resources", "vm:100"),
        ("nodes", "pve3:2,pve2:1"),
        ("strict", "1"),
    ];
    it.good("POST", RULES, &near).await;
    let place = |world: &World, vmid| world.guest(vmid).unwrap().node.clone();
    it.until("on pve3", |world| place(world, 100) == "pve3" && running(world, 100)).await;
    // A node that is not allowed sends it back.
    it.task("POST", "/nodes/pve3/qemu/100/migrate", &[("target", "pve1"), ("online", "1")]).await;
    it.until("back on pve3", |world| place(world, 100) == "pve3" && running(world, 100)).await;
    it.good("DELETE", &format!("{RULES}/near"), &[]).await;
    let pair = [
        ("type", "resource-affinity"),
        ("rule", "pair"),
        ("resources", "vm:100,vm:101"),
        ("affinity", "positive"),
    ];
    it.good("POST", RULES, &pair).await;
    it.until("together", |world| place(world, 100) == place(world, 101)).await;
    let here = place(&it.sim.world(), 100);
    let there = if here == "pve1" { "pve2" } else { "pve1" };
    let path = format!("{RESOURCES}/vm:100/migrate");
    let answer = it.good("POST", &path, &[("node", there)]).await;
    assert_eq!(answer["comigrated-resources"], serde_json::json!(["vm:101"]));
    it.until("moved", |world| place(world, 100) == there && place(world, 101) == there).await;
    let apart = [("type", "resource-affinity"), ("affinity", "negative")];
    it.good("PUT", &format!("{RULES}/pair"), &apart).await;
    it.until("apart", |world| place(world, 100) != place(world, 101)).await;
    let other = place(&it.sim.world(), 101);
    let answer = it.good("POST", &path, &[("node", &other)]).await;
    assert_eq!(answer["blocking-resources"][0]["sid"], "vm:101");
    it.sim.shutdown().await;
}

#[tokio::test]
async fn bulk_actions_start_a_task_per_guest() {
    let it = Cluster::with_guests(4, TimeScale::times(50.0)).await;
    let bulk = "/cluster/bulk-action/guest";
    assert_eq!(
        it.refused("POST", &format!("{bulk}/start"), &[("vms", "100,x"), ("max-workers", "99")])
            .await,
        "max-workers: value must have a maximum value of 64"
    );
    let viewer = Who::token("viewer@pve!ro", "11111111-2222-4333-8444-000000000004");
    let answer = it.client.call(&viewer, "POST", &format!("{bulk}/start"), &[]).await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (403, "Permission check failed (/, VM.PowerMgmt)")
    );
    let (exit, log) = it.task("POST", &format!("{bulk}/start"), &[]).await;
    assert_eq!(exit, "OK");
    assert_eq!((log[0].as_str(), log[1].as_str()), ("Starting all guests", "Starting VM 100"));
    let (exit, log) =
        it.task("POST", &format!("{bulk}/start"), &[("vms", "100"), ("vms", "103")]).await;
    assert_eq!(exit, "WARNINGS: 2");
    assert_eq!(log[1], "WARN: Skipping VM 100, already running.");
    // Nothing inside hears the power button.
    let (exit, log) = it
        .task(
            "POST",
            &format!("{bulk}/shutdown"),
            &[("vms", "100"), ("force-stop", "0"), ("timeout", "1")],
        )
        .await;
    assert_eq!(exit, "Some guests failed to shutdown 100");
    assert_eq!(log[1], "Shutting down VM 100 (Timeout = 1 seconds)");
    assert_eq!(log[2], "WARN: Stopping VM 100 failed: VM quit/powerdown failed - got timeout");
    let (exit, log) = it
        .task(
            "POST",
            &format!("{bulk}/migrate"),
            &[("target", "pve2"), ("online", "1"), ("vms", "100"), ("vms", "101")],
        )
        .await;
    assert_eq!(
        (exit.as_str(), log[0].as_str()),
        ("WARNINGS: 1", "Migrating guests to pve2: 100, 101")
    );
    assert_eq!(it.sim.world().guest(100).unwrap().node, "pve2");
    let (exit, log) = it.task("POST", "/nodes/pve2/stopall", &[("timeout", "1")]).await;
    assert_eq!(exit, "OK");
    assert_eq!(log[0], "Stopping VM 101 (timeout = 1 seconds)");
    let (exit, log) =
        it.task("POST", "/nodes/pve2/startall", &[("force", "1"), ("vms", "101")]).await;
    assert_eq!((exit.as_str(), log[0].as_str()), ("OK", "Starting VM 101"));
    assert_eq!(
        it.refused("POST", "/nodes/pve2/migrateall", &[("target", "pve1")]).await,
        "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!"
    );
    it.good("PUT", "/cluster/options", &[("max_workers", "2")]).await;
    let (exit, log) = it.task("POST", "/nodes/pve2/migrateall", &[("target", "pve1")]).await;
    assert_eq!(exit, "OK");
    assert_eq!(log.iter().filter(|line| line.starts_with("Migrating VM")).count(), 2);
    assert_eq!(log[log.len() - 2], "All jobs finished, used 2 workers in total.");
    it.sim.shutdown().await;
}

#[tokio::test]
async fn options_of_the_datacenter() {
    let it = Cluster::with_guests(1, TimeScale::REAL).await;
    let path = "/cluster/options";
    for (key, value, text) in [
        (
            "mac_prefix",
            "01:00",
            "mac_prefix: invalid format - value is not a valid unicast MAC address prefix",
        ),
        ("next-id", "lower=500,upper=200", "lower (500) <= upper (200) boundary rule broken"),
        ("max_workers", "0", "max_workers: value must have a minimum value of 1"),
        (
            "nonsense",
            "1",
            "nonsense: property is not defined in schema and the schema does not allow additional properties",
        ),
    ] {
        assert_eq!(it.refused("PUT", path, &[(key, value)]).await, text);
    }
    let set = [
        ("next-id", "lower=100,upper=102"),
        ("mac_prefix", "aa:bb:c"),
        ("registered-tags", "prod;dev"),
        ("migration", "insecure"),
        ("description", "notes"),
    ];
    it.good("PUT", path, &set).await;
    let got = it.good("GET", path, &[]).await;
    assert_eq!(got["next-id"], serde_json::json!({ "lower": "100", "upper": "102" }));
    assert_eq!(got["migration"], serde_json::json!({ "type": "insecure" }));
    assert_eq!(got["registered-tags"], serde_json::json!(["dev", "prod"]));
    assert_eq!(got["allowed-tags"], serde_json::json!(["dev", "prod"]));
    assert_eq!(got["description"], "notes\n");
    assert_eq!(it.good("GET", "/cluster/nextid", &[]).await, "101");
    it.sim.edit(|world| add_guest(world, 101, "pve1", "shared"));
    assert_eq!(
        it.refused("GET", "/cluster/nextid", &[]).await,
        "unable to get any free VMID in range [100, 102]"
    );
    it.good("PUT", "/nodes/pve1/qemu/100/config", &[("net0", "virtio,bridge=vmbr0")]).await;
    let net = it.sim.world().guest(100).unwrap().get("net0").unwrap().to_owned();
    assert!(net.starts_with("virtio=AA:BB:C"), "{net}");
    it.good("PUT", path, &[("delete", "next-id,mac_prefix,migration")]).await;
    assert_eq!(it.good("GET", path, &[]).await["mac_prefix"], "BC:24:11");
    it.sim.shutdown().await;
}

#[tokio::test]
async fn a_node_that_comes_back_starts_its_guests() {
    let mut world = World::truth();
    add_guest(&mut world, 100, "pve2", "shared");
    if let Some(guest) = world.guest_mut(100) {
        guest.config.insert("onboot".into(), "1".into());
    }
    let it = Cluster::start(world, TimeScale::times(10.0)).await;
    let upid = it.good("POST", "/nodes/pve2/qemu/100/status/start", &[]).await;
    it.sim.edit(|world| world.set_node_online("pve2", false));
    it.until("the task is gone", |world| world.tasks().all(|task| !task.running())).await;
    let world = it.sim.world();
    let lost = world.tasks().find(|task| upid == task.upid.as_str()).unwrap();
    assert_eq!(lost.exit(), Some("unexpected status"));
    it.sim.edit(|world| world.set_node_online("pve2", true));
    it.until("it runs", |world| running(world, 100)).await;
    let world = it.sim.world();
    let task = world.tasks().find(|task| task.kind == "startall" && task.node == "pve2").unwrap();
    assert_eq!(task.user.as_str(), "root@pam");
    it.sim.shutdown().await;
}

#[tokio::test]
async fn three_workers_take_what_writes() {
    let it = Cluster::with_guests(4, TimeScale::times(10.0)).await;
    // A shutdown that nobody hears holds the lock of its guest: three changes wait for it, 10 s.
    it.good("POST", "/nodes/pve1/qemu/100/status/start", &[]).await;
    it.until("it runs", |world| running(world, 100)).await;
    it.good("POST", "/nodes/pve1/qemu/100/status/shutdown", &[("timeout", "60")]).await;
    let path = "/nodes/pve1/qemu/100/config";
    let blocked = || it.call("PUT", path, &[("cores", "2")]);
    let began = std::time::Instant::now();
    let other = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        it.good("PUT", "/nodes/pve1/qemu/103/config", &[("cores", "2")]).await;
        began.elapsed()
    };
    let free = async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        it.good("PUT", "/nodes/pve2/qemu/101/config", &[("cores", "2")]).await;
        it.good("GET", path, &[]).await;
        began.elapsed()
    };
    let (a, b, c, queued, free) = tokio::join!(blocked(), blocked(), blocked(), other, free);
    for answer in [a, b, c] {
        assert!(answer.reason.ends_with("got timeout"), "{answer:?}");
    }
    assert!(queued.as_millis() >= 900, "{queued:?}");
    assert!(free < queued, "{free:?} {queued:?}");
    it.sim.shutdown().await;
}
