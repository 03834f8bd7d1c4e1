//! Are bridges there, and do they carry the VLANs that network devices ask for?
//!
//! A device is plugged when its guest starts, arrives or gets it (pve-common `PVE/Network.pm`,
//! tap_plug): until then a bridge may be missing.

use super::course::{Course, Plugged};
use super::words;
use super::{Asked, Look};
use crate::live::Guest;
use crate::plan::Finding;
use crate::provider::Card;

pub(super) fn ask(course: &Course, asked: &mut Asked) {
    let cards = course.plugged.iter().filter(|plugged| plugged.card.bridge.is_some());
    asked.bridges.extend(cards.map(|plugged| plugged.node.clone()));
    // Where a guest comes from, its bridge shows whether the token sees it at all.
    let moves = course.moved.iter().filter(|moved| moved.online);
    asked.bridges.extend(moves.map(|moved| moved.node.clone()));
}

pub(super) fn check(look: &Look<'_>, course: &Course) -> Vec<Finding> {
    course.plugged.iter().filter_map(|plugged| card(look, plugged)).collect()
}

fn card(look: &Look<'_>, plugged: &Plugged) -> Option<Finding> {
    let Plugged { address, node, card, written } = plugged;
    let wanted = card.bridge.as_deref()?;
    let bridges = look.known.bridges_of(node)?;
    let slot = &card.slot;
    let paths = [format!("networks.{slot}.bridge"), format!("networks.{slot}"), slot.clone()];
    let paths = paths.each_ref().map(String::as_str);
    let at = |finding: Finding| Some(look.at(finding, address, &paths));
    let Some(bridge) = bridges.iter().find(|bridge| bridge.name == wanted) else {
        // One that the token may not see may be there; to write it, it would have to.
        let seen = look.known.bridges.iter().any(|bridge| bridge.name == wanted);
        if (!written && !seen) || is_used(look, node, wanted) {
            return None;
        }
        let names: Vec<&str> = bridges.iter().map(|bridge| bridge.name.as_str()).collect();
        let text = format!("node {node} has no bridge {wanted}, for {slot} of {address}");
        let help = words::choice(wanted, &format!("node {node}"), &names);
        return at(Finding::error("bridge-missing", text).help(help));
    };
    let linux = bridge.linux.as_ref().filter(|linux| !linux.vlan_aware)?;
    if card.trunks {
        let text =
            format!("{slot} of {address} has trunks, bridge {wanted} on {node} is not VLAN-aware");
        let help = format!("set `bridge-vlan-aware yes` on {wanted}, or take `trunks` away");
        return at(Finding::error("bridge-vlan", text).help(help));
    }
    let tag = card.tag.filter(|_| !linux.has_ports)?;
    let text = format!(
        "{slot} of {address} has VLAN {tag}, bridge {wanted} on {node} is not VLAN-aware and has no port"
    );
    let help =
        format!("set `bridge-vlan-aware yes` on {wanted}, give it a port, or take `tag` away");
    at(Finding::error("bridge-vlan", text).help(help))
}

/// Is a guest that runs there plugged into it? Then it is there, wherever it is written down: the
/// list is of `/etc/network/interfaces` alone, and not of files that this one includes.
fn is_used(look: &Look<'_>, node: &str, bridge: &str) -> bool {
    let on = |card: &Card| card.bridge.as_deref() == Some(bridge);
    let kind = look.input.kind;
    let known = look.input.snapshot.guests.values().filter(|g| g.running && g.node == node);
    // What waits for the next start is not plugged yet.
    let plugged = |guest: &Guest| {
        let waits = |slot: &str| guest.pending.iter().any(|pending| pending.key == slot);
        kind.hardware(&guest.config).cards.iter().any(|card| on(card) && !waits(&card.slot))
    };
    let mut others = look.known.others.iter().filter(|other| other.running && other.node == node);
    known.into_iter().any(plugged) || others.any(|other| other.cards.iter().any(on))
}
