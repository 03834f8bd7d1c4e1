//! The page of what is simulated, made from the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::endpoint::Method;
use super::methods::table;
use super::router::TABLES;

/// What is simulated, by path.
fn simulated() -> BTreeMap<String, BTreeSet<Method>> {
    let mut found: BTreeMap<String, BTreeSet<Method>> = BTreeMap::new();
    for endpoint in TABLES.iter().copied().flatten() {
        let path = endpoint.path.replace("{*", "{");
        found.entry(path).or_default().insert(endpoint.method);
    }
    found
}

/// The group that a path is listed under.
fn group(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let depth = match parts.as_slice() {
        ["nodes", _, ..] => 3,
        ["cluster", ..] => 2,
        _ => 1,
    };
    parts.iter().take(depth).fold(String::new(), |path, part| path + "/" + part)
}

fn page() -> String {
    let simulated = simulated();
    let mut groups: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    let (mut done, mut all) = (0, 0);
    for (path, methods) in table() {
        let have = simulated.get(path);
        let split = |wanted: bool| {
            let names = methods
                .iter()
                .filter(|method| have.is_some_and(|have| have.contains(method)) == wanted);
            names.map(|method| method.name()).collect::<Vec<_>>().join(", ")
        };
        all += methods.len();
        done += methods.iter().filter(|m| have.is_some_and(|have| have.contains(m))).count();
        let line = format!("| `{path}` | {} | {} |", split(true), split(false));
        let group = if path == "/" { "/".to_owned() } else { group(path) };
        groups.entry(group).or_default().push((path.to_owned(), line));
    }
    let mut text = format!(
        "# What of the API is simulated\n\n\
         Proxmox VE 9.2 has {all} methods; {done} of them are simulated. What is not simulated \
         is answered with 501 and a reason that says so; what Proxmox VE does not have either \
         with its own 501.\n\n\
         This page is generated from the tables of the simulator: \
         `UPDATE_COVERAGE=1 cargo test -p pvx-sim coverage`.\n"
    );
    for (group, mut lines) in groups {
        lines.sort();
        let _ =
            write!(text, "\n## `{group}`\n\n| path | simulated | not simulated |\n|---|---|---|\n");
        for (_, line) in lines {
            let _ = writeln!(text, "{}", line.replace("|  |", "| |"));
        }
    }
    text
}

#[test]
fn coverage_page_is_true() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/simulator/coverage.md");
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        std::fs::write(file, page()).unwrap();
    }
    let found = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        found == page(),
        "docs/simulator/coverage.md is old: UPDATE_COVERAGE=1 cargo test -p pvx-sim coverage"
    );
}
