//! Does anybody else have the MAC or IP addresses that the plan brings in?

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::course::{Course, State};
use super::known::{Bridge, Other};
use super::{Asked, Look};
use crate::live::{Guest, GuestRef};
use crate::plan::{Finding, Weight};
use crate::planner::Input;
use crate::provider::Card;

/// A network device with addresses that it did not have before.
struct New<'c> {
    state: &'c State,
    card: Card,
    mac: Option<String>,
    addresses: Vec<IpAddr>,
}

fn new<'c>(course: &'c Course, input: &Input<'_>) -> Vec<New<'c>> {
    let mut found = Vec::new();
    for state in course.guests.values() {
        let before = state.before.as_ref().map(|live| input.kind.hardware(&live.config));
        for card in input.kind.hardware(&state.config).cards {
            let old = before.as_ref().and_then(|hardware| hardware.card(&card.slot));
            let moved = old.is_none_or(|old| (&old.bridge, old.tag) != (&card.bridge, card.tag));
            let mac = card
                .mac
                .clone()
                .filter(|mac| moved || old.and_then(|o| o.mac.as_ref()) != Some(mac));
            let had =
                |address: &IpAddr| !moved && old.is_some_and(|o| o.addresses.contains(address));
            let addresses: Vec<_> = card.addresses.iter().filter(|a| !had(a)).copied().collect();
            if card.bridge.is_some() && (mac.is_some() || !addresses.is_empty()) {
                found.push(New { state, card, mac, addresses });
            }
        }
    }
    found
}

/// Every guest that nobody's document is about is asked, and only when something new is brought in.
pub(super) fn ask(course: &Course, input: &Input<'_>, asked: &mut Asked) {
    let new = new(course, input);
    if new.is_empty() {
        return;
    }
    asked.bridges.extend(new.iter().map(|n| n.state.node.clone()));
    let snapshot = input.snapshot;
    let others = snapshot.inventory.guests.values().filter(|guest| {
        guest.qemu
            && !guest.template
            && !snapshot.guests.contains_key(&guest.vmid)
            && snapshot.inventory.nodes.get(&guest.node).is_some_and(|node| node.online)
    });
    asked.others.extend(others.map(|g| GuestRef { vmid: g.vmid, node: g.node.clone() }));
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    let (mut found, mut said) = (Vec::new(), BTreeSet::new());
    let left_alone = left_alone(course, look.input);
    let owners = Owners::of(look.known.others.iter().chain(&left_alone));
    for new in new(course, look.input) {
        found.extend(owners.near(&new).filter_map(|other| clash(look, &new, other)));
        let mut bridges = look.known.bridges.iter();
        found.extend(bridges.find_map(|bridge| node(look, &new, bridge)));
    }
    found.retain(|finding: &Finding| said.insert((finding.code.clone(), finding.message.clone())));
    found
}

/// Guests that were read for the plan, and that it does nothing to.
fn left_alone(course: &Course, input: &Input<'_>) -> Vec<Other> {
    let all = input.snapshot.guests.values();
    let touched = |vmid: &u32| course.guests.contains_key(vmid) || course.gone.contains(vmid);
    let others = all.filter(|guest| !touched(&guest.vmid) && !guest.is_template());
    let other = |guest: &Guest| Other {
        vmid: guest.vmid,
        node: guest.node.clone(),
        name: guest.name().to_owned(),
        running: guest.running,
        cards: input.kind.hardware(&guest.config).cards,
    };
    others.map(other).collect()
}

/// Guests by their addresses: there may be thousands of them, and as many that are new.
#[derive(Default)]
struct Owners<'a> {
    macs: HashMap<&'a str, Vec<&'a Other>>,
    addresses: HashMap<IpAddr, Vec<&'a Other>>,
}

impl<'a> Owners<'a> {
    fn of(others: impl Iterator<Item = &'a Other>) -> Self {
        let mut owners = Self::default();
        for other in others {
            for card in &other.cards {
                if let Some(mac) = &card.mac {
                    owners.macs.entry(mac).or_default().push(other);
                }
                for address in &card.addresses {
                    owners.addresses.entry(*address).or_default().push(other);
                }
            }
        }
        owners
    }

    /// Those with an address of the device, in any network, by VMID.
    fn near(&self, new: &New<'_>) -> impl Iterator<Item = &'a Other> {
        let macs = new.mac.iter().filter_map(|mac| self.macs.get(mac.as_str()));
        let addresses = new.addresses.iter().filter_map(|address| self.addresses.get(address));
        let all = macs.chain(addresses).flatten().map(|other| (other.vmid, *other));
        all.collect::<BTreeMap<_, _>>().into_values()
    }
}

/// Is a bridge of this name the same network on both nodes? Not when it has no port: each node has
/// its own then.
fn is_one_network(look: &Look<'_>, bridge: &str, node: &str, other: &str) -> bool {
    let inside = |found: &Bridge| {
        let portless = found.linux.as_ref().is_some_and(|linux| !linux.has_ports);
        found.name == bridge && [node, other].contains(&found.node.as_str()) && portless
    };
    node == other || !look.known.bridges.iter().any(inside)
}

/// Another guest with the same address in the same network. One that stays switched off disturbs
/// nobody yet.
fn clash(look: &Look<'_>, new: &New<'_>, other: &Other) -> Option<Finding> {
    let New { state, card, .. } = new;
    let both = other.running && state.running;
    let weight = if both { Weight::Error } else { Weight::Warning };
    let owner = format!(
        "guest {} '{}' on {}{}",
        other.vmid,
        other.name,
        other.node,
        if other.running { "" } else { ", which is stopped" }
    );
    let bridge = card.bridge.as_deref().unwrap_or_default();
    if !is_one_network(look, bridge, &state.node, &other.node) {
        return None;
    }
    let same = |theirs: &&Card| theirs.bridge == card.bridge && theirs.tag == card.tag;
    let mut near = other.cards.iter().filter(same);
    if let Some(mac) = &new.mac
        && near.clone().any(|theirs| theirs.mac.as_ref() == Some(mac))
    {
        let text = format!("MAC address {mac} of {} is that of {owner}", state.address);
        let help = "give the guest another `mac`, or none: Proxmox VE makes one up";
        let finding = Finding::new(weight, "mac-taken", text).help(help);
        let path = format!("networks.{}.mac", card.slot);
        return Some(look.at(finding, &state.address, &[&path, "mac", "networks", "network"]));
    }
    let shared =
        |theirs: &Card| new.addresses.iter().find(|a| theirs.addresses.contains(a)).copied();
    let address = near.find_map(shared)?;
    let text = format!("address {address} of {} on {bridge} is that of {owner}", state.address);
    let finding =
        Finding::new(weight, "address-taken", text).help("give one of the two another address");
    Some(at_address(look, finding, new))
}

/// The node's own address.
fn node(look: &Look<'_>, new: &New<'_>, bridge: &Bridge) -> Option<Finding> {
    let New { state, card, .. } = new;
    if card.bridge.as_deref() != Some(bridge.name.as_str()) || card.tag.is_some() {
        return None;
    }
    if !is_one_network(look, &bridge.name, &state.node, &bridge.node) {
        return None;
    }
    let address = new.addresses.iter().find(|address| bridge.addresses.contains(address))?;
    let text = format!(
        "address {address} of {} on {} is that of node {}",
        state.address, bridge.name, bridge.node
    );
    let weight = if state.running { Weight::Error } else { Weight::Warning };
    let finding =
        Finding::new(weight, "address-taken", text).help("give the guest another address");
    Some(at_address(look, finding, new))
}

fn at_address(look: &Look<'_>, finding: Finding, new: &New<'_>) -> Finding {
    let index = new.card.slot.trim_start_matches("net");
    let ip = format!("cloudinit.ipconfig{index}.ip");
    let config = format!("cloudinit.ipconfig{index}");
    look.at(finding, &new.state.address, &[&ip, &config, "ip", "cloudinit"])
}
