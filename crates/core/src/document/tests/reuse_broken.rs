//! Layers, includes, variables, placeholders and counts: what people see when they are wrong.

use super::lab::{CONFIG, Lab, PROFILE};
use super::reuse::{LAYERED, SERVER, given};
use crate::document::{Given, load};

fn vm(text: &str) -> String {
    Lab::new().write("vm.yaml", text).problems(&["vm.yaml"])
}

/// The problems of [`LAYERED`] with `from` replaced by `to`.
fn layered(from: &str, to: &str) -> String {
    assert!(LAYERED.contains(from), "{from}");
    let lab = Lab::new();
    lab.write("clusters/web.yaml", LAYERED.replacen(from, to, 1));
    lab.write("clusters/parts/server.yaml", SERVER);
    lab.problems(&["clusters"])
}

fn problems_with(lab: &Lab, variables: Given) -> String {
    let mut options = lab.options(&["vm.yaml"]);
    options.variables = variables;
    lab.render(&load(&options))
}

#[test]
fn includes_that_cannot_be_read() {
    let lab = Lab::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("x.yaml"), "cores: 1\n").unwrap();
    let outside = outside.path().join("x.yaml");
    let include = |name: &str| {
        lab.write("vm.yaml", format!("name: web\ninclude: {name}\n"));
        lab.problems(&["vm.yaml"]).replace(&outside.display().to_string(), "/OUTSIDE/x.yaml")
    };
    insta::assert_snapshot!("include_missing", include("parts/missing.yaml"));
    insta::assert_snapshot!("include_placeholder", include("\"{var.site}.yaml\""));
    // The width of the snippet depends on the name of the folder; its words do not.
    let text = include(&outside.display().to_string());
    assert!(text.contains("is outside"), "{text}");
    lab.write("parts/list.yaml", "[a, b]\n");
    insta::assert_snapshot!("include_list", include("parts/list.yaml"));
    lab.write("parts/two.yaml", "cores: 1\n---\ncores: 2\n");
    insta::assert_snapshot!("include_two", include("parts/two.yaml"));
    lab.write("parts/broken.yaml", "cores: [1\n");
    lab.write("parts/outer.yaml", "include: broken.yaml\n");
    insta::assert_snapshot!("include_broken", include("parts/outer.yaml"));
    lab.write("parts/keys.yaml", "croes: 1\nname: x\nmemory: lots\n");
    insta::assert_snapshot!("include_keys", include("parts/keys.yaml"));
}

#[test]
fn includes_in_circles() {
    let lab = Lab::new();
    lab.write("vm.yaml", "name: web\ninclude: a.yaml\n");
    lab.write("a.yaml", "include: [b.yaml]\n").write("b.yaml", "cores: 1\ninclude: a.yaml\n");
    insta::assert_snapshot!(lab.problems(&["vm.yaml"]));
}

#[test]
fn includes_too_deep() {
    let lab = Lab::new();
    lab.write("vm.yaml", "name: web\ninclude: includes/0.yaml\n");
    for n in 0..20 {
        lab.write(&format!("includes/{n}.yaml"), format!("include: {}.yaml\n", n + 1));
    }
    let text = lab.problems(&["vm.yaml"]);
    assert!(text.contains("more than 8 files include each other"), "{text}");
}

#[test]
fn variables_without_values() {
    insta::assert_snapshot!(vm(
        "name: web\nvariables: {size: {type: number}}\ncores: \"{var.size}\"\n"
    ));
}

#[test]
fn unknown_variables_and_placeholders() {
    insta::assert_snapshot!(vm("
name: web
variables: {cores: 2}
cores: \"{var.croes}\"
memory: \"{indx}\"
description: \"{each} {index} {vmid} {group}\"
tags: [\"{Name}\"]
"));
}

#[test]
fn placeholders_without_quotes() {
    insta::assert_snapshot!(vm(
        "name: web\nvariables: {cores: 2}\ncores: {var.cores}\ntags: [{index:02}]\n"
    ));
}

#[test]
fn values_of_the_wrong_type() {
    let lab = Lab::new();
    lab.write(
        "vm.yaml",
        "name: web\nvariables:\n  a: {type: number, default: x}\n  b: {type: bool}\n  c: 1\n  \
         d: {type: list}\n  e: {allowed: [small, large], default: small}\n  F: 1\n  \
         g: {type: int}\n  h: {required: true, default: 1}\n",
    );
    lab.write("vars", "c: [1]\nd: x\n");
    let variables = given(&[("b", "maybe"), ("e", "huge")], &["vars"], &[]);
    insta::assert_snapshot!(problems_with(&lab, variables));
}

#[test]
fn values_that_nobody_asked_for() {
    let lab = Lab::new();
    lab.write("vm.yaml", "name: web\ncores: \"{var.cores}\"\nvariables: {cores: 1}\n");
    lab.write("vars", "core: 1\npassword: hunter2\n");
    let variables = given(&[("coers", "hunter2")], &["vars"], &[("PVX_VAR_OTHER", "hunter2")]);
    let text = problems_with(&lab, variables);
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn secrets_of_variables_are_not_shown() {
    let lab = Lab::new();
    lab.write(
        "vm.yaml",
        "name: web\nvariables:\n  a: {sensitive: true}\n  b: {sensitive: true, allowed: [x]}\n  \
         c: {sensitive: true, type: number}\n  d: {sensitive: true, default: hunter2}\n  \
         e: {type: number, sensitive: true}\n\
         description: \"{var.a}\"\ntags: [\"t{var.a}\"]\ncloudinit: {user: \"{var.a}\"}\n",
    );
    lab.write("vars", "# hunter2\nb: hunter2\nc: hunter2 # hunter2\n");
    lab.write("broken", "# hunter2\nb: [hunter2\nx: }hunter2\n");
    lab.write("words", "hunter2\n");
    let files = ["vars", "broken", "words", "missing"];
    let variables = given(&[("a", "hunter2")], &files, &[("PVX_VAR_E", "hunter2")]);
    assert!(!format!("{variables:?}").contains("hunter2"));
    let mut options = lab.options(&["vm.yaml"]);
    options.variables = variables;
    let loaded = load(&options);
    let text = lab.render(&loaded);
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!format!("{:?}", loaded.desired).contains("hunter2"));
    insta::assert_snapshot!(text);
}

#[test]
fn counts_that_contradict() {
    insta::assert_snapshot!(
        "groups",
        layered("    for_each:\n", "    count: 2\n    assignments: [{name: x}]\n    for_each:\n")
    );
    insta::assert_snapshot!(
        "names",
        layered("      blue:\n", "      blue: {name: x, croes: 1}\n      Blau_1:\n")
    );
    insta::assert_snapshot!("standalone", vm("name: web\ncount: 2\n"));
    insta::assert_snapshot!("one", vm("name: web\nstart_ip: 10.0.0.1\nstart_vmid: 1000\n"));
    insta::assert_snapshot!(
        "none",
        layered(
            "for_each:\n      blue:\n      green: {cores: 8, disks: {scsi1: 20G}, networks: {net1: }, node: pve02}",
            "for_each: 3"
        )
    );
}

#[test]
fn addresses_that_run_out() {
    insta::assert_snapshot!("gateway", layered("10.0.0.61/24", "10.0.0.0/24"));
    insta::assert_snapshot!(
        "network",
        layered("10.0.0.61/24", "10.0.0.6/29").replace("count: 2", "count: 9")
    );
    insta::assert_snapshot!(
        "twice",
        layered("start_vmid: 1010\n", "start_vmid: 1010\n    start_ip: 10.0.0.62/24\n")
    );
}

#[test]
fn former_names_that_contradict() {
    insta::assert_snapshot!(
        "moved",
        layered(
            "nodes:\n",
            "moved:\n  - {from: cp02, to: cp01}\n  - {from: x, to: worker-blue}\n  - {from: x, to: worker-green}\n  - {from: y, to: cp03}\n  - {from: a/b/c, to: cp02}\n  - {to: cp02}\nnodes:\n"
        )
    );
}

#[test]
fn pinned_to_nothing() {
    let text = PROFILE.replace("count: 1,", "count: 1, placement: pinned,");
    insta::assert_snapshot!(Lab::new().write("k3s.yaml", text).problems(&["k3s.yaml"]));
}

/// What is wrong is where the variable is used; who gave the value is said with it.
#[test]
fn bad_values_of_variables() {
    let lab = Lab::new();
    lab.write(
        "vm.yaml",
        "name: web\ninclude: part.yaml\nvariables: {cores: 1, unit: G}\nmemory: \"1{var.unit}\"\n",
    );
    lab.write("part.yaml", "cores: \"{var.cores}\"\n").write("vars", "unit: X\n");
    insta::assert_snapshot!(problems_with(&lab, given(&[("cores", "99999")], &["vars"], &[])));
}

#[test]
fn a_broken_fragment_is_said_once() {
    let lab = Lab::new();
    lab.write("vms/a.yaml", "name: a\ninclude: b.yaml\n").write("vms/b.yaml", "cores: [\n");
    assert_eq!(lab.load(&["vms"]).diagnostics.len(), 1);
}

/// Neither includes nor counts make a run that fills the memory.
#[test]
fn what_is_repeated_is_bounded() {
    let lab = Lab::new();
    let large: String = (0..4000).map(|n| format!("k{n}: [1,2,3,4,5]\n")).collect();
    lab.write("includes/large.yaml", large);
    let many = vec!["includes/large.yaml"; 200].join(", ");
    lab.write("vm.yaml", format!("name: web\ninclude: [{many}]\n"));
    let text = lab.problems(&["vm.yaml"]);
    assert!(text.contains("more than 100000 values are included"), "{text}");
    let long: String = (0..3000).map(|n| format!("k{n}: 1\n")).collect();
    lab.write("vm.yaml", format!("name: web{{index}}\ncount: 1000\n{long}"));
    let text = lab.problems(&["vm.yaml"]);
    assert!(text.contains("these guests say too much"), "{text}");
}

#[test]
fn unknown_choices() {
    let lab = Lab::new();
    lab.write(
        "cluster-config.yaml",
        CONFIG.replace("defaults:\n", "defaults:\n  placement: pakc\n  moved: x\n"),
    );
    lab.write("vm.yaml", "name: web\napply_changes: now\ncores: 1\n");
    insta::assert_snapshot!(lab.problems(&["vm.yaml"]));
}
