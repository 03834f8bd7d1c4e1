//! An apply while one of the nodes' addresses stops answering, and comes back.

use std::net::SocketAddr;
use std::sync::Arc;

use pvx_core::plan::Intent;
use pvx_core::provider::Reader;
use pvx_provider_pve::Cluster;
use pvx_provider_pve::client::{Client, ClientOptions, Endpoint, Fingerprint, TlsTrust};
use pvx_provider_pve::credentials::TokenSource;
use pvx_sim::{LabOptions, World};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::harness::Lab;

/// An address of the cluster that can be shut: then what is open breaks off, and nobody answers.
struct Door {
    address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
    passed: watch::Receiver<usize>,
}

impl Door {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, opened) = watch::channel(true);
        let (count, passed) = watch::channel(0);
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let mut opened = opened.clone();
                if !*opened.borrow_and_update() {
                    continue;
                }
                count.send_modify(|count| *count += 1);
                tokio::spawn(async move {
                    let mut inside = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                        _ = opened.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open: Arc::new(open), passed }
    }

    fn endpoint(&self, node: &str) -> Endpoint {
        self.address.to_string().parse::<Endpoint>().unwrap().with_node(node)
    }

    fn connections(&self) -> usize {
        *self.passed.borrow()
    }
}

fn world() -> World {
    World::lab_with(LabOptions {
        cluster: "big".to_owned(),
        nodes: (1..=3).map(|n| format!("pve{n}")).collect(),
        storages: Vec::new(),
        bridges: Vec::new(),
    })
}

/// The lab, reached by a door for each of its nodes.
async fn behind_doors() -> (Lab, Vec<Door>) {
    let lab = Lab::start_faster(world(), 20).await;
    let mut doors = Vec::new();
    for _ in 0..3 {
        doors.push(Door::to(lab.sim.addr()).await);
    }
    let (id, secret) = lab.sim.token();
    let token = TokenSource::Inline(format!("{id}={secret}").into()).load().await.unwrap();
    let pin: Fingerprint = lab.sim.fingerprint().parse().unwrap();
    let named = doors.iter().zip(["pve1", "pve2", "pve3"]);
    let endpoints = named.map(|(door, node)| door.endpoint(node)).collect();
    let mut options = ClientOptions::new(endpoints, TlsTrust::Fingerprints(vec![pin]), token);
    options.skip_after_failure /= 100;
    let cluster = Cluster::new(Client::new(options).unwrap()).waiting(lab.cluster.waits());
    (lab.by(cluster), doors)
}

const DOCUMENT: &str = "name: big\ntype: generic\ntemplate: debian-13\nclone: linked\ntags: [big]\n\
    nodes:\n  controlplane: { count: 1, start_vmid: auto }\n  workers: { count: 23, start_vmid: auto, placement: spread }\n";

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_goes_and_comes_back_in_the_middle_of_an_apply() {
    let (lab, doors) = behind_doors().await;
    let documents = lab.documents(&[("big.yaml", DOCUMENT.to_owned())]);
    let plan = lab.plan(&documents, Intent::Apply).await;
    assert_eq!(plan.counts().create, 24);
    // Shut between two requests of the apply, and opened again when it is nearly done.
    let begun =
        |lab: &Lab| lab.sim.requests().iter().filter(|r| r.path.ends_with("/clone")).count();
    let door = Arc::clone(&doors[1].open);
    let mut shut = false;
    let watched = async {
        loop {
            if !shut && begun(&lab) >= 6 {
                door.send_replace(false);
                shut = true;
            }
            if begun(&lab) >= 20 {
                door.send_replace(true);
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (failures, ()) = tokio::join!(lab.attempt(&plan), watched);
    // A write whose answer broke off is told as what it is, and nothing else fails.
    for failure in &failures {
        let class = failure.class;
        assert_eq!(class, pvx_core::provider::ErrorClass::OutcomeUnknown, "{failure:?}");
    }
    assert!(doors[1].connections() > 0, "it served before");
    let inventory = lab.cluster().inventory().await.unwrap();
    assert!(inventory.guests.len() > 20, "{} guests", inventory.guests.len());
    let again = lab.plan(&documents, Intent::Apply).await;
    lab.carry_out(&again).await;
    assert!(lab.plan(&documents, Intent::Apply).await.is_empty());
}
