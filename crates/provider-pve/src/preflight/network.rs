//! Bridges and VNets of nodes.

use pvx_core::preflight::place::{Bridge, Interface};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{ApiPath, Listing, Request};
use crate::cluster::Cluster;
use crate::read::is_set;

/// A row of `/nodes/{node}/network?type=any_bridge`: bridges and VNets that the token may see
/// (pve-manager `API2/Network.pm`).
#[derive(Debug, Deserialize)]
struct Row {
    iface: String,
    #[serde(default)]
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
        let listing: Listing<Vec<Row>> = match self.client.get_page(&request).await {
            Ok(listing) => listing,
            Err(error) => {
                tracing::debug!(%error, "preflight: bridges are not known");
                return Vec::new();
            }
        };
        bridges(node, listing)
    }
}

/// What is known to be in force: nothing when changes wait to be applied, the list is of those
/// (`PVE::INotify::read_file`, the file `interfaces.new`).
fn bridges(node: &str, listing: Listing<Vec<Row>>) -> Vec<Bridge> {
    if listing.changes.is_some_and(|changes| !changes.trim().is_empty()) {
        return Vec::new();
    }
    // Of an interface that the token may not see its other names may be left.
    let seen = listing.rows.into_iter().filter(|row| !row.r#type.is_empty());
    seen.map(|row| bridge(node, row)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Vec<Bridge> {
        bridges("pve1", serde_json::from_str(json).unwrap())
    }

    #[test]
    fn bridges_as_they_are_told() {
        let found = read(
            r#"{"data":[
            {"iface":"vmbr0","type":"bridge","bridge_ports":"eth0","active":1,
             "address":"10.99.7.11","cidr":"10.99.7.11/24","bridge_fd":"0","families":["inet"]},
            {"iface":"vmbr1","type":"bridge","bridge_ports":"","bridge_vlan_aware":1},
            {"iface":"vmbr2","type":"OVSBridge","ovs_ports":"eth1"},
            {"iface":"blue","type":"vnet","vlanaware":1,"active":"1"},
            {"iface":"hidden","altnames":["enx1"]}]}"#,
        );
        let names: Vec<&str> = found.iter().map(|bridge| bridge.name.as_str()).collect();
        assert_eq!(names, ["vmbr0", "vmbr1", "vmbr2", "blue"]);
        let linux: Vec<_> =
            found.iter().map(|b| b.linux.as_ref().map(|l| (l.vlan_aware, l.has_ports))).collect();
        assert_eq!(linux, [Some((false, true)), Some((true, false)), None, None]);
        assert_eq!(found[0].addresses.len(), 1);
    }

    #[test]
    fn what_waits_to_be_applied_proves_nothing() {
        let row = r#""data":[{"iface":"vmbr0","type":"bridge"}]"#;
        assert_eq!(read(&format!("{{{row}}}")).len(), 1);
        assert_eq!(read(&format!(r#"{{{row},"changes":"--- a\n+++ b\n"}}"#)), []);
    }
}
