//! One attempt at an action: check, record, send, wait; and look when the answer was lost.

use std::sync::Mutex;

use tokio::time::Instant;

use super::check::{check, replaces};
use super::door::Doors;
use super::fresh::Fresh;
use super::lost::{Lost, Settled, Sign};
use super::{Context, Event, History};
use crate::plan::{Action, ActionKind, Change, Precondition};
use crate::provider::{Begun, ErrorClass, ProviderError, TaskEnd, Writer};
use crate::state::{Record, StateError};

/// Tries once, and again after each request that was lost without any effect. `recorded` says
/// whether the journal has the begin record already.
pub(super) async fn attempt<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &Mutex<&mut H>,
    (doors, fresh): (&Doors, &Fresh),
    (action, change): (&Action, &Change),
    recorded: &mut bool,
) -> Result<TaskEnd, ProviderError> {
    let one = Attempt { context, history, change };
    let mut lost = 0;
    loop {
        let turn = doors.enter(action).await;
        let read = Instant::now();
        let digest = if fresh.spares(action) { None } else { check(context, action).await? };
        let proved = digest.is_some();
        let action = with_digest(action, digest);
        let since = (context.now)();
        if !*recorded {
            remember(context, history, change)?;
            let record = Record::Begin { action: Box::new(action.clone()), at: since };
            write(history, change, &record)?;
            *recorded = true;
        }
        let begun = context.writer.begin(&action, digest_of(&action)).await;
        drop(turn);
        let error = match one.follow(&action, begun).await {
            Ok(end) => {
                if proved {
                    fresh.wrote(&action, read);
                }
                return Ok(end);
            }
            Err(error) => error,
        };
        match error.class {
            ErrorClass::OutcomeUnknown => match one.look(&action, since, error.clone()).await {
                Ok(Settled::Done(end)) => return Ok(end),
                Ok(Settled::Nothing) => lost += 1,
                Err(error) => return Err(one.in_part(&action, error).await),
            },
            ErrorClass::Exists if may_be_ours(context, &action) => {
                return one.exists(&action, since, error, lost > 0).await;
            }
            _ => return Err(one.in_part(&action, error).await),
        }
        if lost >= context.patience.tries {
            return Err(never_arrived(error, lost));
        }
    }
}

struct Attempt<'a, 'h, W: Writer, H: History> {
    context: &'a Context<'a, W>,
    history: &'a Mutex<&'h mut H>,
    change: &'a Change,
}

impl<W: Writer, H: History> Attempt<'_, '_, W, H> {
    /// Waits for the task of a request that was accepted.
    async fn follow(
        &self,
        action: &Action,
        begun: Result<Begun, ProviderError>,
    ) -> Result<TaskEnd, ProviderError> {
        let context = self.context;
        match begun? {
            Begun::Done => Ok(TaskEnd { warnings: 0 }),
            Begun::Task(upid) => {
                // The task runs whether or not this line can be written, so it is waited for.
                let written = self.task(action, &upid);
                let end = context.writer.wait(&upid, context.patience.task).await?;
                written.map(|()| end)
            }
        }
    }

    fn task(&self, action: &Action, upid: &str) -> Result<(), ProviderError> {
        let record = Record::Task { action: action.id.0, upid: upid.to_owned() };
        let written = write(self.history, self.change, &record);
        self.context.sink.event(&Event::Task { action: action.id, upid: upid.to_owned() });
        written
    }

    /// The answer, or the end of its task, was lost.
    async fn look(
        &self,
        action: &Action,
        since: i64,
        error: ProviderError,
    ) -> Result<Settled, ProviderError> {
        let sink = self.context.sink;
        let said = |sign: Sign<'_>| match sign {
            Sign::Looking(why) => {
                sink.event(&Event::Looking { action: action.id, why: why.to_owned() });
            }
            Sign::Found(what) => {
                sink.event(&Event::Found { action: action.id, what: what.to_owned() });
            }
            // That it cannot be noted is found out at the end record.
            Sign::Task(upid) => drop(self.task(action, upid)),
        };
        let Context { writer, patience, .. } = self.context;
        Lost { writer: *writer, patience, action, since, age: 0, said: &said }.settle(error).await
    }

    /// A change that allocates several volumes writes each down as soon as it has it, and can meet a
    /// held lock at the next (qemu-server `API2/Qemu.pm`, update_vm_api). Sent again it would allocate
    /// the first ones once more, and leave those of before behind as `unusedN`. So what it did is
    /// planned on first.
    async fn in_part(&self, action: &Action, error: ProviderError) -> ProviderError {
        let allocates =
            matches!(action.kind, ActionKind::Configure { .. }) && !action.storages.is_empty();
        if error.class != ErrorClass::Busy || !allocates || digest_of(action).is_none() {
            return error;
        }
        match check(self.context, action).await {
            Err(found) if found.class == ErrorClass::Changed => {
                let message = format!("{}; a part of it was done", error.message);
                ProviderError { class: ErrorClass::Changed, message, ..error }
                    .help("plan again: what is done already is not done twice")
            }
            _ => error,
        }
    }

    /// What was to be made is there. It is taken for the effect of a request of our own only when it
    /// carries the identity; one that is still being made, only after such a request was lost.
    async fn exists(
        &self,
        action: &Action,
        since: i64,
        error: ProviderError,
        lost: bool,
    ) -> Result<TaskEnd, ProviderError> {
        use crate::provider::Seen;
        match self.context.writer.look(action, since).await {
            Ok(Seen::Done) => {
                let what = "it is there already, and is ours".to_owned();
                self.context.sink.event(&Event::Found { action: action.id, what });
                Ok(TaskEnd { warnings: 0 })
            }
            Ok(Seen::Running(_) | Seen::Coming(_)) if lost => {
                match self.look(action, since, error.clone()).await? {
                    Settled::Done(end) => Ok(end),
                    Settled::Nothing => Err(error),
                }
            }
            Ok(Seen::Other(what)) => Err(ProviderError { message: what, ..error }),
            _ => Err(error),
        }
    }
}

/// After a removal at the same VMID a node may not know yet that the old guest is gone; it may carry
/// the same identity as the new one.
fn may_be_ours<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    let makes = matches!(
        action.kind,
        ActionKind::Clone { .. } | ActionKind::Create { .. } | ActionKind::Ha { .. }
    );
    makes && !replaces(context, action)
}

fn never_arrived(error: ProviderError, times: u32) -> ProviderError {
    let message = format!("{}; sent {times} times, and nothing came of it", error.message);
    ProviderError { class: ErrorClass::Unreachable, message, ..error }
        .help("nothing was done; is the connection to the cluster reliable?")
}

/// The action with the digest that goes with its request: what the journal says of it is what is
/// needed to tell later whether it had its effect.
fn with_digest(action: &Action, digest: Option<String>) -> Action {
    let mut action = action.clone();
    if let Some(digest) = digest {
        action.preconditions.retain(|p| !matches!(p, Precondition::Digest { .. }));
        action.preconditions.push(Precondition::Digest { digest });
    }
    action
}

fn remember<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &Mutex<&mut H>,
    change: &Change,
) -> Result<(), ProviderError> {
    let mut history = history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    history.begins(context.plan, change).map_err(|error| unwritable("state", &error))
}

pub(super) fn write<H: History>(
    history: &Mutex<&mut H>,
    change: &Change,
    record: &Record,
) -> Result<(), ProviderError> {
    let mut history = history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    history.record(change, record).map_err(|error| unwritable("the journal", &error))
}

fn unwritable(what: &str, error: &StateError) -> ProviderError {
    ProviderError::new(ErrorClass::Refused, format!("{what} cannot be written: {error}")).help(
        "nothing more was begun for this guest; make the state folder writable and apply again",
    )
}

fn digest_of(action: &Action) -> Option<&str> {
    action.preconditions.iter().find_map(|p| match p {
        Precondition::Digest { digest } => Some(digest.as_str()),
        _ => None,
    })
}
