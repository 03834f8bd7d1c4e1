//! One stream of events; progress bars, plain lines and JSON are readers of it.

use serde::Serialize;

use crate::plan::ActionId;
use crate::provider::ProviderError;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The action's request is about to be sent.
    Started {
        /// Which action.
        action: ActionId,
    },
    /// The request became a task.
    Task {
        /// Which action.
        action: ActionId,
        /// The task.
        upid: String,
    },
    /// Refused because a lock was held; it will be tried again.
    Waiting {
        /// Which action.
        action: ActionId,
        /// What Proxmox said.
        why: String,
    },
    /// It succeeded.
    Finished {
        /// Which action.
        action: ActionId,
        /// Number of warnings in the task's log.
        warnings: u32,
    },
    /// It failed.
    Failed {
        /// Which action.
        action: ActionId,
        /// What went wrong.
        #[serde(skip)]
        error: ProviderError,
    },
    /// It is not run because something it depends on failed.
    Skipped {
        /// Which action.
        action: ActionId,
        /// What failed.
        because: ActionId,
    },
}

/// Told of events while they happen. Must return at once.
pub trait Sink: Send + Sync {
    /// One event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Sink for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}
