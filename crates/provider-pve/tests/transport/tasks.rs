//! Waiting for tasks and reading their logs.

use std::time::Duration;

use pvx_provider_pve::client::{ApiError, TaskOutcome, Upid, WaitOptions};
use serde_json::json;

use crate::server::{Reply, Server, data};

const UPID: &str = "UPID:pve2:00000EAB:0008608E:6B034FB8:qmshutdown:4090:root@pam!lab:";

fn upid() -> Upid {
    UPID.parse().unwrap()
}

fn quickly() -> WaitOptions {
    WaitOptions {
        first_interval: Duration::from_millis(1),
        ..WaitOptions::new(Duration::from_secs(20))
    }
}

#[tokio::test]
async fn waits_through_running_and_transient_errors() {
    let server = Server::start(|seen| match seen.nth {
        0 => data(&json!({ "status": "running", "upid": UPID })),
        1..=3 => Reply::Answer(599, "Too many redirections", String::new()),
        4 => data(&json!({ "status": "running" })),
        _ => data(&json!({ "status": "stopped", "exitstatus": "WARNINGS: 2" })),
    })
    .await;
    let mut polls = Vec::new();
    let end = server
        .client()
        .wait_task(&upid(), quickly(), |status| polls.push(status.status.clone()))
        .await
        .unwrap();
    assert_eq!((end.outcome, end.exitstatus.as_str()), (TaskOutcome::Warnings(2), "WARNINGS: 2"));
    assert_eq!(polls, ["running", "running", "stopped"]);
    assert_eq!(server.seen()[0].target, format!("/api2/json/nodes/pve2/tasks/{UPID}/status"));
}

#[tokio::test]
async fn a_task_that_goes_on_is_reported_at_the_deadline() {
    let server = Server::start(|_| data(&json!({ "status": "running" }))).await;
    let options = WaitOptions { deadline: Duration::from_millis(20), ..quickly() };
    let error = server.client().wait_task(&upid(), options, |_| ()).await.unwrap_err();
    assert!(matches!(error, ApiError::TaskDeadline { .. }), "{error}");
    assert!(error.to_string().contains(UPID) && error.to_string().contains("goes on"), "{error}");
}

#[tokio::test]
async fn an_unknown_task_ends_the_waiting_at_once() {
    let body = json!({ "errors": { "upid": "no such task" }, "data": null });
    let server = Server::start(move |_| {
        Reply::Answer(400, "Parameter verification failed.", body.to_string())
    })
    .await;
    let error = server.client().wait_task(&upid(), quickly(), |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("upid: no such task"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

/// A log of `total` lines, served in pages as Proxmox does.
async fn log(total: u64) -> Server {
    Server::start(move |seen| {
        let number = |key: &str| {
            let query = seen.target.split_once('?').unwrap().1;
            query
                .split('&')
                .find_map(|p| p.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
        };
        let (start, limit) = (number("start").unwrap(), number("limit").unwrap());
        let mut rows: Vec<_> = (start..total.min(start + limit))
            .map(|n| json!({ "n": n + 1, "t": format!("line {}", n + 1) }))
            .collect();
        if total == 0 {
            rows.push(json!({ "n": 1, "t": "no content" }));
        }
        let body = json!({ "data": rows, "total": total.max(1) });
        Reply::Answer(200, "OK", body.to_string())
    })
    .await
}

#[tokio::test]
async fn the_tail_of_a_log_is_its_last_lines() {
    let long = log(200).await;
    let tail = long.client().task_log_tail(&upid(), 3).await.unwrap();
    assert_eq!(tail, ["line 198", "line 199", "line 200"]);
    assert_eq!(long.seen().len(), 2);

    let short = log(2).await;
    let client = short.client();
    assert_eq!(client.task_log_tail(&upid(), 3).await.unwrap(), ["line 1", "line 2"]);
    assert_eq!(client.task_log_tail(&upid(), 2).await.unwrap().len(), 2);
    assert_eq!(client.task_log_tail(&upid(), 0).await.unwrap().len(), 0);
    assert_eq!(short.seen().len(), 2);

    assert!(log(0).await.client().task_log_tail(&upid(), 3).await.unwrap().is_empty());
}
