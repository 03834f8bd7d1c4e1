//! Tasks from before a world began, so that its lists are not emptier than a real cluster's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::World;
use super::task::{Task, TaskState};

/// An ended task: node, type, id, user, minutes ago. Each took a second and ended well.
pub(crate) type Past = (&'static str, &'static str, &'static str, &'static str, u64);

impl World {
    /// Adds ended tasks, oldest first.
    pub(crate) fn add_past(&mut self, past: &[Past]) {
        let now = SystemTime::now();
        for &(node, kind, id, user, minutes) in past {
            let at = now.checked_sub(Duration::from_secs(minutes * 60)).unwrap_or(UNIX_EPOCH);
            let start = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let start = i64::try_from(start).unwrap_or_default();
            self.next_pid = self.next_pid.max(1000) + 1;
            let (pid, pstart) = (self.next_pid, 100 * i64::from(self.next_pid));
            self.tasks.push(Task {
                upid: format!("UPID:{node}:{pid:08X}:{pstart:08X}:{start:08X}:{kind}:{id}:{user}:"),
                node: node.to_owned(),
                kind: kind.to_owned(),
                id: id.to_owned(),
                user: user.to_owned(),
                pid,
                pstart,
                start_ms: start * 1000,
                state: TaskState::Stopped { end_ms: start * 1000 + 1000, exit: "OK".to_owned() },
                log: vec!["TASK OK".to_owned()],
                work: None,
                stage: 0,
                due_ms: 0,
                awaits: Vec::new(),
                waits: None,
            });
        }
    }
}
