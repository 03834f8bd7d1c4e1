//! What a run did.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::plan::ActionId;
use crate::provider::ProviderError;
use crate::state::Durations;

/// What became of every action.
#[derive(Debug, Default)]
pub struct Report {
    /// Succeeded.
    pub done: BTreeSet<ActionId>,
    /// Failed, and why.
    pub failed: BTreeMap<ActionId, ProviderError>,
    /// Not run, because this one failed.
    pub skipped: BTreeMap<ActionId, ActionId>,
    /// Begun and left running.
    pub abandoned: BTreeSet<ActionId>,
    /// Never begun, or refused and not tried again, because the run was stopped.
    pub unstarted: BTreeSet<ActionId>,
    /// The time for the whole run was over before all was begun.
    pub out_of_time: bool,
    /// State that could not be written although the actions succeeded.
    pub state_errors: Vec<String>,
    /// How long each action took that was done or failed, from its begin to its end, the wait for
    /// its task included; of one that was tried again, the last try.
    pub took: BTreeMap<ActionId, Duration>,
    /// What the run showed of how long actions take, for [`Report::teach`].
    pub(super) learned: BTreeMap<String, Duration>,
}

/// A report in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything succeeded.
    Complete,
    /// Something failed.
    Failed,
    /// The user stopped it, or its time was over.
    Cancelled,
}

impl Report {
    /// The report in one word; a failure outweighs a stop.
    pub fn outcome(&self) -> Outcome {
        if !self.failed.is_empty() || !self.state_errors.is_empty() {
            Outcome::Failed
        } else if !self.abandoned.is_empty() || !self.unstarted.is_empty() {
            Outcome::Cancelled
        } else {
            Outcome::Complete
        }
    }

    /// Adds what the run showed to what earlier ones did.
    pub fn teach(&self, durations: &mut Durations) {
        for (key, took) in &self.learned {
            durations.learn(key, *took);
        }
    }
}
