//! Where every value of one guest is from: its layer, its file and line, and the variables in it.

use std::collections::HashMap;

use super::decode::group::Group;
use super::decode::profile::{Addressing, Profile};
use super::decode::standalone::Standalone;
use super::decode::value::counted;
use super::layer::Layer;
use super::resolve::group::role;
use super::variable::{self, Scope};
use super::yaml::{Kind, Node};
use crate::address::Address;
use crate::desired::{Guest, Origin as MadeFrom, Placement, VmidRequest};
use crate::diagnostic::{Sources, Span, Spanned};

/// One guest, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The guest.
    pub address: Address,
    /// Its values: who and where it is, then its keys by path, then its tags.
    pub values: Vec<Explained>,
}

/// One value and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The key (`cores`, `disks.scsi1.size`).
    pub path: String,
    /// The value in the words of the documents; that of a sensitive variable is not shown.
    pub value: String,
    /// Which layer says it: `defaults`, `include`, `profile`, `group workers`, `VM`; or how it is
    /// derived.
    pub layer: String,
    /// Where it is said; none for what no document says.
    pub at: Option<Span>,
    /// Variables in it.
    pub through: Vec<Through>,
}

/// A variable in a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// The variable's name.
    pub name: String,
    /// Its value; none for a sensitive one.
    pub value: Option<String>,
    /// Who gave it: `--var`, `--var-file`, `PVX_VAR_CORES`, `default`.
    pub from: String,
    /// Where it is said, when that is in a file.
    pub at: Option<Span>,
}

/// A guest of a group.
pub(crate) fn of_group(
    guest: &Guest,
    (profile, group): (&Profile, &Group),
    layers: &[&Layer],
    tree: &Node,
    sources: &Sources,
) -> Explanation {
    let shown = format!("group {}", group.name.value);
    let mut explainer = Explainer::new(layers, sources);
    explainer.addressing(&profile.addressing, "profile network");
    explainer.said("profile", [place(&profile.template)]);
    explainer.said("profile", profile.tags.iter().map(|tag| Some(tag.span)));
    explainer.said("profile", profile.moved.iter().map(|moved| Some(moved.from.span)));
    let own = [place(&group.name_prefix), place(&group.start_vmid), place(&group.start_ip)];
    explainer.said(&shown, own);
    for item in &group.assignments {
        let own = [place(&item.each), place(&item.name), place(&item.node), place(&item.vmid)];
        explainer.said("VM", own);
        explainer.said("VM", [place(&item.ip), place(&item.mac), place(&item.moved)]);
    }
    explainer.identity(guest);
    explainer.tree(guest, tree);
    for tag in &profile.tags {
        explainer.value("tags", tag.value.clone(), tag.span);
    }
    explainer.derived("tags", role(&group.name.value).to_lowercase(), "the group's role");
    explainer.derived("tags", format!("pvx-{}", profile.name.value), "the profile's mark");
    Explanation { address: guest.address.clone(), values: explainer.values }
}

/// A standalone VM.
pub(crate) fn of_standalone(
    guest: &Guest,
    document: &Standalone,
    layers: &[&Layer],
    tree: &Node,
    sources: &Sources,
) -> Explanation {
    let mut explainer = Explainer::new(layers, sources);
    explainer.addressing(&document.addressing, "VM");
    let instance = document.instance.as_ref().and_then(|i| i.each.as_ref());
    let own = [Some(document.name.span), instance.map(|each| each.span), place(&document.vmid)];
    explainer.said("VM", own);
    explainer.said("VM", [place(&document.node), place(&document.template)]);
    explainer.said("VM", [place(&document.ip), place(&document.start_ip)]);
    explainer.said("VM", [place(&document.mac), place(&document.moved)]);
    explainer.identity(guest);
    explainer.tree(guest, tree);
    explainer.derived("tags", format!("pvx-vm.{}", guest.address.guest()), "the VM's mark");
    Explanation { address: guest.address.clone(), values: explainer.values }
}

fn place<T>(value: &Option<Spanned<T>>) -> Option<Span> {
    value.as_ref().map(|value| value.span)
}

/// Everything that explaining looks at.
struct Explainer<'e> {
    sources: &'e Sources,
    /// Which layer says what is at a place, and the variables it sees.
    layers: HashMap<Span, (String, Option<&'e Scope>)>,
    /// Variables of the document.
    scope: Option<&'e Scope>,
    values: Vec<Explained>,
}

impl<'e> Explainer<'e> {
    fn new(layers: &[&'e Layer], sources: &'e Sources) -> Self {
        let mut found = HashMap::new();
        for layer in layers {
            layer.node.walk(&mut |node| {
                found.insert(node.span, (layer.name.clone(), Some(layer.scope.as_ref())));
            });
        }
        let scope = layers.last().map(|layer| layer.scope.as_ref());
        Self { sources, layers: found, scope, values: Vec::new() }
    }

    /// `layer` says what is at `spans`.
    fn said(&mut self, layer: &str, spans: impl IntoIterator<Item = Option<Span>>) {
        for span in spans.into_iter().flatten() {
            self.layers.insert(span, (layer.to_owned(), self.scope));
        }
    }

    fn addressing(&mut self, addressing: &Addressing, layer: &str) {
        self.said(layer, [place(&addressing.gateway), place(&addressing.searchdomain)]);
        self.said(layer, addressing.nameservers.iter().map(|ip| Some(ip.span)));
    }

    /// A value that is said at `span`.
    fn value(&mut self, path: &str, value: String, span: Span) {
        let known = self.layers.get(&span);
        let layer = known.map_or_else(|| "cluster-config.yaml".to_owned(), |(l, _)| l.clone());
        let scope = known.map_or(self.scope, |(_, scope)| *scope);
        let through = self.through(span, scope);
        let path = path.to_owned();
        self.values.push(Explained { path, value, layer, at: Some(span), through });
    }

    /// A value that no document says.
    fn derived(&mut self, path: &str, value: String, how: &str) {
        let (path, layer) = (path.to_owned(), how.to_owned());
        self.values.push(Explained { path, value, layer, at: None, through: Vec::new() });
    }

    /// The value at the guest's own place for `path`, or how it is derived.
    fn own(&mut self, guest: &Guest, path: &str, value: String, how: &str) {
        match guest.places.get(path) {
            Some(span) => self.value(path, value, *span),
            None => self.derived(path, value, how),
        }
    }

    /// Name, VMID, node, origin, former address.
    fn identity(&mut self, guest: &Guest) {
        let name = guest.address.guest().to_owned();
        self.own(guest, "name", name, "the group's name and the number");
        let vmid = match guest.vmid {
            VmidRequest::Fixed(vmid) => vmid.to_string(),
            VmidRequest::Auto => "auto".to_owned(),
        };
        self.own(guest, "vmid", vmid, "the lowest free one when it is made");
        let pinned = if guest.pinned { " (pinned)" } else { "" };
        let node = match &guest.placement {
            Placement::Node(node) => format!("{node}{pinned}"),
            Placement::Spread => "spread".to_owned(),
            Placement::Pack => "pack".to_owned(),
        };
        self.own(guest, "node", node, "without 'node' and 'placement'");
        if let MadeFrom::Template { template, .. } = &guest.origin {
            self.own(guest, "template", template.to_string(), "not said");
        }
        if let Some(from) = &guest.moved_from {
            self.own(guest, "moved", from.to_string(), "not said");
        }
    }

    /// Keys of the merged tree, and what the configuration's `cloudinit` adds.
    fn tree(&mut self, guest: &Guest, tree: &Node) {
        let mut leaves = Vec::new();
        tree.leaves("", &mut |path, node| leaves.push((path.to_owned(), node)));
        let cloudinit = &guest.spec.cloudinit;
        leaves.retain(|(path, _)| match path.as_str() {
            "cloudinit.user" => cloudinit.user.is_some(),
            "cloudinit.ssh_keys" => cloudinit.ssh_keys.is_some(),
            path => path != "placement",
        });
        leaves.sort_by(|(a, _), (b, _)| (a == "tags", a).cmp(&(b == "tags", b)));
        let mut added = vec![("cloudinit.user", cloudinit.user.clone())];
        let keys = cloudinit.ssh_keys.as_ref().map(|keys| keys.lines().count());
        added.push(("cloudinit.ssh_keys", keys.map(|count| counted(count, "key"))));
        for (path, value) in added {
            let said = leaves.iter().any(|(there, _)| there == path);
            if let (false, Some(value), Some(span)) = (said, value, guest.places.get(path)) {
                self.value(path, value, *span);
            }
        }
        for (path, node) in leaves {
            match &node.kind {
                Kind::Seq(items) if path == "tags" => {
                    for tag in items {
                        self.value("tags", shown(tag).to_lowercase(), tag.span);
                    }
                }
                _ => self.value(&path, shown(node), node.span),
            }
        }
    }

    /// Variables in what is written at `span`.
    fn through(&self, span: Span, scope: Option<&Scope>) -> Vec<Through> {
        let names = variable::names_at(span, self.sources).into_iter();
        names.filter_map(|name| through(name, scope?)).collect()
    }
}

fn through(name: String, scope: &Scope) -> Option<Through> {
    let variable = scope.variables.get(&name)?;
    let (from, at) = variable.from();
    Some(Through { name, value: variable.shown(), from, at })
}

/// A value on one line.
fn shown(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "nothing".to_owned(),
        Kind::Secret(_) => "(sensitive)".to_owned(),
        Kind::Map(_) => "{}".to_owned(),
        Kind::Seq(items) => items.iter().map(shown).collect::<Vec<_>>().join(", "),
        _ => {
            let text = node.scalar().unwrap_or_default();
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default().to_owned();
            if lines.next().is_some() { format!("{first} …") } else { first }
        }
    }
}
