//! A standalone VM spec: one document, one guest, or several that are counted.

use std::sync::Arc;

use super::super::include::INCLUDE;
use super::super::layer::{self, Layer, Mapping};
use super::super::merge;
use super::super::placeholder::{self, Context, Piece, Place, Word};
use super::super::variable::Scope;
use super::super::yaml::{Kind, Node};
use super::fields::Fields;
use super::group::{self, MAX_COUNT};
use super::names::{self, HostAddress};
use super::profile::{self, Addressing};
use super::value;
use crate::address::Address;
use crate::desired::{TemplateRef, VmidRequest};
use crate::diagnostic::{Diagnostic, Span, Spanned};

/// One standalone VM.
#[derive(Debug, Clone)]
pub(crate) struct Standalone {
    pub(crate) name: Spanned<String>,
    pub(crate) vmid: Option<Spanned<VmidRequest>>,
    pub(crate) node: Option<Spanned<String>>,
    pub(crate) template: Option<Spanned<TemplateRef>>,
    pub(crate) ip: Option<Spanned<HostAddress>>,
    pub(crate) mac: Option<Spanned<String>>,
    pub(crate) addressing: Addressing,
    pub(crate) depends_on: Vec<Spanned<Address>>,
    pub(crate) moved: Option<Spanned<String>>,
    /// Its number and key when the document makes several.
    pub(crate) instance: Option<Instance>,
    /// `start_ip`, for guests that are counted.
    pub(crate) start_ip: Option<Spanned<HostAddress>>,
    /// VM keys: what the document includes, the lowest first, then its own.
    pub(crate) layers: Vec<Layer>,
}

/// One of the guests that a document makes.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    /// From 1.
    pub(crate) index: u32,
    /// Its key in `for_each`.
    pub(crate) each: Option<Spanned<String>>,
}

const STANDALONE: Mapping = Mapping {
    what: "a standalone VM spec",
    own: &[
        "kind",
        "name",
        "vmid",
        "start_vmid",
        "node",
        "template",
        "ip",
        "start_ip",
        "mac",
        "gateway",
        "prefix",
        "nameservers",
        "searchdomain",
        "depends_on",
        "variables",
        "count",
        "for_each",
        "moved",
    ],
    legacy: false,
};

/// Reads a standalone VM spec; `cluster` is the name of the cluster.
pub(crate) fn read(
    node: &Node,
    cluster: Option<&str>,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Standalone> {
    let count = node.get("count").filter(|node| node.kind != Kind::Null);
    let for_each = node.get("for_each").filter(|node| node.kind != Kind::Null);
    if count.is_none() && for_each.is_none() {
        only_counted(node, problems);
        return one(node.clone(), None, cluster, scope, problems).into_iter().collect();
    }
    let instances = instances(count, for_each, problems);
    if instances.len() > 1 && !name_differs(node) {
        let name = node.get("name").unwrap_or(node);
        problems.push(
            Diagnostic::error("same-name", "all guests of this document would have one name")
                .at(name.span, "neither {index} nor {each} is in it")
                .help("write name: \"web{index:02}\", or with for_each name: \"web-{each}\""),
        );
        return Vec::new();
    }
    if too_large(node, instances.len()) {
        let span = for_each.or(count).map_or(node.span, |node| node.span);
        problems.push(
            Diagnostic::error("too-many", "these guests say too much")
                .at(span, "so many of so long a document")
                .help("lower count, or move what they share into defaults"),
        );
        return Vec::new();
    }
    let mut specs = Vec::new();
    for (instance, mut said) in instances {
        let mut own = node.clone();
        if let Kind::Map(entries) = &mut own.kind {
            entries.retain(|e| !["count", "for_each"].contains(&e.key.value.as_str()));
        }
        // What a single guest includes lies over what all of them say.
        if let Some(Node { kind: Kind::Seq(fragments), .. }) =
            said.remove(INCLUDE).map(|entry| entry.value)
        {
            fragments.iter().for_each(|fragment| merge::overlay(&mut own, fragment));
        }
        merge::overlay(&mut own, &said);
        specs.extend(one(own, Some(instance), cluster, scope, problems));
    }
    specs
}

/// Keys that count something.
fn only_counted(node: &Node, problems: &mut Vec<Diagnostic>) {
    for key in ["start_vmid", "start_ip"] {
        if let Some(there) = node.get(key).filter(|node| node.kind != Kind::Null) {
            let other = key.trim_start_matches("start_");
            problems.push(
                Diagnostic::error("conflict", format!("'{key}' counts guests, and this is one"))
                    .at(there.span, "nothing to count")
                    .help(format!("write '{other}', or give 'count' or 'for_each'")),
            );
        }
    }
}

fn instances(
    count: Option<&Node>,
    for_each: Option<&Node>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<(Instance, Node)> {
    if let Some(node) = for_each {
        let others: Vec<_> = count.map(|count| ("count", count.span)).into_iter().collect();
        group::excludes_counts(node, &others, problems);
        let numbered = (1..).zip(group::each(node, problems));
        return numbered
            .map(|(index, (key, mut said))| {
                if said.kind == Kind::Null {
                    said = Node::mapping(key.span);
                }
                (Instance { index, each: Some(key) }, said)
            })
            .collect();
    }
    let Some(node) = count else { return Vec::new() };
    let count = value::integer(node, "count", 0..=MAX_COUNT, problems);
    let count = count.map_or(0, |count| count.value);
    (1..=count).map(|index| (Instance { index, each: None }, Node::mapping(node.span))).collect()
}

/// Every guest has a copy of the document: their values are counted before any is made.
fn too_large(node: &Node, guests: usize) -> bool {
    const MOST_VALUES: usize = 2_000_000;
    let mut values = 0_usize;
    node.walk(&mut |_| values += 1);
    values.saturating_mul(guests) > MOST_VALUES
}

fn name_differs(node: &Node) -> bool {
    let Some(Kind::Template(pieces)) = node.get("name").map(|name| &name.kind) else {
        return false;
    };
    pieces
        .iter()
        .any(|piece| matches!(piece, Piece::Place(Place::Index { .. } | Place::Word(Word::Each))))
}

/// Fills in what is known of the guest, and reads it; none when it has no usable name.
fn one(
    mut node: Node,
    instance: Option<Instance>,
    cluster: Option<&str>,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Standalone> {
    let index = instance.as_ref().map(|instance| instance.index);
    let each = instance.as_ref().and_then(|i| i.each.as_ref()).map(|each| each.value.clone());
    let mut context = Context { index, each: each.as_deref(), cluster, ..Context::default() };
    let vmid = start_vmid(&mut node, index, &context, problems);
    context.vmid = vmid;
    let name = filled(&mut node, "name", &context, problems);
    context.name = name.as_deref();
    let host = filled(&mut node, "node", &context, problems);
    context.node = host.as_deref();
    placeholder::fill(&mut node, &context, problems);
    typed(&node, instance, scope, problems)
}

/// Fills in one key and gives its text.
fn filled(
    node: &mut Node,
    key: &str,
    context: &Context<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    let Kind::Map(entries) = &mut node.kind else { return None };
    let entry = entries.iter_mut().find(|entry| entry.key.value == key)?;
    placeholder::fill(&mut entry.value, context, problems);
    entry.value.scalar()
}

/// Makes `start_vmid` the `vmid` of this guest, and gives the VMID when it is fixed.
fn start_vmid(
    node: &mut Node,
    index: Option<u32>,
    context: &Context<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<u32> {
    filled(node, "start_vmid", context, problems);
    filled(node, "vmid", context, problems);
    let start = node.get("start_vmid").cloned();
    let own = node.get("vmid").is_some_and(|own| own.kind != Kind::Null);
    if let (Some(start), Some(index), false) = (start, index, own)
        && let Kind::Number(text) = &start.kind
        && let Ok(number) = text.parse::<u32>()
    {
        let vmid = number.saturating_add(index - 1);
        node.set("vmid", Node { span: start.span, kind: Kind::Number(vmid.to_string()) });
    }
    match node.get("vmid").map(|node| &node.kind) {
        Some(Kind::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

fn typed(
    node: &Node,
    instance: Option<Instance>,
    scope: &Arc<Scope>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Standalone> {
    let mut fields = Fields::open(node, "document", "a standalone VM spec", problems)?;
    let name = fields.parsed("name", names::lower_label);
    fields.require("name", "name is the VM's name in Proxmox VE");
    if instance.is_some() {
        group::vmid_or_auto(&mut fields, "start_vmid");
    }
    let mut spec = Standalone {
        name: name.clone().unwrap_or_else(|| Spanned::new(String::new(), node.span)),
        vmid: group::vmid_or_auto(&mut fields, "vmid"),
        node: fields.parsed("node", names::identifier),
        template: profile::template(&mut fields),
        ip: fields.parsed("ip", HostAddress::read),
        mac: fields.parsed("mac", names::mac),
        addressing: profile::addressing(&mut fields),
        depends_on: fields
            .parsed_list("depends_on", |text| text.parse().map_err(|e| format!("{e}"))),
        moved: fields.text("moved"),
        start_ip: fields.parsed("start_ip", HostAddress::read).filter(|_| instance.is_some()),
        instance,
        layers: Vec::new(),
    };
    spec.layers = STANDALONE.layers(node, "VM", scope, problems);
    agree(node, &spec, problems);
    if name.is_none() {
        // Nothing is made of it, and what is wrong with its values is said all the same.
        spec.layers.iter().for_each(|layer| layer::check_values(&layer.node, problems));
    }
    name.map(|_| spec)
}

/// What excludes each other.
fn agree(node: &Node, spec: &Standalone, problems: &mut Vec<Diagnostic>) {
    if let (Some(host), Some(placement)) = (&spec.node, node.get("placement"))
        && matches!(&placement.kind, Kind::Text(word) if word == "spread" || word == "pack")
    {
        problems.push(
            Diagnostic::error("conflict", "'node' and 'placement' exclude each other")
                .at(placement.span, "chooses a node")
                .at(host.span, "names the node")
                .help("keep one of the two, or write 'placement: pinned'"),
        );
    }
    said_once(node, spec, problems);
    let clone = node.get("clone").filter(|node| node.kind != Kind::Null);
    if let (None, Some(clone)) = (&spec.template, clone) {
        problems.push(
            Diagnostic::error("conflict", "'clone' needs a template")
                .at(clone.span, "there is nothing to clone")
                .help("name a template, or take 'clone' out"),
        );
    }
}

/// `mac` and `ip` are short for keys further in; both together would be a riddle.
fn said_once(node: &Node, spec: &Standalone, problems: &mut Vec<Diagnostic>) {
    let mac = spec.mac.as_ref().map(|mac| mac.span);
    let ip = spec.ip.as_ref().map(|ip| ip.span);
    let short: [(&str, Option<Span>, &[&str]); 2] =
        [("mac", mac, &["networks", "net0", "mac"]), ("ip", ip, &["cloudinit", "ipconfig", "0"])];
    for (key, here, path) in short {
        if let (Some(here), Some(there)) = (here, node.find(path)) {
            let path = path.join(".");
            problems.push(
                Diagnostic::error("conflict", format!("'{key}' and '{path}' are the same"))
                    .at(here, "given here")
                    .at(there.span, "and here")
                    .help("keep one of the two"),
            );
        }
    }
}
