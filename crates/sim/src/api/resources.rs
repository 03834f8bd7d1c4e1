//! `/cluster/resources`: written straight to JSON, since there may be tens of thousands.

use serde::Serialize;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::guest::status::measure;
use crate::world::World;
use crate::world::guest::Guest;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::get("/cluster/resources", resources)
    .with(&[optional("type", Kind::Enum(&["vm", "storage", "node", "sdn"]))])];

/// pvestatd reports every 10 s.
const LAG_MS: i64 = 10_000;

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Guest(Box<GuestItem<'a>>),
    Node(NodeItem<'a>),
    Storage(StorageItem<'a>),
    Network(NetworkItem<'a>),
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
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    late: Option<Late>,
}

/// What pvestatd reports.
#[derive(Serialize)]
struct Late {
    name: String,
    template: u8,
    maxcpu: u64,
    maxmem: u64,
    maxdisk: u64,
    cpu: u8,
    mem: u64,
    memhost: u64,
    disk: u8,
    netin: u8,
    netout: u8,
    diskread: u8,
    diskwrite: u8,
    uptime: i64,
}

#[derive(Serialize)]
struct NodeItem<'a> {
    id: String,
    r#type: &'static str,
    node: &'a str,
    status: &'static str,
    level: &'static str,
    hastate: &'static str,
    maxcpu: u32,
    maxmem: u64,
    maxdisk: u64,
    cpu: f64,
    mem: u64,
    disk: u64,
    uptime: i64,
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
    let mut items = Vec::new();
    if wants("vm") {
        guests(call, &mut items);
    }
    if wants("node") {
        nodes(call, &mut items);
    }
    if wants("storage") {
        storages(call, &mut items);
    }
    if wants("sdn") {
        networks(call, &mut items);
    }
    Ok(Reply::text(&items))
}

fn guests<'a>(call: &'a Call<'_>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    // Entries for single guests are rare: without any, one check stands for all.
    let single = !world.pools.is_empty()
        || world.access.acl.iter().any(|entry| entry.path.starts_with("/vms/"));
    let all = !single && call.may("/vms", &["VM.Audit"]);
    let pools: std::collections::BTreeMap<u32, &str> = world
        .pools
        .iter()
        .flat_map(|(name, pool)| pool.guests.iter().map(move |vmid| (*vmid, name.as_str())))
        .collect();
    for guest in world.guests.values() {
        if all || (single && call.may(&format!("/vms/{}", guest.vmid), &["VM.Audit"])) {
            let pool = pools.get(&guest.vmid).copied();
            items.push(Item::Guest(Box::new(guest_item(world, guest, pool, call.moment.now))));
        }
    }
}

fn guest_item<'a>(
    world: &World,
    guest: &'a Guest,
    pool: Option<&'a str>,
    now: i64,
) -> GuestItem<'a> {
    // With the lag on, values are those of the last 10 s tick: a guest newer than that is unknown.
    let unknown = world.lag && guest.since_ms > now - now.rem_euclid(LAG_MS);
    let running = guest.running.as_ref();
    let status = match running {
        _ if unknown => "unknown",
        Some(_) => "running",
        None => "stopped",
    };
    let size = measure(guest);
    let used = if running.is_some() { size.memory / 4 } else { 0 };
    let late = Late {
        name: guest.name(),
        template: u8::from(guest.template()),
        maxcpu: size.cpus,
        maxmem: size.memory,
        maxdisk: size.disk,
        cpu: 0,
        mem: used,
        memhost: used,
        disk: 0,
        netin: 0,
        netout: 0,
        diskread: 0,
        diskwrite: 0,
        uptime: running.map_or(0, |running| (now - running.since_ms).max(0) / 1000),
    };
    GuestItem {
        id: format!("qemu/{}", guest.vmid),
        r#type: "qemu",
        vmid: guest.vmid,
        node: &guest.node,
        status,
        tags: guest.get("tags"),
        lock: guest.get("lock"),
        pool,
        late: (!unknown).then_some(late),
    }
}

fn nodes<'a>(call: &'a Call<'_>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    for node in world.nodes.values() {
        if !call.may(&format!("/nodes/{}", node.name), &["Sys.Audit"]) {
            continue;
        }
        let state = if node.online { "online" } else { "offline" };
        items.push(Item::Node(NodeItem {
            id: format!("node/{}", node.name),
            r#type: "node",
            node: &node.name,
            status: state,
            level: "",
            hastate: state,
            maxcpu: node.cpus,
            maxmem: node.memory,
            maxdisk: node.rootfs,
            cpu: 0.02,
            mem: super::node::memory_used(world, &node.name),
            disk: node.rootfs / 15,
            uptime: node.uptime(call.moment.now),
            cgroup_mode: 2,
        }));
    }
}

fn storages<'a>(call: &'a Call<'_>, items: &mut Vec<Item<'a>>) {
    let world = &*call.world;
    for storage in world.storages.values() {
        if !call.may(
            &format!("/storage/{}", storage.id),
            &["Datastore.Audit", "Datastore.AllocateSpace"],
        ) {
            continue;
        }
        for node in world.nodes.values().filter(|node| storage.on_node(&node.name)) {
            items.push(Item::Storage(StorageItem {
                id: format!("storage/{}/{}", node.name, storage.id),
                r#type: "storage",
                node: &node.name,
                storage: &storage.id,
                status: if node.online { "available" } else { "unknown" },
                plugintype: storage.kind.name(),
                shared: u8::from(storage.shared),
                content: storage.content.join(","),
                maxdisk: storage.capacity,
                disk: world.used(&storage.id, &node.name),
            }));
        }
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
            status: if node.online { "ok" } else { "unknown" },
        }));
    }
}
