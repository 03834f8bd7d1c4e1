//! One action to its end: what is refused because of a lock is tried again.

use std::sync::Mutex;

use super::attempt::attempt;
use super::check::waits;
use super::{Context, Event, History};
use crate::plan::{Action, ActionKind, Change};
use crate::provider::{ErrorClass, ProviderError, TaskEnd, Writer};

/// Carries out one action. The end record is the caller's, because only it knows what follows.
pub(super) async fn perform<W: Writer, H: History>(
    context: &Context<'_, W>,
    history: &Mutex<&mut H>,
    change: &Change,
    action: &Action,
) -> Result<TaskEnd, ProviderError> {
    let mut pause = context.patience.pause;
    let (mut recorded, mut tries) = (false, 0);
    context.sink.event(&Event::Started { action: action.id });
    loop {
        tries += 1;
        // What it needs is looked at before each attempt: much can change while a lock is waited
        // for.
        let error = match attempt(context, history, change, action, &mut recorded).await {
            Ok(end) => return Ok(end),
            Err(error) => error,
        };
        if !may_repeat(context, action, &error) || tries >= context.patience.tries {
            return Err(error);
        }
        let why = error.message.clone();
        context.sink.event(&Event::Waiting { action: action.id, why });
        tokio::time::sleep(pause).await;
        context.sink.event(&Event::Again { action: action.id });
        pause *= 2;
    }
}

/// Was it refused for a reason that passes by itself?
fn may_repeat<W: Writer>(context: &Context<'_, W>, action: &Action, error: &ProviderError) -> bool {
    match error.class {
        ErrorClass::Busy => true,
        // Right after a clone or a migration the new node may not have seen the file yet.
        ErrorClass::Missing => waits(context, action),
        // Nor may all nodes know yet that the guest before it is gone.
        ErrorClass::Exists => follows_destroy(context, action),
        _ => false,
    }
}

/// Is a guest made in the place of one that this plan removes right before?
fn follows_destroy<W: Writer>(context: &Context<'_, W>, action: &Action) -> bool {
    let actions = &context.plan.actions;
    let before = actions.needs(action.id).into_iter().filter_map(|id| actions.get(id));
    before.filter(|a| a.vmid == action.vmid).any(|a| a.kind == ActionKind::Destroy)
}
