//! The writes that a difference comes down to, in an order that works.

use std::collections::BTreeMap;

use super::build::Step;
use crate::plan::{ActionKind, Effect, Precondition, Reason};
use crate::provider::Comparison;

/// What is written to a guest that is there.
///
/// Disks move first: what waits for a cold boot names a volume, and must name the new one. A disk
/// whose options change too grows first: its options are written together with its size, and on a
/// running guest they wait for the next cold boot, where an old size would come back. Disks that are
/// made grow when they are there. Disks that go, go last; after them comes what Proxmox changes on
/// its own meanwhile.
pub(super) fn configure(
    node: &str,
    comparison: &Comparison,
    reason: &Reason,
    effect: Effect,
    digest: Option<String>,
) -> Vec<Step> {
    let mut steps = moves(node, comparison, reason);
    steps.extend(write(node, comparison, reason, effect));
    steps.extend(removals(node, comparison, reason, effect));
    steps.extend(rewrite(node, comparison, reason, effect));
    // The first write changes the digest.
    if let (Some(first), Some(digest)) = (steps.first_mut(), digest) {
        first.preconditions.push(Precondition::Digest { digest });
    }
    steps
}

/// The writes to a clone that is not configured yet: identity and mark come before anything else.
/// Its provisional description proves that it is the one that was made: a VMID can be freed and
/// taken while a clone or a migration runs. Disks move and go only with proof of their own; growing
/// comes right after the write whose digest proved the guest, and asks nothing again: one request a
/// guest less.
pub(super) fn configure_begun(
    node: &str,
    comparison: &Comparison,
    reason: &Reason,
    note: &str,
    owned: &Precondition,
) -> Vec<Step> {
    let effect = Effect::Create;
    let mut steps = write(node, comparison, reason, effect);
    let mut later = moves(node, comparison, reason);
    later.extend(removals(node, comparison, reason, effect));
    later.extend(rewrite(node, comparison, reason, effect));
    steps.extend(later.into_iter().map(|step| step.requires(owned.clone())));
    if let Some(first) = steps.first_mut() {
        first.preconditions.push(Precondition::Begun { note: note.to_owned() });
    }
    steps
}

fn moves(node: &str, comparison: &Comparison, reason: &Reason) -> Vec<Step> {
    let step = |to: &crate::provider::DiskMove| {
        let (disk, storage) = (to.slot.clone(), to.storage.clone());
        let kind = ActionKind::MoveDisk { disk, storage, format: to.format.clone() };
        let both = [to.from.clone(), to.storage.clone()];
        Step::new(node, kind, reason.clone(), Effect::Move).on_storages(both)
    };
    comparison.moves.iter().map(step).collect()
}

/// One configuration write, and the disks that grow.
fn write(node: &str, comparison: &Comparison, reason: &Reason, effect: Effect) -> Vec<Step> {
    let resize = |made: bool| {
        let slots =
            comparison.resize.iter().filter(move |(d, _)| comparison.made.contains(d) == made);
        slots.map(|(disk, size)| {
            let kind = ActionKind::Resize { disk: disk.clone(), size: *size };
            Step::new(node, kind, reason.clone(), effect)
        })
    };
    let mut steps: Vec<Step> = resize(false).collect();
    let mut set = comparison.set.clone();
    set.retain(|key, _| !comparison.rewrites.iter().any(|r| r.key == *key && r.is_due(comparison)));
    if !set.is_empty() || !comparison.delete.is_empty() {
        let kind = ActionKind::Configure {
            set,
            delete: comparison.delete.iter().cloned().collect(),
            background: !comparison.allocates.is_empty(),
        };
        let step = Step::new(node, kind, reason.clone(), effect)
            .on_storages(comparison.allocates.iter().cloned());
        let mut there = comparison.resize.iter().filter(|(d, _)| !comparison.made.contains(d));
        let both = there.any(|(disk, _)| comparison.set.contains_key(disk));
        steps.insert(if both { steps.len() } else { 0 }, step);
    }
    steps.extend(configure_as_root(node, comparison, reason, effect));
    steps.extend(resize(true));
    steps
}

/// What Proxmox has changed by now, or would have, had it been written with the rest.
fn rewrite(node: &str, comparison: &Comparison, reason: &Reason, effect: Effect) -> Option<Step> {
    let due = comparison.rewrites.iter().filter(|rewrite| rewrite.is_due(comparison));
    let set: BTreeMap<String, String> = due.map(|r| (r.key.clone(), r.value.clone())).collect();
    (!set.is_empty()).then(|| {
        let kind = ActionKind::Configure { set, delete: Vec::new(), background: false };
        Step::new(node, kind, reason.clone(), effect)
    })
}

/// What no API token may write.
pub(super) fn configure_as_root(
    node: &str,
    comparison: &Comparison,
    reason: &Reason,
    effect: Effect,
) -> Option<Step> {
    let (set, delete) = (&comparison.set_as_root, &comparison.delete_as_root);
    (!set.is_empty() || !delete.is_empty()).then(|| {
        let delete = delete.iter().cloned().collect();
        let kind = ActionKind::ConfigureAsRoot { set: set.clone(), delete };
        Step::new(node, kind, reason.clone(), effect)
    })
}

/// Disks that were made together with their guest and are larger than what they were filled from.
pub(super) fn grow_made(node: &str, comparison: &Comparison, reason: &Reason) -> Vec<Step> {
    let step = |(disk, size): &(String, u64)| {
        let kind = ActionKind::Resize { disk: disk.clone(), size: *size };
        Step::new(node, kind, reason.clone(), Effect::Create)
    };
    comparison.resize.iter().map(step).collect()
}

fn removals(node: &str, comparison: &Comparison, reason: &Reason, effect: Effect) -> Vec<Step> {
    let mut steps = Vec::new();
    for drive in &comparison.detach {
        let kind = ActionKind::Detach { disk: drive.slot.clone() };
        let effect = if drive.erase.is_some() { Effect::Live } else { effect };
        steps.push(Step::new(node, kind, reason.clone(), effect));
        if let Some((unused, volume)) = &drive.erase {
            steps.push(erase(node, unused, volume, reason));
        }
    }
    steps.extend(
        comparison.erase.iter().map(|(unused, volume)| erase(node, unused, volume, reason)),
    );
    steps
}

/// Only this volume: another one may have come to the same place meanwhile.
fn erase(node: &str, unused: &str, volume: &str, reason: &Reason) -> Step {
    let kind = ActionKind::Erase { disk: unused.to_owned() };
    let holds = Precondition::Holds { disk: unused.to_owned(), volume: volume.to_owned() };
    let storage = volume.split_once(':').map(|(storage, _)| storage.to_owned());
    Step::new(node, kind, reason.clone(), Effect::DataLoss).requires(holds).on_storages(storage)
}

/// The part of a difference that is about these slots, and the boot order that may name them; and
/// the rest.
pub(super) fn split(
    mut comparison: Comparison,
    slots: &std::collections::BTreeSet<String>,
) -> (Comparison, Comparison) {
    let mut later = Comparison::default();
    if slots.is_empty() {
        return (comparison, later);
    }
    let is_later = |key: &String| slots.contains(key) || key == "boot";
    let keys: Vec<String> = comparison.set.keys().filter(|key| is_later(key)).cloned().collect();
    for key in keys {
        later.set.extend(comparison.set.remove_entry(&key));
    }
    // What it would be written after comes earlier then.
    for rewrite in std::mem::take(&mut comparison.rewrites) {
        if rewrite.is_due(&comparison) {
            later.set.entry(rewrite.key).or_insert(rewrite.value);
        }
    }
    let (then, now) = comparison.resize.into_iter().partition(|(slot, _)| slots.contains(slot));
    (later.resize, comparison.resize) = (then, now);
    let (then, now) = comparison.moves.into_iter().partition(|m| slots.contains(&m.slot));
    (later.moves, comparison.moves) = (then, now);
    (comparison, later)
}
