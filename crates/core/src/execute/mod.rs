//! The executor carries a plan out and decides nothing (law 1). Its only choices are: does the
//! precondition still hold, may this be retried, stop.

mod attempt;
mod budget;
mod check;
pub mod course;
mod door;
mod estimate;
mod event;
mod fresh;
mod lost;
mod report;
mod resume;
mod retry;
mod rounds;
mod run;
mod schedule;
pub mod stream;
#[cfg(test)]
mod tests;

pub use budget::{Limits, Resource, default_of};
pub use estimate::Estimates;
pub use event::{Event, Sink};
pub use report::{Outcome, Report};
pub use resume::{Became, resume};
pub use rounds::Rounds;
pub use run::{Stop, run};

use std::time::Duration;

use crate::plan::{Change, Plan};
use crate::provider::{GuestKind, Writer};
use crate::state::{Record, StateError};

/// Where the executor writes what it is about to do, and what it did.
pub trait History: Send {
    /// An action of a guest is about to begin. Whatever becomes of it, documents manage what the plan
    /// says from here on: a run may end between two writes, and a key that was written and then left
    /// its document is still to be reset.
    ///
    /// # Errors
    /// When it cannot be written: then the action does not begin.
    fn begins(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError>;

    /// Must be on disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written: then the side effect does not begin.
    fn record(&mut self, change: &Change, record: &Record) -> Result<(), StateError>;

    /// All actions of a guest have succeeded.
    ///
    /// # Errors
    /// When the state cannot be written.
    fn settled(&mut self, plan: &Plan, change: &Change) -> Result<(), StateError>;
}

/// How patient the executor is.
#[derive(Debug, Clone)]
pub struct Patience {
    /// How long one task may take.
    pub task: Duration,
    /// For how long actions are begun; what runs then is waited for. None: to the end.
    pub run: Option<Duration>,
    /// How often a request is tried in all while it is refused because of a lock.
    pub tries: u32,
    /// Pause before the first repetition, about; doubled each time.
    pub pause: Duration,
    /// How long a request whose answer was lost may still wait in a node's queue: pveproxy gives up
    /// on a node after 30 s.
    pub late: Duration,
    /// No pause is longer than about this.
    pub longest_pause: Duration,
    /// Any number: what pauses of this run differ from those of another by.
    pub seed: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            task: Duration::from_secs(3600),
            run: None,
            tries: 8,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            seed: 0,
            late: Duration::from_secs(30),
        }
    }
}

/// What a run works with.
pub struct Context<'a, W: Writer> {
    /// The plan, which lint has passed.
    pub plan: &'a Plan,
    /// The cluster.
    pub writer: &'a W,
    /// Knows where a guest keeps its identity.
    pub kind: &'a dyn GuestKind,
    /// How many actions at once, and on what.
    pub limits: &'a Limits,
    /// Deadlines and retries.
    pub patience: &'a Patience,
    /// How long actions take.
    pub estimates: &'a Estimates,
    /// Told of everything that happens.
    pub sink: &'a dyn Sink,
    /// Seconds since the Unix epoch.
    pub now: fn() -> i64,
}
