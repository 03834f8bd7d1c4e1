//! What one action costs, and under which names that is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::plan::{Action, ActionKind, Plan, Store};
use crate::state::Durations;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Time that one action takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::execute) struct Cost {
    /// Outside of locks, copying included.
    pub(in crate::execute) own: Duration,
    /// Under the lock of a storage, for each volume on it.
    pub(in crate::execute) volume: Duration,
    /// GiB that it copies outside of locks; none when it copies nothing.
    pub(in crate::execute) copies: Option<f64>,
}

/// Something to remember for the next run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::execute) struct Sample {
    /// The name.
    pub(in crate::execute) key: String,
    /// How long it took.
    pub(in crate::execute) took: Duration,
}

impl Sample {
    /// What an action shows that took so long of its own.
    pub(in crate::execute) fn of(action: &Action, cost: Cost, own: Duration) -> Self {
        match cost.copies {
            None => Self { key: key(action), took: own },
            Some(gib) => Self { key: per_gib(action), took: own.div_f64(gib) },
        }
    }

    /// How long a storage's lock is held for one volume.
    pub(in crate::execute) fn of_lock(storage: &str, volume: Duration) -> Self {
        Self { key: lock(storage), took: volume }
    }
}

/// Bytes of disks by guest, as the plan tells them.
pub(super) struct Sizes<'a>(BTreeMap<u32, &'a [(String, u64)]>);

impl<'a> Sizes<'a> {
    pub(super) fn of(plan: &'a Plan) -> Self {
        Self(plan.changes.iter().map(|c| (c.vmid, c.facts.disks.as_slice())).collect())
    }

    fn disks(&self, vmid: u32) -> &'a [(String, u64)] {
        self.0.get(&vmid).copied().unwrap_or_default()
    }
}

/// What an action of a plan costs.
pub(super) fn of(plan: &Plan, action: &Action, sizes: &Sizes<'_>, known: &Durations) -> Cost {
    let store = action.storages.first().and_then(|storage| plan.storages.get(storage));
    cost(action, sizes.disks(action.vmid), store, known)
}

/// What an action costs of which nothing is known beside itself.
pub(super) fn alone(action: &Action, known: &Durations) -> Cost {
    cost(action, &[], None, known)
}

fn cost(
    action: &Action,
    disks: &[(String, u64)],
    store: Option<&Store>,
    known: &Durations,
) -> Cost {
    let copies = copied(action, disks);
    let own = match copies {
        None => known.of(&key(action)).unwrap_or_else(|| usual(&action.kind)),
        Some(gib) => {
            let rate = known.of(&per_gib(action)).unwrap_or(PER_GIB);
            rate.mul_f64(gib)
        }
    };
    let one = action.storages.iter().filter_map(|storage| known.of(&lock(storage))).max();
    let volume = one.unwrap_or_else(|| usual_hold(store)).max(SHORTEST);
    Cost { own, volume, copies }
}

impl Cost {
    /// How long an action holds the lock of one of its storages.
    pub(in crate::execute) fn hold(&self, action: &Action, storage: &str) -> Duration {
        self.volume.saturating_mul(volumes_on(action, storage))
    }
}

/// Volumes that are made or freed on a storage.
pub(in crate::execute) fn volumes_on(action: &Action, storage: &str) -> u32 {
    let count = action.storages.iter().filter(|name| *name == storage).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The name of the kind of action.
fn key(action: &Action) -> String {
    let how = match &action.kind {
        ActionKind::Clone { full, .. } => return format!("clone {}", linked(*full)),
        ActionKind::Migrate { online: true, .. } => " online",
        ActionKind::Migrate { online: false, .. } => " offline",
        _ => "",
    };
    format!("{}{how}", action.kind.verb())
}

fn linked(full: bool) -> &'static str {
    if full { "full" } else { "linked" }
}

/// The name of what copies, for each GiB: it depends on where to.
pub(in crate::execute) fn per_gib(action: &Action) -> String {
    let storages: BTreeSet<&str> = action.storages.iter().map(String::as_str).collect();
    let storages: Vec<&str> = storages.into_iter().collect();
    format!("{} {} a GiB", key(action), storages.join("+"))
}

fn lock(storage: &str) -> String {
    format!("lock {storage}")
}

/// No volume is made in less, whatever was seen.
const SHORTEST: Duration = Duration::from_millis(10);

/// A local SSD, and a network of 10 Gbit/s.
const PER_GIB: Duration = Duration::from_secs(1);

/// How long it usually takes beside copying and locks (recordings).
fn usual(kind: &ActionKind) -> Duration {
    let ms = match kind {
        ActionKind::Clone { .. } | ActionKind::Create { .. } => 100,
        ActionKind::Configure { .. } | ActionKind::Pool { .. } | ActionKind::Ha { .. } => 100,
        ActionKind::Detach { .. } | ActionKind::Erase { .. } | ActionKind::Reassign { .. } => 100,
        ActionKind::Resize { .. } | ActionKind::MoveDisk { .. } => 200,
        ActionKind::Destroy => 200,
        ActionKind::ConfigureAsRoot { .. } | ActionKind::Snippet { .. } => 500,
        ActionKind::Start => 1_100,
        ActionKind::Migrate { online: false, .. } => 1_100,
        ActionKind::Migrate { online: true, .. } => 5_000,
        ActionKind::Shutdown { .. } => 3_000,
        ActionKind::Reboot { .. } => 4_000,
    };
    Duration::from_millis(ms)
}

/// How long the lock is held for one volume: a file, a logical volume or a data set, an image in
/// Ceph.
fn usual_hold(store: Option<&Store>) -> Duration {
    let ms = match store.map_or("", |store| store.plugin.as_str()) {
        "lvm" | "lvmthin" | "zfspool" | "zfs" | "iscsidirect" => 200,
        "rbd" => 300,
        _ => 100,
    };
    Duration::from_millis(ms)
}

/// GiB that are copied; none when it copies nothing.
fn copied(action: &Action, disks: &[(String, u64)]) -> Option<f64> {
    let all = || disks.iter().map(|(_, bytes)| *bytes).sum::<u64>();
    let bytes = match &action.kind {
        ActionKind::Clone { full: true, .. } => all(),
        ActionKind::Migrate { .. } if !action.storages.is_empty() => all(),
        ActionKind::Create { config, .. }
            if config.values().any(|v| v.contains("import-from=")) =>
        {
            all()
        }
        ActionKind::MoveDisk { disk, .. } => {
            disks.iter().find(|(slot, _)| slot == disk).map_or(0, |(_, bytes)| *bytes)
        }
        _ => return None,
    };
    // Nobody knows: the size of a usual system disk.
    let gib = if bytes == 0 { 10.0 } else { bytes as f64 / GIB };
    Some(gib.max(0.1))
}
