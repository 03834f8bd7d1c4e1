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
tls: {}
";
const PROFILE: &str = "
kind: cluster
name: all
network: {}
talos: { factory: {}, vip: {} }
flux: {}
nodes: { controlplane: { assignments: [{}] } }
";
const VM: &str = "
kind: vm
name: all
disks: { scsi0: {} }
efidisk0: {}
tpmstate0: {}
networks: { net0: {} }
cloudinit: { ipconfig: { 0: {} } }
";

#[test]
fn the_tables_are_complete() {
    let lab = Lab::bare();
    lab.write("cluster-config.yaml", CONFIG);
    lab.write("clusters/all.yaml", PROFILE).write("vms/all.yaml", VM);
    lab.load(&["clusters", "vms"]);
    let decoded = met::all();
    let tables = schema::titled();
    let of_the_table = |what: &&str| *what != "this key";
    let decoded: BTreeMap<_, _> = decoded.into_iter().filter(|(w, _)| of_the_table(w)).collect();
    for (what, keys) in &tables {
        let found = decoded.get(what).cloned().unwrap_or_default();
        let missing: Vec<_> = found.difference(keys).collect();
        let invented: Vec<_> = keys.difference(&found).collect();
        assert!(missing.is_empty() && invented.is_empty(), "{what}: +{missing:?} -{invented:?}");
    }
    let unknown: Vec<_> = decoded.keys().filter(|what| !tables.contains_key(*what)).collect();
    assert!(unknown.is_empty(), "mappings without a table: {unknown:?}");
}
