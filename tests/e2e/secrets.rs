//! No byte of the token's secret anywhere: not in what a run prints at its most talkative, not in
//! plan, state or journal.

use std::path::Path;

use crate::environment::{Environment, repository};

fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
}

#[test]
fn a_talkative_run_does_not_say_the_secret() {
    let (id, canary) = {
        let world = pvx_sim::World::lab();
        let (id, secret) = world.token();
        (id.to_owned(), secret.to_owned())
    };
    assert!(canary.len() >= 16);
    let lab = Environment::new();
    let example = std::fs::read_to_string(repository().join("examples/clusters/k3s.yaml")).unwrap();
    lab.write("k3s.yaml", &example).write("state/README", "");
    for command in [
        vec!["apply", "--yes", "--plain", "--events", "state/events.jsonl"],
        vec!["plan", "--format", "json"],
        vec!["destroy", "--yes"],
    ] {
        let run = lab.sim(&[command.as_slice(), &["-vvv", "k3s.yaml"]].concat()).expect(0);
        assert!(run.stderr.contains("/cluster/resources"), "the log is on: {}", run.stderr);
        assert!(!holds(run.stdout.as_bytes(), &canary), "{command:?} printed it");
        assert!(!holds(run.stderr.as_bytes(), &canary), "{command:?} logged it");
    }
    let mut found = Vec::new();
    files(lab.path("state").as_path(), &mut found);
    assert!(found.iter().any(|(name, _)| name.ends_with("events.jsonl")), "{found:?}");
    assert!(found.iter().any(|(name, _)| name.ends_with(".journal")), "{id}: {found:?}");
    for (name, bytes) in found {
        // The simulator's own world holds the tokens it accepts.
        assert!(name.contains("/sim/") || !holds(&bytes, &canary), "{name} holds it");
    }
}
