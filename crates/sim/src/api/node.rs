//! `/nodes`, and of a node: index, status, network, version.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::guest::status::memory_mib;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::node::Node;

const NETWORK_TYPES: &[&str] = &[
    "bridge",
    "bond",
    "eth",
    "alias",
    "vlan",
    "fabric",
    "OVSBridge",
    "OVSBond",
    "OVSPort",
    "OVSIntPort",
    "vnet",
    "any_bridge",
    "any_local_bridge",
    "include_sdn",
];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes", list),
    Endpoint::get("/nodes/{node}", super::indexes::node),
    Endpoint::get("/nodes/{node}/status", status)
        .may(Permission::All("/nodes/{node}", &["Sys.Audit"])),
    Endpoint::get("/nodes/{node}/version", version),
    Endpoint::get("/nodes/{node}/network", network)
        .with(&[optional("type", Kind::Enum(NETWORK_TYPES))]),
];

/// The kernel that nodes run.
pub(crate) const KERNEL: &str = "6.17.4-2-pve";

/// Bytes of memory in use on a node without guests.
const MEMORY_BASE: u64 = 1 << 30;

/// Bytes of memory in use on a node: a base, and a part of what running guests have.
pub(crate) fn memory_used(world: &World, node: &str) -> u64 {
    let guests =
        world.guests.values().filter(|guest| guest.node == node && guest.running.is_some());
    MEMORY_BASE + guests.map(memory_of).sum::<u64>()
}

/// Bytes that a running guest takes of its node's memory.
fn memory_of(guest: &Guest) -> u64 {
    (memory_mib(guest.get("memory")) << 20) / 4
}

/// Bytes of memory in use without guests, by node.
pub(crate) fn idle_memory(world: &World) -> BTreeMap<&str, u64> {
    world.nodes.keys().map(|name| (name.as_str(), MEMORY_BASE)).collect()
}

/// Adds what a guest takes if it runs.
pub(crate) fn add_memory(used: &mut BTreeMap<&str, u64>, guest: &Guest) {
    if guest.running.is_some()
        && let Some(used) = used.get_mut(guest.node.as_str())
    {
        *used += memory_of(guest);
    }
}

/// [`memory_used`] of every node, with one look at each guest.
pub(crate) fn memory_by_node(world: &World) -> BTreeMap<&str, u64> {
    let mut used = idle_memory(world);
    world.guests.values().for_each(|guest| add_memory(&mut used, guest));
    used
}

fn list(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let now = call.moment.now;
    let full = |node: &Node| call.may(&format!("/nodes/{}", node.name), &["Sys.Audit"]);
    let used = memory_by_node(call.world);
    let all = call.world.nodes.values().map(|node| {
        let mut item = json!({
            "id": format!("node/{}", node.name), "node": node.name, "type": "node",
            "status": if node.online { "online" } else { "offline" },
            "ssl_fingerprint": call.fingerprint, "level": "",
        });
        if let (true, Some(members)) = (full(node), item.as_object_mut()) {
            members.insert("maxcpu".to_owned(), json!(node.cpus));
            members.insert("maxmem".to_owned(), json!(node.memory));
            members.insert("maxdisk".to_owned(), json!(node.rootfs));
            if node.online {
                members.insert("cpu".to_owned(), json!(0.02));
                members.insert("mem".to_owned(), json!(used.get(node.name.as_str())));
                members.insert("disk".to_owned(), json!(node.rootfs / 15));
                members.insert("uptime".to_owned(), json!(node.uptime(now)));
            }
        }
        item
    });
    Ok(Value::Array(all.collect()).into())
}

fn version(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!({ "release": "9.2", "repoid": "14a22df35955d97d", "version": "9.2.11" }).into())
}

fn status(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = call.node();
    let Some(node) = call.world.nodes.get(&name) else {
        return Err(Refusal::die(format!("no such node '{name}'")));
    };
    let used = memory_used(call.world, &name);
    let disk = node.rootfs / 15;
    let kernel = KERNEL;
    Ok(json!({
        "uptime": node.uptime(call.moment.now), "cpu": 0.02, "wait": 0, "idle": 0,
        "loadavg": ["0.10", "0.12", "0.09"],
        "cpuinfo": {
            "cores": node.cpus, "cpus": node.cpus, "sockets": 1, "mhz": "2300.000", "user_hz": 100,
            "model": "Simulated CPU", "vendor": "GenuineIntel", "family": "6", "hvm": "1", "flags": "fpu vmx",
        },
        "memory": { "total": node.memory, "used": used, "free": node.memory.saturating_sub(used),
            "available": node.memory.saturating_sub(used) },
        "swap": { "total": 0, "used": 0, "free": 0 },
        "ksm": { "shared": 0 },
        "rootfs": { "total": node.rootfs, "used": disk, "free": node.rootfs - disk, "avail": node.rootfs - disk },
        "boot-info": { "mode": "legacy-bios" },
        "current-kernel": { "machine": "x86_64", "sysname": "Linux", "release": kernel, "version": "#1 SMP" },
        "kversion": format!("Linux {kernel} #1 SMP"),
        "pveversion": "pve-manager/9.2.11/14a22df35955d97d",
    })
    .into())
}

/// The network interfaces of a node; none when there is no such node.
pub(crate) fn interfaces(world: &World, name: &str) -> Vec<Value> {
    let Some(node) = world.nodes.get(name) else { return Vec::new() };
    let mut list = vec![json!({
        "iface": "eth0", "type": "eth", "active": 1, "exists": 1, "families": ["inet"], "method": "manual",
        "method6": "manual", "priority": 3,
    })];
    for (index, bridge) in node.bridges.iter().enumerate() {
        let options = node.bridge(bridge).unwrap_or_default();
        let mut item = json!({
            "iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "families": ["inet"],
            "method": "manual", "method6": "manual", "bridge_fd": "0", "bridge_stp": "off",
            "bridge_ports": options.ports.join(" "), "priority": 4 + index,
        });
        if let (true, Some(members)) = (options.vlan_aware, item.as_object_mut()) {
            members.insert("bridge_vlan_aware".to_owned(), json!(1));
            members.insert("bridge_vids".to_owned(), json!("2-4094"));
        }
        if let (0, Some(members)) = (index, item.as_object_mut()) {
            let mac: Vec<String> = node
                .ip
                .split('.')
                .filter_map(|part| part.parse::<u8>().ok())
                .map(|byte| format!("{byte:02x}"))
                .collect();
            members.insert("method".to_owned(), json!("static"));
            members.insert(
                "options".to_owned(),
                json!([format!("hwaddress 02:00:{}", mac.join(":"))]),
            );
            members.insert("address".to_owned(), json!(node.ip));
            members.insert("cidr".to_owned(), json!(format!("{}/24", node.ip)));
            members.insert("netmask".to_owned(), json!("24"));
            let gateway = node.ip.rsplit_once('.').map(|(network, _)| format!("{network}.1"));
            members.insert("gateway".to_owned(), json!(gateway));
        }
        list.push(item);
    }
    list
}

fn network(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let wanted = call.params.get("type");
    let mut list = interfaces(call.world, &call.node());
    let matches = |item: &Value| match wanted {
        None => true,
        Some("any_bridge" | "any_local_bridge" | "include_sdn") => {
            item.get("type") == Some(&json!("bridge"))
        }
        Some(kind) => item.get("type") == Some(&json!(kind)),
    };
    list.retain(matches);
    Ok(Value::Array(list).into())
}
