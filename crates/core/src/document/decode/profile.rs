//! A cluster profile: `clusters/<name>.yaml`.

use std::net::IpAddr;
use std::sync::Arc;

use super::super::include::INCLUDE;
use super::super::layer::{self, Layer, Mapping};
use super::super::variable::Scope;
use super::super::yaml::{Kind, Node};
use super::config::DEFAULTS;
use super::fields::Fields;
use super::group::{self, Group};
use super::names::{self, Cidr};
use super::value;
use crate::desired::{ProfileKind, TemplateRef};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// One cluster profile.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) name: Spanned<String>,
    pub(crate) kind: ProfileKind,
    pub(crate) template: Option<Spanned<TemplateRef>>,
    pub(crate) tags: Vec<Spanned<String>>,
    pub(crate) groups: Vec<Group>,
    pub(crate) addressing: Addressing,
    pub(crate) pod_cidr: Option<Spanned<Cidr>>,
    pub(crate) service_cidr: Option<Spanned<Cidr>>,
    pub(crate) vip: Option<Spanned<IpAddr>>,
    pub(crate) flux: Flux,
    pub(crate) moved: Vec<Moved>,
    /// VM keys of all groups: what the profile includes, its `defaults`, and its own `clone` and
    /// `storage`; the lowest first.
    pub(crate) layers: Vec<Layer>,
}

/// One item of `moved`: a guest that has another name now.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    /// Its former name in the profile, or its former address.
    pub(crate) from: Spanned<String>,
    /// Its name now.
    pub(crate) to: Spanned<String>,
}

/// The network around a guest's address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Addressing {
    pub(crate) gateway: Option<Spanned<IpAddr>>,
    pub(crate) prefix: Option<Spanned<u32>>,
    pub(crate) nameservers: Vec<Spanned<IpAddr>>,
    pub(crate) searchdomain: Option<Spanned<String>>,
}

/// `flux`: what a profile's cluster is fed from. The branch does not keep two clusters apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flux {
    pub(crate) repo: Option<Spanned<String>>,
    pub(crate) path: Option<Spanned<String>>,
}

/// Reads a profile; `stem` is the file's name without its ending, when the name must equal it.
/// None when there is no usable name: then nothing of it can be addressed.
pub(crate) fn read(
    node: &Node,
    stem: Option<&str>,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Profile> {
    let mut fields = Fields::open(node, "document", "a cluster profile", problems)?;
    fields.take("kind");
    fields.take("variables");
    let name = name(&mut fields, stem);
    let kind = fields.word("type", &["talos", "generic"]);
    fields.require("type", "type is talos or generic");
    let template = template(&mut fields);
    fields.require("template", "template is the VMID or name of what the guests are cloned from");
    let tags = fields.parsed_list("tags", names::tag);
    require_tags(&mut fields, node);
    let (addressing, pod_cidr, service_cidr) = network(&mut fields);
    let profile = Profile {
        name: name.unwrap_or_else(|| Spanned::new(String::new(), node.span)),
        kind: match kind {
            Some(kind) if kind.value == "talos" => ProfileKind::Talos,
            _ => ProfileKind::Generic,
        },
        template,
        tags,
        groups: groups(&mut fields, scope),
        addressing,
        pod_cidr,
        service_cidr,
        vip: talos(&mut fields),
        flux: flux(&mut fields),
        moved: moved(&mut fields),
        layers: layers(node, &mut fields, scope),
    };
    fields.finish();
    if profile.name.value.is_empty() {
        // Nothing is made of it, and what is wrong with its values is said all the same.
        let groups = profile.groups.iter().flat_map(|group| &group.layers);
        for layer in profile.layers.iter().chain(groups) {
            layer::check_values(&layer.node, problems);
        }
        return None;
    }
    Some(profile)
}

/// VM keys that the profile says for all of its groups.
fn layers(node: &Node, fields: &mut Fields<'_, '_>, scope: &Arc<Scope>) -> Vec<Layer> {
    const PROFILE: Mapping = Mapping { what: "VM keys of a profile", own: &[], legacy: false };
    let mut own = Node::mapping(node.span);
    for key in ["clone", "storage", INCLUDE] {
        fields.take(key);
        let there = node.entries().iter().find(|entry| entry.key.value == key);
        there.cloned().into_iter().for_each(|entry| own.push(entry));
    }
    let mut layers = PROFILE.layers(&own, "profile", scope, fields.problems);
    if let Some(defaults) = fields.take("defaults") {
        if matches!(defaults.kind, Kind::Map(_)) {
            let shown = "profile defaults";
            let defaults = DEFAULTS.layers(defaults, shown, scope, fields.problems);
            defaults.iter().for_each(|layer| {
                layer::check_values(&layer.node, fields.problems);
            });
            // What the profile itself says is over its defaults, and those over what it includes.
            let last = layers.len().saturating_sub(1);
            layers.splice(last..last, defaults);
        } else {
            fields.problems.push(value::wrong_type(defaults, "defaults", "a mapping"));
        }
    }
    layers
}

/// `moved: [{from: old, to: new}]`.
fn moved(fields: &mut Fields<'_, '_>) -> Vec<Moved> {
    let Some(node) = fields.take("moved") else { return Vec::new() };
    let Kind::Seq(items) = &node.kind else {
        let problem = value::wrong_type(node, "moved", "a list");
        fields.problems.push(problem.help("write moved: [{from: old-name, to: new-name}]"));
        return Vec::new();
    };
    let read = |item| {
        let mut fields = Fields::open(item, "moved", "an item of moved", fields.problems)?;
        let (from, to) = (fields.text("from"), fields.text("to"));
        fields.require("from", "from is the guest's former name, or its former address");
        fields.require("to", "to is the guest's name in this profile");
        fields.finish();
        Some(Moved { from: from?, to: to? })
    };
    items.iter().filter_map(read).collect()
}

fn name(fields: &mut Fields<'_, '_>, stem: Option<&str>) -> Option<Spanned<String>> {
    let name = fields.parsed("name", names::lower_label);
    fields.require("name", "name is the cluster's name, and the file's");
    let name = name?;
    if name.value == crate::address::STANDALONE {
        let why = "'vm' is where standalone VMs are addressed; choose another name";
        fields.problems.push(value::bad_value(name.span, "name", why));
        return None;
    }
    if let Some(stem) = stem.filter(|stem| *stem != name.value) {
        let message = format!(
            "the profile is named '{}' in a file named {}",
            name.value,
            value::quoted(stem)
        );
        fields.problems.push(
            Diagnostic::error("name-not-file", message)
                .at(name.span, "differs from the file's name")
                .help(format!("rename the file to {}.yaml, or the profile", name.value)),
        );
    }
    Some(name)
}

/// A VMID, or a template's name.
pub(crate) fn template(fields: &mut Fields<'_, '_>) -> Option<Spanned<TemplateRef>> {
    let node = fields.take("template")?;
    if matches!(node.kind, Kind::Number(_)) {
        let vmid = value::integer(node, "template", group::VMIDS, fields.problems)?;
        return Some(vmid.map(TemplateRef::Vmid));
    }
    super::fields::parsed(node, "template", names::identifier, fields.problems)
        .map(|name| name.map(TemplateRef::Name))
}

/// Tags must be there and not empty; a tag that is there but bad has its own problem.
fn require_tags(fields: &mut Fields<'_, '_>, node: &Node) {
    const WHY: &str = "give at least one tag that no other profile has";
    fields.require("tags", WHY);
    if let Some(list) = node.get("tags").filter(|n| matches!(&n.kind, Kind::Seq(i) if i.is_empty()))
    {
        let problem = Diagnostic::error("missing-key", "a cluster profile needs tags");
        fields.problems.push(problem.at(list.span, "this list is empty").help(WHY));
    }
}

/// Groups, `controlplane` first, `workers` next, others in document order.
fn groups(fields: &mut Fields<'_, '_>, scope: &Arc<Scope>) -> Vec<Group> {
    let entries = fields.named("nodes");
    fields.require("nodes", "nodes has a group 'controlplane', and others such as 'workers'");
    let mut groups: Vec<Group> =
        entries.iter().filter_map(|entry| group::read(entry, scope, fields.problems)).collect();
    groups.sort_by_key(|group| match group.name.value.as_str() {
        "controlplane" => 0,
        "workers" => 1,
        _ => 2,
    });
    groups
}

type Networks = (Addressing, Option<Spanned<Cidr>>, Option<Spanned<Cidr>>);

fn network(fields: &mut Fields<'_, '_>) -> Networks {
    let Some(mut fields) = fields.mapping("network", "network") else {
        return Networks::default();
    };
    fields.parsed("api_endpoint", endpoint);
    let pod = fields.parsed("pod_cidr", Cidr::read);
    let service = fields.parsed("service_cidr", Cidr::read);
    let addressing = addressing(&mut fields);
    fields.finish();
    (addressing, pod, service)
}

/// Takes `gateway`, `prefix`, `nameservers` and `searchdomain`.
pub(crate) fn addressing(fields: &mut Fields<'_, '_>) -> Addressing {
    Addressing {
        gateway: fields.parsed("gateway", names::ip),
        prefix: fields.integer("prefix", 1..=128),
        nameservers: fields.parsed_list("nameservers", names::ip),
        searchdomain: fields.parsed("searchdomain", names::identifier),
    }
}

/// `10.0.0.60`, `api.lab.example`, either with a port.
fn endpoint(text: &str) -> Result<(), String> {
    super::config::host_and_port(text, 6443).map(|_| ())
}

/// Checks the `talos` block and gives `vip.ip`.
fn talos(fields: &mut Fields<'_, '_>) -> Option<Spanned<IpAddr>> {
    let mut fields = fields.mapping("talos", "talos")?;
    for key in ["version", "kubernetes_version", "config_dir", "secrets_file", "patches_dir"] {
        fields.text(key);
    }
    if let Some(mut factory) = fields.mapping("factory", "talos.factory") {
        factory.text("schematic_id");
        factory.texts("extensions");
        factory.finish();
    }
    let vip = fields.mapping("vip", "talos.vip").and_then(|mut vip| {
        vip.text("interface");
        let ip = vip.parsed("ip", names::ip);
        vip.finish();
        ip
    });
    fields.finish();
    vip
}

fn flux(fields: &mut Fields<'_, '_>) -> Flux {
    let Some(mut fields) = fields.mapping("flux", "flux") else { return Flux::default() };
    let flux = Flux { repo: fields.text("repo"), path: fields.text("path") };
    fields.text("branch");
    fields.finish();
    flux
}

/// Where the profile's document begins, for problems without a better place.
impl Profile {
    pub(crate) fn span(&self) -> Span {
        self.name.span
    }
}
