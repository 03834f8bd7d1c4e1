//! Starting, advancing and ending tasks.

use super::node_bulk::{Action, NodeBulk};
use super::{Next, Stage, Work};
use crate::clock::Moment;
use crate::fault::{TaskEffect, TaskFacts};
use crate::server::fetch::{Asker, Fetch};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::lock::LockName;
use crate::world::task::{Task, TaskState, Wait};

/// Starts a task; its first stage runs with the next [`run_due`].
pub(crate) fn fork(
    world: &mut World,
    moment: Moment,
    node: &str,
    kind: &str,
    id: &str,
    user: &str,
    work: Work,
) -> String {
    world.next_pid =
        if world.next_pid < 1000 || world.next_pid > 4_000_000 { 1000 } else { world.next_pid + 1 };
    let pid = world.next_pid;
    let uptime = world.nodes.get(node).map_or(0, |node| node.uptime(moment.now));
    let pstart = uptime * 100 + (moment.now % 1000) / 10;
    let upid =
        format!("UPID:{node}:{pid:08X}:{pstart:08X}:{:08X}:{kind}:{id}:{user}:", moment.seconds());
    let task = Task { kind: kind.to_owned(), pid, pstart, ..begun(moment, node, id, user, work) };
    world.tasks.push(Task { upid: upid.clone(), ..task });
    world.revision += 1;
    upid
}

/// Starts work that a request does itself: as a task's, but nobody sees one. Its number.
pub(crate) fn carry(
    world: &mut World,
    moment: Moment,
    node: &str,
    id: &str,
    user: &str,
    work: Work,
) -> u64 {
    world.revision += 1;
    world.tasks.push(begun(moment, node, id, user, work))
}

/// A task that runs, without its UPID and process.
fn begun(moment: Moment, node: &str, id: &str, user: &str, work: Work) -> Task {
    Task {
        upid: String::new(),
        node: node.to_owned(),
        kind: String::new(),
        id: id.to_owned(),
        user: user.to_owned(),
        pid: 0,
        pstart: 0,
        start_ms: moment.now,
        state: TaskState::Running,
        log: Vec::new(),
        work: Some(work),
        stage: 0,
        due_ms: moment.now,
        waited_ms: 0,
        awaits: Vec::new(),
        waits: None,
    }
}

/// Runs every stage that is due; true when something changed. Stages that become due thereby run
/// too.
pub(crate) fn run_due(world: &mut World, moment: Moment) -> bool {
    world.report(moment.now);
    world.locks.now = moment.now;
    let mut changed = world.run_faults(moment.now);
    changed |= start_nodes(world, moment);
    changed |= super::jobs::run(world, moment);
    let quiet = world.tasks.quiet(moment.now) && crate::ha::quiet(world, moment);
    if !changed && !world.locks.freed && quiet {
        return false;
    }
    loop {
        world.locks.freed = false;
        let mut again = false;
        for key in in_turn(world) {
            again |= advance(world, moment, key);
        }
        again |= crate::ha::run(world, moment);
        if !again {
            break;
        }
        changed = true;
    }
    if changed {
        world.revision += 1;
    }
    world.ha.settled = world.revision;
    world.tasks.quiet_until = Some(tasks_due(world).unwrap_or(i64::MAX));
    changed
}

/// The tasks in the order in which they go on: those that wait for a lock after those that may give
/// one back, and who asked first gets it first.
fn in_turn(world: &World) -> Vec<u64> {
    let asked = |key: &u64| {
        let wait = world.tasks.get(*key).and_then(|task| task.waits.as_ref());
        wait.map(|wait| wait.deadline_ms - wait.wait_ms)
    };
    let mut keys = world.tasks.active();
    keys.sort_by_key(asked);
    keys
}

/// A node that was switched on starts the guests that start with it.
fn start_nodes(world: &mut World, moment: Moment) -> bool {
    let booting: Vec<String> = world
        .nodes
        .values()
        .filter(|node| node.boots && node.online)
        .map(|node| node.name.clone())
        .collect();
    for name in &booting {
        if let Some(node) = world.nodes.get_mut(name) {
            node.boots = false;
            node.booted_ms = moment.now;
        }
        let work = NodeBulk::new(Action::Start { force: false }, None, 1);
        fork(world, moment, name, "startall", "", "root@pam", Work::NodeBulk(work));
    }
    !booting.is_empty()
}

/// The next point in sim time at which a stage is due or a wait ends.
pub(crate) fn next_due(world: &World) -> Option<i64> {
    let jobs = super::jobs::next_due(world);
    tasks_due(world).into_iter().chain(world.faults.next_due()).chain(jobs).min()
}

fn tasks_due(world: &World) -> Option<i64> {
    let tasks = world.tasks.active().into_iter().filter_map(|key| world.tasks.get(key));
    let due = tasks.map(|task| task.waits.as_ref().map_or(task.due_ms, |wait| wait.deadline_ms));
    due.filter(|due| *due < i64::MAX).chain(crate::ha::next_due(world)).min()
}

/// One stage of a task, if it is due. True when the task moved.
fn advance(world: &mut World, moment: Moment, key: u64) -> bool {
    let Some(task) = world.tasks.get(key) else { return false };
    if world.nodes.get(&task.node).is_some_and(|node| !node.online) {
        vanish(world, moment, key);
        return true;
    }
    if let Some(wait) = task.waits.clone() {
        let taken = world.has_lock(&wait.lock) && world.locks.take(&wait.lock, wait.exclusive, key);
        say_waiting(world, moment, key, taken);
        if taken || wait.deadline_ms <= moment.now {
            waited(world, moment, key, &wait, taken);
        }
        if !taken {
            if wait.deadline_ms <= moment.now {
                let timeout = match world.has_lock(&wait.lock) {
                    true => wait.lock.timeout(),
                    false => wait.lock.without_quorum().timeout(),
                };
                let work = world.tasks.get_mut(key).and_then(|task| task.work.as_mut());
                if work.is_some_and(|work| work.goes_on(&timeout)) {
                    step(world, moment, key);
                    return true;
                }
                let error = match world.tasks.get_mut(key).and_then(|task| task.work.take()) {
                    Some(work) => work.gives_up(world, timeout),
                    None => timeout,
                };
                end(world, moment, key, Err(error));
                return true;
            }
            return false;
        }
    } else if task.due_ms > moment.now {
        // When nothing takes time, what a task waits for has ended as soon as it can.
        let ended = |upid: &String| world.tasks.find(upid).is_none_or(|(_, task)| !task.running());
        if !(moment.instant && task.awaits.iter().any(ended)) {
            return false;
        }
    }
    step(world, moment, key);
    true
}

/// A wait ended, with the lock or in vain.
fn waited(world: &mut World, moment: Moment, key: u64, wait: &Wait, got: bool) {
    let ms = (moment.now - (wait.deadline_ms - wait.wait_ms)).max(0);
    world.locks.used.waited(&wait.lock, key, ms, got);
    if let Some(task) = world.tasks.get_mut(key) {
        task.waited_ms += ms;
    }
}

/// What a worker prints that does not get a lock at once.
fn say_waiting(world: &mut World, moment: Moment, key: u64, taken: bool) {
    let Some(task) = world.tasks.get_mut(key) else { return };
    let Some(wait) = &mut task.waits else { return };
    let first = !std::mem::replace(&mut wait.said, true);
    match &wait.lock {
        LockName::SharedStorage(storage) => {
            // A line for each second.
            let from = wait.deadline_ms - wait.wait_ms;
            let seconds = (moment.now - from).clamp(0, 9_999) / 1000;
            if taken || moment.now >= wait.deadline_ms {
                for _ in 0..seconds {
                    task.log.push(format!("trying to acquire cfs lock 'storage-{storage}' ..."));
                }
            }
        }
        LockName::NoQuorum { .. } => {}
        _ if taken && !first => task.log.push(" OK".to_owned()),
        _ if !taken && first => task.log.push("trying to acquire lock...".to_owned()),
        _ => {}
    }
}

/// The node of a task went off: its worker is gone, and with it everything but what it had
/// written.
fn vanish(world: &mut World, moment: Moment, key: u64) {
    world.locks.give_all(key);
    world.faults.ended(key);
    world.tasks.end(key, moment.now, "unexpected status".to_owned());
    world.revision += 1;
}

fn step(world: &mut World, moment: Moment, key: u64) {
    let Some(task) = world.tasks.get_mut(key) else { return };
    task.waits = None;
    task.awaits.clear();
    let Some(mut work) = task.work.take() else {
        end(world, moment, key, Err("unexpected status".to_owned()));
        return;
    };
    let (number, node, user) = (task.stage, task.node.clone(), task.user.clone());
    let id = task.id.clone();
    if world.faults.for_tasks() {
        match faults_before(world, moment, key) {
            TaskEffect::None => {}
            TaskEffect::Delay(ms) => {
                if let Some(task) = world.tasks.get_mut(key) {
                    task.work = Some(work);
                    task.due_ms = moment.after(ms);
                }
                return;
            }
            TaskEffect::Hang => {
                if let Some(task) = world.tasks.get_mut(key) {
                    task.work = Some(work);
                    task.due_ms = i64::MAX;
                }
                return;
            }
            TaskEffect::Fail(exit) => {
                let exit = work.gives_up(world, exit);
                end(world, moment, key, Err(exit));
                return;
            }
        }
    }
    let mut stage = Stage { world, moment, number, node, user, log: Vec::new(), holder: key };
    let result = match id.parse() {
        Ok(vmid) if number > 0 && work.writes() && !stage.world.quorate() => {
            without_quorum(&mut work, &mut stage, vmid)
        }
        _ => work.advance(&mut stage),
    };
    let log = std::mem::take(&mut stage.log);
    if let Some(task) = world.tasks.get_mut(key) {
        task.log.extend(log);
        task.work = Some(work);
        task.stage += 1;
    }
    match result {
        Ok(Next::After(ms)) => {
            let ms = faults_midway(world, moment, key, ms).unwrap_or(ms);
            if let Some(task) = world.tasks.get_mut(key) {
                task.due_ms = moment.after(ms);
            }
        }
        Ok(Next::Tasks { upids, poll_ms }) => {
            if let Some(task) = world.tasks.get_mut(key) {
                task.awaits = upids;
                task.due_ms = moment.now.saturating_add(poll_ms);
            }
        }
        Ok(Next::Lock { lock, exclusive, wait_ms }) => {
            // A lock has to be waited for in real order even when work takes no time.
            let deadline_ms = moment.now.saturating_add(wait_ms);
            if let Some(task) = world.tasks.get_mut(key) {
                task.waits = Some(Wait { lock, exclusive, deadline_ms, wait_ms, said: false });
            }
        }
        Ok(Next::Fetch { url, verify, algorithm }) => {
            // The answer makes it due.
            if let Some(task) = world.tasks.get_mut(key) {
                task.due_ms = i64::MAX;
            }
            let asker = Asker::Task(key);
            world.fetches.push(Fetch { url, verify, algorithm, asker });
        }
        Ok(Next::Done) => end(world, moment, key, Ok(())),
        Err(error) => end(world, moment, key, Err(error)),
    }
}

/// A stage that cannot write the configuration of its guest. What it checks comes first, and it
/// goes on while it writes nothing; to know that, it is tried on a copy of the world.
fn without_quorum(work: &mut Work, stage: &mut Stage<'_>, vmid: u32) -> Result<Next, String> {
    let mut world = stage.world.clone();
    let (node, user) = (stage.node.clone(), stage.user.clone());
    let (moment, number, holder) = (stage.moment, stage.number, stage.holder);
    let mut trial =
        Stage { world: &mut world, moment, number, node, user, log: Vec::new(), holder };
    let digest = |world: &World| world.guest(vmid).map(Guest::digest);
    match work.clone().advance(&mut trial) {
        Ok(_) if digest(trial.world) == digest(stage.world) => work.advance(stage),
        Ok(_) => Err(work.failed(super::not_writable(&stage.node, vmid))),
        Err(error) => {
            stage.log = trial.log;
            Err(error)
        }
    }
}

/// Faults on demand before the stage that is due.
fn faults_before(world: &mut World, moment: Moment, key: u64) -> TaskEffect {
    let Some(task) = world.tasks.get(key).map(facts_of) else { return TaskEffect::None };
    let (kind, node, caller, vmid, stage) = task;
    let facts = TaskFacts { key, kind: &kind, node: &node, vmid, caller: &caller };
    world.stage_faults(&facts, stage, moment.now)
}

/// Faults on demand while a stage takes its time: how long until the task fails.
fn faults_midway(world: &mut World, moment: Moment, key: u64, ms: i64) -> Option<i64> {
    if !world.faults.for_tasks() {
        return None;
    }
    let (kind, node, caller, vmid, _) = world.tasks.get(key).map(facts_of)?;
    let facts = TaskFacts { key, kind: &kind, node: &node, vmid, caller: &caller };
    world.wait_faults(&facts, ms, moment.now)
}

fn facts_of(task: &Task) -> (String, String, String, Option<u32>, u32) {
    let vmid = task.id.parse().ok();
    (task.kind.clone(), task.node.clone(), task.user.clone(), vmid, task.stage)
}

fn end(world: &mut World, moment: Moment, key: u64, result: Result<(), String>) {
    world.locks.give_all(key);
    world.faults.ended(key);
    let failed = result.is_err();
    let mut exit = result.err().unwrap_or_else(|| "OK".to_owned());
    if let Some(task) = world.tasks.get_mut(key) {
        // `log_warn` counts what it prints.
        let warnings = task.log.iter().filter(|line| line.starts_with("WARN: ")).count();
        if !failed && warnings > 0 {
            exit = format!("WARNINGS: {warnings}");
        }
        let word = if failed { "ERROR: " } else { "" };
        task.log.push(format!("TASK {word}{exit}"));
    }
    world.tasks.end(key, moment.now, exit);
    world.revision += 1;
}

/// Ends a running task as an interrupt does; what its work had begun is undone.
pub(crate) fn stop(world: &mut World, moment: Moment, key: u64) {
    let Some(task) = world.tasks.get_mut(key) else { return };
    let (waits, work, node) = (task.waits.clone(), task.work.take(), task.node.clone());
    let exit = match (&waits, &work) {
        // `vzdump` has a handler of its own.
        (_, Some(Work::Backup(_))) => "interrupted by signal".to_owned(),
        // All that happens under the lock of the configuration ends so.
        (Some(Wait { lock: LockName::Config(_), .. }) | None, Some(Work::Migrate(_))) => {
            "migration aborted".to_owned()
        }
        (Some(wait), work) => {
            wait.lock.interrupted(matches!(work, Some(Work::Clone(clone)) if clone.begun))
        }
        (None, Some(Work::Clone(work))) => work.interrupted(world, &node),
        (None, Some(Work::Move(work))) => work.interrupted(world, &node),
        (None, Some(Work::Create(work))) => {
            format!("unable to create VM {} - {}", work.vmid, super::INTERRUPTED)
        }
        _ => super::INTERRUPTED.to_owned(),
    };
    if let Some(work) = work {
        work.abandon(world);
    }
    end(world, moment, key, Err(exit));
}

impl Work {
    fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match self {
            Self::Create(work) => work.advance(stage),
            Self::Clone(work) => work.advance(stage),
            Self::Config(work) => work.advance(stage),
            Self::Console(work) => work.advance(stage),
            Self::Destroy(work) => work.advance(stage),
            Self::Template(work) => work.advance(stage),
            Self::Resize(work) => work.advance(stage),
            Self::Move(work) => work.advance(stage),
            Self::Reassign(work) => work.advance(stage),
            Self::FreeVolume(work) => work.advance(stage),
            Self::CopyVolume(work) => work.advance(stage),
            Self::Prune(work) => work.advance(stage),
            Self::Backup(work) => work.advance(stage),
            Self::Restore(work) => work.advance(stage),
            Self::Upload(work) => work.advance(stage),
            Self::Download(work) => work.advance(stage),
            Self::Migrate(work) => work.advance(stage),
            Self::Incoming(work) => work.advance(stage),
            Self::Power(work) => work.advance(stage),
            Self::Snapshot(work) => work.advance(stage),
            Self::DeleteSnapshot(work) => work.advance(stage),
            Self::Rollback(work) => work.advance(stage),
            Self::Suspend(work) => work.advance(stage),
            Self::Ha(work) => work.advance(stage),
            Self::Bulk(work) => work.advance(stage),
            Self::NodeBulk(work) => work.advance(stage),
        }
    }

    /// Whether it writes the configuration of a guest, in stages after the first, and does not look
    /// after the quorum by itself.
    fn writes(&self) -> bool {
        match self {
            Self::Power(work) => work.writes(),
            Self::Ha(_) | Self::Bulk(_) | Self::NodeBulk(_) => false,
            Self::Destroy(_) | Self::Backup(_) | Self::Incoming(_) => false,
            _ => true,
        }
    }

    /// Whether it can do without the lock that was not to be had; it goes on then.
    fn goes_on(&mut self, why: &str) -> bool {
        match self {
            Self::Destroy(work) => work.goes_on(why),
            Self::Move(work) => work.goes_on(why),
            _ => false,
        }
    }

    /// How an error reads that came while a disk was being moved.
    fn failed(&self, error: String) -> String {
        match self {
            Self::Move(_) => super::disk::failed(error),
            _ => error,
        }
    }

    /// The exit status after a lock was not to be had; what had begun is undone.
    fn gives_up(self, world: &mut World, error: String) -> String {
        let error = match &self {
            // The lock of the configuration is taken outside of what says so.
            Self::Create(work) if !error.contains("/lock-") => {
                format!("unable to create VM {} - {error}", work.vmid)
            }
            Self::Migrate(_) if error.contains("/lock-") => "migration aborted".to_owned(),
            Self::Clone(work) if work.begun => format!("clone failed: {error}"),
            Self::Move(_) if !error.contains("/lock-") => self.failed(error),
            Self::DeleteSnapshot(_) if error.contains("/pve-migrate-") => {
                "Failed to obtain guest migration lock - replication running?".to_owned()
            }
            _ => error,
        };
        self.abandon(world);
        error
    }

    /// Removes what an interrupted work leaves half done.
    fn abandon(self, world: &mut World) {
        match self {
            Self::Create(work) => work.abandon(world),
            Self::Clone(work) => work.abandon(world),
            Self::Migrate(work) => work.abandon(world),
            Self::Backup(work) => work.abandon(world),
            Self::Restore(work) => work.abandon(world),
            Self::Snapshot(work) => work.abandon(world),
            Self::Move(work) => work.abandon(world),
            _ => {}
        }
    }
}
