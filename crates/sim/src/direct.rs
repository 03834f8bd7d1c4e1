//! A world that is asked without sockets and without a wall clock.
//!
//! The same path as over HTTPS from the method and the path on; time passes only when it is told
//! to, or when a request waits for a lock. For tests of many requests, and for fuzzing.

use percent_encoding::percent_decode_str;

use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;
use crate::api::router::{Router, TABLES};
use crate::clock::Moment;
use crate::server::answer::{Answer, Shape};
use crate::server::auth::Credentials;
use crate::server::request::{Pending, Step};
use crate::world::World;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// Path below `/api2/json`, and the query.
    pub target: String,
    /// The header `Authorization`.
    pub authorization: Option<String>,
    /// The header `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Status; 0 when the connection would have been dropped.
    pub status: u16,
    /// Reason phrase; empty for the usual one.
    pub reason: String,
    /// Body.
    pub body: Vec<u8>,
}

/// An endpoint, for who makes requests up.
#[derive(Clone, Debug)]
pub struct Described {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// `/nodes/{node}/qemu/{vmid}/config`.
    pub path: &'static str,
    /// Names of the parameters beside those of the path, and their types as the source has them.
    pub params: Vec<(&'static str, String)>,
    /// The keys of a guest's configuration are parameters too.
    pub config_keys: bool,
}

/// A world and its clock.
pub struct Direct {
    world: World,
    router: Router,
    now_ms: i64,
}

impl Direct {
    /// Starts at a point of time, in milliseconds since the epoch.
    #[must_use]
    pub fn new(mut world: World, now_ms: i64) -> Self {
        world.wake(now_ms);
        Self { world, router: Router::new(), now_ms }
    }

    /// The world as it is.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The world, to change it.
    pub fn world_mut(&mut self) -> &mut World {
        &mut self.world
    }

    /// Lets time pass; tasks go on.
    pub fn advance(&mut self, ms: u32) {
        self.pass_until(self.now_ms.saturating_add(i64::from(ms)));
    }

    /// All endpoints.
    #[must_use]
    pub fn endpoints() -> Vec<Described> {
        let all = TABLES.iter().copied().flatten();
        all.map(|endpoint| Described {
            method: endpoint.method.name(),
            path: endpoint.path,
            params: endpoint
                .params
                .iter()
                .map(|param| (param.name, format!("{:?}", param.kind)))
                .collect(),
            config_keys: endpoint.config_keys,
        })
        .collect()
    }

    /// Asks. Where a request has to wait for a lock, time passes.
    pub fn ask(&mut self, ask: &Ask) -> Told {
        let Some(method) = Method::parse(&ask.method) else {
            let reason = format!("method '{}' not available", ask.method);
            return Told { status: 501, reason, body: Vec::new() };
        };
        let (path, query) = match ask.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (ask.target.as_str(), None),
        };
        let path = percent_decode_str(path).decode_utf8_lossy();
        let mut pending = Pending::route(&self.router, method, &path);
        let result = self.carry_out(&mut pending, query, ask);
        match result {
            None => Told { status: 0, reason: String::new(), body: Vec::new() },
            Some(result) => {
                let answer = Answer::of(Shape::Json, &result);
                Told { status: answer.status, reason: answer.reason, body: answer.body }
            }
        }
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now_ms, instant: false }
    }

    fn carry_out(
        &mut self,
        pending: &mut Pending,
        query: Option<&str>,
        ask: &Ask,
    ) -> Option<Result<crate::api::call::Reply, Refusal>> {
        let credentials =
            Credentials { authorization: ask.authorization.clone(), ..Credentials::default() };
        if let Err(refusal) = pending.log_in(&self.world, &credentials, self.moment()) {
            return Some(Err(refusal));
        }
        if let Err(refusal) = pending.read(query, &ask.content_type, &ask.body) {
            return Some(Err(refusal));
        }
        loop {
            let moment = self.moment();
            match pending.step(&mut self.world, moment, "AA:BB") {
                Step::Done(result) => return Some(result),
                Step::Drop => return None,
                Step::Delay(_) => {}
                Step::Blocked(until) => {
                    let due = crate::work::next_due(&self.world).unwrap_or(until);
                    self.pass_until(due.clamp(self.now_ms + 1, until.max(self.now_ms + 1)));
                }
            }
        }
    }

    /// Lets everything happen that is due until then, each at its time.
    fn pass_until(&mut self, until: i64) {
        loop {
            let moment = self.moment();
            crate::work::run_due(&mut self.world, moment);
            let due = crate::work::next_due(&self.world).filter(|due| *due < until);
            match due {
                Some(due) => self.now_ms = due.max(self.now_ms + 1).min(until),
                None => break,
            }
            if self.now_ms >= until {
                break;
            }
        }
        self.now_ms = self.now_ms.max(until);
        let moment = self.moment();
        crate::work::run_due(&mut self.world, moment);
    }
}

impl World {
    /// Looks for what must not be: a guest on no node, a lock that nobody holds, a saved world that
    /// reads back as another.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), String> {
        for (vmid, guest) in &self.guests {
            if guest.vmid != *vmid || !self.nodes.contains_key(&guest.node) {
                return Err(format!("guest {vmid}: it says {} on '{}'", guest.vmid, guest.node));
            }
        }
        for place in self.volumes.keys() {
            let (storage, node) = place.split_once('@').unwrap_or((place, ""));
            if !node.is_empty() && !self.nodes.contains_key(node) {
                return Err(format!("volumes at {place}: no such node ({storage})"));
            }
        }
        for holder in self.locks.holders() {
            let task = self.tasks.get(holder).is_some_and(crate::world::task::Task::running);
            if !task && !self.faults.holds.iter().any(|hold| hold.holder == holder) {
                return Err(format!("a lock is held by {holder}, which does not run"));
            }
        }
        self.check_saved()
    }

    fn check_saved(&self) -> Result<(), String> {
        let saved = self.to_json();
        let again: Self =
            serde_json::from_slice(&saved).map_err(|error| format!("saved world: {error}"))?;
        if again.to_json() != saved {
            return Err("the saved world reads back as another".to_owned());
        }
        Ok(())
    }
}
