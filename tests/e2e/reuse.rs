//! Defaults, includes, variables and counts, and `pvx show --explain`, which says where each value
//! is from. No cluster is asked.

use serde_json::Value;

use crate::environment::{Environment, repository};

/// The example of docs/how-to/reuse.md.
fn example() -> Environment {
    let environment = Environment::new();
    for name in [
        "cluster-config.yaml",
        "clusters/web.yaml",
        "vms/runner.yaml",
        "includes/server.yaml",
        "prod.yaml",
    ] {
        let path = repository().join("examples/reuse").join(name);
        environment.write(name, &std::fs::read_to_string(path).unwrap());
    }
    environment
}

fn explain(environment: &Environment, args: &[&str]) -> Value {
    let all = [&["show", "--explain", "--format", "json"], args].concat();
    serde_json::from_str(&environment.pvx(&all).expect(0).stdout).unwrap()
}

/// `FILE:LINE` and layer of a value.
fn origin(explanation: &Value, path: &str, value: &str) -> (String, String) {
    let values = explanation["values"].as_array().unwrap();
    let found = values.iter().find(|v| v["path"] == path && v["value"] == value);
    let found = found.unwrap_or_else(|| panic!("no {path} = {value} in {explanation:#}"));
    let position = &found["position"];
    let place = match position {
        Value::Null => String::new(),
        _ => format!("{}:{}", position["file"].as_str().unwrap(), position["line"]),
    };
    (place, found["layer"].as_str().unwrap().to_owned())
}

/// The line of a file that begins with `text`, white space aside.
fn line(environment: &Environment, file: &str, text: &str) -> String {
    let lines = environment.read(file);
    let index = lines.lines().position(|line| line.trim_start().starts_with(text)).unwrap();
    format!("{file}:{}", index + 1)
}

#[test]
fn values_of_five_layers_name_file_and_line() {
    let lab = example();
    let green = explain(&lab, &["web/web-green"]);
    let web = "clusters/web.yaml";
    for (path, value, file, text, layer) in [
        ("onboot", "true", "cluster-config.yaml", "onboot:", "defaults"),
        ("networks.net0.bridge", "vmbr0", "cluster-config.yaml", "network_bridge:", "defaults"),
        ("disks.scsi2.ssd", "true", "includes/server.yaml", "scsi2:", "include"),
        ("memory", "2048", "includes/server.yaml", "memory: \"", "include"),
        ("clone", "linked", web, "clone:", "profile defaults"),
        ("template", "debian-13", web, "template:", "profile"),
        ("cloudinit.ipconfig.0.gw", "10.0.0.1", web, "network:", "profile network"),
        ("cloudinit.ipconfig.0.ip", "10.0.0.72/24", web, "start_ip: 10.0.0.71", "group workers"),
        ("vmid", "1011", web, "start_vmid: 1010", "group workers"),
        ("tags", "green", web, "tags: [\"", "group workers"),
        ("cores", "4", web, "green:", "VM"),
        ("disks.scsi2.size", "20G", web, "green:", "VM"),
        ("node", "pve2 (pinned)", web, "green:", "VM"),
    ] {
        let expected = (line(&lab, file, text), layer.to_owned());
        assert_eq!(origin(&green, path, value), expected, "{path}");
    }
    let derived = origin(&green, "tags", "pvx-web");
    assert_eq!(derived, (String::new(), "the profile's mark".to_owned()));
}

#[test]
fn variables_say_who_gave_them() {
    let lab = example();
    let memory = |args: &[&str], environment: &[(&str, &str)]| {
        let mut command =
            lab.command(&[&["show", "web/cp01", "--explain", "--format", "json"], args].concat());
        command.envs(environment.iter().copied());
        let output = command.output().unwrap();
        let explanation: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let values = explanation["values"].as_array().unwrap();
        let found = values.iter().find(|value| value["path"] == "memory").unwrap();
        let variable = &found["variables"][0];
        let line = variable["position"]["line"].as_u64();
        (found["value"].as_str().unwrap().to_owned(), variable["from"].clone(), line)
    };
    let environment = [("PVX_VAR_MEMORY", "3072")];
    let file = ["--var-file", "prod.yaml"];
    assert_eq!(memory(&[], &[]), ("2048".to_owned(), "default".into(), Some(3)));
    assert_eq!(memory(&[], &environment), ("3072".to_owned(), "PVX_VAR_MEMORY".into(), None));
    assert_eq!(memory(&file, &environment), ("4096".to_owned(), "--var-file".into(), Some(3)));
    let flag = ["--var-file", "prod.yaml", "--var", "memory=8192"];
    assert_eq!(memory(&flag, &environment), ("8192".to_owned(), "--var".into(), None));
}

#[test]
fn people_read_it_in_80_columns() {
    let lab = example();
    let run = lab.pvx(&["show", "web/web-green", "--explain", "--var", "site=prod"]).expect(0);
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
    insta::assert_snapshot!(run.stdout);
}

#[test]
fn a_guest_that_is_not_there_and_variables_that_nobody_declares() {
    let lab = example();
    let run = lab.pvx(&["show", "web/web-gren", "--explain"]).expect(1);
    assert!(run.stderr.contains("did you mean web/web-green?"), "{}", run.stderr);
    let run = lab.pvx(&["validate", "--var", "sites=prod"]).expect(1);
    assert!(run.stderr.contains("did you mean 'site'?"), "{}", run.stderr);
    let run = lab.pvx(&["validate", "--var", "site"]).expect(1);
    assert!(run.stderr.contains("expected NAME=VALUE"), "{}", run.stderr);
}

/// The value of a sensitive variable is in no output, whatever is wrong.
#[test]
fn sensitive_values_are_not_shown() {
    let lab = Environment::new();
    lab.write(
        "vms/a.yaml",
        "name: a\ncores: 1\nvariables: {key: {sensitive: true}, n: 1}\ndescription: \"{var.key}\"\n",
    );
    lab.write("values.yaml", "key: hunter2\nn: [hunter2]\nother: hunter2 # hunter2\n");
    for args in [
        ["validate", "--var", "key=hunter2"],
        ["validate", "--var-file", "values.yaml"],
        ["validate", "--var", "other=hunter2"],
    ] {
        for format in ["human", "json"] {
            let mut command = lab.command(&[&args[..], &["--format", format, "-vvv"]].concat());
            command.env("PVX_VAR_KEY", "hunter2");
            let output = command.output().unwrap();
            let text = [output.stdout, output.stderr].concat();
            let text = String::from_utf8(text).unwrap();
            assert!(!output.status.success() && !text.contains("hunter2"), "{args:?} {text}");
        }
    }
}

/// What was explained is what is made.
#[test]
fn the_example_is_applied_and_then_nothing_is_left() {
    let lab = example();
    lab.sim(&["apply", "--yes", "--var-file", "prod.yaml"]).expect(0);
    lab.sim(&["plan", "--detailed-exitcode", "--var-file", "prod.yaml"]).expect(0);
    let (_, status) = lab.sim_json(&["status", "--var-file", "prod.yaml"]);
    let rows: Vec<String> = status["guests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|g| format!("{} {} {}", g["address"], g["vmid"], g["addresses"]).replace('"', ""))
        .collect();
    insta::assert_snapshot!(rows.join("\n"));
}
