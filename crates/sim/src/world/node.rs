//! Nodes of the cluster.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A Linux bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// `bridge-vlan-aware`: every VLAN passes, with or without a port.
    #[serde(default)]
    pub vlan_aware: bool,
    /// Physical interfaces that are its ports.
    #[serde(default)]
    pub ports: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Host name.
    pub name: String,
    /// Corosync node id, from 1.
    pub id: u32,
    /// Address without prefix length, as in `/cluster/status`.
    pub ip: String,
    /// Whether the node runs; what lives on an offline node cannot be reached (595).
    pub online: bool,
    /// Logical processors.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory: u64,
    /// Root file system in bytes.
    pub rootfs: u64,
    /// Bridges, `vmbr0` first.
    pub bridges: Vec<String>,
    /// What is peculiar about bridges, by name. Without it the first one has the port `eth0`, the
    /// others have none, and none is VLAN-aware.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bridge_options: BTreeMap<String, Bridge>,
    /// Sim time of boot, milliseconds since the epoch; 0 means an hour before anyone looks.
    #[serde(default)]
    pub booted_ms: i64,
    /// Its own configuration file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) config: BTreeMap<String, String>,
    /// It was switched on and has yet to start what starts with it.
    #[serde(default)]
    pub(crate) boots: bool,
}

impl Node {
    /// An online node with 16 processors and 64 GiB.
    #[must_use]
    pub fn new(name: &str, id: u32) -> Self {
        Self {
            name: name.to_owned(),
            id,
            ip: format!("192.0.2.{}", id.saturating_add(10)),
            online: true,
            cpus: 16,
            memory: 64 << 30,
            rootfs: 100 << 30,
            bridges: vec!["vmbr0".to_owned()],
            bridge_options: BTreeMap::new(),
            booted_ms: 0,
            config: BTreeMap::new(),
            boots: false,
        }
    }

    /// A bridge of the node.
    #[must_use]
    pub fn bridge(&self, name: &str) -> Option<Bridge> {
        let place = self.bridges.iter().position(|bridge| bridge == name)?;
        let usual = || {
            let ports = if place == 0 { vec!["eth0".to_owned()] } else { Vec::new() };
            Bridge { vlan_aware: false, ports }
        };
        Some(self.bridge_options.get(name).cloned().unwrap_or_else(usual))
    }

    /// Seconds since boot at `now` (sim ms).
    #[must_use]
    pub fn uptime(&self, now: i64) -> i64 {
        if !self.online {
            return 0;
        }
        if self.booted_ms == 0 { 3600 } else { (now - self.booted_ms).max(0) / 1000 }
    }
}
