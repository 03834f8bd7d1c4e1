//! `bulk-start`, `bulk-shutdown`, `bulk-suspend`, `bulk-migrate`: one worker that starts a task
//! per guest through the API, so many at a time
//! (`PVE::API2::Cluster::BulkAction::Guest`).

use serde::{Deserialize, Serialize};

use super::{Next, Stage};
use crate::api::Inside;
use crate::world::World;
use crate::world::guest::Guest;

/// Milliseconds between two looks at the tasks.
pub(crate) const POLL_MS: i64 = 1_000;
/// The order of guests without one: after all others.
const LAST: i64 = i64::MAX;

/// What is done to the guests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Action {
    /// With a time limit in seconds.
    Start {
        timeout: Option<i64>,
    },
    /// With a time limit in seconds.
    Shutdown {
        timeout: Option<i64>,
        force: bool,
    },
    Suspend {
        to_disk: bool,
        storage: Option<String>,
    },
    Migrate {
        target: String,
        online: Option<bool>,
        local_disks: Option<bool>,
    },
}

/// A guest in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) vmid: u32,
    pub(crate) node: String,
    pub(crate) order: i64,
    /// Seconds to wait after its start.
    pub(crate) up: Option<i64>,
    /// Seconds that it has to shut down.
    pub(crate) down: Option<i64>,
}

impl Entry {
    /// A guest with what its `startup` says (`order=1,up=30,down=60`, or the order alone).
    fn of(guest: &Guest) -> Self {
        let (mut order, mut up, mut down) = (None, None, None);
        for part in guest.get("startup").unwrap_or_default().split(',') {
            let (key, value) = part.split_once('=').unwrap_or(("order", part));
            let number = value.trim().parse().ok();
            match key.trim() {
                "order" => order = number,
                "up" => up = number,
                "down" => down = number,
                _ => {}
            }
        }
        let (vmid, node) = (guest.vmid, guest.node.clone());
        Self { vmid, node, order: order.unwrap_or(LAST), up, down }
    }
}

/// Which guests: those of a node, those listed, those that start with their node. Managed ones
/// are left out unless they are listed (`get_start_stop_list`).
pub(crate) fn guests(
    world: &World,
    node: Option<&str>,
    listed: Option<&[u32]>,
    autostart: bool,
) -> Vec<Entry> {
    let mut found: Vec<Entry> = world
        .guests()
        .filter(|guest| listed.is_none_or(|vms| vms.contains(&guest.vmid)))
        .filter(|guest| node.is_none_or(|node| guest.node == node))
        .filter(|guest| !guest.template() && (!autostart || guest.flag("onboot")))
        .filter(|guest| listed.is_some() || !world.ha_managed(guest.vmid))
        .map(Entry::of)
        .collect();
    found.sort_by_key(|entry| (entry.order, entry.vmid));
    found
}

/// A task that was started.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Child {
    pub(crate) upid: String,
    pub(crate) entry: Entry,
}

/// A bulk action and how far it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Bulk {
    pub(crate) action: Action,
    /// The ids as they were given; none for all guests.
    pub(crate) vms: Option<Vec<u32>>,
    /// Tasks at a time.
    pub(crate) workers: usize,
    #[serde(default)]
    queue: Vec<Entry>,
    #[serde(default)]
    running: Vec<Child>,
    #[serde(default)]
    failed: Vec<u32>,
    /// The order whose guests are being started.
    #[serde(default)]
    group: Option<i64>,
}

impl Bulk {
    pub(crate) fn new(action: Action, vms: Option<Vec<u32>>, workers: usize) -> Self {
        let (queue, running, failed) = (Vec::new(), Vec::new(), Vec::new());
        Self { action, vms, workers, queue, running, failed, group: None }
    }

    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        if stage.number == 0 {
            self.begin(stage);
        }
        loop {
            let next = self.queue.first().map(|entry| entry.order);
            let full = self.running.len() >= self.workers.max(1);
            let new_group = next.is_none() || (self.group.is_some() && next != self.group);
            if !self.running.is_empty() && (full || new_group) {
                if let Some(pause) = self.reap(stage) {
                    return Ok(Next::After(pause));
                }
                let left: Vec<String> =
                    self.running.iter().map(|child| child.upid.clone()).collect();
                if left.len() >= self.workers.max(1) || (new_group && !left.is_empty()) {
                    return Ok(Next::Tasks { upids: left, poll_ms: POLL_MS });
                }
            }
            if next.is_none() {
                return self.end();
            }
            self.group = next;
            let entry = self.queue.remove(0);
            self.start(stage, entry);
        }
    }

    fn begin(&mut self, stage: &mut Stage<'_>) {
        let (what, suffix) = match &self.action {
            Action::Start { .. } => ("Starting", String::new()),
            Action::Shutdown { .. } => ("Shutting down", String::new()),
            Action::Suspend { .. } => ("Suspending", String::new()),
            Action::Migrate { target, .. } => ("Migrating", format!(" to {target}")),
        };
        stage.say(match &self.vms {
            Some(vms) => {
                let names: Vec<String> = vms.iter().map(u32::to_string).collect();
                format!("{what} guests{suffix}: {}", names.join(", "))
            }
            None => format!("{what} all guests{suffix}"),
        });
        self.queue = match &self.action {
            Action::Migrate { .. } => movable(stage.world, None, self.vms.as_deref()),
            _ => guests(stage.world, None, self.vms.as_deref(), false),
        };
        if matches!(self.action, Action::Shutdown { .. } | Action::Suspend { .. }) {
            for entry in &mut self.queue {
                entry.order = -entry.order;
            }
            self.queue.sort_by_key(|entry| (entry.order, entry.vmid));
        }
    }

    /// Takes ended tasks out. Milliseconds to wait, when a guest that started wants that.
    fn reap(&mut self, stage: &mut Stage<'_>) -> Option<i64> {
        let ended = |world: &World, child: &Child| {
            let found = world.tasks.find(&child.upid);
            found.is_none_or(|(_, task)| !task.running())
        };
        while let Some(index) = self.running.iter().position(|child| ended(stage.world, child)) {
            let Child { upid, entry } = self.running.remove(index);
            let exit = stage.world.tasks.find(&upid).and_then(|(_, task)| task.exit());
            let exit = exit.unwrap_or("could not query task status").to_owned();
            if exit == "OK" || exit.starts_with("WARNINGS: ") {
                let up = entry.up.filter(|_| matches!(self.action, Action::Start { .. }));
                if let Some(up) = up.filter(|up| *up > 0) {
                    stage.say(format!("Waiting for {up} seconds (startup delay)"));
                    return Some(up.saturating_mul(1000));
                }
                continue;
            }
            self.failed.push(entry.vmid);
            let what = match self.action {
                Action::Start { .. } => "Starting",
                Action::Migrate { .. } => "Migrating",
                Action::Shutdown { .. } | Action::Suspend { .. } => "Stopping",
            };
            stage.say(format!("WARN: {what} VM {} failed: {exit}", entry.vmid));
        }
        None
    }

    fn end(&mut self) -> Result<Next, String> {
        if self.failed.is_empty() {
            return Ok(Next::Done);
        }
        let names: Vec<String> = self.failed.iter().map(u32::to_string).collect();
        let what = match self.action {
            Action::Start { .. } => "start:",
            Action::Shutdown { .. } => "shutdown",
            Action::Suspend { .. } => "suspend",
            Action::Migrate { .. } => "migrate",
        };
        Err(format!("Some guests failed to {what} {}", names.join(", ")))
    }

    /// Starts the task of a guest, unless there is nothing to do.
    fn start(&mut self, stage: &mut Stage<'_>, entry: Entry) {
        let vmid = entry.vmid;
        // What cannot be asked of a node that is away is not known.
        let reachable = stage.world.nodes.get(&entry.node).is_some_and(|node| node.online);
        let guest = stage.world.guests.get(&vmid).filter(|_| reachable);
        let running = guest.map(|guest| guest.running.as_ref().map(|found| found.paused));
        let (line, tail, params) = match &self.action {
            Action::Start { timeout } => {
                let tail = match running {
                    Some(Some(false)) => {
                        stage.say(format!("WARN: Skipping VM {vmid}, already running."));
                        return;
                    }
                    Some(Some(true)) => "status/resume",
                    _ => "status/start",
                };
                let timeout = timeout.filter(|_| tail == "status/start");
                let params = timeout.map(|seconds| ("timeout", seconds.to_string()));
                (format!("Starting VM {vmid}"), tail, params.into_iter().collect())
            }
            Action::Shutdown { .. } | Action::Suspend { .. } if running == Some(None) => {
                stage.say(format!("WARN: Skipping VM {vmid}, not running."));
                return;
            }
            Action::Shutdown { force: false, .. } if running == Some(Some(true)) => {
                stage.say(format!("WARN: Skipping VM {vmid}, resume paused VM before shutdown."));
                return;
            }
            Action::Shutdown { timeout, force } => {
                let timeout = entry.down.or(*timeout).unwrap_or(180);
                let force = u8::from(*force).to_string();
                let params = vec![("forceStop", force), ("timeout", timeout.to_string())];
                let line = format!("Shutting down VM {vmid} (Timeout = {timeout} seconds)");
                (line, "status/shutdown", params)
            }
            Action::Suspend { to_disk, storage } => {
                let mut params = vec![("todisk", u8::from(*to_disk).to_string())];
                let storage = storage.clone().filter(|_| *to_disk);
                params.extend(storage.map(|storage| ("statestorage", storage)));
                (format!("Suspending VM {vmid}"), "status/suspend", params)
            }
            Action::Migrate { target, .. } if *target == entry.node => {
                stage.say(format!("WARN: VM {vmid} already on {target}, skipping."));
                return;
            }
            Action::Migrate { target, online, local_disks } => {
                let flag = |flag: &bool| u8::from(*flag).to_string();
                let mut params = vec![("target", target.clone())];
                params.extend(online.as_ref().map(|on| ("online", flag(on))));
                params.extend(local_disks.as_ref().map(|on| ("with-local-disks", flag(on))));
                (format!("Migrating VM {vmid}"), "migrate", params)
            }
        };
        stage.say(line);
        match call(stage, &entry, tail, &params, true) {
            Ok(upid) => self.running.push(Child { upid, entry }),
            Err(text) => {
                stage.say(format!("WARN: {text}"));
                self.failed.push(vmid);
            }
        }
    }
}

/// Guests that a migration takes: templates and managed ones too (`get_filtered_vmlist`).
pub(crate) fn movable(world: &World, node: Option<&str>, listed: Option<&[u32]>) -> Vec<Entry> {
    let found = world
        .guests()
        .filter(|guest| listed.is_none_or(|vms| vms.contains(&guest.vmid)))
        .filter(|guest| node.is_none_or(|node| guest.node == node));
    found.map(|guest| Entry { order: 0, ..Entry::of(guest) }).collect()
}

/// Starts a guest's task as the user of the bulk action; the error as the client library words
/// it, or as the daemon itself does.
pub(crate) fn call(
    stage: &mut Stage<'_>,
    entry: &Entry,
    tail: &str,
    params: &[(&str, String)],
    wire: bool,
) -> Result<String, String> {
    let user = stage.user.clone();
    let moment = stage.moment;
    let mut inside = Inside { world: stage.world, moment, authid: &user, wire };
    inside.guest_task(&entry.node, entry.vmid, tail, params).map_err(|refusal| {
        if wire {
            let text = refusal.exit();
            let text = text.strip_prefix("Parameter verification failed.\n").map_or_else(
                || text.clone(),
                |errors| format!("Parameter verification failed.\n{errors}"),
            );
            format!("{} {text}", refusal.status())
        } else {
            refusal.exit()
        }
    })
}
