//! What a run that was cut off had begun: its task is waited for, or the cluster is looked at.

use super::Patience;
use super::lost::{Lost, Settled, Sign};
use crate::plan::Action;
use crate::provider::{ErrorClass, ProviderError, Seen, TaskEnd, Writer};
use crate::state::Unfinished;

/// What became of an action that was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Became {
    /// What it was to do is done.
    Done,
    /// It failed, or something else is in its place.
    Failed(ProviderError),
    /// Nothing came of it.
    Nothing,
    /// It cannot be told: it stays open.
    Unknown(ProviderError),
}

/// Settles one action that the journal knows no end of. `now` is in seconds since the Unix epoch;
/// `said` is told what goes on, in a few words.
pub async fn resume<W: Writer>(
    writer: &W,
    patience: &Patience,
    open: &Unfinished,
    now: i64,
    said: &(dyn Fn(&str) + Sync),
) -> Became {
    let action = open.action.as_ref();
    if open.is_vague() {
        return vague(writer, patience, open, said).await;
    }
    if let Some(upid) = &open.upid {
        said("its task is waited for");
        match writer.wait(upid, patience.task).await {
            Ok(TaskEnd { .. }) => return Became::Done,
            Err(error) if error.class == ErrorClass::OutcomeUnknown => {
                let error = ProviderError { upid: Some(upid.clone()), ..error };
                return settle(writer, patience, (action, open.at), now, error, said).await;
            }
            Err(error) => return failed(writer, open, error).await,
        }
    }
    let text = "the run ended before the answer came";
    let error = ProviderError::new(ErrorClass::OutcomeUnknown, text);
    settle(writer, patience, (action, open.at), now, error, said).await
}

/// A journal of an older pvx tells of the task alone; the cluster is read again in any case.
async fn vague<W: Writer>(
    writer: &W,
    patience: &Patience,
    open: &Unfinished,
    said: &(dyn Fn(&str) + Sync),
) -> Became {
    let Some(upid) = &open.upid else { return Became::Nothing };
    said("its task is waited for");
    match writer.wait(upid, patience.task).await {
        Ok(TaskEnd { .. }) => Became::Done,
        Err(error) if error.class == ErrorClass::OutcomeUnknown => Became::Unknown(error),
        Err(error) => Became::Failed(error),
    }
}

/// A task that failed is over; a start that failed because the guest runs has what it wanted.
async fn failed<W: Writer>(writer: &W, open: &Unfinished, error: ProviderError) -> Became {
    match writer.look(&open.action, open.at).await {
        Ok(Seen::Done) => Became::Done,
        _ => Became::Failed(error),
    }
}

async fn settle<W: Writer>(
    writer: &W,
    patience: &Patience,
    (action, since): (&Action, i64),
    now: i64,
    error: ProviderError,
    said: &(dyn Fn(&str) + Sync),
) -> Became {
    let say = |sign: Sign<'_>| match sign {
        Sign::Task(_) => said("its task is waited for"),
        Sign::Looking(_) | Sign::Found(_) => {}
    };
    // A clock that was put back says nothing; a second counts at least: that run is over.
    let age = u64::try_from(now.saturating_sub(since)).unwrap_or(0).max(1);
    let lost = Lost { writer, patience, action, since, age, said: &say };
    match lost.settle(error).await {
        Ok(Settled::Done(_)) => Became::Done,
        Ok(Settled::Nothing) => Became::Nothing,
        Err(error) if error.class == ErrorClass::OutcomeUnknown => Became::Unknown(error),
        Err(error) => Became::Failed(error),
    }
}
