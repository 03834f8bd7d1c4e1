//! Tasks that ended before a world began, so that its lists are not emptier than a real cluster's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::World;
use super::task::{Task, TaskState};

/// A task that ended, a second after it began.
pub(crate) struct Past<'a> {
    pub(crate) node: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
    pub(crate) user: &'a str,
    pub(crate) minutes_ago: u64,
    /// The exit status.
    pub(crate) status: &'a str,
}

impl World {
    /// Adds an ended task; the oldest come first.
    pub(crate) fn add_past(&mut self, past: &Past<'_>) {
        let ago = Duration::from_secs(past.minutes_ago.saturating_mul(60));
        let at = SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH);
        let start = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let start = i64::try_from(start).unwrap_or_default();
        self.next_pid = self.next_pid.max(1000) + 1;
        let (pid, pstart) = (self.next_pid, 100 * i64::from(self.next_pid));
        let Past { node, kind, id, user, status, .. } = past;
        let good = *status == "OK" || status.starts_with("WARNINGS");
        let word = if good { "" } else { "ERROR: " };
        self.tasks.push(Task {
            upid: format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:{user}:"),
            node: (*node).to_owned(),
            kind: (*kind).to_owned(),
            id: (*id).to_owned(),
            user: (*user).to_owned(),
            pid,
            pstart,
            start_ms: start * 1000,
            state: TaskState::Stopped { end_ms: start * 1000 + 1000, exit: (*status).to_owned() },
            log: vec![format!("TASK {word}{status}")],
            work: None,
            stage: 0,
            due_ms: 0,
            waited_ms: 0,
            awaits: Vec::new(),
            waits: None,
        });
    }
}
