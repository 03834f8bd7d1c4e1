//! Requests whose work takes its time: it goes on as a task's does, whoever waits for it.

use serde_json::Value;

use super::call::Reply;
use super::refusal::Refusal;
use crate::clock::Moment;
use crate::world::World;

/// Something changes before that, since the work goes on.
const LONG_MS: i64 = 3_600_000;

/// What a request waits for.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    /// The number of the task.
    pub(crate) key: u64,
    /// Sim ms at which the task's UPID is answered instead; none for a request that does the work
    /// itself.
    pub(crate) until: Option<i64>,
    /// Stands before the error.
    pub(crate) before: String,
}

impl Carried {
    /// The answer, once there is one. What the work printed is in `World::printed` then.
    pub(crate) fn outcome(
        &self,
        world: &mut World,
        moment: Moment,
    ) -> Option<Result<Reply, Refusal>> {
        let Some(task) = world.tasks.get(self.key) else { return Some(Err(gone())) };
        let Some(exit) = task.exit().map(str::to_owned) else {
            let late = self.until.is_some_and(|until| until <= moment.now);
            return late.then(|| Ok(Value::String(task.upid.clone()).into()));
        };
        if !task.listed() {
            world.printed = task.log.clone();
            world.printed.pop();
            world.tasks.forget(self.key);
        }
        let refused = world.refused.remove(&self.key);
        Some(match (exit.as_str(), refused) {
            (_, Some(refusal)) => Err(refusal),
            ("unexpected status", None) => Err(gone()),
            (exit, None) if exit == "OK" || exit.starts_with("WARNINGS") => Ok(Value::Null.into()),
            (exit, None) => Err(Refusal::die(format!("{}{exit}", self.before))),
        })
    }

    /// Sim ms at which to look again, if nothing changes before.
    pub(crate) fn look_at(&self, moment: Moment) -> i64 {
        self.until.unwrap_or(moment.now.saturating_add(LONG_MS))
    }
}

/// The node went away while it was at work.
fn gone() -> Refusal {
    Refusal::Bare { status: 596, reason: "Connection timed out".to_owned() }
}
