//! `apply` of the configuration.

use std::time::Duration;

use super::lab::Lab;

const ALL: &str = "
apply:
  parallel: 8
  per_node: 4
  per_storage: { default: 6, local-lvm: 2 }
  per_template: 3
  lock_wait: 2
";

#[test]
fn bounds_are_read() {
    let lab = Lab::bare();
    lab.write("cluster-config.yaml", ALL);
    let loaded = lab.load(&[]);
    let limits = loaded.config.as_ref().unwrap().apply.limits();
    assert_eq!((limits.total, limits.per_node, limits.per_template), (8, 4, 3));
    assert_eq!((limits.per_storage, limits.storages["local-lvm"]), (Some(6), 2));
    assert_eq!(limits.lock_wait, Duration::from_secs(2));
    lab.write("cluster-config.yaml", "apply: { per_storage: 5 }\n");
    let limits = lab.load(&[]).config.as_ref().unwrap().apply.limits();
    assert_eq!((limits.per_storage, limits.storages.len(), limits.total), (Some(5), 0, 256));
}

#[test]
fn what_is_wrong_has_its_place() {
    let lab = Lab::bare();
    let text =
        "apply:\n  parallel: 0\n  per_storage: { local: many }\n  lock_wait: 9\n  per_nodes: 3\n";
    lab.write("cluster-config.yaml", text);
    let problems = lab.problems(&["."]);
    for place in ["2:13", "3:25", "4:14", "5:3"] {
        assert!(problems.contains(&format!("cluster-config.yaml:{place}")), "{place}\n{problems}");
    }
    assert!(problems.contains("did you mean 'per_node'?"), "{problems}");
}
