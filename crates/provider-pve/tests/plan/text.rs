//! A plan as a few lines of text.

use pvx_core::plan::{
    Action, ActionKind, Change, Finding, HaChange, Plan, Precondition, Verb, Weight,
};

pub(crate) fn of(plan: &Plan) -> String {
    let actions = plan.actions.iter().map(|a| action(plan, a));
    let changes = plan.changes.iter().map(change);
    let findings = plan.findings.iter().map(finding);
    let lines: Vec<String> = actions.chain(changes).chain(findings).collect();
    if lines.is_empty() { "nothing to do".to_owned() } else { lines.join("\n") }
}

fn action(plan: &Plan, action: &Action) -> String {
    let (vmid, node) = (action.vmid, &action.node);
    let mut line = format!("{} {} ", action.id, action.kind.verb());
    line += &match &action.kind {
        ActionKind::Create { config, pool } => {
            let pool = pool.iter().map(|p| format!(" in {p}")).collect::<String>();
            let config: Vec<_> = config.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("{vmid} {}{pool}", config.join(" "))
        }
        ActionKind::Clone { source, full, storage, target, name, pool, .. } => {
            let pool = pool.iter().map(|p| format!(" in {p}")).collect::<String>();
            let mode = if *full { "full" } else { "linked" };
            let storage = storage.iter().map(|s| format!(" storage={s}"));
            let target = target.iter().map(|t| format!(" target={t}"));
            let options: String = storage.chain(target).collect();
            format!("{source}→{vmid} {mode}{options} name={name}{pool}")
        }
        ActionKind::Configure { set, delete, background } => {
            let set = set.iter().map(|(k, v)| format!(" {k}={v}"));
            let delete = delete.iter().map(|k| format!(" -{k}"));
            let background = background.then(|| " in the background".to_owned());
            let all: String = set.chain(delete).chain(background).collect();
            format!("{vmid}{all}")
        }
        ActionKind::ConfigureAsRoot { set, delete } => {
            let set = set.iter().map(|(k, v)| format!(" {k}={v}"));
            let delete = delete.iter().map(|k| format!(" -{k}"));
            format!("{vmid}{}", set.chain(delete).collect::<String>())
        }
        ActionKind::Resize { disk, size } => format!("{vmid} {disk}={}MiB", size >> 20),
        ActionKind::Migrate { target, online, with_local_disks } => {
            let online = if *online { " online" } else { "" };
            let disks = if *with_local_disks { " with local disks" } else { "" };
            format!("{vmid} →{target}{online}{disks}")
        }
        ActionKind::Start | ActionKind::Destroy => vmid.to_string(),
        ActionKind::Reboot { timeout } => format!("{vmid} within {timeout}s"),
        ActionKind::MoveDisk { disk, storage, format } => {
            let format = format.iter().map(|f| format!(" as {f}")).collect::<String>();
            format!("{vmid} {disk} →{storage}{format}")
        }
        ActionKind::Reassign { disk, target, target_disk } => {
            format!("{vmid} {disk} →{target} {target_disk}")
        }
        ActionKind::Detach { disk } | ActionKind::Erase { disk } => format!("{vmid} {disk}"),
        ActionKind::Pool { join, leave } => {
            let join = join.iter().map(|p| format!(" +{p}"));
            let leave = leave.iter().map(|p| format!(" -{p}"));
            format!("{vmid}{}", join.chain(leave).collect::<String>())
        }
        ActionKind::Ha { change } => format!("{vmid} {}", ha(change)),
        ActionKind::Snippet { storage, name, .. } => format!("{vmid} {storage}:snippets/{name}"),
        ActionKind::Shutdown { timeout, force } => {
            format!("{vmid} within {timeout}s{}", if *force { ", then force" } else { "" })
        }
    };
    line += &format!(" @{node}");
    let checks: Vec<_> = action.preconditions.iter().map(precondition).collect();
    if !checks.is_empty() {
        line += &format!(" if {}", checks.join("+"));
    }
    if !action.storages.is_empty() {
        line += &format!(" on {}", action.storages.join("+"));
    }
    let needs: Vec<_> = plan.actions.needs(action.id).iter().map(ToString::to_string).collect();
    if !needs.is_empty() {
        line += &format!(" needs {}", needs.join(" "));
    }
    line
}

fn ha(change: &HaChange) -> String {
    let set = |set: &std::collections::BTreeMap<String, String>| {
        set.iter().map(|(k, v)| format!(" {k}={v}")).collect::<String>()
    };
    let delete = |keys: &[String]| keys.iter().map(|k| format!(" -{k}")).collect::<String>();
    match change {
        HaChange::Add { set: all } => format!("add{}", set(all)),
        HaChange::Update { set: some, delete: keys } => {
            format!("update{}{}", set(some), delete(keys))
        }
        HaChange::Remove => "remove".to_owned(),
        HaChange::AddRule { rule, set: all } => format!("add rule {rule}{}", set(all)),
        HaChange::UpdateRule { rule, set: some, delete: keys } => {
            format!("update rule {rule}{}{}", set(some), delete(keys))
        }
        HaChange::RemoveRule { rule } => format!("remove rule {rule}"),
    }
}

fn precondition(precondition: &Precondition) -> String {
    match precondition {
        Precondition::VmidFree => "free".to_owned(),
        Precondition::Owned { mark, .. } => format!("owned({mark})"),
        Precondition::Begun { .. } => "begun".to_owned(),
        Precondition::Digest { .. } => "unchanged".to_owned(),
        Precondition::Unprotected => "unprotected".to_owned(),
        Precondition::Holds { disk, volume } => format!("{disk}={volume}"),
    }
}

fn change(change: &Change) -> String {
    let target = change.target.iter().map(|t| format!(" → {t}")).collect::<String>();
    let mut text = format!(
        "{:?} {} {} on {}{target}: {} ({:?})",
        change.verb, change.address, change.vmid, change.node, change.reason, change.effect
    );
    if let Some(origin) = &change.facts.origin {
        text += &format!(", {origin}");
    }
    let sizes = |list: &[(String, u64)]| {
        let list = list.iter().map(|(slot, size)| format!("{slot} {}MiB", size >> 20));
        list.collect::<Vec<_>>().join(" ")
    };
    let (lost, kept) = (&change.facts.disks, &change.facts.kept);
    if change.verb == Verb::Replace || !kept.is_empty() {
        text += &format!(", lost [{}], kept [{}]", sizes(lost), sizes(kept));
    }
    for attribute in &change.attributes {
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "∅".to_owned());
        let (before, after) = (word(&attribute.before), word(&attribute.after));
        text += &format!("\n    {} {before} → {after} ({:?})", attribute.path, attribute.effect);
    }
    text
}

fn finding(finding: &Finding) -> String {
    let weight = match finding.weight {
        Weight::Error => "×",
        Weight::Warning => "!",
        Weight::Note => "i",
    };
    let place = if finding.span.is_some() { "" } else { " (nowhere)" };
    format!("{weight} {}: {}{place}", finding.code, finding.message)
}
