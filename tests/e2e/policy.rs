//! A policy from end to end: refused with zero writes, shown at the document's line, in the JSON.

use serde_json::json;

use crate::environment::{Environment, Run, repository};

const K3S: &str = "clusters/k3s.yaml";

/// Five examples of rules, and a profile that breaks some.
fn lab(policy: &str) -> Environment {
    let lab = Environment::new();
    let example = |name: &str| std::fs::read_to_string(repository().join(name)).unwrap();
    lab.write(K3S, &example("examples/clusters/k3s.yaml"));
    for name in
        ["naming", "required-tag", "pool-memory", "no-destroy-on-fridays", "production-protected"]
    {
        let path = format!("policies/{name}.yaml");
        lab.write(&path, &example(&format!("examples/{path}")));
    }
    lab.write("cluster-config.yaml", &format!("policy:\n{policy}"));
    lab
}

#[test]
fn a_broken_rule_stops_apply_before_anything_is_written() {
    let lab = lab("  files: [policies/*.yaml]\n");
    lab.pvx(&["validate"]).expect(0);
    // Files of rules are no documents, however they are met.
    lab.pvx(&["validate", "."]).expect(0);
    lab.pvx(&["validate", "clusters", "policies"]).expect(0);
    let run = lab.sim(&["plan", K3S]).expect(1);
    let findings = run.stdout.split_once("worker\n\n").unwrap().1;
    insta::assert_snapshot!(findings);
    let run = lab.sim(&["apply", "--yes", "-v", K3S]).expect(1);
    assert!(run.stderr.contains("(0 that write)"), "{}", run.stderr);
    let (code, plan) = lab.sim_json(&["plan", K3S]);
    assert_eq!(code, 1);
    let checked = plan["policy"].as_array().unwrap();
    let results: Vec<_> = checked.iter().map(|c| (&c["name"], &c["result"])).collect();
    let expected = [
        (&json!("naming"), &json!("passed")),
        (&json!("naming-of-vms"), &json!("passed")),
        (&json!("no-destroy-on-fridays"), &json!("passed")),
        (&json!("pool-memory"), &json!("passed")),
        (&json!("production-protected"), &json!("passed")),
        (&json!("owner"), &json!("violated")),
    ];
    assert_eq!(results, expected);
    assert_eq!(checked[5]["position"]["file"], "policies/required-tag.yaml");

    let mended = lab.read(K3S).replace("tags: [k3s, lab]", "tags: [k3s, lab, owner-anna]");
    lab.write(K3S, &mended);
    lab.sim(&["apply", "--yes", K3S]).expect(0);
}

/// Whoever runs it in a folder of documents has the same policy and the same state.
#[test]
fn a_policy_holds_in_every_folder_below_it() {
    let lab = lab("  files: [policies/required-tag.yaml]\n");
    for paths in [&["k3s.yaml"][..], &["."], &[], &["../clusters/k3s.yaml", "k3s.yaml"]] {
        let mut command = lab.command(&["plan", "--sim", "--sim-speed", "0"]);
        let run = command.args(paths).current_dir(lab.path("clusters")).output().unwrap();
        let run = Run::of(&run).expect(1);
        assert!(run.stdout.contains("owner"), "{paths:?}\n{}", run.stdout);
    }
    assert!(lab.path("state").is_dir() && !lab.path("clusters/state").exists());
}

#[test]
fn rules_that_are_wrong_are_told_without_a_cluster() {
    let lab = lab("  rules:\n    - name: cap\n      check: guest.memroy <= 4096\n");
    let run = lab.pvx(&["validate"]).expect(1);
    insta::assert_snapshot!(run.stderr);
}

/// A freeze of a thousand years is outside any window whenever the test runs.
#[test]
fn outside_a_window_a_plan_is_made_and_not_applied() {
    let freeze = "  freeze:\n    - {from: 2000-01-01, to: 2999-12-31, reason: nobody is here}\n";
    let lab = lab(freeze);
    let run = lab.sim(&["plan", K3S]).expect(0);
    let text = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("frozen until tue 2999-12-31: nobody is here; allowed again"), "{text}");
    assert!(text.contains("again wed 3000-01-01 00:00 (cluster-config.yaml:3)"), "{text}");
    let run = lab.sim(&["apply", "--yes", "-v", K3S]).expect(1);
    assert!(run.stdout.contains("outside window"), "{}", run.stdout);
    assert!(run.stderr.contains("(0 that write)"), "{}", run.stderr);
    lab.sim(&["apply", "--yes", "--ignore-window", " ", K3S]).expect(1);

    let urgent = ["apply", "--yes", "--ignore-window", "disk full, ticket 42", K3S];
    let (code, applied) = lab.sim_json(&urgent);
    assert_eq!(code, 0, "{applied}");
    let checked = &applied["plan"]["policy"][0];
    let expected = json!({
        "name": "windows", "result": "ignored", "reason": "disk full, ticket 42"
    });
    assert_eq!(checked, &expected, "{applied}");
    // A plan without actions is never refused.
    lab.sim(&["apply", "--yes", K3S]).expect(0);

    // What is recorded of a saved plan is what was said when it was carried out.
    lab.sim(&["plan", "--destroy", "--out", "p.pvx", K3S]).expect(0);
    lab.sim(&["apply", "--yes", "p.pvx"]).expect(5);
    let (code, applied) = lab.sim_json(&["apply", "--yes", "--ignore-window", "moving", "p.pvx"]);
    assert_eq!(code, 0, "{applied}");
    assert_eq!(applied["plan"]["policy"][0]["reason"], "moving", "{applied}");
}

#[test]
fn guests_that_must_stay_stay_when_the_document_forgets_them() {
    let lab = lab("  max_destroy: 2\n");
    let whole = lab.read(K3S);
    let safe = whole.replace("    depends_on: [controlplane]", "    prevent_destroy: true");
    lab.write(K3S, &safe);
    lab.sim(&["apply", "--yes", K3S]).expect(0);

    let run = lab.sim(&["destroy", "--yes", K3S]).expect(1);
    assert!(run.stdout.contains("prevent_destroy: true"), "{}", run.stdout);
    assert!(run.stdout.contains("5 guests would be destroyed or replaced"), "{}", run.stdout);

    let fewer = safe.replace("  workers:\n    count: 2", "  workers:\n    count: 1");
    lab.write(K3S, &fewer.replace("prevent_destroy: true", "prevent_destroy: false"));
    let run = lab.sim(&["apply", "--yes", "-v", K3S]).expect(1);
    assert!(
        run.stdout.contains("k3s/worker02 would be destroyed: it is no longer"),
        "{}",
        run.stdout
    );
    assert!(run.stderr.contains("(0 that write)"), "{}", run.stderr);

    // It is let go first.
    lab.write(K3S, &safe.replace("prevent_destroy: true", "prevent_destroy: false"));
    lab.sim(&["apply", "--yes", K3S]).expect(0);
    lab.write(K3S, &fewer.replace("prevent_destroy: true", "prevent_destroy: false"));
    lab.sim(&["apply", "--yes", "--max-destroy", "0", K3S]).expect(1);
    lab.sim(&["apply", "--yes", "--max-destroy", "1", K3S]).expect(0);
}

#[test]
fn where_it_is_said_is_explained() {
    let lab = lab("  max_destroy: 2\n");
    let whole = lab.read(K3S);
    lab.write(K3S, &whole.replace("    depends_on: [controlplane]", "    prevent_destroy: true"));
    let run = lab.pvx(&["show", "k3s/worker01", "--explain", K3S]).expect(0);
    assert!(run.stdout.contains("prevent_destroy"), "{}", run.stdout);
}
