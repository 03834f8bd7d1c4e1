//! One stream of events; progress bars, plain lines and JSON are readers of it.

use schemars::JsonSchema;
use serde::Serialize;

use super::budget::Resource;
use crate::plan::ActionId;
use crate::provider::ProviderError;

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// It is ready and not begun: too much of that is in flight already. Said once for each
    /// resource that holds it back.
    Held {
        /// Which action.
        action: ActionId,
        /// What is full.
        by: Resource,
    },
    /// The bound of a resource was changed: lowered when Proxmox could not get a lock in time,
    /// raised when all went well.
    Bound {
        /// The resource.
        resource: Resource,
        /// Actions in flight on it at most from now on.
        limit: usize,
        /// Why.
        why: String,
    },
    /// The answer to its request was lost: the cluster is looked at.
    Looking {
        /// Which action.
        action: ActionId,
        /// How it was lost.
        why: String,
    },
    /// What the look showed.
    Found {
        /// Which action.
        action: ActionId,
        /// In a few words.
        what: String,
    },
    /// Refused because a lock was held; it will be tried again.
    Waiting {
        /// Which action.
        action: ActionId,
        /// What Proxmox said.
        why: String,
    },
    /// The pause is over: it is tried again.
    Again {
        /// Which action.
        action: ActionId,
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

impl Event {
    /// The action it is about.
    pub fn action(&self) -> Option<ActionId> {
        match self {
            Self::Bound { .. } => None,
            Self::Started { action }
            | Self::Task { action, .. }
            | Self::Held { action, .. }
            | Self::Looking { action, .. }
            | Self::Found { action, .. }
            | Self::Waiting { action, .. }
            | Self::Again { action }
            | Self::Finished { action, .. }
            | Self::Failed { action, .. }
            | Self::Skipped { action, .. } => Some(*action),
        }
    }
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
