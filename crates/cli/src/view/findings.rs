//! What a plan found: problems with the place that they come from, the rest one a line.

use std::collections::HashMap;

use pvx_core::diagnostic::{Diagnostic, Severity, Sources, Span};
use pvx_core::plan::{Finding, Weight};

use super::diagnostics;
use super::paint::{BAD, FAINT, WARN, help, item};

/// Problems of one kind at one place of the documents: more are counted, and only these told.
const ALIKE: usize = 5;

/// Errors with their snippet, the rest one a line.
pub(super) fn render(findings: &[Finding], sources: &Sources) -> String {
    let groups = grouped(findings);
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
fn kind<'a>(group: &[&'a Finding]) -> Option<(&'a str, Span)> {
    let first = group.first().filter(|finding| finding.weight == Weight::Error)?;
    Some((first.code.as_str(), first.span?))
}

/// The problems, as they are shown.
pub(super) fn count_errors(findings: &[Finding]) -> usize {
    grouped(findings).iter().filter(|group| group.iter().any(|f| f.weight == Weight::Error)).count()
}

/// What a group of the documents says wrong, each of its guests finds: it is told once.
pub(super) fn grouped(findings: &[Finding]) -> Vec<Vec<&Finding>> {
    let mut groups: Vec<Vec<&Finding>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for finding in findings {
        let same = (finding.span, &finding.code, &finding.message, &finding.help);
        let index = *known.entry(same).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups
}

fn one_finding(group: &[&Finding], sources: &Sources) -> String {
    let Some(finding) = group.first() else { return String::new() };
    if finding.weight == Weight::Error && finding.span.is_some() {
        return diagnostics::one(&diagnostic(finding, guests(group)), sources);
    }
    let (sign, style) = match finding.weight {
        Weight::Error => ("×", BAD),
        Weight::Warning => ("!", WARN),
        Weight::Note => ("·", FAINT),
    };
    let place = finding.position.as_ref().map(|p| format!(" ({}:{})", p.file, p.line));
    let guests = guests(group);
    let who = if guests.is_empty() { guests } else { format!("{guests}: ") };
    let message = format!("{who}{}{}", finding.message, place.unwrap_or_default());
    item(style, sign, &message) + &finding.help.as_deref().map(help).unwrap_or_default()
}

/// The guests that a finding is about, where its message names none of them.
pub(super) fn guests(group: &[&Finding]) -> String {
    let names: Vec<String> =
        group.iter().filter_map(|f| f.address.as_ref()).map(ToString::to_string).collect();
    if group.iter().any(|f| names.iter().any(|name| f.message.contains(name))) {
        return String::new();
    }
    match names.as_slice() {
        [] => String::new(),
        [one, two, three, _, ..] => format!("{one}, {two}, {three}, … {} guests", names.len()),
        few => few.join(", "),
    }
}

fn diagnostic(finding: &Finding, guests: String) -> Diagnostic {
    let mut diagnostic = Diagnostic {
        severity: Severity::Error,
        code: "plan",
        message: finding.message.clone(),
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
    use pvx_core::address::Address;

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
        assert_eq!(count_errors(&all), 1);
        let text = anstream::adapter::strip_str(&render(&all, &sources)).to_string();
        insta::assert_snapshot!(text);
        // Another place, another problem.
        all[3].span = None;
        assert_eq!(count_errors(&all), 2);
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
            anstream::adapter::strip_str(&render(&all, &sources)).to_string()
        };
        assert_eq!(shown(6).matches("has no owner").count(), 6);
        let text = shown(900);
        assert_eq!(text.matches("has no owner").count(), ALIKE, "{text}");
        assert!(text.contains("× 895 more of policy owner there"), "{text}");
    }

    #[test]
    fn guests_are_named_once() {
        let named = Finding::note("pending", "k3s/w1 waits").about(&Address::new("k3s", "w1"));
        assert_eq!(guests(&[&named]), "");
        let unnamed = Finding { message: "it waits".into(), ..named };
        assert_eq!(guests(&[&unnamed]), "k3s/w1");
    }
}
