//! `pvx sim`: worlds, their schema, and serving one from a file.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::environment::{Environment, repository};

/// A server that is ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn worlds_are_listed() {
    let environment = Environment::new();
    let run = environment.pvx(&["sim", "worlds"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stdout.starts_with("NAME   NODES"), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
    let run = environment.pvx(&["sim", "worlds", "--format", "json"]);
    let rows: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&rows[0]["name"], &rows[0]["nodes"]), (&"lab".into(), &3.into()));
}

#[test]
fn the_schema_is_the_one_of_the_documentation() {
    let run = Environment::new().pvx(&["sim", "schema"]);
    let kept = repository().join("docs/reference/world.schema.json");
    assert_eq!(run.stdout, std::fs::read_to_string(kept).unwrap());
}

#[test]
fn a_world_file_is_served_and_says_where() {
    let environment = Environment::new();
    environment.write("w.yaml", "cluster: tiny\nnodes: 2\nguests: [{name: web}]\n");
    let args = ["sim", "serve", "--world", "w.yaml", "--listen", "127.0.0.1:0"];
    let mut command = environment.command(
        &[&args[..], &["--ssh-listen", "127.0.0.1:0"], &["--node-listen", "127.0.0.1:0"]].concat(),
    );
    let mut server = Server(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let mut screen = Vec::new();
    while !screen.last().is_some_and(|line: &String| line.contains("Ctrl-C")) {
        screen.push(lines.next().unwrap().unwrap());
    }
    let text = screen.join("\n");
    for part in [
        "serving https://127.0.0.1:",
        "cluster tiny: 2 nodes, 1 guest, 3 storages",
        "export PVX_TOKEN='root@pam!pvx=5f0c1d1e",
        "root@127.0.0.1  # pve2",
        "/sim",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(screen.iter().all(|line| line.chars().count() <= 80), "{text}");

    let (_, named) = text.split_once("PVX_ENDPOINT=\\\n").unwrap();
    assert_eq!(named.lines().next().unwrap().matches("127.0.0.1:").count(), 2, "{text}");
    let address = text.split_once("serving https://").unwrap().1.lines().next().unwrap();
    let taken = environment.pvx(&["sim", "serve", "--listen", address]);
    assert_eq!(taken.code, 1);
    let said = taken.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("something listens on port"), "{said}");
}

#[test]
fn a_wrong_world_file_is_shown_with_its_place() {
    let environment = Environment::new();
    environment.write("w.yaml", "nodes: [a, b]\nguests:\n  - {node: c}\n");
    let run = environment.pvx(&["sim", "serve", "--world", "w.yaml", "--listen", "127.0.0.1:0"]);
    assert_eq!(run.code, 1);
    for part in ["there is no node 'c'", "w.yaml:3:12"] {
        assert!(run.stderr.contains(part), "no {part} in\n{}", run.stderr);
    }
    let run = environment.pvx(&["sim", "serve", "--world", "moon"]);
    assert!(run.stderr.contains("'moon' is neither a built-in world nor a file"), "{}", run.stderr);
}
