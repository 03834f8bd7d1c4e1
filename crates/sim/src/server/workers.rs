//! The workers of a node's daemon: what writes is done by one of three, and the rest waits for its
//! turn (`max_workers` of pvedaemon). The proxy in front of them waits 30 s
//! (`PVE::APIServer::AnyEvent::proxy_request`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::refusal::Refusal;
use crate::clock::Clock;

/// Milliseconds of sim time for which the proxy waits.
pub(super) const PROXY_MS: i64 = 30_000;

/// What the proxy says that waited in vain.
pub(super) fn timed_out() -> Refusal {
    Refusal::Bare { status: 596, reason: "Connection timed out".to_owned() }
}

/// Workers by node.
#[derive(Debug)]
pub(crate) struct Workers {
    /// Per node; 0 for as many as it takes.
    limit: usize,
    nodes: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl Workers {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, nodes: Mutex::default() }
    }

    /// A worker of a node, kept until it is dropped; none when there is no limit. Nobody queues
    /// when nothing takes time.
    pub(crate) async fn take(
        &self,
        node: &str,
        clock: &Clock,
    ) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        if self.limit == 0 || clock.moment().instant {
            return Ok(None);
        }
        let workers = {
            let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
            let make = || Arc::new(Semaphore::new(self.limit));
            Arc::clone(nodes.entry(node.to_owned()).or_insert_with(make))
        };
        match tokio::time::timeout(clock.real(PROXY_MS), workers.acquire_owned()).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(timed_out()),
        }
    }
}
