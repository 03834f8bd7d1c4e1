//! What a reviewer reads, as data: the Markdown and the HTML of a plan are made from this, each
//! with its own escaping. Nothing in it is escaped.

mod guest;
mod policy;
mod words;

#[cfg(test)]
pub(crate) mod samples;

use pvx_core::diagnostic::{Position, Sources};
use pvx_core::plan::{Effect, Finding, Intent, Plan, Weight};
use serde::Serialize;

use super::plan as human;
use super::{count, findings};
pub(crate) use guest::{Attribute, Guest};
pub(crate) use policy::PolicyRow;
pub(crate) use words::{Cost, class};

/// A plan for review.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Review {
    /// The live cluster.
    pub(crate) cluster: String,
    /// `apply` or `destroy`.
    pub(crate) intent: &'static str,
    /// A finding forbids running it.
    pub(crate) blocked: bool,
    /// Nothing would be done.
    pub(crate) empty: bool,
    /// One sentence: counts, or why there are none.
    pub(crate) verdict: String,
    /// What the verdict does not say: `2 reboots`, `40 GiB of disks lost`.
    pub(crate) tally: Vec<String>,
    /// The dearest effect of all.
    pub(crate) dearest: Option<Cost>,
    /// `3 nodes, quorate`.
    pub(crate) nodes: String,
    /// What was planned.
    pub(crate) profiles: Vec<Profile>,
    /// Which effects there are, the dearest first.
    pub(crate) effects: Vec<EffectRow>,
    /// What happens, guest by guest.
    pub(crate) guests: Vec<Guest>,
    /// What differs and is not written now.
    pub(crate) held: Vec<HeldRow>,
    /// What is wrong, and what someone should look at.
    pub(crate) findings: Vec<FindingRow>,
    /// What is worth knowing, and what was not done.
    pub(crate) notes: Vec<FindingRow>,
    /// Rules of the policy, and how they ended.
    pub(crate) policy: Vec<PolicyRow>,
    /// Number of actions.
    pub(crate) actions: usize,
}

/// A line about one profile.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Profile {
    pub(crate) key: String,
    pub(crate) wanted: usize,
    pub(crate) existing: usize,
}

/// One effect, and whom it meets.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct EffectRow {
    pub(crate) cost: Cost,
    pub(crate) guests: usize,
    /// Some of them, for people.
    pub(crate) names: String,
}

/// What is held back of one guest.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct HeldRow {
    pub(crate) address: String,
    pub(crate) vmid: u32,
    /// `apply_changes: manual`
    pub(crate) mode: &'static str,
    pub(crate) attributes: Vec<Attribute>,
}

/// One finding, told once for all guests that share it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FindingRow {
    /// `problem`, `warning` or `note`.
    pub(crate) weight: &'static str,
    pub(crate) sign: &'static str,
    pub(crate) code: String,
    pub(crate) message: String,
    /// The guests, where the message names none.
    pub(crate) guests: String,
    pub(crate) position: Option<String>,
    /// The line of the document, when the sources are at hand.
    pub(crate) excerpt: Option<String>,
    /// What to do, in a sentence.
    pub(crate) help: Option<String>,
    /// The commands for that, one a line.
    pub(crate) commands: Option<String>,
}

impl Review {
    /// Of a plan; `sources` are at hand in the run that made it.
    pub(crate) fn of(plan: &Plan, sources: Option<&Sources>) -> Self {
        let rows = rows(plan, sources);
        let (notes, findings) = rows.into_iter().partition(|row| row.weight == "note");
        let effects = effects(plan);
        Self {
            cluster: plan.cluster.clone(),
            intent: match plan.intent {
                Intent::Apply => "apply",
                Intent::Destroy => "destroy",
                Intent::Undo => "undo",
            },
            blocked: plan.is_blocked(),
            empty: plan.is_empty(),
            verdict: verdict(plan),
            tally: tally(plan),
            dearest: effects.first().map(|row| row.cost.clone()),
            nodes: nodes(plan),
            profiles: profiles(plan),
            effects,
            guests: plan.changes.iter().map(|change| Guest::of(change, plan)).collect(),
            held: held(plan),
            findings,
            notes,
            policy: policy::of(plan),
            actions: plan.actions.len(),
        }
    }
}

fn tally(plan: &Plan) -> Vec<String> {
    // A plan that can be applied has its counts as its verdict.
    let mut words = if plan.is_blocked() { human::tally(plan.counts()) } else { Vec::new() };
    words.extend(human::costs(plan));
    words.extend(human::lost(plan));
    words
}

fn verdict(plan: &Plan) -> String {
    if plan.is_blocked() {
        let errors = findings::count_errors(&plan.findings, &plan.changes);
        return format!("{} that must be mended first", count(errors, "problem"));
    }
    if !plan.is_empty() {
        return human::tally(plan.counts()).join(", ");
    }
    let open = plan.findings.iter().any(|f| f.weight == Weight::Warning);
    match plan.intent {
        _ if open => "no changes, apart from what is marked !",
        _ if !plan.held.is_empty() => "no changes now, some are held back",
        Intent::Apply => "no changes: the cluster is as the documents say",
        Intent::Undo => "no changes: nothing is to be taken back",
        Intent::Destroy => "no changes: the documents own no guest on the cluster",
    }
    .to_owned()
}

fn nodes(plan: &Plan) -> String {
    let (online, all) = plan.nodes;
    let nodes = match online == all {
        true => count(all, "node"),
        false => format!("{online} of {}", count(all, "node")),
    };
    format!("{nodes}, {}", if plan.quorate { "quorate" } else { "NO QUORUM" })
}

fn profiles(plan: &Plan) -> Vec<Profile> {
    let one = |p: &pvx_core::plan::ProfileSummary| Profile {
        key: p.key.clone(),
        wanted: p.wanted,
        existing: p.existing,
    };
    plan.profiles.iter().map(one).collect()
}

/// Every effect that some guest meets, the dearest first.
fn effects(plan: &Plan) -> Vec<EffectRow> {
    let meets = |effect: Effect| {
        let has = move |c: &&pvx_core::plan::Change| {
            c.effect == effect || c.attributes.iter().any(|a| a.effect == effect)
        };
        plan.changes.iter().filter(has).map(|c| c.address.to_string()).collect::<Vec<_>>()
    };
    let row = |effect: &Effect| {
        let names = meets(*effect);
        let guests = names.len();
        let names = names.get(..6).map_or(names.join(", "), |some| match guests {
            6 => some.join(", "),
            _ => format!("{} and {} more", some.join(", "), guests - 6),
        });
        (guests > 0).then(|| EffectRow { cost: Cost::of(*effect), guests, names })
    };
    words::DEAREST_FIRST.iter().filter_map(row).collect()
}

fn held(plan: &Plan) -> Vec<HeldRow> {
    let one = |held: &pvx_core::plan::Held| HeldRow {
        address: held.address.to_string(),
        vmid: held.vmid,
        mode: words::mode(held.mode),
        attributes: held.attributes.iter().map(Attribute::of).collect(),
    };
    plan.held.iter().map(one).collect()
}

fn rows(plan: &Plan, sources: Option<&Sources>) -> Vec<FindingRow> {
    let groups = findings::grouped(&plan.findings, &plan.changes);
    let mut rows: Vec<(Weight, FindingRow)> = groups
        .iter()
        .filter_map(|group| {
            let first = group.all.first()?;
            Some((first.weight, finding(first, group, sources)))
        })
        .collect();
    rows.sort_by_key(|(weight, _)| *weight);
    rows.into_iter().map(|(_, row)| row).collect()
}

fn finding(
    finding: &Finding,
    group: &findings::Group<'_>,
    sources: Option<&Sources>,
) -> FindingRow {
    let (weight, sign) = match finding.weight {
        Weight::Error => ("problem", "×"),
        Weight::Warning => ("warning", "!"),
        Weight::Note => ("note", "·"),
    };
    let known = |span| sources.map(|sources| sources.position(span));
    let position = finding.position.clone().or_else(|| finding.span.and_then(known));
    let excerpt = finding.span.zip(sources).and_then(|(span, sources)| {
        let (text, line) = (sources.text(span.source), sources.position(span).line);
        let line = text.lines().nth((line as usize).checked_sub(1)?)?;
        Some(line.trim_end().to_owned()).filter(|line| !line.is_empty())
    });
    let (help, commands) = match finding.help.as_deref().map(|help| help.split_once('\n')) {
        Some(Some((sentence, commands))) => (Some(sentence), Some(commands)),
        _ => (finding.help.as_deref(), None),
    };
    FindingRow {
        weight,
        sign,
        code: finding.code.clone(),
        message: group.message(),
        guests: group.guests(),
        position: position.as_ref().map(place),
        excerpt,
        help: help.map(ToOwned::to_owned),
        commands: commands.map(ToOwned::to_owned),
    }
}

/// `clusters/k3s.yaml:14`
fn place(position: &Position) -> String {
    format!("{}:{}", position.file, position.line)
}
