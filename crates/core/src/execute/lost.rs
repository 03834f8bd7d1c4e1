//! The answer to a write was lost: look, then decide (law 3). The same for a request of a run that
//! was cut off.
//!
//! A request that is nowhere to be seen may still wait in a node's queue: pveproxy gives up after
//! 30 s and answers 596, pvedaemon goes on. So a repetition must be harmless even when the first
//! request takes effect after it; where it is not, that time is waited out first
//! ([`repeat_is_harmless`]).

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Patience;
use crate::plan::{Action, ActionKind, HaChange, Precondition};
use crate::provider::{ErrorClass, ProviderError, Seen, TaskEnd, Writer};

/// Looks before a request without any effect is repeated, the first included: an effect takes a
/// moment to show.
const LOOKS: u32 = 3;

/// The longest pause between two looks.
const LONGEST: Duration = Duration::from_secs(5);

/// What is said meanwhile.
pub(super) enum Sign<'a> {
    /// The look begins, and why.
    Looking(&'a str),
    /// What it showed.
    Found(&'a str),
    /// Its task was found.
    Task(&'a str),
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// What it was to do is done.
    Done(TaskEnd),
    /// Nothing: it may be sent again.
    Nothing,
}

/// An action whose answer was lost.
pub(super) struct Lost<'a, W: Writer> {
    pub(super) writer: &'a W,
    pub(super) patience: &'a Patience,
    /// With the digest that was sent.
    pub(super) action: &'a Action,
    /// When it was begun, in seconds since the Unix epoch.
    pub(super) since: i64,
    /// How many seconds ago that was.
    pub(super) age: u64,
    pub(super) said: &'a (dyn Fn(Sign<'_>) + Sync),
}

impl<W: Writer> Lost<'_, W> {
    /// Looks until it can be told.
    ///
    /// # Errors
    /// The task's failure; `Exists` or `Changed` when something else is in its place;
    /// `OutcomeUnknown` when it cannot be told.
    pub(super) async fn settle(&self, mut error: ProviderError) -> Result<Settled, ProviderError> {
        (self.said)(Sign::Looking(&error.message));
        let began = Instant::now();
        let (mut looks, mut pause, mut told) = (0, self.patience.pause, String::new());
        loop {
            looks += 1;
            let (waits, why) = match self.writer.look(self.action, self.since).await {
                Ok(Seen::Done) => return Ok(self.done(TaskEnd { warnings: 0 })),
                // Waited for already, and it is still not known how it ends.
                Ok(Seen::Running(upid)) if error.upid.as_ref() == Some(&upid) => {
                    return Err(error);
                }
                Ok(Seen::Running(upid)) => match self.wait(&upid).await {
                    Ok(end) => return Ok(self.done(end)),
                    Err(lost) if lost.class == ErrorClass::OutcomeUnknown => {
                        error = ProviderError { upid: Some(upid), ..lost };
                        continue;
                    }
                    Err(failed) => return Err(failed),
                },
                Ok(Seen::Other(what)) => return Err(self.other(error, what)),
                Ok(Seen::Nothing) if self.is_final(&error, looks, began) => {
                    (self.said)(Sign::Found("nothing came of it"));
                    return Ok(Settled::Nothing);
                }
                Ok(Seen::Nothing) => (self.patience.late, String::new()),
                Ok(Seen::Coming(what)) => (self.patience.task, what),
                Ok(Seen::Unclear(why)) => (self.patience.late, why),
                Err(unseen) => (self.patience.late, unseen.message),
            };
            if !why.is_empty() && began.elapsed() >= waits {
                return Err(unclear(error, &why));
            }
            if !why.is_empty() && told != why {
                (self.said)(Sign::Found(&why));
                told = why;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    async fn wait(&self, upid: &str) -> Result<TaskEnd, ProviderError> {
        (self.said)(Sign::Task(upid));
        self.writer.wait(upid, self.patience.task).await
    }

    fn done(&self, end: TaskEnd) -> Settled {
        (self.said)(Sign::Found("it is done"));
        Settled::Done(end)
    }

    /// Can nothing come of it any more, or nothing that would do harm?
    fn is_final(&self, error: &ProviderError, looks: u32, began: Instant) -> bool {
        // Its task began and is over: nothing waits in a queue.
        if error.upid.is_some() {
            return true;
        }
        let age = began.elapsed() + Duration::from_secs(self.age);
        if age >= self.patience.late {
            return true;
        }
        // One of a run that was cut off is planned anew: that looks again before it writes.
        repeat_is_harmless(self.action) && (looks >= LOOKS || self.age > 0)
    }

    fn other(&self, error: ProviderError, what: String) -> ProviderError {
        let class = match self.action.kind {
            ActionKind::Clone { .. } | ActionKind::Create { .. } | ActionKind::Ha { .. } => {
                ErrorClass::Exists
            }
            _ => ErrorClass::Changed,
        };
        ProviderError { class, message: what, ..error }
            .help("it is left alone; plan again to see what is there now")
    }
}

fn unclear(error: ProviderError, why: &str) -> ProviderError {
    let message = format!("{}; what became of it cannot be told: {why}", error.message);
    ProviderError { class: ErrorClass::OutcomeUnknown, message, ..error }
        .help("run the command again: it looks at the cluster first")
}

/// May the request be sent a second time although the first may still take effect after it?
pub(super) fn repeat_is_harmless(action: &Action) -> bool {
    let has_digest = action.preconditions.iter().any(|p| matches!(p, Precondition::Digest { .. }));
    match &action.kind {
        // Whichever comes second is refused: the VMID is taken, and the guest shows whose it is.
        ActionKind::Create { .. } | ActionKind::Clone { .. } => true,
        // Values are absolute. Where a volume is allocated the digest lets only one through.
        ActionKind::Configure { background, .. } => has_digest || !background,
        // An absolute size: the second one changes nothing.
        ActionKind::Resize { .. } => true,
        // Both carry the digest of the same reading, and the first one changes it.
        ActionKind::MoveDisk { .. }
        | ActionKind::Reassign { .. }
        | ActionKind::Detach { .. }
        | ActionKind::Erase { .. } => has_digest,
        // The guest is no longer on the node that the second one asks.
        ActionKind::Migrate { .. } => true,
        // It runs already, and that is what was wanted.
        ActionKind::Start => true,
        // Absolute values, written through `qm set`; a file of known content under a name of its own.
        ActionKind::ConfigureAsRoot { .. } | ActionKind::Snippet { .. } => true,
        // Membership is absolute.
        ActionKind::Pool { .. } => true,
        // A removal may come after the plan has put the same thing there again.
        ActionKind::Ha { change } => {
            !matches!(change, HaChange::Remove | HaChange::RemoveRule { .. })
        }
        // The guest may have been started again by then, or be another one at the same VMID.
        ActionKind::Shutdown { .. } | ActionKind::Reboot { .. } | ActionKind::Destroy => false,
    }
}
