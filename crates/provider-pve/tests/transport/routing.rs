//! Which endpoint gets a request.

use pvx_provider_pve::client::{ApiError, Client, ClientError, Request, TlsTrust};
use serde_json::json;

use crate::server::{Server, data, options};

async fn two() -> (Server, Server, Client) {
    let first = Server::start(|_| data(&json!(1))).await;
    let second = Server::start(|_| data(&json!(2))).await;
    let endpoints = vec![first.endpoint().with_node("pve1"), second.endpoint().with_node("pve2")];
    let pins = vec![first.fingerprint(), second.fingerprint()];
    let client = Client::new(options(endpoints, TlsTrust::Fingerprints(pins))).unwrap();
    (first, second, client)
}

#[tokio::test]
async fn a_request_goes_to_the_node_it_names() {
    let (first, second, client) = two().await;
    let ask = |request: Request| {
        let client = client.clone();
        async move { client.get::<u32>(&request).await.unwrap() }
    };
    assert_eq!(ask(Request::get("/nodes/pve2/status")).await, 2);
    assert_eq!(ask(Request::get("/nodes/pve1/status")).await, 1);
    assert_eq!(ask(Request::get("/version").node("pve2")).await, 2);
    assert_eq!(ask(Request::get("/version")).await, 1);
    assert_eq!(ask(Request::get("/nodes/pve9/status")).await, 1);
    assert_eq!((first.seen().len(), second.seen().len()), (3, 2));
}

#[tokio::test]
async fn the_next_endpoint_serves_when_one_is_dead_for_writes_too() {
    let alive = Server::start(|_| data(&json!(2))).await;
    let endpoints = vec![Server::dead().await.with_node("pve1"), alive.endpoint()];
    let trust = TlsTrust::Fingerprints(vec![alive.fingerprint()]);
    let client = Client::new(options(endpoints, trust)).unwrap();
    for _ in 0..3 {
        client.send(&Request::put("/nodes/pve1/qemu/1/config")).await.unwrap();
    }
    assert_eq!(alive.seen().len(), 3);
    assert_eq!(client.stats().requests, 3, "what could not be connected to was not sent");
}

#[tokio::test]
async fn every_endpoint_is_listed_when_all_are_dead() {
    let endpoints = vec![Server::dead().await.with_node("pve1"), Server::dead().await];
    let client = Client::new(options(endpoints.clone(), TlsTrust::Insecure)).unwrap();
    let error = client.send(&Request::post("/x")).await.unwrap_err();
    let ApiError::Unreachable { attempts, .. } = &error else { panic!("{error}") };
    assert_eq!(attempts.len(), 2);
    for endpoint in &endpoints {
        assert!(error.to_string().contains(&endpoint.to_string()), "{error}");
    }
    assert!(!error.is_outcome_unknown() && error.is_transient());
    assert_eq!(client.stats().requests, 0);
}

#[tokio::test]
async fn a_client_needs_an_endpoint() {
    let error = Client::new(options(Vec::new(), TlsTrust::Insecure)).unwrap_err();
    assert!(matches!(error, ClientError::NoEndpoint));
}
