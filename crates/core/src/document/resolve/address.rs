//! Addresses of a guest: `ip`, `mac` and the network around them become cloud-init and `net0`;
//! `start_ip` is counted up.

use std::net::IpAddr;

use super::super::decode::names::{Cidr, HostAddress};
use super::super::decode::profile::Addressing;
use super::super::placeholder::address::after;
use super::super::yaml::{Kind, Node};
use crate::diagnostic::{Diagnostic, Spanned};

/// Prefix length of an address when no document says one.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 64;

/// The prefix length of an address.
fn prefix(address: HostAddress, addressing: &Addressing) -> u8 {
    let (longest, default) = if address.ip.is_ipv4() { (32, PREFIX_V4) } else { (128, PREFIX_V6) };
    let said = addressing.prefix.as_ref().and_then(|prefix| u8::try_from(prefix.value).ok());
    address.prefix.or(said.filter(|prefix| *prefix <= longest)).unwrap_or(default)
}

/// `mac` is that of `net0`.
pub(super) fn mac(tree: &mut Node, mac: &Spanned<String>) {
    let net0 = tree.entry("networks", mac.span).entry("net0", mac.span);
    written_out(net0, "bridge");
    net0.set("mac", Node::text(mac.value.clone(), mac.span));
}

/// `ip` is that of `net0`, in the network that `addressing` describes.
pub(super) fn ip(tree: &mut Node, ip: &Spanned<HostAddress>, addressing: &Addressing) {
    let address = ip.value.ip;
    let prefix = prefix(ip.value, addressing);
    let gateway =
        addressing.gateway.as_ref().filter(|gateway| gateway.value.is_ipv4() == address.is_ipv4());
    let configs = tree.entry("cloudinit", ip.span).entry("ipconfig", ip.span);
    let config = configs.entry("0", ip.span);
    written_out(config, "ip");
    let (own, gw) = if address.is_ipv4() { ("ip", "gw") } else { ("ip6", "gw6") };
    config.set(own, Node::text(format!("{address}/{prefix}"), ip.span));
    if let Some(gateway) = gateway {
        config.set(gw, Node::text(gateway.value.to_string(), gateway.span));
    }
    if let Some(entry) = configs.entries_mut().iter_mut().find(|entry| entry.key.value == "0") {
        entry.key.span = ip.span;
    }
}

/// Makes a single value the mapping that it is short for.
fn written_out(node: &mut Node, long: &str) {
    if matches!(node.kind, Kind::Null | Kind::Map(_)) {
        return;
    }
    let short = std::mem::replace(node, Node::mapping(node.span));
    node.set(long, short);
}

/// DNS of the network, where the guest's own `cloudinit` says nothing.
pub(super) fn resolver(tree: &mut Node, addressing: &Addressing) {
    let missing = |tree: &Node, key: &str| tree.find(&["cloudinit", key]).is_none();
    if let Some(first) = addressing.nameservers.first()
        && missing(tree, "nameservers")
    {
        let server = |ip: &Spanned<IpAddr>| Node::text(ip.value.to_string(), ip.span);
        let servers = addressing.nameservers.iter().map(server).collect();
        let list = Node { span: first.span, kind: Kind::Seq(servers) };
        tree.entry("cloudinit", first.span).set("nameservers", list);
    }
    if let Some(domain) = &addressing.searchdomain
        && missing(tree, "searchdomain")
    {
        let text = Node::text(domain.value.clone(), domain.span);
        tree.entry("cloudinit", domain.span).set("searchdomain", text);
    }
}

/// The address `steps` after the first; `who` is the guest that gets it.
///
/// # Errors
/// When it is no address of a host in the network, or the gateway's.
pub(super) fn counted(
    start: &Spanned<HostAddress>,
    steps: usize,
    addressing: &Addressing,
    who: &str,
) -> Result<Spanned<HostAddress>, Diagnostic> {
    let prefix = prefix(start.value, addressing);
    let network = Cidr { ip: start.value.ip, prefix };
    let problem = |why: String| {
        Diagnostic::error("address-range", format!("there is no address left for {who}"))
            .at(start.span, why)
            .help("begin with a lower address, lower count, or give this guest its own ip")
    };
    let ip = after(start.value.ip, steps as u64)
        .ok_or_else(|| problem(format!("{steps} after this is beyond the last address")))?;
    if !network.overlaps(&Cidr { ip, prefix: if ip.is_ipv4() { 32 } else { 128 } }) {
        return Err(problem(format!("{ip} is not in the network of /{prefix}")));
    }
    if let Some(what) = reserved(ip, prefix) {
        return Err(problem(format!("{ip} is the network's {what}")));
    }
    if addressing.gateway.as_ref().is_some_and(|gateway| gateway.value == ip) {
        return Err(problem(format!("{ip} is the gateway")));
    }
    Ok(Spanned::new(HostAddress { ip, prefix: start.value.prefix }, start.span))
}

/// The first and the last address of an IPv4 network belong to no host.
fn reserved(ip: IpAddr, prefix: u8) -> Option<&'static str> {
    let IpAddr::V4(ip) = ip else { return None };
    if prefix > 30 {
        return None;
    }
    let hosts = u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0);
    match u32::from(ip) & hosts {
        0 => Some("own address"),
        host if host == hosts => Some("broadcast address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{SourceId, Span};

    #[test]
    fn addresses_are_counted_up_inside_their_network() {
        let span = Span { source: SourceId(0), start: 0, len: 0 };
        let addressing = Addressing {
            gateway: Some(Spanned::new("10.0.0.254".parse().unwrap(), span)),
            ..Addressing::default()
        };
        let counted = |start: &str, steps| {
            let start = Spanned::new(HostAddress::read(start).unwrap(), span);
            match counted(&start, steps, &addressing, "x") {
                Ok(address) => address.value.ip.to_string(),
                Err(problem) => problem.labels[0].text.clone(),
            }
        };
        for (start, steps, expected) in [
            ("10.0.0.61/24", 0, "10.0.0.61"),
            ("10.0.0.61/24", 2, "10.0.0.63"),
            ("10.0.0.61", 193, "10.0.0.254 is the gateway"),
            ("10.0.0.61/24", 194, "10.0.0.255 is the network's broadcast address"),
            ("10.0.0.61/24", 195, "10.0.1.0 is not in the network of /24"),
            ("10.0.0.61/23", 195, "10.0.1.0"),
            ("10.0.0.64/26", 0, "10.0.0.64 is the network's own address"),
            ("255.255.255.250/8", 9, "9 after this is beyond the last address"),
            ("fd00::ffff/64", 1, "fd00::1:0"),
            ("fd00::ffff:ffff:ffff:ffff/64", 1, "fd00:0:0:1:: is not in the network of /64"),
        ] {
            assert_eq!(counted(start, steps), expected, "{start} {steps}");
        }
    }
}
