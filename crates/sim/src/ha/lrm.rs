//! The agents (`PVE::HA::LRM`): on every node, tasks of root@pam that carry out the states of its
//! services.

use super::config::{Agent, Service, State, vmid_of};
use crate::clock::Moment;
use crate::work::migrate::Migrate;
use crate::work::power::{Action, Power};
use crate::work::{Work, fork};
use crate::world::World;

/// Seconds that a guest has to shut down before it is stopped.
const SHUTDOWN_S: i64 = 60;

/// One round of all agents. True when something changed.
pub(crate) fn round(world: &mut World, moment: Moment) -> bool {
    if !world.quorate() || world.ha.disarm.is_some() {
        return false;
    }
    let sids: Vec<String> = world.ha.services.keys().cloned().collect();
    let mut changed = false;
    for sid in sids {
        changed |= attend(world, moment, &sid);
    }
    changed
}

/// What an agent does next.
enum Act {
    Nothing,
    Report(bool),
    Run(&'static str, Box<Work>, bool),
}

fn attend(world: &mut World, moment: Moment, sid: &str) -> bool {
    let Some(service) = world.ha.services.get(sid) else { return false };
    let online = world.nodes.get(&service.node).is_some_and(|node| node.online);
    let Some(vmid) = vmid_of(sid).filter(|_| online) else { return false };
    if let Some(agent) = service.agent.clone() {
        let running = world.tasks.find(&agent.upid).is_some_and(|(_, task)| task.running());
        if running {
            return false;
        }
        return finished(world, sid, vmid, &agent);
    }
    let node = service.node.clone();
    match decide(world, service, vmid) {
        Act::Nothing => false,
        Act::Report(done) => {
            if let Some(service) = world.ha.services.get_mut(sid) {
                service.result = Some(done);
            }
            true
        }
        Act::Run(kind, work, shutting_down) => {
            let id = vmid.to_string();
            let upid = fork(world, moment, &node, kind, &id, "root@pam", *work);
            if let Some(service) = world.ha.services.get_mut(sid) {
                service.agent = Some(Agent { upid, shutting_down, stale: false });
            }
            true
        }
    }
}

/// `exec_resource_agent`.
fn decide(world: &World, service: &Service, vmid: u32) -> Act {
    if service.result.is_some() && service.state != State::Stopped {
        return Act::Nothing;
    }
    let Some(guest) = world.guests.get(&vmid) else { return Act::Nothing };
    let running = guest.running.is_some();
    let here = guest.node == service.node;
    match service.state {
        State::Started | State::RequestStop if !here => Act::Report(false),
        State::Started if running && service.running => Act::Nothing,
        State::Started if running => Act::Report(true),
        State::Started => Act::Run("qmstart", Box::new(Work::Power(Power::start(vmid))), false),
        State::RequestStop if !running => Act::Report(true),
        State::RequestStop => stop(vmid, service.timeout),
        State::Stopped if running && here => stop(vmid, service.timeout),
        State::Migrate | State::Relocate => motion(service, vmid, here, running),
        _ => Act::Nothing,
    }
}

fn stop(vmid: u32, timeout: Option<i64>) -> Act {
    let timeout = timeout.unwrap_or(SHUTDOWN_S);
    if timeout == 0 {
        return Act::Run("qmstop", Box::new(Work::Power(Power::new(vmid, Action::Stop))), false);
    }
    Act::Run("qmshutdown", Box::new(shutdown(vmid, timeout)), false)
}

fn shutdown(vmid: u32, timeout: i64) -> Work {
    let mut power = Power::new(vmid, Action::Shutdown);
    power.timeout = Some(timeout);
    power.force = true;
    Work::Power(power)
}

fn motion(service: &Service, vmid: u32, here: bool, running: bool) -> Act {
    let Some(target) = service.target.clone() else { return Act::Report(false) };
    if !here {
        return Act::Report(false);
    }
    if target == service.node {
        return Act::Report(true);
    }
    if service.state == State::Relocate && running {
        return Act::Run("qmshutdown", Box::new(shutdown(vmid, SHUTDOWN_S)), true);
    }
    let work = Migrate {
        vmid,
        target,
        online: running,
        with_local_disks: true,
        storage: None,
        storages: std::collections::BTreeMap::new(),
        locked: false,
        force: false,
    };
    Act::Run("qmigrate", Box::new(Work::Migrate(work)), false)
}

/// A task of an agent ended: what it came to.
fn finished(world: &mut World, sid: &str, vmid: u32, agent: &Agent) -> bool {
    let (running, node) = match world.guests.get(&vmid) {
        Some(guest) => (guest.running.is_some(), guest.node.clone()),
        None => (false, String::new()),
    };
    let limit = world.ha.resources.get(sid).and_then(|found| found.max_restart).unwrap_or(1);
    let Some(service) = world.ha.services.get_mut(sid) else { return false };
    service.agent = None;
    if agent.stale {
        return true;
    }
    match service.state {
        State::Started if running => {
            service.tries = 0;
            service.result = Some(true);
        }
        State::Started if service.tries >= limit => {
            service.tries = 0;
            service.result = Some(false);
        }
        State::Started => service.tries += 1,
        State::RequestStop => service.result = Some(!running),
        State::Migrate | State::Relocate if !agent.shutting_down => {
            service.result = Some(service.target.as_ref() == Some(&node));
        }
        // A guest that would not go down cannot be relocated.
        State::Migrate | State::Relocate if running => service.result = Some(false),
        _ => {}
    }
    true
}
