//! Does a saved plan still hold? Each check names what does not, and what to do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{Cluster, Document, Saved, Seen, Variable, guests, touched};
use crate::live::Snapshot;
use crate::plan::{Plan, Weight};

/// Why a saved plan is not carried out. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// One sentence without a full stop.
    pub message: String,
    /// One line each: the files, the guests, the differences.
    pub details: Vec<String>,
    /// What to do next.
    pub help: String,
}

const ANEW: &str = "make a new plan with `pvx plan --out`";

/// Why nothing of a plan is left, as long as nobody remembers that it was applied.
pub const ALREADY: &str = "it was applied already, or someone else made the same changes";

/// Why else, when its guests are as they were.
pub const OTHER_STATE: &str =
    "or it was made with another `state` folder (--state): its guests are as they were";

impl Stale {
    fn new(message: impl Into<String>, details: Vec<String>) -> Self {
        Self { message: message.into(), details, help: ANEW.to_owned() }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }
}

/// Is its time over?
///
/// # Errors
/// When it is.
pub fn time(saved: &Saved, now: Timestamp) -> Result<(), Stale> {
    if now < saved.expires {
        return Ok(());
    }
    let message = format!("it expired at {} (made at {})", saved.expires, saved.made);
    Err(Stale::new(message, Vec::new())
        .help(format!("{ANEW}; `--expires` says how long it is good for")))
}

/// Is this the cluster that it was made for?
///
/// # Errors
/// When it is another one, perhaps of the same name.
pub fn cluster(saved: &Saved, live: &Cluster) -> Result<(), Stale> {
    let made_for = &saved.cluster;
    let help = "reach the cluster that it was made for (--endpoint, --config), or make a new plan \
                with `pvx plan --out`";
    let other = |message: String, details| Err(Stale::new(message, details).help(help));
    if made_for.name != live.name {
        let (planned, found) = (&made_for.name, &live.name);
        return other(
            format!("it was made for cluster {planned}, and this is {found}"),
            Vec::new(),
        );
    }
    let message = || format!("it was made for another cluster that is named {} too", live.name);
    match (&made_for.authority, &live.authority) {
        (Some(planned), Some(found)) if planned == found => Ok(()),
        (Some(planned), Some(found)) => {
            let lines = vec![
                format!("certificate authority of the plan's cluster: {}", short(planned)),
                format!("certificate authority of this one: {}", short(found)),
            ];
            other(message(), lines)
        }
        // Who cannot see the authority still sees the nodes.
        _ if made_for.nodes == live.nodes => Ok(()),
        _ => {
            let list = |nodes: &BTreeSet<String>| {
                nodes.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            };
            let lines = vec![
                format!("nodes of the plan's cluster: {}", list(&made_for.nodes)),
                format!("nodes of this one: {}", list(&live.nodes)),
            ];
            other(message(), lines)
        }
    }
}

/// The first octets of a fingerprint: enough to tell two apart by eye.
fn short(fingerprint: &str) -> String {
    fingerprint.get(..29).map_or_else(|| fingerprint.to_owned(), |begin| format!("{begin}…"))
}

/// Are the documents those that it was made from?
///
/// # Errors
/// Names files that changed, are missing, or are new.
pub fn documents(saved: &Saved, found: &BTreeSet<Document>) -> Result<(), Stale> {
    let by_path = |all: &'_ BTreeSet<Document>| -> BTreeMap<String, String> {
        all.iter().map(|d| (d.path.clone(), d.sha256.clone())).collect()
    };
    let (before, now) = (by_path(&saved.documents), by_path(found));
    let mut lines = Vec::new();
    for (path, sha256) in &before {
        match now.get(path) {
            None => lines.push(format!("{path}: missing")),
            Some(other) if other != sha256 => lines.push(format!("{path}: changed")),
            Some(_) => {}
        }
    }
    let new = now.keys().filter(|path| !before.contains_key(*path));
    lines.extend(new.map(|path| format!("{path}: new")));
    if lines.is_empty() {
        return Ok(());
    }
    if before.keys().all(|path| !now.contains_key(path)) {
        let message = "the documents that it was made from are not here";
        return Err(Stale::new(message, lines)
            .help("run it where they are, or name their configuration with --config FILE"));
    }
    Err(Stale::new("the documents changed since it was made", lines)
        .help(format!("take the changes back, or {ANEW}")))
}

/// Are the values from outside the documents those that it was made with? Of sensitive variables
/// only that there is one is known here; what it changes, the plan that is made again shows.
///
/// # Errors
/// Names the variables.
pub fn variables(saved: &Saved, given: &BTreeMap<String, Variable>) -> Result<(), Stale> {
    let mut lines = Vec::new();
    for (name, before) in &saved.variables {
        match given.get(name) {
            None => lines.push(format!("{name}: not given ({} gave it)", before.from)),
            Some(now) if now.sha256 != before.sha256 => {
                lines.push(format!("{name}: {} gives another value", now.from));
            }
            Some(_) => {}
        }
    }
    let new = given.iter().filter(|(name, _)| !saved.variables.contains_key(*name));
    lines.extend(new.map(|(name, now)| format!("{name}: {} gives it now", now.from)));
    if lines.is_empty() {
        return Ok(());
    }
    Err(Stale::new("variables have other values than when it was made", lines)
        .help(format!("give the same values again, or {ANEW}")))
}

/// Is the cluster as the plan saw it, and would the same plan be made of it? `again` is the plan
/// that documents and cluster give now; `shown` puts the difference of two plans into lines.
///
/// # Errors
/// Says what differs.
pub fn plan(
    saved: &Saved,
    snapshot: &Snapshot,
    again: &Plan,
    shown: impl Fn(&Plan, &Plan) -> Vec<String>,
) -> Result<(), Stale> {
    let same = same(&saved.plan, again);
    if again.is_empty() && !again.is_blocked() && !saved.plan.is_empty() {
        let mut why = vec![ALREADY.to_owned()];
        if guests_now(saved, snapshot, true).is_empty() {
            why.push(OTHER_STATE.to_owned());
        }
        return Err(Stale::new("nothing of it is left to do", why)
            .help("`pvx plan` shows whether the cluster is as the documents say"));
    }
    let moved = guests_now(saved, snapshot, !same);
    if !moved.is_empty() {
        return Err(Stale::new("the cluster changed since it was made", moved));
    }
    if again.is_blocked() {
        let errors = again.findings.iter().filter(|finding| finding.weight == Weight::Error);
        let line = |f: &crate::plan::Finding| match &f.help {
            Some(help) => format!("{} ({help})", f.message),
            None => f.message.clone(),
        };
        let message = "something stands in its way that did not when it was made";
        return Err(
            Stale::new(message, errors.map(line).collect()).help(format!("mend that, or {ANEW}"))
        );
    }
    if !same {
        let lines = shown(&saved.plan, again);
        return Err(Stale::new("the plan would be another one now", lines));
    }
    Ok(())
}

/// Guests that are not as the plan saw them, a line each. Power counts where it changes the plan.
fn guests_now(saved: &Saved, snapshot: &Snapshot, power: bool) -> Vec<String> {
    let live = guests(&saved.plan, snapshot);
    let mut lines = Vec::new();
    for (vmid, before) in &saved.guests {
        let who = format!("guest {vmid} ({})", before.name);
        match live.get(vmid) {
            None => lines.push(format!("{who} is not there any more; it was on {}", before.node)),
            Some(now) => lines.extend(one(&who, before, now, power)),
        }
    }
    let planned = touched(&saved.plan).into_iter().filter(|vmid| !saved.guests.contains_key(vmid));
    for vmid in planned {
        let Some(by) = snapshot.inventory.guests.get(&vmid) else { continue };
        let name = by.name.as_deref().unwrap_or("a guest without a name");
        lines.push(format!("VMID {vmid} is taken meanwhile by {name} on {}", by.node));
    }
    lines
}

fn one(who: &str, before: &Seen, now: &Seen, power: bool) -> Option<String> {
    if now.node != before.node {
        return Some(format!("{who} moved from {} to {}", before.node, now.node));
    }
    // One that could not be read in full has no digest, then or now: that is left to the plan.
    if let (Some(planned), Some(found)) = (&before.digest, &now.digest)
        && planned != found
    {
        return Some(format!("the configuration of {who} on {} was changed", now.node));
    }
    let runs = |seen: &Seen| if seen.running { "runs" } else { "is stopped" };
    (power && now.running != before.running)
        .then(|| format!("{who} on {} {} now", now.node, runs(now)))
}

/// Would the two do the same, for the same reasons? Findings apart, and where files lie.
pub fn same(a: &Plan, b: &Plan) -> bool {
    let a_bare = bare(a);
    a_bare == bare(b)
}

/// The plan without what says nothing about what is done.
pub fn bare(plan: &Plan) -> Plan {
    let mut bare = plan.clone();
    bare.findings.clear();
    bare.held.clear();
    bare.profiles.clear();
    bare.policy.clear();
    bare.privileges.clear();
    (bare.nodes, bare.quorate) = ((0, 0), true);
    bare.changes.iter_mut().for_each(|change| change.position = None);
    bare
}
