//! The least time that a run can take, from what the simulator saw of it.
//!
//! Whoever does the work, and in whatever order:
//! - what happens to one guest happens one after the other: its tasks, as long as each takes where
//!   nobody is in its way, and its requests. The guest with the longest such chain takes as long as
//!   that (the critical path: no guest of these cases waits for another one);
//! - what needs one lock alone happens one after the other, too: the lock is held for the sum of
//!   all times for which it is needed.
//!
//! No run is shorter than the larger of the two. Nor can the last guest that gets the lock be done
//! when it has had it, or the first one get it at once: the least that any guest does before its first
//! turn, and after its last one, comes on top of the lock's sum. Both bounds are shown.

use std::collections::BTreeMap;

use pvx_sim::{Sim, Task, TaskState, World};

/// What a run has to take.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The longest chain of one guest, ms.
    pub(crate) path_ms: i64,
    /// The lock that is held longest, and for how long in all, ms.
    pub(crate) lock: (String, i64),
    /// The least that any guest does before it has that lock, and after it, ms.
    pub(crate) way_ms: i64,
    /// Waits for locks that were in vain.
    pub(crate) timeouts: u64,
    /// Tasks that ended otherwise than well.
    pub(crate) failed: usize,
}

impl Bound {
    /// Looks at everything that began at or after this sim ms.
    pub(crate) fn of(sim: &Sim, since_ms: i64) -> Self {
        let world = sim.world();
        let mut chains: BTreeMap<String, i64> = BTreeMap::new();
        let mut failed = 0;
        for task in world.tasks().filter(|task| task.start_ms >= since_ms) {
            let ok = task.exit().is_none_or(|exit| exit == "OK" || exit.starts_with("WARNINGS"));
            failed += usize::from(!ok);
            // The other side of a migration runs within it.
            let within =
                task.kind == "qmstart" && task.user == "root@pam" && migrates(&world, task);
            if !within {
                *chains.entry(guest_of(task)).or_default() += task.worked_ms().unwrap_or(0);
            }
        }
        let own = requests_ms(sim);
        for (id, ms) in &own {
            *chains.entry(id.clone()).or_default() += ms;
        }
        let totals = sim.lock_totals();
        let longest = totals.iter().max_by_key(|totals| totals.held_ms);
        let lock = longest.map(|one| (one.lock.clone(), one.held_ms)).unwrap_or_default();
        Self {
            way_ms: way_ms(&world, &lock.0, since_ms),
            path_ms: chains.values().copied().max().unwrap_or(0),
            lock,
            timeouts: totals.iter().map(|totals| totals.timeouts).sum(),
            failed,
        }
    }

    /// The larger of the two, ms.
    pub(crate) fn ms(&self) -> i64 {
        self.path_ms.max(self.lock.1)
    }

    /// The same, with the way to the lock and on from it, ms.
    pub(crate) fn with_way_ms(&self) -> i64 {
        self.path_ms.max(self.lock.1 + self.way_ms)
    }
}

/// The least that any guest does before its first turn at a lock, and the least after its last one:
/// whole tasks, without their waits for locks.
fn way_ms(world: &World, lock: &str, since_ms: i64) -> i64 {
    let tasks: BTreeMap<&str, &Task> = world.tasks().map(|task| (&*task.upid, task)).collect();
    let mut turns: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for span in world.lock_spans().into_iter().filter(|span| span.lock == lock) {
        let Some(task) = tasks.get(&*span.upid) else { continue };
        let turn = turns.entry(guest_of(task)).or_insert((span.from_ms, span.to_ms));
        *turn = (turn.0.min(span.from_ms), turn.1.max(span.to_ms));
    }
    let mut ways: BTreeMap<String, (i64, i64)> =
        turns.keys().map(|guest| (guest.clone(), (0, 0))).collect();
    for task in tasks.values().filter(|task| task.start_ms >= since_ms) {
        let guest = guest_of(task);
        let (Some(turn), Some(way)) = (turns.get(&guest), ways.get_mut(&guest)) else { continue };
        let TaskState::Stopped { end_ms, .. } = task.state else { continue };
        let worked = task.worked_ms().unwrap_or(0);
        if end_ms <= turn.0 {
            way.0 += worked;
        } else if task.start_ms >= turn.1 {
            way.1 += worked;
        }
    }
    let least = |ms: fn(&(i64, i64)) -> i64| ways.values().map(ms).min().unwrap_or(0);
    least(|way| way.0) + least(|way| way.1)
}

/// The VMID that a task is about: of a clone, the new guest's, which its log names.
pub(crate) fn guest_of(task: &Task) -> String {
    let new = task.log.iter().find_map(|line| line.split_once("with ID ").map(|(_, id)| id));
    let new = new.filter(|_| task.kind == "qmclone");
    new.unwrap_or(&task.id).trim().to_owned()
}

fn migrates(world: &pvx_sim::World, start: &pvx_sim::Task) -> bool {
    let mut others = world.tasks().filter(|task| task.kind == "qmigrate" && task.id == start.id);
    others.any(|task| task.start_ms <= start.start_ms)
}

/// Ms that the requests that write took, by guest: their mean, and how many each guest had. A
/// request that reads can be made while something else runs.
fn requests_ms(sim: &Sim) -> BTreeMap<String, i64> {
    let means: BTreeMap<(String, String), f64> = sim
        .request_totals()
        .into_iter()
        .map(|one| ((one.method, one.template), one.micros as f64 / one.count.max(1) as f64))
        .collect();
    let mut micros: BTreeMap<String, f64> = BTreeMap::new();
    for request in sim.requests().into_iter().filter(|request| request.write) {
        let mut parts = request.path.split('/').skip_while(|part| *part != "qemu").skip(1);
        let Some(id) = parts.next() else { continue };
        let mean = means.get(&(request.method, request.template)).copied().unwrap_or(0.0);
        *micros.entry(id.to_owned()).or_default() += mean;
    }
    // What is cloned is the template's path; the clones' own requests are few and short.
    micros
        .into_iter()
        .filter(|(id, _)| id != "100")
        .map(|(id, us)| (id, (us / 1000.0) as i64))
        .collect()
}
