//! Which endpoint gets a request.

use std::time::Duration;

use pvx_provider_pve::client::{ApiError, Client, ClientError, ClientOptions, Request, TlsTrust};
use serde_json::json;

use crate::server::{Reply, Seen, Server, data, options};

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
    assert_eq!((first.seen().len(), second.seen().len()), (1, 2));
}

#[tokio::test]
async fn reads_about_no_node_take_turns_and_writes_do_not() {
    let (first, second, client) = two().await;
    for path in ["/version", "/nodes/pve9/status", "/version", "/nodes/pve9/status"] {
        client.get::<u32>(&Request::get(path)).await.unwrap();
    }
    assert_eq!((first.seen().len(), second.seen().len()), (2, 2));
    for _ in 0..3 {
        client.send(&Request::put("/pools")).await.unwrap();
    }
    assert_eq!((first.seen().len(), second.seen().len()), (5, 2));
}

/// Two nodes of which the first one does this with requests.
async fn beside(
    reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    change: impl Fn(&mut ClientOptions),
) -> (Server, Server, Client) {
    let odd = Server::start(reply).await;
    let good = Server::start(|_| data(&json!(2))).await;
    let endpoints = vec![odd.endpoint().with_node("pve1"), good.endpoint().with_node("pve2")];
    let pins = vec![odd.fingerprint(), good.fingerprint()];
    let mut options = options(endpoints, TlsTrust::Fingerprints(pins));
    change(&mut options);
    (odd, good, Client::new(options).unwrap())
}

#[tokio::test]
async fn a_read_that_one_endpoint_lost_is_made_at_another() {
    let (odd, good, client) = beside(|_| Reply::Drop, |o| o.retry.window = Duration::ZERO).await;
    for _ in 0..3 {
        assert_eq!(client.get::<u32>(&Request::get("/nodes/pve1/status")).await.unwrap(), 2);
    }
    // One answer that broke off does not make an endpoint a bad one.
    assert_eq!((odd.seen().len(), good.seen().len()), (3, 3));
    let error = client.send(&Request::post("/nodes/pve1/x")).await.unwrap_err();
    assert!(error.is_outcome_unknown(), "{error}");
    assert_eq!((odd.seen().len(), good.seen().len()), (4, 3), "a write is not repeated");
}

#[tokio::test]
async fn a_silent_endpoint_is_passed_over() {
    let short = |o: &mut ClientOptions| o.read_timeout = Duration::from_millis(100);
    let (odd, good, client) = beside(|_| Reply::Silence, short).await;
    for _ in 0..4 {
        assert_eq!(client.get::<u32>(&Request::get("/nodes/pve1/status")).await.unwrap(), 2);
    }
    client.send(&Request::put("/nodes/pve1/x")).await.unwrap();
    assert_eq!((odd.seen().len(), good.seen().len()), (1, 5));
}

#[tokio::test]
async fn an_endpoint_is_not_blamed_for_the_silence_of_another_node() {
    let silent = |seen: &Seen| match seen.target.contains("pve9") {
        true => Reply::Silence,
        false => data(&json!(1)),
    };
    let short = |o: &mut ClientOptions| o.read_timeout = Duration::from_millis(100);
    let (odd, good, client) = beside(silent, short).await;
    assert_eq!(client.get::<u32>(&Request::get("/nodes/pve9/status")).await.unwrap(), 2);
    assert_eq!(client.get::<u32>(&Request::get("/nodes/pve1/status")).await.unwrap(), 1);
    assert_eq!((odd.seen().len(), good.seen().len()), (2, 1));
}

#[tokio::test]
async fn what_one_endpoint_cannot_reach_another_one_may() {
    let unreachable = |_: &Seen| Reply::Answer(595, "No route to host", String::new());
    let (odd, good, client) = beside(unreachable, |_| {}).await;
    assert_eq!(client.get::<u32>(&Request::get("/nodes/pve9/status")).await.unwrap(), 2);
    assert_eq!((odd.seen().len(), good.seen().len()), (1, 1));
}

#[tokio::test]
async fn an_endpoint_that_comes_back_serves_again() {
    let (first, second, client) = beside(
        |_| data(&json!(1)),
        |o| {
            o.skip_after_failure = Duration::ZERO;
        },
    )
    .await;
    let about_first = Request::get("/nodes/pve1/status");
    first.serve(false);
    for _ in 0..3 {
        assert_eq!(client.get::<u32>(&about_first).await.unwrap(), 2);
    }
    first.serve(true);
    assert_eq!(client.get::<u32>(&about_first).await.unwrap(), 1);
    assert_eq!((first.seen().len(), second.seen().len()), (1, 3));
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
