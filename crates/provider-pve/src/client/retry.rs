//! When a read is tried again, and after how long.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// The pause before try `n + 1` (n from 1): doubled each time, and then between half and all of it
/// at random, so that clients which failed together do not come back together.
pub(super) fn backoff(first: Duration, tries_made: u32) -> Duration {
    let doubled = first.saturating_mul(1u32 << tries_made.saturating_sub(1).min(10));
    // Each RandomState has fresh keys; its empty hash serves as a random number.
    let random = RandomState::new().build_hasher().finish() % 1024;
    let half = doubled / 2;
    half + half.mul_f64(random as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_and_stays_within_its_half() {
        let first = Duration::from_millis(200);
        for (made, most) in [(1, 200), (2, 400), (3, 800)] {
            for _ in 0..50 {
                let pause = backoff(first, made).as_millis();
                assert!((most / 2..=most).contains(&pause), "{pause} after {made}");
            }
        }
        let pauses: std::collections::BTreeSet<_> = (0..50).map(|_| backoff(first, 1)).collect();
        assert!(pauses.len() > 1, "no jitter");
        assert_eq!(backoff(Duration::ZERO, 1), Duration::ZERO);
        assert!(backoff(first, u32::MAX) < Duration::from_secs(300));
    }
}
