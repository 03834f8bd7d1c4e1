//! What cloud-init gets: user, network and meta data (`PVE::QemuServer::Cloudinit`, nocloud).

use sha1::{Digest, Sha1};

use super::{formats, keys, network, property};
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

/// The format that the drive gets (`get_cloudinit_format`).
pub(crate) fn format(guest: &Guest) -> &str {
    let windows = guest.get("ostype").is_some_and(|ostype| ostype.starts_with('w'));
    guest.get("citype").unwrap_or(if windows { "configdrive2" } else { "nocloud" })
}

/// Host name and fully qualified name (`get_hostname_fqdn`).
fn names(guest: &Guest) -> (String, String) {
    let name = guest.get("name").map_or_else(|| format!("VM{}", guest.vmid), str::to_owned);
    match (name.split_once('.'), guest.get("searchdomain")) {
        (Some((short, _)), _) => (short.to_owned(), name.clone()),
        (None, Some(domain)) => (name.clone(), format!("{name}.{domain}")),
        (None, None) => (name.clone(), name),
    }
}

/// Search domains and name servers (`get_dns_conf`): those of the nodes when the guest has none.
fn dns<'a>(guest: &'a Guest, domain: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let words = |text: &'a str| text.split_whitespace().collect();
    let search = guest.get("searchdomain").unwrap_or(domain);
    (words(search), words(guest.get("nameserver").unwrap_or("127.0.0.1")))
}

/// `#cloud-config` user data.
pub(crate) fn user_data(guest: &Guest) -> String {
    let (hostname, fqdn) = names(guest);
    let mut out =
        format!("#cloud-config\nhostname: {hostname}\nmanage_etc_hosts: true\nfqdn: {fqdn}\n");
    let user = guest.get("ciuser");
    if let Some(user) = user {
        out.push_str(&format!("user: {user}\n"));
    }
    if user == Some("root") {
        out.push_str("disable_root: False\n");
    }
    if let Some(password) = guest.get("cipassword") {
        out.push_str(&format!("password: {password}\n"));
    }
    if let Some(encoded) = guest.get("sshkeys") {
        out.push_str("ssh_authorized_keys:\n");
        let decoded =
            percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
        for line in decoded.split('\n').filter(|line| !line.trim().is_empty()) {
            out.push_str(&format!("  - {line}\n"));
        }
    }
    out.push_str("chpasswd:\n  expire: False\n");
    if user != Some("root") {
        out.push_str("users:\n  - default\n");
    }
    if guest.get("ciupgrade") != Some("0") {
        out.push_str("package_upgrade: true\n");
    }
    out
}

/// What a card's `ipconfigN` gives it (`parse_ipconfig`): nothing when it contradicts itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Addresses {
    ip: Option<String>,
    gw: Option<String>,
    ip6: Option<String>,
    gw6: Option<String>,
}

impl Addresses {
    fn parse(text: &str) -> Self {
        let Ok(values) = property::parse(formats::IPCONFIG, text) else { return Self::default() };
        let own = |name: &str| values.get(name).map(str::to_owned);
        let found = Self { ip: own("ip"), gw: own("gw"), ip6: own("ip6"), gw6: own("gw6") };
        let fixed = |ip: &Option<String>| ip.as_ref().is_some_and(|ip| ip.contains('/'));
        let lost = (found.gw.is_some() && !fixed(&found.ip))
            || (found.gw6.is_some() && !fixed(&found.ip6));
        if lost {
            return Self::default();
        }
        if found.ip.is_none() && found.ip6.is_none() {
            let dhcp = || Some("dhcp".to_owned());
            return Self { ip: dhcp(), ip6: dhcp(), ..Self::default() };
        }
        found
    }
}

/// The cards that have an `ipconfigN`, in the order of their names as text: number, MAC address,
/// addresses.
fn cards(guest: &Guest) -> Vec<(u32, String, Addresses)> {
    let nets = guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "net"));
    nets.filter_map(|(key, card)| {
        let (_, number) = keys::split_number(key)?;
        let config = guest.get(&format!("ipconfig{number}"))?;
        let mac = network::mac(card).unwrap_or_default().to_ascii_lowercase();
        Some((number, mac, Addresses::parse(config)))
    })
    .collect()
}

/// `10.0.0.5/24` as address and mask.
fn split_ip4(cidr: &str) -> (String, String) {
    let (ip, bits) = cidr.split_once('/').unwrap_or((cidr, "32"));
    let bits: u32 = bits.parse().unwrap_or(32);
    let mask = u32::MAX.checked_shl(32 - bits.min(32)).unwrap_or(0);
    (ip.to_owned(), std::net::Ipv4Addr::from(mask).to_string())
}

/// Network configuration in the guest's format.
pub(crate) fn network_data(guest: &Guest, domain: &str) -> String {
    if format(guest) == "nocloud" { version_1(guest, domain) } else { interfaces(guest, domain) }
}

/// Network configuration, version 1 (`nocloud_network`).
fn version_1(guest: &Guest, domain: &str) -> String {
    let mut out = "version: 1\nconfig:\n".to_owned();
    for (number, mac, addresses) in cards(guest) {
        out.push_str(&format!(
            "    - type: physical\n      name: eth{number}\n      mac_address: '{mac}'\n      subnets:\n"
        ));
        subnets(&mut out, &addresses);
    }
    let (search, servers) = dns(guest, domain);
    out.push_str("    - type: nameserver\n");
    for (name, words) in [("address", servers), ("search", search)] {
        if !words.is_empty() {
            out.push_str(&format!("      {name}:\n"));
        }
        for word in words {
            out.push_str(&format!("      - '{word}'\n"));
        }
    }
    out
}

fn subnets(out: &mut String, addresses: &Addresses) {
    match addresses.ip.as_deref() {
        Some("dhcp") => out.push_str("      - type: dhcp4\n"),
        Some(cidr) => {
            let (ip, mask) = split_ip4(cidr);
            out.push_str(&format!(
                "      - type: static\n        address: '{ip}'\n        netmask: '{mask}'\n"
            ));
            if let Some(gateway) = &addresses.gw {
                out.push_str(&format!("        gateway: '{gateway}'\n"));
            }
        }
        None => {}
    }
    match addresses.ip6.as_deref() {
        Some("dhcp") => out.push_str("      - type: dhcp6\n"),
        Some("auto") => out.push_str("      - type: ipv6_slaac\n"),
        Some(cidr) => {
            out.push_str(&format!("      - type: static6\n        address: '{cidr}'\n"));
            if let Some(gateway) = &addresses.gw6 {
                out.push_str(&format!("        gateway: '{gateway}'\n"));
            }
        }
        None => {}
    }
}

/// `/etc/network/interfaces` (`configdrive2_network`), odd places included.
fn interfaces(guest: &Guest, domain: &str) -> String {
    let mut out = "auto lo\niface lo inet loopback\n\n".to_owned();
    let (search, servers) = dns(guest, domain);
    for (name, words) in [("dns_nameservers", servers), ("dns_search", search)] {
        if !words.is_empty() {
            out.push_str(&format!("        {name} {}\n", words.join(" ")));
        }
    }
    for (number, _, addresses) in cards(guest) {
        let id = format!("eth{number}");
        out.push_str(&format!("auto {id}\n"));
        match addresses.ip.as_deref() {
            Some("dhcp") => out.push_str(&format!("iface {id} inet dhcp\n")),
            Some(cidr) => {
                let (ip, mask) = split_ip4(cidr);
                out.push_str(&format!(
                    "iface {id} inet static\n        address {ip}\n        netmask {mask}\n"
                ));
                if let Some(gateway) = &addresses.gw {
                    out.push_str(&format!("        gateway {gateway}\n"));
                }
            }
            None => {}
        }
        match addresses.ip6.as_deref() {
            Some(word @ ("auto" | "dhcp")) => out.push_str(&format!("iface {id} inet6 {word}\n")),
            Some(cidr) => {
                let (ip, bits) = cidr.split_once('/').unwrap_or((cidr, "128"));
                out.push_str(&format!(
                    "iface {id} inet6 static\n        address {ip}\n        netmask {bits}\n"
                ));
                if let Some(gateway) = &addresses.gw6 {
                    out.push_str(&format!("        gateway {gateway}\n"));
                }
            }
            None => {}
        }
    }
    out
}

/// Meta data: the instance id is a hash of the rest.
pub(crate) fn meta_data(guest: &Guest, domain: &str) -> String {
    let both = format!("{}{}", user_data(guest), network_data(guest, domain));
    let id = hex(&Sha1::digest(both.as_bytes()));
    if format(guest) == "nocloud" {
        return format!("instance-id: {id}\n");
    }
    format!(
        "{{\n     \"uuid\": \"{id}\",\n     \"network_config\": {{ \"content_path\": \"/content/0000\" }}\n}}\n"
    )
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

    #[test]
    fn addresses_of_every_kind() {
        let table = [
            ("ip=dhcp", "- type: dhcp4\n"),
            ("ip6=auto", "- type: ipv6_slaac\n"),
            ("ip6=dhcp", "- type: dhcp6\n"),
            ("ip=dhcp,ip6=fd00::5/64,gw6=fd00::1", "gateway: 'fd00::1'"),
            ("ip=10.0.0.5/8", "netmask: '255.0.0.0'"),
        ];
        let guest = |config: &str, more: &[(&str, &str)]| {
            let mut guest = Guest::new(1, "pve1", more);
            guest.config.insert("net0".into(), "virtio=BC:24:11:46:AE:EE,bridge=b".into());
            guest.config.insert("ipconfig0".into(), config.into());
            guest
        };
        for (config, part) in table {
            let text = network_data(&guest(config, &[]), "lab.test");
            assert!(text.contains(part), "{config}: {text}");
        }
        // A gateway beside DHCP takes all with it.
        let text = network_data(&guest("ip=dhcp,gw=10.0.0.1", &[]), "");
        assert!(text.contains("subnets:\n    - type: nameserver"), "{text}");
        let windows = guest("ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto", &[("ostype", "win11")]);
        insta::assert_snapshot!(network_data(&windows, "lab.test"), @r"
        auto lo
        iface lo inet loopback

                dns_nameservers 127.0.0.1
                dns_search lab.test
        auto eth0
        iface eth0 inet static
                address 10.0.0.5
                netmask 255.255.255.0
                gateway 10.0.0.1
        iface eth0 inet6 auto
        ");
        assert!(meta_data(&windows, "").contains("network_config"));
        let bare =
            Guest::new(9, "pve1", &[("ciuser", "root"), ("name", "a.b"), ("searchdomain", "c")]);
        let text = user_data(&bare);
        assert!(text.contains("hostname: a\n") && text.contains("fqdn: a.b\n"), "{text}");
        assert!(text.contains("disable_root: False\n") && !text.contains("users:"), "{text}");
    }
}
