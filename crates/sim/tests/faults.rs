//! Faults on demand, the endpoint outside `/api2`, the log of requests.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::time::{Duration, Instant};

use pvx_sim::fault::{Fault, When};
use pvx_sim::{Options, Sim, TimeScale, World};
use serde_json::{Value, json};
use support::{Answer, Client, Who, wait_task};

struct Lab {
    sim: Sim,
    client: Client,
    who: Who,
}

impl Lab {
    async fn start(time_scale: TimeScale) -> Self {
        let options = Options { time_scale, ..Options::default() };
        let sim = Sim::start(World::lab(), options).await.unwrap();
        let (id, secret) = sim.token();
        let (client, who) = (Client::new(sim.addr()), Who::token(&id, &secret));
        Self { sim, client, who }
    }

    async fn call(&self, method: &str, path: &str, params: &[(&str, &str)]) -> Answer {
        self.client.call(&self.who, method, path, params).await
    }

    async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let (kind, body) = if body.is_null() {
            ("", String::new())
        } else {
            ("application/json", body.to_string())
        };
        self.client.raw(&self.who, method, path, kind, &body).await
    }

    async fn task(&self, answer: &Answer) -> String {
        let upid = answer.body["data"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        let status = wait_task(&self.client, &self.who, upid).await;
        status["exitstatus"].as_str().unwrap().to_owned()
    }

    async fn clone(&self, vmid: &str) -> Answer {
        self.call("POST", "/nodes/pve1/qemu/100/clone", &[("newid", vmid)]).await
    }
}

const CLONE: &str = "/nodes/{node}/qemu/{vmid}/clone";

#[tokio::test]
async fn answers_before_and_after_the_effect() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.sim.add_fault(Fault::on("POST", CLONE).answers(595, When::Before).times(1)).unwrap();
    lab.sim.add_fault(Fault::on("POST", CLONE).skip(1).answers(596, When::After).times(1)).unwrap();
    let first = lab.clone("200").await;
    assert_eq!((first.status, first.reason.as_str()), (595, "Connection refused"));
    assert!(lab.sim.world().guest(200).is_none());
    let second = lab.clone("200").await;
    assert_eq!((second.status, second.reason.as_str()), (596, "Connection timed out"));
    assert!(lab.sim.world().guest(200).is_some());
    assert_eq!(lab.clone("201").await.status, 200);
    let counted: Vec<_> = lab.sim.faults().iter().map(|rule| (rule.matched, rule.fired)).collect();
    assert_eq!(counted, [(3, 1), (3, 1)]);
}

#[tokio::test]
async fn connections_drop_before_and_after_the_effect() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let path = "/nodes/pve1/qemu/100/clone";
    for (when, vmid, made) in [(When::Before, 300, false), (When::After, 301, true)] {
        let id = lab.sim.add_fault(Fault::on("POST", CLONE).drops(when)).unwrap();
        let form = format!("newid={vmid}");
        let kind = "application/x-www-form-urlencoded";
        let answer = lab.client.answered(&lab.who, "POST", path, kind, &form).await;
        assert!(answer.is_none(), "{answer:?}");
        assert_eq!(lab.sim.world().guest(vmid).is_some(), made);
        assert!(lab.sim.remove_fault(&id));
    }
    let totals = lab.sim.request_totals();
    let clones = totals.iter().find(|totals| totals.template == CLONE).unwrap();
    assert_eq!((clones.count, clones.statuses.get(&0)), (2, Some(&2)));
}

#[tokio::test]
async fn latency_is_real_time() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.sim.add_fault(Fault::on("GET", "/version").latency(80).times(1)).unwrap();
    let began = Instant::now();
    assert_eq!(lab.call("GET", "/version", &[]).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn no_worker_upid() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.sim.add_fault(Fault::on("POST", CLONE).no_upid(When::Before).times(1)).unwrap();
    let answer = lab.clone("200").await;
    assert_eq!(
        (answer.status, answer.reason.as_str()),
        (500, "got no worker upid - start worker failed")
    );
    assert_eq!(lab.clone("200").await.status, 200);
}

#[tokio::test]
async fn tasks_fail_before_and_midway_and_leave_nothing_behind() {
    let lab = Lab::start(TimeScale::times(200.0)).await;
    let volumes = |world: &World| {
        ["pve1", "pve2", "pve3"].map(|node| world.volumes_on("shared", node).count())
    };
    let before = volumes(&lab.sim.world());
    for fault in [
        Fault::in_task("qmclone").fails("disk on fire").times(1),
        Fault::in_task("qmclone").at_percent(50).fails("disk on fire").times(1),
    ] {
        let id = lab.sim.add_fault(fault).unwrap();
        let answer = lab.clone("200").await;
        let exit = lab.task(&answer).await;
        assert!(exit.contains("disk on fire"), "{exit}");
        assert!(lab.sim.world().guest(200).is_none());
        assert_eq!(volumes(&lab.sim.world()), before);
        assert_eq!(lab.sim.faults().first().map(|rule| rule.fired), Some(1));
        assert!(lab.sim.remove_fault(&id));
    }
    let answer = lab.clone("200").await;
    assert_eq!(lab.task(&answer).await, "OK");
}

#[tokio::test]
async fn locks_are_held_for_so_long() {
    let lab = Lab::start(TimeScale::times(100.0)).await;
    lab.sim.add_fault(Fault::now().holds_guest(100, 60_000)).unwrap();
    let path = "/nodes/pve1/qemu/100/config";
    let answer = lab.call("PUT", path, &[("description", "x")]).await;
    assert_eq!(
        answer.reason,
        "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    );
    lab.sim.advance(60_000);
    assert_eq!(lab.call("PUT", path, &[("description", "x")]).await.status, 200);
}

#[tokio::test]
async fn quorum_nodes_and_space() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let quorum = lab.sim.add_fault(Fault::now().loses_quorum(None)).unwrap();
    assert_eq!(lab.clone("200").await.reason, "cluster not ready - no quorum?");
    assert!(lab.sim.remove_fault(&quorum));
    // The second read of a node takes it away, for a minute.
    let rule = Fault::on("GET", "/nodes/pve2/**").skip(1).times(1).node_off("pve2", Some(60_000));
    lab.sim.add_fault(rule).unwrap();
    let read = || lab.call("GET", "/nodes/pve2/qemu", &[]);
    assert_eq!(read().await.status, 200);
    assert_eq!(read().await.status, 595);
    lab.sim.advance(60_000);
    assert_eq!(read().await.status, 200);
    lab.sim.clear_faults();
    let full = lab.sim.add_fault(Fault::now().fills("shared")).unwrap();
    let status = lab.call("GET", "/nodes/pve1/storage/shared/status", &[]).await;
    assert_eq!(status.body["data"]["avail"], 0);
    assert!(lab.sim.remove_fault(&full));
    let status = lab.call("GET", "/nodes/pve1/storage/shared/status", &[]).await;
    assert!(status.body["data"]["avail"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn the_endpoint_is_the_operators_alone() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let nobody = Who::default();
    assert_eq!(lab.client.raw(&nobody, "GET", "/sim", "", "").await.status, 401);
    let other = Who::token("root@pam!sim", "5f0c1d1e-0000-4000-8000-000000000001");
    assert_eq!(lab.client.raw(&other, "GET", "/sim/world", "", "").await.status, 401);
    for (name, value) in [("Origin", "https://localhost"), ("Sec-Fetch-Site", "cross-site")] {
        let mut page = lab.who.clone();
        page.headers.push((name.to_owned(), value.to_owned()));
        assert_eq!(lab.client.raw(&page, "GET", "/sim", "", "").await.status, 403);
    }
    let answer = lab.admin("GET", "/sim", &Value::Null).await;
    assert!(answer.status == 200 && answer.body.get("GET /sim/faults").is_some());
}

#[tokio::test]
async fn faults_are_added_read_and_removed_over_http() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let rule = json!({ "on": { "path": "/version" }, "answer": { "status": 503 }, "times": 1 });
    let added = lab.admin("POST", "/sim/faults", &rule).await;
    assert_eq!((added.status, &added.body["id"]), (200, &json!("f1")));
    let two = json!({ "faults": [{ "id": "slow", "on": {}, "latency_ms": 1 }, rule] });
    assert_eq!(lab.admin("POST", "/sim/faults", &two).await.body["ids"], json!(["slow", "f2"]));
    assert_eq!(lab.call("GET", "/version", &[]).await.status, 503);
    let list = lab.admin("GET", "/sim/faults", &Value::Null).await.body["faults"].clone();
    assert_eq!((&list[0]["fired"], &list[1]["id"]), (&json!(1), &json!("slow")));
    assert_eq!(lab.admin("DELETE", "/sim/faults/f1", &Value::Null).await.status, 200);
    assert_eq!(lab.admin("DELETE", "/sim/faults/f1", &Value::Null).await.status, 404);
    assert_eq!(lab.admin("DELETE", "/sim/faults", &Value::Null).await.status, 200);
    assert!(lab.sim.faults().is_empty());
    for (bad, part) in [
        (json!({ "on": {} }), "no effect"),
        (json!({ "on": {}, "latency": 1 }), "unknown field `latency`"),
        (json!({ "full": { "storage": "none" } }), "no storage 'none'"),
        (json!({ "node": { "name": "none" } }), "no node 'none'"),
        (json!([]), "an object"),
        (json!({ "on": [] , "latency_ms": "x" }), "invalid type"),
    ] {
        let answer = lab.admin("POST", "/sim/faults", &bad).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body["error"].as_str().unwrap().contains(part), "{answer:?}");
    }
}

#[tokio::test]
async fn the_log_is_read_and_forgotten_over_http() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    lab.call("GET", "/version", &[]).await;
    lab.call("GET", "/version", &[]).await;
    lab.call("PUT", "/nodes/pve1/qemu/100/config", &[("memory", "nonsense")]).await;
    lab.call("GET", "/no/such", &[]).await;
    let log = lab.admin("GET", "/sim/requests?records=1", &Value::Null).await.body;
    assert_eq!(log["count"], 4);
    assert_eq!(log["records"].as_array().map(Vec::len), Some(1));
    assert_eq!(log["records"][0]["status"], 501);
    let of = |template: &str| {
        let all = log["totals"].as_array().unwrap();
        all.iter().find(|item| item["template"] == template).cloned().unwrap()
    };
    assert_eq!(of("/version")["classes"], json!({ "2xx": 2 }));
    assert_eq!(of("/nodes/{node}/qemu/{vmid}/config")["statuses"], json!({ "400": 1 }));
    assert_eq!(of("(no such path)")["classes"], json!({ "5xx": 1 }));
    lab.admin("DELETE", "/sim/requests", &Value::Null).await;
    assert_eq!(lab.admin("GET", "/sim/requests", &Value::Null).await.body["count"], 0);
}

#[tokio::test]
async fn nodes_clock_lag_and_world_over_http() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let off = json!({ "online": false });
    assert_eq!(lab.admin("POST", "/sim/nodes/pve3", &off).await.status, 200);
    assert_eq!(lab.admin("POST", "/sim/nodes/pve9", &off).await.status, 404);
    assert_eq!(lab.call("GET", "/nodes/pve3/qemu", &[]).await.status, 595);
    let now = lab.admin("GET", "/sim/clock", &Value::Null).await.body["now_ms"].as_i64().unwrap();
    let later = lab.admin("POST", "/sim/clock", &json!({ "advance_ms": 3_600_000 })).await;
    assert!(later.body["now_ms"].as_i64().unwrap() >= now + 3_600_000);
    assert_eq!(lab.admin("POST", "/sim/lag", &json!({ "on": true })).await.status, 200);
    assert_eq!(lab.admin("POST", "/sim/lag", &json!({ "no": 1 })).await.status, 400);
    // What it shows is a world that can be served again, faults included.
    lab.sim.add_fault(Fault::on("GET", "/version").answers(503, When::Before)).unwrap();
    let world = lab.admin("GET", "/sim/world", &Value::Null).await.body;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.json");
    std::fs::write(&file, world.to_string()).unwrap();
    let again = Sim::start(World::load(&file).unwrap(), Options::default()).await.unwrap();
    let client = Client::new(again.addr());
    assert_eq!(client.call(&lab.who, "GET", "/version", &[]).await.status, 503);
    assert_eq!(client.call(&lab.who, "GET", "/nodes/pve3/qemu", &[]).await.status, 595);
}

#[tokio::test]
async fn malformed_requests_do_not_harm() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let token = lab.who.headers[0].1.clone();
    let huge = "x".repeat(1 << 20);
    let long = format!("GET /api2/json/version HTTP/1.1\r\nHost: x\r\nX: {huge}\r\n\r\n");
    let chunked = |chunk: &str| {
        format!(
            "POST /api2/json/access/ticket HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        )
    };
    let (garbage, negative) = (chunked("zz\r\n\r\n"), chunked("-1\r\nx\r\n0\r\n\r\n"));
    let escapes = format!(
        "GET /api2/json/nodes/%ff%00%zz%/qemu/%e2%28 HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    );
    for (bytes, status) in [
        (b"nonsense\r\n\r\n".as_slice(), Some("400")),
        (b"\x16\x03\x01\x00\xff\xfe\r\n\r\n", Some("400")),
        (b"GET /api2/json/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", None),
        (long.as_bytes(), Some("431")),
        // The body cannot be read to its end.
        (garbage.as_bytes(), None),
        (negative.as_bytes(), None),
        (escapes.as_bytes(), Some("500")),
        (b"POST /api2/json/version HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", Some("400")),
    ] {
        let answer = lab.client.exchange(bytes).await;
        let line = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        if let Some(status) = status {
            assert_eq!(line.split(' ').nth(1), Some(status), "{line}");
        }
    }
    assert_eq!(lab.call("GET", "/version", &[]).await.status, 200);
}

#[tokio::test]
async fn requests_are_held_before_and_after_the_effect() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    for (when, vmid, made) in [(When::Before, "300", false), (When::After, "301", true)] {
        let rule = Fault::on("POST", CLONE).skip(1).times(1).holds(when);
        let id = lab.sim.add_fault(rule).unwrap();
        let number: u32 = vmid.parse().unwrap();
        let other = (number + 100).to_string();
        assert_eq!(lab.clone(&other).await.status, 200);
        let meanwhile = async {
            assert!(lab.sim.wait_for_fault(&id).await);
            assert_eq!(lab.sim.world().guest(number).is_some(), made);
            // Others are served meanwhile.
            assert_eq!(lab.call("GET", "/version", &[]).await.status, 200);
            assert!(lab.sim.remove_fault(&id));
        };
        let (answer, ()) = tokio::join!(lab.clone(vmid), meanwhile);
        assert_eq!(answer.status, 200);
        assert!(lab.sim.world().guest(number).is_some());
        assert!(!lab.sim.wait_for_fault(&id).await, "there is none of that id");
    }
}

/// Who asked is gone when the rule is removed: what writes is carried out all the same, unless the
/// rule drops it too.
#[tokio::test]
async fn held_requests_outlive_whoever_asked() {
    let lab = Lab::start(TimeScale::INSTANT).await;
    let hold = Fault::on("POST", CLONE).times(1).holds(When::Before);
    for (rule, vmid, made) in
        [(hold.clone(), "300", true), (hold.drops(When::Before), "301", false)]
    {
        let id = lab.sim.add_fault(rule).unwrap();
        tokio::select! {
            answer = lab.clone(vmid) => panic!("{answer:?}"),
            come = lab.sim.wait_for_fault(&id) => assert!(come),
        }
        assert!(lab.sim.remove_fault(&id));
        // The next request of the same kind comes after it.
        assert_eq!(lab.call("GET", "/version", &[]).await.status, 200);
        tokio::task::yield_now().await;
        assert_eq!(lab.sim.world().guest(vmid.parse().unwrap()).is_some(), made, "{vmid}");
    }
}

#[tokio::test]
async fn requests_are_held_for_so_long() {
    let lab = Lab::start(TimeScale::times(100.0)).await;
    let rule = json!({ "on": { "path": "/version" }, "hold": { "for_ms": 8000 } });
    assert_eq!(lab.admin("POST", "/sim/faults", &rule).await.status, 200);
    let began = Instant::now();
    assert_eq!(lab.call("GET", "/version", &[]).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(80));
    let list = lab.admin("GET", "/sim/faults", &Value::Null).await.body["faults"].clone();
    assert_eq!(list[0]["held"], 1);
}

#[tokio::test]
async fn tasks_stand_still_until_the_rule_is_removed() {
    for time_scale in [TimeScale::INSTANT, TimeScale::times(1000.0)] {
        let lab = Lab::start(time_scale).await;
        let id = lab.sim.add_fault(Fault::in_task("qmclone").times(1).hangs()).unwrap();
        let answer = lab.clone("200").await;
        assert!(lab.sim.wait_for_fault(&id).await);
        lab.sim.advance(86_400_000);
        let upid = answer.body["data"].as_str().unwrap();
        let status = format!("/nodes/pve1/tasks/{upid}/status");
        assert_eq!(lab.call("GET", &status, &[]).await.body["data"]["status"], "running");
        assert!(lab.sim.remove_fault(&id));
        assert_eq!(lab.task(&answer).await, "OK");
        assert!(lab.sim.world().guest(200).is_some());
    }
}

#[tokio::test]
async fn a_task_that_stands_still_can_be_stopped() {
    let lab = Lab::start(TimeScale::times(1000.0)).await;
    lab.sim.add_fault(Fault::in_task("qmclone").times(1).hangs()).unwrap();
    let answer = lab.clone("200").await;
    let upid = answer.body["data"].as_str().unwrap();
    let stopped = lab.call("DELETE", &format!("/nodes/pve1/tasks/{upid}"), &[]).await;
    assert_eq!(stopped.status, 200);
    assert_ne!(lab.task(&answer).await, "OK");
    assert!(lab.sim.world().guest(200).is_none());
}
