//! How long actions take: what comes first, and how long is left.

use std::time::Duration;

use crate::plan::{Action, ActionKind};

/// How long actions take.
#[derive(Debug, Clone, Default)]
pub struct Estimates {}

impl Estimates {
    /// How long one action takes when nothing is in its way.
    pub fn of(&self, action: &Action) -> Duration {
        let seconds = match &action.kind {
            ActionKind::Clone { full: true, .. } | ActionKind::MoveDisk { .. } => 20,
            ActionKind::Migrate { .. } => 15,
            ActionKind::Shutdown { .. } | ActionKind::Reboot { .. } => 15,
            _ => 1,
        };
        Duration::from_secs(seconds)
    }
}
