//! A port for each node: who answers there, and what is seen when the node is off.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use pvx_sim::{NodeOff, Options, Sim, TimeScale, World};
use support::{Client, Who};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const WORLD: &str = "
from: lab
guests: [{vmid: 200, name: web, node: pve2}]
";

struct Cluster {
    sim: Sim,
    who: Who,
}

impl Cluster {
    async fn start(node_off: NodeOff) -> Self {
        let world = World::from_yaml(WORLD).unwrap();
        let (id, secret) = world.token();
        let who = Who::token(id, secret);
        let options = Options {
            node_listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            node_off,
            time_scale: TimeScale::INSTANT,
            ..Options::default()
        };
        Self { sim: Sim::start(world, options).await.unwrap(), who }
    }

    fn port(&self, node: &str) -> SocketAddr {
        self.sim.node_addrs().iter().find(|port| port.node == node).unwrap().address
    }

    /// The answer's data at the port of a node.
    async fn get(&self, node: &str, path: &str) -> serde_json::Value {
        let client = Client::new(self.port(node));
        let answer = client.call(&self.who, "GET", path, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["data"].clone()
    }

    fn power(&self, node: &str, on: bool) {
        assert!(self.sim.edit(|world| world.set_node_online(node, on)));
    }
}

#[tokio::test]
async fn each_node_speaks_of_itself_and_passes_on_what_is_for_others() {
    let cluster = Cluster::start(NodeOff::Reset).await;
    assert_eq!(cluster.sim.node_addrs().len(), 3);
    for node in ["pve1", "pve2", "pve3"] {
        let status = cluster.get(node, "/cluster/status").await;
        let local: Vec<&str> = status
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["local"] == 1)
            .map(|row| row["name"].as_str().unwrap())
            .collect();
        assert_eq!(local, [node]);
        assert_eq!(cluster.get(node, "/nodes/pve2/qemu/200/config").await["name"], "web");
        let here = cluster.get(node, "/nodes/localhost/qemu").await;
        assert_eq!(here.as_array().unwrap().iter().any(|row| row["vmid"] == 200), node == "pve2");
    }
    // What is for no node is done, and logged, by the one that was asked.
    let client = Client::new(cluster.port("pve3"));
    let path = "/cluster/bulk-action/guest/start";
    let answer = client.call(&cluster.who, "POST", path, &[("vms", "200")]).await;
    assert!(answer.body["data"].as_str().unwrap().starts_with("UPID:pve3:"), "{answer:?}");
    assert_eq!(cluster.sim.requests().last().unwrap().asked.as_deref(), Some("pve3"));
    // The port of all is answered by the first that runs, as ever.
    let all = Client::new(cluster.sim.addr());
    let answer = all.call(&cluster.who, "POST", path, &[("vms", "200")]).await;
    assert!(answer.body["data"].as_str().unwrap().starts_with("UPID:pve1:"), "{answer:?}");
}

#[tokio::test]
async fn a_node_that_is_off_resets_and_answers_again_when_it_is_back() {
    let cluster = Cluster::start(NodeOff::Reset).await;
    let mut open = TcpStream::connect(cluster.port("pve2")).await.unwrap();
    // Only what is served already is cut off; a request by another connection comes after it.
    cluster.get("pve2", "/version").await;
    cluster.power("pve2", false);
    let ended = tokio::time::timeout(Duration::from_secs(20), open.read(&mut [0])).await;
    assert!(!matches!(ended.unwrap(), Ok(1..)));
    let mut new = TcpStream::connect(cluster.port("pve2")).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), new.read(&mut [0])).await;
    assert!(!matches!(ended.unwrap(), Ok(1..)));
    let other = Client::new(cluster.port("pve1"));
    let answer = other.call(&cluster.who, "GET", "/nodes/pve2/qemu/200/config", &[]).await;
    assert_eq!((answer.status, answer.reason.as_str()), (595, "No route to host"));
    cluster.power("pve2", true);
    cluster.get("pve2", "/version").await;
}

#[tokio::test]
async fn packets_to_a_silent_node_vanish_until_it_is_back() {
    let cluster = Cluster::start(NodeOff::Silent).await;
    cluster.power("pve2", false);
    let mut new = TcpStream::connect(cluster.port("pve2")).await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(100), new.read(&mut [0])).await;
    assert!(nothing.is_err(), "{nothing:?}");
    cluster.power("pve2", true);
    let ended = tokio::time::timeout(Duration::from_secs(20), new.read(&mut [0])).await;
    assert!(!matches!(ended.unwrap(), Ok(1..)));
    cluster.get("pve2", "/version").await;
}
