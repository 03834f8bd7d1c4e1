//! Cloud-init files that pvx renders: which snippet a guest refers to, where it is missing, and
//! when it is written. Always before something needs it: the drive is written when a guest starts,
//! and Proxmox VE then reads the snippets on the guest's node.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::build::{Builder, Step};
use crate::desired::{Desired, Guest};
use crate::late;
use crate::live::{self, Inventory};
use crate::plan::{ActionKind, AttributeChange, Effect, Finding, Plan, Reason};
use crate::provider::Comparison;
use crate::snippet::{self, Contents, File, STORAGE};

/// A guest with the snippets it refers to.
pub(super) struct Rendered<'g> {
    /// The guest, its templates replaced by the snippets they become.
    pub(super) guest: Cow<'g, Guest>,
    files: Vec<File>,
}

/// Renders the templates of a guest as they are on `node`.
pub(super) fn rendered<'g>(
    builder: &mut Builder<'_>,
    guest: &'g Guest,
    node: &str,
) -> Rendered<'g> {
    let guest = on_node(guest, node);
    let unchanged = Rendered { guest: guest.clone(), files: Vec::new() };
    if guest.spec.cloudinit.templates.is_empty() {
        return unchanged;
    }
    match snippet::files(&guest, node) {
        Ok(files) => {
            let mut own = guest.into_owned();
            let custom = &mut own.spec.cloudinit.custom;
            custom.extend(files.iter().map(|file| (file.part, file.volid())));
            for file in &files {
                let place = own.place(&format!("cloudinit.{}", file.part.key()));
                own.places.insert(format!("cloudinit.cicustom.{}", file.part.name()), place);
            }
            Rendered { guest: Cow::Owned(own), files }
        }
        Err(error) => {
            let text =
                format!("{} of {} cannot be rendered: {error}", error.part.key(), guest.address);
            let finding = Finding::error("template", text).about(&guest.address);
            let place = guest.place(&format!("cloudinit.{}", error.part.key()));
            builder.findings.push(finding.at(place).help(error.help));
            unchanged
        }
    }
}

/// The guest with its node in every text that waits for it (`{node}`).
fn on_node<'g>(guest: &'g Guest, node: &str) -> Cow<'g, Guest> {
    match late::bound_to(&guest.spec, node) {
        Cow::Borrowed(_) => Cow::Borrowed(guest),
        Cow::Owned(spec) => Cow::Owned(Guest { spec, ..guest.clone() }),
    }
}

impl Rendered<'_> {
    /// The writes of what is missing on `node`. Where nobody may look, what is `new` is written:
    /// a second time does no harm.
    pub(super) fn steps(
        &self,
        builder: &mut Builder<'_>,
        node: &str,
        new: bool,
        effect: Effect,
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let snapshot = builder.input.snapshot;
        for file in &self.files {
            match snapshot.has_snippet(node, &file.storage, &file.name) {
                Some(true) => continue,
                None if !new => continue,
                Some(false) | None => {}
            }
            if let Err(finding) = check_storage(&snapshot.inventory, &self.guest, file, node) {
                if !builder.findings.contains(&finding) {
                    builder.findings.push(finding);
                }
                continue;
            }
            let (storage, name) = (file.storage.clone(), file.name.clone());
            let kind = ActionKind::Snippet { storage, name, sha256: file.sha256.clone() };
            let reason = Reason::new("snippet", format!("{} is not on {node}", file.volid()));
            steps.push(Step::new(node, kind, reason, effect));
        }
        steps
    }

    /// What people see of files that are written although the guest's configuration stays.
    fn attributes(&self, steps: &[Step], changed: bool) -> Vec<AttributeChange> {
        let missing = |file: &&File| {
            let is = |step: &Step| matches!(&step.kind, ActionKind::Snippet { name, .. } if *name == file.name);
            !changed && steps.iter().any(is)
        };
        let written = |file: &File| AttributeChange {
            path: format!("cloudinit.cicustom.{}", file.part.name()),
            before: None,
            after: Some(file.volid()),
            effect: Effect::Live,
            reason: "the file is missing on the node: it is written again".to_owned(),
        };
        self.files.iter().filter(missing).map(written).collect()
    }

    /// Snippets that a document names and that are known to be missing.
    pub(super) fn note_missing(&self, builder: &mut Builder<'_>, node: &str) {
        let custom = &self.guest.spec.cloudinit.custom;
        for (part, volid) in custom {
            if self.files.iter().any(|file| file.part == *part) {
                continue;
            }
            let Some((storage, name)) = volid.split_once(":snippets/") else { continue };
            if builder.input.snapshot.has_snippet(node, storage, name) != Some(false) {
                continue;
            }
            let text = format!("{} refers to {volid}, which is not on {node}", self.guest.address);
            let place = self.guest.place(&format!("cloudinit.cicustom.{}", part.name()));
            let finding = Finding::warning("snippet-missing", text).about(&self.guest.address);
            builder.findings.push(
                finding.at(place).help("copy the file there: without it the guest does not start"),
            );
        }
    }
}

/// Snippets that are missing where the guest is, and where it comes to (`target`).
#[derive(Default)]
pub(super) struct Files {
    pub(super) here: Vec<Step>,
    pub(super) there: Vec<Step>,
}

impl Files {
    pub(super) fn of(
        builder: &mut Builder<'_>,
        rendered: &Rendered<'_>,
        (live, target): (&live::Guest, &str),
        comparison: &mut Comparison,
    ) -> Self {
        let new = comparison.set.contains_key("cicustom");
        rendered.note_missing(builder, target);
        let moves = target != live.node;
        // What stays as it was is not needed any more where the guest goes away from.
        let here = if moves && !new {
            Vec::new()
        } else {
            rendered.steps(builder, &live.node, new, Effect::Live)
        };
        let written = |step: &Step| here.iter().any(|other| other.kind == step.kind);
        let mut there = Vec::new();
        if moves {
            there = rendered.steps(builder, target, true, Effect::Live);
            let inventory = &builder.input.snapshot.inventory;
            there.retain(|step| {
                !(written(step)
                    && matches!(&step.kind, ActionKind::Snippet { storage, .. } if inventory.is_shared(storage)))
            });
        }
        comparison.attributes.extend(rendered.attributes(&here, new));
        comparison.attributes.extend(rendered.attributes(&there, new || !here.is_empty()));
        Self { here, there }
    }

    /// A guest that cannot move needs nothing elsewhere.
    pub(super) fn when(self, moves: bool) -> Self {
        if moves { self } else { Self { there: Vec::new(), ..self } }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.here.is_empty() && self.there.is_empty()
    }
}

/// The storage must be there on the node, answer, and take snippets.
fn check_storage(
    inventory: &Inventory,
    guest: &Guest,
    file: &File,
    node: &str,
) -> Result<(), Finding> {
    let storage = &file.storage;
    let at = |code: &str, text: String| {
        let place = guest.place("cloudinit.snippets");
        Finding::error(code, text).about(&guest.address).at(place)
    };
    match inventory.storage(node, storage) {
        // The token may not see storages; Proxmox VE itself will say.
        None if inventory.storages.is_empty() => Ok(()),
        None => Err(at("storage-missing", format!("node {node} has no storage {storage}"))
            .shown_by(format!("/storage/{storage}"), "Datastore.Audit")
            .help("give cloudinit.snippets a storage that is there")),
        Some(found) if !found.content.contains("snippets") => {
            let mut content: BTreeSet<&str> = found.content.iter().map(String::as_str).collect();
            content.insert("snippets");
            let list = content.into_iter().collect::<Vec<_>>().join(",");
            Err(at("storage-content", format!("storage {storage} does not take snippets"))
                .help(format!("allow them: pvesm set {storage} --content {list}")))
        }
        Some(found) if !found.available => {
            Err(at("storage-offline", format!("storage {storage} does not answer on {node}"))
                .help("bring it back, or give cloudinit.snippets another storage"))
        }
        Some(_) => Ok(()),
    }
}

/// Storages whose snippets a plan for `desired` depends on.
pub(crate) fn storages(desired: &Desired) -> BTreeSet<&str> {
    let with = desired.guests().map(|guest| &guest.spec.cloudinit);
    with.filter(|cloudinit| !cloudinit.templates.is_empty())
        .map(|cloudinit| cloudinit.snippets.as_deref().unwrap_or(STORAGE))
        .collect()
}

/// The contents of all snippets that a plan writes, rendered again: a plan does not hold them.
pub fn contents(plan: &Plan, desired: &Desired) -> Contents {
    let is_snippet = |id| {
        let action = plan.actions.get(id);
        action.is_some_and(|action| matches!(action.kind, ActionKind::Snippet { .. }))
    };
    let mut contents = Contents::new();
    for change in &plan.changes {
        if !change.actions.iter().any(|id| is_snippet(*id)) {
            continue;
        }
        let node = change.target.as_ref().unwrap_or(&change.node);
        let Some(guest) = desired.guests().find(|guest| guest.address == change.address) else {
            continue;
        };
        let rendered = snippet::render(guest, node).unwrap_or_default();
        contents.extend(rendered.into_iter().map(|(file, content)| (file.sha256, content)));
    }
    contents
}
