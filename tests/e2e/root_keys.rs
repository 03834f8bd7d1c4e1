//! Keys that only root@pam may change go over SSH, and what was set by hand is left alone.
//!
//! Where OpenSSH's `ssh` is not installed the first test says so and is skipped; with
//! `PVX_TEST_SSH` set in the environment it fails instead.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::environment::Environment;

const VM: &str = "vms/db.yaml";
const CONFIG: &str = "cluster: { name: lab }\ndefaults: { storage: shared }\n";

fn vm(keys: &str) -> String {
    format!(
        "kind: vm\nname: db\nvmid: 1000\nnode: pve1\ndisks: {{ scsi0: 1G }}\npower: stopped\n{keys}"
    )
}

fn has_ssh() -> bool {
    let found = Command::new("ssh").arg("-V").stdin(Stdio::null()).output().is_ok();
    assert!(found || std::env::var_os("PVX_TEST_SSH").is_none(), "OpenSSH's ssh is not installed");
    found
}

#[test]
fn they_are_set_changed_and_removed() {
    if !has_ssh() {
        return;
    }
    let lab = Environment::new();
    lab.write("cluster-config.yaml", CONFIG);
    let steps = [
        ("args: -no-hpet -S\naffinity: [0, 1]\nhugepages: any\nnuma: true\n", json!("-no-hpet -S")),
        ("args: -no-shutdown\naffinity: 0-1\n", json!("-no-shutdown")),
        ("", json!(null)),
    ];
    for (keys, args) in steps {
        lab.write(VM, &vm(keys));
        lab.sim(&["apply", "--yes", "vms"]).expect(0);
        let run = lab.sim(&["plan", "--detailed-exitcode", "vms"]).expect(0);
        assert!(run.stdout.contains("no changes"), "{keys}: {}", run.stdout);
        let (_, shown) = lab.sim_json(&["show", "vm/db", "vms"]);
        assert_eq!(shown["config"]["args"], args, "{keys}");
    }
    let (_, shown) = lab.sim_json(&["show", "vm/db", "vms"]);
    let left = ["affinity", "hugepages", "numa"].map(|key| shown["config"].get(key));
    assert_eq!(left, [None, None, None], "{shown}");
}
