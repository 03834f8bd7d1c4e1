//! The lock of a storage, as far as it can be seen from outside: how much work waits at it.
//!
//! Who has to wait longer than 10 s is refused, and a lock for which nobody waits is idle. So as
//! much is let go to it as it works off in a few seconds ([`Limits::lock_wait`]). What does nothing
//! else (a linked clone, a removal) has its share until it ends. What copies afterwards has its
//! share until the lock should have come to it: the copying itself holds up nobody.
//!
//! How long the lock is held is an estimate. It is corrected by how long actions take that do
//! nothing else, begins with few of them, and doubles when one was refused: then it comes down
//! again with each that succeeds.
//!
//! [`Limits::lock_wait`]: crate::execute::Limits::lock_wait

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Actions that are let go to a lock of which nobody knows yet how fast it is. Each that succeeds
/// lets one more go.
const FIRST: f64 = 8.0;

/// How many observations the estimate that was given counts for.
const PRIOR: f64 = 8.0;

/// What an older observation counts, beside the next one.
const FADE: f64 = 0.95;

/// What is left of the excess of a penalty after a success.
const RELIEF: f64 = 0.98;

/// The most that the time is multiplied with because of refusals.
const WORST: f64 = 64.0;

/// What an action does with the lock, as estimated.
#[derive(Debug, Clone, Copy)]
pub(super) struct Use {
    /// How long it holds it in all.
    pub(super) hold: Duration,
    /// For how many volumes.
    pub(super) volumes: u32,
    /// How long it copies without it; none when it does nothing else.
    pub(super) copying: Option<Duration>,
}

/// The share that one action has of the lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    /// How long it holds the lock, as estimated.
    pub(super) hold: Duration,
    /// It goes on without the lock for long.
    pub(super) copies: bool,
    /// Work that was before it at the lock when it began, its own included: seconds, as
    /// estimated.
    pub(super) queue: f64,
    /// When it began.
    pub(super) since: Instant,
}

/// What is known of one lock.
#[derive(Debug)]
pub(super) struct Lock {
    headroom: f64,
    /// How many may be on their way to it: small at first.
    window: f64,
    /// Those in flight that do nothing else: seconds as estimated, and how many.
    owed: f64,
    waiting: usize,
    /// Until when those that copy keep it busy.
    busy_until: Option<Instant>,
    /// When those that copy come back to it, and for how many seconds, as estimated: in order.
    back: VecDeque<(Instant, f64)>,
    /// Time of the last actions under it and in its queue, and what was expected of that.
    seen: f64,
    expected: f64,
    /// At least 1; doubled by a refusal.
    penalty: f64,
    refused: Option<Instant>,
    /// The hold of the last action, in seconds.
    hold: f64,
}

impl Lock {
    pub(super) fn new(headroom: Duration) -> Self {
        Self {
            headroom: headroom.as_secs_f64(),
            window: FIRST,
            owed: 0.0,
            waiting: 0,
            busy_until: None,
            back: VecDeque::new(),
            seen: 0.0,
            expected: 0.0,
            penalty: 1.0,
            refused: None,
            hold: 0.0,
        }
    }

    /// By what estimates are multiplied.
    fn factor(&self) -> f64 {
        self.correction() * self.penalty
    }

    /// What was seen, in units of what was expected.
    pub(super) fn correction(&self) -> f64 {
        let prior = PRIOR * self.hold;
        if prior <= 0.0 { 1.0 } else { (prior + self.seen) / (prior + self.expected) }
    }

    /// Until when those that copy keep it busy, of those that have come to it by now.
    fn busy(&self, now: Instant) -> Option<Instant> {
        let factor = self.factor();
        let came = self.back.iter().take_while(|(at, _)| *at <= now);
        came.fold(self.busy_until, |until, (at, hold)| {
            let from = until.map_or(*at, |until| until.max(*at));
            Some(from + Duration::from_secs_f64(hold * factor))
        })
    }

    /// Seconds for which they keep it busy from now on.
    fn passing(&self, now: Instant) -> f64 {
        let left = self.busy(now).map(|until| until.saturating_duration_since(now));
        left.unwrap_or_default().as_secs_f64()
    }

    fn queue(&self, now: Instant) -> f64 {
        self.owed * self.factor() + self.passing(now)
    }

    fn count(&self, now: Instant) -> f64 {
        let hold = self.hold * self.factor();
        let passing = if hold > 0.0 { self.passing(now) / hold } else { 0.0 };
        self.waiting as f64 + passing
    }

    /// May one more go to it?
    pub(super) fn is_open(&self, now: Instant) -> bool {
        let idle = self.waiting == 0 && self.passing(now) <= 0.0;
        idle || (self.queue(now) < self.headroom && self.count(now) < self.window)
    }

    /// When it opens by itself; none when something has to end first.
    pub(super) fn opens(&self, now: Instant) -> Option<Instant> {
        let passing = self.passing(now);
        let hold = self.hold * self.factor();
        let time = self.queue(now) - self.headroom;
        let count = (self.count(now) - self.window) * hold;
        let wait = time.max(count).clamp(0.0, passing) + 0.001;
        (passing > 0.0).then(|| now + Duration::from_secs_f64(wait))
    }

    /// An action goes to it.
    pub(super) fn take(&mut self, wants: Use, now: Instant) -> Share {
        let Use { hold, volumes, copying } = wants;
        let copies = copying.is_some();
        let mut share = Share { hold, copies, queue: 0.0, since: now };
        if let Some(copying) = copying {
            self.pass(hold / volumes.max(1), volumes.max(1), copying, now);
        } else {
            self.hold = hold.as_secs_f64();
            self.owed += self.hold;
            self.waiting += 1;
        }
        let later = if copies { hold.as_secs_f64() - self.hold } else { 0.0 };
        share.queue = self.owed + self.passing(now) / self.factor() + later;
        share
    }

    /// One that copies takes it for its first volume, and comes back for each of the others.
    fn pass(&mut self, one: Duration, volumes: u32, copying: Duration, now: Instant) {
        self.busy_until = self.busy(now);
        while self.back.front().is_some_and(|(at, _)| *at <= now) {
            self.back.pop_front();
        }
        self.hold = one.as_secs_f64();
        let factor = self.factor();
        let from = self.busy_until.map_or(now, |until| until.max(now));
        let mut until = from + one.mul_f64(factor);
        self.busy_until = Some(until);
        // Nobody knows which of them is large: in between, each is copied for the same time.
        for _ in 1..volumes {
            until += copying / volumes;
            let place = self.back.partition_point(|(at, _)| *at <= until);
            self.back.insert(place, (until, self.hold));
        }
    }

    /// Its action ended, well or not.
    pub(super) fn give(&mut self, share: Share) {
        if !share.copies {
            self.waiting = self.waiting.saturating_sub(1);
            self.owed = if self.waiting == 0 { 0.0 } else { self.owed - share.hold.as_secs_f64() };
        }
    }

    /// An action spent so much time with it.
    fn learn(&mut self, share: Share, spent: Option<Duration>) {
        let Some(spent) = spent.map(|spent| spent.as_secs_f64()) else { return };
        self.seen = self.seen * FADE + spent;
        self.expected = self.expected * FADE + share.queue;
    }

    /// An action succeeded that spent so much time with it, if that can be told.
    pub(super) fn succeeded(&mut self, share: Share, spent: Option<Duration>) {
        self.window += 1.0;
        self.penalty = 1.0 + (self.penalty - 1.0) * RELIEF;
        // Copies hold each other up elsewhere, too: that one took long says nothing, that one was
        // fast does.
        let most = Duration::from_secs_f64(share.queue);
        let spent =
            spent.map(|spent| if share.copies { (spent + share.hold).min(most) } else { spent });
        self.learn(share, spent);
    }

    /// Proxmox gave up on it after so much time. Those that were on their way at the last refusal
    /// already say nothing new.
    pub(super) fn timed_out(
        &mut self,
        share: Share,
        spent: Option<Duration>,
        now: Instant,
    ) -> bool {
        self.learn(share, spent);
        if self.refused.is_some_and(|refused| share.since <= refused) {
            return false;
        }
        self.refused = Some(now);
        self.window = (self.window / 2.0).max(1.0);
        self.penalty = (self.penalty * 2.0).min(WORST);
        true
    }

    /// How long an action holds it, as far as was seen: from those that do nothing else, or from
    /// refusals.
    pub(super) fn learned(&self, share: Share) -> Option<Duration> {
        let seen = !share.copies || self.penalty > 1.1;
        seen.then(|| share.hold.mul_f64(self.factor()))
    }

    /// How many of the last kind it has room for.
    pub(super) fn room(&self) -> usize {
        let hold = self.hold * self.factor();
        let room = if hold > 0.0 { (self.headroom / hold).ceil() } else { self.window };
        (room.min(self.window.floor()).max(1.0)) as usize
    }
}
