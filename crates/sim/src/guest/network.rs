//! Network cards: `netN` and their MAC addresses.

use super::property::split;

/// A random address below a prefix such as `BC:24:11`.
pub(crate) fn random_mac(prefix: &str) -> String {
    let bytes = uuid::Uuid::new_v4().into_bytes();
    let have = prefix.split(':').filter(|part| !part.is_empty()).count();
    let rest = bytes.iter().take(6usize.saturating_sub(have)).map(|byte| format!("{byte:02X}"));
    let parts: Vec<String> =
        prefix.split(':').map(str::to_owned).filter(|part| !part.is_empty()).chain(rest).collect();
    parts.join(":")
}

/// `virtio,bridge=vmbr0` as it is stored: model and address first, the rest by name. A missing
/// address is made, and with `renew` a present one is replaced.
pub(crate) fn normalise(value: &str, prefix: &str, renew: bool) -> String {
    let (mut model, mut mac, mut rest) = (String::new(), None, std::collections::BTreeMap::new());
    for (key, value) in split(value) {
        match key {
            None | Some("model") => model = value.to_owned(),
            Some("macaddr") => mac = Some(value.to_owned()),
            Some(key) if is_model(key) => {
                model = key.to_owned();
                mac = Some(value.to_owned());
            }
            Some(key) => {
                rest.insert(key, value);
            }
        }
    }
    let mac = mac.filter(|_| !renew).unwrap_or_else(|| random_mac(prefix));
    let mut out = format!("{model}={}", mac.to_ascii_uppercase());
    for (key, value) in rest {
        out.push_str(&format!(",{key}={value}"));
    }
    out
}

fn is_model(key: &str) -> bool {
    super::formats::NET.iter().any(|property| property.name == key && !property.model_of.is_empty())
}

/// The MAC address of a stored card.
pub(crate) fn mac(value: &str) -> Option<&str> {
    let found = split(value).into_iter().find(|(key, _)| key.is_some_and(is_model));
    found.map(|(_, mac)| mac)
}

/// The bridge of a card.
pub(crate) fn bridge(value: &str) -> Option<&str> {
    split(value).into_iter().find(|(key, _)| *key == Some("bridge")).map(|(_, bridge)| bridge)
}

/// The VLAN tag of a card.
pub(crate) fn tag(value: &str) -> Option<&str> {
    split(value).into_iter().find(|(key, _)| *key == Some("tag")).map(|(_, tag)| tag)
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
        assert_eq!(normalise(kept, "BC:24:11", false), "e1000=AA:00:00:00:00:01,bridge=b,tag=5");
        assert!(!normalise(kept, "BC:24:11", true).contains("AA:00"));
        assert_eq!((bridge(kept), tag(kept)), (Some("b"), Some("5")));
    }
}
