//! The guest of a standalone VM spec.

use std::collections::BTreeSet;

use super::super::decode::names::HostAddress;
use super::super::decode::standalone::Standalone;
use super::super::decode::vm::VmKeys;
use super::super::layer::Layer;
use super::super::placeholder::{self, Context};
use super::super::yaml::Node;
use super::super::{explain, merge};
use super::Resolver;
use super::choices::Choices;
use super::prepare::{Beside, Prepared, prepare};
use crate::address::{Address, STANDALONE};
use crate::desired::{CloneMode, Guest, Origin, ProfileKind, VmidRequest};
use crate::diagnostic::{Diagnostic, Spanned};

/// The guest. Problems are what only shows when keys are seen together.
pub(super) fn guest(
    resolver: &mut Resolver<'_>,
    document: &Standalone,
    problems: &mut Vec<Diagnostic>,
) -> Guest {
    let mut found = Vec::new();
    let ip = address(document, &mut found);
    let empty = document.template.is_none();
    let beside = Beside {
        kind: ProfileKind::Vm,
        empty,
        ip: ip.as_ref(),
        mac: document.mac.as_ref(),
        addressing: &document.addressing,
    };
    let tree = tree(resolver, document, empty, &mut found);
    let Prepared { vm, choices, tree } = prepare(resolver, tree, &beside, &mut found);
    let mut guest = built(document, vm, &choices, &mut found);
    own_places(&mut guest, document, &choices);
    if let Some(moved) = &document.moved {
        super::moved::set(&mut guest, STANDALONE, moved, &mut found);
    }
    let layers = resolver.config_layers().iter().chain(&document.layers);
    let instance = document.instance.as_ref();
    let each = instance.and_then(|i| i.each.as_ref()).map(|each| each.value.as_str());
    super::beside::hand_over(&mut guest, layers, instance.map(|i| i.index), each);
    if guest.origin == Origin::Empty {
        boot_disk(&mut guest);
        sized_disks(&guest, &mut found);
    }
    resolver.report(found, problems);
    if resolver.explain == Some(&guest.address) {
        let layers: Vec<&Layer> = resolver.config_layers().iter().chain(&document.layers).collect();
        let explanation =
            explain::of_standalone(&guest, document, &layers, &tree, resolver.sources);
        resolver.explanation = Some(explanation);
    }
    guest
}

/// `ip`, or `start_ip` and the guest's number.
fn address(document: &Standalone, problems: &mut Vec<Diagnostic>) -> Option<Spanned<HostAddress>> {
    if let Some(ip) = &document.ip {
        return Some(ip.clone());
    }
    let (start, instance) = (document.start_ip.as_ref()?, document.instance.as_ref()?);
    let who = format!("{STANDALONE}/{}", document.name.value);
    let steps = instance.index.saturating_sub(1) as usize;
    match super::address::counted(start, steps, &document.addressing, &who) {
        Ok(ip) => Some(ip),
        Err(problem) => {
            problems.push(problem);
            None
        }
    }
}

/// All layers over each other. The document's own placeholders are filled in already.
fn tree(
    resolver: &Resolver<'_>,
    document: &Standalone,
    empty: bool,
    problems: &mut Vec<Diagnostic>,
) -> Node {
    let (all, clones) = &resolver.defaults;
    let defaults = if empty { all } else { clones };
    let layers = document.layers.iter().map(|layer| &layer.node);
    let mut tree = merge::fold(defaults.clone(), layers);
    let instance = document.instance.as_ref();
    let context = Context {
        index: instance.map(|instance| instance.index),
        each: instance.and_then(|i| i.each.as_ref()).map(|each| each.value.as_str()),
        name: Some(&document.name.value),
        cluster: resolver.cluster(),
        vmid: match document.vmid.as_ref().map(|vmid| vmid.value) {
            Some(VmidRequest::Fixed(vmid)) => Some(vmid),
            _ => None,
        },
        node: document.node.as_ref().map(|node| node.value.as_str()),
        ..Context::default()
    };
    placeholder::fill(&mut tree, &context, problems);
    tree
}

fn built(
    document: &Standalone,
    vm: VmKeys,
    choices: &Choices,
    problems: &mut Vec<Diagnostic>,
) -> Guest {
    let mut spec = vm.spec;
    let mark = super::standalone_mark(&document.name.value);
    spec.tags = super::tags(vm.tags.iter(), None, mark);
    let clone = vm.clone.unwrap_or(CloneMode::Full);
    let (placement, pinned) = choices.placement(document.node.as_ref(), problems);
    let power = super::power(vm.power, &spec);
    let instance = document.instance.as_ref();
    let each = instance.and_then(|instance| instance.each.as_ref());
    Guest {
        address: Address::new(STANDALONE, document.name.value.clone()),
        group: String::new(),
        vmid: document.vmid.as_ref().map_or(VmidRequest::Auto, |vmid| vmid.value),
        placement,
        origin: document.template.as_ref().map_or(Origin::Empty, |template| Origin::Template {
            template: template.value.clone(),
            clone,
        }),
        spec,
        after: document
            .depends_on
            .iter()
            .map(|wanted| wanted.value.clone())
            .collect::<BTreeSet<_>>(),
        power,
        pinned,
        moved_from: None,
        apply_changes: choices.apply_changes.as_ref().map(|said| said.value),
        prevent_destroy: choices.prevent_destroy.as_ref().is_some_and(|said| said.value),
        on_failure: choices.on_failure.as_ref().map(|said| said.value).unwrap_or_default(),
        span: each.map_or(document.name.span, |each| each.span),
        places: vm.places,
    }
}

fn own_places(guest: &mut Guest, document: &Standalone, choices: &Choices) {
    let mut keep = |path: &str, span| {
        if let Some(span) = span {
            guest.places.insert(path.to_owned(), span);
        }
    };
    keep("name", Some(document.name.span));
    keep("vmid", document.vmid.as_ref().map(|v| v.span));
    keep("node", choices.at());
    keep("node", document.node.as_ref().map(|v| v.span));
    keep("apply_changes", choices.apply_changes.as_ref().map(|v| v.span));
    keep("prevent_destroy", choices.prevent_destroy.as_ref().map(|v| v.span));
    keep("on_failure", choices.on_failure.as_ref().map(|v| v.span));
    keep("template", document.template.as_ref().map(|v| v.span));
    keep("depends_on", document.depends_on.first().map(|v| v.span));
}

/// Without a template there is no boot order to ask: `disk` is `scsi0`.
fn boot_disk(guest: &mut Guest) {
    let Some(size) = guest.spec.boot_disk.take() else { return };
    let place = guest.place("disk");
    let disk = guest.spec.disks.entry("scsi0".to_owned()).or_default();
    if disk.size.is_none() {
        disk.size = Some(size);
        guest.places.insert("disks.scsi0.size".to_owned(), place);
    }
}

fn sized_disks(guest: &Guest, problems: &mut Vec<Diagnostic>) {
    for (slot, _) in guest
        .spec
        .disks
        .iter()
        .filter(|(_, disk)| disk.size.is_none() && disk.import_from.is_none())
    {
        problems.push(
            Diagnostic::error("missing-key", format!("disk '{slot}' needs a size"))
                .at(guest.place(&format!("disks.{slot}")), "a new disk of unknown size")
                .help(format!("write '{slot}: 40G', or name a template that has the disk")),
        );
    }
}
