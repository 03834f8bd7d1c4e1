//! A request without its connection: from what came over the wire to a reply, step by step, so
//! that the server can wait between the steps and a test need not.

use std::sync::Arc;

use super::auth::{self, Credentials, Given};
use super::log::Entry;
use crate::api::call::Reply;
use crate::api::carried::Carried;
use crate::api::dispatch::{Request, dispatch};
use crate::api::endpoint::{Endpoint, Method};
use crate::api::methods;
use crate::api::params::Params;
use crate::api::permission::Permission;
use crate::api::refusal::Refusal;
use crate::api::router::Router;
use crate::api::storage_files::UPLOAD;
use crate::api::unsimulated;
use crate::clock::Moment;
use crate::fault::{Facts, RequestEffects, When};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::lock::LockName;

/// A request on its way.
pub(crate) struct Pending {
    /// The node at whose port it was asked; none at the port of all.
    asked: Option<Arc<str>>,
    method: Method,
    path: String,
    /// The endpoint, when there is one, and the parameters so far.
    endpoint: Option<&'static Endpoint>,
    params: Params,
    caller: Result<Caller, String>,
    by_token: bool,
    /// Where an upload lies until it is carried out.
    pub(super) temporary: Option<String>,
    /// Once it is read and its node is known.
    request: Option<Request>,
    effects: RequestEffects,
    /// The lock that it waits for, and until when.
    deadline: Option<(LockName, i64)>,
    /// The work whose outcome is the answer.
    carried: Option<Carried>,
    /// Sim ms at which a refusal is given that takes its time.
    late: Option<i64>,
    /// What came of it, while the answer is held back.
    finished: Option<Result<Reply, Refusal>>,
}

/// How far a request is.
pub(crate) enum Step {
    Done(Result<Reply, Refusal>),
    /// To be tried again when something changed, at the latest at this point of sim time.
    Blocked(i64),
    /// Held back by a fault for so many real milliseconds.
    Delay(u64),
    /// Held by a fault until this point of sim time; without one until the rule is removed.
    Held(Option<i64>),
    /// A fault: the connection is to be closed without an answer.
    Drop,
}

impl Pending {
    /// Looks for the endpoint of a path below `/api2/FORMAT`.
    pub(crate) fn route(router: &Router, method: Method, path: &str) -> Self {
        let (endpoint, params) = router.find(method, path).unzip();
        Self {
            asked: None,
            method,
            path: path.to_owned(),
            endpoint,
            params: params.unwrap_or_default(),
            caller: Err(String::new()),
            by_token: false,
            temporary: None,
            request: None,
            effects: RequestEffects::default(),
            deadline: None,
            carried: None,
            late: None,
            finished: None,
        }
    }

    /// Asked at the port of a node.
    pub(crate) fn at(self, asked: Option<Arc<str>>) -> Self {
        Self { asked, ..self }
    }

    /// Finds out who calls. Only who is logged in learns what else is wrong with a request.
    pub(crate) fn log_in(
        &mut self,
        world: &World,
        credentials: &Credentials,
        moment: Moment,
    ) -> Result<(), Refusal> {
        // A form in a page cannot send the token against forgery: uploads do without.
        let writes = self.method != Method::Get && !self.is_upload();
        self.by_token = matches!(credentials.given(), Given::Token(_));
        self.caller = auth::authenticate(world, credentials, writes, moment.seconds());
        // What needs no login is known by its very path, without slashes too many.
        let open = self
            .endpoint
            .is_some_and(|found| found.permission == Permission::World && found.path == self.path);
        match &self.caller {
            Err(reason) if !open => Err(Refusal::unauthorized(reason)),
            _ => Ok(()),
        }
    }

    /// Reads query and body; what the query names counts (`extract_params`).
    pub(crate) fn read(
        &mut self,
        query: Option<&str>,
        content_type: &str,
        body: &[u8],
    ) -> Result<(), Refusal> {
        let mut given = Params::default();
        if matches!(self.method, Method::Post | Method::Put) {
            if media_type(content_type) == "application/json" {
                given.add_json(body).map_err(|text| Refusal::text_only(500, text))?;
            } else {
                given.add_form(&String::from_utf8_lossy(body));
            }
        }
        let mut asked = Params::default();
        asked.add_form(query.unwrap_or_default());
        given.override_with(asked);
        given.take("_dc");
        let Some(endpoint) = self.endpoint else {
            if methods::exists(self.method, &self.path) {
                self.params = given;
                return Ok(());
            }
            return Err(Refusal::not_implemented(self.method.name(), &self.path));
        };
        self.params.join(given)?;
        if self.by_token && !endpoint.tokens {
            let path = &self.path;
            let text = format!("URI '{path}' not available with API token, need proper ticket.\n");
            return Err(Refusal::permission(&text));
        }
        Ok(())
    }

    /// Whether it is the path that takes multipart forms.
    pub(crate) fn is_upload(&self) -> bool {
        self.endpoint.is_some_and(|found| found.path == UPLOAD)
    }

    /// Who may upload is asked with the login: a refusal has no body.
    pub(crate) fn may_upload(&self, world: &World) -> Result<(), Refusal> {
        let (Some(endpoint), Ok(caller)) = (self.endpoint, &self.caller) else { return Ok(()) };
        endpoint.permission.check(world, caller, &self.params).map_err(|refusal| match refusal {
            Refusal::Message { status, .. } => Refusal::Bare { status, reason: refusal.reason() },
            other => other,
        })
    }

    /// Takes over the fields of an upload and the place of its file.
    pub(crate) fn take_upload(
        &mut self,
        query: Option<&str>,
        fields: Params,
        temporary: &str,
    ) -> Result<(), Refusal> {
        let mut given = Params::default();
        given.add_form(query.unwrap_or_default());
        if given.get("tmpfilename").is_some() {
            let text = "'tmpfilename' query parameter is not allowed for file uploads\n";
            return Err(Refusal::text_only(500, text));
        }
        given.override_with(fields);
        given.take("_dc");
        given.0.insert("tmpfilename".to_owned(), temporary.to_owned());
        self.temporary = Some(temporary.to_owned());
        self.params.join(given)
    }

    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// Below `/api2/FORMAT`.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Whether it could change something: any method but GET, logins apart.
    pub(crate) fn writes(&self) -> bool {
        self.method != Method::Get
            && self.endpoint.is_none_or(|endpoint| endpoint.path != "/access/ticket")
    }

    /// The node whose daemon does it: that of the path, or the one that was asked.
    pub(crate) fn node(&self, world: &World) -> String {
        let named = self.params.get("node").filter(|node| *node != "localhost");
        let below = self.endpoint.is_some_and(|found| found.path.starts_with("/nodes/{node}"));
        let named = named.filter(|_| below);
        let here = self.asked.as_deref().or_else(|| world.answering());
        named.or(here).unwrap_or_default().to_owned()
    }

    /// The line of the log; what the answer was like is not known yet.
    pub(crate) fn entry(&self, bytes_in: u64) -> Entry {
        let params = self.request.as_ref().map_or(&self.params, |request| &request.params);
        Entry {
            method: self.method.name(),
            path: self.path.as_str().into(),
            template: self.endpoint.map(|endpoint| endpoint.path),
            node: params.get("node").map(Into::into),
            asked: self.asked.clone(),
            status: 0,
            bytes_in,
            bytes_out: 0,
            write: self.writes(),
        }
    }

    /// The next step, under the world's lock. To be called again until it is done or dropped.
    pub(crate) fn step(&mut self, world: &mut World, moment: Moment, fingerprint: &str) -> Step {
        world.asked.clone_from(&self.asked);
        let step = self.proceed(world, moment, fingerprint);
        world.asked = None;
        step
    }

    fn proceed(&mut self, world: &mut World, moment: Moment, fingerprint: &str) -> Step {
        crate::work::run_due(world, moment);
        if self.request.is_none() {
            self.begin(world, moment);
            if self.effects.latency_ms > 0 {
                return Step::Delay(self.effects.latency_ms);
            }
        }
        if let Some(result) = self.finished.take() {
            return self.answer(world, moment, result);
        }
        if let Some(step) = self.hold(world, moment, When::Before) {
            return step;
        }
        if let Some(step) = self.instead(When::Before) {
            return step;
        }
        let Some(request) = &self.request else {
            let Ok(caller) = &self.caller else {
                return Step::Done(Err(Refusal::missing(self.method, &self.path)));
            };
            let (method, path) = (self.method, self.path.as_str());
            let refused = unsimulated::refuse(world, caller, method, path, &self.params);
            return Step::Done(Err(refused));
        };
        let mut result = match &self.carried {
            None => dispatch(world, request, moment, fingerprint),
            Some(carried) => Err(Refusal::Carried(carried.clone())),
        };
        if let Err(Refusal::Carried(carried)) = result {
            crate::work::run_due(world, moment);
            let Some(outcome) = carried.outcome(world, moment) else {
                let until = carried.look_at(moment);
                self.carried = Some(carried);
                return Step::Blocked(until);
            };
            result = outcome;
        }
        if let Err(Refusal::Blocked { lock, wait_ms, .. }) = &result {
            let until = match &self.deadline {
                Some((waiting, until)) if waiting == lock => *until,
                _ => moment.now.saturating_add(*wait_ms),
            };
            self.deadline = Some((lock.clone(), until));
            // Nobody gives this one back: there is nothing to wait for when nothing takes time.
            let hopeless = moment.instant && matches!(lock, LockName::NoQuorum { .. });
            if until > moment.now && !hopeless {
                return Step::Blocked(until);
            }
        } else if let Err(Refusal::Late { wait_ms, refusal }) = &result {
            let until = *self.late.get_or_insert(moment.after(*wait_ms));
            if until > moment.now {
                return Step::Blocked(until);
            }
            return Step::Done(Err((**refusal).clone()));
        } else if request.endpoint.method != Method::Get {
            world.revision += 1;
            // What is due at once is done before the answer.
            crate::work::run_due(world, moment);
        }
        self.answer(world, moment, result)
    }

    /// The answer, when no fault holds it back or puts another in its place.
    fn answer(
        &mut self,
        world: &mut World,
        moment: Moment,
        result: Result<Reply, Refusal>,
    ) -> Step {
        if let Some(step) = self.hold(world, moment, When::After) {
            self.finished = Some(result);
            return step;
        }
        self.instead(When::After).unwrap_or(Step::Done(result))
    }

    /// A fault that holds it at this point.
    fn hold(&mut self, world: &mut World, moment: Moment, when: When) -> Option<Step> {
        let held = self.effects.hold.as_mut().filter(|held| held.when == when)?;
        if world.holds_back(held, moment.now) {
            return Some(Step::Held(held.until_ms));
        }
        self.effects.hold = None;
        None
    }

    /// A fault holds it no longer.
    pub(crate) fn let_go(&mut self) {
        self.effects.hold = None;
    }

    /// The first step: the node that `localhost` is, and which faults it meets.
    fn begin(&mut self, world: &mut World, moment: Moment) {
        let Some(endpoint) = self.endpoint else { return };
        local_node(world, &mut self.params);
        let (params, caller) = (std::mem::take(&mut self.params), self.caller.clone());
        self.request = Some(Request { endpoint, params, caller });
        self.meet_faults(world, moment);
    }

    fn meet_faults(&mut self, world: &mut World, moment: Moment) {
        let Some(request) = &self.request else { return };
        if world.faults.is_empty() {
            return;
        }
        let facts = Facts {
            method: self.method.name(),
            path: &self.path,
            template: request.endpoint.path,
            node: request.params.get("node"),
            vmid: request.params.get("vmid").and_then(|vmid| vmid.parse().ok()),
            caller: request.caller.as_ref().map_or("", |caller| caller.authid.as_str()),
        };
        self.effects = world.request_faults(&facts, moment.now);
    }

    /// What a fault puts in the place of the answer.
    fn instead(&self, when: When) -> Option<Step> {
        if self.effects.drop == Some(when) {
            return Some(Step::Drop);
        }
        if self.effects.no_upid == Some(when) {
            let text = "got no worker upid - start worker failed";
            return Some(Step::Done(Err(Refusal::die(text))));
        }
        match &self.effects.answer {
            Some((status, reason, at)) if *at == when => {
                Some(Step::Done(Err(refusal(*status, reason.as_deref()))))
            }
            _ => None,
        }
    }
}

/// `localhost` is the node that answers.
fn local_node(world: &World, params: &mut Params) {
    if params.get("node") == Some("localhost")
        && let Some(node) = world.answering()
    {
        params.0.insert("node".to_owned(), node.to_owned());
    }
}

/// The answer that a fault gives: from 502 on the daemon's own, with an empty body.
fn refusal(status: u16, reason: Option<&str>) -> Refusal {
    let reason = reason.unwrap_or(match status {
        400 => "Parameter verification failed.",
        401 => "authentication failure",
        403 => "Permission check failed",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "internal error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        595 => "Connection refused",
        596 => "Connection timed out",
        597 => "Broken pipe",
        599 => "Too many redirections",
        _ => "error",
    });
    if status == 401 || status >= 502 {
        Refusal::Bare { status, reason: reason.to_owned() }
    } else {
        Refusal::message(status, reason)
    }
}

/// The type of a `Content-Type` without its parameters.
pub(crate) fn media_type(kind: &str) -> &str {
    kind.split([';', ',']).next().unwrap_or_default().trim_end()
}
