//! Those who wait, and what is known of their tasks. Asks nobody and has no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::ask::{Answer, Ask, Listed};
use super::choose::{Task, choose};
use super::pace::Pace;
use crate::client::task::TaskEnd;
use crate::client::{ApiError, Upid, WaitOptions};

/// How long a list is not asked that does not show a running task, or may not be read.
const BLIND: Duration = Duration::from_secs(60);

/// A list goes stale when the node is lost, or when both its daemon was restarted and pvestatd
/// hangs. So every so often one task that is listed as running is asked for by itself.
const CONFIRM: Duration = Duration::from_secs(20);

/// The pause between two questions about a task that no list shows, doubled each time.
const DOUBT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));

type End = Result<TaskEnd, ApiError>;

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    waiting: BTreeMap<u64, Waiter>,
    pace: Pace,
    ticked: Option<Instant>,
    confirmed: Option<Instant>,
    /// Lists that do not tell, and until when that is believed.
    blind: BTreeMap<Ask, Instant>,
}

#[derive(Debug)]
struct Waiter {
    upid: String,
    node: String,
    kind: String,
    starttime: u32,
    options: WaitOptions,
    began: Instant,
    due: Instant,
    /// When it was last found running.
    ran: Instant,
    /// When it was last asked for by itself.
    asked: Instant,
    doubt: Option<Doubt>,
    last_error: Option<String>,
    /// Gone when the end was told.
    end: Option<oneshot::Sender<End>>,
}

/// A list does not show the task: it may have ended and fallen out, or the list is not for us.
#[derive(Debug)]
struct Doubt {
    list: Ask,
    ask_at: Instant,
    pause: Duration,
}

impl Waiters {
    pub(super) fn add(
        &mut self,
        upid: &Upid,
        options: WaitOptions,
        end: oneshot::Sender<End>,
        now: Instant,
    ) -> u64 {
        let key = self.next;
        self.next += 1;
        let waiter = Waiter {
            due: now + self.pace.first(&upid.kind, &options),
            upid: upid.to_string(),
            node: upid.node.clone(),
            kind: upid.kind.clone(),
            starttime: upid.starttime,
            options,
            began: now,
            ran: now,
            asked: now,
            doubt: None,
            last_error: None,
            end: Some(end),
        };
        self.waiting.insert(key, waiter);
        key
    }

    /// Whether nobody is left.
    pub(super) fn remove(&mut self, key: u64) -> bool {
        self.waiting.remove(&key);
        self.waiting.is_empty()
    }

    pub(super) fn last_error(&self, key: u64) -> Option<String> {
        self.waiting.get(&key)?.last_error.clone()
    }

    fn open(&self) -> impl Iterator<Item = &Waiter> {
        self.waiting.values().filter(|waiter| waiter.end.is_some())
    }

    /// When there is something to ask.
    pub(super) fn due(&self) -> Option<Instant> {
        let tasks = self.open().count();
        let each = self.open().map(|waiter| {
            let due = self.due_of(waiter, tasks);
            waiter.doubt.as_ref().map_or(due, |doubt| doubt.ask_at.min(due))
        });
        each.min()
    }

    /// Looks are no nearer to each other than it takes to tell their tasks' ends apart, and not
    /// nearer than that while there are many.
    fn due_of(&self, waiter: &Waiter, tasks: usize) -> Instant {
        let gap = self.pace.gap(&waiter.kind, &waiter.options, tasks);
        self.ticked.map_or(waiter.due, |ticked| waiter.due.max(ticked + gap))
    }

    /// What to ask now, with the start of the oldest task that it is about (seconds since 1970).
    pub(super) fn tick(&mut self, now: Instant, open: &BTreeSet<Ask>) -> Vec<(Ask, u32)> {
        let mut asks = self.doubtful(now);
        let tasks = self.open().count();
        if self.open().any(|waiter| self.due_of(waiter, tasks) <= now) {
            asks.extend(self.lists(now));
            self.ticked = Some(now);
            let pace = &self.pace;
            for waiter in self.waiting.values_mut() {
                let age = now.saturating_duration_since(waiter.began);
                waiter.due = now + pace.pause(&waiter.kind, age, &waiter.options);
            }
        }
        let asks = asks.into_iter().filter(|ask| !open.contains(ask));
        asks.map(|ask| (self.since(&ask), ask)).map(|(since, ask)| (ask, since)).collect()
    }

    /// Tasks that no list showed.
    fn doubtful(&mut self, now: Instant) -> BTreeSet<Ask> {
        let mut asks = BTreeSet::new();
        for waiter in self.waiting.values_mut().filter(|waiter| waiter.end.is_some()) {
            let Some(doubt) = waiter.doubt.as_mut().filter(|doubt| doubt.ask_at <= now) else {
                continue;
            };
            doubt.ask_at = now + doubt.pause;
            doubt.pause = (doubt.pause * 2).min(DOUBT.1);
            asks.insert(Ask::Task(waiter.upid.clone()));
        }
        asks
    }

    fn lists(&mut self, now: Instant) -> Vec<Ask> {
        self.blind.retain(|_, until| *until > now);
        let blind = self.blind.keys().cloned().collect();
        let tasks: Vec<_> =
            self.open().map(|waiter| Task { upid: &waiter.upid, node: &waiter.node }).collect();
        let mut asks = choose(&tasks, &blind);
        let confirmed = *self.confirmed.get_or_insert(now);
        if now >= confirmed + CONFIRM && asks.iter().any(|ask| !matches!(ask, Ask::Task(_))) {
            self.confirmed = Some(now);
            let oldest =
                self.waiting.values_mut().filter(|w| w.end.is_some()).min_by_key(|w| w.asked);
            if let Some(waiter) = oldest {
                waiter.asked = now;
                asks.push(Ask::Task(waiter.upid.clone()));
            }
        }
        asks
    }

    fn since(&self, ask: &Ask) -> u32 {
        let about = self.open().filter(|waiter| waiter.is_about(ask));
        about.map(|waiter| waiter.starttime).min().unwrap_or_default()
    }

    /// What an answer says, to all whom it concerns.
    pub(super) fn take(
        &mut self,
        ask: &Ask,
        began: Instant,
        answer: Result<Answer, ApiError>,
        now: Instant,
    ) {
        if let Err(error) = &answer
            && !error.is_transient()
            && !matches!(ask, Ask::Task(_))
        {
            tracing::debug!(%error, "this list of tasks does not tell");
            self.blind.insert(ask.clone(), now + BLIND);
        }
        let (blind, pace) = (&mut self.blind, &mut self.pace);
        for waiter in self.waiting.values_mut() {
            // What was asked before someone came to wait says nothing about the task.
            if waiter.end.is_none() || waiter.began > began || !waiter.is_about(ask) {
                continue;
            }
            let end = match &answer {
                Ok(Answer::List(rows)) => waiter.listed(ask, rows.get(&waiter.upid), began, now),
                Ok(Answer::Status(status)) => {
                    let end = status.end();
                    if end.is_none() {
                        waiter.runs(began);
                        blind.extend(waiter.doubt.take().map(|doubt| (doubt.list, now + BLIND)));
                    }
                    end.map(Ok)
                }
                Err(error) if error.is_transient() || !matches!(ask, Ask::Task(_)) => {
                    waiter.last_error = Some(error.to_string());
                    None
                }
                Err(error) => Some(Err(error.clone())),
            };
            if let Some(end) = end {
                pace.ended(&waiter.kind, waiter.ran - waiter.began, now - waiter.began);
                waiter.tell(end);
            }
        }
    }
}

impl Waiter {
    fn is_about(&self, ask: &Ask) -> bool {
        match ask {
            Ask::Cluster => true,
            Ask::Node(node) => *node == self.node,
            Ask::Task(upid) => *upid == self.upid,
        }
    }

    fn runs(&mut self, at: Instant) {
        self.ran = self.ran.max(at);
        self.last_error = None;
    }

    fn listed(
        &mut self,
        list: &Ask,
        row: Option<&Listed>,
        at: Instant,
        now: Instant,
    ) -> Option<End> {
        match row {
            Some(Listed::Ended(end)) => return Some(Ok(end.clone())),
            Some(Listed::Running) => {
                self.runs(at);
                self.doubt = None;
            }
            None if self.doubt.is_none() => {
                self.doubt = Some(Doubt { list: list.clone(), ask_at: now, pause: DOUBT.0 });
            }
            None => {}
        }
        None
    }

    fn tell(&mut self, end: End) {
        if let Some(sender) = self.end.take() {
            // Whoever waited may have left.
            sender.send(end).ok();
        }
    }
}

#[cfg(test)]
mod tests;
