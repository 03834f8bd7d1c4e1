//! One poller for all tasks that are waited for: a request a tick, however many there are.
//!
//! Whoever waits registers here, and one of those who wait does the asking for all of them, until
//! its own task has ended; then another one goes on. So nothing runs when nobody waits, and whoever
//! stops waiting leaves nothing behind.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::task::TaskEnd;
use super::{ApiError, Client, Upid, WaitOptions};
use ask::{Answer, Ask};
use waiters::Waiters;

mod ask;
mod choose;
mod pace;
mod waiters;

/// Who waits, and who asks for them.
#[derive(Debug, Default)]
pub(super) struct Poller {
    waiters: Mutex<Waiters>,
    /// Held by the one that asks.
    asking: tokio::sync::Mutex<()>,
    /// Someone came to wait.
    changed: Notify,
}

/// Someone who waits; dropping it ends that.
pub(super) struct Waiting<'a> {
    poller: &'a Poller,
    key: u64,
    end: oneshot::Receiver<Result<TaskEnd, ApiError>>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.poller.waiters().remove(self.key);
    }
}

impl Waiting<'_> {
    /// How the task ended, or the error after which there is no use in asking on.
    pub(super) async fn end(&mut self, client: &Client) -> Result<TaskEnd, ApiError> {
        let poller = self.poller;
        tokio::select! {
            biased;
            Ok(end) = &mut self.end => end,
            never = poller.ask_for_all(client) => match never {},
        }
    }

    /// The error of the last look at the task, when that failed.
    pub(super) fn last_error(&self) -> Option<String> {
        self.poller.waiters().last_error(self.key)
    }
}

type Asked<'a> = BoxFuture<'a, (Ask, Instant, Result<Answer, ApiError>)>;

impl Poller {
    pub(super) fn wait(&self, upid: &Upid, options: WaitOptions) -> Waiting<'_> {
        let (sender, end) = oneshot::channel();
        let key = self.waiters().add(upid, options, sender, Instant::now());
        self.changed.notify_one();
        Waiting { poller: self, key, end }
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for everybody, as soon as nobody else does.
    async fn ask_for_all(&self, client: &Client) -> std::convert::Infallible {
        let _asking = self.asking.lock().await;
        // Requests go on beside each other: a node that does not answer holds up no other.
        let mut asked: FuturesUnordered<Asked<'_>> = FuturesUnordered::new();
        let mut open = BTreeSet::new();
        loop {
            let due = self.waiters().due();
            let tick = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                Some((ask, began, answer)) = asked.next(), if !asked.is_empty() => {
                    open.remove(&ask);
                    self.waiters().take(&ask, began, answer, Instant::now());
                }
                () = self.changed.notified() => {}
                () = tick => {
                    let now = Instant::now();
                    for (ask, since) in self.waiters().tick(now, &open) {
                        open.insert(ask.clone());
                        asked.push(exchange(client, ask, since, now).boxed());
                    }
                }
            }
        }
    }
}

async fn exchange(
    client: &Client,
    ask: Ask,
    since: u32,
    began: Instant,
) -> (Ask, Instant, Result<Answer, ApiError>) {
    let answer = ask::send(client, &ask, since).await;
    (ask, began, answer)
}
