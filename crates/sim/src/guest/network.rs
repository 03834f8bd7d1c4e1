//! Network cards: `netN` and their MAC addresses.

use super::property::{Values, parse, split};
use crate::world::node::Node;

/// A random address below a prefix such as `BC:24:11`.
pub(crate) fn random_mac(prefix: &str) -> String {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    // A prefix may end in the middle of a byte.
    let random = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let random = random.filter_map(|digit| char::from_digit(u32::from(digit), 16));
    let digits = prefix.chars().filter(|letter| *letter != ':').chain(random).take(12);
    let mut out = String::new();
    for (index, digit) in digits.enumerate() {
        if index > 0 && index % 2 == 0 {
            out.push(':');
        }
        out.push(digit.to_ascii_uppercase());
    }
    out
}

/// `virtio,bridge=vmbr0` as it is stored (`parse_net` and `print_net`): model and address first,
/// the rest by name. A missing address is made, and with `renew` a present one is replaced.
pub(crate) fn normalise(value: &str, prefix: &str, renew: bool) -> String {
    let mut values = parse(super::formats::NET, value).unwrap_or_default().0;
    let model = values.remove("model").unwrap_or_default();
    let mac = values.remove("macaddr").filter(|_| !renew).unwrap_or_else(|| random_mac(prefix));
    let rest = values.into_iter().map(|(key, value)| format!(",{key}={value}"));
    format!("{model}={mac}{}", rest.collect::<String>())
}

/// Plugs a card into its bridge (pve-common `PVE/Network.pm`, tap_plug and activate_bridge_vlan).
/// The text of the error, and the status with which the script of QEMU ends.
pub(crate) fn plug(node: &Node, card: &Values) -> Result<(), (String, u32)> {
    let Some(name) = card.get("bridge") else { return Ok(()) };
    let Some(bridge) = node.bridge(name) else {
        return Err((format!("bridge '{name}' does not exist"), 512));
    };
    if bridge.vlan_aware {
        return Ok(());
    }
    if card.get("trunks").is_some_and(|trunks| !trunks.is_empty()) {
        let text = "vlan aware feature need to be enabled to use trunks at /usr/share/perl5/PVE/Network.pm line 418.";
        return Err((text.to_owned(), 6400));
    }
    if card.get("tag").is_some() && bridge.ports.is_empty() {
        return Err((format!("no physical interface on bridge '{name}'"), 6400));
    }
    Ok(())
}

fn is_model(key: &str) -> bool {
    super::formats::NET.iter().any(|property| property.name == key && !property.model_of.is_empty())
}

/// The MAC address of a stored card.
pub(crate) fn mac(value: &str) -> Option<&str> {
    let found = split(value).into_iter().find(|(key, _)| key.is_some_and(is_model));
    found.map(|(_, mac)| mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_get_an_address_and_an_order() {
        let made = normalise("virtio,firewall=1,bridge=vmbr0", "BC:24:11", false);
        assert!(made.starts_with("virtio=BC:24:11:"), "{made}");
        assert!(made.ends_with(",bridge=vmbr0,firewall=1"), "{made}");
        assert_eq!(mac(&made).map(str::len), Some(17));
        let kept = "e1000=aa:00:00:00:00:01,tag=5,bridge=b";
        assert_eq!(normalise(kept, "BC:24:11", false), "e1000=aa:00:00:00:00:01,bridge=b,tag=5");
        let spelled = "macaddr=AA:00:00:00:00:01,bridge=b,model=virtio,firewall=on";
        assert_eq!(
            normalise(spelled, "BC:24:11", false),
            "virtio=AA:00:00:00:00:01,bridge=b,firewall=1"
        );
        assert!(!normalise(kept, "BC:24:11", true).contains("aa:00"));
    }
}
