//! Limits of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for a cluster of thousands of profiles. Some systems take no larger number, even where
/// they say that there is no limit.
const ENOUGH: u64 = 65_536;

/// Lets the process have as many files open as it may: a run keeps a lock and a journal open for each
/// profile, and 500 standalone VMs are 500 profiles. Where it may not, a run that needs more says so.
pub(crate) fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let most = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current.is_some_and(|current| current < most) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum });
    }
}
