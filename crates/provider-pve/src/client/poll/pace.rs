//! When a task is looked at next.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::WaitOptions;

/// Of a task whose kind is known, the first look is this share of the usual duration away.
const EARLY: f64 = 0.9;

/// From then on it is looked at in steps of this share of its age: so late is its end seen.
const STEP: f64 = 0.1;

/// The same for a task whose kind is new here.
const NEW: f64 = 0.15;

/// With more tasks than this, each look serves many: a little later is no loss.
const MANY: usize = 10;

/// How far looks at many tasks are apart at least, in units of the shortest pause.
const APART: f64 = 2.5;

/// How long tasks of each kind took in this run.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Seconds, a mean in which the newest count most.
    usual: BTreeMap<String, f64>,
}

impl Pace {
    /// The pause before the first look: none at a task whose kind is new here.
    pub(super) fn first(&self, kind: &str, options: &WaitOptions) -> Duration {
        let pause = self.usual.get(kind).map_or(0.0, |usual| usual * EARLY);
        Duration::try_from_secs_f64(pause).unwrap_or_default().min(options.max_interval)
    }

    /// How far two looks are apart at least, whoever they are for, while so many tasks run.
    pub(super) fn gap(&self, kind: &str, options: &WaitOptions, tasks: usize) -> Duration {
        if tasks > MANY {
            return options.first_interval.mul_f64(APART).min(options.max_interval);
        }
        let gap = self.usual.get(kind).map_or(0.0, |usual| usual * STEP);
        Duration::try_from_secs_f64(gap).unwrap_or_default().min(options.first_interval)
    }

    /// The pause until the next look at a task of that age that was found running.
    pub(super) fn pause(&self, kind: &str, age: Duration, options: &WaitOptions) -> Duration {
        let least = options.first_interval.min(options.max_interval);
        let age = age.as_secs_f64();
        let pause = match self.usual.get(kind) {
            Some(usual) if age < usual * EARLY => usual * EARLY - age,
            Some(_) => age * STEP,
            None => age * NEW,
        };
        let pause = Duration::try_from_secs_f64(pause).unwrap_or(options.max_interval);
        pause.clamp(least, options.max_interval.max(least))
    }

    /// Notes that a task ended between these two ages.
    pub(super) fn ended(&mut self, kind: &str, ran: Duration, seen: Duration) {
        // Without a look that found it running it may have ended at any time.
        let from = if ran.is_zero() { seen.mul_f64(0.5) } else { ran };
        let took = (from + seen).as_secs_f64() / 2.0;
        let usual = self.usual.entry(kind.to_owned()).or_insert(took);
        *usual = *usual * 0.7 + took * 0.3;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn looks_grow_apart_and_are_near_the_usual_end() {
        let (mut pace, options) = (Pace::default(), WaitOptions::new(ms(60_000)));
        let mut looks = Vec::new();
        let mut age = Duration::ZERO;
        for _ in 0..40 {
            age += pace.pause("qmclone", age, &options);
            looks.push(age.as_millis());
        }
        assert_eq!(looks[..9], [100, 200, 300, 400, 500, 600, 700, 805, 925]);
        assert_eq!(looks[39] - looks[38], 2000, "{looks:?}");

        pace.ended("qmclone", ms(900), ms(1100));
        assert_eq!(pace.first("qmclone", &options), ms(900));
        assert_eq!(pace.first("qmstart", &options), ms(0));
        assert_eq!(pace.pause("qmclone", ms(900), &options), ms(100));
        assert_eq!(pace.pause("qmclone", ms(5000), &options), ms(500));
        assert_eq!(pace.pause("qmclone", ms(50_000), &options), ms(2000));
        assert_eq!(pace.pause("qmstart", ms(0), &options), ms(100));
    }

    #[test]
    fn what_was_learned_is_unlearned() {
        let mut pace = Pace::default();
        let options = WaitOptions::new(ms(60_000));
        pace.ended("qmstart", ms(1900), ms(2100));
        for _ in 0..60 {
            // Ended before the first look.
            let seen = pace.first("qmstart", &options);
            pace.ended("qmstart", ms(0), seen);
        }
        assert!(pace.first("qmstart", &options) < ms(10));
    }
}
