//! How much a script may do: one that never ends, or that doubles a variable over and over, must
//! not take the simulator down with it. On a node it would be the machine's memory, or whoever
//! waits for it, that ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Commands of one script, the ones in loops each time they run.
const COMMANDS: u64 = 1_000_000;
/// Bytes of a variable, and of the arguments of one command.
pub(super) const TEXT: usize = 16 << 20;

/// What is left. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<AtomicU64>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(COMMANDS)
    }
}

impl Budget {
    /// So many commands.
    pub(super) fn of(commands: u64) -> Self {
        Self(Arc::new(AtomicU64::new(commands)))
    }

    /// Whether nothing is left.
    pub(super) fn spent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Takes a command; false when none is left.
    pub(super) fn take(&self) -> bool {
        let less = |left: u64| left.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}
