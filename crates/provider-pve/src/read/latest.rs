//! Guests that were read one at a time, right before something is written to them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use pvx_core::live::Guest;

/// More than are worked on at a time.
const KEPT: usize = 64;

/// The newest of them.
#[derive(Debug, Default)]
pub(crate) struct Latest {
    guests: Mutex<VecDeque<Guest>>,
}

impl Latest {
    pub(super) fn keep(&self, guest: &Guest) {
        let mut guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        guests.retain(|other| other.vmid != guest.vmid);
        guests.push_front(guest.clone());
        guests.truncate(KEPT);
    }

    /// The guest as it is with that digest.
    pub(crate) fn get(&self, vmid: u32, digest: &str) -> Option<Guest> {
        let guests = self.guests.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |guest: &&Guest| guest.vmid == vmid && guest.digest.as_deref() == Some(digest);
        guests.iter().find(is_it).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(vmid: u32, digest: &str) -> Guest {
        Guest { vmid, digest: Some(digest.to_owned()), ..Guest::default() }
    }

    #[test]
    fn only_the_newest_reading_with_that_digest() {
        let latest = Latest::default();
        latest.keep(&guest(100, "a"));
        assert!(latest.get(100, "a").is_some());
        assert!(latest.get(100, "b").is_none() && latest.get(101, "a").is_none());
        latest.keep(&guest(100, "b"));
        assert!(latest.get(100, "a").is_none());
        for vmid in 1000..1100 {
            latest.keep(&guest(vmid, "c"));
        }
        assert!(latest.get(100, "b").is_none());
        assert_eq!(latest.guests.lock().unwrap().len(), KEPT);
    }
}
