//! The manager (`PVE::HA::Manager`, `PVE::HA::NodeStatus`): looks at nodes, takes commands, and
//! moves every service from one state to the next.

use std::collections::btree_map::Entry;

use super::config::{Command, Disarm, Lost, Service, State, vmid_of};
use super::place::{self, Preference};
use super::rules::{self, Compiled};
use crate::clock::Moment;
use crate::world::World;

/// Milliseconds after which the services of a missing node are to be fenced.
const FENCE_MS: i64 = 60_000;
/// Milliseconds after which a lock that nobody renews is free: that of a node's agent, and the
/// manager's own.
const LOCK_MS: i64 = 120_000;
/// Locks of a guest that mean nothing once its node was fenced.
const REMOVABLE_LOCKS: &[&str] = &[
    "backup",
    "mounted",
    "migrate",
    "clone",
    "rollback",
    "snapshot",
    "snapshot-delete",
    "suspending",
    "suspended",
];

/// One round of the manager. True when something changed.
pub(crate) fn round(world: &mut World, moment: Moment) -> bool {
    if !world.quorate() {
        return false;
    }
    let mut round = Round { moment, changed: false, rules: Compiled::default() };
    round.look(world);
    if !round.lead(world) {
        return round.changed;
    }
    round.enlist(world);
    let nodes: Vec<String> = world.nodes().map(|node| node.name.clone()).collect();
    round.rules = rules::compile(&world.ha.rules, &nodes);
    round.obey(world);
    if round.disarm(world) {
        return round.changed;
    }
    // Each pass moves at least one service on, and no service can go round for ever.
    for _ in 0..8 {
        let before: Vec<State> = states(world);
        let sids: Vec<String> = world.ha.services.keys().cloned().collect();
        for sid in &sids {
            round.step(world, sid);
        }
        round.fence(world);
        if states(world) == before {
            break;
        }
        round.changed = true;
    }
    round.changed
}

fn states(world: &World) -> Vec<State> {
    world.ha.services.values().map(|service| service.state).collect()
}

struct Round {
    moment: Moment,
    changed: bool,
    rules: Compiled,
}

impl Round {
    /// Notes which nodes are gone, and which came back.
    fn look(&mut self, world: &mut World) {
        let now = self.moment.now;
        let nodes: Vec<(String, bool)> =
            world.nodes().map(|node| (node.name.clone(), node.online)).collect();
        for (name, online) in nodes {
            if online {
                let fenced = world.ha.fenced.contains(&name);
                self.changed |= !fenced && world.ha.lost.remove(&name).is_some();
            } else if let Entry::Vacant(entry) = world.ha.lost.entry(name) {
                entry.insert(Lost { since_ms: now, missed_ms: now });
                self.changed = true;
            }
        }
    }

    /// Whether there is a manager: when its node is gone, another one has to wait for its lock.
    fn lead(&mut self, world: &mut World) -> bool {
        let master = world.ha.master.clone();
        let lost = master.as_ref().and_then(|name| world.ha.lost.get(name)).copied();
        if master.is_some() && lost.is_none() {
            return true;
        }
        if lost.is_some_and(|lost| self.moment.now < lost.since_ms + self.wait(LOCK_MS)) {
            return false;
        }
        world.ha.master = world.first_running().map(str::to_owned);
        // A new manager begins to count by itself.
        for lost in world.ha.lost.values_mut() {
            lost.missed_ms = self.moment.now;
        }
        self.changed = true;
        world.ha.master.is_some()
    }

    /// A duration, none when nothing takes time.
    fn wait(&self, ms: i64) -> i64 {
        if self.moment.instant { 0 } else { ms }
    }

    /// New services come, those that are gone or ignored go.
    fn enlist(&mut self, world: &mut World) {
        if world.ha.disarm.is_some() {
            return;
        }
        for (sid, resource) in &world.ha.resources {
            let node = vmid_of(sid).and_then(|vmid| world.guests.get(&vmid));
            let (Some(guest), false) = (node, resource.request() == "ignored") else { continue };
            if !world.ha.services.contains_key(sid) {
                let wanted = resource.request() == "started";
                let state = if wanted { State::RequestStart } else { State::RequestStop };
                world.ha.services.insert(sid.clone(), Service::new(state, &guest.node));
                self.changed = true;
            }
        }
        let resources = &world.ha.resources;
        let count = world.ha.services.len();
        world.ha.services.retain(|sid, _| {
            resources.get(sid).is_some_and(|resource| resource.request() != "ignored")
        });
        self.changed |= world.ha.services.len() != count;
    }

    /// Takes the commands.
    fn obey(&mut self, world: &mut World) {
        for command in std::mem::take(&mut world.ha.commands) {
            self.changed = true;
            match &command {
                Command::Migrate { sid, node } | Command::Relocate { sid, node } => {
                    self.queue_motion(world, &command, sid, node);
                }
                Command::Stop { sid, .. } => {
                    if let Some(service) = world.ha.services.get_mut(sid) {
                        service.cmd = Some(command);
                    }
                }
                Command::Disarm { mode } => {
                    if world.ha.disarm.is_none() {
                        let state = "disarming".to_owned();
                        world.ha.disarm = Some(Disarm { mode: mode.clone(), state });
                    }
                }
                Command::Arm => Self::arm(world),
            }
        }
    }

    /// Guests may have moved while the manager ignored them.
    fn arm(world: &mut World) {
        if world.ha.disarm.take().is_some_and(|disarm| disarm.mode == "ignore") {
            for (sid, service) in &mut world.ha.services {
                if let Some(guest) = vmid_of(sid).and_then(|vmid| world.guests.get(&vmid)) {
                    service.node.clone_from(&guest.node);
                }
            }
        }
    }

    /// `queue_resource_motion`: what is kept together moves together; what is kept apart stays.
    fn queue_motion(&self, world: &mut World, command: &Command, sid: &str, node: &str) {
        let known = world.ha.services.get(sid).is_some_and(|service| service.node != node);
        if !known || !place::online(world).contains(node) {
            return;
        }
        let services = &world.ha.services;
        let there = |other: &&String| {
            services.get(*other).is_some_and(|found| {
                found.node == node && found.target.as_deref().is_none_or(|target| target == node)
            })
        };
        if self.rules.apart(sid).any(|other| there(&other)) {
            return;
        }
        let elsewhere = |other: &&String| {
            services
                .get(*other)
                .is_some_and(|found| found.node != node && found.target.as_deref() != Some(node))
        };
        let mut all: Vec<String> = self.rules.together(sid).filter(elsewhere).cloned().collect();
        all.push(sid.to_owned());
        for other in all {
            if let Some(service) = world.ha.services.get_mut(&other) {
                service.cmd = Some(command.clone());
            }
        }
    }

    /// `handle_disarm`: true while the manager keeps its hands still.
    fn disarm(&mut self, world: &mut World) -> bool {
        let Some(mode) = world.ha.disarm.as_ref().map(|disarm| disarm.mode.clone()) else {
            return false;
        };
        let transient = |service: &Service| {
            matches!(
                service.state,
                State::Fence | State::Recovery | State::Migrate | State::Relocate
            )
        };
        if world.ha.services.values().any(transient) {
            return false;
        }
        for service in world.ha.services.values_mut() {
            if mode == "freeze" && !matches!(service.state, State::Freeze | State::Error) {
                service.change(State::Freeze);
                self.changed = true;
            }
        }
        if let Some(disarm) = world.ha.disarm.as_mut().filter(|disarm| disarm.state != "disarmed") {
            disarm.state = "disarmed".to_owned();
            self.changed = true;
        }
        true
    }

    /// Whether a node has been missing for as long as fencing waits.
    fn gone(&self, world: &World, node: &str) -> bool {
        let lost = world.ha.lost.get(node);
        lost.is_some_and(|lost| self.moment.now >= lost.missed_ms + self.wait(FENCE_MS))
    }

    /// The next state of a service.
    fn step(&mut self, world: &mut World, sid: &str) {
        let Some(service) = world.ha.services.get(sid) else { return };
        let request = world.ha.resources.get(sid).map_or("disabled", |found| found.request());
        let request = request.to_owned();
        let gone = self.gone(world, &service.node);
        match service.state {
            State::Stopped => self.stopped(world, sid, &request, gone),
            State::RequestStart => change(world, sid, State::Started),
            State::Started => self.started(world, sid, &request, gone),
            State::RequestStop => match service.result {
                Some(true) => change(world, sid, State::Stopped),
                Some(false) => change(world, sid, State::Error),
                None if gone => change(world, sid, State::Fence),
                None => {}
            },
            State::Migrate | State::Relocate => moved(world, sid, &request, gone),
            State::Recovery => self.recover(world, sid, &request),
            State::Error if request == "disabled" => {
                if let Some(service) = world.ha.services.get_mut(sid) {
                    service.failed_nodes.clear();
                    service.change(State::Stopped);
                }
            }
            State::Freeze => change(world, sid, asked(&request, State::Started)),
            State::Error | State::Fence => {}
        }
    }

    fn stopped(&mut self, world: &mut World, sid: &str, request: &str, gone: bool) {
        let place = vmid_of(sid).and_then(|vmid| world.guests.get(&vmid));
        let place = place.map(|guest| guest.node.clone());
        let cmd = world.ha.services.get_mut(sid).and_then(|service| {
            if let Some(node) = place {
                service.node = node;
            }
            service.cmd.take()
        });
        if cmd.is_some_and(|cmd| self.go(world, sid, &cmd)) || request == "disabled" {
            return;
        }
        if gone {
            change(world, sid, State::Fence);
        } else if request == "started" {
            change(world, sid, State::RequestStart);
        }
    }

    /// Begins to move a service; false when there is no need or no way.
    fn go(&mut self, world: &mut World, sid: &str, cmd: &Command) -> bool {
        let (state, node) = match cmd {
            Command::Migrate { node, .. } => (State::Migrate, node),
            Command::Relocate { node, .. } => (State::Relocate, node),
            _ => return false,
        };
        let online = place::online(world).contains(node);
        match world.ha.services.get_mut(sid).filter(|service| online && service.node != *node) {
            Some(service) => {
                service.change(state);
                service.target = Some(node.clone());
                self.changed = true;
                true
            }
            None => false,
        }
    }

    fn started(&mut self, world: &mut World, sid: &str, request: &str, gone: bool) {
        if gone {
            return change(world, sid, State::Fence);
        }
        let Some(service) = world.ha.services.get_mut(sid) else { return };
        if world.ha.lost.contains_key(&service.node) {
            return;
        }
        if matches!(request, "disabled" | "stopped") {
            return service.change(State::RequestStop);
        }
        match service.cmd.take() {
            Some(Command::Stop { timeout, .. }) => {
                service.change(State::RequestStop);
                service.timeout = Some(timeout);
                if let Some(resource) = world.ha.resources.get_mut(sid) {
                    resource.state = Some("stopped".to_owned());
                }
            }
            Some(cmd) => {
                self.go(world, sid, &cmd);
            }
            None => self.settle(world, sid),
        }
    }

    /// A service that shall run: takes the agent's word, and looks for a better node.
    fn settle(&mut self, world: &mut World, sid: &str) {
        let limit = world.ha.resources.get(sid).and_then(|found| found.max_relocate).unwrap_or(1);
        let Some(service) = world.ha.services.get_mut(sid) else { return };
        let mut prefer = Preference::Stay;
        match service.result.take() {
            Some(true) => {
                service.failed_nodes.clear();
                self.changed |= !service.running;
                service.running = true;
            }
            Some(false) => {
                self.changed = true;
                service.running = false;
                service.failed_nodes.push(service.node.clone());
                if service.failed_nodes.len() as i64 > limit {
                    return service.change(State::Error);
                }
                prefer = Preference::Next;
            }
            None => {}
        }
        let found = place::select(world, &self.rules, sid, prefer);
        let Some(service) = world.ha.services.get_mut(sid) else { return };
        if let Some(node) = found.filter(|node| *node != service.node) {
            service.change(State::Migrate);
            service.target = Some(node);
            self.changed = true;
        }
    }

    /// Another node takes a service over whose node was fenced.
    fn recover(&mut self, world: &mut World, sid: &str, request: &str) {
        let Some(node) = place::select(world, &self.rules, sid, Preference::Best) else {
            if let Some(service) = world.ha.services.get_mut(sid).filter(|_| request == "disabled")
            {
                service.failed_nodes.clear();
                service.change(State::Stopped);
            }
            return;
        };
        if let Some(guest) = vmid_of(sid).and_then(|vmid| world.guests.get_mut(&vmid)) {
            if guest.get("lock").is_some_and(|lock| REMOVABLE_LOCKS.contains(&lock)) {
                guest.config.remove("lock");
            }
            guest.node.clone_from(&node);
        }
        if let Some(service) = world.ha.services.get_mut(sid) {
            service.node = node;
            service.change(asked(request, State::Started));
            // What ran on the lost node is gone with it.
            service.agent = None;
        }
    }

    /// Nodes whose services are to be fenced: once their agent's lock is free, they are off.
    fn fence(&mut self, world: &mut World) {
        let fencing = |service: &Service| service.state == State::Fence;
        let mut nodes: Vec<String> = world
            .ha
            .services
            .values()
            .filter(|service| fencing(service))
            .map(|service| service.node.clone())
            .collect();
        nodes.sort();
        nodes.dedup();
        for node in nodes {
            let since = world.ha.lost.get(&node).map_or(0, |lost| lost.since_ms);
            if self.moment.now < since + self.wait(LOCK_MS) {
                if !world.ha.fenced.contains(&node) {
                    world.ha.fenced.push(node);
                    self.changed = true;
                }
                continue;
            }
            world.ha.fenced.retain(|name| *name != node);
            for service in world.ha.services.values_mut() {
                if service.node == node && fencing(service) {
                    service.change(State::Recovery);
                }
            }
        }
        let ha = &mut world.ha;
        ha.fenced.retain(|node| {
            ha.services.values().any(|service| service.node == *node && fencing(service))
        });
    }
}

fn change(world: &mut World, sid: &str, state: State) {
    if let Some(service) = world.ha.services.get_mut(sid) {
        service.change(state);
    }
}

/// What follows from the requested state: `running`, or a stop.
fn asked(request: &str, running: State) -> State {
    if request == "started" { running } else { State::RequestStop }
}

fn moved(world: &mut World, sid: &str, request: &str, gone: bool) {
    let Some(service) = world.ha.services.get_mut(sid) else { return };
    match service.result {
        Some(done) => {
            if let Some(target) = service.target.take().filter(|_| done) {
                service.node = target;
            }
            service.change(asked(request, State::Started));
        }
        None if gone => service.change(State::Fence),
        None => {}
    }
}
