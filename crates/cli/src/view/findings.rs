//! What a plan found: problems with the place that they come from, the rest one a line.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pvx_core::address::Address;
use pvx_core::diagnostic::{Diagnostic, Severity, Sources, Span};
use pvx_core::plan::{Change, Finding, Weight};

use super::diagnostics;
use super::paint::{BAD, FAINT, WARN, help, item};

/// How many guests of a group are named, and in how many columns.
const NAMED: usize = 3;
const COLUMNS: usize = 48;

/// Findings that say the same of several guests: they are told once.
pub(super) struct Group<'a> {
    /// In the order of the plan.
    pub(super) all: Vec<&'a Finding>,
    /// Nodes that their messages name.
    nodes: BTreeSet<&'a str>,
}

/// Problems of one kind at one place of the documents: more are counted, and only these told.
const ALIKE: usize = 5;

/// Errors with their snippet, the rest one a line.
pub(super) fn render(findings: &[Finding], changes: &[Change], sources: &Sources) -> String {
    let groups = grouped(findings, changes);
    let mut alike: HashMap<_, usize> = HashMap::new();
    for kind in groups.iter().filter_map(|group| kind(group)) {
        *alike.entry(kind).or_default() += 1;
    }
    let mut told: HashMap<_, usize> = HashMap::new();
    let mut text = String::new();
    for group in &groups {
        let Some(kind) = kind(group) else {
            text.push_str(&one_finding(group, sources));
            continue;
        };
        let (all, told) = (alike.get(&kind).copied().unwrap_or(1), told.entry(kind).or_default());
        *told += 1;
        // One more takes no more room than its number would.
        if *told <= ALIKE || all == ALIKE + 1 {
            text.push_str(&one_finding(group, sources));
        } else if *told == ALIKE + 1 {
            let code = kind.0.replace('-', " ");
            let more = format!("{} more of {code} there; --format json has all", all - ALIKE);
            text.push_str(&item(BAD, "×", &more));
        }
    }
    text
}

/// A problem's code and place: a rule that no guest of a group keeps is broken by each of them.
fn kind<'a>(group: &Group<'a>) -> Option<(&'a str, Span)> {
    let first = group.all.first().copied().filter(|finding| finding.weight == Weight::Error)?;
    Some((first.code.as_str(), first.span?))
}

/// The problems, as they are shown.
pub(super) fn count_errors(findings: &[Finding], changes: &[Change]) -> usize {
    let is_error = |group: &&Group<'_>| group.all.iter().any(|f| f.weight == Weight::Error);
    grouped(findings, changes).iter().filter(is_error).count()
}

/// What a group of the documents says wrong, each of its guests finds. Two say the same when only
/// the guest differs that they are about, its VMID or its node.
pub(super) fn grouped<'a>(findings: &'a [Finding], changes: &'a [Change]) -> Vec<Group<'a>> {
    let changes: BTreeMap<_, _> = changes.iter().map(|c| (&c.address, c)).collect();
    let nodes: BTreeSet<&str> = changes.values().map(|change| change.node.as_str()).collect();
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for finding in findings {
        let own = Own::of(finding, &changes, &nodes);
        let message = own.left_out(&finding.message);
        let help = finding.help.as_deref().map(|help| own.left_out(help));
        let place = finding.position.as_ref().map(|p| (&p.file, p.line, p.column));
        let same = (finding.weight, &finding.code, finding.span, place, message, help);
        let index = *known.entry(same).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Group { all: Vec::new(), nodes: BTreeSet::new() });
        }
        let Some(group) = groups.get_mut(index) else { continue };
        group.all.push(finding);
        group.nodes.extend(own.node.filter(|node| words(&finding.message).any(|w| w == *node)));
    }
    groups
}

/// What is a finding's own, and differs between those that say the same.
struct Own<'f, 'a> {
    guest: Option<String>,
    name: Option<&'f str>,
    vmid: Option<String>,
    node: Option<&'a str>,
}

impl<'f, 'a> Own<'f, 'a> {
    fn of(
        finding: &'f Finding,
        changes: &BTreeMap<&Address, &'a Change>,
        nodes: &BTreeSet<&'a str>,
    ) -> Self {
        let change = finding.address.as_ref().and_then(|address| changes.get(address));
        let named = || words(&finding.message).find_map(|word| nodes.get(word).copied());
        Self {
            guest: finding.address.as_ref().map(ToString::to_string),
            name: finding.address.as_ref().map(Address::guest),
            vmid: change.map(|change| change.vmid.to_string()),
            // One that nothing can be done to has no change to say it.
            node: change.map_or_else(named, |change| Some(change.node.as_str())),
        }
    }

    /// The text with a mark in the place of each.
    fn left_out(&self, text: &str) -> String {
        let mark = |word| match Some(word) {
            word if word == self.guest.as_deref() || word == self.name => "\u{1}",
            word if word == self.vmid.as_deref() => "\u{2}",
            word if word == self.node => "\u{3}",
            _ => word,
        };
        words(text).map(mark).collect()
    }
}

/// The text in pieces: words, as names are made of, and what is between them.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/' | '.');
    let mut rest = text;
    std::iter::from_fn(move || {
        let is_word = in_word(rest.chars().next()?);
        let end = rest.find(|c| in_word(c) != is_word).unwrap_or(rest.len());
        let (word, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(word)
    })
}

fn one_finding(group: &Group<'_>, sources: &Sources) -> String {
    let Some(finding) = group.all.first() else { return String::new() };
    if finding.weight == Weight::Error && finding.span.is_some() {
        return diagnostics::one(&diagnostic(finding, group), sources);
    }
    let (sign, style) = match finding.weight {
        Weight::Error => ("×", BAD),
        Weight::Warning => ("!", WARN),
        Weight::Note => ("·", FAINT),
    };
    let place = finding.position.as_ref().map(|p| format!(" ({}:{})", p.file, p.line));
    let guests = group.guests();
    let who = if guests.is_empty() { guests } else { format!("{guests}: ") };
    let message = format!("{who}{}{}", group.message(), place.unwrap_or_default());
    item(style, sign, &message) + &finding.help.as_deref().map(help).unwrap_or_default()
}

impl Group<'_> {
    /// The guests that it is about, where its message names none of them.
    pub(super) fn guests(&self) -> String {
        let names = self.names();
        if self.is_named(&names) {
            return String::new();
        }
        match (shown(&names), names.len()) {
            (shown, all) if shown.len() == all => shown.join(", "),
            (shown, all) => format!("{}, … {all} guests", shown.join(", ")),
        }
    }

    /// What the first says, and of whom else it holds.
    pub(super) fn message(&self) -> String {
        let Some(first) = self.all.first() else { return String::new() };
        let names = self.names();
        let mut more = Vec::new();
        if let Some((_, others)) = names.split_first().filter(|_| self.is_named(&names))
            && !others.is_empty()
        {
            let shown = shown(others);
            more.push(match others.len() {
                many if many > shown.len() => {
                    format!("and {many} more guests: {}, …", shown.join(", "))
                }
                _ => format!("and {}", shown.join(", ")),
            });
        }
        let elsewhere = |node: &&&str| words(&first.message).all(|word| word != **node);
        let nodes: Vec<&str> = self.nodes.iter().filter(elsewhere).copied().collect();
        if !nodes.is_empty() {
            more.push(format!("also on {}", nodes.join(", ")));
        }
        match more.is_empty() {
            true => first.message.clone(),
            false => format!("{} ({})", first.message, more.join("; ")),
        }
    }

    fn names(&self) -> Vec<String> {
        self.all.iter().filter_map(|f| f.address.as_ref()).map(ToString::to_string).collect()
    }

    fn is_named(&self, names: &[String]) -> bool {
        self.all.iter().any(|f| names.iter().any(|name| f.message.contains(name)))
    }
}

/// The first of them, as many as are read with ease.
fn shown(names: &[String]) -> &[String] {
    let mut columns = 0;
    let fit = names.iter().take_while(|name| {
        columns += name.chars().count();
        columns <= COLUMNS
    });
    let most = fit.count().clamp(1, NAMED).min(names.len());
    names.get(..most).unwrap_or(names)
}

fn diagnostic(finding: &Finding, group: &Group<'_>) -> Diagnostic {
    let guests = group.guests();
    let mut diagnostic = Diagnostic {
        severity: Severity::Error,
        code: "plan",
        message: group.message(),
        labels: Vec::new(),
        help: finding.help.clone(),
    };
    if let Some(span) = finding.span {
        let code = finding.code.replace('-', " ");
        let label = if guests.is_empty() { code } else { format!("{code} ({guests})") };
        diagnostic = diagnostic.at(span, label);
    }
    diagnostic
}

#[cfg(test)]
mod tests {
    use pvx_core::plan::{Effect, Verb};

    use super::super::review::samples::change as change_of;
    use super::*;

    fn incomplete(name: &str, sources: &mut Sources) -> Finding {
        let source = sources.add("lab.yaml", "disks: { ide2: 4G }\n");
        let span = pvx_core::diagnostic::Span { source, start: 9, len: 4 };
        Finding::error("disk-incomplete", "disk ide2 has no storage")
            .about(&Address::new("k3s", name))
            .at(span)
    }

    #[test]
    fn what_many_guests_share_is_told_once() {
        let mut sources = Sources::default();
        let mut all = vec![incomplete("w1", &mut sources)];
        let span = all[0].span;
        all.extend(["w2", "w3", "w4"].map(|name| {
            let finding = incomplete(name, &mut Sources::default());
            Finding { span, ..finding }
        }));
        assert_eq!(count_errors(&all, &[]), 1);
        let text = anstream::adapter::strip_str(&render(&all, &[], &sources)).to_string();
        insta::assert_snapshot!(text);
        // Another place, another problem.
        all[3].span = None;
        assert_eq!(count_errors(&all, &[]), 2);
    }

    fn change(name: &str, vmid: u32, node: &str) -> Change {
        Change {
            address: Address::new("k3s", name),
            vmid,
            node: node.to_owned(),
            ..change_of(name, Verb::Create, Effect::Create)
        }
    }

    #[test]
    fn names_of_its_own_do_not_make_it_another_problem() {
        let guests = [("w1", 101, "a"), ("w2", 102, "b"), ("w10", 110, "a")];
        let changes = guests.map(|(name, vmid, node)| change(name, vmid, node));
        let all = guests.map(|(name, vmid, node)| {
            let text = format!("node {node} has no bridge vmbr7, for net0 of k3s/{name}");
            let help = format!("node {node} has vmbr0; see {vmid}");
            Finding::error("bridge-missing", text).about(&Address::new("k3s", name)).help(help)
        });
        let short = |name: &str| {
            Finding::error("policy-naming", format!("bad name {name}"))
                .about(&Address::new("k3s", name))
        };
        assert_eq!(count_errors(&[short("w1"), short("w2")], &[]), 1);
        let groups = grouped(&all, &changes);
        assert_eq!(groups.len(), 1);
        insta::assert_snapshot!(groups[0].message(), @"node a has no bridge vmbr7, for net0 of k3s/w1 (and k3s/w2, k3s/w10; also on b)");
        let many = |name: &str, node: &str| {
            Finding::error("too-many-cpus", format!("node {node} has 16"))
                .about(&Address::new("k3s", name))
        };
        assert_eq!(count_errors(&[many("w7", "a"), many("w8", "b")], &changes), 1);
        // What else differs is another problem.
        let mut other = all.clone();
        other[2].message = other[2].message.replace("vmbr7", "vmbr8");
        assert_eq!(count_errors(&other, &changes), 2);
        other[1].help = Some("node b has vmbr0, vmbr1; see 102".to_owned());
        assert_eq!(count_errors(&other, &changes), 3);
    }

    #[test]
    fn many_of_a_kind_are_counted() {
        let mut sources = Sources::default();
        let one = incomplete("w", &mut sources);
        let broken = |n: usize| Finding {
            message: format!("w{n} has no owner"),
            code: "policy-owner".to_owned(),
            ..one.clone()
        };
        let shown = |number: usize| {
            let all: Vec<Finding> = (0..number).map(broken).collect();
            anstream::adapter::strip_str(&render(&all, &[], &sources)).to_string()
        };
        assert_eq!(shown(6).matches("has no owner").count(), 6);
        let text = shown(900);
        assert_eq!(text.matches("has no owner").count(), ALIKE, "{text}");
        assert!(text.contains("× 895 more of policy owner there"), "{text}");
    }

    #[test]
    fn guests_are_named_once() {
        let named = Finding::note("pending", "k3s/w1 waits").about(&Address::new("k3s", "w1"));
        let guests = |finding: &Finding| grouped(std::slice::from_ref(finding), &[])[0].guests();
        assert_eq!(guests(&named), "");
        let unnamed = Finding { message: "it waits".into(), ..named };
        assert_eq!(guests(&unnamed), "k3s/w1");
    }
}
