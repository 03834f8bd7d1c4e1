//! What a snippet is written with, and what is refused. The writing itself is tested with the
//! whole program (`tests/e2e/cloudinit.rs`).

use pvx_core::address::Address;
use pvx_core::plan::{Action, ActionId, ActionKind, Effect, Reason};
use pvx_core::provider::{ErrorClass, Reader, Writer};
use pvx_provider_pve::Secrets;
use pvx_provider_pve::ssh::{Ssh, SshOptions};
use pvx_sim::World;

use crate::harness::Lab;

/// SHA-256 of `content`.
const SHA256: &str = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";

fn action() -> Action {
    Action {
        id: ActionId(0),
        address: Address::new("k3s", "w01"),
        vmid: 1000,
        node: "pve1".to_owned(),
        kind: ActionKind::Snippet {
            storage: "local".to_owned(),
            name: "pvx-k3s-w01-user-ed7002b439e9.yaml".to_owned(),
            sha256: SHA256.to_owned(),
        },
        reason: Reason::new("snippet", "test"),
        effect: Effect::Create,
        preconditions: Vec::new(),
        storages: Vec::new(),
    }
}

#[tokio::test]
async fn only_the_content_that_was_planned_is_written() {
    let lab = Lab::start(World::lab()).await;
    let with = |content: Option<&str>| {
        let contents = content.map(|text| (SHA256.to_owned(), text.into()));
        let contents = contents.into_iter().collect();
        lab.cluster().clone().with_secrets(Secrets { contents, ..Secrets::default() })
    };
    for (content, message) in [
        (None, "is not the one that was planned"),
        (Some("other"), "is not the one that was planned"),
        (Some("content"), "SSH to pve1 is not set up"),
    ] {
        let error = with(content).begin(&action(), None).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Refused);
        assert!(error.message.ends_with(message), "{content:?}: {error}");
    }
    let nowhere = Ssh::new(SshOptions::new([].into(), std::env::temp_dir()));
    let error = with(Some("content")).with_ssh(nowhere).begin(&action(), None).await.unwrap_err();
    assert!(error.message.contains("nobody knows its host"), "{error}");
}

#[tokio::test]
async fn snippets_are_listed_by_node_and_storage() {
    let lab = Lab::start(World::lab()).await;
    lab.sim.edit(|world| {
        world.write_file("pve1", "/var/lib/vz/snippets/a.yaml", b"a", 0);
    });
    let place = |node: &str| (node.to_owned(), "local".to_owned());
    let found = lab.cluster().snippets(&[place("pve1"), place("pve2")]).await.unwrap();
    assert!(found[&place("pve1")].contains("a.yaml"));
    assert!(found[&place("pve2")].is_empty());
}
