//! `vncproxy`: waits for somebody who looks at the console; nobody ever comes.

use serde::{Deserialize, Serialize};

use super::{Next, Stage};

/// How long a proxy waits for a connection, in ms.
const WAIT_MS: i64 = 10_000;

/// A console that was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Console {
    /// What the task ends with.
    pub(crate) failure: String,
}

impl Console {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(Next::After(WAIT_MS)),
            _ => Err(self.failure.clone()),
        }
    }
}
