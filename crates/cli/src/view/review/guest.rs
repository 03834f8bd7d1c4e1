//! What happens to one guest, with its attributes before and after.

use pvx_core::plan::{AttributeChange, Change, Facts, Plan, Verb};
use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use super::super::{count, plan as human, units};
use super::{Cost, place};

/// What happens to one guest.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Guest {
    pub(crate) address: String,
    /// `+`, `~`, `>`, `±` or `-`.
    pub(crate) sign: &'static str,
    /// `create`
    pub(crate) verb: &'static str,
    pub(crate) vmid: u32,
    /// `pve1`, `pve1 → pve3`.
    pub(crate) node: String,
    /// What it is, what is lost, what it was called: each a few words.
    pub(crate) what: Vec<String>,
    /// Why it is touched.
    pub(crate) reason: String,
    pub(crate) cost: Cost,
    pub(crate) position: Option<String>,
    pub(crate) attributes: Vec<Attribute>,
}

/// One attribute before and after.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Attribute {
    pub(crate) path: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    /// A text of several lines as a diff; empty for all others.
    pub(crate) lines: Vec<Line>,
    pub(crate) cost: Cost,
    /// Why it is not simply live.
    pub(crate) why: String,
}

/// A line of a diff.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    /// ` `, `-` or `+`.
    pub(crate) sign: &'static str,
    pub(crate) text: String,
}

impl Guest {
    pub(super) fn of(change: &Change, plan: &Plan) -> Self {
        let node = match &change.target {
            Some(target) => format!("{} → {target}", change.node),
            None => change.node.clone(),
        };
        let mut what = what(change);
        if let Some(old) = plan.moved.get(&change.address) {
            what.insert(0, format!("was {old}"));
        }
        Self {
            address: change.address.to_string(),
            sign: human::sign(change.verb).0,
            verb: verb(change.verb),
            vmid: change.vmid,
            node,
            what,
            reason: change.reason.clone(),
            cost: Cost::of(change.effect),
            position: change.position.as_ref().map(place),
            attributes: change.attributes.iter().map(Attribute::of).collect(),
        }
    }
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "create",
        Verb::Change => "change",
        Verb::Migrate => "migrate",
        Verb::Power => "power",
        Verb::Replace => "replace",
        Verb::Destroy => "destroy",
    }
}

fn what(change: &Change) -> Vec<String> {
    match change.verb {
        Verb::Create => made(&change.facts),
        Verb::Destroy => losses(change),
        Verb::Replace => [losses(change), origin(&change.facts)].concat(),
        Verb::Migrate if change.running => vec!["live".to_owned()],
        Verb::Migrate => vec!["offline".to_owned()],
        Verb::Power | Verb::Change => Vec::new(),
    }
}

fn origin(facts: &Facts) -> Vec<String> {
    facts.origin.iter().cloned().collect()
}

fn made(facts: &Facts) -> Vec<String> {
    let mut list = origin(facts);
    list.extend(facts.cores.map(|cores| count(cores as usize, "core")));
    list.extend(facts.memory.map(units::mebibytes));
    list.extend(facts.disks.iter().map(|(slot, size)| format!("{slot} {}", units::bytes(*size))));
    list.extend(facts.addresses.iter().cloned());
    list.extend(facts.macs.iter().cloned());
    list.extend(facts.pool.iter().map(|pool| format!("pool {pool}")));
    list.extend(facts.ha.iter().map(|state| format!("HA {state}")));
    if !facts.tags.is_empty() {
        list.push(format!("tags {}", facts.tags.join(" ")));
    }
    list
}

/// `2 disks, 80 GiB lost`, `1 disk, 1 GiB kept`, `running`.
fn losses(change: &Change) -> Vec<String> {
    let part = |disks: &[(String, u64)], word: &str| {
        let bytes: u64 = disks.iter().map(|(_, size)| size).sum();
        let count = count(disks.len(), "disk");
        (!disks.is_empty()).then(|| format!("{count}, {} {word}", units::bytes(bytes)))
    };
    let (lost, kept) = (&change.facts.disks, &change.facts.kept);
    let mut words: Vec<String> =
        [part(lost, "lost"), part(kept, "kept")].into_iter().flatten().collect();
    if words.is_empty() {
        words.push("no disks".to_owned());
    }
    if change.running {
        words.push("running".to_owned());
    }
    words
}

impl Attribute {
    pub(super) fn of(change: &AttributeChange) -> Self {
        let word = |text: &String| human_value(&change.path, text);
        let (before, after) = (change.before.as_deref(), change.after.as_deref());
        let lines = match human::is_long(change) {
            true => diff(before.unwrap_or_default(), after.unwrap_or_default()),
            false => Vec::new(),
        };
        Self {
            path: change.path.clone(),
            before: change.before.as_ref().map(word),
            after: change.after.as_ref().map(word),
            lines,
            cost: Cost::of(change.effect),
            why: human::why(change).to_owned(),
        }
    }
}

fn human_value(path: &str, text: &str) -> String {
    match (path, text.parse::<u64>()) {
        ("memory", Ok(mib)) => units::mebibytes(mib),
        ("cloudinit.ssh_keys", _) => format!("{} bytes of keys", text.len()),
        _ if path.ends_with(".size") => units::stored_size(text),
        _ => text.to_owned(),
    }
}

fn diff(before: &str, after: &str) -> Vec<Line> {
    let line = |change: similar::Change<&str>| Line {
        sign: match change.tag() {
            ChangeTag::Equal => " ",
            ChangeTag::Delete => "-",
            ChangeTag::Insert => "+",
        },
        text: change.value().trim_end().to_owned(),
    };
    TextDiff::from_lines(before, after).iter_all_changes().map(line).collect()
}
