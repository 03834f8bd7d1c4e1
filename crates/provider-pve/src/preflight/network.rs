//! Bridges and VNets of nodes.

use pvx_core::preflight::place::{Bridge, Interface};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{ApiPath, Request};
use crate::cluster::Cluster;
use crate::read::is_set;

/// A row of `/nodes/{node}/network?type=any_bridge`: bridges and VNets that the token may see
/// (pve-manager `API2/Network.pm`).
#[derive(Debug, Deserialize)]
struct Row {
    iface: String,
    r#type: String,
    #[serde(default)]
    bridge_ports: Option<String>,
    #[serde(default)]
    bridge_vlan_aware: Option<Value>,
    #[serde(default)]
    address: Option<String>,
    #[serde(default)]
    address6: Option<String>,
}

impl Cluster {
    pub(super) async fn bridges(&self, node: &str) -> Vec<Bridge> {
        let path = ApiPath::new("/nodes/{}/network", &[&node]);
        let request = Request::get(path).parameter("type", "any_bridge");
        let rows: Vec<Row> = self.known(&request).await.unwrap_or_default();
        rows.into_iter().map(|row| bridge(node, row)).collect()
    }
}

fn bridge(node: &str, row: Row) -> Bridge {
    // Of others nothing is concluded: Open vSwitch carries every VLAN, a VNet has its own rules.
    let linux = (row.r#type == "bridge").then(|| Interface {
        vlan_aware: is_set(row.bridge_vlan_aware.as_ref()),
        has_ports: row.bridge_ports.as_ref().is_none_or(|ports| !ports.trim().is_empty()),
    });
    let addresses = [row.address, row.address6].into_iter().flatten();
    Bridge {
        node: node.to_owned(),
        name: row.iface,
        linux,
        addresses: addresses.filter_map(|address| address.parse().ok()).collect(),
    }
}
