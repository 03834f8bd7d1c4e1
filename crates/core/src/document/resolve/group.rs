//! Guests of a node group.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::group::{Assignment, Group};
use super::super::decode::profile::Profile;
use super::super::nearest::nearest;
use super::{Resolver, address, defaults};
use crate::address::Address;
use crate::desired::{CloneMode, Guest, Origin, Placement, TemplateRef, VmidRequest};
use crate::diagnostic::Diagnostic;

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
pub(crate) fn numbered_name(group: &Group, index: usize) -> String {
    let prefix =
        group.name_prefix.as_ref().map_or(default_prefix(&group.name.value), |p| p.value.as_str());
    format!("{prefix}{:02}", index + 1)
}

/// Guest number `index` of a group.
pub(super) fn guest(
    resolver: &Resolver<'_>,
    profile: &Profile,
    group: &Group,
    index: usize,
) -> Guest {
    let assignment = group.assignments.get(index);
    let mut guest = blank(profile, group, assignment, index);
    own_places(&mut guest, profile, group, assignment);
    if guest.spec.storage.is_none()
        && let Some(storage) = &profile.storage
    {
        guest.spec.storage = Some(storage.value.clone());
        guest.places.insert("storage".to_owned(), storage.span);
    }
    if let Some(mac) = assignment.and_then(|a| a.mac.as_ref()) {
        address::mac(&mut guest, mac);
    }
    if let Some(ip) = assignment.and_then(|a| a.ip.as_ref()) {
        address::ip(&mut guest, ip, &profile.addressing);
    }
    address::resolver(&mut guest, &profile.addressing);
    defaults::apply(resolver, &mut guest);
    defaults::first_boot(resolver, profile.kind, group.vm.has_cloudinit, &mut guest);
    guest
}

/// The guest with what group, assignment and profile say directly.
fn blank(profile: &Profile, group: &Group, assignment: Option<&Assignment>, index: usize) -> Guest {
    let name = assignment
        .and_then(|assignment| assignment.name.as_ref())
        .map_or_else(|| numbered_name(group, index), |name| name.value.clone());
    let mut spec = group.vm.spec.clone();
    let mark = super::profile_mark(&profile.name.value);
    let said = profile.tags.iter().chain(&group.vm.tags);
    spec.tags = super::tags(said, Some(role(&group.name.value)), mark);
    // Without a usable template the document is refused; the number only keeps the guest whole.
    let template = profile.template.as_ref().map_or(TemplateRef::Vmid(0), |t| t.value.clone());
    let clone = group.vm.clone.or(profile.clone).unwrap_or(CloneMode::Full);
    Guest {
        address: Address::new(profile.name.value.clone(), name),
        group: group.name.value.clone(),
        vmid: vmid(group, assignment, index),
        placement: placement(group, assignment),
        origin: Origin::Template { template, clone },
        spec,
        after: BTreeSet::new(),
        power: super::power(group.vm.power, &group.vm.spec),
        pinned: false,
        moved_from: None,
        apply_changes: None,
        span: assignment.map_or(group.name.span, |assignment| assignment.span),
        places: group.vm.places.clone(),
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

fn placement(group: &Group, assignment: Option<&Assignment>) -> Placement {
    if let Some(node) = assignment.and_then(|assignment| assignment.node.as_ref()) {
        return Placement::Node(node.value.clone());
    }
    group.placement.as_ref().map_or(Placement::Spread, |placement| placement.value.clone())
}

/// Places of what is not a VM key; the assignment's are the most specific.
fn own_places(
    guest: &mut Guest,
    profile: &Profile,
    group: &Group,
    assignment: Option<&Assignment>,
) {
    let tags = profile.tags.first().map(|tag| tag.span);
    if let Some(span) = tags.filter(|_| group.vm.tags.is_empty()) {
        guest.places.insert("tags".to_owned(), span);
    }
    let mut keep = |path: &str, span| {
        if let Some(span) = span {
            guest.places.insert(path.to_owned(), span);
        }
    };
    keep("template", profile.template.as_ref().map(|v| v.span));
    keep("name", group.name_prefix.as_ref().map(|v| v.span));
    keep("vmid", group.start_vmid.as_ref().map(|v| v.span));
    keep("node", group.placement.as_ref().map(|v| v.span));
    keep("count", group.count.as_ref().map(|v| v.span));
    let Some(assignment) = assignment else { return };
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
