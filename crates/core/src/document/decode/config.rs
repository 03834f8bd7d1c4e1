//! `cluster-config.yaml`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::config::{
    Ansible, CloudinitConfig, Cluster, ClusterConfig, ClusterNode, Credentials, TalosConfig, Tls,
    VmidRanges,
};
use super::super::layer::{self, Layer, Mapping};
use super::super::nearest::nearest;
use super::super::variable::Scope;
use super::super::yaml::{Kind, Node};
use super::cloudinit::login;
use super::fields::Fields;
use super::firstboot;
use super::group::VMIDS;
use super::{names, policy, value};
use crate::desired::{Overcommit, VmidRange};
use crate::diagnostic::{Diagnostic, Spanned};

/// All VMIDs there are.
pub(crate) const ANY_VMID: VmidRange =
    VmidRange { first: *VMIDS.start(), last: *VMIDS.end(), span: None };

/// Where relative and `~` paths begin.
pub(crate) struct Folders<'f> {
    /// The configuration's folder.
    pub(crate) here: &'f Path,
    /// What `~` stands for.
    pub(crate) home: Option<&'f Path>,
}

impl Folders<'_> {
    /// `text` as a path of this machine.
    pub(super) fn expand(&self, text: &str) -> Result<PathBuf, String> {
        let rest = text.strip_prefix("~/").or_else(|| (text == "~").then_some(""));
        match (rest, self.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (Some(_), None) => Err("there is no home folder that '~' could stand for".to_owned()),
            (None, _) if text.starts_with('~') => {
                Err("only '~/' is understood, not another user's home".to_owned())
            }
            (None, _) => Ok(self.here.join(text)),
        }
    }
}

/// `defaults`, here and in a profile.
pub(crate) const DEFAULTS: Mapping = Mapping { what: "defaults", own: &[], legacy: true };

/// Reads the configuration at `path`.
pub(crate) fn read(
    node: &Node,
    path: &Path,
    folders: &Folders<'_>,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> ClusterConfig {
    let mut config = ClusterConfig {
        path: path.to_owned(),
        variables: Arc::clone(scope),
        ..ClusterConfig::default()
    };
    let Some(mut fields) = Fields::open(node, "document", "cluster-config.yaml", problems) else {
        return config;
    };
    fields.take("variables");
    config.cluster = cluster(&mut fields);
    config.defaults = defaults(&mut fields, scope);
    config.vmid_ranges = vmid_ranges(&mut fields);
    config.credentials = credentials(&mut fields, folders);
    for entry in fields.named("tags") {
        let tags = value::items(&entry.value, "tags", 64, fields.problems);
        let tags = tags
            .iter()
            .filter_map(|tag| super::fields::parsed(tag, "tags", names::tag, fields.problems));
        config.tags.insert(entry.key.value.clone(), tags.map(|tag| tag.value).collect());
    }
    config.cloudinit = cloudinit(&mut fields, folders);
    config.ansible = ansible(&mut fields, folders);
    config.talos = talos(&mut fields);
    config.tls = tls(&mut fields, folders);
    (config.policy, config.policy_files) = policy::take(&mut fields, folders);
    config.overcommit = overcommit(&mut fields);
    config.apply = super::apply::take(&mut fields);
    fields.finish();
    config
}

fn cluster(fields: &mut Fields<'_, '_>) -> Cluster {
    let Some(mut fields) = fields.mapping("cluster", "cluster") else { return Cluster::default() };
    let name = fields.text("name");
    let mut nodes: Vec<ClusterNode> = Vec::new();
    if let Some(list) = fields.take("nodes") {
        if matches!(list.kind, Kind::Seq(_)) {
            let items = value::items(list, "nodes", 256, fields.problems);
            nodes = items.iter().filter_map(|item| cluster_node(item, fields.problems)).collect();
        } else {
            fields.problems.push(value::wrong_type(list, "nodes", "a list"));
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        let mut before = nodes.iter().take(index);
        if let Some(first) = before.find(|other| other.name.value == node.name.value) {
            let message = format!("node '{}' is listed twice", node.name.value);
            fields.problems.push(
                Diagnostic::error("duplicate-node", message)
                    .at(node.name.span, "again here")
                    .at(first.name.span, "first here"),
            );
        }
    }
    fields.finish();
    Cluster { name, nodes }
}

fn cluster_node(node: &Node, problems: &mut Vec<Diagnostic>) -> Option<ClusterNode> {
    let mut fields = Fields::open(node, "nodes", "a node of the cluster", problems)?;
    let name = fields.parsed("name", names::identifier);
    fields.require("name", "name is the node's name in Proxmox VE, such as pve01");
    let host = fields.parsed("host", |text| host_and_port(text, 8006));
    fields.require("host", "host is the node's DNS name or address");
    let fingerprint = fields.parsed("fingerprint", fingerprint).map(|f| f.value);
    let ssh_port = fields.integer("ssh_port", 1..=u32::from(u16::MAX));
    let ssh_port = ssh_port.and_then(|port| u16::try_from(port.value).ok());
    fields.finish();
    let (name, host) = (name?, host?);
    let (text, port) = host.value;
    Some(ClusterNode { name, host: Spanned::new(text, host.span), port, fingerprint, ssh_port })
}

/// `pve01.lab.example`, `10.0.0.1`, `fd00::1`, with or without a port (`[fd00::1]:8006`).
pub(crate) fn host_and_port(text: &str, default: u16) -> Result<(String, u16), String> {
    if text.contains("://") {
        return Err("must be a host name or address without 'https://'".to_owned());
    }
    if let Ok(ip) = text.parse::<std::net::IpAddr>() {
        return Ok((ip.to_string(), default));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("?"))),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = match port {
        None => default,
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && number.to_string() == port => number,
            _ => return Err("the port must be 1 to 65535".to_owned()),
        },
    };
    if text.starts_with('[') {
        let ip: std::net::Ipv6Addr =
            host.parse().map_err(|_| "this is not an IPv6 address".to_owned())?;
        return Ok((ip.to_string(), port));
    }
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let labels = host.trim_end_matches('.').split('.').all(|label| names::label(label).is_ok());
    if host.len() > 253 || !labels || (numeric && host.parse::<std::net::Ipv4Addr>().is_err()) {
        return Err("this is neither a DNS name nor an address".to_owned());
    }
    Ok((host.to_owned(), port))
}

/// The SHA-256 of a certificate, as Proxmox VE shows it: upper case with colons.
fn fingerprint(text: &str) -> Result<String, String> {
    let hex: String = text.chars().filter(|c| *c != ':').collect();
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err("a SHA-256 fingerprint is 32 octets, written as AB:CD:…".to_owned());
    }
    let hex = hex.to_ascii_uppercase();
    let octets: Vec<&str> = (0..32).filter_map(|i| hex.get(i * 2..i * 2 + 2)).collect();
    Ok(octets.join(":"))
}

/// `defaults`, whose values are checked here: those of hardware may be used by no guest.
fn defaults(fields: &mut Fields<'_, '_>, scope: &Arc<Scope>) -> Vec<Layer> {
    let Some(node) = fields.take("defaults") else { return Vec::new() };
    if !matches!(node.kind, Kind::Map(_)) {
        fields.problems.push(value::wrong_type(node, "defaults", "a mapping"));
        return Vec::new();
    }
    let layers = DEFAULTS.layers(node, "defaults", scope, fields.problems);
    layers.iter().for_each(|layer| layer::check_values(&layer.node, fields.problems));
    layers
}

fn vmid_ranges(fields: &mut Fields<'_, '_>) -> VmidRanges {
    let Some(mut fields) = fields.mapping("vmid_ranges", "vmid_ranges") else {
        return VmidRanges::default();
    };
    let mut range = |key| {
        let range = fields.parsed(key, vmid_range)?;
        Some(VmidRange { span: Some(range.span), ..range.value })
    };
    let (templates, mut vms) = (range("templates"), range("vms"));
    if let (Some(a), Some(b)) = (&templates, &vms)
        && a.first <= b.last
        && b.first <= a.last
    {
        let message = "vmid_ranges.templates and vmid_ranges.vms overlap";
        fields.problems.push(
            Diagnostic::error("ranges-overlap", message)
                .at_opt(b.span, "guests get these")
                .at_opt(a.span, "templates have these")
                .help("templates are never members of a cluster: separate the two ranges"),
        );
    }
    // One problem is enough: no VMID is outside a range that cannot be read.
    if vms.is_none() && fields.take("vms").is_some() {
        vms = Some(ANY_VMID);
    }
    fields.finish();
    VmidRanges { templates, vms }
}

/// `1000-9999`, both ends included.
fn vmid_range(text: &str) -> Result<VmidRange, String> {
    let shape = || "a range is written as 1000-9999".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(shape)?;
    let number = |text: &str| {
        let text = text.trim();
        text.parse::<u32>().ok().filter(|n| n.to_string() == text).ok_or_else(shape)
    };
    let (first, last) = (number(first)?, number(last)?);
    if !VMIDS.contains(&first) || !VMIDS.contains(&last) {
        return Err(format!("VMIDs are {} to {}", VMIDS.start(), VMIDS.end()));
    }
    if first > last {
        return Err("the range ends before it begins".to_owned());
    }
    Ok(VmidRange { first, last, span: None })
}

fn credentials(fields: &mut Fields<'_, '_>, folders: &Folders<'_>) -> Credentials {
    let Some(mut fields) = fields.mapping("credentials", "credentials") else {
        return Credentials::default();
    };
    for (key, node) in fields.take_secrets(&["token", "token_secret", "secret", "password"]) {
        fields.problems.push(value::secret(
            node.span,
            format!("'{key}' is a secret"),
            "keep it in pass and name the entry in pass_path, or in a token_file",
        ));
    }
    let credentials = Credentials {
        pass_path: fields.parsed("pass_path", |text| {
            if text.starts_with('-') {
                Err("begins with '-'".to_owned())
            } else {
                Ok(text.to_owned())
            }
        }),
        ssh_user: fields.parsed("ssh_user", login),
        token_file: fields.parsed("token_file", |text| folders.expand(text)),
    };
    fields.finish();
    credentials
}

fn cloudinit(fields: &mut Fields<'_, '_>, folders: &Folders<'_>) -> CloudinitConfig {
    let Some(mut fields) = fields.mapping("cloudinit", "cloudinit") else {
        return CloudinitConfig::default();
    };
    let config = CloudinitConfig {
        default_user: fields.parsed("default_user", login),
        ssh_keys_source: fields.parsed("ssh_keys_source", |text| folders.expand(text)),
        vendor_snippet_path: fields.parsed("vendor_snippet_path", firstboot::snippet),
    };
    fields.finish();
    config
}

fn ansible(fields: &mut Fields<'_, '_>, folders: &Folders<'_>) -> Ansible {
    let Some(mut fields) = fields.mapping("ansible", "ansible") else { return Ansible::default() };
    let ansible = Ansible {
        fleet_infra_path: fields.parsed("fleet_infra_path", |text| folders.expand(text)),
        inventory: fields.text("inventory"),
    };
    fields.finish();
    ansible
}

fn talos(fields: &mut Fields<'_, '_>) -> TalosConfig {
    let Some(mut fields) = fields.mapping("talos", "talos") else { return TalosConfig::default() };
    let plain = |list: Vec<Spanned<String>>| list.into_iter().map(|item| item.value).collect();
    let talos = TalosConfig {
        default_extensions: plain(fields.texts("default_extensions")),
        factory_base_url: fields.text("factory_base_url"),
        default_kubernetes_version: fields.text("default_kubernetes_version"),
        interface_name: fields.text("interface_name"),
    };
    fields.finish();
    talos
}

fn tls(fields: &mut Fields<'_, '_>, folders: &Folders<'_>) -> Tls {
    let Some(mut fields) = fields.mapping("tls", "tls") else { return Tls::default() };
    let tls = Tls {
        ca_file: fields.parsed("ca_file", |text| folders.expand(text)),
        fingerprints: fields
            .parsed_list("fingerprints", fingerprint)
            .into_iter()
            .map(|f| f.value)
            .collect(),
    };
    fields.finish();
    tls
}

/// `preflight`, of which there is `overcommit` alone.
fn overcommit(fields: &mut Fields<'_, '_>) -> Overcommit {
    let Some(mut preflight) = fields.mapping("preflight", "preflight") else {
        return Overcommit::default();
    };
    let mut overcommit = Overcommit::default();
    if let Some(mut fields) = preflight.mapping("overcommit", "overcommit") {
        overcommit.storage = fields.parsed("storage", ratio).map(|found| found.value);
        overcommit.memory = fields.parsed("memory", ratio).map(|found| found.value);
        fields.finish();
    }
    preflight.finish();
    overcommit
}

/// `1.5`: a multiple of what is there.
fn ratio(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.01..=1000.0).contains(n));
    number.ok_or_else(|| "a ratio is a number such as 1.0 or 1.5".to_owned())
}

/// A node that the configuration does not list.
pub(crate) fn unknown_node(name: &Spanned<String>, known: &[Spanned<String>]) -> Diagnostic {
    let names: Vec<&str> = known.iter().map(|node| node.value.as_str()).collect();
    let label = nearest(&name.value, names.iter().copied())
        .map_or_else(|| "not known".to_owned(), |node| format!("did you mean '{node}'?"));
    let message = format!("node {} is not in cluster.nodes", value::quoted(&name.value));
    Diagnostic::error("unknown-node", message)
        .at(name.span, label)
        .at_opt(known.first().map(|node| node.span), "nodes are listed from here on")
        .help(format!("known: {}", names.join(", ")))
}
