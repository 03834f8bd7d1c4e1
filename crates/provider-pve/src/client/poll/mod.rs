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
    /// Held by the one that asks. What is under way outlasts it.
    asking: tokio::sync::Mutex<UnderWay>,
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
        let nobody = self.poller.waiters().remove(self.key);
        // Requests hold the client, and the client holds them.
        if nobody && let Ok(mut under_way) = self.poller.asking.try_lock() {
            *under_way = UnderWay::default();
        }
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

type Asked = BoxFuture<'static, (Ask, Instant, Result<Answer, ApiError>)>;

/// Requests that have no answer yet. They go on beside each other: a node that does not answer holds
/// up no other.
#[derive(Debug, Default)]
struct UnderWay {
    asks: BTreeSet<Ask>,
    answers: FuturesUnordered<Asked>,
}

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
        let mut under_way = self.asking.lock().await;
        let UnderWay { asks, answers } = &mut *under_way;
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
                Some((ask, began, answer)) = answers.next(), if !answers.is_empty() => {
                    asks.remove(&ask);
                    self.waiters().take(&ask, began, answer, Instant::now());
                }
                () = self.changed.notified() => {}
                () = tick => {
                    let now = Instant::now();
                    for (ask, since) in self.waiters().tick(now, asks) {
                        asks.insert(ask.clone());
                        answers.push(exchange(client.clone(), ask, since, now).boxed());
                    }
                }
            }
        }
    }
}

async fn exchange(
    client: Client,
    ask: Ask,
    since: u32,
    began: Instant,
) -> (Ask, Instant, Result<Answer, ApiError>) {
    let answer = ask::send(&client, &ask, since).await;
    (ask, began, answer)
}
