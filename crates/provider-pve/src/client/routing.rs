//! Which endpoint a request goes to.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Endpoint;

/// The endpoints, and which of them did not serve of late.
#[derive(Debug)]
pub(super) struct Router {
    endpoints: Vec<State>,
    skip_for: Duration,
    /// Whose turn it is to serve a read that is about no node.
    turn: AtomicUsize,
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

/// What is to be sent where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) node: Option<&'a str>,
    pub(super) write: bool,
    /// Endpoints that gave this request no answer.
    pub(super) tried: &'a [usize],
}

/// An endpoint to try.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) at: usize,
    pub(super) endpoint: &'a Endpoint,
    /// It did not serve a while ago; this read finds out whether it does again.
    pub(super) probe: bool,
}

/// How an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Up,
    Down,
    /// It was passed over for long enough.
    Overdue,
}

impl Router {
    pub(super) fn new(endpoints: Vec<Endpoint>, skip_for: Duration) -> Self {
        let state = |endpoint| State { endpoint, down: Mutex::new(None) };
        let endpoints = endpoints.into_iter().map(state).collect();
        Self { endpoints, skip_for, turn: AtomicUsize::new(0) }
    }

    /// The endpoints in the order in which they are to be tried: the node's own first. Reads about
    /// no node, or about one without an endpoint, take turns; writes take the order as given. What
    /// was tried comes last. Endpoints that are passed over are left out, unless nothing else is
    /// left; one that was passed over for long enough is probed by a single read.
    pub(super) fn candidates(&self, wanted: Wanted<'_>) -> Vec<Candidate<'_>> {
        let now = Instant::now();
        let own = |at: usize| self.own(at, wanted.node);
        let any_own = (0..self.endpoints.len()).any(own);
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for (at, state) in self.endpoints.iter().enumerate() {
            let is_for_it = !wanted.write && (!any_own || own(at));
            let (probe, serves) = match state.health(now) {
                Health::Up => (false, true),
                Health::Overdue if is_for_it && state.claim(now, self.skip_for) => (true, true),
                Health::Overdue | Health::Down => (false, false),
            };
            let candidate = Candidate { at, endpoint: &state.endpoint, probe };
            if serves { first.push(candidate) } else { last.push(candidate) }
        }
        if !wanted.write && !any_own && !first.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % first.len();
            first.rotate_left(turn);
        }
        if first.is_empty() {
            first = last;
        }
        // A stable sort: all else stays in its order.
        first.sort_by_key(|c| (wanted.tried.contains(&c.at), !c.probe, !own(c.at)));
        first
    }

    /// Whether some endpoint that is up was not tried.
    pub(super) fn has_other(&self, tried: &[usize]) -> bool {
        let now = Instant::now();
        let up =
            |(at, state): (usize, &State)| !tried.contains(&at) && state.health(now) == Health::Up;
        self.endpoints.iter().enumerate().any(up)
    }

    fn own(&self, at: usize, node: Option<&str>) -> bool {
        let endpoint = self.endpoints.get(at).and_then(|state| state.endpoint.node.as_deref());
        node.is_some() && endpoint == node
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
    fn health(&self, now: Instant) -> Health {
        match self.down.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Health::Up,
            Some(down) if down.until > now => Health::Down,
            Some(_) => Health::Overdue,
        }
    }

    /// Takes the probe: meanwhile all others pass the endpoint over.
    fn claim(&self, now: Instant, skip_for: Duration) -> bool {
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        match down.as_mut() {
            Some(down) if down.until <= now => {
                down.until = now + skip_for;
                true
            }
            _ => false,
        }
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

    fn names(candidates: &[Candidate<'_>]) -> String {
        let name = |c: &Candidate<'_>| {
            let mark = if c.probe { "?" } else { "" };
            format!("{}{mark}", c.endpoint.node.as_deref().unwrap_or_default())
        };
        candidates.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    fn read(router: &Router, node: Option<&str>, tried: &[usize]) -> String {
        names(&router.candidates(Wanted { node, write: false, tried }))
    }

    fn write(router: &Router, node: Option<&str>) -> String {
        names(&router.candidates(Wanted { node, write: true, tried: &[] }))
    }

    fn down(router: &Router, name: &str) {
        let state = router.endpoints.iter().find(|s| s.endpoint.node.as_deref() == Some(name));
        router.mark_down(&state.unwrap().endpoint, "refused");
    }

    #[tokio::test(start_paused = true)]
    async fn the_node_comes_first_and_what_is_about_no_node_takes_turns() {
        let router = router();
        assert_eq!(read(&router, None, &[]), "pve1 pve2 pve3");
        assert_eq!(read(&router, None, &[]), "pve2 pve3 pve1");
        assert_eq!(read(&router, Some("other"), &[]), "pve3 pve1 pve2");
        for _ in 0..2 {
            assert_eq!(read(&router, Some("pve3"), &[]), "pve3 pve1 pve2");
            assert_eq!(write(&router, Some("pve3")), "pve3 pve1 pve2");
            assert_eq!(write(&router, None), "pve1 pve2 pve3");
        }
        assert_eq!(read(&router, Some("pve3"), &[2]), "pve1 pve2 pve3");
        assert!(router.has_other(&[0, 1]) && !router.has_other(&[0, 1, 2]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_dead_are_passed_over_and_probed_by_one_read() {
        let router = router();
        down(&router, "pve3");
        assert_eq!(read(&router, Some("pve3"), &[]), "pve1 pve2");
        assert_eq!(router.passed_over()[0].1, "refused");
        assert!(!router.has_other(&[0, 1]));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(read(&router, Some("pve1"), &[]), "pve1 pve2", "not its business");
        assert_eq!(write(&router, Some("pve3")), "pve1 pve2", "a write probes nothing");
        assert_eq!(read(&router, Some("pve3"), &[]), "pve3? pve1 pve2");
        assert_eq!(read(&router, Some("pve3"), &[]), "pve1 pve2", "one is enough");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(read(&router, None, &[]).starts_with("pve3? "));
        router.mark_up(&"10.0.0.3".parse::<Endpoint>().unwrap().with_node("pve3"));
        assert_eq!(read(&router, Some("pve3"), &[]), "pve3 pve1 pve2");
    }

    #[tokio::test(start_paused = true)]
    async fn tries_all_when_all_are_down() {
        let router = router();
        for name in ["pve1", "pve2", "pve3"] {
            down(&router, name);
        }
        assert_eq!(read(&router, Some("pve2"), &[]), "pve2 pve1 pve3");
        router.mark_up(&"10.0.0.1".parse::<Endpoint>().unwrap().with_node("pve1"));
        assert_eq!(read(&router, Some("pve2"), &[]), "pve1");
    }
}
