//! The plan for people: in five seconds one sees what is created, changed and lost, what it
//! costs, and what is wrong.

use std::collections::BTreeSet;

use anstyle::Style;
use pvx_core::diagnostic::{Diagnostic, Severity, Sources};
use pvx_core::plan::{
    AttributeChange, Change, Counts, Effect, Finding, Intent, Plan, Verb, Weight,
};
use similar::{ChangeTag, TextDiff};

use super::paint::{BAD, FAINT, GONE, GOOD, MOVE, STRONG, WARN, facts, pad, paint, widest};
use super::{count, diagnostics, units};

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
        text.push_str(&one(change, width, plan.intent));
    }
    let findings = findings(&plan.findings, sources);
    if !findings.is_empty() {
        text.push('\n');
        text.push_str(&findings);
    }
    text.push('\n');
    text.push_str(&summary(plan));
    text
}

/// What is asked before it is carried out.
pub(crate) fn question(plan: &Plan) -> String {
    let counts = plan.counts();
    let word = match plan.intent {
        Intent::Apply => "Apply",
        Intent::Destroy => "Destroy",
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

fn sign(verb: Verb) -> (&'static str, Style) {
    match verb {
        Verb::Create => ("+", GOOD),
        Verb::Change | Verb::Power => ("~", WARN),
        Verb::Migrate => (">", MOVE),
        Verb::Destroy => ("-", GONE),
    }
}

fn one(change: &Change, width: usize, intent: Intent) -> String {
    let (sign, style) = sign(change.verb);
    let address = pad(&change.address.to_string(), width);
    let place = match &change.target {
        Some(target) => format!("{} {} → {target}", change.vmid, change.node),
        None => format!("{} on {}", change.vmid, change.node),
    };
    let mut text = format!("{} {}   {place}", paint(style, sign), paint(STRONG, &address));
    text.push_str(&match change.verb {
        Verb::Create => create(change),
        Verb::Destroy => destroy(change, intent),
        Verb::Power => format!("   {}\n", change.reason),
        Verb::Migrate => format!("   {}\n", migrate(change)),
        Verb::Change => "\n".to_owned(),
    });
    text.push_str(&attributes(&change.attributes));
    text
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
    if !known.tags.is_empty() {
        list.push(format!("tags {}", known.tags.join(" ")));
    }
    let origin = known.origin.as_deref().unwrap_or_default();
    format!("   {origin}\n{}", facts(&list, 4))
}

fn destroy(change: &Change, intent: Intent) -> String {
    let disks = &change.facts.disks;
    let lost: u64 = disks.iter().map(|(_, size)| size).sum();
    let running = if change.running { " · running" } else { "" };
    let what = if disks.is_empty() {
        "no disks".to_owned()
    } else {
        format!("{}, {} lost", count(disks.len(), "disk"), units::bytes(lost))
    };
    let why = match intent {
        // Among other changes a reader asks why; here it was the command.
        Intent::Apply => format!("    {}\n", paint(FAINT, &change.reason)),
        Intent::Destroy => String::new(),
    };
    format!("   destroy   {what}{running}\n{why}")
}

fn attributes(list: &[AttributeChange]) -> String {
    let names = widest(list.iter().map(|a| a.path.as_str()));
    let values: Vec<String> = list.iter().map(value).collect();
    let column = widest(values.iter().filter(|v| !v.contains('\n')).map(String::as_str)).min(40);
    let mut text = String::new();
    for (attribute, value) in list.iter().zip(&values) {
        let (word, style) = effect(attribute.effect);
        let name = pad(&attribute.path, names.max(12));
        if value.contains('\n') {
            text.push_str(&format!("    {name} {}\n{value}", paint(style, word)));
        } else {
            let line = format!("    {name} {}  {}", pad(value, column), paint(style, word));
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// What a change costs, in the words of the documentation.
fn effect(effect: Effect) -> (&'static str, Style) {
    match effect {
        Effect::Live => ("live", GOOD),
        Effect::Create => ("", FAINT),
        Effect::Offline => ("at next start", FAINT),
        Effect::PendingReboot => ("at next cold boot", WARN),
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
    if [before, after].into_iter().flatten().any(|text| text.contains('\n')) {
        return lines(before.unwrap_or_default(), after.unwrap_or_default());
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

/// Errors with their snippet, the rest one a line.
fn findings(findings: &[Finding], sources: &Sources) -> String {
    findings.iter().map(|finding| one_finding(finding, sources)).collect()
}

fn one_finding(finding: &Finding, sources: &Sources) -> String {
    if finding.weight == Weight::Error && finding.span.is_some() {
        return diagnostics::one(&diagnostic(finding), sources);
    }
    let (sign, style) = match finding.weight {
        Weight::Error => ("×", BAD),
        Weight::Warning => ("!", WARN),
        Weight::Note => ("·", FAINT),
    };
    let mut text = format!("{} {}", paint(style, sign), finding.message);
    if let Some(position) = &finding.position {
        text.push_str(&format!(
            "   {}",
            paint(FAINT, &format!("{}:{}", position.file, position.line))
        ));
    }
    text.push('\n');
    if let Some(help) = &finding.help {
        text.push_str(&format!("  {} {help}\n", paint(FAINT, "help:")));
    }
    text
}

fn diagnostic(finding: &Finding) -> Diagnostic {
    let mut diagnostic = Diagnostic {
        severity: Severity::Error,
        code: "plan",
        message: finding.message.clone(),
        labels: Vec::new(),
        help: finding.help.clone(),
    };
    if let Some(span) = finding.span {
        diagnostic = diagnostic.at(span, finding.code.replace('-', " "));
    }
    diagnostic
}

fn tally(counts: Counts) -> Vec<String> {
    let words = [
        (counts.create, "to create"),
        (counts.change, "to change"),
        (counts.migrate, "to migrate"),
        (counts.power, "to start or stop"),
        (counts.destroy, "to destroy"),
    ];
    words.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect()
}

fn summary(plan: &Plan) -> String {
    if plan.is_blocked() {
        let errors = plan.findings.iter().filter(|f| f.weight == Weight::Error).count();
        return format!("{} that must be mended first\n", paint(BAD, &count(errors, "problem")));
    }
    if plan.is_empty() {
        return match plan.intent {
            Intent::Apply => "no changes: the cluster is as the documents say\n".to_owned(),
            Intent::Destroy => "no changes: the documents own no guest on the cluster\n".to_owned(),
        };
    }
    let mut words = tally(plan.counts());
    let boots = |c: &&Change| c.attributes.iter().any(|a| a.effect == Effect::PendingReboot);
    let waiting = plan.changes.iter().filter(boots).count();
    if waiting > 0 {
        words.push(format!("{} with values that wait for a cold boot", count(waiting, "guest")));
    }
    let lost: u64 = plan
        .changes
        .iter()
        .filter(|c| c.verb == Verb::Destroy)
        .flat_map(|c| c.facts.disks.iter().map(|(_, size)| size))
        .sum();
    if lost > 0 {
        words.push(format!("{} of disks lost", units::bytes(lost)));
    }
    facts(&words, 0)
}
