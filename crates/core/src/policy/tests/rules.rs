//! What is wrong with a policy is told with the documents, at its place.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use crate::diagnostic::{Sources, Span, Spanned, has_errors};
use crate::document::{LoadOptions, Loaded, load_config};
use crate::policy::{self, Each, Expression, Rule, Severity};

fn loaded(policy: &str) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    load(folder.path(), policy)
}

fn load(folder: &Path, policy: &str) -> Loaded {
    std::fs::write(folder.join("cluster-config.yaml"), format!("policy:\n{policy}")).unwrap();
    load_config(&LoadOptions { working_dir: folder.to_owned(), ..LoadOptions::default() })
}

#[test]
fn what_is_known_is_offered_once() {
    let loaded = loaded("  windowsx: []\n");
    let help = loaded.diagnostics[0].help.as_deref().unwrap();
    assert_eq!(help.matches("windows").count(), 1, "{help}");
}

/// One line a problem: what is marked, and what is said of it.
fn problems(policy: &str) -> String {
    tell(&loaded(policy))
}

fn tell(loaded: &Loaded) -> String {
    let mut text = String::new();
    for problem in &loaded.diagnostics {
        for label in &problem.labels {
            let whole = loaded.sources.text(label.span.source);
            let start = label.span.start as usize;
            let marked = &whole[start..start + label.span.len as usize];
            let marked = marked.split_whitespace().collect::<Vec<_>>().join(" ");
            let place = loaded.sources.position(label.span);
            let (line, column) = (place.line, place.column);
            let _ = write!(text, "{line}:{column} [{marked}] {} | ", label.text);
        }
        let _ = writeln!(text, "{}", problem.message);
    }
    text
}

fn check(expression: &str) -> String {
    let quoted = expression.replace('\'', "''");
    problems(&format!("  rules:\n    - name: one\n      check: '{quoted}'\n"))
}

fn fits(expression: &str) {
    assert_eq!(check(expression), "", "{expression}");
}

#[test]
fn what_fits_is_taken() {
    for expression in [
        "guest.memory <= 4096 && guest.cores > 1",
        "guest.name.matches('^[a-z]+[0-9]{2}$')",
        "guest.tags.exists(tag, tag.startsWith('owner-'))",
        "'production' in guest.tags ? guest.protection : true",
        "guest.disks.all(disk, disk.size <= 100 * 1024 && disk.storage != 'local')",
        "guest.networks.filter(n, n.tag == 20).size() == 1",
        "guest.networks.map(n, n.tag).exists(tag, tag > 10)",
        "!has(guest.config.bios) || guest.config.bios == 'ovmf'",
        "!('bios' in guest.config) || guest.config['bios'] == 'ovmf'",
        "plan.pools[guest.pool].memory <= 65536",
        "sum(plan.guests.filter(g, g.pool == guest.pool).map(g, g.memory)) <= 65536",
        "plan.guests.map(g, g.memory).sum() <= 65536",
        "guest.name.split('-')[0] == guest.profile || size(guest.name) < 9",
        "math.greatest(guest.cores, 4) == 4",
        "plan.changes.filter(c, c.verb in ['destroy', 'replace']).size() < 3",
        "now.weekday != 'fri' && now.hour >= 8 && now.date < '2027-01-01'",
        "guest.disks.map(d, d.slot) == [] || guest.disks[0].slot != ''",
        "guest.name == \"é\" || guest.name != 'ü'",
        "guest.tags.exists_one(t, t == 'a') || guest.tags.distinct().size() > 0",
        "guest.tags.join(',').lowerAscii() == 'a' || true",
        "guest.exists // a comment",
    ] {
        fits(expression);
    }
}

#[test]
fn what_does_not_is_marked() {
    let wrong = [
        "guest.memroy <= 4096",
        "\"é\" == guest.nme",
        "gest.memory <= 4096",
        "change.verb == 'destroy'",
        "guest.memory",
        "guest.memory <= '4G'",
        "guest.name == 5",
        "5 in guest.tags",
        "guest.name.startWith('a')",
        "guest.memory.startsWith('a')",
        "guest.disks.all(disk, disk.bytes < 1)",
        "plan.guests.filter(g, g.pol == 'a').size() > 1",
        "plan.pools['a'].ram > 1",
        "guest.name && true",
        "guest.name.matches('[')",
        "guest.name ==",
        "guest.name == 'a",
        "guest..name",
        "guest.name == \"a\" and true",
        "guest.all(x)",
        "size(guest.name, 1) == 2",
        "Foo{a: 1} == 2",
        "now.weekday != 'friday'",
        "now.weekday in ['sat', 'sunday']",
        "plan.changes.all(c, c.verb != 'delete')",
        "plan.changes.all(c, 'dataloss' != c.effect)",
    ];
    let mut text = String::new();
    for expression in wrong {
        let said = check(expression);
        assert!(!said.is_empty(), "{expression}");
        let _ = write!(text, "{expression}\n    {said}");
    }
    insta::assert_snapshot!(text);
}

/// Neither the engine's parser nor its evaluation may take the process with them.
#[test]
fn long_and_deep_expressions_do_no_harm() {
    let deep = |open: &str, inside: &str, close: &str, times: usize| {
        format!("{}{inside}{}", open.repeat(times), close.repeat(times))
    };
    for expression in [
        deep("(", "true", ")", 980),
        deep("[", "1", "]", 980),
        deep("{1:", "1", "}", 480),
        deep("!", "true", "", 1990),
        deep("-", "1", "", 1990),
        deep("size(", "''", ")", 300),
        deep("true ? ", "true", " : true", 100),
        deep("[1].map(x, ", "1", ")", 120),
        format!(">{}?[{}{}l\u{1}?(-", "{".repeat(63), "(".repeat(11), "{".repeat(26)),
    ] {
        let said = check(&expression);
        assert!(!said.contains("engine"), "{said}");
    }
    // What a person could write, and more: evaluated to its end.
    fits(&format!("1{} > 0", "+1".repeat(990)));
    fits(&format!("true{}", " && true".repeat(240)));
    fits(&format!("guest.name{} != ''", " + 'a'".repeat(300)));
    let long = format!("true || {}", "a".repeat(2000));
    assert!(check(&long).contains("at most 2000"), "{}", check(&long));
}

/// Pieces of expressions in any order, most of them repeated.
fn pieces() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "(", ")", "[", "]", "{", "}", "!", "-", "?", ":", ".", ",", "&&", "||", "==", "in", "'",
        "\"", "guest", ".name", ".tags", ".all(x, ", ".map(x, ", "size(", "1", "1u", "0x", "b'a'",
        "é", "\u{1}", "\\", "null", "true", "Foo{", "a: ", " ", "\n", "//", "r'", ".?a", "@", "`",
    ]);
    let run = (piece, 1_usize..60).prop_map(|(piece, times)| piece.repeat(times));
    proptest::collection::vec(run, 1..40).prop_map(|runs| {
        let mut text = runs.concat();
        let cut = (0..=1900.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(cut.unwrap_or(0));
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// The engine says what is wrong, or takes it; it neither panics nor ends the process.
    #[test]
    fn any_text_does_no_harm(text in pieces()) {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", text.as_str());
        let span = Span { source, start: 0, len: u32::try_from(text.len()).unwrap() };
        let rule = Rule {
            name: Spanned::new("one".to_owned(), span),
            each: Each::Guest,
            when: None,
            check: Expression { text, span },
            message: None,
            severity: Severity::Error,
            at: None,
        };
        let found = policy::problems(&[rule], &sources);
        prop_assert!(found.iter().all(|p| !p.message.contains("cannot be read:")), "{found:?}");
    }
}

#[test]
fn keys_of_a_policy_are_checked() {
    insta::assert_snapshot!(problems(
        "  max_destroy: many
  protected_tags: [ok, 'not ok']
  time_zone: Europe/Nowhere
  windows:
    - {days: [mon, funday], from: '22:00', to: 6}
    - {days: [mon]}
  freeze:
    - {from: 2026-12-20, to: 2026-12-01}
    - {from: soon, to: 2026-12-01}
  rules:
    - {name: Bad Name, check: 'true'}
    - {check: 'true'}
    - {name: empty, check: ''}
    - {name: twice, check: 'true'}
    - {name: twice, check: 'false', each: host}
    - {name: where, each: plan, check: 'true', at: memory}
    - {name: message, check: 'true', message: 'a {{ guest.nme }} b'}
    - {name: open, check: 'true', message: 'a {{ guest.name'}
  files: [nowhere.yaml, 'nowhere/*.yaml']
  colour: red
"
    ));
}

#[test]
fn rules_of_files_know_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let policies = folder.path().join("policies");
    std::fs::create_dir(&policies).unwrap();
    std::fs::write(policies.join("a.yaml"), "rules:\n  - {name: a, check: 'true'}\n").unwrap();
    std::fs::write(
        policies.join("b.yaml"),
        "rules:\n  - name: b\n    check: >-\n      true &&\n      guest.nam == ''\n",
    )
    .unwrap();
    std::fs::write(policies.join("c.yaml"), "- rules\n").unwrap();
    let loaded =
        load(folder.path(), "  files: [policies/*.yaml]\n  rules: [{name: a, check: 'true'}]\n");
    assert!(has_errors(&loaded.diagnostics));
    let names: Vec<&str> = loaded
        .config
        .as_ref()
        .unwrap()
        .policy
        .rules
        .iter()
        .map(|r| r.name.value.as_str())
        .collect();
    assert_eq!(names, ["a", "a", "b"]);
    insta::assert_snapshot!(tell(&loaded));
}
