//! One attempt at an action: check, record, send, wait.

use std::sync::Mutex;

use super::check::check;
use super::{Context, Event, History};
use crate::plan::{Action, Change, Precondition};
use crate::provider::{Begun, ErrorClass, ProviderError, TaskEnd, Writer};
use crate::state::{Record, StateError};

/// Tries once. `recorded` says whether the journal has the begin record already.
pub(super) async fn attempt<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &Mutex<&mut H>,
    change: &Change,
    action: &Action,
    recorded: &mut bool,
) -> Result<TaskEnd, ProviderError> {
    check(context, action).await?;
    if !*recorded {
        remember(context, history, change)?;
        let (action, at) = (Box::new(action.clone()), (context.now)());
        write(history, change, &Record::Begin { action, at })?;
        *recorded = true;
    }
    send(context, history, change, action).await
}

async fn send<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &Mutex<&mut H>,
    change: &Change,
    action: &Action,
) -> Result<TaskEnd, ProviderError> {
    match context.writer.begin(action, digest(action)).await? {
        Begun::Done => Ok(TaskEnd { warnings: 0 }),
        Begun::Task(upid) => {
            let record = Record::Task { action: action.id.0, upid: upid.clone() };
            // The task runs whether or not this line can be written, so it is waited for.
            let written = write(history, change, &record);
            context.sink.event(&Event::Task { action: action.id, upid: upid.clone() });
            let end = context.writer.wait(&upid, context.patience.task).await?;
            written.map(|()| end)
        }
    }
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

fn digest(action: &Action) -> Option<&str> {
    action.preconditions.iter().find_map(|p| match p {
        Precondition::Digest { digest } => Some(digest.as_str()),
        _ => None,
    })
}
