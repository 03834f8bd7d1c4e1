//! What keeps QEMU from starting a guest whose configuration is well formed
//! (`config_to_command`, and the network script).

use super::format::list;
use super::property::parse;
use super::status::memory_mib;
use super::{devices, formats, keys, machine, network};
use crate::world::World;
use crate::world::guest::Guest;

/// Refuses a guest that cannot run on its node. The lines are what the task says before its error.
pub(crate) fn check(world: &World, guest: &Guest, log: &mut Vec<String>) -> Result<(), String> {
    let machine = guest.get("machine").unwrap_or_default();
    machine::runs(machine, &guest.node)?;
    devices::check(world, guest)?;
    processors(world, guest, log)?;
    devices::check_display(guest)?;
    memory(guest)?;
    machine::check(machine)?;
    devices::check_directories(world, guest)?;
    huge_pages(world, guest)?;
    cards(world, guest, log)?;
    allocation(world, guest, log)
}

fn number(guest: &Guest, key: &str, default: u64) -> u64 {
    guest.get(key).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn processors(world: &World, guest: &Guest, log: &mut Vec<String>) -> Result<(), String> {
    let most = number(guest, "sockets", 1).saturating_mul(number(guest, "cores", 1));
    let allowed = world.nodes.get(&guest.node).map_or(u64::MAX, |node| u64::from(node.cpus));
    if allowed < most {
        return Err(format!("MAX {allowed} vcpus allowed per VM on this node"));
    }
    if number(guest, "vcpus", most) > most {
        log.push(
            "kvm: Invalid CPU topology: maxcpus must be equal to or greater than smp".to_owned(),
        );
        return Err("start failed: QEMU exited with code 1".to_owned());
    }
    Ok(())
}

/// Memory that can grow needs NUMA and a gigabyte to start from.
fn memory(guest: &Guest) -> Result<(), String> {
    let plugs = guest.get("hotplug").is_some_and(|value| list(value).any(|word| word == "memory"));
    let size = memory_mib(guest.get("memory"));
    let huge = guest.get("hugepages") == Some("1024");
    if plugs {
        if !guest.flag("numa") {
            return Err("NUMA needs to be enabled for memory hotplug".to_owned());
        }
        if guest.config.keys().any(|key| key != "numa" && keys::is_numbered(key, "numa")) {
            return Err("cannot enable memory hotplugging with custom NUMA topology".to_owned());
        }
        let least = match huge {
            true => 1024_u64.saturating_mul(number(guest, "sockets", 1)),
            false => 1024,
        };
        if size < least {
            return Err(format!("minimum memory must be {least}MB"));
        }
    }
    if guest.get("hugepages").is_some() && !guest.flag("numa") {
        return Err("numa needs to be enabled to use hugepages at /usr/share/perl5/PVE/QemuServer/Memory.pm line 388.".to_owned());
    }
    let shares = |key: &&String| keys::is_numbered(key, "virtiofs");
    if plugs && guest.config.keys().any(|key| shares(&key)) {
        let text = "Memory hotplug does not work in combination with virtio-fs.";
        return Err(text.to_owned());
    }
    if guest.flag("numa") {
        nodes(guest, size)?;
    }
    if plugs { modules(guest, huge, size) } else { Ok(()) }
}

/// Huge pages are taken before QEMU starts, and never from swap.
fn huge_pages(world: &World, guest: &Guest) -> Result<(), String> {
    let most = world.nodes.get(&guest.node).map_or(u64::MAX, |node| node.memory);
    let wanted = memory_mib(guest.get("memory")) << 20;
    if guest.get("hugepages").is_some() && wanted > most {
        let text =
            "hugepage allocation failed at /usr/share/perl5/PVE/QemuServer/Memory.pm line 690.";
        return Err(text.to_owned());
    }
    Ok(())
}

/// QEMU maps each piece of memory at once, and Linux refuses one that is larger than all memory
/// and swap of the node, which has none. Modules that are plugged are pieces of their own.
fn allocation(world: &World, guest: &Guest, log: &mut Vec<String>) -> Result<(), String> {
    let most = world.nodes.get(&guest.node).map_or(u64::MAX, |node| node.memory);
    let plugs = guest.get("hotplug").is_some_and(|value| list(value).any(|word| word == "memory"));
    let shared_out = guest.config.keys().any(|key| key != "numa" && keys::is_numbered(key, "numa"));
    let numa = guest.flag("numa");
    let pieces = if numa { number(guest, "sockets", 1).max(1) } else { 1 };
    let piece = (memory_mib(guest.get("memory")) << 20) / pieces;
    if plugs || (numa && shared_out) || piece <= most {
        return Ok(());
    }
    let name = if numa { "ram-node0" } else { "pc.ram" };
    log.push(format!("kvm: cannot set up guest memory '{name}': Cannot allocate memory"));
    Err("start failed: QEMU exited with code 1".to_owned())
}

/// NUMA nodes of the guest share out all of its memory.
fn nodes(guest: &Guest, size: u64) -> Result<(), String> {
    let mut sum = 0_u64;
    for (key, value) in guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "numa")) {
        let node = parse(formats::NUMA, value).unwrap_or_default();
        let Some(memory) = node.get("memory").and_then(|text| text.parse::<u64>().ok()) else {
            let number = key.trim_start_matches("numa");
            return Err(format!("missing NUMA node{number} memory value"));
        };
        if node.get("hostnodes").is_some() && node.get("policy").is_none() {
            let nodes = node.get("hostnodes").unwrap_or_default();
            return Err(format!("you need to define a policy for hostnode {nodes}"));
        }
        sum = sum.saturating_add(memory);
    }
    if sum > 0 && sum != size {
        return Err("total memory for NUMA nodes must be equal to vm static memory".to_owned());
    }
    Ok(())
}

/// What is beyond the memory that is there from the start comes in modules, 32 of a size
/// (`foreach_dimm`).
fn modules(guest: &Guest, huge: bool, wanted: u64) -> Result<(), String> {
    let (sockets, smallest) = if huge { (number(guest, "sockets", 1), 1024) } else { (1, 512) };
    let mut size = 1024_u64.saturating_mul(sockets);
    for module in (0..8).flat_map(|step| std::iter::repeat_n(smallest << step, 32)) {
        if size >= wanted {
            break;
        }
        size = size.saturating_add(module);
        if size > wanted {
            return Err(format!(
                "memory size ({wanted}) must be aligned to {module} for hotplugging"
            ));
        }
    }
    Ok(())
}

/// The MTU of bridges.
const MTU: u32 = 1500;

/// The MTU of a virtio card, which is read from its bridge (`print_netdevice_full`).
fn mtu(world: &World, guest: &Guest) -> Result<(), String> {
    let Some(node) = world.nodes.get(&guest.node) else { return Ok(()) };
    let mut all: Vec<_> = guest.config.iter().collect();
    all.retain(|(key, _)| keys::is_numbered(key, "net"));
    all.sort_by_key(|(key, _)| keys::split_number(key).map(|(_, number)| number));
    for (key, value) in all {
        let card = parse(formats::NET, value).unwrap_or_default();
        let Some(bridge) = card.get("bridge").filter(|_| card.get("model") == Some("virtio"))
        else {
            continue;
        };
        if !node.bridges.iter().any(|found| found == bridge) {
            return Err(format!("bridge '{bridge}' does not exist"));
        }
        match card.get("mtu").and_then(|text| text.parse::<u32>().ok()) {
            Some(mtu) if mtu != 1 && mtu < 576 => {
                return Err(format!(
                    "netdev {key}: MTU '{mtu}' is smaller than the IP minimum MTU '576'"
                ));
            }
            Some(mtu) if mtu > MTU => {
                return Err(format!(
                    "netdev {key}: MTU '{mtu}' is bigger than the bridge MTU '{MTU}' - adjust the MTU for the network device in the VM configuration, while ensuring that the bridge is configured as desired."
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A card's bridge has to be on the node: the script that QEMU runs looks for it.
fn cards(world: &World, guest: &Guest, log: &mut Vec<String>) -> Result<(), String> {
    mtu(world, guest)?;
    let Some(node) = world.nodes.get(&guest.node) else { return Ok(()) };
    for (key, value) in guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "net")) {
        let card = parse(formats::NET, value).unwrap_or_default();
        let Err((text, status)) = network::plug(node, &card) else { continue };
        let number = key.trim_start_matches("net");
        let scripts = "script=/usr/libexec/qemu-server/pve-bridge,downscript=/usr/libexec/qemu-server/pve-bridgedown";
        log.push(text);
        log.push(format!(
            "kvm: -netdev type=tap,id={key},ifname=tap{}i{number},{scripts},vhost=on: network script /usr/libexec/qemu-server/pve-bridge failed with status {status}",
            guest.vmid
        ));
        return Err("start failed: QEMU exited with code 1".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_that_cannot_run() {
        let world = World::truth();
        for (config, error) in [
            (&[("cores", "2")][..], None),
            (&[("cores", "3")], Some("MAX 2 vcpus allowed per VM on this node")),
            (
                &[("hotplug", "memory"), ("memory", "2048")],
                Some("NUMA needs to be enabled for memory hotplug"),
            ),
            (&[("hotplug", "disk,memory"), ("numa", "1")], Some("minimum memory must be 1024MB")),
            (
                &[("hotplug", "memory"), ("numa", "1"), ("memory", "2100")],
                Some("memory size (2100) must be aligned to 512 for hotplugging"),
            ),
            (&[("hotplug", "memory"), ("numa", "1"), ("memory", "2560")], None),
            (
                &[
                    ("hotplug", "memory"),
                    ("numa", "1"),
                    ("hugepages", "1024"),
                    ("sockets", "2"),
                    ("memory", "1024"),
                ],
                Some("minimum memory must be 2048MB"),
            ),
            (
                &[("numa", "1"), ("memory", "2048"), ("numa0", "cpus=0,memory=1024")],
                Some("total memory for NUMA nodes must be equal to vm static memory"),
            ),
            (&[("numa", "1"), ("numa0", "cpus=0")], Some("missing NUMA node0 memory value")),
            (&[("numa0", "cpus=0,memory=1024")], None),
            (&[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0")], None),
            (
                &[("cores", "3"), ("hostpci0", "mapping=card")],
                Some("PCI device mapping not found for 'card'"),
            ),
            (
                &[("cores", "3"), ("virtiofs0", "x1")],
                Some("MAX 2 vcpus allowed per VM on this node"),
            ),
            (
                &[("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr9")],
                Some("start failed: QEMU exited with code 1"),
            ),
            (
                &[("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0,trunks=2;3")],
                Some("start failed: QEMU exited with code 1"),
            ),
            (&[("net0", "e1000=BC:24:11:00:00:01,bridge=vmbr0,tag=5")], None),
            (&[("memory", "4000000")], Some("start failed: QEMU exited with code 1")),
            (
                &[("memory", "4000000"), ("numa", "1"), ("hugepages", "2")],
                Some(
                    "hugepage allocation failed at /usr/share/perl5/PVE/QemuServer/Memory.pm line 690.",
                ),
            ),
            (
                &[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr9")],
                Some("bridge 'vmbr9' does not exist"),
            ),
            (&[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,mtu=1")], None),
            (
                &[("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0,mtu=500")],
                Some("netdev net0: MTU '500' is smaller than the IP minimum MTU '576'"),
            ),
            (
                &[
                    ("net10", "virtio=BC:24:11:00:00:01,bridge=vmbr9"),
                    ("net2", "virtio=BC:24:11:00:00:02,bridge=vmbr0,mtu=9000"),
                ],
                Some(
                    "netdev net2: MTU '9000' is bigger than the bridge MTU '1500' - adjust the MTU for the network device in the VM configuration, while ensuring that the bridge is configured as desired.",
                ),
            ),
        ] {
            let mut log = Vec::new();
            let found = check(&world, &Guest::new(100, "pve1", config), &mut log).err();
            assert_eq!(found.as_deref(), error, "{config:?}");
        }
    }
}
