//! A few words on an action, beside its verb.

use std::collections::BTreeMap;

use pvx_core::plan::{ActionKind, HaChange};

use super::super::units;

/// Keys of a guest that are named.
const NAMED: usize = 3;

pub(super) fn words(kind: &ActionKind) -> String {
    match kind {
        ActionKind::Create { config, .. } => format!("{} keys", config.len()),
        ActionKind::Clone { source, full, .. } => {
            format!("{} of {source}", if *full { "full" } else { "linked" })
        }
        ActionKind::Configure { set, delete, .. } | ActionKind::ConfigureAsRoot { set, delete } => {
            keys(set, delete)
        }
        ActionKind::Resize { disk, size } => format!("{disk} to {}", units::bytes(*size)),
        ActionKind::Migrate { target, online, .. } => {
            format!("→ {target}, {}", if *online { "live" } else { "offline" })
        }
        ActionKind::Start | ActionKind::Destroy => String::new(),
        ActionKind::Shutdown { timeout, .. } | ActionKind::Reboot { timeout } => {
            format!("within {timeout} s")
        }
        ActionKind::MoveDisk { disk, storage, .. } => format!("{disk} → {storage}"),
        ActionKind::Reassign { disk, target, .. } => format!("{disk} → guest {target}"),
        ActionKind::Detach { disk } | ActionKind::Erase { disk } => disk.clone(),
        ActionKind::Pool { join, leave } => pool(join.as_deref(), leave.as_deref()),
        ActionKind::Ha { change } => ha(change),
        ActionKind::Snippet { storage, name, .. } => format!("{storage}:{name}"),
    }
}

fn keys(set: &BTreeMap<String, String>, delete: &[String]) -> String {
    let set = set.keys().cloned();
    let all: Vec<String> = set.chain(delete.iter().map(|key| format!("-{key}"))).collect();
    match all.get(..NAMED) {
        Some(some) if all.len() > NAMED => format!("{} +{}", some.join(" "), all.len() - NAMED),
        _ => all.join(" "),
    }
}

fn pool(join: Option<&str>, leave: Option<&str>) -> String {
    match (join, leave) {
        (Some(join), Some(leave)) => format!("{leave} → {join}"),
        (Some(join), None) => format!("join {join}"),
        (None, Some(leave)) => format!("leave {leave}"),
        (None, None) => String::new(),
    }
}

fn ha(change: &HaChange) -> String {
    match change {
        HaChange::Add { .. } => "add resource".to_owned(),
        HaChange::Update { .. } => "update resource".to_owned(),
        HaChange::Remove => "remove resource".to_owned(),
        HaChange::AddRule { rule, .. } => format!("add {rule}"),
        HaChange::UpdateRule { rule, .. } => format!("update {rule}"),
        HaChange::RemoveRule { rule } => format!("remove {rule}"),
    }
}
