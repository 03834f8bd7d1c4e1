//! What a policy says of a plan.

use std::fmt::Write as _;
use std::path::Path;

use insta::assert_snapshot;
use pvx_core::diagnostic::{Span, Spanned};
use pvx_core::plan::{Intent, Plan, Verdict};
use pvx_core::policy::Policy;

use crate::lab::{Lab, identity, made};

/// A Thursday, 11:00 in Berlin.
const THURSDAY: &str = "2026-12-03T10:00:00Z";
const FRIDAY: &str = "2026-12-04T10:00:00Z";

fn text(plan: &Plan) -> String {
    let mut text = String::new();
    for finding in &plan.findings {
        let place = finding.position.as_ref().map(|p| format!(" ({p})")).unwrap_or_default();
        let _ = writeln!(text, "{:?} {}: {}{place}", finding.weight, finding.code, finding.message);
        let _ = writeln!(text, "    {}", finding.help.as_deref().unwrap_or("-"));
    }
    for checked in &plan.policy {
        let reason = checked.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        let _ = writeln!(text, "{} {:?}{reason}", checked.name, checked.result);
    }
    text
}

fn said<T>(value: T, lab: &Lab) -> Spanned<T> {
    let span = lab.desired.profiles[0].span;
    Spanned::new(value, Span { len: 0, ..span })
}

/// `n` guests that are there.
fn several(n: usize) -> Lab {
    let mut lab = Lab::new();
    let guests = (1..=n).map(|n| lab.guest("k3s", &format!("w{n:02}"))).collect();
    lab.profile("k3s", guests);
    lab.apply();
    lab
}

#[test]
fn a_guest_that_is_not_to_be_destroyed_is_neither_destroyed_nor_replaced() {
    let mut lab = made(|guest| guest.prevent_destroy = true);
    let none = Policy::default();
    let plan = lab.checked(Intent::Destroy, &none, THURSDAY);
    assert!(plan.is_blocked());
    assert_snapshot!(text(&plan));
    lab.options.replace = vec!["k3s/w01".to_owned()];
    assert_snapshot!(text(&lab.checked(Intent::Apply, &none, THURSDAY)));
    // Nothing else of it is forbidden.
    lab.options.replace.clear();
    lab.first().spec.set("cores", "4");
    assert!(!lab.checked(Intent::Apply, &none, THURSDAY).is_blocked());
    lab.first().prevent_destroy = false;
    assert!(!lab.checked(Intent::Destroy, &none, THURSDAY).is_blocked());
}

#[test]
fn what_documents_no_longer_say_is_remembered() {
    let mut lab = several(2);
    for guest in &mut lab.desired.profiles[0].guests {
        guest.prevent_destroy = true;
    }
    let plan = lab.plan(Intent::Apply);
    assert!(plan.is_empty(), "it is no change of the guest");
    for (address, remembered) in plan.outcomes {
        lab.memory.insert(address, remembered);
    }
    lab.desired.profiles[0].guests.pop();
    let plan = lab.checked(Intent::Apply, &Policy::default(), THURSDAY);
    assert!(plan.is_blocked());
    assert_snapshot!(text(&plan));
}

#[test]
fn the_smaller_of_two_limits_counts() {
    let mut lab = several(3);
    lab.options.max_destroy = Some(2);
    assert_snapshot!(text(&lab.checked(Intent::Destroy, &Policy::default(), THURSDAY)));
    let policy = |most| Policy { max_destroy: Some(said(most, &several(1))), ..Policy::default() };
    assert_snapshot!(text(&lab.checked(Intent::Destroy, &policy(0), THURSDAY)));
    // A flag makes no more of it.
    lab.options.max_destroy = Some(9);
    assert!(lab.checked(Intent::Destroy, &policy(2), THURSDAY).is_blocked());
    assert!(!lab.checked(Intent::Destroy, &policy(3), THURSDAY).is_blocked());
    // What is replaced counts, what is changed does not.
    lab.options.replace = vec!["k3s/w01".to_owned(), "k3s/w02".to_owned()];
    assert!(lab.checked(Intent::Apply, &policy(1), THURSDAY).is_blocked());
    lab.options.replace.pop();
    lab.desired.profiles[0].guests[2].spec.set("cores", "4");
    assert!(!lab.checked(Intent::Apply, &policy(1), THURSDAY).is_blocked());
}

#[test]
fn tags_protect_on_the_cluster_and_in_documents() {
    let mut lab = several(3);
    let tags = vec![said("production".to_owned(), &lab)];
    let policy = Policy { protected_tags: tags, ..Policy::default() };
    assert!(!lab.checked(Intent::Destroy, &policy, THURSDAY).is_blocked());
    // Somebody tagged it in the web interface; that one is an orphan now.
    lab.config(1002, "tags", "k3s;Production;pvx-k3s");
    lab.desired.profiles[0].guests.pop();
    assert_snapshot!(text(&lab.checked(Intent::Apply, &policy, THURSDAY)));
    // Said and not applied yet.
    lab.first().spec.tags.insert("production".to_owned());
    let plan = lab.checked(Intent::Destroy, &policy, THURSDAY);
    let refused: Vec<_> = plan.findings.iter().filter(|f| f.code == "protected-tag").collect();
    assert_eq!(refused.len(), 2, "{}", text(&plan));
}

#[test]
fn a_member_that_became_a_template_goes_only_when_that_is_said() {
    let mut lab = several(2);
    lab.config(1000, "template", "1");
    lab.snapshot.guests.get_mut(&1000).unwrap().running = false;
    let none = Policy::default();
    // Without the flag nothing is done to it, and nothing is made in its place.
    let plan = lab.plan(Intent::Apply);
    assert!(plan.is_empty() && plan.is_blocked(), "{}", text(&plan));
    assert!(plan.findings[0].help.as_ref().unwrap().contains("--include-templates"));
    let plan = lab.plan(Intent::Destroy);
    assert_eq!(plan.changes.iter().map(|c| c.vmid).collect::<Vec<_>>(), [1001]);
    // The flag alone changes nothing for apply: it is not changed, started or made anew.
    lab.options.include_templates = true;
    let plan = lab.plan(Intent::Apply);
    assert!(plan.is_empty() && plan.is_blocked(), "{}", text(&plan));
    lab.options.replace = vec!["k3s/w01".to_owned()];
    let plan = lab.checked(Intent::Apply, &none, THURSDAY);
    assert!(!plan.is_blocked(), "{}", text(&plan));
    assert_eq!(plan.changes.iter().map(|c| c.vmid).collect::<Vec<_>>(), [1000]);
    lab.options.replace.clear();
    let plan = lab.settle(Intent::Destroy);
    assert_eq!(plan.changes.len(), 2);
    // A template that is nobody's stays.
    assert_eq!(lab.snapshot.guests.keys().copied().collect::<Vec<_>>(), [100, 102]);
}

#[test]
fn a_copy_that_is_a_template_is_nobodys() {
    let mut lab = several(1);
    let other = identity("k3s", "w09");
    let config = [("name", "gold"), ("template", "1"), ("tags", "pvx-k3s"), ("smbios1", &other)];
    lab.live(1005, "pve1", false, &config);
    lab.options.include_templates = true;
    lab.settle(Intent::Destroy);
    assert!(lab.snapshot.guests.contains_key(&1005));
}

/// Documents beside one example, held against it.
fn example(name: &str, documents: &[(&str, &str)], lab: &mut Lab) -> Policy {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let rules = repository.join("examples/policies").join(name);
    let folder = tempfile::tempdir().unwrap();
    for folder in ["policies", "clusters"].map(|f| folder.path().join(f)) {
        std::fs::create_dir(folder).unwrap();
    }
    std::fs::copy(rules, folder.path().join("policies").join(name)).unwrap();
    let config = "policy: {files: [policies/*.yaml], time_zone: Europe/Berlin}\n";
    std::fs::write(folder.path().join("cluster-config.yaml"), config).unwrap();
    for (name, text) in documents {
        std::fs::write(folder.path().join("clusters").join(name), text).unwrap();
    }
    lab.load(folder.path())
}

fn against(name: &str, document: &str) -> Plan {
    let mut lab = Lab::new();
    let policy = example(name, &[("k3s.yaml", document)], &mut lab);
    lab.checked(Intent::Apply, &policy, THURSDAY)
}

#[track_caller]
fn passes(name: &str, document: &str) {
    let plan = against(name, document);
    assert!(!plan.is_blocked(), "{}", text(&plan));
    let fine = |verdict| matches!(verdict, Verdict::Passed | Verdict::Skipped);
    assert!(plan.policy.iter().all(|checked| fine(checked.result)), "{}", text(&plan));
}

fn profile(rest: &str) -> String {
    format!("name: k3s\ntype: generic\ntemplate: 100\ntags: [k3s]\n{rest}")
}

#[test]
fn example_naming() {
    let group = |prefix: &str| {
        profile(&format!(
            "nodes:\n  controlplane:\n    count: 1\n  workers:\n    name_prefix: {prefix}\n    count: 2\n"
        ))
    };
    passes("naming.yaml", &group("worker"));
    assert_snapshot!(text(&against("naming.yaml", &group("w0rker-"))));
    passes("naming.yaml", "name: gitea\nkind: vm\ntemplate: 100\n");
    assert!(against("naming.yaml", "name: g\nkind: vm\ntemplate: 100\n").is_blocked());
}

#[test]
fn example_required_tag() {
    let vm = |tags: &str| format!("name: gitea\nkind: vm\ntemplate: 100\ntags: [{tags}]\n");
    passes("required-tag.yaml", &vm("git, owner-anna"));
    assert_snapshot!(text(&against("required-tag.yaml", &vm("git"))));
    assert!(against("required-tag.yaml", &vm("owner-anna, owner-bob")).is_blocked());
}

#[test]
fn example_memory_of_a_pool() {
    let group = |memory: u32| {
        profile(&format!(
            "nodes:\n  controlplane:\n    count: 1\n    memory: 2048\n    pool: blue\n  workers:\n    \
         count: 2\n    memory: {memory}\n    pool: blue\n  others:\n    count: 1\n    \
         memory: 65536\n"
        ))
    };
    passes("pool-memory.yaml", &group(3072));
    assert_snapshot!(text(&against("pool-memory.yaml", &group(3073))));
    // A template's memory counts where documents say none.
    let templates = profile("nodes:\n  controlplane:\n    count: 9\n    pool: blue\n");
    assert!(text(&against("pool-memory.yaml", &templates)).contains("have 9216 MiB"));
}

#[test]
fn example_no_destroy_on_fridays() {
    let mut lab = Lab::new();
    let name = "no-destroy-on-fridays.yaml";
    let two = profile("nodes: {controlplane: {count: 2, disk: 20G}}\n");
    example(name, &[("k3s.yaml", &two)], &mut lab);
    lab.apply();
    let one = two.replace("count: 2", "count: 1");
    let policy = example(name, &[("k3s.yaml", &one)], &mut lab);
    assert!(!lab.checked(Intent::Apply, &policy, THURSDAY).is_blocked());
    assert_snapshot!(text(&lab.checked(Intent::Apply, &policy, FRIDAY)));
    // Already Friday in Berlin, still Thursday in UTC.
    assert!(lab.checked(Intent::Apply, &policy, "2026-12-03T23:30:00Z").is_blocked());
    assert!(lab.checked(Intent::Destroy, &policy, FRIDAY).is_blocked());
}

#[test]
fn example_production_is_protected() {
    let vm = |rest: &str| {
        format!("name: gitea\nkind: vm\ntemplate: 100\ntags:\n  - git\n  - production\n{rest}")
    };
    let name = "production-protected.yaml";
    passes(name, &vm("protection: true\nprevent_destroy: true\n"));
    passes(name, "name: gitea\nkind: vm\ntemplate: 100\ntags: [git]\n");
    assert_snapshot!(text(&against(name, &vm("protection: true\n"))));
}
