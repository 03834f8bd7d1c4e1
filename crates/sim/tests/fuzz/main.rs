//! Requests that nobody would send, and many that one would: no panic, no error of our own
//! making, JSON in every body, and a world that stays whole. How to run it and what it looks for:
//! docs/simulator/fuzzing.md.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test")]

mod judge;
mod make;
mod trouble;
mod values;
mod words;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use make::Maker;
use pvx_sim::direct::{Ask, Direct};
use pvx_sim::{TaskState, User};
use trouble::Trouble;

/// How many requests one world sees.
const PER_WORLD: u64 = 2000;
/// Between two looks at the whole world.
const PER_CHECK: u64 = 500;
/// So many different faults are shown.
const MOST: usize = 8;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn show(ask: &Ask) -> String {
    let body = String::from_utf8_lossy(&ask.body);
    let body: String = body.chars().take(2000).collect();
    let target: String = ask.target.chars().take(2000).collect();
    format!("{} {target}\n  {}\n  {body:?}", ask.method, ask.content_type)
}

/// What came of the requests.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<u16, u64>,
    /// Errors, of answers (`500`) and of tasks (`task`).
    errors: BTreeMap<(String, String), u64>,
    /// Tasks that ended well, by kind, and all that ended.
    tasks: BTreeMap<String, (u64, u64)>,
}

impl Tally {
    fn share(&self, statuses: &[u16]) -> f64 {
        let of = |status: &u16| self.statuses.get(status).copied().unwrap_or(0);
        let all: u64 = self.statuses.values().sum();
        statuses.iter().map(of).sum::<u64>() as f64 / all.max(1) as f64
    }

    fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (error, count) in other.errors {
            *self.errors.entry(error).or_default() += count;
        }
        for (kind, (well, all)) in other.tasks {
            let entry = self.tasks.entry(kind).or_default();
            *entry = (entry.0 + well, entry.1 + all);
        }
    }

    fn tasks(&mut self, direct: &Direct) {
        for task in direct.world().tasks() {
            let TaskState::Stopped { exit, .. } = &task.state else { continue };
            let well = exit == "OK" || exit.starts_with("WARNINGS");
            let entry = self.tasks.entry(task.kind.clone()).or_default();
            *entry = (entry.0 + u64::from(well), entry.1 + 1);
            if !well {
                let key = (format!("task {}", task.kind), judge::pattern(exit));
                *self.errors.entry(key).or_default() += 1;
            }
        }
    }

    fn text(&self) -> String {
        let mut out = format!("{:?}\n", self.statuses);
        for (kind, (well, all)) in &self.tasks {
            out.push_str(&format!("{well:7} of {all:7} {kind}\n"));
        }
        let mut errors: Vec<_> = self.errors.iter().collect();
        errors.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        for ((place, text), count) in errors {
            out.push_str(&format!("{count:7} {place}: {text}\n"));
        }
        out
    }
}

/// The requests of one seed; an error names the request.
fn play(seed: u64, count: u64, per_check: u64, tally: &mut Tally) -> Result<(), String> {
    // Two worlds in five see nothing that leaves loose ends, and are looked at more closely.
    let gentle = seed % 5 < 2;
    let mut maker = Maker::new(seed, gentle);
    let mut direct = Direct::new(world::world(), 1_790_000_000_000);
    let root: User = direct.world().access().users["root@pam"].clone();
    let mut trouble = Trouble::default();
    for number in 0..count {
        if !gentle {
            trouble.strike(&mut maker, &mut direct);
        }
        let mut ask = maker.request(direct.world());
        let own = ask.authorization.is_none();
        if own {
            let (ticket, csrf) = direct.ticket("root@pam");
            ask.cookie = Some(format!("PVEAuthCookie={ticket}"));
            ask.csrf = Some(csrf);
        }
        let result = catch_unwind(AssertUnwindSafe(|| {
            let told = direct.ask(&ask);
            direct.advance(maker.pause());
            told
        }));
        let place = || format!("seed {seed}, request {number}:\n{}", show(&ask));
        let told = result.map_err(|_| format!("panic at {}", place()))?;
        judge::judge(&ask.target, &told).map_err(|error| {
            format!("{error}: {} {:?} at {}", told.status, told.reason, place())
        })?;
        // Who locked himself out is let in again.
        if told.status == 401 && own {
            direct.world_mut().access_mut().users.insert("root@pam".to_owned(), root.clone());
        }
        maker.learn(&told.body);
        *tally.statuses.entry(told.status).or_default() += 1;
        if told.status == 500 {
            let key = ("500".to_owned(), judge::pattern(&told.reason));
            *tally.errors.entry(key).or_default() += 1;
        }
        if number % per_check == per_check - 1 {
            let world = direct.world();
            let whole = if gentle { world.check_whole() } else { Ok(()) };
            let checked = whole.and_then(|()| world.check());
            checked.map_err(|error| format!("{error} after {}{}", place(), last_tasks(&direct)))?;
        }
    }
    tally.tasks(&direct);
    let broken = |exit: &&str| exit.contains("simulator:");
    match direct.world().tasks().filter_map(pvx_sim::Task::exit).find(broken) {
        Some(exit) => Err(format!("an error of our own making ends a task of seed {seed}: {exit}")),
        None => Ok(()),
    }
}

/// The newest tasks, for who looks for a cause.
fn last_tasks(direct: &Direct) -> String {
    let tasks: Vec<String> = direct
        .world()
        .tasks()
        .map(|task| format!("\n  {} {} on {}: {:?}", task.kind, task.id, task.node, task.exit()))
        .collect();
    tasks[tasks.len().saturating_sub(12)..].concat()
}

/// The requests of one seed; where they found something, what, and the request that did it.
fn round(seed: u64, count: u64, tally: &mut Tally) -> Option<(String, String)> {
    let error = play(seed, count, PER_CHECK, tally).err()?;
    // Once more with a look after every request, to name the one that did it.
    let exact = match error.starts_with("panic") {
        true => Ok(()),
        false => play(seed, count, 1, &mut Tally::default()),
    };
    let error = exact.err().unwrap_or(error);
    let kind = judge::pattern(error.lines().next().unwrap_or_default());
    Some((kind.chars().take(40).collect(), error))
}

#[test]
fn a_million_requests() {
    let (count, first) = (variable("PVX_FUZZ", 20_000), variable("PVX_FUZZ_SEED", 1));
    let (next, last) = (AtomicU64::new(first), first + count.div_ceil(PER_WORLD));
    let shared = Mutex::new((Tally::default(), BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= last || shared.lock().unwrap().1.len() >= MOST {
                break;
            }
            if let Some((kind, error)) = round(seed, PER_WORLD.min(count), &mut tally) {
                shared.lock().unwrap().1.entry(kind).or_insert(error);
            }
        }
        shared.lock().unwrap().0.add(tally);
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (tally, found) = shared.into_inner().unwrap();
    let text = tally.text();
    if let Some(path) = std::env::var_os("PVX_FUZZ_REPORT") {
        std::fs::write(path, &text).unwrap();
    }
    let found: Vec<String> = found.into_values().collect();
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    if count < 20_000 {
        return;
    }
    // Enough of each kind, or the requests test nothing.
    let well: u64 = tally.tasks.values().map(|(well, _)| well).sum();
    assert!(tally.share(&[200]) > 0.35, "{text}");
    assert!(tally.share(&[200, 500]) > 0.58, "{text}");
    assert!(tally.share(&[401]) < 0.1, "{text}");
    assert!(well > count / 40, "{text}");
    for status in [400, 403, 501] {
        assert!(tally.share(&[status]) > 0.001, "{text}");
    }
}
