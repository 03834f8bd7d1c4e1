//! `/cluster/resources`: written straight to JSON, since there may be tens of thousands.

use std::collections::BTreeMap;

use serde::Serialize;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::node::{add_memory, idle_memory, memory_by_node};
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::report::Reported;
use crate::world::storage::Storage;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/cluster/resources", resources)
    .with(&[optional("type", Kind::Enum(&["vm", "storage", "node", "sdn"]))])];

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Guest(Box<GuestItem<'a>>),
    Node(NodeItem<'a>),
    Storage(StorageItem<'a>),
    Network(NetworkItem<'a>),
    Pool(PoolItem<'a>),
}

#[derive(Serialize)]
struct PoolItem<'a> {
    id: String,
    r#type: &'static str,
    pool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxcpu: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxmem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<i64>,
}

#[derive(Serialize)]
struct GuestItem<'a> {
    id: String,
    r#type: &'static str,
    vmid: u32,
    node: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lock: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pool: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hastate: Option<Option<String>>,
    // What pvestatd reports.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxcpu: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxmem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxdisk: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memhost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netin: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netout: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diskread: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diskwrite: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<i64>,
}

#[derive(Serialize)]
struct NodeItem<'a> {
    id: String,
    r#type: &'static str,
    node: &'a str,
    status: &'static str,
    level: &'static str,
    hastate: &'static str,
    // What the last report said, without which nothing is known of use.
    #[serde(skip_serializing_if = "Option::is_none")]
    maxcpu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxmem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maxdisk: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mem: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime: Option<i64>,
    #[serde(rename = "cgroup-mode")]
    cgroup_mode: u8,
}

#[derive(Serialize)]
struct StorageItem<'a> {
    id: String,
    r#type: &'static str,
    node: &'a str,
    storage: &'a str,
    status: &'static str,
    plugintype: &'static str,
    shared: u8,
    content: String,
    maxdisk: u64,
    disk: u64,
}

#[derive(Serialize)]
struct NetworkItem<'a> {
    id: String,
    r#type: &'static str,
    node: &'a str,
    network: &'static str,
    #[serde(rename = "network-type")]
    network_type: &'static str,
    status: &'static str,
}

fn resources(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let wanted = call.params.get("type");
    let wants = |kind| wanted.is_none_or(|wanted| wanted == kind);
    let known = if wants("vm") { Known::of(call.world) } else { Known::default() };
    let mut items = Vec::new();
    if wanted.is_none() {
        pools(call, &known, &mut items);
    }
    if wants("vm") {
        guests(call, &known, &mut items);
    }
    if wants("node") {
        let used = if wants("vm") { known.used.clone() } else { memory_by_node(call.world) };
        nodes(call, &used, &mut items);
    }
    if wants("storage") {
        storages(call, &mut items);
    }
    // No type asks for these alone: `sdn` is for what older nodes report.
    if wanted.is_none() {
        networks(call, &mut items);
    }
    Ok(Reply::text(&items))
}

/// What is known of every guest. Pools, guests and nodes are made of it: walking over the
/// configurations of tens of thousands of guests once more costs as much as all the rest.
#[derive(Default)]
struct Known<'a> {
    /// In the order of their ids.
    guests: Vec<Seen<'a>>,
    /// Bytes of memory in use, by node.
    used: BTreeMap<&'a str, u64>,
}

/// A guest that was looked at.
struct Seen<'a> {
    guest: &'a Guest,
    reported: Option<Reported>,
    tags: Option<&'a str>,
    lock: Option<&'a str>,
}

impl<'a> Known<'a> {
    fn of(world: &'a World) -> Self {
        let mut used = idle_memory(world);
        let mut guests = Vec::with_capacity(world.guests.len());
        for guest in world.guests.values() {
            add_memory(&mut used, guest);
            guests.push(Seen::of(world, guest));
        }
        Self { guests, used }
    }

    fn get(&self, vmid: u32) -> Option<&Reported> {
        let at = self.guests.binary_search_by_key(&vmid, |seen| seen.guest.vmid).ok()?;
        self.guests.get(at)?.reported.as_ref()
    }
}

impl<'a> Seen<'a> {
    fn of(world: &World, guest: &'a Guest) -> Self {
        let reported = world.reported(guest);
        Self { guest, reported, tags: guest.get("tags"), lock: guest.get("lock") }
    }
}

/// Pools, with what their running guests have.
fn pools<'a>(call: &'a Call<'_>, known: &Known<'_>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    for (name, pool) in &world.pools {
        if !call.may(&format!("/pool/{name}"), &["Pool.Audit"]) {
            continue;
        }
        let members = pool.guests.iter().filter_map(|vmid| known.get(*vmid));
        let running: Vec<&Reported> = members.filter(|known| known.running).collect();
        let sum = |value: fn(&Reported) -> u64| {
            (!running.is_empty()).then(|| running.iter().copied().map(value).sum::<u64>())
        };
        let since = running.iter().map(|known| known.since_ms).min();
        items.push(Item::Pool(PoolItem {
            id: format!("/pool/{name}"),
            r#type: "pool",
            pool: name,
            cpu: sum(|_| 0),
            maxcpu: sum(|known| known.size.cpus),
            mem: sum(|known| known.size.memory / 4),
            maxmem: sum(|known| known.size.memory),
            uptime: since.map(|since| (call.moment.now - since).max(0) / 1000),
        }));
    }
}

fn guests<'a>(call: &'a Call<'_>, known: &'a Known<'a>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    let sees = call.visible_guests();
    // Who may not look at a pool does not learn what is in it.
    let visible = world.pools.iter();
    let visible = visible.filter(|(name, _)| call.may(&format!("/pool/{name}"), &["Pool.Audit"]));
    let pools: BTreeMap<u32, &str> = visible
        .flat_map(|(name, pool)| pool.guests.iter().map(move |vmid| (*vmid, name.as_str())))
        .collect();
    for seen in known.guests.iter().filter(|seen| sees(seen.guest.vmid)) {
        let pool = pools.get(&seen.guest.vmid).copied();
        items.push(Item::Guest(Box::new(guest_item(world, seen, pool, call.moment.now))));
    }
}

fn guest_item<'a>(
    world: &World,
    seen: &'a Seen<'a>,
    pool: Option<&'a str>,
    now: i64,
) -> GuestItem<'a> {
    let Seen { guest, tags, lock, .. } = *seen;
    let known = seen.reported.as_ref();
    let managed = world.ha.busy();
    let status = match known {
        None => "unknown",
        Some(known) if known.running => "running",
        Some(_) => "stopped",
    };
    let number = |value: fn(&Reported) -> u64| known.map(value);
    let used = number(|known| if known.running { known.size.memory / 4 } else { 0 });
    let uptime = |known: &Reported| {
        if known.running { (now - known.since_ms).max(0) / 1000 } else { 0 }
    };
    let zero = known.map(|_| 0);
    GuestItem {
        id: format!("qemu/{}", guest.vmid),
        r#type: "qemu",
        vmid: guest.vmid,
        node: &guest.node,
        status,
        tags,
        lock,
        pool,
        hastate: if managed { super::ha_resources::hastate(world, guest.vmid) } else { None },
        template: known.map(|known| u8::from(known.template)),
        maxcpu: number(|known| known.size.cpus),
        maxmem: number(|known| known.size.memory),
        maxdisk: number(|known| known.size.disk),
        mem: used,
        memhost: used,
        uptime: known.map(uptime),
        cpu: zero,
        disk: zero,
        netin: zero,
        netout: zero,
        diskread: zero,
        diskwrite: zero,
        name: known.map(|known| known.name.as_str()),
    }
}

/// A guest as a pool lists its members: without pool, tags and lock.
pub(super) fn guest_member(world: &World, guest: &Guest, now: i64) -> serde_json::Value {
    let seen = Seen::of(world, guest);
    let item = guest_item(world, &seen, None, now);
    serde_json::to_value(GuestItem { tags: None, lock: None, ..item }).unwrap_or_default()
}

/// A storage on a node as a pool lists its members.
pub(super) fn storage_member(world: &World, storage: &Storage, node: &str) -> serde_json::Value {
    let used = world.used(&storage.id, node);
    serde_json::to_value(storage_item(storage, node, used)).unwrap_or_default()
}

fn nodes<'a>(call: &'a Call<'_>, used: &BTreeMap<&str, u64>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    for node in world.nodes.values() {
        // Every node is listed; without the right to look at one, its use is not.
        let sees = call.may(&format!("/nodes/{}", node.name), &["Sys.Audit"]);
        let runs = sees && node.online;
        items.push(Item::Node(NodeItem {
            id: format!("node/{}", node.name),
            r#type: "node",
            node: &node.name,
            status: if node.online { "online" } else { "offline" },
            level: "",
            hastate: super::ha_status::node_state(world, &node.name),
            maxcpu: sees.then_some(node.cpus),
            maxmem: sees.then_some(node.memory),
            maxdisk: sees.then_some(node.rootfs),
            cpu: runs.then_some(0.02),
            mem: used.get(node.name.as_str()).copied().filter(|_| runs),
            disk: runs.then_some(node.rootfs / 15),
            uptime: runs.then(|| node.uptime(call.moment.now)),
            cgroup_mode: 2,
        }));
    }
}

fn storages<'a>(call: &'a Call<'_>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    for storage in world.storages.values() {
        if !call.may(&format!("/storage/{}", storage.id), &["Datastore.Audit"]) {
            continue;
        }
        // What is shared is the same from everywhere: one look at its volumes is enough.
        let mut shared = None;
        for node in world.nodes.values().filter(|node| storage.on_node(&node.name)) {
            let used = match shared {
                Some(used) => used,
                None => world.used(&storage.id, &node.name),
            };
            shared = storage.shared.then_some(used);
            items.push(Item::Storage(storage_item(storage, &node.name, used)));
        }
    }
}

fn storage_item<'a>(storage: &'a Storage, node: &'a str, used: u64) -> StorageItem<'a> {
    StorageItem {
        id: format!("storage/{node}/{}", storage.id),
        r#type: "storage",
        node,
        storage: &storage.id,
        // What was last reported of a storage stays, whatever became of its node.
        status: "available",
        plugintype: storage.kind.name(),
        shared: u8::from(storage.shared),
        content: storage.content.join(","),
        maxdisk: storage.capacity,
        disk: used,
    }
}

/// The zone that holds every node's own bridges.
fn networks<'a>(call: &'a Call<'_>, items: &mut Vec<Item<'a>>) {
    if !call.may("/sdn/zones/localnetwork", &["SDN.Audit"]) {
        return;
    }
    for node in call.world.nodes.values() {
        items.push(Item::Network(NetworkItem {
            id: format!("network/{}/zone/localnetwork", node.name),
            r#type: "network",
            node: &node.name,
            network: "localnetwork",
            network_type: "zone",
            status: "ok",
        }));
    }
}
