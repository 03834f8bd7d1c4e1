//! What names, tags and addresses may look like.

use std::net::IpAddr;

/// A lower-case DNS label: profiles, groups.
pub(crate) fn lower_label(text: &str) -> Result<String, String> {
    if text.chars().any(|c| c.is_ascii_uppercase()) {
        return Err("must be lower case".to_owned());
    }
    label(text)
}

/// A DNS label (RFC 1123): Proxmox VE takes a guest's name as its host name.
pub(crate) fn label(text: &str) -> Result<String, String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    if text.len() > 63 {
        return Err("is longer than 63 characters".to_owned());
    }
    if !text.chars().all(inner) || !edge(text.chars().next()) || !edge(text.chars().last()) {
        return Err(
            "must be letters, digits and '-', with a letter or digit at both ends".to_owned()
        );
    }
    Ok(text.to_owned())
}

/// The beginning of a guest's name, to which a number is added.
pub(crate) fn prefix(text: &str) -> Result<String, String> {
    label(&format!("{text}0")).map(|_| text.to_owned())
}

/// A guest tag in lower case, as Proxmox VE stores it (pve-common, JSONSchema `pve-tag`).
pub(crate) fn tag(text: &str) -> Result<String, String> {
    let tag = text.to_ascii_lowercase();
    let first = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let other = |c: char| first(c) || "+.-".contains(c);
    if !tag.starts_with(first) || !tag.chars().all(other) {
        return Err("a tag is letters, digits, '_', '+', '.' and '-', and begins with a letter, \
                    digit or '_'"
            .to_owned());
    }
    if tag.len() > 64 {
        return Err("is longer than 64 characters".to_owned());
    }
    if tag.starts_with("pvx-") {
        return Err("tags that begin with 'pvx-' mark what pvx owns".to_owned());
    }
    Ok(tag)
}

/// A storage, bridge or node as Proxmox VE names it. A `{node}` that only the plan knows stays.
pub(crate) fn identifier(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name = text.replace(crate::late::NODE, "node");
    if name.len() <= 100
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(valid)
    {
        return Ok(text.to_owned());
    }
    Err("a name is letters, digits, '-', '_' and '.', and begins with a letter or digit".to_owned())
}

/// A volume on a storage (`local:iso/x.iso`, `vmdata:vm-100-disk-0`); paths are for root@pam alone.
pub(crate) fn volume(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_graphic() && !"\"'\\,".contains(c);
    let of_storage =
        |(storage, name): (&str, &str)| identifier(storage).is_ok() && !name.is_empty();
    if text.len() <= 256 && text.chars().all(valid) && text.split_once(':').is_some_and(of_storage)
    {
        return Ok(text.to_owned());
    }
    Err("must be a volume: STORAGE:NAME, such as local:iso/debian.iso".to_owned())
}

/// One option inside a Proxmox property string (`cpu`, `machine`): no comma-separated list can be
/// broken out of, and no white space.
pub(crate) fn option(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_graphic() && !"\"'\\".contains(c);
    if text.len() <= 256 && text.chars().all(valid) {
        return Ok(text.to_owned());
    }
    Err("must be printable ASCII without spaces and quotes".to_owned())
}

/// A unicast MAC address, in upper case with colons.
pub(crate) fn mac(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let octet = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    if parts.len() != 6 || !parts.iter().all(octet) {
        return Err("a MAC address is written as BC:24:11:00:00:01".to_owned());
    }
    let first = parts.first().and_then(|part| u8::from_str_radix(part, 16).ok()).unwrap_or(1);
    if first & 1 == 1 {
        return Err("this is a multicast address: the first octet must be even".to_owned());
    }
    let upper = text.to_ascii_uppercase();
    if upper == "00:00:00:00:00:00" {
        return Err("this is the address of no device".to_owned());
    }
    Ok(upper)
}

/// An address of one host.
pub(crate) fn ip(text: &str) -> Result<IpAddr, String> {
    let ip: IpAddr = text.parse().map_err(|_| "this is not an IPv4 or IPv6 address".to_owned())?;
    if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
        return Err("this is not the address of one host".to_owned());
    }
    Ok(ip)
}

/// An address, with or without a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HostAddress {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: Option<u8>,
}

impl HostAddress {
    /// `10.0.0.62` or `10.0.0.62/24`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let Some((address, _)) = text.split_once('/') else {
            return Ok(Self { ip: ip(text)?, prefix: None });
        };
        let prefix = Cidr::read(text)?.prefix;
        Ok(Self { ip: ip(address)?, prefix: Some(prefix) })
    }
}

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    pub(crate) ip: IpAddr,
    pub(crate) prefix: u8,
}

impl Cidr {
    /// `10.244.0.0/16`.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let shape = || "a network is written as 10.244.0.0/16".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(shape)?;
        let ip: IpAddr = address.parse().map_err(|_| shape())?;
        if prefix.len() > 3 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(shape());
        }
        let longest = if ip.is_ipv4() { 32 } else { 128 };
        let prefix: u8 = prefix.parse().map_err(|_| shape())?;
        if prefix == 0 || prefix > longest {
            return Err(format!("the prefix length must be 1 to {longest}"));
        }
        Ok(Self { ip, prefix })
    }

    /// Do the two networks share an address?
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.ip.is_ipv4() == other.ip.is_ipv4() && {
            let shorter = self.prefix.min(other.prefix);
            network(self.ip, shorter) == network(other.ip, shorter)
        }
    }
}

/// The first `prefix` bits of `ip`.
fn network(ip: IpAddr, prefix: u8) -> u128 {
    match ip {
        IpAddr::V4(ip) => {
            u128::from(u32::from(ip).checked_shr(32 - u32::from(prefix.min(32))).unwrap_or(0))
        }
        IpAddr::V6(ip) => u128::from(ip).checked_shr(128 - u32::from(prefix.min(128))).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        for good in ["a", "k3s", "cp-01", "Web01", &"a".repeat(63)] {
            assert!(label(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a.b", "é", "a b", &"a".repeat(64)] {
            assert!(label(bad).is_err(), "{bad}");
        }
        assert!(lower_label("K3s").is_err());
        assert!(prefix("k3s-cp-").is_ok());
        assert!(prefix("-cp").is_err());
    }

    #[test]
    fn tags() {
        assert_eq!(tag("K3s"), Ok("k3s".to_owned()));
        for good in ["_a", "a+b.c-d", "9"] {
            assert!(tag(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a;b", "a b", "é", "pvx-k3s", "PVX-k3s"] {
            assert!(tag(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn macs() {
        assert_eq!(mac("bc:24:11:00:00:0a"), Ok("BC:24:11:00:00:0A".to_owned()));
        for bad in [
            "",
            "BC-24-11-00-00-01",
            "BC:24:11:00:00",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+1:00:00:00:00:00",
        ] {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        assert!(ip("10.0.0.1").is_ok());
        assert!(ip("fd00::1").is_ok());
        for bad in ["10.0.0", "10.0.0.256", "0.0.0.0", "224.0.0.1", "pve01", "010.0.0.1"] {
            assert!(ip(bad).is_err(), "{bad}");
        }
        assert_eq!(HostAddress::read("10.0.0.62/24").map(|a| a.prefix), Ok(Some(24)));
        for bad in ["10.0.0.1/33", "10.0.0.1/+8", "10.0.0.1/", "/24", "fd00::/129"] {
            assert!(HostAddress::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_overlap() {
        for (a, b, expected) in [
            ("10.244.0.0/16", "10.244.0.0/16", true),
            ("10.0.0.0/8", "10.96.0.0/12", true),
            ("10.244.0.0/16", "10.245.0.0/16", false),
            ("fd00::/48", "fd00::/64", true),
            ("fd00::/48", "10.0.0.0/8", false),
            ("10.0.0.7/32", "10.0.0.8/32", false),
        ] {
            let (a, b) = (Cidr::read(a).unwrap(), Cidr::read(b).unwrap());
            assert_eq!(a.overlaps(&b), expected, "{a:?} {b:?}");
            assert_eq!(b.overlaps(&a), expected, "{b:?} {a:?}");
        }
    }
}
