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
