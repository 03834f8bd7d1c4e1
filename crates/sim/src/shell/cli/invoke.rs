//! Calling handlers and following tasks.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::super::Shell;
use super::super::io::Io;
use super::options::{FORMAT, Known};
use super::{Action, After, Command};
use crate::api::call::Reply;
use crate::api::carried::Carried;
use crate::api::dispatch::{Request, dispatch};
use crate::api::endpoint::{Endpoint, Method};
use crate::api::params::Params;
use crate::api::refusal::Refusal;
use crate::api::router::TABLES;
use crate::clock::Moment;
use crate::guest::format::Kind;
use crate::guest::keys;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::lock::LockName;

/// The endpoint with a path template.
pub(super) fn endpoint(method: Method, template: &str) -> Option<&'static Endpoint> {
    let all = TABLES.iter().copied().flatten();
    all.into_iter().find(|endpoint| endpoint.method == method && endpoint.path == template)
}

/// The options that an endpoint's parameters make; those in `fixed` are none.
pub(super) fn known(endpoint: &Endpoint, fixed: &[&str]) -> Vec<Known> {
    let in_path = endpoint.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(Known::new(name.trim_start_matches('*'), Kind::TEXT, true))
    });
    let own =
        endpoint.params.iter().map(|param| Known::new(param.name, param.kind, param.required));
    let mut all: Vec<Known> = in_path.chain(own).collect();
    if endpoint.config_keys {
        all.extend(
            keys::names()
                .filter_map(|name| keys::find(&name).map(|key| Known::new(&name, key.kind, false))),
        );
        all.push(Known::new("cdrom", Kind::TEXT, false));
    }
    all.retain(|known| !fixed.contains(&known.name.as_str()));
    let mut seen = std::collections::BTreeSet::new();
    all.retain(|known| seen.insert(known.name.clone()));
    all
}

impl Shell {
    /// The options of a command.
    pub(super) fn options_of(&self, command: &Command) -> Vec<Known> {
        match command.action {
            Action::Api(method, template, after) => {
                let own = if command.places.contains(&"node") { None } else { Some("node") };
                let fixed: Vec<&str> =
                    command.fixed.iter().map(|(name, _)| *name).chain(own).collect();
                let mut all = match endpoint(method, template) {
                    Some(endpoint) => known(endpoint, &fixed),
                    None => Vec::new(),
                };
                // `pve-password` of `param_mapping`.
                let asks = ["create", "set", "guest passwd", "passwd", "ticket"];
                if asks.contains(&command.words) {
                    for known in &mut all {
                        known.asked = matches!(known.name.as_str(), "password" | "cipassword");
                    }
                }
                let formatted = matches!(
                    after,
                    After::Format
                        | After::Permissions
                        | After::Tasks
                        | After::Certificates
                        | After::Rules
                );
                if formatted {
                    all.extend(FORMAT.iter().map(|(name, flag)| {
                        Known::new(name, if *flag { Kind::Bool } else { Kind::TEXT }, false)
                    }));
                }
                all
            }
            Action::Own(_, options) => options
                .iter()
                .map(|name| match name.strip_prefix('!') {
                    Some(name) => Known::new(name, Kind::Bool, false),
                    None => {
                        let place = name.strip_prefix('?').unwrap_or(name);
                        let required = place == *name && command.places.contains(&place);
                        Known::new(place, Kind::TEXT, required)
                    }
                })
                .collect(),
            Action::Alias(_) | Action::Refused => Vec::new(),
        }
    }

    /// Calls the endpoint of a template as root@pam on this node, and prints what its handler
    /// would print on a terminal.
    pub(super) async fn call(
        &self,
        method: Method,
        template: &str,
        mut values: BTreeMap<String, String>,
        io: &Io,
    ) -> Result<Value, Refusal> {
        let Some(endpoint) = endpoint(method, template) else {
            return Err(Refusal::die(format!("'{template}' is not simulated")));
        };
        if endpoint.in_path("node") {
            values.entry("node".to_owned()).or_insert_with(|| self.node.clone());
        }
        self.call_endpoint(endpoint, values, io).await
    }

    /// Calls what a path leads to.
    pub(super) async fn call_path(
        &self,
        method: Method,
        path: &str,
        values: BTreeMap<String, String>,
        io: &Io,
    ) -> Option<Result<Value, Refusal>> {
        let (endpoint, params) = self.find_path(method, path)?;
        let mut all = params.0;
        all.extend(values);
        Some(self.call_endpoint(endpoint, all, io).await)
    }

    /// The endpoint that a path leads to, with the parameters in it.
    pub(super) fn find_path(
        &self,
        method: Method,
        path: &str,
    ) -> Option<(&'static Endpoint, Params)> {
        let path = format!("/{}", path.trim_matches('/'));
        let (endpoint, mut params) = self.shared.router.find(method, &path)?;
        if params.get("node") == Some("localhost") {
            params.0.insert("node".to_owned(), self.node.clone());
        }
        Some((endpoint, params))
    }

    async fn call_endpoint(
        &self,
        endpoint: &'static Endpoint,
        values: BTreeMap<String, String>,
        io: &Io,
    ) -> Result<Value, Refusal> {
        let caller = Ok(Caller { authid: "root@pam".to_owned() });
        let request = Request { endpoint, params: values.into(), caller };
        let reply = self.attempt(&request, io).await?;
        if endpoint.method != Method::Get {
            self.shared.run_tasks();
            self.shared.persist();
            self.shared.changed.notify_waiters();
        }
        Ok(reply.data.value())
    }

    /// Dispatches, again and again while a lock is held, until its wait is over.
    async fn attempt(&self, request: &Request, io: &Io) -> Result<Reply, Refusal> {
        let shared = &self.shared;
        let mut waiting = Waiting::default();
        loop {
            let changed = shared.changed.notified();
            let moment = shared.clock.moment();
            let (result, printed, stirred) = {
                let mut world = shared.world();
                let before = world.revision;
                crate::work::run_due(&mut world, moment);
                let result = match &waiting.carried {
                    None => dispatch(&mut world, request, moment, &shared.fingerprint),
                    Some(carried) => Err(Refusal::Carried(carried.clone())),
                };
                let result = settle(&mut world, result, moment);
                let stirred = world.revision != before;
                world.revision += u64::from(request.endpoint.method != Method::Get);
                (result, std::mem::take(&mut world.printed), stirred)
            };
            let Some(until) = waiting.until(&result, moment) else {
                for line in printed {
                    io.out.line(&line);
                }
                return result;
            };
            if stirred {
                shared.changed.notify_waiters();
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(shared.clock.real_until(until)) => {}
            }
        }
    }

    /// Waits for a task and prints its log as it grows: to the terminal, its error on the other
    /// stream. Whether it ended well.
    pub(super) async fn follow(&self, upid: &str, io: &Io) -> bool {
        let mut told = 0;
        loop {
            let changed = self.shared.changed.notified();
            self.shared.run_tasks();
            let (lines, exit) = {
                let world = self.shared.world();
                let Some((_, task)) = world.tasks.find(upid) else { return false };
                let lines = task.log.get(told..).unwrap_or_default().to_vec();
                (lines, task.exit().map(str::to_owned))
            };
            told += lines.len();
            for line in &lines {
                if let Some(error) = line.strip_prefix("TASK ERROR: ") {
                    io.err.line(&error.trim_end().replace('\n', " "));
                } else if let Some(count) = line.strip_prefix("TASK WARNINGS: ") {
                    io.err.line(&format!("Task finished with {count} warning(s)!"));
                } else if line != "TASK OK" {
                    io.out.line(line);
                }
            }
            if let Some(exit) = exit {
                return exit == "OK" || exit.starts_with("WARNINGS");
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
}

/// What a command waits for: a lock until some sim ms, or work of its own.
#[derive(Default)]
struct Waiting {
    lock: Option<(LockName, i64)>,
    carried: Option<Carried>,
}

impl Waiting {
    /// Sim ms at which to try again; none when this is the result.
    fn until(&mut self, result: &Result<Reply, Refusal>, moment: Moment) -> Option<i64> {
        match result {
            Err(Refusal::Carried(carried)) => {
                self.carried = Some(carried.clone());
                Some(carried.look_at(moment))
            }
            Err(Refusal::Blocked { lock, wait_ms, .. }) => {
                let until = match &self.lock {
                    Some((waiting, until)) if waiting == lock => *until,
                    _ => moment.now.saturating_add(*wait_ms),
                };
                self.lock = Some((lock.clone(), until));
                (until > moment.now).then_some(until)
            }
            _ => None,
        }
    }
}

/// The outcome of work that goes on, once there is one.
fn settle(
    world: &mut World,
    result: Result<Reply, Refusal>,
    moment: Moment,
) -> Result<Reply, Refusal> {
    let Err(Refusal::Carried(carried)) = result else { return result };
    crate::work::run_due(world, moment);
    carried.outcome(world, moment).unwrap_or(Err(Refusal::Carried(carried)))
}
