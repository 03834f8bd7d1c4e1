//! Which endpoint a request goes to.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Endpoint;

/// The endpoints, and which of them could not be connected to of late.
#[derive(Debug)]
pub(super) struct Router {
    endpoints: Vec<State>,
    skip_for: Duration,
}

#[derive(Debug)]
struct State {
    endpoint: Endpoint,
    down: Mutex<Option<Down>>,
}

#[derive(Debug, Clone)]
struct Down {
    until: Instant,
    reason: String,
}

impl Router {
    pub(super) fn new(endpoints: Vec<Endpoint>, skip_for: Duration) -> Self {
        let state = |endpoint| State { endpoint, down: Mutex::new(None) };
        Self { endpoints: endpoints.into_iter().map(state).collect(), skip_for }
    }

    /// The endpoints in the order in which they are to be tried: those of the node first, then the
    /// others as given; those that are passed over are left out, unless nothing else is left.
    pub(super) fn candidates(&self, node: Option<&str>) -> Vec<&Endpoint> {
        let now = Instant::now();
        let mut up: Vec<&State> = self.endpoints.iter().filter(|s| !s.is_down(now)).collect();
        if up.is_empty() {
            up = self.endpoints.iter().collect();
        }
        // A stable sort: endpoints of the node come first, all else stays as given.
        up.sort_by_key(|s| node.is_none() || s.endpoint.node.as_deref() != node);
        up.into_iter().map(|s| &s.endpoint).collect()
    }

    /// Those that are passed over now, with the reason of their last failure.
    pub(super) fn passed_over(&self) -> Vec<(&Endpoint, String)> {
        let now = Instant::now();
        let down = |s: &State| s.down.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.endpoints
            .iter()
            .filter_map(|s| Some((&s.endpoint, down(s).filter(|d| d.until > now)?.reason)))
            .collect()
    }

    /// Notes that an endpoint could not be connected to.
    pub(super) fn mark_down(&self, endpoint: &Endpoint, reason: &str) {
        let down = Down { until: Instant::now() + self.skip_for, reason: reason.to_owned() };
        self.set(endpoint, Some(down));
    }

    /// Notes that an endpoint answered.
    pub(super) fn mark_up(&self, endpoint: &Endpoint) {
        self.set(endpoint, None);
    }

    fn set(&self, endpoint: &Endpoint, down: Option<Down>) {
        if let Some(state) = self.endpoints.iter().find(|s| &s.endpoint == endpoint) {
            *state.down.lock().unwrap_or_else(PoisonError::into_inner) = down;
        }
    }
}

impl State {
    fn is_down(&self, now: Instant) -> bool {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.as_ref().is_some_and(|d| d.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        let endpoint = |n: u8| format!("10.0.0.{n}").parse::<Endpoint>().unwrap();
        let endpoints = (1..=3).map(|n| endpoint(n).with_node(format!("pve{n}"))).collect();
        Router::new(endpoints, Duration::from_secs(30))
    }

    fn order(router: &Router, node: Option<&str>) -> String {
        let names: Vec<_> =
            router.candidates(node).iter().filter_map(|e| e.node.as_deref()).collect();
        names.join(" ")
    }

    #[tokio::test(start_paused = true)]
    async fn prefers_the_node_and_passes_over_the_dead() {
        let router = router();
        assert_eq!(order(&router, None), "pve1 pve2 pve3");
        assert_eq!(order(&router, Some("pve3")), "pve3 pve1 pve2");
        assert_eq!(order(&router, Some("other")), "pve1 pve2 pve3");

        let third = router.candidates(Some("pve3"))[0].clone();
        router.mark_down(&third, "refused");
        assert_eq!(order(&router, Some("pve3")), "pve1 pve2");
        assert_eq!(router.passed_over()[0].1, "refused");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(order(&router, Some("pve3")), "pve3 pve1 pve2");
        assert!(router.passed_over().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn tries_all_when_all_are_down() {
        let router = router();
        for endpoint in router.candidates(None) {
            router.mark_down(endpoint, "refused");
        }
        assert_eq!(order(&router, Some("pve2")), "pve2 pve1 pve3");
        let first = router.candidates(None)[0].clone();
        router.mark_up(&first);
        assert_eq!(order(&router, Some("pve2")), "pve1");
    }
}
