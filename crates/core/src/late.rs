//! `{node}` in texts of a guest whose node only the plan knows.
//!
//! Documents are resolved before anyone has looked at the cluster. Where they do not name a node,
//! `{node}` stays in the guest's texts as it is written, and is filled in when its node is chosen.

use std::borrow::Cow;

use crate::desired::{GuestSpec, Setting};

/// As it is written.
pub const NODE: &str = "{node}";

/// `spec` on `node`; what has no `{node}` in it is not copied.
pub fn bound_to<'s>(spec: &'s GuestSpec, node: &str) -> Cow<'s, GuestSpec> {
    if !uses_node(spec) {
        return Cow::Borrowed(spec);
    }
    let mut bound = spec.clone();
    each_text(&mut bound, &mut |text| {
        if text.contains(NODE) {
            *text = text.replace(NODE, node);
        }
    });
    Cow::Owned(bound)
}

/// Does any text of `spec` wait for the node?
pub fn uses_node(spec: &GuestSpec) -> bool {
    texts(spec).any(|text| text.contains(NODE))
}

/// Every text that may have `{node}` in it.
fn texts(spec: &GuestSpec) -> impl Iterator<Item = &String> {
    let GuestSpec { storage, settings, raw, disks, networks, cloudinit, .. } = spec;
    let single = [storage, &cloudinit.user, &cloudinit.searchdomain].into_iter().flatten();
    let disks = disks.values().flat_map(|disk| disk.storage.iter().chain(disk.options.values()));
    let networks =
        networks.values().flat_map(|network| network.bridge.iter().chain(network.options.values()));
    let settings = settings.values().flat_map(Setting::values);
    let devices = disks.chain(networks).chain(settings);
    single.chain(devices).chain(raw.values()).chain(cloudinit.custom.values())
}

/// Calls `change` with every text that may have `{node}` in it.
fn each_text(spec: &mut GuestSpec, change: &mut impl FnMut(&mut String)) {
    let GuestSpec { storage, settings, raw, disks, networks, cloudinit, .. } = spec;
    for text in [storage, &mut cloudinit.user, &mut cloudinit.searchdomain] {
        text.iter_mut().for_each(&mut *change);
    }
    for disk in disks.values_mut() {
        disk.storage.iter_mut().for_each(&mut *change);
        disk.options.values_mut().for_each(&mut *change);
    }
    for network in networks.values_mut() {
        network.bridge.iter_mut().for_each(&mut *change);
        network.options.values_mut().for_each(&mut *change);
    }
    for setting in settings.values_mut() {
        match setting {
            Setting::Value(text) => change(text),
            Setting::Properties(properties) => properties.values_mut().for_each(&mut *change),
        }
    }
    raw.values_mut().for_each(&mut *change);
    cloudinit.custom.values_mut().for_each(&mut *change);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::{Disk, Network};

    #[test]
    fn texts_are_bound_and_others_are_not_copied() {
        let mut spec = GuestSpec { storage: Some("local".to_owned()), ..GuestSpec::default() };
        assert!(matches!(bound_to(&spec, "pve1"), Cow::Borrowed(_)));
        spec.set("description", "on {node}, {node}");
        let storage = Some("lvm-{node}".to_owned());
        spec.disks.insert("scsi0".to_owned(), Disk { storage, ..Disk::default() });
        let bridge = Some("br-{node}".to_owned());
        spec.networks.insert("net0".to_owned(), Network { bridge, ..Network::default() });
        let bound = bound_to(&spec, "pve1");
        assert_eq!(bound.text("description"), Some("on pve1, pve1"));
        assert_eq!(bound.disks["scsi0"].storage.as_deref(), Some("lvm-pve1"));
        assert_eq!(bound.networks["net0"].bridge.as_deref(), Some("br-pve1"));
        assert!(!uses_node(&bound));
    }
}
