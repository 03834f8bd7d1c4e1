//! Guests under high availability: their tasks end before anything is done.

use std::time::Duration;

use pvx_core::provider::{ErrorClass, ProviderError, TaskEnd, Writer};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::WaitOptions;
use serde_json::{Value, json};

use crate::server::{Reply, Server, data};

fn upid(kind: &str) -> String {
    format!("UPID:pve1:00000EAB:0008608E:6B034FB8:{kind}:100:root@pam!lab:")
}

/// A cluster whose HA tasks end at once, and which gives these answers to looks at the guest, the
/// last one again and again.
async fn cluster(looks: Vec<Reply>) -> Server {
    let looks: Vec<(u16, String)> = looks
        .into_iter()
        .map(|look| match look {
            Reply::Answer(status, _, body) => (status, body),
            _ => panic!("an answer"),
        })
        .collect();
    let nth = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |seen| {
        if seen.target.contains("/tasks/") {
            return data(&json!({ "status": "stopped", "exitstatus": "OK" }));
        }
        let nth = nth.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (status, body) = looks[nth.min(looks.len() - 1)].clone();
        Reply::Answer(status, "Told", body)
    })
    .await
}

async fn wait(server: &Server, kind: &str, deadline: Duration) -> Result<TaskEnd, ProviderError> {
    let options = WaitOptions {
        first_interval: Duration::from_millis(1),
        max_interval: Duration::from_millis(2),
        ..WaitOptions::new(Duration::ZERO)
    };
    Cluster::new(server.client()).waiting(options).wait(&upid(kind), deadline).await
}

const LONG: Duration = Duration::from_secs(20);

fn current(status: &str, state: &str) -> Reply {
    data(&json!({ "vmid": 100, "status": status, "ha": { "managed": 1, "state": state } }))
}

/// The cluster's list, with the guest and one that is none of its business.
fn listed(node: &str, more: Value) -> Reply {
    let mut row = json!({ "type": "qemu", "id": "qemu/100", "vmid": 100, "node": node });
    row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    data(&json!([{ "type": "qemu", "id": "qemu/101", "vmid": 101, "node": "pve9" }, row]))
}

fn missing() -> Reply {
    let message = "Configuration file 'nodes/pve1/qemu-server/100.conf' does not exist\n";
    Reply::Answer(500, "", json!({ "data": null, "message": message }).to_string())
}

/// Paths of the looks at the guest.
fn looks(server: &Server) -> Vec<String> {
    let seen = server.seen();
    let paths = seen.iter().filter(|seen| !seen.target.contains("/tasks/"));
    paths.map(|seen| seen.target.replace("/api2/json", "")).collect()
}

#[tokio::test]
async fn start_and_stop_are_over_when_the_guest_is_so() {
    for (kind, before, after) in
        [("hastart", "stopped", "running"), ("hastop", "running", "stopped")]
    {
        let told = vec![
            current(before, "request_stop"),
            Reply::Answer(599, "", String::new()),
            current(before, "started"),
            current(after, "started"),
        ];
        let server = cluster(told).await;
        assert_eq!(wait(&server, kind, LONG).await, Ok(TaskEnd { warnings: 0 }));
        let looks = looks(&server);
        assert_eq!(looks.len(), 4, "{looks:?}");
        assert!(looks.iter().all(|path| path == "/nodes/pve1/qemu/100/status/current"));
    }
}

#[tokio::test]
async fn a_guest_that_is_started_elsewhere_is_followed() {
    let told = vec![missing(), listed("pve2", json!({})), current("running", "started")];
    let server = cluster(told).await;
    assert!(wait(&server, "hastart", LONG).await.is_ok());
    assert_eq!(
        looks(&server)[1..],
        ["/cluster/resources?type=vm", "/nodes/pve2/qemu/100/status/current"]
    );
}

#[tokio::test]
async fn a_migration_is_over_when_the_guest_is_elsewhere_and_unlocked() {
    let told = vec![
        listed("pve1", json!({ "hastate": "started" })),
        listed("pve1", json!({ "hastate": "migrate", "lock": "migrate" })),
        data(&json!([])),
        listed("pve2", json!({ "hastate": "migrate", "lock": "migrate" })),
        listed("pve2", json!({ "hastate": "started" })),
    ];
    let server = cluster(told).await;
    assert!(wait(&server, "hamigrate", LONG).await.is_ok());
    assert_eq!(looks(&server), vec!["/cluster/resources?type=vm"; 5]);
}

#[tokio::test]
async fn other_tasks_are_over_when_they_end() {
    let server = cluster(vec![missing()]).await;
    for kind in ["qmstart", "qmstop", "qmigrate", "qmclone"] {
        assert!(wait(&server, kind, LONG).await.is_ok());
    }
    assert_eq!(looks(&server).len(), 0);
}

#[tokio::test]
async fn what_never_comes_true_is_said_at_the_deadline() {
    let short = Duration::from_millis(20);
    for (kind, look) in [
        ("hastart", current("stopped", "request_start")),
        ("hamigrate", listed("pve1", json!({ "hastate": "request_start" }))),
    ] {
        let server = cluster(vec![look]).await;
        let error = wait(&server, kind, short).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::OutcomeUnknown);
        assert_eq!(error.upid, Some(upid(kind)));
        let text = &error.message;
        assert!(text.contains(kind) && text.contains("HA state request_start"), "{text}");
    }
}

#[tokio::test]
async fn a_manager_that_gave_up_is_not_waited_for() {
    for (kind, look) in [
        ("hastart", current("stopped", "error")),
        ("hamigrate", listed("pve1", json!({ "hastate": "error" }))),
    ] {
        let server = cluster(vec![look]).await;
        let error = wait(&server, kind, LONG).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Failed);
        assert!(error.message.contains("vm:100"), "{error}");
        assert_eq!(looks(&server).len(), 1);
    }
}

#[tokio::test]
async fn a_guest_that_may_not_be_looked_at_is_an_open_end() {
    let server = cluster(vec![Reply::Answer(403, "", String::new())]).await;
    let error = wait(&server, "hastart", LONG).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::OutcomeUnknown);
    assert!(error.help.is_some());
}

fn numbered(nth: usize) -> String {
    upid("hastart").replace(":100:", &format!(":{}:", 100 + nth))
}

#[tokio::test]
async fn many_guests_are_looked_at_in_lists() {
    let lists = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |seen| {
        let path = seen.target.replace("/api2/json", "");
        let running = |lists: usize, nth| if nth < 8 * lists { "running" } else { "stopped" };
        let told = lists.load(std::sync::atomic::Ordering::Relaxed);
        if path.starts_with("/nodes/pve1/tasks?") {
            let row = |nth| json!({ "upid": numbered(nth), "endtime": 1, "status": "OK" });
            return data(&(0..20).map(row).collect::<Vec<_>>().into());
        }
        if let Some(vmid) = path.strip_suffix("/status/current").and_then(|p| p.rsplit('/').next())
        {
            let nth = vmid.parse::<usize>().unwrap() - 100;
            return data(&json!({ "vmid": vmid, "status": running(told, nth) }));
        }
        if path == "/nodes/pve1/qemu" {
            lists.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        let row = |nth: usize| {
            let status = running(told, nth);
            json!({ "vmid": 100 + nth, "node": "pve1", "status": status, "hastate": "started" })
        };
        data(&(0..20).map(row).collect::<Vec<_>>().into())
    })
    .await;
    let options = WaitOptions {
        first_interval: Duration::from_millis(20),
        max_interval: Duration::from_millis(20),
        ..WaitOptions::new(Duration::ZERO)
    };
    let cluster = Cluster::new(server.client()).waiting(options);
    let all = (0..20).map(|nth| {
        let cluster = &cluster;
        async move { cluster.wait(&numbered(nth), LONG).await.is_ok() }
    });
    assert!(futures::future::join_all(all).await.into_iter().all(|ok| ok));
    let looks = looks(&server).len();
    assert!(looks < 20, "{looks} looks at 20 guests, three times");
}
