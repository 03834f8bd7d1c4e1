//! `cloudinit`: what a guest is told at its first boot.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::super::yaml::{Entry, Kind};
use super::fields::Fields;
use super::firstboot;
use super::names::{self, Cidr};
use super::value;
use super::vm::PlacesByPath;
use crate::desired::{CloudInit, IpConfig};
use crate::diagnostic::{Diagnostic, Spanned};

/// Takes `cloudinit`; none when the document does not say it.
pub(crate) fn take(fields: &mut Fields<'_, '_>, places: &mut PlacesByPath) -> Option<CloudInit> {
    let mut fields = fields.mapping("cloudinit", "cloudinit")?;
    let mut cloudinit = CloudInit::default();
    firstboot::take(&mut fields, &mut cloudinit, places);
    let mut keep = |key: &str, span| places.insert(format!("cloudinit.{key}"), span);
    keep("drive", fields.span());
    if let Some(user) = fields.parsed("user", login) {
        keep("user", user.span);
        cloudinit.user = Some(user.value);
    }
    let keys = ssh_keys(&mut fields);
    if let Some(first) = keys.first() {
        keep("ssh_keys", first.span);
        let keys: Vec<String> = keys.into_iter().map(|key| key.value).collect();
        cloudinit.ssh_keys = Some(keys.join("\n"));
    }
    let nameservers = fields.parsed_list("nameservers", names::ip);
    if let Some(first) = nameservers.first() {
        keep("nameservers", first.span);
        cloudinit.nameservers = nameservers.iter().map(|ip| ip.value.to_string()).collect();
    }
    if let Some(domain) = fields.parsed("searchdomain", names::identifier) {
        keep("searchdomain", domain.span);
        cloudinit.searchdomain = Some(domain.value);
    }
    cloudinit.ipconfig = ipconfigs(&mut fields, places);
    fields.finish();
    Some(cloudinit)
}

/// A login name, as `useradd` takes it.
pub(crate) fn login(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.len() <= 32 && !text.starts_with('-') && text.chars().all(valid) {
        return Ok(text.to_owned());
    }
    Err("a login name is at most 32 letters, digits, '-', '_' and '.'".to_owned())
}

/// What private keys of all formats say in their first line.
const PRIVATE: &str = "PRIVATE KEY";

/// One OpenSSH public key; a private one is refused before it can go anywhere.
pub(crate) fn ssh_key(text: &str) -> Result<String, String> {
    if text.contains(PRIVATE) {
        return Err("this is a private key; give the public one".to_owned());
    }
    let mut words = text.split_whitespace();
    let kind = words.next().unwrap_or_default();
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];
    let body = words.next().unwrap_or_default();
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    if known.iter().any(|k| kind.starts_with(k)) && !body.is_empty() && body.chars().all(base64) {
        return Ok(text.trim().to_owned());
    }
    Err("an OpenSSH public key is written as 'ssh-ed25519 AAAA… comment'".to_owned())
}

/// Keys may be as long as RSA makes them, so the limit of other texts does not hold here.
fn ssh_keys(fields: &mut Fields<'_, '_>) -> Vec<Spanned<String>> {
    const LONGEST: usize = 16 * 1024;
    let Some(node) = fields.take("ssh_keys") else { return Vec::new() };
    let mut keys = Vec::new();
    for item in value::items(node, "ssh_keys", 64, fields.problems) {
        let Some(text) = value::long_text(item, "ssh_keys", LONGEST, fields.problems) else {
            continue;
        };
        if text.value.contains(PRIVATE) {
            fields.problems.push(value::secret(
                text.span,
                "a private key is a secret",
                "give the public key, which ends in .pub",
            ));
            continue;
        }
        for line in text.value.lines().filter(|line| !line.trim().is_empty()) {
            match ssh_key(line) {
                Ok(key) => keys.push(Spanned::new(key, text.span)),
                Err(why) => fields.problems.push(value::bad_value(text.span, "ssh_keys", why)),
            }
        }
    }
    keys
}

fn ipconfigs(fields: &mut Fields<'_, '_>, places: &mut PlacesByPath) -> BTreeMap<u8, IpConfig> {
    let mut configs = BTreeMap::new();
    for entry in fields.named("ipconfig") {
        let name = &entry.key.value;
        let index = name.parse::<u8>().ok().filter(|n| *n <= 31 && n.to_string() == *name);
        let Some(index) = index else {
            let message = format!("{} is not the number of a network device", value::quoted(name));
            fields.problems.push(
                Diagnostic::error("unknown-slot", message)
                    .at(entry.key.span, "not known")
                    .help("ipconfig is by number: 0 is the address of net0, up to 31"),
            );
            continue;
        };
        places.insert(format!("cloudinit.ipconfig.{index}"), entry.key.span);
        if let Some(config) = ipconfig(entry, fields.problems) {
            configs.insert(index, config);
        }
    }
    configs
}

/// `dhcp`, or a mapping.
fn ipconfig(entry: &Entry, problems: &mut Vec<Diagnostic>) -> Option<IpConfig> {
    if matches!(&entry.value.kind, Kind::Text(text) if text == "dhcp") {
        return Some(IpConfig { ip: Some("dhcp".to_owned()), ..IpConfig::default() });
    }
    if matches!(entry.value.kind, Kind::Text(_)) {
        let problem = value::wrong_type(&entry.value, "ipconfig", "dhcp or a mapping");
        problems.push(problem.help("write {ip: 10.0.0.62/24, gw: 10.0.0.1}"));
        return None;
    }
    let mut fields = Fields::open(&entry.value, "ipconfig", "ipconfig", problems)?;
    let config = IpConfig {
        ip: fields.parsed("ip", |text| address(text, &["dhcp"], true)).map(|v| v.value),
        gw: fields.parsed("gw", |text| gateway(text, true)).map(|v| v.value),
        ip6: fields.parsed("ip6", |text| address(text, &["dhcp", "auto"], false)).map(|v| v.value),
        gw6: fields.parsed("gw6", |text| gateway(text, false)).map(|v| v.value),
    };
    fields.finish();
    Some(config)
}

fn address(text: &str, words: &[&str], v4: bool) -> Result<String, String> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let cidr = Cidr::read(text).map_err(|_| {
        let example = if v4 { "10.0.0.62/24" } else { "fd00::62/64" };
        format!("must be an address with its prefix length, such as {example}, or dhcp")
    })?;
    names::ip(&cidr.ip.to_string())?;
    family(cidr.ip, v4)?;
    Ok(format!("{}/{}", cidr.ip, cidr.prefix))
}

fn gateway(text: &str, v4: bool) -> Result<String, String> {
    let ip = names::ip(text)?;
    family(ip, v4)?;
    Ok(ip.to_string())
}

fn family(ip: IpAddr, v4: bool) -> Result<(), String> {
    match (ip.is_ipv4(), v4) {
        (true, false) => Err("this is an IPv4 address; 'ip' and 'gw' are its keys".to_owned()),
        (false, true) => Err("this is an IPv6 address; 'ip6' and 'gw6' are its keys".to_owned()),
        _ => Ok(()),
    }
}
