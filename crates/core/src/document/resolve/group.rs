//! Guests of a node group.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::group::{Assignment, Group};
use super::super::decode::names::HostAddress;
use super::super::decode::profile::Profile;
use super::super::decode::vm::VmKeys;
use super::super::layer::Layer;
use super::super::nearest::nearest;
use super::super::placeholder::{self, Context};
use super::super::yaml::Node;
use super::super::{explain, merge};
use super::Resolver;
use super::choices::Choices;
use super::prepare::{Beside, Prepared, prepare};
use crate::address::Address;
use crate::desired::{CloneMode, Guest, Origin, TemplateRef, VmidRequest};
use crate::diagnostic::{Diagnostic, Spanned};

/// How many guests a group has: `count`, or else one for each assignment.
pub(super) fn count(group: &Group) -> usize {
    group.count.as_ref().map_or(group.assignments.len(), |count| count.value as usize)
}

/// The tag that every guest of a group gets.
pub(crate) fn role(group: &str) -> &str {
    if group == "workers" { "worker" } else { group }
}

/// The beginning of the names in a group that gives no `name_prefix`.
fn default_prefix(group: &str) -> &str {
    match group {
        "controlplane" => "cp",
        "workers" => "worker",
        other => other,
    }
}

/// The name of the guest number `index`, from 0, without an assignment that names it.
fn numbered_name(group: &Group, index: usize) -> String {
    let prefix =
        group.name_prefix.as_ref().map_or(default_prefix(&group.name.value), |p| p.value.as_str());
    format!("{prefix}{:02}", index + 1)
}

/// The name of a guest of `for_each`: the prefix and its key.
fn keyed_name(group: &Group, key: &str) -> String {
    match &group.name_prefix {
        Some(prefix) => format!("{}{key}", prefix.value),
        None => format!("{}-{key}", default_prefix(&group.name.value)),
    }
}

/// Everything that all guests of a group share, with what is known of all of them filled in.
pub(super) fn tree(
    resolver: &mut Resolver<'_>,
    profile: &Profile,
    group: &Group,
    problems: &mut Vec<Diagnostic>,
) -> Node {
    let layers = profile.layers.iter().chain(&group.layers).map(|layer| &layer.node);
    let mut tree = merge::fold(resolver.defaults.1.clone(), layers);
    let context = Context {
        profile: Some(&profile.name.value),
        group: Some(&group.name.value),
        cluster: resolver.cluster(),
        ..Context::default()
    };
    let mut found = Vec::new();
    placeholder::fill_known(&mut tree, &context, &mut found);
    resolver.report(found, problems);
    tree
}

/// All guests of a group, which share `tree`. Guests that say nothing of their own are decoded
/// once.
pub(super) fn guests(
    resolver: &mut Resolver<'_>,
    profile: &Profile,
    group: &Group,
    tree: &Node,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Guest> {
    let mut found = Vec::new();
    let shared = (!tree.has_templates()).then(|| {
        let beside = beside(profile, None, None);
        prepare(resolver, tree.clone(), &beside, &mut found)
    });
    resolver.report(found, problems);
    let mut guests = Vec::with_capacity(count(group));
    for index in 0..count(group) {
        let mut found = Vec::new();
        let guest = guest(resolver, profile, group, tree, shared.as_ref(), index, &mut found);
        resolver.report(found, problems);
        guests.push(guest);
    }
    guests
}

fn beside<'b>(
    profile: &'b Profile,
    ip: Option<&'b Spanned<HostAddress>>,
    mac: Option<&'b Spanned<String>>,
) -> Beside<'b> {
    Beside { kind: profile.kind, empty: false, ip, mac, addressing: &profile.addressing }
}

/// Guest number `index` of a group, from 0.
fn guest(
    resolver: &mut Resolver<'_>,
    profile: &Profile,
    group: &Group,
    tree: &Node,
    shared: Option<&Prepared>,
    index: usize,
    problems: &mut Vec<Diagnostic>,
) -> Guest {
    let assignment = group.assignments.get(index);
    let name = name(group, assignment, index);
    let ip = address(profile, group, assignment, index, &name, problems);
    let mac = assignment.and_then(|assignment| assignment.mac.as_ref());
    let own = assignment.map(|assignment| assignment.layers.as_slice()).unwrap_or_default();
    let plain = ip.is_none() && mac.is_none() && own.is_empty();
    let prepared = match shared {
        Some(shared) if plain => shared.clone(),
        _ => {
            let mut tree = merge::fold(tree.clone(), own.iter().map(|layer| &layer.node));
            let context = context(resolver, profile, group, index, &name);
            placeholder::fill(&mut tree, &context, problems);
            prepare(resolver, tree, &beside(profile, ip.as_ref(), mac), problems)
        }
    };
    let Prepared { vm, choices, tree } = prepared;
    let mut guest = built(profile, group, index, name, vm, &choices, problems);
    own_places(&mut guest, profile, group, assignment, &choices);
    let layers = resolver.config_layers().iter().chain(&profile.layers).chain(&group.layers);
    let each = assignment.and_then(|a| a.each.as_ref()).map(|each| each.value.as_str());
    super::beside::hand_over(&mut guest, layers.chain(own), u32::try_from(index + 1).ok(), each);
    if let Some(moved) = assignment.and_then(|assignment| assignment.moved.as_ref()) {
        super::moved::set(&mut guest, &profile.name.value, moved, problems);
    }
    if resolver.explain == Some(&guest.address) {
        let said = profile.layers.iter().chain(&group.layers).chain(own);
        let layers: Vec<&Layer> = resolver.config_layers().iter().chain(said).collect();
        let explanation =
            explain::of_group(&guest, (profile, group), &layers, &tree, resolver.sources);
        resolver.explanation = Some(explanation);
    }
    guest
}

fn name(group: &Group, assignment: Option<&Assignment>, index: usize) -> String {
    match assignment {
        Some(Assignment { each: Some(key), .. }) => keyed_name(group, &key.value),
        Some(Assignment { name: Some(name), .. }) => name.value.clone(),
        _ => numbered_name(group, index),
    }
}

/// What placeholders of the guest stand for.
fn context<'c>(
    resolver: &Resolver<'c>,
    profile: &'c Profile,
    group: &'c Group,
    index: usize,
    name: &'c str,
) -> Context<'c> {
    let assignment = group.assignments.get(index);
    Context {
        index: u32::try_from(index + 1).ok(),
        name: Some(name),
        profile: Some(&profile.name.value),
        group: Some(&group.name.value),
        each: assignment.and_then(|a| a.each.as_ref()).map(|each| each.value.as_str()),
        cluster: resolver.cluster(),
        vmid: match vmid(group, assignment, index) {
            VmidRequest::Fixed(vmid) => Some(vmid),
            VmidRequest::Auto => None,
        },
        node: assignment.and_then(|a| a.node.as_ref()).map(|node| node.value.as_str()),
    }
}

/// The assignment's address, or `start_ip` and the guest's index.
fn address(
    profile: &Profile,
    group: &Group,
    assignment: Option<&Assignment>,
    index: usize,
    name: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<Spanned<HostAddress>> {
    if let Some(ip) = assignment.and_then(|assignment| assignment.ip.as_ref()) {
        return Some(ip.clone());
    }
    let start = group.start_ip.as_ref()?;
    let who = format!("{}/{name}", profile.name.value);
    match super::address::counted(start, index, &profile.addressing, &who) {
        Ok(ip) => Some(ip),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

fn built(
    profile: &Profile,
    group: &Group,
    index: usize,
    name: String,
    vm: VmKeys,
    choices: &Choices,
    problems: &mut Vec<Diagnostic>,
) -> Guest {
    let assignment = group.assignments.get(index);
    let mut spec = vm.spec;
    let mark = super::profile_mark(&profile.name.value);
    let said = profile.tags.iter().chain(&vm.tags);
    spec.tags = super::tags(said, Some(role(&group.name.value)), mark);
    // Without a usable template the document is refused; the number only keeps the guest whole.
    let template = profile.template.as_ref().map_or(TemplateRef::Vmid(0), |t| t.value.clone());
    let node = assignment.and_then(|assignment| assignment.node.as_ref());
    let (placement, pinned) = choices.placement(node, problems);
    let power = super::power(vm.power, &spec);
    Guest {
        address: Address::new(profile.name.value.clone(), name),
        group: group.name.value.clone(),
        vmid: vmid(group, assignment, index),
        placement,
        origin: Origin::Template { template, clone: vm.clone.unwrap_or(CloneMode::Full) },
        spec,
        after: BTreeSet::new(),
        power,
        pinned,
        moved_from: None,
        apply_changes: choices.apply_changes.as_ref().map(|said| said.value),
        prevent_destroy: choices.prevent_destroy.as_ref().is_some_and(|said| said.value),
        on_failure: choices.on_failure.as_ref().map(|said| said.value).unwrap_or_default(),
        span: assignment.map_or(group.name.span, |assignment| assignment.span),
        places: vm.places,
    }
}

/// The assignment's VMID, or `start_vmid` and the guest's index, or any free one.
fn vmid(group: &Group, assignment: Option<&Assignment>, index: usize) -> VmidRequest {
    if let Some(vmid) = assignment.and_then(|assignment| assignment.vmid.as_ref()) {
        return VmidRequest::Fixed(vmid.value);
    }
    match group.start_vmid.as_ref().map(|start| start.value) {
        Some(VmidRequest::Fixed(start)) => {
            VmidRequest::Fixed(start.saturating_add(u32::try_from(index).unwrap_or(u32::MAX)))
        }
        _ => VmidRequest::Auto,
    }
}

/// Places of what is not a VM key; the assignment's are the most specific.
fn own_places(
    guest: &mut Guest,
    profile: &Profile,
    group: &Group,
    assignment: Option<&Assignment>,
    choices: &Choices,
) {
    if let (None, Some(tag)) = (guest.places.get("tags"), profile.tags.first()) {
        guest.places.insert("tags".to_owned(), tag.span);
    }
    let mut keep = |path: &str, span| {
        if let Some(span) = span {
            guest.places.insert(path.to_owned(), span);
        }
    };
    keep("template", profile.template.as_ref().map(|v| v.span));
    keep("name", group.name_prefix.as_ref().map(|v| v.span));
    keep("vmid", group.start_vmid.as_ref().map(|v| v.span));
    keep("node", choices.at());
    keep("apply_changes", choices.apply_changes.as_ref().map(|v| v.span));
    keep("prevent_destroy", choices.prevent_destroy.as_ref().map(|v| v.span));
    keep("on_failure", choices.on_failure.as_ref().map(|v| v.span));
    keep("count", group.count.as_ref().map(|v| v.span));
    let Some(assignment) = assignment else { return };
    keep("name", assignment.each.as_ref().map(|v| v.span));
    keep("name", assignment.name.as_ref().map(|v| v.span));
    keep("vmid", assignment.vmid.as_ref().map(|v| v.span));
    keep("node", assignment.node.as_ref().map(|v| v.span));
}

/// Turns `depends_on` of the groups into `after` of the guests.
pub(super) fn link(profile: &Profile, guests: &mut [Guest], problems: &mut Vec<Diagnostic>) {
    let mut members: BTreeMap<&str, BTreeSet<Address>> = BTreeMap::new();
    for group in &profile.groups {
        let of_group = guests.iter().filter(|guest| guest.group == group.name.value);
        members.insert(&group.name.value, of_group.map(|guest| guest.address.clone()).collect());
    }
    for group in &profile.groups {
        for wanted in &group.depends_on {
            let Some(after) = members.get(wanted.value.as_str()) else {
                let label = nearest(&wanted.value, members.keys().copied())
                    .map_or_else(|| "not known".to_owned(), |g| format!("did you mean '{g}'?"));
                let known: Vec<&str> = members.keys().copied().collect();
                let name = super::super::decode::value::quoted(&wanted.value);
                problems.push(
                    Diagnostic::error("unknown-group", format!("there is no group {name}"))
                        .at(wanted.span, label)
                        .help(format!("groups of this profile: {}", known.join(", "))),
                );
                continue;
            };
            let dependents = guests.iter_mut().filter(|guest| guest.group == group.name.value);
            dependents.for_each(|guest| guest.after.extend(after.iter().cloned()));
        }
    }
    let dropped = cycle(profile, problems);
    for guest in guests.iter_mut().filter(|guest| dropped.contains(guest.group.as_str())) {
        guest.after.clear();
    }
}

/// Reports groups that wait for each other, and gives their names.
fn cycle<'p>(profile: &'p Profile, problems: &mut Vec<Diagnostic>) -> BTreeSet<&'p str> {
    let edges: BTreeMap<&str, Vec<&str>> = profile
        .groups
        .iter()
        .map(|group| {
            let wanted = group.depends_on.iter().map(|wanted| wanted.value.as_str());
            (group.name.value.as_str(), wanted.collect())
        })
        .collect();
    let Some(circle) = super::super::check::circle(&edges) else { return BTreeSet::new() };
    let text = circle.iter().chain(circle.first()).copied().collect::<Vec<_>>().join(" → ");
    let mut problem =
        Diagnostic::error("dependency-cycle", format!("groups wait for each other: {text}"))
            .help("take out one of the depends_on");
    for group in profile.groups.iter().filter(|g| circle.contains(&g.name.value.as_str())) {
        let mut wanted = group.depends_on.iter();
        if let Some(wanted) = wanted.find(|wanted| circle.contains(&wanted.value.as_str())) {
            problem = problem.at(wanted.span, format!("'{}' waits here", group.name.value));
        }
    }
    problems.push(problem);
    circle.into_iter().collect()
}
