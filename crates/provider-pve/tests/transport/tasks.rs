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
    let end = server.client().wait_task(&upid(), quickly()).await.unwrap();
    assert_eq!((end.outcome, end.exitstatus.as_str()), (TaskOutcome::Warnings(2), "WARNINGS: 2"));
    assert_eq!(server.seen().len(), 6);
    assert_eq!(server.seen()[0].target, format!("/api2/json/nodes/pve2/tasks/{UPID}/status"));
}

#[tokio::test]
async fn a_task_that_goes_on_is_reported_at_the_deadline() {
    let server = Server::start(|_| data(&json!({ "status": "running" }))).await;
    let options = WaitOptions { deadline: Duration::from_millis(20), ..quickly() };
    let error = server.client().wait_task(&upid(), options).await.unwrap_err();
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
    let error = server.client().wait_task(&upid(), quickly()).await.unwrap_err();
    assert!(error.to_string().contains("upid: no such task"), "{error}");
    assert_eq!(server.seen().len(), 1);
}

/// Tasks of two nodes, by number.
fn numbered(nth: usize) -> Upid {
    let node = ["pve1", "pve2"][nth % 2];
    format!("UPID:{node}:{nth:08X}:0008608E:6B034FB8:qmclone:{nth}:root@pam!lab:").parse().unwrap()
}

/// The cluster's list with so many tasks, of which those before `ended` have ended.
fn list(tasks: usize, ended: usize) -> Reply {
    let row = |nth| {
        let upid = numbered(nth).to_string();
        if nth < ended {
            json!({ "upid": upid, "endtime": 1, "status": "OK", "saved": "1" })
        } else {
            json!({ "upid": upid, "pid": nth, "saved": "0" })
        }
    };
    data(&(0..tasks).map(row).collect::<Vec<_>>().into())
}

#[tokio::test]
async fn all_who_wait_share_one_list() {
    let server = Server::start(|seen| list(20, 4 * seen.nth)).await;
    let client = server.client();
    let all = (0..20).map(|nth| {
        let client = client.clone();
        async move { client.wait_task(&numbered(nth), quickly()).await.unwrap().outcome }
    });
    let ends = futures::future::join_all(all).await;
    assert!(ends.iter().all(|end| *end == TaskOutcome::Ok));
    let seen = server.seen();
    // At the end one may be left over: a task alone is asked for by itself.
    assert!(seen.len() <= 7, "{} requests", seen.len());
    assert!(seen.iter().all(|seen| seen.target == "/api2/json/cluster/tasks"));
}

#[tokio::test]
async fn who_stops_waiting_takes_nobody_along_and_leaves_nothing_behind() {
    let (told, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(move |seen| {
        told.send(()).unwrap();
        if seen.target.ends_with("/status") {
            return data(&json!({ "status": "stopped", "exitstatus": "OK" }));
        }
        list(2, 0)
    })
    .await;
    let client = server.client();
    let (first, second) = (numbered(0), numbered(1));
    let mut leaving = Box::pin(client.wait_task(&first, quickly()));
    let mut staying = Box::pin(client.wait_task(&second, quickly()));
    // The first one asks for both; it goes when the question is under way.
    tokio::select! {
        biased;
        end = &mut leaving => panic!("{end:?}"),
        end = &mut staying => panic!("{end:?}"),
        asked = asked.recv() => asked.unwrap(),
    }
    drop(leaving);
    assert!(staying.await.unwrap().is_success());
    let before = server.seen().len();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let seen = server.seen();
    assert_eq!(seen.len(), before);
    assert!(seen[0].target.ends_with("/cluster/tasks"));
    assert!(seen.last().unwrap().target.contains(":00000001:"), "{}", seen[before - 1].target);
}

#[tokio::test]
async fn a_silent_node_holds_up_nobody_else() {
    let server = Server::start(|seen| match seen.target.as_str() {
        "/api2/json/cluster/tasks" => data(&json!([
            { "upid": numbered(1).to_string(), "endtime": 1, "status": "OK" },
        ])),
        _ => Reply::Silence,
    })
    .await;
    let client = server.client();
    let (silent, other) = (numbered(0), numbered(1));
    let short = WaitOptions { deadline: Duration::from_millis(300), ..quickly() };
    let silent = client.wait_task(&silent, short);
    let other = client.wait_task(&other, quickly());
    let (silent, other) = tokio::join!(silent, other);
    assert!(other.unwrap().is_success());
    let error = silent.unwrap_err();
    assert!(matches!(error, ApiError::TaskDeadline { .. }), "{error}");
    assert!(error.to_string().contains("no answer in time"), "{error}");
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
