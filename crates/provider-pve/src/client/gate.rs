//! How many requests are in flight at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bounds requests in flight per node and in all. pvedaemon and pveproxy run three workers each by
/// default: more than a handful at one node only queue there.
#[derive(Debug)]
pub(super) struct Gate {
    per_node: usize,
    total: Arc<Semaphore>,
    nodes: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Held while a request is in flight.
#[derive(Debug)]
pub(super) struct Pass {
    _node: Option<OwnedSemaphorePermit>,
    _total: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// A bound of 0 would let nothing through and counts as 1.
    pub(super) fn new(per_node: usize, total: usize) -> Self {
        let total = total.clamp(1, Semaphore::MAX_PERMITS);
        let per_node = per_node.clamp(1, Semaphore::MAX_PERMITS);
        Self { per_node, total: Arc::new(Semaphore::new(total)), nodes: Mutex::default() }
    }

    /// Waits for a place. The node's place comes first: who waits for a busy node holds none of
    /// the places that others could use.
    pub(super) async fn enter(&self, node: &str) -> Pass {
        // The semaphores are never closed, so acquiring them cannot fail.
        let node = self.node(node).acquire_owned().await.ok();
        let total = Arc::clone(&self.total).acquire_owned().await.ok();
        Pass { _node: node, _total: total }
    }

    fn node(&self, name: &str) -> Arc<Semaphore> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Semaphore::new(self.per_node));
        Arc::clone(nodes.entry(name.to_owned()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    /// Whether `enter` gets through at once.
    async fn passes(gate: &Gate, node: &str) -> Option<Pass> {
        let mut entering = Box::pin(gate.enter(node));
        match futures::poll!(entering.as_mut()) {
            Poll::Ready(pass) => Some(pass),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn bounds_each_node_and_the_total() {
        let gate = Gate::new(2, 3);
        let first = passes(&gate, "pve1").await.unwrap();
        let _second = passes(&gate, "pve1").await.unwrap();
        assert!(passes(&gate, "pve1").await.is_none(), "third on one node");
        let _third = passes(&gate, "pve2").await.unwrap();
        assert!(passes(&gate, "pve3").await.is_none(), "fourth in all");
        drop(first);
        assert!(passes(&gate, "pve1").await.is_some());
    }

    #[tokio::test]
    async fn zero_counts_as_one() {
        let gate = Gate::new(0, 0);
        assert!(passes(&gate, "pve1").await.is_some());
    }
}
