//! One action: check, record, send, wait.

use std::sync::Mutex;

use super::{Context, Event, History};
use crate::live::{Guest, GuestRef};
use crate::plan::{Action, ActionKind, Change, Precondition};
use crate::provider::{Begun, ErrorClass, ProviderError, TaskEnd, Writer};
use crate::state::{Record, StateError};

/// Carries out one action. The end record is the caller's, because only it knows what follows.
pub(super) async fn perform<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &Mutex<&mut H>,
    change: &Change,
    action: &Action,
) -> Result<TaskEnd, ProviderError> {
    let mut pause = context.patience.pause;
    let mut recorded = false;
    for attempt in 1.. {
        // Looked at before each attempt: much can change while a lock is waited for.
        let error = match check(context, action).await {
            Err(error) => error,
            Ok(()) => {
                if !recorded {
                    remember(context, history, change)?;
                    write(history, change, &begin(action))?;
                    context.sink.event(&Event::Started { action: action.id });
                    recorded = true;
                }
                match attempt_once(context, history, change, action).await {
                    Ok(end) => return Ok(end),
                    Err(error) => error,
                }
            }
        };
        // Right after a clone or a migration the new node may not have seen the file yet.
        let unseen = error.class == ErrorClass::Missing && waits(context, action);
        // Nor may all nodes know yet that the guest before it is gone.
        let stale = error.class == ErrorClass::Exists && follows_destroy(context, action);
        let again = unseen || stale || error.class == ErrorClass::Busy;
        if !again || attempt >= context.patience.tries {
            return Err(error);
        }
        let why = error.message.clone();
        context.sink.event(&Event::Waiting { action: action.id, why });
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
    Err(ProviderError::new(ErrorClass::Busy, "no attempt was made"))
}

fn begin(action: &Action) -> Record {
    Record::Begin {
        action: action.id.0,
        address: action.address.clone(),
        vmid: action.vmid,
        node: action.node.clone(),
        verb: action.kind.verb().to_owned(),
    }
}

/// Does something of this plan come before the action?
fn waits<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    !context.plan.actions.needs(action.id).is_empty()
}

/// Is a guest made in the place of one that this plan removes right before?
fn follows_destroy<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    let actions = &context.plan.actions;
    let before = actions.needs(action.id).into_iter().filter_map(|id| actions.get(id));
    before.filter(|a| a.vmid == action.vmid).any(|a| a.kind == ActionKind::Destroy)
}

async fn attempt_once<W: Writer, H: History>(
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

/// Reads the guest again when a precondition is about it, in the same breath as the write.
async fn check<W: Writer>(context: &Context<'_, W>, action: &Action) -> Result<(), ProviderError> {
    let about_guest = |p: &Precondition| match p {
        Precondition::Owned { .. }
        | Precondition::Begun { .. }
        | Precondition::Unprotected
        | Precondition::Holds { .. } => true,
        Precondition::Digest { .. } => !sends_digest(&action.kind),
        Precondition::VmidFree => false, // Proxmox refuses a taken one itself
    };
    if !action.preconditions.iter().any(about_guest) {
        return Ok(());
    }
    let reference = GuestRef { vmid: action.vmid, node: action.node.clone() };
    let found = context.writer.guests(std::slice::from_ref(&reference), false).await?;
    let Some(guest) = found.into_iter().find(|g| g.vmid == action.vmid) else {
        let text = format!("guest {} is not on {} any more", action.vmid, action.node);
        let class = if waits(context, action) { ErrorClass::Missing } else { ErrorClass::Changed };
        return Err(ProviderError { class, ..changed(text) });
    };
    action.preconditions.iter().try_for_each(|p| holds(context, action, &guest, p))
}

fn holds<W: Writer>(
    context: &Context<'_, W>,
    action: &Action,
    guest: &Guest,
    precondition: &Precondition,
) -> Result<(), ProviderError> {
    let vmid = guest.vmid;
    match precondition {
        Precondition::VmidFree => Ok(()),
        Precondition::Owned { mark, uuid } => {
            let tags = guest.config.get("tags").map_or("", String::as_str);
            let marked = tags.split([';', ',', ' ']).any(|tag| tag.eq_ignore_ascii_case(mark));
            if marked && context.kind.identity_of(guest) == Some(*uuid) {
                return Ok(());
            }
            Err(changed(format!(
                "guest {vmid} on {} is not {} any more: its mark or smbios uuid changed",
                guest.node, action.address
            )))
        }
        Precondition::Begun { note } => {
            let found = guest.config.get("description").map_or("", String::as_str);
            if found.trim_end() == note {
                return Ok(());
            }
            Err(changed(format!(
                "guest {vmid} on {} is not the one that was cloned for {}: its description changed",
                guest.node, action.address
            )))
        }
        Precondition::Unprotected if guest.is_protected() => {
            Err(changed(format!("guest {vmid} on {} was protected meanwhile", guest.node)))
        }
        Precondition::Unprotected if guest.is_template() => {
            Err(changed(format!("guest {vmid} on {} was made a template meanwhile", guest.node)))
        }
        Precondition::Unprotected => Ok(()),
        Precondition::Holds { disk, volume } => {
            let held = guest.config.get(disk).map_or("", String::as_str);
            let held = held.split(',').next().unwrap_or_default();
            if held == volume {
                return Ok(());
            }
            Err(changed(format!("{disk} of guest {vmid} on {} is not {volume}", guest.node)))
        }
        Precondition::Digest { digest } if guest.digest.as_ref() == Some(digest) => Ok(()),
        Precondition::Digest { .. } if sends_digest(&action.kind) => Ok(()),
        Precondition::Digest { .. } => {
            Err(changed(format!("guest {vmid} on {} changed since the plan", guest.node)))
        }
    }
}

/// Does the request carry the digest, so that Proxmox compares it under its lock? All others are
/// compared here.
fn sends_digest(kind: &ActionKind) -> bool {
    matches!(
        kind,
        ActionKind::Configure { .. }
            | ActionKind::Resize { .. }
            | ActionKind::MoveDisk { .. }
            | ActionKind::Reassign { .. }
            | ActionKind::Detach { .. }
            | ActionKind::Erase { .. }
    )
}

fn changed(text: String) -> ProviderError {
    ProviderError::new(ErrorClass::Changed, text)
        .help("nothing was done to it; plan again to see what it is now")
}
