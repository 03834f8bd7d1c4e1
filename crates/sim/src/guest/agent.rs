//! The guest agent: configured, running, what it says.

use serde_json::{Value, json};

use super::property::Values;
use super::{keys, network};
use crate::world::guest::Guest;

/// Whether `agent` is on.
pub(crate) fn configured(guest: &Guest) -> bool {
    guest.get("agent").is_some_and(|value| Values::parse(value, "enabled").flag("enabled"))
}

/// Whether a system runs inside and has booted.
pub(crate) fn booted(guest: &Guest, now: i64) -> bool {
    let running = guest.running.as_ref().filter(|running| !running.paused);
    running.and_then(|running| running.booted_ms).is_some_and(|at| at <= now)
}

/// Whether the agent answers: the system has booted and QEMU has the channel to it.
pub(crate) fn answers(guest: &Guest, now: i64) -> bool {
    configured(guest) && booted(guest, now)
}

/// `network-get-interfaces`: loopback, and every card with the address of its `ipconfigN`.
pub(crate) fn interfaces(guest: &Guest) -> Value {
    let mut all = vec![interface(
        "lo",
        "00:00:00:00:00:00",
        vec![address("ipv4", "127.0.0.1", 8), address("ipv6", "::1", 128)],
    )];
    let mut cards: Vec<(&str, u32, &str)> = guest
        .config
        .iter()
        .filter_map(|(key, value)| {
            let (stem, number) = keys::split_number(key)?;
            (stem == "net").then_some((key.as_str(), number, value.as_str()))
        })
        .collect();
    cards.sort_by_key(|(_, number, _)| *number);
    for (_, number, value) in cards {
        let mac = network::mac(value).unwrap_or_default().to_ascii_lowercase();
        let mut addresses = Vec::new();
        if let Some((ip, bits)) = ipv4(guest, number) {
            addresses.push(address("ipv4", &ip, bits));
        }
        if let Some(link) = link_local(&mac) {
            addresses.push(address("ipv6", &link, 64));
        }
        all.push(interface(&format!("eth{number}"), &mac, addresses));
    }
    Value::Array(all)
}

/// The address that cloud-init gives a card; with `dhcp` one made of the VMID.
fn ipv4(guest: &Guest, number: u32) -> Option<(String, u64)> {
    let config = guest.get(&format!("ipconfig{number}"))?;
    let values = Values::parse(config, "ip");
    match values.get("ip")? {
        "dhcp" => Some((format!("198.18.{}.{}", guest.vmid / 250 % 250, guest.vmid % 250 + 2), 15)),
        cidr => {
            let (ip, bits) = cidr.split_once('/')?;
            Some((ip.to_owned(), bits.parse().ok()?))
        }
    }
}

fn link_local(mac: &str) -> Option<String> {
    let bytes: Vec<u8> =
        mac.split(':').filter_map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let [a, b, c, d, e, f] = bytes.as_slice() else { return None };
    let groups = [
        u16::from_be_bytes([a ^ 2, *b]),
        u16::from_be_bytes([*c, 0xff]),
        u16::from_be_bytes([0xfe, *d]),
        u16::from_be_bytes([*e, *f]),
    ];
    let [g1, g2, g3, g4] = groups;
    Some(std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, g1, g2, g3, g4).to_string())
}

fn address(kind: &str, ip: &str, prefix: u64) -> Value {
    json!({ "ip-address": ip, "ip-address-type": kind, "prefix": prefix })
}

fn interface(name: &str, mac: &str, addresses: Vec<Value>) -> Value {
    let names = [
        "rx-bytes",
        "rx-packets",
        "rx-errs",
        "rx-dropped",
        "tx-bytes",
        "tx-packets",
        "tx-errs",
        "tx-dropped",
    ];
    let statistics: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    json!({ "name": name, "hardware-address": mac, "ip-addresses": addresses, "statistics": statistics })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_from_cloud_init() {
        let guest = Guest::new(
            4110,
            "pve1",
            &[
                ("net0", "virtio=BC:24:11:EB:40:3D,bridge=vmbr0"),
                ("ipconfig0", "ip=10.99.7.140/24"),
            ],
        );
        let all = interfaces(&guest);
        assert_eq!(all[1]["ip-addresses"][0]["ip-address"], "10.99.7.140");
        assert_eq!(all[1]["ip-addresses"][1]["ip-address"], "fe80::be24:11ff:feeb:403d");
        assert!(!configured(&guest));
        assert!(configured(&Guest::new(1, "a", &[("agent", "enabled=1,fstrim_cloned_disks=1")])));
        assert!(!configured(&Guest::new(1, "a", &[("agent", "0")])));
    }
}
