//! The house itself: which crate may know which, and under which licences the others come.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::environment::repository;

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value[key].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

/// cli → provider-pve → core; cli → sim. The simulator shares no code with what it tests.
#[test]
fn dependency_arrows_hold() {
    let metadata = metadata();
    let members = texts(&metadata, "workspace_members");
    let mut arrows: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        if !members.contains(&package["id"].as_str().unwrap()) {
            continue;
        }
        let to = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        let to = to.map(|d| d["name"].as_str().unwrap()).filter(|n| n.starts_with("pvx"));
        arrows.insert(package["name"].as_str().unwrap(), to.collect());
    }
    let expected = BTreeMap::from([
        ("pvx", vec!["pvx-core", "pvx-provider-pve", "pvx-sim"]),
        ("pvx-core", vec![]),
        ("pvx-provider-pve", vec!["pvx-core"]),
        ("pvx-sim", vec![]),
    ]);
    assert_eq!(arrows, expected);
}

/// Licences that may be linked into a binary under MIT OR Apache-2.0.
const ALLOWED: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

/// `A OR B` needs one of them, `A AND B` all.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    expression
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim())))
}

#[test]
fn licences_are_permissive() {
    let metadata = metadata();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let licence = package["license"].as_str().unwrap_or("none");
        if !is_allowed(licence) {
            wrong.push(format!("{}: {licence}", package["name"].as_str().unwrap()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
