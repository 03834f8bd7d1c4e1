//! What runs on a node, asked while guests come and go.

use pvx_core::live::GuestRef;
use pvx_core::provider::{ErrorClass, Reader};
use pvx_provider_pve::Cluster;
use serde_json::json;

use crate::server::{Reply, Server, data};

const GONE: &str = "Configuration file 'nodes/pve1/qemu-server/300.conf' does not exist";

/// A node whose list fails so many times because a guest goes meanwhile.
async fn node(failures: usize) -> Server {
    let failed = std::sync::atomic::AtomicUsize::new(0);
    Server::start(move |seen| {
        if seen.target.ends_with("/pending") {
            return data(&json!([{ "key": "name", "value": "web" }]));
        }
        if failed.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < failures {
            let body = json!({ "data": null, "message": format!("{GONE}\n") });
            return Reply::Answer(500, GONE, body.to_string());
        }
        data(&json!([{ "vmid": 100, "status": "running" }]))
    })
    .await
}

#[tokio::test]
async fn a_list_that_a_vanishing_guest_broke_is_asked_once_more() {
    let wanted = [GuestRef { vmid: 100, node: "pve1".to_owned() }];
    let asked = |server: &Server| {
        server.seen().iter().filter(|seen| seen.target.ends_with("/nodes/pve1/qemu")).count()
    };
    for (failures, requests) in [(0, 1), (1, 2)] {
        let server = node(failures).await;
        let guests = Cluster::new(server.client()).guests(&wanted, true).await.unwrap();
        assert!(guests[0].running, "{failures}");
        assert_eq!(asked(&server), requests);
    }
    let server = node(2).await;
    let error = Cluster::new(server.client()).guests(&wanted, true).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::Missing);
    assert_eq!(asked(&server), 2);
}
