//! IP and MAC addresses: each belongs to one guest.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Documents;
use super::repeated::Repeated;
use crate::desired::{Desired, Guest, Profile};
use crate::diagnostic::{Diagnostic, Span, Spanned};

pub(super) fn check(documents: &Documents, desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let mut macs = Repeated::new("duplicate-mac", "MAC address", "change one of the two");
    let mut ips = Repeated::new("duplicate-ip", "address", "change one of the two");
    for guest in desired.guests() {
        for (slot, network) in &guest.spec.networks {
            if let Some(mac) = &network.mac {
                let place = guest.place(&format!("networks.{slot}.mac"));
                macs.claim(mac.clone(), place, &guest.address);
            }
        }
        for (ip, place) in addresses(guest) {
            ips.claim(ip, place, &guest.address);
        }
    }
    macs.report(problems);
    ips.report(problems);
    let by_name: BTreeMap<&str, &Profile> =
        desired.profiles.iter().map(|profile| (profile.name.as_str(), profile)).collect();
    for document in &documents.profiles {
        let Some(profile) = by_name.get(document.name.value.as_str()) else { continue };
        taken(profile, "network.gateway", document.addressing.gateway.as_ref(), problems);
        taken(profile, "talos.vip.ip", document.vip.as_ref(), problems);
    }
    for document in &documents.standalone {
        let Some(profile) = by_name.get(document.name.value.as_str()) else { continue };
        taken(profile, "gateway", document.addressing.gateway.as_ref(), problems);
    }
}

/// Fixed addresses of a guest and where they are said.
fn addresses(guest: &Guest) -> Vec<(IpAddr, Span)> {
    let mut found = Vec::new();
    for (index, config) in &guest.spec.cloudinit.ipconfig {
        let place = guest.place(&format!("cloudinit.ipconfig.{index}"));
        for text in [&config.ip, &config.ip6].into_iter().flatten() {
            let address = text.split('/').next().unwrap_or_default();
            found.extend(address.parse().ok().map(|ip: IpAddr| (ip, place)));
        }
    }
    found
}

/// A guest with the address of something else on its network.
fn taken(
    profile: &Profile,
    key: &str,
    other: Option<&Spanned<IpAddr>>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(other) = other else { return };
    for guest in &profile.guests {
        for (ip, place) in addresses(guest) {
            if ip == other.value {
                problems.push(
                    Diagnostic::warning(
                        "address-in-use",
                        format!("{} has the address of {key}", guest.address),
                    )
                    .at(place, format!("{ip} is the guest's"))
                    .at(other.span, format!("and {key}"))
                    .help("two hosts with one address disturb each other; change one"),
                );
            }
        }
    }
}
