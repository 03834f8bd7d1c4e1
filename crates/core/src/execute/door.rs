//! Who asks a node next.

use std::collections::BTreeMap;

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::plan::{Action, Plan};

/// How many actions ask one node at once. It has three workers that answer (pve-manager, `pveproxy`
/// and `pvedaemon`): with these it always has a next request.
const WIDTH: usize = 8;

/// An action asks several times before its task runs: what is there, whether it may be done, and for
/// the thing itself. When hundreds begin at once, the second question of the first would wait for the
/// first one of all others. So they come in by turns, in the order in which they were begun: the
/// longest chain first. A node that does not answer holds up nobody but those who want it.
#[derive(Debug)]
pub(super) struct Doors(BTreeMap<String, Semaphore>);

impl Doors {
    pub(super) fn new(plan: &Plan) -> Self {
        let nodes = plan.actions.iter().map(|action| action.node.clone());
        Self(nodes.map(|node| (node, Semaphore::new(WIDTH))).collect())
    }

    /// Waits for the turn of an action. Over when what is returned is dropped.
    pub(super) async fn enter(&self, action: &Action) -> Option<SemaphorePermit<'_>> {
        // None are ever closed.
        self.0.get(&action.node)?.acquire().await.ok()
    }
}
