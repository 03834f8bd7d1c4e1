//! Checks of a finished plan (law 7): what the planner and the provider made must hang together.
//! A complaint here is a fault of pvx, found before it reaches a cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, ActionKind, Finding, Intent, KEEPER, Plan, Precondition, Verb};
use crate::secret::{MARKER, SECRET_KEYS};

/// All complaints about a plan; empty for every plan that may be run.
pub fn check(plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Err(error) = plan.actions.sequence() {
        found.push(complaint(format!("the actions cannot be ordered: {error}")));
    }
    for action in plan.actions.iter() {
        found.extend(check_action(plan, action));
    }
    found.extend(check_kept(plan));
    found.extend(check_coverage(plan));
    found.extend(check_vmids(plan));
    found
}

fn complaint(text: String) -> Finding {
    Finding::error("internal-lint", text)
        .help("this is a fault of pvx: please report it with the output of plan --format json")
}

fn check_action(plan: &Plan, action: &Action) -> Vec<Finding> {
    let wrong = wrong_writes(&action.kind).into_iter().chain(wrong_deeds(plan, action));
    let finding = |text: &str| {
        let line =
            format!("action {} ({} {}): {text}", action.id, action.kind.verb(), action.address);
        complaint(line)
    };
    wrong.map(finding).collect()
}

/// What is wrong with a write to a configuration, a pool or a file, looked at alone.
fn wrong_writes(kind: &ActionKind) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let mut complain_if = |is: bool, text| wrong.extend(is.then_some(text));
    match kind {
        ActionKind::Configure { set, delete, .. } => {
            complain_if(holds_secret(set), "holds a secret");
            complain_if(sets_and_deletes(set, delete), "sets and deletes the same key");
            complain_if(set.is_empty() && delete.is_empty(), "changes nothing");
            complain_if(delete.iter().any(|key| is_disk(key)), "deletes a disk");
        }
        ActionKind::ConfigureAsRoot { set, delete } => {
            complain_if(set.is_empty() && delete.is_empty(), "changes nothing");
            complain_if(sets_and_deletes(set, delete), "sets and deletes the same key");
        }
        ActionKind::Create { config, .. } => complain_if(holds_secret(config), "holds a secret"),
        ActionKind::Snippet { sha256, .. } => {
            let is_hash = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
            complain_if(!is_hash, "does not say which content it writes");
        }
        ActionKind::Pool { join, leave } => complain_if(join == leave, "changes nothing"),
        _ => {}
    }
    wrong
}

fn sets_and_deletes(set: &BTreeMap<String, String>, delete: &[String]) -> bool {
    delete.iter().any(|key| set.contains_key(key))
}

/// What is wrong with making, moving and removing: most of it is a precondition that is missing.
fn wrong_deeds(plan: &Plan, action: &Action) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let mut complain_if = |is: bool, text| wrong.extend(is.then_some(text));
    let asks_free = action.preconditions.contains(&Precondition::VmidFree);
    let unproven = !action.preconditions.iter().any(is_identity);
    complain_if(unproven && is_destructive(&action.kind), "destroys without proof of ownership");
    let is_write = !matches!(action.kind, ActionKind::Snippet { .. } | ActionKind::Ha { .. });
    complain_if(
        unproven && is_write && is_of_live(plan, action),
        "writes without proof of ownership",
    );
    match &action.kind {
        ActionKind::Destroy => {
            // Outcomes are what documents want to be there when the plan has been carried out.
            let wanted = plan.outcomes.contains_key(&action.address);
            let forbidden = plan.intent != Intent::Destroy && wanted && !may_go(plan, action);
            complain_if(forbidden, "destroys a guest that documents want");
        }
        ActionKind::Clone { storage, full, .. } => {
            complain_if(storage.is_some() && !full, "gives a linked clone a storage");
            complain_if(!asks_free, "makes a guest without asking that the VMID is free");
        }
        ActionKind::Create { .. } => {
            complain_if(!asks_free, "makes a guest without asking that the VMID is free");
        }
        ActionKind::Migrate { target, .. } => {
            complain_if(*target == action.node, "migrates to the node it is on");
        }
        ActionKind::Erase { disk } => {
            complain_if(!disk.starts_with("unused"), "erases a disk that is not detached");
            let holds =
                |p: &Precondition| matches!(p, Precondition::Holds { disk: d, .. } if d == disk);
            let asks = action.preconditions.iter().any(holds);
            complain_if(!asks, "erases a disk without asking which one it is");
        }
        _ => {}
    }
    wrong
}

/// A plan is printed and kept: of a secret it says only that there is one.
fn holds_secret(values: &BTreeMap<String, String>) -> bool {
    let plain = |key: &&str| values.get(*key).is_some_and(|value| value != MARKER);
    SECRET_KEYS.iter().any(plain)
}

/// A disk that is said to be kept is handed over before its guest goes.
fn check_kept(plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    for change in plan.changes.iter().filter(|change| !change.facts.kept.is_empty()) {
        let actions: Vec<&Action> =
            change.actions.iter().filter_map(|id| plan.actions.get(*id)).collect();
        let goes = |a: &&&Action| a.kind == ActionKind::Destroy && !is_keeper(a);
        let Some(destroy) = actions.iter().find(goes) else { continue };
        let before = actions.iter().take_while(|a| a.id != destroy.id);
        let handed: BTreeSet<&str> = before
            .filter(|a| a.vmid == destroy.vmid)
            .filter_map(|a| match &a.kind {
                ActionKind::Reassign { disk, .. } => Some(disk.as_str()),
                _ => None,
            })
            .collect();
        for (slot, _) in
            change.facts.kept.iter().filter(|(slot, _)| !handed.contains(slot.as_str()))
        {
            let text = format!("{} loses {slot}, which is to be kept", change.address);
            found.push(complaint(text));
        }
    }
    found
}

/// A guest that is made anew goes first; and so does one that only held kept disks.
fn may_go(plan: &Plan, action: &Action) -> bool {
    let change = plan.changes.iter().find(|change| change.actions.contains(&action.id));
    change.is_some_and(|change| change.verb == Verb::Replace) || is_keeper(action)
}

/// Is it done to a guest that only holds kept disks?
pub(crate) fn is_keeper(action: &Action) -> bool {
    let of_keeper = |p: &Precondition| matches!(p, Precondition::Owned { mark, .. } if mark.starts_with(KEEPER));
    let tags = match &action.kind {
        ActionKind::Create { config, .. } => config.get("tags").map_or("", String::as_str),
        _ => "",
    };
    action.preconditions.iter().any(of_keeper) || tags.starts_with(KEEPER)
}

/// What cannot be taken back when it hits the wrong guest.
fn is_destructive(kind: &ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::Destroy
            | ActionKind::Erase { .. }
            | ActionKind::Detach { .. }
            | ActionKind::Reassign { .. }
            | ActionKind::MoveDisk { .. }
            | ActionKind::Shutdown { .. }
            | ActionKind::Reboot { .. }
    )
}

/// Is it done to a guest that was there before the plan? Somebody may remove that one, and its VMID be
/// taken, between any two steps.
fn is_of_live(plan: &Plan, action: &Action) -> bool {
    let change = plan.changes.iter().find(|change| change.actions.contains(&action.id));
    let makes = |a: &Action| {
        let made = matches!(a.kind, ActionKind::Create { .. } | ActionKind::Clone { .. });
        made && a.vmid == action.vmid
    };
    let half_made = change.is_some_and(|change| change.verb == Verb::Create);
    !half_made && !plan.actions.iter().any(makes)
}

/// Mark and smbios uuid, or the note of a guest that has neither yet.
fn is_identity(precondition: &Precondition) -> bool {
    matches!(precondition, Precondition::Owned { .. } | Precondition::Begun { .. })
}

fn is_proof(precondition: &Precondition) -> bool {
    matches!(
        precondition,
        Precondition::Owned { .. } | Precondition::Digest { .. } | Precondition::Begun { .. }
    )
}

fn is_first_proof(precondition: &Precondition) -> bool {
    is_proof(precondition) || *precondition == Precondition::VmidFree
}

/// Is it the slot of a drive, or a detached disk?
pub(crate) fn is_disk(key: &str) -> bool {
    let name = key.trim_end_matches(|c: char| c.is_ascii_digit());
    name.len() < key.len()
        && matches!(name, "scsi" | "virtio" | "sata" | "ide" | "efidisk" | "tpmstate" | "unused")
}

/// Every action belongs to exactly one change, and every change has actions, of which the first
/// asks whose guest it is.
fn check_coverage(plan: &Plan) -> Vec<Finding> {
    let mut owners: BTreeMap<u32, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for change in &plan.changes {
        if change.actions.is_empty() {
            found.push(complaint(format!("{} changes without any action", change.address)));
        }
        let first = change.actions.first().and_then(|id| plan.actions.get(*id));
        if first.is_some_and(|action| !action.preconditions.iter().any(is_first_proof)) {
            found.push(complaint(format!("{} is touched without any proof", change.address)));
        }
        for id in &change.actions {
            *owners.entry(id.0).or_default() += 1;
            if plan.actions.get(*id).is_none_or(|a| a.address != change.address) {
                found.push(complaint(format!(
                    "{} names action {id} of another guest",
                    change.address
                )));
            }
        }
    }
    found.extend(check_other_guests(plan));
    for action in plan.actions.iter() {
        if owners.get(&action.id.0) != Some(&1) {
            found.push(complaint(format!("action {} does not belong to one change", action.id)));
        }
    }
    found
}

/// What a change does to another VMID than its guest's, it does to the keeper of that guest's
/// disks, with proof of its own; or to the guest that is replaced.
fn check_other_guests(plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    for change in plan.changes.iter().filter(|change| change.verb != Verb::Replace) {
        let actions = change.actions.iter().filter_map(|id| plan.actions.get(*id));
        for action in actions.filter(|a| a.vmid != change.vmid && !is_keeper(a)) {
            let text = format!("{} touches guest {}, which is not it", change.address, action.vmid);
            found.push(complaint(text));
        }
    }
    found
}

/// No VMID is made or changed for two guests.
fn check_vmids(plan: &Plan) -> Vec<Finding> {
    let mut seen: BTreeMap<u32, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, change) in plan.changes.iter().enumerate() {
        let actions = change.actions.iter().filter_map(|id| plan.actions.get(*id));
        let vmids: BTreeSet<u32> = actions.map(|a| a.vmid).chain([change.vmid]).collect();
        for vmid in vmids {
            if seen.insert(vmid, index).is_some() {
                found.push(complaint(format!("VMID {vmid} stands in two changes")));
            }
        }
    }
    found
}
