//! Waiting for a task to end.

use std::time::Duration;

use tokio::time::timeout;

use super::task::{TaskEnd, status_request};
use super::transport::call;
use super::{ApiError, Client, Upid};

/// How long the look at the deadline itself may take.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// How a task is waited for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WaitOptions {
    /// How long to wait in all.
    pub deadline: Duration,
    /// Shortest pause between two looks at a task (100 ms).
    pub first_interval: Duration,
    /// Longest pause between two looks (2 s).
    pub max_interval: Duration,
    /// By how much each pause is longer than the one before it, where a guest is looked at by itself
    /// (1.5).
    pub factor: f64,
}

impl WaitOptions {
    /// The usual intervals, with this deadline.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            first_interval: Duration::from_millis(100),
            max_interval: Duration::from_secs(2),
            factor: 1.5,
        }
    }

    /// The pause after one of `current`.
    pub(crate) fn next_interval(&self, current: Duration) -> Duration {
        let next = current.as_secs_f64() * self.factor();
        Duration::try_from_secs_f64(next).unwrap_or(self.max_interval).min(self.max_interval)
    }

    /// A factor that is no number above 1 leaves intervals as they are.
    pub(super) fn factor(&self) -> f64 {
        if self.factor.is_finite() { self.factor.max(1.0) } else { 1.0 }
    }
}

impl Client {
    /// Waits until a task has ended. All who wait share one poller: a request for all tasks at a
    /// time, less and less often. Transient errors are tolerated until the deadline.
    ///
    /// # Errors
    /// [`ApiError::TaskDeadline`] when the task still runs at the deadline (it goes on), or the
    /// first error about this task that is not transient.
    pub async fn wait_task(&self, upid: &Upid, options: WaitOptions) -> Result<TaskEnd, ApiError> {
        let mut waiting = self.poller().wait(upid, options);
        if let Ok(end) = timeout(options.deadline, waiting.end(self)).await {
            return end;
        }
        // It may have ended a moment ago.
        let last_error = match timeout(LAST_LOOK, self.task_status(upid)).await {
            Ok(Ok(status)) => match status.end() {
                Some(end) => return Ok(end),
                None => None,
            },
            Ok(Err(error)) if error.is_transient() => Some(error.to_string()),
            Ok(Err(error)) => return Err(error),
            Err(_) => waiting.last_error().or(Some("no answer in time".to_owned())),
        };
        Err(ApiError::TaskDeadline {
            call: Box::new(call(&status_request(upid))),
            upid: Box::new(upid.clone()),
            seconds: options.deadline.as_secs(),
            last_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_grow_to_their_bound() {
        let options = WaitOptions::new(Duration::from_secs(60));
        let mut interval = options.first_interval;
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(interval.as_millis());
            interval = options.next_interval(interval);
        }
        assert_eq!(seen[..4], [100, 150, 225, 337]);
        assert_eq!(seen[9], 2000);
        let odd = WaitOptions { factor: f64::NAN, ..options };
        assert_eq!(odd.next_interval(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
