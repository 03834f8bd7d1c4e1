//! What locks were used for: how long each was held and waited for, in sim time. It is what a faster
//! client cannot save: work under one lock goes one after the other.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::World;
use super::lock::LockName;
use super::task::Task;

/// What one lock came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LockTotals {
    /// Its name: `storage shared`, `storage local on pve1`, `config 100`, `migration 100`.
    pub lock: String,
    /// How often it was taken for one holder alone, and given back.
    pub takes: u64,
    /// Sim ms for which it was held so, of all.
    pub held_ms: i64,
    /// How often it was taken together with others, as a template's is by its clones.
    pub shared_takes: u64,
    /// How often it was not to be had at once.
    pub waits: u64,
    /// Sim ms for which it was waited, of all.
    pub waited_ms: i64,
    /// How often a wait was in vain.
    pub timeouts: u64,
}

/// One holder of a lock, from asking to giving back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LockSpan {
    /// Its name, as in [`LockTotals::lock`].
    pub lock: String,
    /// The UPID of the task; empty for a request's own work and for a fault.
    pub upid: String,
    /// Whether nobody else could hold it.
    pub exclusive: bool,
    /// Sim ms at which it was asked for.
    pub asked_ms: i64,
    /// Sim ms at which it was there.
    pub from_ms: i64,
    /// Sim ms at which it was given back.
    pub to_ms: i64,
}

/// How many spans are remembered.
const KEPT: usize = 20_000;

/// The use of all locks.
#[derive(Clone, Debug, Default)]
pub(crate) struct LockUse {
    totals: BTreeMap<LockName, LockTotals>,
    /// By lock and holder.
    held: BTreeMap<(LockName, u64), Held>,
    spans: VecDeque<(LockName, u64, Held, i64)>,
}

/// A lock that somebody has.
#[derive(Clone, Copy, Debug)]
struct Held {
    exclusive: bool,
    asked_ms: i64,
    from_ms: i64,
}

impl LockUse {
    fn of(&mut self, name: &LockName) -> &mut LockTotals {
        self.totals.entry(name.clone()).or_default()
    }

    /// It was taken; a second time by the same holder means nothing.
    pub(crate) fn taken(&mut self, name: &LockName, exclusive: bool, holder: u64, now: i64) {
        let held = Held { exclusive, asked_ms: now, from_ms: now };
        self.held.entry((name.clone(), holder)).or_insert(held);
    }

    /// A wait of so many ms ended, with the lock or in vain.
    pub(crate) fn waited(&mut self, name: &LockName, holder: u64, ms: i64, got: bool) {
        if let Some(held) = self.held.get_mut(&(name.clone(), holder)).filter(|_| got) {
            held.asked_ms = held.from_ms - ms;
        }
        if ms == 0 && got {
            return;
        }
        let totals = self.of(name);
        totals.waits += 1;
        totals.waited_ms += ms;
        totals.timeouts += u64::from(!got);
    }

    /// It was given back, if the holder had it.
    pub(crate) fn given(&mut self, name: &LockName, holder: u64, now: i64) {
        let Some(held) = self.held.remove(&(name.clone(), holder)) else { return };
        let totals = self.of(name);
        if held.exclusive {
            totals.takes += 1;
            totals.held_ms += now - held.from_ms;
        } else {
            totals.shared_takes += 1;
        }
        if self.spans.len() >= KEPT {
            self.spans.pop_front();
        }
        self.spans.push_back((name.clone(), holder, held, now));
    }

    /// Everything that a holder had was given back.
    pub(crate) fn given_all(&mut self, holder: u64, now: i64) {
        let all: Vec<LockName> = self
            .held
            .keys()
            .filter(|(_, found)| *found == holder)
            .map(|(name, _)| name.clone())
            .collect();
        all.iter().for_each(|name| self.given(name, holder, now));
    }
}

impl World {
    /// What locks were held and waited for since the start, or since they were cleared. Not kept in
    /// files.
    #[must_use]
    pub fn lock_totals(&self) -> Vec<LockTotals> {
        let named = |(name, totals): (&LockName, &LockTotals)| LockTotals {
            lock: name.to_string(),
            ..totals.clone()
        };
        self.locks.used.totals.iter().map(named).collect()
    }

    /// Who held which lock and when: the last twenty thousand that were given back, oldest first.
    #[must_use]
    pub fn lock_spans(&self) -> Vec<LockSpan> {
        let span = |(name, holder, held, to_ms): &(LockName, u64, Held, i64)| LockSpan {
            lock: name.to_string(),
            upid: self.tasks.get(*holder).map(|task: &Task| task.upid.clone()).unwrap_or_default(),
            exclusive: held.exclusive,
            asked_ms: held.asked_ms,
            from_ms: held.from_ms,
            to_ms: *to_ms,
        };
        self.locks.used.spans.iter().map(span).collect()
    }

    /// Forgets what locks were used for so far.
    pub fn clear_locks(&mut self) {
        self.locks.used.totals.clear();
        self.locks.used.spans.clear();
    }
}
