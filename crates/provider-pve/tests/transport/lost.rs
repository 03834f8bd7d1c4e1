//! Answers that never come: reads are tried again, writes never.

use std::time::Duration;

use pvx_provider_pve::client::{ApiError, Client, Request, TlsTrust};
use serde_json::json;

use crate::server::{Reply, Server, data, options};

fn write() -> Request {
    Request::post("/nodes/pve1/qemu/100/status/start")
}

#[tokio::test]
async fn a_dropped_write_is_sent_once_and_its_outcome_unknown() {
    let server = Server::start(|_| Reply::Drop).await;
    let client = server.client();
    for request in [write(), Request::put("/x"), Request::delete("/x")] {
        let before = server.seen().len();
        let error = client.send(&request).await.unwrap_err();
        assert!(matches!(error, ApiError::OutcomeUnknown { .. }), "{error}");
        assert!(error.to_string().contains("look at the cluster"), "{error}");
        assert_eq!(server.seen().len(), before + 1);
    }
    assert_eq!(client.stats().writes, 3);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\":";
    let server = Server::start(move |_| Reply::Raw(head)).await;
    let client = server.client();
    let error = client.send(&write()).await.unwrap_err();
    assert!(matches!(error, ApiError::OutcomeUnknown { .. }), "{error}");
    let error = client.get::<u32>(&Request::get("/x")).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error}");
    assert_eq!(server.seen().len(), 4, "one write, three tries of the read");
}

#[tokio::test]
async fn silence_ends_with_the_time_out() {
    let server = Server::start(|_| Reply::Silence).await;
    let trust = TlsTrust::Fingerprints(vec![server.fingerprint()]);
    let mut options = options(vec![server.endpoint()], trust);
    options.request_timeout = Duration::from_millis(300);
    options.retry.tries = 1;
    let client = Client::new(options).unwrap();
    let error = client.send(&write()).await.unwrap_err();
    assert!(matches!(error, ApiError::OutcomeUnknown { .. }), "{error}");
    assert!(error.to_string().contains("no complete answer in time"), "{error}");
    let error = client.get::<u32>(&Request::get("/x")).await.unwrap_err();
    assert!(matches!(error, ApiError::Unreachable { .. }), "{error}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_unknown_for_writes_and_tried_again_for_reads() {
    let server = Server::start(|_| Reply::Answer(595, "No route to host", String::new())).await;
    let client = server.client();
    let error = client.send(&write()).await.unwrap_err();
    assert!(matches!(error, ApiError::OutcomeUnknown { .. }), "{error}");
    assert!(error.to_string().contains("595 No route to host"), "{error}");
    assert_eq!(server.seen().len(), 1);
    let error = client.get::<u32>(&Request::get("/nodes/pve3/status")).await.unwrap_err();
    assert!(matches!(error, ApiError::NodeUnreachable { status: 595, .. }), "{error}");
    assert_eq!(error.call().node.as_deref(), Some("pve3"));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_read_succeeds_at_the_third_try() {
    let server = Server::start(|seen| match seen.nth {
        0 => Reply::Drop,
        1 => Reply::Answer(596, "Connection timed out", String::new()),
        _ => data(&json!(7)),
    })
    .await;
    let client = server.client();
    assert_eq!(client.get::<u32>(&Request::get("/x")).await.unwrap(), 7);
    assert_eq!(client.stats().requests, 3);
}

#[tokio::test]
async fn refusals_are_not_tried_again() {
    let server =
        Server::start(|_| Reply::Answer(500, "no such cluster node 'x'", String::new())).await;
    server.client().get::<u32>(&Request::get("/x")).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn no_try_begins_after_the_window() {
    let server = Server::start(|_| Reply::Drop).await;
    let trust = TlsTrust::Fingerprints(vec![server.fingerprint()]);
    let mut options = options(vec![server.endpoint()], trust);
    options.retry.window = Duration::ZERO;
    Client::new(options).unwrap().get::<u32>(&Request::get("/x")).await.unwrap_err();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_read_that_met_a_hiccup_is_tried_again_and_one_that_was_refused_is_not() {
    let table = [
        ("Internal Server Error", 3),
        ("got timeout", 3),
        ("connect to 10.0.0.2:85 timed out", 3),
        ("storage 'nas' is not online", 1),
        ("VM quit/powerdown failed", 1),
    ];
    for (reason, tries) in table {
        let server = Server::start(move |_| Reply::Answer(500, reason, String::new())).await;
        let client = server.client();
        client.get::<u32>(&Request::get("/x")).await.unwrap_err();
        assert_eq!(server.seen().len(), tries, "{reason}");
        client.send(&write()).await.unwrap_err();
        assert_eq!(server.seen().len(), tries + 1, "{reason}: a write is sent once");
    }
}
