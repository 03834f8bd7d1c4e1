//! VMIDs: inside the range, claimed once, enough of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::decode::value::counted;
use super::repeated::Repeated;
use crate::desired::{Desired, Guest, Origin, TemplateRef, VmidRange, VmidRequest};
use crate::diagnostic::{Diagnostic, Span};

pub(super) fn check(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    outside(desired, problems);
    twice(desired, problems);
    templates(desired, problems);
    capacity(desired, problems);
}

fn fixed(guest: &Guest) -> Option<u32> {
    match guest.vmid {
        VmidRequest::Fixed(vmid) => Some(vmid),
        VmidRequest::Auto => None,
    }
}

/// `1000-1003`.
fn shown(range: &VmidRange) -> String {
    format!("{}-{}", range.first, range.last)
}

/// VMIDs outside `vmid_ranges.vms`: one problem for each place that says them.
fn outside(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let range = &desired.scope.vms;
    let mut found: BTreeMap<Span, Vec<(u32, &Guest)>> = BTreeMap::new();
    for guest in desired.guests() {
        if let Some(vmid) = fixed(guest).filter(|vmid| !range.contains(*vmid)) {
            found.entry(guest.place("vmid")).or_default().push((vmid, guest));
        }
    }
    for (span, guests) in found {
        let Some((vmid, guest)) = guests.first() else { continue };
        let (message, label) = if let [_] = guests.as_slice() {
            (format!("VMID {vmid} is outside"), format!("asked for by {}", guest.address))
        } else {
            let (last, end) = guests.last().map_or((*vmid, *guest), |last| *last);
            let label = format!("asked for by {} to {}", guest.address, end.address);
            (format!("VMIDs {vmid}-{last} are outside"), label)
        };
        problems.push(
            Diagnostic::error(
                "vmid-out-of-range",
                format!("{message} vmid_ranges.vms ({})", shown(range)),
            )
            .at(span, label)
            .at_opt(range.span, format!("guests get VMIDs {}", shown(range)))
            .help(format!("choose {} to {}, or widen vmid_ranges.vms", range.first, range.last)),
        );
    }
}

fn twice(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let mut claims = Repeated::new(
        "duplicate-vmid",
        "VMID",
        "a VMID belongs to one guest: change one of them, or let pvx choose with 'auto'",
    );
    for guest in desired.guests() {
        if let Some(vmid) = fixed(guest) {
            claims.claim(vmid, guest.place("vmid"), &guest.address);
        }
    }
    claims.report(problems);
}

/// A guest with the VMID of a template would be created over it.
fn templates(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let mut templates: BTreeMap<u32, Span> = BTreeMap::new();
    for guest in desired.guests() {
        if let Origin::Template { template: TemplateRef::Vmid(vmid), .. } = &guest.origin {
            templates.entry(*vmid).or_insert_with(|| guest.place("template"));
        }
    }
    for guest in desired.guests() {
        let Some((vmid, template)) =
            fixed(guest).and_then(|vmid| templates.get(&vmid).map(|span| (vmid, *span)))
        else {
            continue;
        };
        let message = format!("VMID {vmid} is a template and cannot be {} too", guest.address);
        problems.push(
            Diagnostic::error("duplicate-vmid", message)
                .at(guest.place("vmid"), "asked for here")
                .at(template, "named as a template here")
                .help("choose another VMID for the guest"),
        );
    }
}

/// More guests than VMIDs.
fn capacity(desired: &Desired, problems: &mut Vec<Diagnostic>) {
    let range = &desired.scope.vms;
    let there = (range.last.saturating_sub(range.first) as usize).saturating_add(1);
    let taken: BTreeSet<u32> =
        desired.guests().filter_map(fixed).filter(|vmid| range.contains(*vmid)).collect();
    let auto = desired.guests().filter(|guest| fixed(guest).is_none()).count();
    let needed = taken.len() + auto;
    if auto == 0 || needed <= there {
        return;
    }
    let askers: Vec<String> = desired
        .profiles
        .iter()
        .filter(|profile| profile.guests.iter().any(|guest| fixed(guest).is_none()))
        .map(super::called)
        .collect();
    let by = match askers.as_slice() {
        [one] => format!("by {one}"),
        many => {
            format!("by {} and {} more", many.first().map_or("", String::as_str), many.len() - 1)
        }
    };
    let verb = if needed == 1 { "is" } else { "are" };
    let mut problem = Diagnostic::error(
        "vmids-exhausted",
        format!("no VMID left in vmid_ranges.vms ({})", shown(range)),
    )
    .at_opt(range.span, format!("{}, {needed} {verb} needed {by}", counted(there, "id")))
    .help("widen the range, or lower count");
    if range.span.is_none() {
        let first = desired.profiles.first().map(|profile| profile.span);
        problem = problem.at_opt(first, format!("{needed} ids are needed {by}"));
    }
    problems.push(problem);
}
