//! From which template, and how: the order of steps that works for shared and for node-local
//! storage.
//!
//! Facts (pve-behaviour, qemu-server `API2/Qemu.pm` clone_vm): `target` needs every volume of the
//! template, and the storage of a full clone, to be shared; `storage` is refused for a linked
//! clone; a linked clone on node-local storage cannot leave its node. So: clone straight to the
//! node where all is shared, otherwise clone on the template's node and migrate.

use std::collections::BTreeSet;

use super::Input;
use super::build::WAIT;
use crate::desired::{CloneMode, Guest, TemplateRef};
use crate::diagnostic::Span;
use crate::document::nearest;
use crate::live::{self, Inventory, Snapshot};
use crate::plan::Finding;
use crate::provider::Volume;

/// How a guest is cloned.
#[derive(Debug, Clone)]
pub(super) struct Route<'a> {
    pub(super) template: &'a live::Guest,
    pub(super) full: bool,
    /// Storage parameter of a full clone.
    pub(super) storage: Option<String>,
    /// `target` parameter of the clone request.
    pub(super) target: Option<String>,
    /// Node to migrate to afterwards.
    pub(super) migrate_to: Option<String>,
    /// Storages that get volumes.
    pub(super) storages: Vec<String>,
}

impl Route<'_> {
    /// What the clone is, in words: `full clone of debian-13 (100)`.
    pub(super) fn words(&self) -> String {
        let kind = if self.full { "full" } else { "linked" };
        format!("{kind} clone of {} ({})", self.template.name(), self.template.vmid)
    }
}

/// VMIDs that a reference can mean: its number, or every VM of that name.
pub(crate) fn candidates(reference: &TemplateRef, inventory: &Inventory) -> Vec<u32> {
    match reference {
        TemplateRef::Vmid(vmid) => inventory.guests.get(vmid).map(|g| g.vmid).into_iter().collect(),
        TemplateRef::Name(name) => inventory
            .guests
            .values()
            .filter(|g| g.qemu && g.name.as_deref() == Some(name))
            .map(|g| g.vmid)
            .collect(),
    }
}

/// The one template that a reference means.
fn resolve<'a>(
    reference: &TemplateRef,
    snapshot: &'a Snapshot,
) -> Result<&'a live::Guest, Finding> {
    let read = |vmid: &u32| snapshot.guests.get(vmid);
    let found = candidates(reference, &snapshot.inventory);
    let templates: Vec<_> =
        found.iter().filter_map(read).filter(|guest| guest.is_template()).collect();
    match (templates.as_slice(), found.first()) {
        ([one], _) => Ok(one),
        ([], None) => {
            Err(Finding::error("template-missing", format!("there is no template {reference}"))
                .help(known_templates(snapshot)))
        }
        ([], Some(vmid)) => {
            Err(offline(&found, &snapshot.inventory).unwrap_or_else(|| not_a_template(*vmid)))
        }
        (several, _) => {
            let vmids: Vec<_> = several.iter().map(|g| g.vmid.to_string()).collect();
            Err(Finding::error(
                "template-ambiguous",
                format!("templates {} are all named {reference}", vmids.join(", ")),
            )
            .help("name the template by its VMID"))
        }
    }
}

fn not_a_template(vmid: u32) -> Finding {
    Finding::error("not-a-template", format!("guest {vmid} is not a template, or may not be read"))
        .help("convert it with `qm template`, or give the token VM.Audit and VM.Clone on it")
}

/// A guest of a node that does not answer cannot be read.
fn offline(found: &[u32], inventory: &Inventory) -> Option<Finding> {
    let mut known = found.iter().filter_map(|vmid| inventory.guests.get(vmid));
    let online = |node: &str| inventory.nodes.get(node).is_some_and(|node| node.online);
    let guest = known.find(|guest| !online(&guest.node))?;
    let text = format!("template {} is on node {}, which is offline", guest.vmid, guest.node);
    Some(Finding::error("template-offline", text).help(WAIT))
}

fn known_templates(snapshot: &Snapshot) -> String {
    let known: Vec<_> = snapshot
        .inventory
        .guests
        .values()
        .filter(|g| g.template)
        .map(|g| format!("{} ({})", g.name.as_deref().unwrap_or("?"), g.vmid))
        .collect();
    if known.is_empty() {
        "the cluster shows no templates to this token".to_owned()
    } else {
        format!("the cluster has {}", known.join(", "))
    }
}

/// Finds the way from template to node.
pub(super) fn route<'a>(
    input: &Input<'a>,
    guest: &Guest,
    reference: &TemplateRef,
    mode: CloneMode,
    node: &str,
    notes: &mut Vec<Finding>,
) -> Result<Route<'a>, Finding> {
    // Said once for all guests that are made from it.
    let locate = |finding: Finding| finding.at(guest.place("template"));
    let template = resolve(reference, input.snapshot).map_err(locate)?;
    let inventory = &input.snapshot.inventory;
    // It may have gone since it was read.
    if let Some(finding) = offline(&[template.vmid], inventory) {
        return Err(locate(finding));
    }
    let volumes = input.kind.volumes(template);
    let shared = |volume: &&Volume| inventory.is_shared(&volume.storage);
    let here = template.node == node;
    if let Some(iso) = volumes.iter().find(|v| v.iso && !shared(v) && !here) {
        return Err(locate(local_iso(template, iso, node)));
    }
    let carried = || volumes.iter().filter(|v| v.is_own() && !v.slot.starts_with("unused"));
    let held: BTreeSet<String> = carried().map(|volume| volume.storage.clone()).collect();
    let all_shared = carried().all(|volume| shared(&volume));
    let disks_shared = volumes.iter().filter(|v| v.is_disk()).all(|v| shared(&v));
    // A TPM state is always copied (qemu-server, clone_disk).
    let links = |v: &&Volume| v.is_disk() && v.slot != "tpmstate0";
    let linkable = volumes.iter().filter(links).all(Volume::is_base);
    let full = mode == CloneMode::Full || !linkable || (!here && !disks_shared);
    if full && mode == CloneMode::Linked {
        notes.push(fallback(guest, template, node, linkable));
    }
    let storage = guest.spec.storage.clone().filter(|_| full);
    if let Some(storage) = &storage {
        check_storage(inventory, guest, storage, &[&template.node])?;
    } else if !full && guest.spec.storage.as_ref().is_some_and(|s| !held.contains(s)) {
        notes.push(linked_stays(guest, &held));
    }
    let to = |volume: &Volume| storage.clone().unwrap_or_else(|| volume.storage.clone());
    let storages: Vec<String> = carried().map(to).collect();
    for storage in storages.iter().collect::<BTreeSet<_>>() {
        check_storage(inventory, guest, storage, &[node])?;
    }
    let reachable = all_shared && storages.iter().all(|s| inventory.is_shared(s));
    let away = (!here).then(|| node.to_owned());
    let (target, migrate_to) = if reachable { (away, None) } else { (None, away) };
    Ok(Route { template, full, storage, target, migrate_to, storages })
}

fn fallback(guest: &Guest, template: &live::Guest, node: &str, linkable: bool) -> Finding {
    let (why, help) = if linkable {
        (
            format!(
                "template {} is on node-local storage of {}, and a linked clone could not move to {node}",
                template.vmid, template.node
            ),
            "put the template on shared storage, or keep a copy of it on each node",
        )
    } else {
        (
            format!("not every disk of template {} is a base volume", template.vmid),
            "its storage has no linked clones (LVM), or a disk was added after the conversion",
        )
    };
    Finding::note("full-clone", format!("{} is cloned in full: {why}", guest.address))
        .about(&guest.address)
        .at(guest.place("clone"))
        .help(help)
}

/// Neither a clone with `target` nor a migration takes an ISO along (qemu-server, clone_vm and
/// QemuMigrate's scan_local_volumes).
fn local_iso(template: &live::Guest, iso: &Volume, node: &str) -> Finding {
    let text = format!(
        "template {} has an ISO of node-local storage {} in {}: its clones cannot get to {node}",
        template.vmid, iso.storage, iso.slot
    );
    Finding::error("local-iso", text).help("eject it from the template")
}

fn linked_stays(guest: &Guest, held: &BTreeSet<String>) -> Finding {
    let held: Vec<_> = held.iter().map(String::as_str).collect();
    let text = format!(
        "{} stays on {}: a linked clone lives on its template's storage",
        guest.address,
        held.join(", ")
    );
    Finding::note("linked-clone-storage", text).about(&guest.address).at(guest.place("storage"))
}

/// Where the documents name a storage: at a disk, or for the whole guest.
fn said_storage(guest: &Guest, storage: &str) -> Span {
    let disk = guest.spec.disks.iter().find(|(_, disk)| disk.storage.as_deref() == Some(storage));
    let place = disk.and_then(|(slot, _)| guest.places.get(&format!("disks.{slot}")));
    place.copied().unwrap_or_else(|| guest.place("storage"))
}

/// The storage must be there on every node that needs it, and take disk images.
pub(super) fn check_storage(
    inventory: &Inventory,
    guest: &Guest,
    storage: &str,
    nodes: &[&str],
) -> Result<(), Finding> {
    let at = |code: &str, text: String| {
        let known: Vec<_> = inventory.storage_names().into_iter().collect();
        let list = known.join(", ");
        let help = if known.contains(&storage) {
            format!("the cluster has {list}")
        } else {
            let seen =
                format!("the token sees {list}; others need Datastore.Audit on /storage/{storage}");
            match nearest(storage, known.iter().copied()) {
                Some(near) => format!("did you mean {near}? {seen}"),
                None => seen,
            }
        };
        let place = said_storage(guest, storage);
        let finding = Finding::error(code, text).about(&guest.address).at(place).help(help);
        match code {
            "storage-missing" => finding.shown_by(format!("/storage/{storage}"), "Datastore.Audit"),
            _ => finding,
        }
    };
    if inventory.storages.is_empty() {
        return Ok(()); // the token may not see storages; Proxmox itself will say
    }
    for node in nodes {
        match inventory.storage(node, storage) {
            None => {
                return Err(at("storage-missing", format!("node {node} has no storage {storage}")));
            }
            Some(found) if !found.content.contains("images") => {
                return Err(at(
                    "storage-content",
                    format!("storage {storage} does not take disk images"),
                ));
            }
            Some(_) => {}
        }
    }
    Ok(())
}
