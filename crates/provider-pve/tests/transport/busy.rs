//! Held locks, in refusals and at the end of tasks: the same texts mean the same.

use std::time::Duration;

use pvx_core::address::Address;
use pvx_core::plan::{Action, ActionId, ActionKind, Effect, Reason};
use pvx_core::provider::{ErrorClass, ProviderError, Writer};
use pvx_provider_pve::Cluster;
use serde_json::json;

use crate::server::{Reply, Server, data};

const UPID: &str = "UPID:pve1:00000EAB:0008608E:6B034FB8:qmclone:100:root@pam!lab:";

/// Texts, and whether they say that a lock is held.
const TEXTS: [(&str, bool); 6] = [
    ("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", true),
    ("clone failed: cfs-lock 'storage-shared' error: got lock request timeout", true),
    ("VM is locked (backup)", true),
    ("clone failed: cfs-lock 'storage-shared' error: no quorum!", false),
    ("VM quit/powerdown failed - got timeout", false),
    ("storage 'nosuch' does not exist", false),
];

async fn refused(text: &'static str) -> ProviderError {
    let server = Server::start(move |_| {
        let body = json!({ "data": null, "message": format!("{text}\n") });
        Reply::Answer(500, text, body.to_string())
    })
    .await;
    let start = Action {
        id: ActionId(0),
        address: Address::new("k3s", "w01"),
        vmid: 100,
        node: "pve1".to_owned(),
        kind: ActionKind::Start,
        reason: Reason::new("test", "test"),
        effect: Effect::Live,
        preconditions: Vec::new(),
        storages: Vec::new(),
    };
    let error = Cluster::new(server.client()).begin(&start, None).await.unwrap_err();
    assert_eq!(server.seen().len(), 1, "the executor repeats, nobody else");
    error
}

async fn failed(text: &'static str) -> ProviderError {
    let server = Server::start(move |seen| {
        if seen.target.contains("/log?") {
            data(&json!([{ "n": 1, "t": "trying to acquire lock..." }]))
        } else {
            data(&json!({ "status": "stopped", "exitstatus": text }))
        }
    })
    .await;
    Cluster::new(server.client()).wait(UPID, Duration::from_secs(20)).await.unwrap_err()
}

#[tokio::test]
async fn a_held_lock_is_busy() {
    for (text, busy) in TEXTS {
        let of_refusal = if busy { ErrorClass::Busy } else { ErrorClass::Refused };
        let of_task = if busy { ErrorClass::Busy } else { ErrorClass::Failed };
        let (refused, failed) = (refused(text).await, failed(text).await);
        assert_eq!((refused.class, failed.class), (of_refusal, of_task), "{text}");
        assert!(refused.message.contains(text) && failed.message.contains(text));
        assert_eq!(failed.log, ["trying to acquire lock..."]);
    }
}
