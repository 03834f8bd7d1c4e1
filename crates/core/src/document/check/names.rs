//! Names, counts and assignments.

use super::super::decode::group::Group;
use super::super::decode::value::counted;
use super::super::decode::{names, profile::Profile};
use super::repeated::Repeated;
use super::{Documents, called};
use crate::desired::{Desired, Profile as Resolved};
use crate::diagnostic::Diagnostic;

pub(super) fn check(documents: &Documents, desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let mut profiles =
        Repeated::new("duplicate-name", "the name of", "rename one of the two documents");
    for profile in &desired.profiles {
        profiles.claim(called(profile), profile.span, called(profile));
        guests(profile, problems);
    }
    profiles.report(problems);
    for profile in &documents.profiles {
        controlplane(profile, problems);
        profile.groups.iter().for_each(|group| assignments(group, problems));
    }
}

/// Guests of one profile are addressed by name, and Proxmox VE takes names as host names: case
/// does not tell them apart.
fn guests(profile: &Resolved, problems: &mut Vec<Diagnostic>) {
    let mut claims = Repeated::new(
        "duplicate-name",
        "guest name",
        "give one of the groups another name_prefix, or the assignments other names",
    );
    let mut last = None;
    for guest in &profile.guests {
        let name = guest.address.guest();
        claims.claim(name.to_ascii_lowercase(), guest.place("name"), group_of(guest));
        let span = guest.place("name");
        if names::label(name).is_err() && last.replace(span) != Some(span) {
            let message = format!("the guest name '{name}' is longer than 63 characters");
            let problem = Diagnostic::error("bad-value", message);
            problems.push(problem.at(span, "the number makes it too long"));
        }
    }
    claims.report(problems);
}

fn group_of(guest: &crate::desired::Guest) -> String {
    format!("{}/{}", guest.address.profile(), guest.group)
}

fn controlplane(profile: &Profile, problems: &mut Vec<Diagnostic>) {
    const HELP: &str = "a cluster needs at least one controlplane guest";
    let group = profile.groups.iter().find(|group| group.name.value == "controlplane");
    let Some(group) = group else {
        let message = format!("profile {} has no group 'controlplane'", profile.name.value);
        let (span, text) = match profile.groups.first() {
            Some(first) => (first.name.span, "the first group"),
            // A profile without guests would plan the destruction of all it has.
            None => (profile.name.span, "it has no groups at all"),
        };
        problems.push(Diagnostic::error("no-controlplane", message).at(span, text).help(HELP));
        return;
    };
    let none = match &group.count {
        Some(count) => (count.value == 0).then_some((count.span, "must be 1 or more")),
        None => group
            .for_each
            .filter(|_| group.assignments.is_empty())
            .map(|span| (span, "it has no guests")),
    };
    if let Some((span, label)) = none {
        let message = format!("profile {} has no controlplane", profile.name.value);
        problems.push(Diagnostic::error("no-controlplane", message).at(span, label).help(HELP));
    }
}

/// As many assignments as the count, when there are any.
fn assignments(group: &Group, problems: &mut Vec<Diagnostic>) {
    let (Some(count), Some(place)) = (&group.count, group.assignments_at) else { return };
    let there = group.assignments.len();
    if there == 0 || there == count.value as usize {
        return;
    }
    let message = format!(
        "group '{}' has {} for {}",
        group.name.value,
        counted(there, "assignment"),
        counted(count.value as usize, "guest"),
    );
    problems.push(
        Diagnostic::error("assignments-count", message)
            .at(count.span, format!("{} wanted", count.value))
            .at(place, format!("{there} assigned"))
            .help("assign every guest, or none with 'assignments: []'"),
    );
}
