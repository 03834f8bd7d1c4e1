//! The tables of the reference name every key that is decoded, and no other.

use std::collections::BTreeMap;

use super::lab::Lab;
use crate::document::decode::fields::met;
use crate::schema;

/// Every mapping there is, once. What is wrong with them does not matter.
const CONFIG: &str = "
cluster: { nodes: [{}] }
defaults: {}
vmid_ranges: {}
credentials: {}
cloudinit: {}
ansible: {}
talos: {}
preflight: { overcommit: {} }
apply: {}
tls: {}
policy: { windows: [{}], freeze: [{}], rules: [{}], files: policies.yaml }
";
const PROFILE: &str = "
kind: cluster
name: all
network: {}
talos: { factory: {}, vip: {} }
flux: {}
nodes: { controlplane: { assignments: [{}] } }
defaults: {}
moved: [{}]
";
const VM: &str = "
kind: vm
name: all
disks: { scsi0: {} }
efidisk0: {}
tpmstate0: {}
networks: { net0: {} }
cloudinit: { ipconfig: { 0: {} }, cicustom: {}, password: {} }
ha: {}
include: common.yaml
variables: { all: { type: text, default: a } }
";

#[test]
fn the_tables_are_complete() {
    let lab = Lab::bare();
    lab.write("cluster-config.yaml", CONFIG);
    lab.write("clusters/all.yaml", PROFILE).write("vms/all.yaml", VM);
    lab.write("vms/common.yaml", "cores: 2\n").write("policies.yaml", "rules: []\n");
    lab.load(&["clusters", "vms"]);
    let decoded = met::all();
    let tables = schema::titled();
    // Keys of the table have tests of their own; the other is a part of a profile.
    let of_the_table = |what: &&str| {
        *what != "VM keys of a profile" && !schema::KEYS.iter().any(|key| key.name == *what)
    };
    let decoded: BTreeMap<_, _> = decoded.into_iter().filter(|(w, _)| of_the_table(w)).collect();
    let mut wrong = Vec::new();
    for (what, keys) in &tables {
        let found = decoded.get(what).cloned().unwrap_or_default();
        let missing: Vec<_> = found.difference(keys).collect();
        let invented: Vec<_> = keys.difference(&found).collect();
        if !missing.is_empty() || !invented.is_empty() {
            wrong.push(format!("{what}: +{missing:?} -{invented:?}"));
        }
    }
    let unknown: Vec<_> = decoded.keys().filter(|what| !tables.contains_key(*what)).collect();
    wrong.extend(unknown.iter().map(|what| format!("{what} has no table")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
