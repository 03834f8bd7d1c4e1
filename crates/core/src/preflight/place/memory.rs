//! Is there memory on nodes for the guests that run after the plan, and do they have the CPUs?

use std::collections::{BTreeMap, BTreeSet};

use super::course::{Course, Started};
use super::words::size;
use super::{Asked, Look};
use crate::address::Address;
use crate::plan::Finding;
use crate::planner::Input;

pub(super) fn ask(course: &Course, input: &Input<'_>, asked: &mut Asked) {
    let memory = |node: &str| input.snapshot.inventory.nodes.get(node).map_or(0, |n| n.memory);
    let beyond = course.started.iter().filter(|s| {
        let most = memory(&s.node);
        most > 0 && s.hardware.memory > most
    });
    asked.memory.extend(beyond.map(|started| started.node.clone()));
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    let mut refused: BTreeSet<&str> = BTreeSet::new();
    let mut found = Vec::new();
    for started in &course.started {
        if let Some(finding) = single(look, started) {
            refused.insert(&started.node);
            found.push(finding);
        }
    }
    found.extend(course.started.iter().filter_map(|started| cpus(look, started)));
    found.extend(together(look, course, &refused));
    found
}

/// QEMU asks for a guest's memory when it starts, and Linux refuses at once what is more than
/// memory and swap together (`vm.overcommit_memory=0`). Huge pages never come from swap.
fn single(look: &Look<'_>, started: &Started) -> Option<Finding> {
    let hardware = &started.hardware;
    let node = look.known.memory.iter().find(|memory| memory.node == started.node)?;
    let (wanted, most) = match hardware.hugepages {
        true => (hardware.memory, node.total),
        false => (hardware.piece, node.total.saturating_add(node.swap)),
    };
    if most == 0 || wanted <= most {
        return None;
    }
    let of = if hardware.hugepages { "of memory" } else { "of memory and swap" };
    let text = format!(
        "{} has {} of memory, node {} {} {of}: it cannot start there",
        started.address,
        size(hardware.memory),
        started.node,
        size(most)
    );
    let help = "lower `memory`, or put it on another node";
    let finding = Finding::error("memory-full", text).help(help);
    Some(look.at(finding, &started.address, &["memory"]))
}

/// What the planner does not see: CPUs that are the template's, or the guest's already.
fn cpus(look: &Look<'_>, started: &Started) -> Option<Finding> {
    let node = look.input.snapshot.inventory.nodes.get(&started.node)?;
    let wanted = started.hardware.cpus;
    if node.cpus == 0 || wanted <= node.cpus || look.is_said("too-many-cpus", &started.address) {
        return None;
    }
    let text = format!(
        "{} has {wanted} vCPUs, node {} has {}: it cannot start there",
        started.address, started.node, node.cpus
    );
    let help = "lower cores or sockets, or put it on another node";
    let finding = Finding::error("too-many-cpus", text).help(help);
    Some(look.at(finding, &started.address, &["cores", "sockets"]))
}

/// All guests of a node together.
fn together(look: &Look<'_>, course: &Course, refused: &BTreeSet<&str>) -> Vec<Finding> {
    let inventory = &look.input.snapshot.inventory;
    let (mut before, mut after): (BTreeMap<&str, u64>, BTreeMap<&str, u64>) = Default::default();
    let mut more: BTreeMap<&str, Vec<&Address>> = BTreeMap::new();
    let add = |sums: &mut BTreeMap<_, u64>, node, memory: u64| {
        let sum: &mut u64 = sums.entry(node).or_default();
        *sum = sum.saturating_add(memory);
    };
    for guest in inventory.guests.values() {
        let live = look.input.snapshot.guests.get(&guest.vmid);
        let runs = live.map_or(guest.status == "running", |live| live.running);
        if !runs {
            continue;
        }
        add(&mut before, guest.node.as_str(), guest.memory);
        let touched = course.guests.contains_key(&guest.vmid) || course.gone.contains(&guest.vmid);
        if !touched {
            add(&mut after, guest.node.as_str(), guest.memory);
        }
    }
    for state in course.guests.values().filter(|state| state.running) {
        let memory = look.input.kind.hardware(&state.config).memory;
        add(&mut after, state.node.as_str(), memory);
        let old = state.before.as_ref().filter(|old| old.running && old.node == state.node);
        let old = old.map_or(0, |old| look.input.kind.hardware(&old.config).memory);
        if memory > old {
            more.entry(state.node.as_str()).or_default().push(&state.address);
        }
    }
    let ratio = look.input.desired.scope.overcommit.memory;
    let mut found = Vec::new();
    for (name, addresses) in more {
        let Some(node) = inventory.nodes.get(name).filter(|node| node.memory > 0) else { continue };
        let sum = after.get(name).copied().unwrap_or(0);
        let grows = sum > before.get(name).copied().unwrap_or(0);
        let fits = sum as f64 <= node.memory as f64 * ratio.unwrap_or(1.0);
        if fits || !grows || refused.contains(name) {
            continue;
        }
        let text = format!(
            "guests on {name} have {} of memory after this plan, the node has {}",
            size(sum),
            size(node.memory)
        );
        let finding = match ratio {
            Some(ratio) => Finding::error("memory-overcommitted", text).help(format!(
                "lower `memory`, use another node, or raise preflight.overcommit.memory ({ratio})"
            )),
            None => Finding::warning("memory-overcommitted", text)
                .help("lower `memory`, or put guests on another node"),
        };
        if let Some(first) = addresses.into_iter().min_by_key(|address| look.order(address)) {
            found.push(look.shown_at(finding, first, &["memory"]));
        }
    }
    found
}
