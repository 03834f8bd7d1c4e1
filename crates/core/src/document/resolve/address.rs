//! Addresses of a guest: `ip`, `mac` and the network around them become cloud-init and `net0`.

use std::net::IpAddr;

use super::super::decode::names::HostAddress;
use super::super::decode::profile::Addressing;
use crate::desired::Guest;
use crate::diagnostic::Spanned;

/// Prefix length of an address when no document says one.
const PREFIX_V4: u8 = 24;
const PREFIX_V6: u8 = 64;

/// `mac` is that of `net0`.
pub(super) fn mac(guest: &mut Guest, mac: &Spanned<String>) {
    let net0 = guest.spec.networks.entry("net0".to_owned()).or_default();
    net0.mac = Some(mac.value.clone());
    guest.places.insert("mac".to_owned(), mac.span);
    guest.places.insert("networks.net0.mac".to_owned(), mac.span);
}

/// `ip` is that of `net0`, in the network that `addressing` describes.
pub(super) fn ip(guest: &mut Guest, ip: &Spanned<HostAddress>, addressing: &Addressing) {
    let HostAddress { ip: address, prefix } = ip.value;
    let (longest, default) = if address.is_ipv4() { (32, PREFIX_V4) } else { (128, PREFIX_V6) };
    let said = addressing.prefix.as_ref().and_then(|prefix| u8::try_from(prefix.value).ok());
    let prefix = prefix.or(said.filter(|prefix| *prefix <= longest)).unwrap_or(default);
    let gateway =
        addressing.gateway.as_ref().filter(|gateway| gateway.value.is_ipv4() == address.is_ipv4());
    let config = guest.spec.cloudinit.ipconfig.entry(0).or_default();
    let (own, gw) = match address {
        IpAddr::V4(_) => (&mut config.ip, &mut config.gw),
        IpAddr::V6(_) => (&mut config.ip6, &mut config.gw6),
    };
    *own = Some(format!("{address}/{prefix}"));
    if let Some(gateway) = gateway {
        *gw = Some(gateway.value.to_string());
        guest.places.insert("gateway".to_owned(), gateway.span);
    }
    guest.places.insert("ip".to_owned(), ip.span);
    guest.places.insert("cloudinit.ipconfig.0".to_owned(), ip.span);
}

/// DNS of the network, where the guest's own `cloudinit` says nothing.
pub(super) fn resolver(guest: &mut Guest, addressing: &Addressing) {
    let cloudinit = &mut guest.spec.cloudinit;
    if let Some(first) = addressing.nameservers.first()
        && cloudinit.nameservers.is_empty()
    {
        cloudinit.nameservers =
            addressing.nameservers.iter().map(|server| server.value.to_string()).collect();
        guest.places.insert("cloudinit.nameservers".to_owned(), first.span);
    }
    if let Some(domain) = &addressing.searchdomain
        && cloudinit.searchdomain.is_none()
    {
        cloudinit.searchdomain = Some(domain.value.clone());
        guest.places.insert("cloudinit.searchdomain".to_owned(), domain.span);
    }
}
