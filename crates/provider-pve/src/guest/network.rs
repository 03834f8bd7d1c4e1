//! Network devices, compared property by property. What documents do not say of a device stays:
//! its MAC, its model, the options someone set by hand.

use std::collections::BTreeSet;

use pvx_core::desired::Network;
use pvx_core::plan::Finding;

use super::differ::Differ;
use super::effect;
use crate::codec::{NIC_MODELS, Nic, format_boolean, normalize_mac, parse_boolean};

/// The model of a device that documents give none.
const DEFAULT_MODEL: &str = "virtio";

pub(super) fn compare(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    for (slot, network) in &spec.networks {
        one(differ, slot, network);
    }
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
    let mut changed = false;
    for (name, value) in properties(wanted) {
        let path = format!("{slot}.{name}");
        differ.manage(&path);
        let before = current(&nic, name);
        if same(name, before.as_deref(), &value) {
            continue;
        }
        if assign(&mut nic, name, &value) {
            let effect = effect::of_key(slot, differ.live);
            let before = before.filter(|_| !fresh);
            differ.attribute(&path, before.as_deref(), Some(&value), effect);
            changed = true;
        } else {
            let text = format!("{slot}: '{value}' cannot be its {name}");
            differ.finding(Finding::error("network-option", text));
        }
    }
    for path in differ.managed_before(&format!("{slot}.")).collect::<Vec<_>>() {
        let Some((_, name)) = path.split_once('.') else { continue };
        if differ.is_dropped(path)
            // A device without bridge is on QEMU's own NAT, which a line left out does not mean.
            && !matches!(name, "model" | "macaddr" | "bridge")
            && let Some(before) = nic.remove(name)
        {
            let effect = effect::of_key(slot, differ.live);
            differ.attribute(path, Some(&before), None, effect);
            changed = true;
        }
    }
    if fresh && !changed {
        differ.attribute(slot, None, Some(nic.model()), effect::of_key(slot, differ.live));
    }
    if fresh || changed {
        differ.set(slot, &nic.to_string());
    }
}

/// What the document says of a device, in Proxmox's names.
fn properties(network: &Network) -> Vec<(&'static str, String)> {
    let texts = [
        ("model", network.model.clone()),
        ("bridge", network.bridge.clone()),
        ("macaddr", network.mac.clone()),
        ("tag", network.tag.map(|v| v.to_string())),
        ("firewall", network.firewall.map(|v| format_boolean(v).to_owned())),
        ("mtu", network.mtu.map(|v| v.to_string())),
    ];
    texts.into_iter().filter_map(|(name, value)| value.map(|v| (name, v))).collect()
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
        // A device without the option has no firewall.
        ("firewall", before) => parse_boolean(before.unwrap_or("0")) == parse_boolean(wanted),
        (_, before) => before == Some(wanted),
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
