//! Times of events.

use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;

/// Now, in UTC with milliseconds: `2026-11-28T21:34:02.123Z`.
pub(super) fn precise() -> String {
    format!("{:.3}", Timestamp::now())
}

/// Now, in UTC to the second: `2026-11-28T21:34:02Z`.
pub(super) fn stamp() -> String {
    format!("{:.0}", Timestamp::now())
}

/// A name that no other run has: its time, and something random.
pub(super) fn run_name() -> String {
    let random = RandomState::new().hash_one(std::process::id());
    let time: String = stamp().chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{time}-{random:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_can_be_read_again() {
        for text in [precise(), stamp()] {
            assert!(text.ends_with('Z') && text.parse::<Timestamp>().is_ok(), "{text}");
        }
        assert_eq!(precise().len(), "2026-11-28T21:34:02.123Z".len());
        assert_eq!(stamp().len(), "2026-11-28T21:34:02Z".len());
    }

    #[test]
    fn no_two_runs_have_one_name() {
        assert_ne!(run_name(), run_name());
    }
}
