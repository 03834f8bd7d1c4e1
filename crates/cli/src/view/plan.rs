//! The plan for people: in five seconds one sees what is created, changed and lost, what it
//! costs, and what is wrong.

use std::collections::BTreeSet;

use anstyle::Style;
use pvx_core::diagnostic::Sources;
use pvx_core::plan::{
    ActionKind, AttributeChange, Change, Counts, Effect, Intent, Plan, Verb, Weight,
};
use similar::{ChangeTag, TextDiff};
use unicode_width::UnicodeWidthStr;

use super::paint::{
    BAD, FAINT, GONE, GOOD, MOVE, STRONG, WARN, WIDTH, facts, pad, paint, widest, wrapped,
};
use super::{count, findings, policy, units};

/// The whole plan.
pub(crate) fn render(plan: &Plan, sources: &Sources) -> String {
    let mut text = headline(plan);
    let width = widest(
        plan.changes
            .iter()
            .map(|c| c.address.to_string())
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str),
    );
    if !plan.changes.is_empty() {
        text.push('\n');
    }
    for change in &plan.changes {
        text.push_str(&one(change, width, plan));
    }
    let findings = findings::render(&plan.findings, &plan.changes, sources);
    if !findings.is_empty() {
        text.push('\n');
        text.push_str(&findings);
    }
    text.push('\n');
    text.push_str(&policy::line(&plan.policy));
    text.push_str(&summary(plan));
    text
}

/// What is asked before it is carried out.
pub(crate) fn question(plan: &Plan) -> String {
    let counts = plan.counts();
    let word = match plan.intent {
        Intent::Apply => "Apply",
        Intent::Destroy => "Destroy",
        Intent::Undo => "Take back",
    };
    format!("{word} this on cluster {}? ({})", plan.cluster, tally(counts).join(", "))
}

fn headline(plan: &Plan) -> String {
    let (online, all) = plan.nodes;
    let nodes = if online == all {
        count(all, "node")
    } else {
        format!("{online} of {}", count(all, "node"))
    };
    let quorate = if plan.quorate { "quorate" } else { "NO QUORUM" };
    let mut text = String::new();
    for profile in &plan.profiles {
        let line = format!(
            "{}  on cluster {} ({nodes}, {quorate}) · {}, {} exist\n",
            paint(STRONG, &profile.key),
            plan.cluster,
            count(profile.wanted, "guest"),
            profile.existing
        );
        text.push_str(&line);
    }
    text
}

pub(super) fn sign(verb: Verb) -> (&'static str, Style) {
    match verb {
        Verb::Create => ("+", GOOD),
        Verb::Change | Verb::Power => ("~", WARN),
        Verb::Migrate => (">", MOVE),
        Verb::Replace => ("±", GONE),
        Verb::Destroy => ("-", GONE),
    }
}

fn one(change: &Change, width: usize, plan: &Plan) -> String {
    let (sign, style) = sign(change.verb);
    let address = pad(&change.address.to_string(), width);
    let place = match &change.target {
        Some(target) => format!("{} {} → {target}", change.vmid, change.node),
        None => format!("{} on {}", change.vmid, change.node),
    };
    let mut text = format!("{} {}   {place}", paint(style, sign), paint(STRONG, &address));
    text.push_str(&match change.verb {
        Verb::Create => create(change),
        Verb::Replace => replace(change),
        Verb::Destroy => destroy(change, plan.intent),
        Verb::Power => format!("   {}\n", change.reason),
        Verb::Migrate => format!("   {}{}", migrate(change), dearest(change)),
        Verb::Change => match plan.moved.get(&change.address) {
            Some(old) => format!("   was {old}{}", dearest(change)),
            None => dearest(change),
        },
    });
    text.push_str(&attributes(&change.attributes));
    text
}

/// The dearest effect of all, where the line does not say it anyway.
fn dearest(change: &Change) -> String {
    match change.effect {
        Effect::Live | Effect::Migrate => "\n".to_owned(),
        cost => {
            let (word, style) = effect(cost);
            format!("   {}\n", paint(style, word))
        }
    }
}

fn migrate(change: &Change) -> &'static str {
    if change.running { "migrate   live" } else { "migrate   offline" }
}

fn create(change: &Change) -> String {
    let known = &change.facts;
    let mut list = Vec::new();
    list.extend(known.cores.map(|cores| count(cores as usize, "core")));
    list.extend(known.memory.map(units::mebibytes));
    list.extend(known.disks.iter().map(|(slot, size)| format!("{slot} {}", units::bytes(*size))));
    list.extend(known.addresses.iter().cloned());
    list.extend(known.macs.iter().cloned());
    list.extend(known.pool.iter().map(|pool| format!("pool {pool}")));
    list.extend(known.ha.iter().map(|state| format!("HA {state}")));
    if !known.tags.is_empty() {
        list.push(format!("tags {}", known.tags.join(" ")));
    }
    let origin = known.origin.as_deref().unwrap_or_default();
    format!("   {origin}\n{}", facts(&list, 4))
}

/// `2 disks, 80 GiB lost`; beside what is kept it gets a line of its own.
fn losses(change: &Change) -> String {
    let part = |disks: &[(String, u64)], word: &str| {
        let bytes: u64 = disks.iter().map(|(_, size)| size).sum();
        let count = count(disks.len(), "disk");
        (!disks.is_empty()).then(|| format!("{count}, {} {word}", units::bytes(bytes)))
    };
    let (lost, kept) = (&change.facts.disks, &change.facts.kept);
    let parts: Vec<String> =
        [part(lost, "lost"), part(kept, "kept")].into_iter().flatten().collect();
    let running = if change.running { "running" } else { "" };
    let first = match parts.as_slice() {
        [] => "no disks",
        [one] => one,
        _ => return format!("{running}\n{}", facts(&parts, 4)),
    };
    let running = if change.running { " · running" } else { "" };
    format!("{first}{running}\n")
}

/// It goes and is made anew: what is lost by that, and what comes.
fn replace(change: &Change) -> String {
    let origin = change.facts.origin.as_deref().unwrap_or_default();
    format!("   replace   {}    {}\n", losses(change), paint(FAINT, origin))
}

fn destroy(change: &Change, intent: Intent) -> String {
    let why = match intent {
        // Among other changes a reader asks why; here it was the command.
        Intent::Apply | Intent::Undo => format!("    {}\n", paint(FAINT, &change.reason)),
        Intent::Destroy => String::new(),
    };
    format!("   destroy   {}{why}", losses(change))
}

fn attributes(list: &[AttributeChange]) -> String {
    let names = widest(list.iter().map(|a| a.path.as_str())).max(12);
    let words = widest(list.iter().map(|a| effect(a.effect).0));
    let indent = names + 5;
    let room = WIDTH.saturating_sub(indent + 2 + words);
    let values: Vec<String> = list.iter().map(|a| folded(value(a), room)).collect();
    let single = values.iter().zip(list).filter(|(_, a)| !is_long(a));
    let column = widest(single.flat_map(|(value, _)| value.lines()));
    let before_why = indent + column + 2 + words + 3;
    let fits = list.iter().all(|a| before_why + why(a).width() <= WIDTH);
    let mut text = String::new();
    for (index, (attribute, value)) in list.iter().zip(&values).enumerate() {
        let (word, style) = effect(attribute.effect);
        let word = paint(style, word);
        let name = pad(&attribute.path, names);
        let why = match why(attribute) {
            why if why.is_empty() || !fits => String::new(),
            why => format!("   {}", paint(FAINT, why)),
        };
        if is_long(attribute) {
            text.push_str(&format!("    {name} {word}{why}\n{value}"));
        } else {
            let (above, last) = value.split_once('\n').unwrap_or(("", value));
            let above = if above.is_empty() {
                String::new()
            } else {
                format!("{above}\n{}", " ".repeat(indent))
            };
            let value = format!("{above}{}", pad(last, column));
            text.push_str(format!("    {name} {value}  {word}{why}").trim_end());
            text.push('\n');
        }
        // What does not fit beside them is said once below all that it is about.
        let next = list.get(index + 1).map_or("", self::why);
        if !fits && !self::why(attribute).is_empty() && self::why(attribute) != next {
            let why = wrapped(self::why(attribute), indent);
            text.push_str(&format!("{}{}\n", " ".repeat(indent), paint(FAINT, &why)));
        }
    }
    text
}

/// Texts of several lines are shown below their name.
pub(super) fn is_long(change: &AttributeChange) -> bool {
    let texts = [change.before.as_deref(), change.after.as_deref()];
    texts.into_iter().flatten().any(|text| text.contains('\n')) && change.path != "tags"
}

/// Broken before the arrow where both sides do not fit into one line.
fn folded(value: String, room: usize) -> String {
    if value.contains('\n') || value.width() <= room {
        return value;
    }
    value.replacen(" → ", "\n→ ", 1)
}

/// Why it is not simply live.
pub(super) fn why(attribute: &AttributeChange) -> &str {
    match attribute.effect {
        Effect::Live | Effect::Create | Effect::Start => "",
        _ => &attribute.reason,
    }
}

/// What a change costs, in the words of the documentation.
pub(super) fn effect(effect: Effect) -> (&'static str, Style) {
    match effect {
        Effect::Live => ("live", GOOD),
        Effect::Create => ("", FAINT),
        Effect::Pending => ("pending", WARN),
        Effect::Move => ("move", MOVE),
        Effect::Reboot => ("reboot", WARN),
        Effect::Offline => ("offline", WARN),
        Effect::Replace => ("replace", BAD),
        Effect::Destroy => ("destroy", GONE),
        Effect::Migrate => ("migrate", MOVE),
        Effect::Start => ("start", GOOD),
        Effect::Stop => ("shut down", WARN),
        Effect::DataLoss => ("data loss", BAD),
    }
}

fn value(change: &AttributeChange) -> String {
    let (before, after) = (change.before.as_deref(), change.after.as_deref());
    if change.path == "tags" {
        return tags(before.unwrap_or_default(), after.unwrap_or_default());
    }
    if is_long(change) {
        return lines(before.unwrap_or_default(), after.unwrap_or_default());
    }
    if let Some(properties) = before.zip(after).and_then(|(b, a)| properties(b, a)) {
        return properties;
    }
    let word = |text: Option<&str>| match text {
        Some(text) => human(&change.path, text),
        None => "unset".to_owned(),
    };
    format!("{} → {}", word(before), word(after))
}

fn human(path: &str, text: &str) -> String {
    match (path, text.parse::<u64>()) {
        ("memory", Ok(mib)) => units::mebibytes(mib),
        _ if path.ends_with(".size") => units::stored_size(text),
        _ if path == "cloudinit.ssh_keys" => format!("{} bytes of keys", text.len()),
        _ if text.chars().count() > 36 => text.chars().take(35).chain(['…']).collect(),
        _ => text.to_owned(),
    }
}

/// Of a property string that is written as a whole, what changes in it: `-tag=20 +tag=30`. Nothing
/// where all of it does.
fn properties(before: &str, after: &str) -> Option<String> {
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) =
        (before.split(',').collect(), after.split(',').collect());
    let gone = old.difference(&new).map(|part| format!("-{part}"));
    let more = new.difference(&old).map(|part| format!("+{part}"));
    let text = gone.chain(more).collect::<Vec<_>>().join(" ");
    let short = !text.is_empty() && text.chars().count() < 40;
    (old.intersection(&new).any(|part| part.len() > 1) && short).then_some(text)
}

/// `-old +gpu`
fn tags(before: &str, after: &str) -> String {
    let set = |text: &str| -> BTreeSet<String> {
        text.split([';', ',', ' ']).filter(|t| !t.is_empty()).map(str::to_lowercase).collect()
    };
    let (before, after) = (set(before), set(after));
    let gone = before.difference(&after).map(|tag| format!("-{tag}"));
    let new = after.difference(&before).map(|tag| format!("+{tag}"));
    gone.chain(new).collect::<Vec<_>>().join(" ")
}

/// Texts of several lines as a diff.
fn lines(before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let mut text = String::new();
    for change in diff.iter_all_changes() {
        let (sign, style) = match change.tag() {
            ChangeTag::Equal => (" ", FAINT),
            ChangeTag::Delete => ("-", GONE),
            ChangeTag::Insert => ("+", GOOD),
        };
        let line = format!("{sign} {}", change.value().trim_end());
        text.push_str(&format!("      {}\n", paint(style, &line)));
    }
    text
}

pub(super) fn tally(counts: Counts) -> Vec<String> {
    let words = [
        (counts.create, "to create"),
        (counts.change, "to change"),
        (counts.migrate, "to migrate"),
        (counts.power, "to start or stop"),
        (counts.replace, "to replace"),
        (counts.reboot, "to reboot"),
        (counts.destroy, "to destroy"),
    ];
    words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect()
}

fn summary(plan: &Plan) -> String {
    if plan.is_blocked() {
        let errors = findings::count_errors(&plan.findings, &plan.changes);
        return format!("{} that must be mended first\n", paint(BAD, &count(errors, "problem")));
    }
    let open = plan.findings.iter().any(|f| f.weight == Weight::Warning);
    if plan.is_empty() && open {
        return "no changes, apart from what is marked ! above\n".to_owned();
    }
    if plan.is_empty() && !plan.held.is_empty() {
        return format!("no changes now: {}\n", costs(plan).join(", "));
    }
    if plan.is_empty() {
        return match plan.intent {
            Intent::Apply => "no changes: the cluster is as the documents say\n".to_owned(),
            Intent::Undo => "no changes: nothing is to be taken back\n".to_owned(),
            Intent::Destroy => "no changes: the documents own no guest on the cluster\n".to_owned(),
        };
    }
    let mut words = tally(plan.counts());
    words.extend(costs(plan));
    words.extend(lost(plan));
    facts(&words, 0)
}

/// `80 GiB of disks lost`
pub(super) fn lost(plan: &Plan) -> Option<String> {
    let goes = plan.changes.iter().filter(|c| matches!(c.verb, Verb::Destroy | Verb::Replace));
    let bytes: u64 = goes.flat_map(|c| c.facts.disks.iter().map(|(_, size)| size)).sum();
    (bytes > 0).then(|| format!("{} of disks lost", units::bytes(bytes)))
}

/// What running guests go through, and what waits: `1 reboot`, `2 pending`.
pub(super) fn costs(plan: &Plan) -> Vec<String> {
    let reboots = plan.actions.iter().filter(|a| matches!(a.kind, ActionKind::Reboot { .. }));
    // Guests that are only rebooted are counted among the changes.
    let reboots = reboots.count().saturating_sub(plan.counts().reboot);
    let has = |effect| move |c: &&Change| c.attributes.iter().any(|a| a.effect == effect);
    let restarts = plan.changes.iter().filter(has(Effect::Offline)).count();
    let attributes = plan.changes.iter().flat_map(|change| &change.attributes);
    let waiting = attributes.clone().filter(|a| a.effect == Effect::Pending).count();
    let erased = attributes.filter(|a| a.effect == Effect::DataLoss).count();
    let held: usize = plan.held.iter().map(|held| held.attributes.len()).sum();
    let words = [
        (reboots, count(reboots, "reboot")),
        (restarts, count(restarts, "restart")),
        (erased, format!("{} erased", count(erased, "disk"))),
        (waiting, format!("{waiting} pending")),
        (held, format!("{held} held back")),
    ];
    words.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {

    use super::*;
    use pvx_core::address::Address;
    use pvx_core::desired::ApplyChanges;
    use pvx_core::plan::{
        Action, ActionGraph, ActionId, Facts, Finding, Held, ProfileSummary, Reason,
    };

    fn change(name: &str, verb: Verb) -> Change {
        Change {
            address: Address::new("k3s", name),
            verb,
            vmid: 1011,
            node: "pve1".to_owned(),
            target: None,
            running: true,
            facts: Facts::default(),
            attributes: Vec::new(),
            effect: Effect::Live,
            reason: "no longer in the documents".to_owned(),
            position: None,
            on_failure: pvx_core::desired::OnFailure::Keep,
            actions: Vec::new(),
        }
    }

    fn attribute(path: &str, before: Option<&str>, after: &str, effect: Effect) -> AttributeChange {
        AttributeChange {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
            effect,
            reason: String::new(),
        }
    }

    fn action(name: &str, kind: ActionKind) -> Action {
        Action {
            id: ActionId(0),
            address: Address::new("k3s", name),
            vmid: 1011,
            node: "pve1".to_owned(),
            kind,
            reason: Reason::new("missing", ""),
            effect: Effect::Start,
            preconditions: Vec::new(),
            storages: Vec::new(),
        }
    }

    fn plan() -> Plan {
        let mut made = change("worker02", Verb::Create);
        made.facts = Facts {
            origin: Some("linked clone of debian-13 (9000)".to_owned()),
            cores: Some(2),
            memory: Some(4096),
            disks: vec![("boot disk".to_owned(), 40 << 30), ("scsi1".to_owned(), 3 << 29)],
            addresses: vec!["10.0.0.62/24".to_owned()],
            tags: vec!["k3s".to_owned(), "worker".to_owned()],
            macs: vec!["BC:24:11:00:00:01".to_owned()],
            pool: Some("blue".to_owned()),
            ha: Some("started".to_owned()),
            ..Facts::default()
        };
        let mut changed = change("worker01", Verb::Change);
        changed.attributes = vec![
            attribute("cores", Some("2"), "4", Effect::Pending),
            attribute("scsi0.size", Some("40G"), "60G", Effect::Live),
            attribute("tags", Some("k3s;old"), "gpu;k3s", Effect::Live),
            attribute("memory", None, "4096", Effect::Live),
            attribute("description", Some("one\ntwo"), "one\nthree", Effect::Live),
        ];
        changed.attributes[0].reason = "hot-plug of cpu is off".to_owned();
        changed.effect = Effect::Pending;
        let mut rebooted = change("worker03", Verb::Change);
        rebooted.attributes = vec![
            attribute("sockets", Some("1"), "2", Effect::Reboot),
            attribute("onboot", None, "1", Effect::Live),
        ];
        rebooted.attributes[0].reason = "needs a cold boot".to_owned();
        rebooted.effect = Effect::Reboot;
        let mut restarted = change("worker04", Verb::Change);
        restarted.attributes = vec![attribute("memory", Some("2048"), "3000", Effect::Offline)];
        restarted.effect = Effect::Offline;
        let mut only = change("worker05", Verb::Power);
        only.attributes = vec![attribute("cpu", None, "host", Effect::Reboot)];
        only.reason = "a value waits for a cold boot".to_owned();
        only.effect = Effect::Reboot;
        let mut moved = change("cp01", Verb::Migrate);
        moved.target = Some("pve3".to_owned());
        let mut gone = change("worker09", Verb::Destroy);
        gone.facts.disks = vec![("scsi0".to_owned(), 40 << 30), ("scsi1".to_owned(), 40 << 30)];
        gone.facts.kept = vec![("scsi2".to_owned(), 100 << 30)];
        let mut anew = change("worker08", Verb::Replace);
        anew.facts = Facts {
            origin: Some("full clone of debian-13 (9000)".to_owned()),
            disks: vec![("scsi0".to_owned(), 40 << 30)],
            ..Facts::default()
        };
        anew.attributes = vec![attribute("scsi0.size", Some("40G"), "20G", Effect::Replace)];
        let mut actions = ActionGraph::default();
        actions.add(action("worker02", ActionKind::Start));
        actions.add(action("worker03", ActionKind::Reboot { timeout: 120 }));
        actions.add(action("worker05", ActionKind::Reboot { timeout: 120 }));
        Plan {
            nodes: (2, 3),
            profiles: vec![ProfileSummary { key: "k3s".to_owned(), wanted: 5, existing: 3 }],
            changes: vec![made, changed, rebooted, restarted, only, moved, anew, gone],
            actions,
            held: vec![Held {
                address: Address::new("k3s", "worker06"),
                vmid: 1016,
                mode: ApplyChanges::Manual,
                attributes: vec![attribute("cores", Some("2"), "4", Effect::Pending)],
            }],
            findings: vec![
                Finding::warning(
                    "node-offline",
                    "node pve2 is offline: its guests are left as they are, and nothing new is placed there",
                ),
                Finding::note("pending", "k3s/worker05 waits").help("reboot it"),
            ],
            ..Plan::new(Intent::Apply, "lab")
        }
    }

    #[test]
    fn nothing_but_what_is_held_back() {
        let plan = Plan {
            changes: Vec::new(),
            actions: ActionGraph::default(),
            findings: Vec::new(),
            ..plan()
        };
        let text = render(&plan, &Sources::default());
        assert!(text.ends_with("no changes now: 1 held back\n"), "{text}");
    }

    #[test]
    fn long_values_and_reasons_stay_inside_80_columns() {
        let mut changed = change("worker01", Verb::Change);
        let long = "x86-64-v2-AES,flags=+pcid;-spec-ctrl;+aes,hidden=1";
        changed.attributes = vec![
            attribute("cpu", Some(long), "host", Effect::Pending),
            attribute("cloudinit.nameservers", Some("10.0.0.2"), "10.0.0.3", Effect::Pending),
            attribute("cloudinit.searchdomain", None, "lab.example", Effect::Pending),
            attribute("net1", Some(long), &format!("{long},{long}"), Effect::Live),
            attribute("scsi2", Some("a:b,size=1G"), "a:b,cache=unsafe,size=1G", Effect::Reboot),
        ];
        for attribute in &mut changed.attributes[..3] {
            attribute.reason = "written to its cloud-init drive at the next boot".to_owned();
        }
        changed.attributes[4].reason = "cache needs a cold boot".to_owned();
        let text = anstream::adapter::strip_str(&attributes(&changed.attributes)).to_string();
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_kind_of_change() {
        let text = anstream::adapter::strip_str(&render(&plan(), &Sources::default())).to_string();
        assert!(text.lines().all(|line| line.width() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }
}
