//! One resource: how many use it, how many may.

use std::time::Duration;

use tokio::time::Instant;

use super::Ended;
use super::lock::{Lock, Share, Use};
use crate::execute::Event;
use crate::execute::budget::Resource;
use crate::execute::estimate::{Cost, volumes_on};
use crate::plan::Action;

/// What an action in flight has of a resource.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken(Option<Share>);

impl Taken {
    pub(super) fn is_share(self) -> bool {
        self.0.is_some()
    }
}

/// A resource with its bound.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) resource: Resource,
    flying: usize,
    bound: usize,
    lock: Option<Lock>,
    /// The bound that was told last, since it was lowered.
    told: Option<usize>,
}

impl Gate {
    pub(super) fn new(resource: Resource, bound: usize, lock_wait: Duration) -> Self {
        let lock = resource.is_lock().then(|| Lock::new(lock_wait));
        Self { resource, flying: 0, bound, lock, told: None }
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.flying < self.bound && self.lock.as_ref().is_none_or(|lock| lock.is_open(now))
    }

    /// When it opens although nothing ends.
    pub(super) fn opens(&self, now: Instant) -> Option<Instant> {
        let lock = self.lock.as_ref().filter(|_| self.flying < self.bound);
        lock.and_then(|lock| lock.opens(now))
    }

    pub(super) fn take(&mut self, action: &Action, cost: Cost, now: Instant) -> Taken {
        self.flying += 1;
        let storage = self.resource.storage().unwrap_or_default();
        let wants = Use {
            hold: cost.hold(action, storage),
            volumes: volumes_on(action, storage),
            copying: cost.copies.map(|_| cost.own),
        };
        Taken(self.lock.as_mut().map(|lock| lock.take(wants, now)))
    }

    /// Gives it back. `spent` is the time in flight beside what the action takes of its own; none
    /// when it cannot be told whose it is. The event says that the bound was changed.
    pub(super) fn give(
        &mut self,
        taken: Taken,
        ended: Ended<'_>,
        spent: Option<Duration>,
        now: Instant,
    ) -> Option<Event> {
        self.flying = self.flying.saturating_sub(1);
        let (Some(lock), Some(share)) = (self.lock.as_mut(), taken.0) else { return None };
        lock.give(share);
        let storage = self.resource.storage().unwrap_or_default();
        match ended {
            Ended::Well => lock.succeeded(share, spent),
            Ended::Busy(text) if names(text, storage) => {
                let lowered = lock.timed_out(share, spent, now);
                return lowered.then(|| self.tell("Proxmox could not get its lock in time"));
            }
            Ended::Busy(_) | Ended::Otherwise => return None,
        }
        // Told when it matters: twice as many, or as many as ever.
        let (before, limit) = (self.told?, self.limit());
        let matters = limit >= before.saturating_mul(2) || limit >= self.bound;
        matters.then(|| self.tell("its lock was there in time again"))
    }

    fn limit(&self) -> usize {
        self.lock.as_ref().map_or(self.bound, |lock| lock.room().min(self.bound))
    }

    fn tell(&mut self, why: &str) -> Event {
        let limit = self.limit();
        self.told = (limit < self.bound).then_some(limit);
        Event::Bound { resource: self.resource.clone(), limit, why: why.to_owned() }
    }

    /// How long an action had to wait for the lock, holding it included, as estimated now.
    pub(super) fn queued(&self, taken: Taken) -> Option<Duration> {
        let (lock, share) = (self.lock.as_ref()?, taken.0?);
        Duration::try_from_secs_f64(share.queue * lock.correction()).ok()
    }

    /// The storage, and how long an action holds its lock as far as was seen.
    pub(super) fn learned(&self, taken: Taken) -> Option<(&str, Duration)> {
        let (lock, share) = (self.lock.as_ref()?, taken.0?);
        Some((self.resource.storage()?, lock.learned(share)?))
    }
}

/// Does a refusal name the lock of the storage? `can't lock file
/// '/var/lock/pve-manager/pve-storage-NAME'` (`PVE::Storage::Plugin`, `cluster_lock_storage`), and
/// `cfs-lock 'storage-NAME'` for one of the whole cluster (`PVE::Cluster::cfs_lock_storage`).
fn names(text: &str, storage: &str) -> bool {
    text.contains(&format!("storage-{storage}'"))
}
