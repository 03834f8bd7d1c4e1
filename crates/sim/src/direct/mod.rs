//! A world that is asked without sockets and without a wall clock.
//!
//! The same path as over HTTPS from the method and the path on; time passes only when it is told
//! to, or when a request waits for a lock. For tests of many requests, and for fuzzing.

mod check;
mod described;

use percent_encoding::percent_decode_str;

pub use described::{Described, Parameter, Shape};

use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;
use crate::api::router::Router;
use crate::clock::Moment;
use crate::fault::Fault;
use crate::server::answer::{self, Answer};
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
    /// The header `Cookie`.
    pub cookie: Option<String>,
    /// The header `CSRFPreventionToken`.
    pub csrf: Option<String>,
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

    /// Puts a rule for faults in force; its id.
    ///
    /// # Errors
    /// The rule cannot mean anything, or names what is not there.
    pub fn add_fault(&mut self, fault: Fault) -> Result<String, String> {
        self.world.add_fault(fault, self.now_ms)
    }

    /// Removes all rules for faults and what they hold in force.
    pub fn clear_faults(&mut self) {
        self.world.clear_faults();
    }

    /// A ticket of a user, and the token against forgery that belongs to it.
    #[must_use]
    pub fn ticket(&self, user: &str) -> (String, String) {
        let now = self.moment().seconds();
        let ticket = crate::server::auth::make_ticket(&self.world, user, now);
        (ticket, crate::server::auth::make_csrf(&self.world, user, now))
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
                let answer = Answer::of(answer::Shape::Json, &result);
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
        let credentials = Credentials {
            authorization: ask.authorization.clone(),
            cookie: ask.cookie.clone(),
            csrf: ask.csrf.clone(),
        };
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
                Step::Held(Some(until)) => self.pass_until(until),
                // Nobody could remove the rule meanwhile.
                Step::Held(None) => pending.let_go(),
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
