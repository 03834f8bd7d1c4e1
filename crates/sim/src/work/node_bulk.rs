//! `startall`, `stopall`, `suspendall`, `migrateall` of one node (`PVE::API2::Nodes`).

use serde::{Deserialize, Serialize};

use super::bulk::{Child, Entry, POLL_MS, call, guests, movable};
use super::{Next, Stage};
use crate::api::Inside;
use crate::api::endpoint::Method;

/// Seconds between the starts of two guests, when the first does not say otherwise.
const START_DELAY_S: i64 = 3;

/// What is done to the guests of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Action {
    /// All, or those that start with the node.
    Start {
        force: bool,
    },
    /// With a time limit in seconds.
    Stop {
        timeout: Option<i64>,
        force: bool,
    },
    Suspend,
    Migrate {
        target: String,
        local_disks: Option<bool>,
    },
}

/// An action on the guests of a node, and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct NodeBulk {
    pub(crate) action: Action,
    pub(crate) vms: Option<Vec<u32>>,
    /// Tasks at a time.
    pub(crate) workers: usize,
    #[serde(default)]
    queue: Vec<Entry>,
    #[serde(default)]
    running: Vec<Child>,
    #[serde(default)]
    group: Option<i64>,
    #[serde(default)]
    started: usize,
}

impl NodeBulk {
    pub(crate) fn new(action: Action, vms: Option<Vec<u32>>, workers: usize) -> Self {
        let (queue, running) = (Vec::new(), Vec::new());
        Self { action, vms, workers, queue, running, group: None, started: 0 }
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if stage.number == 0 {
            self.begin(stage);
            if matches!(self.action, Action::Migrate { .. }) && self.queue.is_empty() {
                stage.say("no virtual guests matched, nothing to do..");
                return Ok(Next::Done);
            }
        }
        loop {
            self.reap(stage);
            let next = self.queue.first().map(|entry| entry.order);
            let full = self.running.len() >= self.workers.max(1);
            let new_group = next.is_none() || (self.group.is_some() && next != self.group);
            if !self.running.is_empty() && (full || new_group) {
                let upids = self.running.iter().map(|child| child.upid.clone()).collect();
                return Ok(Next::Tasks { upids, poll_ms: POLL_MS });
            }
            if next.is_none() {
                return self.end(stage);
            }
            self.group = next;
            let entry = self.queue.remove(0);
            if let Some(seconds) = self.start(stage, entry) {
                return Ok(Next::After(seconds.saturating_mul(1000)));
            }
        }
    }

    fn begin(&mut self, stage: &mut Stage<'_>) {
        let node = Some(stage.node.as_str());
        let listed = self.vms.as_deref();
        self.queue = match self.action {
            Action::Start { force } => guests(stage.world, node, listed, !force),
            Action::Stop { .. } | Action::Suspend => {
                let mut found = guests(stage.world, node, listed, false);
                found.reverse();
                found
            }
            Action::Migrate { .. } => {
                let mut found = movable(stage.world, node, listed);
                // Sorted as text.
                found.sort_by_key(|entry| entry.vmid.to_string());
                found
            }
        };
    }

    fn reap(&mut self, stage: &mut Stage<'_>) {
        let starts = matches!(self.action, Action::Start { .. });
        let mut left = Vec::new();
        for child in std::mem::take(&mut self.running) {
            let task = stage.world.tasks.find(&child.upid).map(|(_, task)| task);
            if task.is_some_and(crate::Task::running) {
                left.push(child);
                continue;
            }
            let exit = task.and_then(|task| task.exit()).unwrap_or("unexpected status").to_owned();
            if starts && exit != "OK" && !exit.starts_with("WARNINGS: ") {
                stage.say(format!("Starting VM {} failed: {exit}", child.entry.vmid));
            }
        }
        self.running = left;
    }

    /// Starts the task of a guest. Seconds to wait before the next one.
    fn start(&mut self, stage: &mut Stage<'_>, entry: Entry) -> Option<i64> {
        let vmid = entry.vmid;
        let running = stage.world.guests.get(&vmid).is_some_and(|guest| guest.running.is_some());
        let action = self.action.clone();
        let (tail, params) = match &action {
            Action::Start { .. } if running => return None,
            Action::Start { .. } => {
                stage.say(format!("Starting VM {vmid}"));
                ("status/start", Vec::new())
            }
            Action::Stop { .. } if !running => return None,
            Action::Stop { timeout, force } => {
                let timeout = entry.down.or(*timeout).unwrap_or(180);
                stage.say(format!("Stopping VM {vmid} (timeout = {timeout} seconds)"));
                let force = u8::from(*force).to_string();
                ("status/shutdown", vec![("timeout", timeout.to_string()), ("forceStop", force)])
            }
            Action::Suspend if !running => {
                stage.say(format!("VM {vmid} not running, skipping suspension"));
                return None;
            }
            Action::Suspend => {
                stage.say(format!("Suspending VM {vmid}"));
                ("status/suspend", vec![("todisk", "1".to_owned())])
            }
            Action::Migrate { target, local_disks } => {
                if !precondition(stage, &entry, target, running, *local_disks) {
                    return None;
                }
                stage.say(format!("Migrating VM {vmid}"));
                let online = u8::from(running).to_string();
                let mut params = vec![("target", target.clone()), ("online", online)];
                let disks = local_disks.map(|on| ("with-local-disks", u8::from(on).to_string()));
                params.extend(disks);
                ("migrate", params)
            }
        };
        match call(stage, &entry, tail, &params, false) {
            Ok(upid) => {
                let up = entry.up;
                self.running.push(Child { upid, entry });
                self.started += 1;
                if !matches!(self.action, Action::Start { .. }) {
                    return None;
                }
                if let Some(up) = up.filter(|up| *up > 0) {
                    stage.say(format!("Waiting for {up} seconds (startup delay)"));
                }
                Some(up.unwrap_or(START_DELAY_S)).filter(|seconds| *seconds > 0)
            }
            Err(text) => {
                stage.log.extend(text.lines().map(str::to_owned));
                None
            }
        }
    }

    fn end(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if matches!(self.action, Action::Migrate { .. }) {
            if self.started == 0 {
                return Err("no migrations worker started...".to_owned());
            }
            stage.say(format!("All jobs finished, used {} workers in total.", self.started));
        }
        Ok(Next::Done)
    }
}

/// What keeps a guest from moving is said, and the guest is skipped.
fn precondition(
    stage: &mut Stage<'_>,
    entry: &Entry,
    target: &str,
    running: bool,
    local_disks: Option<bool>,
) -> bool {
    let (user, moment) = (stage.user.clone(), stage.moment);
    let mut inside = Inside { world: stage.world, moment, authid: &user, wire: false };
    let params = [
        ("node", entry.node.clone()),
        ("vmid", entry.vmid.to_string()),
        ("target", target.to_owned()),
    ];
    let answer = inside.call(Method::Get, "/nodes/{node}/qemu/{vmid}/migrate", &params);
    let found = match answer {
        Ok(found) => found,
        Err(refusal) => {
            stage.say(format!("Check VM {}: {}", entry.vmid, refusal.exit()));
            return false;
        }
    };
    let names = |path: &str, key: Option<&str>| -> Vec<String> {
        let items = found.pointer(path).and_then(serde_json::Value::as_array);
        let text = |item: &serde_json::Value| {
            key.map_or(Some(item), |key| item.get(key))?.as_str().map(str::to_owned)
        };
        items.into_iter().flatten().filter_map(text).collect()
    };
    let mut lines = Vec::new();
    let disks = names("/local_disks", Some("volid"));
    if running && local_disks != Some(true) && !disks.is_empty() {
        lines.push(format!("  Has local disks: {}", disks.join(", ")));
    }
    let resources = names("/local_resources", None);
    if !resources.is_empty() {
        lines.push(format!("  Has local resources: {}", resources.join(", ")));
    }
    let storages = names(&format!("/not_allowed_nodes/{target}/unavailable_storages"), None);
    if !storages.is_empty() {
        lines.push(format!("  Has unavailable storages: {}", storages.join(", ")));
    }
    if lines.is_empty() {
        stage.say(format!("Check VM {}: precondition check passed", entry.vmid));
        return true;
    }
    let vmid = entry.vmid;
    stage.say(format!("Check VM {vmid}: skip VM {vmid} - precondition check failed:"));
    stage.log.extend(lines);
    false
}
