//! The README's promise: apply makes the lab, again changes nothing, an edit changes exactly that,
//! destroy removes the lab and nothing else.

use serde_json::Value;

use crate::environment::{Environment, repository};

const K3S: &str = "clusters/k3s.yaml";

fn lab() -> Environment {
    let environment = Environment::new();
    let example = std::fs::read_to_string(repository().join("examples/clusters/k3s.yaml")).unwrap();
    environment.write(K3S, &example);
    environment
}

fn guests(status: &Value) -> Vec<(String, u64, String, String)> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("-").to_owned();
    let rows = status["guests"].as_array().unwrap().iter();
    rows.map(|r| {
        (text(r, "address"), r["vmid"].as_u64().unwrap_or(0), text(r, "node"), text(r, "state"))
    })
    .collect()
}

#[test]
fn apply_then_nothing_then_an_edit_then_destroy() {
    let lab = lab();
    let run = lab.sim(&["apply", "--yes", K3S]).expect(0);
    assert!(run.stdout.contains("5 to create"), "{}", run.stdout);
    let (_, status) = lab.sim_json(&["status", K3S]);
    let expected = [
        ("k3s/cp01", 1001, "pve1"),
        ("k3s/cp02", 1002, "pve2"),
        ("k3s/cp03", 1003, "pve3"),
        ("k3s/worker01", 1011, "pve1"),
        ("k3s/worker02", 1012, "pve2"),
    ];
    let expected = expected.map(|(a, v, n)| (a.to_owned(), v, n.to_owned(), "running".to_owned()));
    assert_eq!(guests(&status), expected);

    let again = lab.sim(&["apply", "--yes", "-v", K3S]).expect(0);
    assert!(again.stdout.contains("no changes"), "{}", again.stdout);
    assert!(again.stderr.contains("(0 that write)"), "{}", again.stderr);

    let edited = lab.read(K3S).replacen("cores: 2", "cores: 4", 1).replace("count: 2", "count: 3");
    lab.write(K3S, &edited);
    let (code, plan) = lab.sim_json(&["plan", "--detailed-exitcode", K3S]);
    assert_eq!(code, 2);
    let changed = |c: &Value| {
        let paths = c["attributes"].as_array().unwrap().iter().map(|a| a["path"].clone());
        (c["address"].clone(), c["verb"].clone(), paths.collect::<Vec<_>>())
    };
    let changes: Vec<_> = plan["changes"].as_array().unwrap().iter().map(changed).collect();
    let mut expected: Vec<(Value, Value, Vec<Value>)> = ["cp01", "cp02", "cp03"]
        .map(|g| (format!("k3s/{g}").into(), "change".into(), vec!["cores".into()]))
        .into();
    expected.push(("k3s/worker03".into(), "create".into(), vec![]));
    assert_eq!(changes, expected);
    lab.sim(&["apply", "--yes", K3S]).expect(0);
    lab.sim(&["plan", "--detailed-exitcode", K3S]).expect(0);

    lab.sim(&["destroy", "--yes", K3S]).expect(0);
    let (_, status) = lab.sim_json(&["status", K3S]);
    assert!(guests(&status).iter().all(|(.., state)| state == "missing"), "{status}");
    let world: Value = serde_json::from_str(&lab.read("state/sim/lab.world.json")).unwrap();
    let left = serde_json::to_string(&world["guests"]).unwrap();
    for template in ["debian-13", "talos-1", "debian-13-local"] {
        assert!(left.contains(template), "{template} is gone");
    }
}

#[test]
fn state_is_only_a_cache() {
    let lab = lab();
    lab.sim(&["apply", "--yes", K3S]).expect(0);
    std::fs::remove_dir_all(lab.path("state").join("lab")).unwrap();
    let run = lab.sim(&["plan", "--detailed-exitcode", K3S]).expect(0);
    assert!(run.stdout.contains("no changes"), "{}", run.stdout);
}

#[test]
fn a_target_narrows_the_plan() {
    let lab = lab();
    lab.sim(&["apply", "--yes", "--target", "k3s/cp02", K3S]).expect(0);
    let (_, status) = lab.sim_json(&["status", K3S]);
    let there: Vec<_> = guests(&status).into_iter().filter(|g| g.3 != "missing").collect();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0].0, "k3s/cp02");
    let run = lab.sim(&["plan", "--target", "k3s/nobody", K3S]).expect(1);
    assert!(run.stdout.contains("matches no guest"), "{}", run.stdout);
}

#[test]
fn nothing_happens_without_a_yes() {
    let lab = lab();
    let run = lab.sim(&["apply", "-v", K3S]).expect(4);
    assert!(run.stderr.contains("--yes"), "{}", run.stderr);
    assert!(run.stderr.contains("(0 that write)"), "{}", run.stderr);
}

#[test]
fn commands_without_a_cluster() {
    let lab = Environment::new();
    lab.pvx(&["init"]).expect(0);
    let run = lab.pvx(&["init"]).expect(1);
    assert!(run.stderr.contains("there already"), "{}", run.stderr);
    lab.pvx(&["validate"]).expect(0);
    lab.sim(&["apply", "--yes"]).expect(0);
    let run = lab.pvx(&["plan"]).expect(1);
    assert!(run.stderr.contains("pass"), "{}", run.stderr);
    assert!(lab.pvx(&["version"]).expect(0).stdout.starts_with("pvx "));
    assert!(lab.pvx(&["completions", "bash"]).expect(0).stdout.contains("_pvx"));
    lab.pvx(&["frobnicate"]).expect(1);
    lab.pvx(&["--help"]).expect(0);
}

#[test]
fn show_finds_a_guest_or_the_nearest_name() {
    let lab = lab();
    lab.sim(&["apply", "--yes", K3S]).expect(0);
    let run = lab.sim(&["show", "k3s/cp01", K3S]).expect(0);
    assert!(run.stdout.contains("1001 on pve1"), "{}", run.stdout);
    let run = lab.sim(&["show", "k3s/cp1", K3S]).expect(1);
    assert!(run.stderr.contains("did you mean k3s/cp01?"), "{}", run.stderr);
}

/// Nobody has to write a document to look at a cluster.
#[test]
fn status_without_documents() {
    let environment = Environment::new();
    let (code, status) = environment.sim_json(&["status"]);
    assert_eq!((code, status["guests"].as_array().unwrap().len()), (0, 0));
    assert_eq!(status["templates"][0]["name"], "debian-13");
    environment.sim(&["plan"]).expect(1);
    environment.write("broken.yaml", "name: [");
    environment.sim(&["status"]).expect(1);
}

#[test]
fn every_example_is_valid_and_plans_on_the_simulator() {
    let environment = Environment::new();
    let examples = repository().join("examples/clusters");
    let run = environment.sim(&["plan", examples.to_str().unwrap()]).expect(0);
    assert!(run.stdout.contains("10 to create"), "{}", run.stdout);
}

/// An apply whose output is lost has changed something all the same: not the code for "nothing was
/// changed".
#[test]
fn output_that_cannot_be_written_is_no_success() {
    let lab = lab();
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = lab.command(&["apply", "--yes", K3S, "--sim", "--sim-speed", "0"]);
    let output = command.stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("could not be written"), "{said}");
    lab.sim(&["plan", "--detailed-exitcode", K3S]).expect(0);
}
