//! From the merged tree of a guest to its VM keys.

use std::sync::Arc;

use super::super::decode::fields::Fields;
use super::super::decode::names::HostAddress;
use super::super::decode::profile::Addressing;
use super::super::decode::value;
use super::super::decode::vm::{self, VmKeys};
use super::super::layer::CHOICES;
use super::super::yaml::{Kind, Node};
use super::choices::Choices;
use super::{Resolver, address, defaults};
use crate::desired::ProfileKind;
use crate::diagnostic::{Diagnostic, Spanned};

/// What a guest has beside VM keys and what is part of its configuration all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside<'b> {
    pub(super) kind: ProfileKind,
    /// It is made from nothing.
    pub(super) empty: bool,
    pub(super) ip: Option<&'b Spanned<HostAddress>>,
    pub(super) mac: Option<&'b Spanned<String>>,
    pub(super) addressing: &'b Addressing,
}

/// A guest's VM keys and the tree that they are from.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) vm: VmKeys,
    pub(super) choices: Choices,
    /// Shared by all guests that say the same.
    pub(super) tree: Arc<Node>,
}

/// Completes `tree`, whose placeholders are filled in, and decodes it.
pub(super) fn prepare(
    resolver: &Resolver<'_>,
    mut tree: Node,
    beside: &Beside<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Prepared {
    let whole = resolver.explain.is_some().then(|| tree.clone());
    let choices = Choices::take(&mut tree, problems);
    let said = tree.get("cloudinit").is_some_and(|node| matches!(node.kind, Kind::Map(_)));
    let enrolled = tree.remove("efidisk_pre_enrolled_keys").map(|entry| entry.value);
    if let Some(mac) = beside.mac {
        address::mac(&mut tree, mac);
    }
    if let Some(ip) = beside.ip {
        address::ip(&mut tree, ip, beside.addressing);
    }
    address::resolver(&mut tree, beside.addressing);
    defaults::bridge(&mut tree);
    let mut vm = match Fields::open(&tree, "document", "a guest", problems) {
        Some(mut fields) => vm::take(&mut fields),
        None => VmKeys::default(),
    };
    enroll(&mut vm, &mut tree, enrolled.filter(|_| beside.empty), problems);
    own_places(&mut vm, beside);
    defaults::first_boot(resolver, beside.kind, said, &mut vm);
    // For explaining: what was taken out is put back.
    if let Some(whole) = whole {
        for key in CHOICES {
            let there = whole.entries().iter().find(|entry| entry.key.value == key);
            there.cloned().into_iter().for_each(|entry| tree.push(entry));
        }
    }
    Prepared { vm, choices, tree: Arc::new(tree) }
}

/// Only OVMF has an EFI vars disk.
fn enroll(vm: &mut VmKeys, tree: &mut Node, said: Option<Node>, problems: &mut Vec<Diagnostic>) {
    const KEY: &str = "efidisk_pre_enrolled_keys";
    let ovmf = tree.get("bios").and_then(Node::scalar).as_deref() == Some("ovmf");
    let Some(node) = said.filter(|node| ovmf && node.kind != Kind::Null) else { return };
    if let Some(keys) = value::boolean(&node, KEY, problems) {
        vm.spec.efidisk_pre_enrolled_keys = Some(keys.value);
        vm.places.insert(KEY.to_owned(), keys.span);
        tree.set(KEY, node);
    }
}

fn own_places(vm: &mut VmKeys, beside: &Beside<'_>) {
    let mut keep = |path: &str, span| vm.places.insert(path.to_owned(), span);
    if let Some(mac) = beside.mac {
        keep("mac", mac.span);
    }
    if let Some(ip) = beside.ip {
        keep("ip", ip.span);
        let gateway = beside.addressing.gateway.as_ref();
        let same =
            |gateway: &&Spanned<std::net::IpAddr>| gateway.value.is_ipv4() == ip.value.ip.is_ipv4();
        if let Some(gateway) = gateway.filter(same) {
            keep("gateway", gateway.span);
        }
    }
}
