//! What a plan was held against, on one line.

use pvx_core::plan::{Checked, Verdict};

use super::paint::{BAD, FAINT, WARN, paint};

/// `policy  4 rules hold · 1 broken: owner`; nothing without a policy.
pub(super) fn line(checked: &[Checked]) -> String {
    let named = |verdicts: &[Verdict]| {
        let found = checked.iter().filter(|rule| verdicts.contains(&rule.result));
        found.map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let held = checked.iter().filter(|rule| rule.result == Verdict::Passed).count();
    let mut parts = Vec::new();
    if held > 0 {
        parts.push(
            format!("{} hold", super::count(held, "rule")).replace("1 rule hold", "1 rule holds"),
        );
    }
    for (verdicts, word, style) in [
        (&[Verdict::Violated, Verdict::Failed][..], "broken", BAD),
        (&[Verdict::Warned], "to look at", WARN),
        (&[Verdict::Ignored], "set aside", WARN),
        (&[Verdict::Skipped], "not asked", FAINT),
    ] {
        let names = named(verdicts);
        if !names.is_empty() {
            parts.push(format!("{}: {names}", paint(style, word)));
        }
    }
    if parts.is_empty() { String::new() } else { format!("policy  {}\n", parts.join(" · ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_named() {
        let rules = [
            ("a", Verdict::Passed),
            ("owner", Verdict::Violated),
            ("naming", Verdict::Failed),
            ("windows", Verdict::Ignored),
        ];
        let checked = rules.map(|(name, verdict)| Checked::new(name, verdict));
        let text = anstream::adapter::strip_str(&line(&checked)).to_string();
        assert_eq!(text, "policy  1 rule holds · broken: owner, naming · set aside: windows\n");
        assert_eq!(line(&[]), "");
    }
}
