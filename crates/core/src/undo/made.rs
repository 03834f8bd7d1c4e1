//! Guests that this run made go again, and disks that changed hands go back.

use super::lost;
use super::walk::Walk;
use super::{Scope, guard};
use crate::live::Guest;
use crate::plan::{Action, ActionKind, Effect, Precondition, lint};

/// May what was made of the guest go? Says why not.
pub(super) fn may_go(walk: &mut Walk<'_>) -> bool {
    let work = walk.work;
    let Some(guest) = walk.guests.get(&work.vmid).filter(|_| walk.is_made(work.vmid)) else {
        return true;
    };
    let kept = work.begun.iter().any(|b| match &b.action.kind {
        ActionKind::Reassign { target, target_disk, .. } => {
            *target == work.vmid && guest.config.contains_key(target_disk)
        }
        _ => false,
    });
    let why = match () {
        () if work.prevent_destroy => "its document says `prevent_destroy`",
        () if guest.is_protected() => "it is protected",
        () if guest.is_template() => "it was made a template",
        () if guest.config.contains_key("parent") => "someone took a snapshot of it",
        () if kept && walk.input.scope == Scope::FailedCreates => {
            "disks that were kept for it are there already"
        }
        () => return true,
    };
    let text = format!("{} ({}) is not removed again: {why}", work.address, work.vmid);
    let help =
        format!("`pvx apply` goes on with it, `pvx destroy --target {}` removes it", work.address);
    walk.findings.push(lost(&work.address, text).help(help));
    false
}

/// A guest that was made goes, with its disks.
pub(super) fn remove(walk: &mut Walk<'_>, vmid: u32) {
    if !walk.is_made(vmid) || !walk.guests.contains_key(&vmid) {
        return;
    }
    if vmid != walk.work.vmid {
        return remove_keeper(walk, vmid);
    }
    if walk.guests.get(&vmid).is_some_and(|guest| guest.running) {
        walk.shut_down(vmid);
    }
    if holds_kept(walk, vmid) {
        walk.lose(
            "it is not removed again, because it holds disks that were kept for it".to_owned(),
        );
        return;
    }
    destroy(walk, vmid);
}

/// Does it still have a disk that was handed to it?
fn holds_kept(walk: &Walk<'_>, vmid: u32) -> bool {
    walk.work.begun.iter().any(|b| match &b.action.kind {
        ActionKind::Reassign { target, target_disk, .. } if *target == vmid => {
            walk.is(vmid, target_disk).is_some()
        }
        _ => false,
    })
}

/// A keeper goes when it keeps nothing; protection is taken off it first.
fn remove_keeper(walk: &mut Walk<'_>, vmid: u32) {
    let Some(guest) = walk.guests.get(&vmid) else { return };
    let cluster = &walk.input.now.inventory.cluster;
    let proven = guard::holds(walk.input.kind, &guard::keeper_proof(cluster, walk.work), guest);
    if !proven {
        return;
    }
    if !walk.input.kind.volumes(guest).is_empty() {
        walk.lose(format!("guest {vmid} keeps its disks and stays"));
        return;
    }
    let delete = vec!["protection".to_owned()];
    let kind = ActionKind::Configure { set: [].into(), delete, background: false };
    walk.step(vmid, kind, Effect::Live);
    walk.follow(vmid, "protection", None);
    destroy(walk, vmid);
}

fn destroy(walk: &mut Walk<'_>, vmid: u32) {
    let Some(guest) = walk.guests.get(&vmid) else { return };
    let volumes = walk.input.kind.volumes(guest);
    let loses = volumes.iter().any(|v| v.is_own() && !v.cloudinit);
    let effect = if loses { Effect::DataLoss } else { Effect::Destroy };
    walk.step_on(
        vmid,
        ActionKind::Destroy,
        effect,
        volumes
            .into_iter()
            .filter(super::super::provider::Volume::is_own)
            .map(|v| v.storage)
            .collect(),
    );
    walk.guests.remove(&vmid);
}

/// A keeper that had nothing to keep any more is made again; it gets its disks back next.
pub(super) fn again(walk: &mut Walk<'_>, vmid: u32) {
    if vmid == walk.work.vmid || walk.guests.contains_key(&vmid) {
        return;
    }
    if walk.input.scope == Scope::FailedCreates {
        return;
    }
    let Some(before) = walk.input.before.guests.get(&vmid) else { return };
    let cluster = &walk.input.now.inventory.cluster;
    let proof = guard::keeper_proof(cluster, walk.work);
    let Precondition::Owned { mark, uuid } = &proof else { return };
    // Where the guest is: disks change hands on one node only.
    let Some(node) = walk.guests.get(&walk.work.vmid).map(|guest| guest.node.clone()) else {
        return;
    };
    let note = before.config.get("description").map_or("", |text| text.trim_end());
    let config = walk.input.kind.keeper(before.name(), *uuid, mark, note);
    let keeper = Guest { vmid, node, config: config.clone(), ..Guest::default() };
    walk.guests.insert(vmid, keeper);
    walk.step(vmid, ActionKind::Create { config, pool: None }, Effect::Create);
}

/// A disk that changed hands goes back.
pub(super) fn hand_back(
    walk: &mut Walk<'_>,
    action: &Action,
    disk: &str,
    target: u32,
    target_disk: &str,
) {
    let source = action.vmid;
    let (there, here) = (walk.is(target, target_disk), walk.is(source, disk));
    let Some(value) = there.filter(|_| here.is_none()) else { return };
    let runs = |vmid: u32| walk.guests.get(&vmid).is_some_and(|guest| guest.running);
    if !walk.guests.contains_key(&source) || runs(target) {
        walk.lose(format!("{target_disk} stays with guest {target}"));
        return;
    }
    let kind = ActionKind::Reassign {
        disk: target_disk.to_owned(),
        target: source,
        target_disk: disk.to_owned(),
    };
    let moved = walk.guests.get(&source).map(|to| walk.input.kind.with_disk(to, disk, &value));
    walk.step_on(target, kind, Effect::Live, action.storages.clone());
    // Both files are written.
    walk.touched.insert(source);
    walk.follow(target, target_disk, None);
    let value = moved.and_then(|guest| guest.config.get(disk).cloned()).unwrap_or(value);
    walk.follow(source, disk, Some(value));
    walk.drives |= !lint::is_keeper(action);
}
