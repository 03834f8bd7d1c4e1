//! Network devices, compared property by property. What documents do not say of a device stays:
//! its MAC, its model, the options someone set by hand.

use std::collections::BTreeSet;

use pvx_core::desired::Network;
use pvx_core::plan::{Effect, Finding};
use pvx_core::schema::NIC_MODELS;

use super::differ::Differ;
use crate::codec::{self, Nic, normalize_mac};

/// The model of a device that documents give none.
const DEFAULT_MODEL: &str = "virtio";

pub(super) fn compare(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    for (slot, network) in &spec.networks {
        differ.speak_of(format!("networks.{slot}"));
        one(differ, slot, network);
    }
    differ.speak_of_all();
    let known: BTreeSet<&String> = spec.networks.keys().collect();
    let before: BTreeSet<&str> = differ
        .managed_before("net")
        .filter_map(|path| path.split('.').next())
        .filter(|slot| !known.contains(&(*slot).to_owned()))
        .collect();
    for slot in before {
        differ.reset(slot, slot);
    }
}

fn one(differ: &mut Differ<'_>, slot: &str, wanted: &Network) {
    let stored = differ.stored(slot).and_then(|text| Nic::parse(text).ok());
    let fresh = stored.is_none();
    let model = wanted.model.as_deref().unwrap_or(DEFAULT_MODEL);
    let known = NIC_MODELS.contains(&model);
    let Some(mut nic) = stored.or_else(|| Nic::new(model).ok()).filter(|_| known) else {
        let text = format!("{slot}: Proxmox has no network device model '{model}'");
        differ.finding(
            Finding::error("unknown-model", text).help("virtio, e1000, e1000e, vmxnet3, …"),
        );
        return;
    };
    differ.manage(slot);
    let mut changes = Vec::new();
    for (name, value) in properties(wanted) {
        differ.manage(&format!("{slot}.{name}"));
        let before = current(&nic, name);
        if same(name, before.as_deref(), &value) {
            continue;
        }
        if assign(&mut nic, name, &value) {
            changes.push(Change { name, before: before.filter(|_| !fresh), after: Some(value) });
        } else {
            let text = format!("{slot}: '{value}' cannot be its {name}");
            differ.finding(
                Finding::error("network-option", text)
                    .help("write it without commas, or take it out"),
            );
        }
    }
    changes.extend(dropped(differ, slot, &mut nic));
    for Change { name, before, after } in &changes {
        let path = format!("{slot}.{name}");
        differ.attribute(&path, before.as_deref(), after.as_deref(), Effect::Live);
    }
    if fresh && changes.is_empty() {
        differ.attribute(slot, None, Some(nic.model()), Effect::Live);
    }
    if fresh || !changes.is_empty() {
        differ.set(slot, &nic.to_string());
    }
}

/// One property that changes.
struct Change<'a> {
    name: &'a str,
    before: Option<String>,
    after: Option<String>,
}

/// Removes what documents said of a device before and do not say now.
fn dropped<'a>(differ: &Differ<'a>, slot: &str, nic: &mut Nic) -> Vec<Change<'a>> {
    let mut changes = Vec::new();
    for path in differ.managed_before(&format!("{slot}.")) {
        let Some((_, name)) = path.split_once('.') else { continue };
        if differ.is_dropped(path)
            // A device without bridge is on QEMU's own NAT, which a line left out does not mean.
            && !matches!(name, "model" | "macaddr" | "bridge")
            && let Some(before) = nic.remove(name)
        {
            changes.push(Change { name, before: Some(before), after: None });
        }
    }
    changes
}

/// What the document says of a device, in Proxmox's names.
fn properties(network: &Network) -> Vec<(&str, String)> {
    let named = [
        ("model", network.model.clone()),
        ("bridge", network.bridge.clone()),
        ("macaddr", network.mac.clone()),
    ];
    let named = named.into_iter().filter_map(|(name, value)| value.map(|v| (name, v)));
    named.chain(network.options.iter().map(|(k, v)| (k.as_str(), v.clone()))).collect()
}

fn current(nic: &Nic, name: &str) -> Option<String> {
    match name {
        "model" => Some(nic.model().to_owned()),
        "macaddr" => nic.macaddr(),
        other => nic.get(other).map(str::to_owned),
    }
}

fn same(name: &str, before: Option<&str>, wanted: &str) -> bool {
    match (name, before) {
        ("macaddr", Some(before)) => normalize_mac(before) == normalize_mac(wanted),
        ("model" | "bridge" | "macaddr", before) => before == Some(wanted),
        (_, before) => codec::same_property("net0", name, before, Some(wanted)),
    }
}

fn assign(nic: &mut Nic, name: &str, value: &str) -> bool {
    let done = match name {
        "model" => nic.set_model(value),
        "macaddr" => nic.set_macaddr(value),
        other => nic.set(other, value),
    };
    done.is_ok()
}
