//! Nodes.

use super::Builder;
use crate::spec::format::{BridgeSpec, NodeSpec, WorldFile};
use crate::spec::problem::At;
use crate::spec::value::{Many, WordOr};
use crate::world::node::{Bridge, Node};

/// The nodes of a cluster that is made from nothing.
const DEFAULT: u32 = 3;
/// More nodes than a cluster has anywhere.
const MOST: u32 = 1000;

/// `pve1`, `pve2`, …
pub(super) fn numbered(number: u32) -> String {
    format!("pve{number}")
}

/// The names of the nodes that a file lists.
pub(super) fn names(file: &WorldFile) -> Vec<String> {
    match &file.nodes {
        None => Vec::new(),
        Some(Many::Count(count)) => (1..=*count.min(&MOST)).map(numbered).collect(),
        Some(Many::List(list)) => list.iter().filter_map(name_of).collect(),
        Some(Many::Map(map)) => map.keys().cloned().collect(),
    }
}

fn name_of(node: &WordOr<NodeSpec>) -> Option<String> {
    match node {
        WordOr::Word(name) => Some(name.clone()),
        WordOr::Full(spec) => spec.name.clone(),
    }
}

/// A host name as the installer takes it.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

impl Builder<'_> {
    pub(super) fn nodes(&mut self, file: &WorldFile) {
        let top = At::top("nodes");
        let wanted = file.generate.as_ref().map_or(0, |generate| generate.nodes);
        match &file.nodes {
            None if self.fresh && wanted == 0 => self.counted(&top, DEFAULT),
            None => {}
            Some(Many::Count(0)) => {
                self.wrong(&top, "a cluster has at least one node", None);
            }
            Some(Many::Count(count)) => self.counted(&top, *count),
            Some(Many::List(list)) if list.is_empty() => {
                self.wrong(&top, "a cluster has at least one node", None);
            }
            Some(Many::List(list)) => self.listed(&top, list),
            Some(Many::Map(map)) => {
                for (name, spec) in map {
                    self.node(&top.key(name), name, spec);
                }
            }
        }
        if let Some(generate) = &file.generate {
            let (at, most) = (At::top("generate"), wanted.min(MOST));
            if wanted > MOST {
                self.wrong(&at.key("nodes"), format!("at most {MOST} nodes are made"), None);
            }
            let mut number = 0;
            while self.world.nodes.len() < most as usize && number < 2 * MOST {
                number += 1;
                if !self.world.nodes.contains_key(&numbered(number)) {
                    self.node(&at.key("node"), &numbered(number), &generate.node);
                }
            }
        }
    }

    fn counted(&mut self, at: &At<'_>, count: u32) {
        if count > MOST {
            self.wrong(at, format!("a cluster has at most {MOST} nodes here"), None);
        }
        for number in 1..=count.min(MOST) {
            self.node(at, &numbered(number), &NodeSpec::default());
        }
    }

    fn listed(&mut self, top: &At<'_>, list: &[WordOr<NodeSpec>]) {
        let mut seen = std::collections::BTreeSet::new();
        for (index, item) in list.iter().enumerate() {
            let at = top.item(index);
            let Some(name) = name_of(item) else {
                let help = Some("add 'name: pve1'".to_owned());
                self.wrong(&at, "a node needs a name", help);
                continue;
            };
            if !seen.insert(name.clone()) {
                self.wrong(&at, format!("node '{name}' is listed twice"), None);
            }
            match item {
                WordOr::Word(_) => self.node(&at, &name, &NodeSpec::default()),
                WordOr::Full(spec) => self.node(&at, &name, spec),
            }
        }
    }

    fn node(&mut self, at: &At<'_>, name: &str, spec: &NodeSpec) {
        if !is_name(name) {
            let help = Some("letters, digits and '-', 63 at most".to_owned());
            self.wrong(at, format!("'{name}' is no name of a node"), help);
            return;
        }
        let next = self.world.nodes.values().map(|node| node.id).max().unwrap_or(0) + 1;
        let mut node = self.world.nodes.remove(name).unwrap_or_else(|| Node::new(name, next));
        if node.id > 240 && spec.ip.is_none() {
            node.ip = format!("198.18.{}.{}", node.id / 200, node.id % 200 + 10);
        }
        if let Some(id) = spec.id {
            if self.world.nodes.values().any(|other| other.id == id) {
                self.wrong(&at.key("id"), format!("another node has the id {id}"), None);
            }
            node.id = id;
        }
        if let Some(ip) = &spec.ip {
            if ip.parse::<std::net::IpAddr>().is_err() {
                self.wrong(&at.key("ip"), format!("'{ip}' is no IP address"), None);
            }
            node.ip.clone_from(ip);
        }
        node.cpus = spec.cpus.unwrap_or(node.cpus);
        node.memory = spec.memory.map_or(node.memory, |size| size.0);
        node.rootfs = spec.rootfs.map_or(node.rootfs, |size| size.0);
        node.online = spec.online.unwrap_or(node.online);
        if let Some(bridges) = &spec.bridges {
            self.bridges(&at.key("bridges"), &mut node, bridges);
        }
        if node.cpus == 0 || node.memory == 0 {
            self.wrong(at, format!("node '{name}' has no processor or no memory"), None);
        }
        self.world.add_node(node);
    }

    fn bridges(&mut self, at: &At<'_>, node: &mut Node, bridges: &[WordOr<BridgeSpec>]) {
        node.bridges.clear();
        node.bridge_options.clear();
        for (index, bridge) in bridges.iter().enumerate() {
            let spec = match bridge {
                WordOr::Word(name) => {
                    node.bridges.push(name.clone());
                    continue;
                }
                WordOr::Full(spec) => spec,
            };
            if spec.name.is_empty() {
                let help = Some("add 'name: vmbr0'".to_owned());
                self.wrong(&at.item(index), "a bridge needs a name", help);
                continue;
            }
            let usual = || if index == 0 { vec!["eth0".to_owned()] } else { Vec::new() };
            let ports = spec.ports.clone().unwrap_or_else(usual);
            let options = Bridge { vlan_aware: spec.vlan_aware, ports };
            node.bridges.push(spec.name.clone());
            node.bridge_options.insert(spec.name.clone(), options);
        }
    }
}
