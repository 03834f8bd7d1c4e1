//! Nodes that documents name are nodes of the cluster.

use super::super::decode::config::unknown_node;
use super::Documents;
use crate::desired::Scope;
use crate::diagnostic::Diagnostic;

/// Without a configuration no node is known, and the live cluster decides.
pub(super) fn check(documents: &Documents, scope: &Scope, problems: &mut Vec<Diagnostic>) {
    if scope.nodes.is_empty() {
        return;
    }
    let groups = documents.profiles.iter().flat_map(|profile| &profile.groups);
    let assigned =
        groups.flat_map(|group| &group.assignments).filter_map(|item| item.node.as_ref());
    let standalone = documents.standalone.iter().filter_map(|vm| vm.node.as_ref());
    for node in assigned.chain(standalone) {
        if !scope.nodes.iter().any(|known| known.value == node.value) {
            problems.push(unknown_node(node, &scope.nodes));
        }
    }
}
