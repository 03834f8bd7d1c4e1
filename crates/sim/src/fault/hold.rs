//! Requests and tasks that a rule holds until it is removed.

use super::armed::{Held, HeldBack};
use super::effects::deadline;
use crate::world::World;

impl World {
    /// Whether a request that has come to the point of its hold still has to wait there; the first
    /// time it is counted.
    pub(crate) fn holds_back(&mut self, held: &mut HeldBack, now: i64) -> bool {
        let rules = &mut self.faults.rules;
        let rule = rules.iter_mut().find(|rule| rule.fault.id.as_deref() == Some(&held.of));
        let Some(rule) = rule else { return false };
        if !held.come {
            held.come = true;
            let for_ms = rule.fault.hold.as_ref().and_then(|hold| hold.for_ms);
            held.until_ms = deadline(now, for_ms);
            rule.held += 1;
            self.revision += 1;
        }
        held.until_ms.is_none_or(|until| until > now)
    }

    /// A task stands still from here on.
    pub(super) fn hang(&mut self, of: &str, key: u64) {
        self.hold(of, None, Held::Task { key });
        let rules = &mut self.faults.rules;
        if let Some(rule) = rules.iter_mut().find(|rule| rule.fault.id.as_deref() == Some(of)) {
            rule.held += 1;
        }
    }

    /// It goes on where it stood.
    pub(super) fn go_on(&mut self, key: u64) {
        if let Some(task) = self.tasks.get_mut(key) {
            task.due_ms = 0;
        }
        self.tasks.quiet_until = None;
    }
}
