//! The simulator's clock: sim time runs a multiple of real time, or tasks take no time at all.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// How fast sim time runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeScale(f64);

impl TimeScale {
    /// A task takes as long as on a real server.
    pub const REAL: Self = Self(1.0);
    /// Every task ends before the answer that started it is sent.
    pub const INSTANT: Self = Self(f64::INFINITY);

    /// Sim time runs `factor` times as fast as real time. Anything not above zero means
    /// [`TimeScale::REAL`], infinity means [`TimeScale::INSTANT`].
    #[must_use]
    pub fn times(factor: f64) -> Self {
        if factor > 0.0 { Self(factor) } else { Self::REAL }
    }

    /// Whether tasks take no time.
    #[must_use]
    pub fn is_instant(self) -> bool {
        self.0.is_infinite()
    }
}

impl Default for TimeScale {
    fn default() -> Self {
        Self::REAL
    }
}

/// A point of sim time at which something is decided.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Milliseconds since the Unix epoch, sim time.
    pub(crate) now: i64,
    /// Durations count as zero.
    pub(crate) instant: bool,
}

impl Moment {
    /// The point `ms` milliseconds later.
    pub(crate) fn after(self, ms: i64) -> i64 {
        if self.instant { self.now } else { self.now.saturating_add(ms) }
    }

    /// Unix seconds, as Proxmox writes times.
    pub(crate) fn seconds(self) -> i64 {
        self.now / 1000
    }
}

/// The most that a clock can be put forward: a hundred years.
const FURTHEST_MS: i64 = 100 * 366 * 86_400_000;

/// Real time turned into sim time.
#[derive(Debug)]
pub(crate) struct Clock {
    scale: TimeScale,
    began: Instant,
    base: i64,
    /// Milliseconds that it was put forward.
    ahead: AtomicI64,
}

impl Clock {
    /// Starts at the wall clock, or at `not_before` (sim ms) when a saved world is ahead of it.
    pub(crate) fn start(scale: TimeScale, not_before: i64) -> Self {
        let wall = jiff::Timestamp::now().as_millisecond();
        Self { scale, began: Instant::now(), base: wall.max(not_before), ahead: AtomicI64::new(0) }
    }

    pub(crate) fn moment(&self) -> Moment {
        let real = self.began.elapsed().as_secs_f64() * 1000.0;
        let instant = self.scale.is_instant();
        let factor = if instant { 1.0 } else { self.scale.0 };
        let base = self.base.saturating_add(self.ahead.load(Ordering::Relaxed));
        Moment { now: base.saturating_add((real * factor) as i64), instant }
    }

    /// Puts the clock forward; it never goes back.
    pub(crate) fn advance(&self, ms: i64) {
        let ms = ms.clamp(0, FURTHEST_MS);
        let add = |ahead: i64| Some(ahead.saturating_add(ms).min(FURTHEST_MS));
        let _ = self.ahead.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Real time until the sim time `due` (ms).
    pub(crate) fn real_until(&self, due: i64) -> Duration {
        self.real(due.saturating_sub(self.moment().now))
    }

    /// Real time that `ms` of sim time take; zero when instant.
    pub(crate) fn real(&self, ms: i64) -> Duration {
        if self.scale.is_instant() || ms <= 0 {
            return Duration::ZERO;
        }
        Duration::from_secs_f64(ms as f64 / 1000.0 / self.scale.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_scales() {
        let fast = Clock::start(TimeScale::times(100.0), 0);
        assert_eq!(fast.real(1000), Duration::from_millis(10));
        let instant = Clock::start(TimeScale::INSTANT, 0);
        assert_eq!(instant.real(60_000), Duration::ZERO);
        assert_eq!(instant.moment().after(60_000), instant.moment().now);
    }

    #[test]
    fn a_saved_world_never_goes_back_in_time() {
        let far = jiff::Timestamp::now().as_millisecond() + 3_600_000;
        assert!(Clock::start(TimeScale::REAL, far).moment().now >= far);
    }

    #[test]
    fn nonsense_scales_are_real_time() {
        assert_eq!(TimeScale::times(-1.0), TimeScale::REAL);
        assert_eq!(TimeScale::times(f64::NAN), TimeScale::REAL);
        assert!(TimeScale::times(f64::INFINITY).is_instant());
    }
}
