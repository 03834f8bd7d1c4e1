//! What a handler works with.

use std::collections::BTreeMap;

use serde_json::Value;

use super::carried::Carried;
use super::params::Params;
use super::refusal::Refusal;
use crate::clock::Moment;
use crate::work::Work;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::lock::LockName;

/// An answer: the value of `data`, and `total` for lists that are cut.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) data: Data,
    pub(crate) total: Option<usize>,
}

/// A value, JSON text already, or a file that stands for itself.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    Value(Value),
    Text(Vec<u8>),
    File(Vec<u8>),
}

impl Reply {
    /// Serialises at once, without a tree in between.
    pub(crate) fn text(value: &impl serde::Serialize) -> Self {
        let data = Data::Text(serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec()));
        Self { data, total: None }
    }
}

impl Data {
    /// The value, for calls from within.
    pub(crate) fn value(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text(text) => serde_json::from_slice(&text).unwrap_or(Value::Null),
            Self::File(bytes) => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

impl From<Value> for Reply {
    fn from(value: Value) -> Self {
        Self { data: Data::Value(value), total: None }
    }
}

/// A request on its way.
pub(crate) struct Call<'a> {
    pub(crate) world: &'a mut World,
    pub(crate) params: Params,
    pub(crate) caller: Caller,
    pub(crate) moment: Moment,
    /// The SHA-256 of the certificate, as Proxmox VE prints it.
    pub(crate) fingerprint: &'a str,
}

impl Call<'_> {
    /// The node of the path.
    pub(crate) fn node(&self) -> String {
        self.params.get("node").unwrap_or_default().to_owned()
    }

    /// The guest id of the path.
    pub(crate) fn vmid(&self) -> u32 {
        self.params.get("vmid").and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The guest of the path, or the error of `load_config`.
    pub(crate) fn guest(&self) -> Result<&Guest, Refusal> {
        load_config(self.world, &self.node(), self.vmid())
    }

    /// The guest of the path, or the error of `check_running`.
    pub(crate) fn checked_guest(&self) -> Result<&Guest, Refusal> {
        let (node, vmid) = (self.node(), self.vmid());
        let found = self.world.guests.get(&vmid).filter(|guest| guest.node == node);
        found.ok_or_else(|| {
            Refusal::die(format!(
                "unable to find configuration file for VM {vmid} on node '{node}'"
            ))
        })
    }

    /// `check_cfs_quorum`: refuses at once when the cluster's configuration cannot be written.
    pub(crate) fn check_quorum(&self) -> Result<(), Refusal> {
        super::quorum::check(self.world)
    }

    /// `cfs_lock`: a cluster-wide lock, which is not to be had without quorum. `failed` is what
    /// stands before the error, if anything does.
    pub(crate) fn cfs_lock(&self, lock: &str, failed: &str) -> Result<(), Refusal> {
        super::quorum::lock(self.world, lock, failed)
    }

    /// Refuses while a task holds a guest's configuration lock.
    pub(crate) fn config_lock(&self, vmid: u32) -> Result<(), Refusal> {
        let lock = LockName::Config(vmid);
        if self.world.locks.free(&lock, true, None) {
            return Ok(());
        }
        Err(Refusal::Blocked { lock, wait_ms: 10_000, before: String::new() })
    }

    /// Starts a task on a node and answers its UPID.
    pub(crate) fn fork(&mut self, node: &str, kind: &str, id: &str, work: Work) -> Reply {
        let user = self.caller.authid.clone();
        let upid = crate::work::fork(self.world, self.moment, node, kind, id, &user, work);
        Value::String(upid).into()
    }

    /// Starts a task of the guest in the path.
    pub(crate) fn fork_guest(&mut self, kind: &str, work: Work) -> Result<Reply, Refusal> {
        let (node, vmid) = (self.node(), self.vmid());
        Ok(self.fork(&node, kind, &vmid.to_string(), work))
    }

    /// Does work of the guest in the path as a task does it, without one that anybody sees; the
    /// answer is its outcome.
    pub(crate) fn carry_guest(&mut self, work: Work) -> Refusal {
        let (node, vmid) = (self.node(), self.vmid().to_string());
        let user = self.caller.authid.clone();
        let key = crate::work::carry(self.world, self.moment, &node, &vmid, &user, work);
        Refusal::Carried(Carried { key, until: None, before: String::new() })
    }

    pub(crate) fn require(&self, path: &str, wanted: &[&str]) -> Result<(), Refusal> {
        self.world.require(&self.caller, path, wanted)
    }

    pub(crate) fn may(&self, path: &str, wanted: &[&str]) -> bool {
        self.world.may_any(&self.caller, path, wanted)
    }

    /// Which guests the caller may see. What holds for a guest depends on its pool, unless an
    /// entry of the ACL names the guest: one check a pool stands for all of its guests.
    pub(crate) fn visible_guests(&self) -> impl Fn(u32) -> bool + '_ {
        let (world, who) = (&*self.world, self.caller.authid.as_str());
        let root = self.caller.is_root();
        let sees = |pools: &[&str]| root || world.access.holds(who, "/vms/0", pools, "VM.Audit");
        let alone = sees(&[]);
        let mut pooled = BTreeMap::new();
        for (name, pool) in world.pools.iter().filter(|(_, pool)| !pool.guests.is_empty()) {
            let seen = sees(&[name]);
            pooled.extend(pool.guests.iter().map(|vmid| (*vmid, seen)));
        }
        let named = world.access.acl.iter().filter_map(|entry| {
            let vmid = entry.path.strip_prefix("/vms/")?.parse::<u32>().ok()?;
            Some((vmid, self.may(&entry.path, &["VM.Audit"])))
        });
        pooled.extend(named);
        move |vmid| pooled.get(&vmid).copied().unwrap_or(alone)
    }

    /// `check_lock`: refuses while the property `lock` is set.
    pub(crate) fn check_lock(&self, guest: &Guest) -> Result<(), Refusal> {
        check_lock(guest).map_err(Refusal::die)
    }
}

/// The guest on a node, or the error of `PVE::AbstractConfig::load_config`.
pub(crate) fn load_config<'a>(
    world: &'a World,
    node: &str,
    vmid: u32,
) -> Result<&'a Guest, Refusal> {
    let found = world.guests.get(&vmid).filter(|guest| guest.node == node);
    found.ok_or_else(|| Refusal::die(no_config(node, vmid)))
}

/// What `load_config` says of a missing guest.
pub(crate) fn no_config(node: &str, vmid: u32) -> String {
    format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
}

/// The error of `check_lock`, if the guest is locked.
pub(crate) fn check_lock(guest: &Guest) -> Result<(), String> {
    match guest.get("lock") {
        Some(lock) => Err(format!("VM is locked ({lock})")),
        None => Ok(()),
    }
}

/// Refuses a node that the cluster does not have.
pub(crate) fn check_node(world: &World, node: &str) -> Result<(), Refusal> {
    if world.nodes.contains_key(node) {
        return Ok(());
    }
    Err(Refusal::die(format!("no such cluster node '{node}'")))
}
