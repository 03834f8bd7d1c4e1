//! For tests of crashes: a process that ends itself at a record of its journals, as if it had been
//! killed there. Only in builds with debug assertions.

use pvx_core::state::{Moment, Watch};
use rustix::process::{Signal, getpid, kill_process};

/// `PVX_KILL_AT_RECORD=N`: SIGKILL right after the N-th record of this process is in its journal;
/// `N:before`: right before it is written.
pub(crate) fn at_record() -> Option<Watch> {
    let said = std::env::var("PVX_KILL_AT_RECORD").ok()?;
    let (number, moment) = match said.split_once(':') {
        Some((number, "before")) => (number, Moment::Before),
        _ => (said.as_str(), Moment::After),
    };
    let number: usize = number.parse().ok()?;
    let mut seen = 0;
    Some(Watch::new(move |now| {
        seen += usize::from(now == moment);
        if now == moment && seen == number {
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }))
}
