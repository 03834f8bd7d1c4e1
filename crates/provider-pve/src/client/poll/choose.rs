//! Which requests tell most with the least of them.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::Ask;

/// A task that is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) upid: &'a str,
    pub(super) node: &'a str,
}

/// One request for everything, where there is one: the task itself when it is alone, its node's list
/// when all are on one node, the cluster's list when they are not. `blind` holds lists that do not
/// show what they should.
pub(super) fn choose(tasks: &[Task<'_>], blind: &BTreeSet<Ask>) -> Vec<Ask> {
    let mut nodes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for task in tasks {
        nodes.entry(task.node).or_default().push(task.upid);
    }
    if nodes.len() > 1 && !blind.contains(&Ask::Cluster) {
        return vec![Ask::Cluster];
    }
    let each = nodes.into_iter().flat_map(|(node, upids)| {
        let list = Ask::Node(node.to_owned());
        if upids.len() > 1 && !blind.contains(&list) {
            vec![list]
        } else {
            upids.into_iter().map(|upid| Ask::Task(upid.to_owned())).collect()
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_few_requests_as_tell_all() {
        let task = |upid, node| Task { upid, node };
        let (a, b, c) = (task("a", "pve1"), task("b", "pve1"), task("c", "pve2"));
        let node = |node: &str| Ask::Node(node.to_owned());
        let one = |upid: &str| Ask::Task(upid.to_owned());
        let table: [(&[Task<'_>], &[Ask], &[Ask]); 7] = [
            (&[], &[], &[]),
            (&[a], &[], &[one("a")]),
            (&[a, b], &[], &[node("pve1")]),
            (&[a, b, c], &[], &[Ask::Cluster]),
            (&[a, c], &[], &[Ask::Cluster]),
            (&[a, b, c], &[Ask::Cluster], &[node("pve1"), one("c")]),
            (&[a, b], &[node("pve1")], &[one("a"), one("b")]),
        ];
        for (tasks, blind, expected) in table {
            let blind = blind.iter().cloned().collect();
            assert_eq!(choose(tasks, &blind), expected, "{tasks:?} {blind:?}");
        }
    }
}
