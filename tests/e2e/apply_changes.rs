//! One edit, and what may happen to running guests by and by: held back, written, rebooted.

use serde_json::{Value, json};

use crate::environment::{Environment, repository};

const K3S: &str = "clusters/k3s.yaml";

fn paths(list: &Value) -> Vec<&Value> {
    list["attributes"].as_array().unwrap().iter().map(|attribute| &attribute["path"]).collect()
}

#[test]
fn manual_then_live_then_reboot() {
    let lab = Environment::new();
    let example = std::fs::read_to_string(repository().join("examples/clusters/k3s.yaml")).unwrap();
    lab.write(K3S, &example);
    lab.sim(&["apply", "--yes", K3S]).expect(0);
    lab.write(K3S, &example.replacen("cores: 2", "cores: 4", 1));

    let manual = ["--apply-changes", "manual", K3S];
    let (code, plan) = lab.sim_json(&[&["plan", "--detailed-exitcode"], &manual[..]].concat());
    assert_eq!((code, &plan["changes"], &plan["actions"]), (0, &json!([]), &json!([])));
    let held = plan["held"].as_array().unwrap();
    assert_eq!(held.len(), 3);
    assert_eq!((&held[0]["mode"], paths(&held[0])), (&json!("manual"), vec![&json!("cores")]));
    let run = lab.sim(&[&["apply", "--yes", "-v"], &manual[..]].concat()).expect(0);
    assert!(
        run.stdout.contains("k3s/cp01 is left as it is for now: cores 2 → 4"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("no changes now: 3 held back"), "{}", run.stdout);
    assert!(run.stderr.contains("(0 that write)"), "{}", run.stderr);

    let run = lab.sim(&["apply", "--yes", K3S]).expect(0);
    assert!(run.stdout.contains("3 to change · 3 pending"), "{}", run.stdout);
    let run = lab.sim(&["plan", "--detailed-exitcode", K3S]).expect(0);
    assert!(run.stdout.contains("k3s/cp01 at its next cold boot: cores 2 → 4"), "{}", run.stdout);

    let reboot = ["--apply-changes", "reboot", K3S];
    let run = lab.sim(&[&["apply", "--yes"], &reboot[..]].concat()).expect(0);
    assert!(run.stdout.contains("a value waits for a cold boot"), "{}", run.stdout);
    assert!(run.stdout.contains("3 to reboot"), "{}", run.stdout);
    let run = lab.sim(&[&["plan", "--detailed-exitcode"], &reboot[..]].concat()).expect(0);
    assert!(!run.stdout.contains("cold boot"), "{}", run.stdout);
    let (_, status) = lab.sim_json(&["status", K3S]);
    let guests = status["guests"].as_array().unwrap();
    assert!(guests.iter().all(|guest| guest["state"] == "running"), "{status}");
}
