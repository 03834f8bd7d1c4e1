//! What cloud-init gets: user, network and meta data (`PVE::QemuServer::Cloudinit`, nocloud).

use sha1::{Digest, Sha1};

use super::property::Values;
use super::{keys, network};
use crate::world::guest::{Guest, hex};

/// The keys that `GET …/cloudinit` lists.
pub(crate) const LISTED: &[&str] = &[
    "cicustom",
    "cipassword",
    "citype",
    "ciupgrade",
    "ciuser",
    "nameserver",
    "searchdomain",
    "sshkeys",
];

/// The search domain of a guest: its own, or the nodes'.
fn search<'a>(guest: &'a Guest, domain: &'a str) -> &'a str {
    guest.get("searchdomain").unwrap_or(domain)
}

/// `#cloud-config` user data.
pub(crate) fn user_data(guest: &Guest) -> String {
    let hostname = guest.get("name").map_or_else(|| format!("VM{}", guest.vmid), str::to_owned);
    let short = hostname.split('.').next().unwrap_or_default();
    let fqdn = match guest.get("searchdomain") {
        Some(domain) if !hostname.contains('.') => format!("{short}.{domain}"),
        _ => hostname.clone(),
    };
    let mut out =
        format!("#cloud-config\nhostname: {short}\nmanage_etc_hosts: true\nfqdn: {fqdn}\n");
    if let Some(user) = guest.get("ciuser") {
        out.push_str(&format!("user: {user}\n"));
    } else {
        out.push_str("disable_root: False\n");
    }
    if let Some(password) = guest.get("cipassword") {
        out.push_str(&format!("password: {password}\n"));
    }
    if let Some(encoded) = guest.get("sshkeys") {
        out.push_str("ssh_authorized_keys:\n");
        let decoded =
            percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
        for line in decoded.lines().map(str::trim).filter(|line| !line.is_empty()) {
            out.push_str(&format!("  - {line}\n"));
        }
    }
    out.push_str("chpasswd:\n  expire: False\nusers:\n  - default\n");
    if guest.get("ciupgrade") != Some("0") {
        out.push_str("package_upgrade: true\n");
    }
    out
}

/// Network configuration, version 1.
pub(crate) fn network_data(guest: &Guest, domain: &str) -> String {
    let mut out = "version: 1\nconfig:\n".to_owned();
    let mut cards: Vec<(u32, &str)> = guest
        .config
        .iter()
        .filter(|(key, _)| keys::is_numbered(key, "net"))
        .filter_map(|(key, value)| Some((keys::split_number(key)?.1, value.as_str())))
        .collect();
    cards.sort_unstable();
    for (number, card) in cards {
        let mac = network::mac(card).unwrap_or_default().to_ascii_lowercase();
        out.push_str(&format!(
            "    - type: physical\n      name: eth{number}\n      mac_address: '{mac}'\n      subnets:\n"
        ));
        let config = guest.get(&format!("ipconfig{number}")).unwrap_or_default();
        subnets(&mut out, &Values::parse(config, "ip"));
    }
    out.push_str("    - type: nameserver\n      address:\n");
    let servers = guest.get("nameserver").unwrap_or("127.0.0.1");
    for server in super::format::list(servers) {
        out.push_str(&format!("      - '{server}'\n"));
    }
    out.push_str("      search:\n");
    for domain in super::format::list(search(guest, domain)) {
        out.push_str(&format!("      - '{domain}'\n"));
    }
    out
}

fn subnets(out: &mut String, values: &Values) {
    match values.get("ip") {
        Some("dhcp") => out.push_str("      - type: dhcp4\n"),
        Some(cidr) => {
            let (ip, bits) = cidr.split_once('/').unwrap_or((cidr, "32"));
            let bits: u32 = bits.parse().unwrap_or(32);
            let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
            let mask = std::net::Ipv4Addr::from(mask);
            out.push_str(&format!(
                "      - type: static\n        address: '{ip}'\n        netmask: '{mask}'\n"
            ));
            if let Some(gateway) = values.get("gw") {
                out.push_str(&format!("        gateway: '{gateway}'\n"));
            }
        }
        None => {}
    }
    match values.get("ip6") {
        Some("dhcp") => out.push_str("      - type: dhcp6\n"),
        Some("auto") => out.push_str("      - type: ipv6_slaac\n"),
        Some(cidr) => {
            out.push_str(&format!("      - type: static6\n        address: '{cidr}'\n"));
            if let Some(gateway) = values.get("gw6") {
                out.push_str(&format!("        gateway: '{gateway}'\n"));
            }
        }
        None => {}
    }
}

/// Meta data: the instance id is a hash of the rest.
pub(crate) fn meta_data(guest: &Guest, domain: &str) -> String {
    let both = format!("{}{}", user_data(guest), network_data(guest, domain));
    format!("instance-id: {}\n", hex(&Sha1::digest(both.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_gets() {
        let guest = Guest::new(
            1,
            "pve1",
            &[
                ("name", "web"),
                ("ciuser", "debian"),
                ("sshkeys", "ssh-ed25519%20AAAA%20me"),
                ("net0", "virtio=BC:24:11:46:AE:EE,bridge=vmbr0"),
                ("ipconfig0", "ip=10.0.0.5/24,gw=10.0.0.1"),
            ],
        );
        insta::assert_snapshot!(user_data(&guest), @r"
        #cloud-config
        hostname: web
        manage_etc_hosts: true
        fqdn: web
        user: debian
        ssh_authorized_keys:
          - ssh-ed25519 AAAA me
        chpasswd:
          expire: False
        users:
          - default
        package_upgrade: true
        ");
        insta::assert_snapshot!(network_data(&guest, "lab.test"), @r"
        version: 1
        config:
            - type: physical
              name: eth0
              mac_address: 'bc:24:11:46:ae:ee'
              subnets:
              - type: static
                address: '10.0.0.5'
                netmask: '255.255.255.0'
                gateway: '10.0.0.1'
            - type: nameserver
              address:
              - '127.0.0.1'
              search:
              - 'lab.test'
        ");
    }
}
