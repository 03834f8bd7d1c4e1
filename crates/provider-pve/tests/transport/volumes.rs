//! Names of a clone's volumes, which a plan cannot know.

use std::collections::BTreeMap;

use pvx_core::address::Address;
use pvx_core::live::GuestRef;
use pvx_core::plan::{Action, ActionId, ActionKind, Effect, Reason};
use pvx_core::provider::{Begun, Reader, Writer};
use pvx_provider_pve::Cluster;
use serde_json::json;

use crate::server::{Server, data};

#[tokio::test]
async fn names_that_go_with_the_digest_are_not_read_twice() {
    let server = Server::start(|seen| match seen.target.ends_with("/pending") {
        true => data(&json!([
            { "key": "scsi0", "value": "shared:100/vm-100-disk-3.qcow2,size=1G" },
            { "key": "digest", "value": "abc" },
        ])),
        false => data(&json!(null)),
    })
    .await;
    let cluster = Cluster::new(server.client());
    let drive = "shared:<volume of the clone>,discard=on";
    let action = Action {
        id: ActionId(0),
        address: Address::new("k3s", "w01"),
        vmid: 100,
        node: "pve1".to_owned(),
        kind: ActionKind::Configure {
            set: BTreeMap::from([("scsi0".to_owned(), drive.to_owned())]),
            delete: Vec::new(),
            background: false,
        },
        reason: Reason::new("test", "test"),
        effect: Effect::Live,
        preconditions: Vec::new(),
        storages: Vec::new(),
    };
    let guest = [GuestRef { vmid: 100, node: "pve1".to_owned() }];
    cluster.guests(&guest, false).await.unwrap();
    assert_eq!(cluster.begin(&action, Some("abc")).await, Ok(Begun::Done));
    assert_eq!(server.seen().len(), 2, "one reading, one write");
    let body = &server.seen()[1].body;
    assert!(body.contains("vm-100-disk-3.qcow2"), "{body}");
    // Another digest, or none, is another state: it is read again.
    cluster.begin(&action, None).await.unwrap();
    cluster.begin(&action, Some("def")).await.unwrap();
    assert_eq!(server.seen().len(), 6);
}
