//! The guest of a standalone VM spec.

use std::collections::BTreeSet;

use super::super::decode::standalone::Standalone;
use super::{Resolver, address, defaults};
use crate::address::{Address, STANDALONE};
use crate::desired::{CloneMode, Guest, Origin, Placement, ProfileKind, VmidRequest};
use crate::diagnostic::Diagnostic;

/// The guest. Problems are what only shows when keys are seen together.
pub(super) fn guest(
    resolver: &Resolver<'_>,
    document: &Standalone,
    problems: &mut Vec<Diagnostic>,
) -> Guest {
    let mut guest = blank(document);
    own_places(&mut guest, document);
    if guest.origin == Origin::Empty {
        boot_disk(&mut guest);
        sized_disks(&guest, problems);
    }
    if let Some(mac) = &document.mac {
        address::mac(&mut guest, mac);
    }
    if let Some(ip) = &document.ip {
        address::ip(&mut guest, ip, &document.addressing);
    }
    address::resolver(&mut guest, &document.addressing);
    defaults::apply(resolver, &mut guest);
    defaults::first_boot(resolver, ProfileKind::Vm, document.vm.has_cloudinit, &mut guest);
    guest
}

fn blank(document: &Standalone) -> Guest {
    let mut spec = document.vm.spec.clone();
    let mark = super::standalone_mark(&document.name.value);
    spec.tags = super::tags(document.vm.tags.iter(), None, mark);
    let clone = document.vm.clone.unwrap_or(CloneMode::Full);
    let placement = match (&document.node, &document.placement) {
        (Some(node), _) => Placement::Node(node.value.clone()),
        (None, Some(placement)) => placement.value.clone(),
        (None, None) => Placement::Spread,
    };
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
        power: super::power(document.vm.power, &document.vm.spec),
        pinned: false,
        moved_from: None,
        apply_changes: None,
        span: document.name.span,
        places: document.vm.places.clone(),
    }
}

fn own_places(guest: &mut Guest, document: &Standalone) {
    let mut keep = |path: &str, span| {
        if let Some(span) = span {
            guest.places.insert(path.to_owned(), span);
        }
    };
    keep("name", Some(document.name.span));
    keep("vmid", document.vmid.as_ref().map(|v| v.span));
    keep("node", document.placement.as_ref().map(|v| v.span));
    keep("node", document.node.as_ref().map(|v| v.span));
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
