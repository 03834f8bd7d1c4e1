//! Freeing volumes: each takes the lock of its storage for as long as that lasts (`vdisk_free`).

use serde::{Deserialize, Serialize};

use super::{Next, Stage};
use crate::world::volumes::split_volid;

/// Milliseconds that a volume takes to be freed.
pub(super) const FREE_MS: i64 = 90;

/// Volumes that are freed one after the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Freeing {
    /// The last first.
    queue: Vec<String>,
    at: At,
    /// Why the lock was not to be had.
    refused: Option<String>,
}

/// How far the next volume is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum At {
    #[default]
    Begin,
    /// The lock is asked for.
    Asked,
    /// It is being freed.
    Freed,
}

/// What comes next.
pub(super) enum Progress {
    /// Time passes.
    Wait(Next),
    /// This volume goes now.
    Free(String),
    /// This volume stays, and why.
    Refused(String, String),
    /// There are no more.
    Done,
}

impl Freeing {
    /// Frees these, in their order.
    pub(super) fn of(volids: impl IntoIterator<Item = String>) -> Self {
        let mut queue: Vec<String> = volids.into_iter().collect();
        queue.reverse();
        Self { queue, ..Self::default() }
    }

    pub(super) fn step(&mut self, stage: &mut Stage<'_>) -> Progress {
        let Some(volid) = self.queue.last().cloned() else { return Progress::Done };
        let storage = split_volid(&volid).map_or("", |(storage, _)| storage);
        match self.at {
            At::Begin => {
                self.at = At::Asked;
                return Progress::Wait(stage.storage_lock(storage));
            }
            At::Asked if self.refused.is_none() => {
                self.at = At::Freed;
                return Progress::Wait(Next::After(FREE_MS));
            }
            At::Asked | At::Freed => {}
        }
        stage.unlock_storage(storage);
        self.at = At::Begin;
        self.queue.pop();
        match self.refused.take() {
            Some(why) => Progress::Refused(volid, why),
            None => Progress::Free(volid),
        }
    }

    /// The lock was not to be had in time: false when none was asked for here.
    pub(super) fn refuse(&mut self, why: &str) -> bool {
        let asked = self.at == At::Asked && !self.queue.is_empty();
        if asked {
            self.refused = Some(why.to_owned());
        }
        asked
    }
}
