//! Guests that this run proved to be its own a moment ago.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::{Action, ActionKind, Precondition};

/// For how long a proof is as good as a new one.
const FRESH: Duration = Duration::from_secs(5);

/// Guests whose mark and identity were read, and whose file was then written with the digest of that
/// reading: Proxmox compares it under its lock, so the write went to the guest that was read.
///
/// A start that follows within seconds does not read the guest again. To be wrong, somebody would
/// have to remove the guest that was just written and make another one with its VMID in that time;
/// and then that guest is started, and loses nothing. What changes, moves, stops or removes anything
/// always reads again.
#[derive(Debug, Default)]
pub(super) struct Fresh(Mutex<BTreeMap<u32, Instant>>);

impl Fresh {
    /// A write went through whose guest was read, and proved, at that time.
    pub(super) fn wrote(&self, action: &Action, read: Instant) {
        let mut proofs = self.proofs();
        proofs.retain(|_, at| at.elapsed() < FRESH);
        proofs.insert(action.vmid, read);
    }

    /// Is the reading before an action not needed?
    pub(super) fn spares(&self, action: &Action) -> bool {
        let owned = |p: &Precondition| matches!(p, Precondition::Owned { .. });
        action.kind == ActionKind::Start
            && action.preconditions.iter().all(owned)
            && self.proofs().get(&action.vmid).is_some_and(|at| at.elapsed() < FRESH)
    }

    fn proofs(&self) -> MutexGuard<'_, BTreeMap<u32, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
