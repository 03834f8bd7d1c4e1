//! A cluster with a lock for each storage, which is waited for 10 s.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::execute::budget::{Resource, needs};
use crate::live::{Guest, GuestRef, Ha, Inventory};
use crate::plan::{Action, ActionId, ActionKind, Plan};
use crate::provider::{Begun, ErrorClass, ProviderError, Reader, TaskEnd, Writer};

/// How fast it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Speed {
    /// Seconds for one volume under a lock.
    pub(super) volume: f64,
    /// By what that differs.
    pub(super) locks: f64,
    /// Seconds for a GiB.
    pub(super) gib: f64,
    /// Seconds until an answer or the end of a task is known.
    pub(super) answer: f64,
}

impl Default for Speed {
    fn default() -> Self {
        Self { volume: 0.1, locks: 1.0, gib: 1.0, answer: 0.25 }
    }
}

pub(super) struct Cluster {
    plan: Plan,
    speed: Speed,
    locks: BTreeMap<Resource, Semaphore>,
    pub(super) worked: Mutex<BTreeMap<Resource, f64>>,
    waits: Mutex<Vec<f64>>,
}

impl Cluster {
    pub(super) fn new(plan: &Plan, speed: Speed) -> Self {
        let all = plan.actions.iter().flat_map(|action| needs(plan, action));
        let locks = all.filter(Resource::is_lock).map(|lock| (lock, Semaphore::new(1)));
        let (locks, worked, waits) = (locks.collect(), Mutex::default(), Mutex::default());
        Self { plan: plan.clone(), speed, locks, worked, waits }
    }

    /// Seconds under the lock, and without it.
    pub(super) fn costs(&self, action: &Action) -> (f64, f64) {
        let (volumes, own) = match &action.kind {
            ActionKind::Clone { full: true, .. } => (2.0, 0.1 + 8.0 * self.speed.gib),
            ActionKind::Clone { .. } => (2.0, 0.1),
            ActionKind::MoveDisk { .. } => (1.0, 8.0 * self.speed.gib),
            ActionKind::Destroy => (1.0, 0.2),
            ActionKind::Start => (0.0, 1.0),
            ActionKind::Shutdown { .. } => (0.0, 3.0),
            _ => (0.0, 0.1),
        };
        (volumes * self.speed.volume * self.speed.locks, own)
    }

    pub(super) fn longest_wait(&self) -> f64 {
        self.waits.lock().unwrap().iter().copied().fold(0.0, f64::max)
    }

    pub(super) fn answer(&self) -> f64 {
        self.speed.answer
    }

    async fn work(&self, action: &Action) -> Result<TaskEnd, ProviderError> {
        let (hold, own) = self.costs(action);
        for lock in needs(&self.plan, action).into_iter().filter(Resource::is_lock) {
            let begun = Instant::now();
            let waited = timeout(Duration::from_secs(10), self.locks[&lock].acquire()).await;
            let Ok(held) = waited else {
                let text = format!(
                    "can't lock file '/x/pve-storage-{}' - got timeout",
                    lock.storage().unwrap()
                );
                return Err(ProviderError::new(ErrorClass::Busy, text));
            };
            self.waits.lock().unwrap().push(begun.elapsed().as_secs_f64());
            sleep(Duration::from_secs_f64(hold)).await;
            *self.worked.lock().unwrap().entry(lock).or_default() += hold;
            drop(held);
        }
        sleep(Duration::from_secs_f64(own)).await;
        Ok(TaskEnd { warnings: 0 })
    }
}

impl Reader for Cluster {
    async fn inventory(&self) -> Result<Inventory, ProviderError> {
        Ok(Inventory::default())
    }

    async fn guests(&self, _: &[GuestRef], _: bool) -> Result<Vec<Guest>, ProviderError> {
        Ok(Vec::new())
    }

    async fn ha(&self) -> Result<Ha, ProviderError> {
        Ok(Ha::default())
    }
}

impl Writer for Cluster {
    async fn begin(&self, action: &Action, _: Option<&str>) -> Result<Begun, ProviderError> {
        sleep(Duration::from_secs_f64(self.speed.answer / 5.0)).await;
        Ok(Begun::Task(action.id.0.to_string()))
    }

    async fn wait(&self, upid: &str, _: Duration) -> Result<TaskEnd, ProviderError> {
        let id = ActionId(upid.parse().unwrap());
        let end = self.work(self.plan.actions.get(id).unwrap()).await;
        sleep(Duration::from_secs_f64(self.speed.answer)).await;
        end
    }
}
