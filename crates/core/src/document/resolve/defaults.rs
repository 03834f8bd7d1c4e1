//! What `cluster-config.yaml` adds where a document says nothing.
//!
//! A clone keeps its template's hardware: firmware, machine type and SCSI controller of a disk
//! that is already installed must not change because a default says so. So a clone gets every
//! default but those.

use super::super::config::ClusterConfig;
use super::super::decode::vm::VmKeys;
use super::super::layer::without_hardware;
use super::super::merge;
use super::super::yaml::{Kind, Node};
use super::Resolver;
use crate::desired::ProfileKind;
use crate::diagnostic::{SourceId, Span};
use crate::snippet::Part;

/// `defaults`, all of them, and those for clones.
pub(super) fn of(config: Option<&ClusterConfig>) -> (Node, Node) {
    let layers = config.map(|config| config.defaults.as_slice()).unwrap_or_default();
    let span = Span { source: SourceId(0), start: 0, len: 0 };
    let all = merge::fold(Node::mapping(span), layers.iter().map(|layer| &layer.node));
    let clones = without_hardware(&all);
    (all, clones)
}

/// `network_bridge` is the bridge of every listed network without one, and of `net0`.
pub(super) fn bridge(tree: &mut Node) {
    let Some(bridge) = tree.remove("network_bridge").map(|entry| entry.value) else { return };
    if bridge.kind == Kind::Null {
        return;
    }
    let networks = tree.entry("networks", bridge.span);
    if !matches!(networks.kind, Kind::Null | Kind::Map(_)) {
        return;
    }
    networks.entry("net0", bridge.span);
    for slot in networks.entries_mut() {
        if slot.value.kind == Kind::Null {
            slot.value = Node::mapping(slot.value.span);
        }
        if matches!(slot.value.kind, Kind::Map(_))
            && slot.value.get("bridge").is_none_or(|node| node.kind == Kind::Null)
        {
            slot.value.remove("bridge");
            slot.value.set("bridge", bridge.clone());
        }
    }
}

/// Cloud-init. A Talos guest is configured through its own API: it gets no user, no keys and no
/// drive of its own, unless its documents give it files. A generic guest always gets a drive; a standalone VM when its documents say
/// `cloudinit` or `ip`.
pub(super) fn first_boot(resolver: &Resolver<'_>, kind: ProfileKind, said: bool, vm: &mut VmKeys) {
    let cloudinit = &mut vm.spec.cloudinit;
    let files = !cloudinit.templates.is_empty() || !cloudinit.custom.is_empty();
    cloudinit.drive = match kind {
        ProfileKind::Talos => files,
        ProfileKind::Generic => true,
        ProfileKind::Vm => said || !cloudinit.ipconfig.is_empty(),
    };
    if kind == ProfileKind::Talos {
        cloudinit.user = None;
        cloudinit.ssh_keys = None;
        return;
    }
    if !cloudinit.drive {
        return;
    }
    let Some(config) = resolver.config.map(|config| &config.cloudinit) else { return };
    if let (None, Some(user)) = (&cloudinit.user, &config.default_user) {
        cloudinit.user = Some(user.value.clone());
        vm.places.insert("cloudinit.user".to_owned(), user.span);
    }
    if let (None, Some(source), Some(keys)) =
        (&cloudinit.ssh_keys, &config.ssh_keys_source, &resolver.ssh_keys)
    {
        cloudinit.ssh_keys = Some(keys.clone());
        vm.places.insert("cloudinit.ssh_keys".to_owned(), source.span);
    }
    if let Some(vendor) = &config.vendor_snippet_path
        && !cloudinit.templates.contains_key(&Part::Vendor)
        && !cloudinit.custom.contains_key(&Part::Vendor)
    {
        cloudinit.custom.insert(Part::Vendor, vendor.value.clone());
        vm.places.insert("cloudinit.cicustom.vendor".to_owned(), vendor.span);
    }
}
