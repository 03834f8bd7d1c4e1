//! `networks`: network devices by slot.

use std::collections::BTreeMap;

use super::super::yaml::{Kind, Node};
use super::fields::Fields;
use super::slots::{self, Slots};
use super::vm::PlacesByPath;
use super::{names, setting};
use crate::desired::Network;
use crate::diagnostic::{Diagnostic, Spanned};
use crate::schema::{NIC, NIC_MODELS};

/// Takes `networks`.
pub(crate) fn take(
    fields: &mut Fields<'_, '_>,
    places: &mut PlacesByPath,
) -> BTreeMap<String, Network> {
    slots::take(fields, places, &SLOTS, read)
}

const SLOTS: Slots = Slots {
    key: "networks",
    buses: &[("net", 31)],
    what: "network",
    help: "slots are net0 to net31",
};

/// `vmbr1`, or a mapping.
fn read(
    node: &Node,
    slot: &str,
    path: &str,
    places: &mut PlacesByPath,
    problems: &mut Vec<Diagnostic>,
) -> Option<Network> {
    match node.kind {
        Kind::Null => return Some(Network::default()),
        Kind::Map(_) => {}
        _ => {
            let bridge = super::fields::parsed(node, slot, names::identifier, problems)?;
            places.insert(format!("{path}.bridge"), bridge.span);
            return Some(Network { bridge: Some(bridge.value), ..Network::default() });
        }
    }
    let mut fields = Fields::open(node, slot, "a network device", problems)?;
    let mut network = Network::default();
    let mut keep = |key: &str, span| places.insert(format!("{path}.{key}"), span);
    let mut text = |key: &str, value: Option<Spanned<String>>| {
        value.map(|value| {
            keep(key, value.span);
            value.value
        })
    };
    network.bridge = text("bridge", fields.parsed("bridge", names::identifier));
    network.model = text("model", fields.word("model", NIC_MODELS));
    network.mac = text("mac", fields.parsed("mac", names::mac));
    for property in NIC.properties {
        let Some(node) = fields.take(property.name) else { continue };
        if let Some(value) = setting::scalar(node, property.name, property.shape, fields.problems) {
            keep(property.name, node.span);
            network.options.insert(property.name.to_owned(), value);
        }
    }
    fields.finish();
    Some(network)
}
