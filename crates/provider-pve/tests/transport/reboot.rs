//! A reboot ends when the guest runs again, and nothing of it waits for a cold boot.

use std::sync::Mutex;
use std::time::Duration;

use pvx_core::provider::{ErrorClass, ProviderError, TaskEnd, Writer};
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::WaitOptions;
use serde_json::{Value, json};

use crate::server::{Reply, Server, data};

const UPID: &str = "UPID:pve1:00000EAB:0008608E:6B034FB8:qmreboot:100:root@pam!lab:";
const START: &str = "UPID:pve1:00000EAC:0008608F:6B034FB9:qmstart:100:root@pam:";

/// What the cluster tells.
struct Told {
    /// How the reboot ended.
    exit: &'static str,
    /// The guest, look by look; the last one again and again.
    status: Vec<&'static str>,
    /// What still waits when it runs.
    pending: Value,
    /// How starts ended.
    starts: Value,
}

impl Default for Told {
    fn default() -> Self {
        Self { exit: "OK", status: vec!["running"], pending: json!([]), starts: json!([]) }
    }
}

async fn server(told: Told) -> Server {
    let looks = Mutex::new(told.status.into_iter());
    let last = Mutex::new("stopped");
    Server::start(move |seen| {
        let path = seen.target.as_str();
        if path.contains("/log") {
            return data(&json!([{ "n": 1, "t": "no space left" }]));
        }
        if path.contains("/tasks/") {
            return data(&json!({ "status": "stopped", "exitstatus": told.exit }));
        }
        if path.contains("/tasks?") {
            return data(&told.starts);
        }
        if path.contains("/pending") {
            return data(&told.pending);
        }
        let next = looks.lock().unwrap().next();
        let mut last = last.lock().unwrap();
        *last = next.unwrap_or(*last);
        match *last {
            "599" => Reply::Answer(599, "", String::new()),
            "403" => Reply::Answer(403, "", String::new()),
            status => data(&json!({ "vmid": 100, "status": status })),
        }
    })
    .await
}

async fn wait(server: &Server, deadline: Duration) -> Result<TaskEnd, ProviderError> {
    let options = WaitOptions {
        first_interval: Duration::from_millis(1),
        max_interval: Duration::from_millis(2),
        ..WaitOptions::new(Duration::ZERO)
    };
    Cluster::new(server.client()).waiting(options).wait(UPID, deadline).await
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn it_is_over_when_the_guest_runs_again() {
    let told = Told { status: vec!["stopped", "599", "stopped", "running"], ..Told::default() };
    let server = server(told).await;
    assert_eq!(wait(&server, LONG).await, Ok(TaskEnd { warnings: 0 }));
    let seen = server.seen();
    let looks = seen.iter().filter(|seen| seen.target.contains("/status/current")).count();
    assert_eq!(looks, 4);
    assert!(seen.last().unwrap().target.contains("/qemu/100/pending"));
}

#[tokio::test]
async fn values_that_still_wait_are_a_failure() {
    let pending = json!([
        { "key": "cores", "value": 2, "pending": 4 },
        { "key": "memory", "value": "512" },
        { "key": "scsi1", "value": "shared:vm-100-disk-1", "delete": 1 },
    ]);
    let server = server(Told { pending, ..Told::default() }).await;
    let error = wait(&server, LONG).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Failed);
    assert!(error.message.ends_with("could not put into effect: cores, scsi1"), "{error}");
}

#[tokio::test]
async fn a_start_that_fails_is_said_at_once() {
    let starts = json!([
        { "upid": START, "status": "OK" },
        { "upid": START },
        { "upid": START, "status": "start failed: out of memory" },
    ]);
    let server = server(Told { status: vec!["stopped"], starts, ..Told::default() }).await;
    let error = wait(&server, LONG).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Failed);
    assert_eq!(
        error.message,
        "guest 100 was shut down to reboot and does not start: start failed: out of memory"
    );
    assert_eq!(error.log, ["no space left"]);
    assert!(error.help.unwrap().contains("qm start 100"));
}

#[tokio::test]
async fn a_guest_that_does_not_come_back() {
    let server = server(Told { status: vec!["stopped"], ..Told::default() }).await;
    let error = wait(&server, Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Failed);
    assert!(error.message.contains("does not run again"), "{error}");
    assert_eq!(error.upid.as_deref(), Some(UPID));
}

#[tokio::test]
async fn a_guest_that_does_not_shut_down_runs_on() {
    let exit = "VM quit/powerdown failed - got timeout";
    let server = server(Told { exit, ..Told::default() }).await;
    let error = wait(&server, LONG).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Failed);
    assert!(error.message.contains(exit));
    assert!(error.help.unwrap().contains("--shutdown-timeout"));
    assert!(!server.seen().iter().any(|seen| seen.target.contains("/status/current")));
}

#[tokio::test]
async fn a_guest_that_may_not_be_looked_at_is_an_open_end() {
    let server = server(Told { status: vec!["403"], ..Told::default() }).await;
    let error = wait(&server, LONG).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::OutcomeUnknown);
}
