//! Are bridges there, and do they carry the VLANs that network devices ask for?
//!
//! A device is plugged when its guest starts, arrives or gets it (pve-common `PVE/Network.pm`,
//! tap_plug): until then a bridge may be missing.

use super::course::{Course, Plugged};
use super::words;
use super::{Asked, Look};
use crate::plan::Finding;

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
        if !written && !seen {
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
