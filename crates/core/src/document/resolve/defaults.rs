//! What `cluster-config.yaml` adds where a document says nothing.

use std::collections::BTreeMap;

use super::Resolver;
use crate::desired::{Guest, GuestSpec, Origin, ProfileKind};
use crate::diagnostic::{Span, Spanned};

/// Fills in `defaults`.
///
/// A clone keeps its template's hardware: firmware, machine type and SCSI controller of a disk
/// that is already installed must not change because a default says so. So a clone gets only
/// `storage`, `network_bridge`, `cpu` and `guest_agent`; a guest with empty disks gets all.
pub(super) fn apply(resolver: &Resolver<'_>, guest: &mut Guest) {
    let Some(config) = resolver.config else { return };
    let defaults = &config.defaults;
    let (spec, places) = (&mut guest.spec, &mut guest.places);
    fill(&mut spec.storage, &defaults.storage, "storage", places);
    property(spec, &defaults.cpu, ("cpu", "cputype"), places, Clone::clone);
    property(spec, &defaults.guest_agent, ("agent", "enabled"), places, |on| flag(*on));
    if let Some(bridge) = &defaults.network_bridge {
        spec.networks.entry("net0".to_owned()).or_default();
        for (slot, network) in &mut spec.networks {
            let path = format!("networks.{slot}.bridge");
            fill(&mut network.bridge, &Some(bridge.clone()), &path, places);
        }
    }
    if guest.origin != Origin::Empty {
        return;
    }
    value(spec, &defaults.bios, "bios", places);
    property(spec, &defaults.machine, ("machine", "type"), places, Clone::clone);
    value(spec, &defaults.scsi_controller, "scsihw", places);
    // Only OVMF has an EFI vars disk.
    if spec.text("bios") == Some("ovmf") {
        let keys = &defaults.efidisk_pre_enrolled_keys;
        fill(&mut spec.efidisk_pre_enrolled_keys, keys, "efidisk_pre_enrolled_keys", places);
    }
}

fn flag(on: bool) -> String {
    if on { "1" } else { "0" }.to_owned()
}

/// A key that holds one value.
fn value(
    spec: &mut GuestSpec,
    default: &Option<Spanned<String>>,
    key: &str,
    places: &mut BTreeMap<String, Span>,
) {
    if let Some(default) = default.as_ref().filter(|_| !spec.settings.contains_key(key)) {
        spec.set(key, default.value.clone());
        places.insert(key.to_owned(), default.span);
    }
}

/// The one property that a default of the configuration is about.
fn property<T>(
    spec: &mut GuestSpec,
    default: &Option<Spanned<T>>,
    (key, name): (&str, &str),
    places: &mut BTreeMap<String, Span>,
    text: impl Fn(&T) -> String,
) {
    let path = format!("{key}.{name}");
    if let Some(default) = default.as_ref().filter(|_| spec.text(&path).is_none()) {
        spec.set_property(key, name, text(&default.value));
        places.entry(key.to_owned()).or_insert(default.span);
        places.insert(path, default.span);
    }
}

fn fill<T: Clone>(
    value: &mut Option<T>,
    default: &Option<Spanned<T>>,
    path: &str,
    places: &mut BTreeMap<String, Span>,
) {
    if let (None, Some(default)) = (&value, default) {
        *value = Some(default.value.clone());
        places.insert(path.to_owned(), default.span);
    }
}

/// Cloud-init. A Talos guest is configured through its own API: it gets no user, no keys and no
/// drive of its own. A generic guest always gets a drive; a standalone VM when its document says
/// `cloudinit` or `ip`.
pub(super) fn first_boot(
    resolver: &Resolver<'_>,
    kind: ProfileKind,
    said: bool,
    guest: &mut Guest,
) {
    let cloudinit = &mut guest.spec.cloudinit;
    cloudinit.drive = match kind {
        ProfileKind::Talos => false,
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
    fill(&mut cloudinit.user, &config.default_user, "cloudinit.user", &mut guest.places);
    if let Some(source) = &config.ssh_keys_source {
        let keys = resolver.ssh_keys.clone().map(|keys| Spanned::new(keys, source.span));
        fill(&mut cloudinit.ssh_keys, &keys, "cloudinit.ssh_keys", &mut guest.places);
    }
}
