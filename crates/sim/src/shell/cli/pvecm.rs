//! `pvecm` (`PVE::CLI::pvecm`, and corosync-quorumtool that it calls).

use serde_json::Value;

use super::super::Shell;
use super::table::cell;
use super::{Action, After, Command, Own, command};
use crate::api::endpoint::Method::Get;
use crate::world::node::Node;

pub(super) const COMMANDS: &[Command] = &[
    command("qdevice remove", &[], " ", 0, Action::Refused),
    command("qdevice setup", &[], " <address> [OPTIONS]", 0, Action::Refused),
    command("addnode", &[], " <node> [OPTIONS]", 1, Action::Refused),
    command(
        "apiver",
        &[],
        " ",
        1,
        Action::Api(Get, "/cluster/config/apiversion", After::Print(version)),
    ),
    command("create", &[], " <clustername> [OPTIONS]", 1, Action::Refused),
    command("delnode", &[], " <node>", 1, Action::Refused),
    command("add", &[], " <hostname> [OPTIONS]", 2, Action::Refused),
    command("expected", &[], " <expected>", 2, Action::Refused),
    command("keygen", &[], " <filename>", 2, Action::Refused),
    command("mtunnel", &[], " [<extra-args>] [OPTIONS]", 2, Action::Refused),
    command("nodes", &[], " ", 2, Action::Own(Own::ClusterNodes, &[])),
    command("status", &[], " ", 2, Action::Own(Own::ClusterStatus, &[])),
    command("updatecerts", &[], "  [OPTIONS]", 2, Action::Refused),
];

fn version(value: &Value) -> String {
    format!("{}\n", cell(value))
}

impl Shell {
    /// The nodes that this one sees, by id.
    fn members(&self) -> Vec<Node> {
        let world = self.shared.world();
        let mut nodes: Vec<Node> =
            world.nodes.values().filter(|node| node.online).cloned().collect();
        nodes.sort_by_key(|node| node.id);
        nodes
    }

    pub(super) fn cluster_status(&self) -> String {
        let members = self.members();
        let now = self.shared.clock.moment().seconds();
        let world = self.shared.world();
        let expected = world.nodes.len();
        let own = world.nodes.get(&self.node).map_or(0, |node| node.id);
        let quorate = world.quorate();
        let date = jiff::Timestamp::from_second(now).unwrap_or_default();
        let mut out = format!(
            "Cluster information\n-------------------\nName:             {}\nConfig Version:   {expected}\nTransport:        knet\nSecure auth:      on\n\n",
            world.cluster
        );
        let lowest = members.first().map_or(1, |node| node.id);
        out.push_str(&format!(
            "Quorum information\n------------------\nDate:             {}\nQuorum provider:  corosync_votequorum\nNodes:            {}\nNode ID:          0x{own:08x}\nRing ID:          {lowest}.1e\nQuorate:          {}\n\n",
            date.strftime("%a %b %e %H:%M:%S %Y"),
            members.len(),
            if quorate { "Yes" } else { "No" }
        ));
        let blocked = if quorate { "" } else { " Activity blocked" };
        let flags = if quorate { "Quorate " } else { "" };
        out.push_str(&format!(
            "Votequorum information\n----------------------\nExpected votes:   {expected}\nHighest expected: {expected}\nTotal votes:      {}\nQuorum:           {} {blocked} \nFlags:            {flags}\n\n",
            members.len(),
            expected / 2 + 1
        ).replace("  Activity", " Activity").replace("blocked ", "blocked"));
        out.push_str(
            "Membership information\n----------------------\n    Nodeid      Votes Name\n",
        );
        for node in &members {
            let local = if node.name == self.node { " (local)" } else { "" };
            out.push_str(&format!("0x{:08x}          1 {}{local}\n", node.id, node.ip));
        }
        out
    }

    pub(super) fn cluster_nodes(&self) -> String {
        let mut out =
            "\nMembership information\n----------------------\n    Nodeid      Votes Name\n"
                .to_owned();
        for node in self.members() {
            let local = if node.name == self.node { " (local)" } else { "" };
            out.push_str(&format!("{:>10}          1 {}{local}\n", node.id, node.name));
        }
        out
    }
}
