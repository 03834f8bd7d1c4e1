//! Tasks: their status, their end and their log.

use serde::Deserialize;

use super::{ApiError, ApiPath, Client, Request, Upid};

/// What `GET /nodes/{node}/tasks/{upid}/status` says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskStatus {
    /// `running` or `stopped`.
    pub status: String,
    /// The exit text of a stopped task: `OK`, `WARNINGS: 2`, or what went wrong.
    #[serde(default)]
    pub exitstatus: Option<String>,
}

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// The exit text as Proxmox gives it.
    pub exitstatus: String,
    /// What it means.
    pub outcome: TaskOutcome,
}

/// What the exit text of a task means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// `OK`.
    Ok,
    /// `WARNINGS: n`: done, with that many warnings in the log.
    Warnings(u32),
    /// Not done; the text says why.
    Failed(String),
    /// The worker vanished without a last word (`unexpected status`): look at what it did.
    Unknown,
}

impl TaskStatus {
    /// How the task ended, or `None` while it runs.
    #[must_use]
    pub fn end(&self) -> Option<TaskEnd> {
        if self.status != "stopped" {
            return None;
        }
        let exitstatus = self.exitstatus.clone().unwrap_or_default();
        Some(TaskEnd { outcome: TaskOutcome::of(&exitstatus), exitstatus })
    }
}

impl TaskEnd {
    /// Whether the task did what it was to do, with or without warnings.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.outcome, TaskOutcome::Ok | TaskOutcome::Warnings(_))
    }
}

impl TaskOutcome {
    /// Reads an exit text as `PVE::UPID::normalize_status_type` does.
    #[must_use]
    pub fn of(exitstatus: &str) -> Self {
        let text = exitstatus.trim();
        let warnings = text.strip_prefix("WARNINGS: ").and_then(|n| n.parse().ok());
        match (text, warnings) {
            ("OK", _) => Self::Ok,
            (_, Some(n)) => Self::Warnings(n),
            ("" | "unexpected status", None) => Self::Unknown,
            // Its log cannot be read, which a node that lost power leaves behind (pve-common
            // `PVE::UPID`, read_status).
            (text, None) if text.starts_with("unable to get last line from task log") => {
                Self::Unknown
            }
            (_, None) => Self::Failed(text.to_owned()),
        }
    }
}

#[derive(Deserialize)]
struct LogLine {
    #[serde(default)]
    t: String,
}

impl Client {
    /// The status of a task, asked at the node that its UPID names.
    ///
    /// # Errors
    /// [`ApiError`]; a task that the node does not know is [`ApiError::Invalid`].
    pub async fn task_status(&self, upid: &Upid) -> Result<TaskStatus, ApiError> {
        self.get(&status_request(upid)).await
    }

    /// The last lines of a task's log, oldest first. One request, or two when the log is longer.
    ///
    /// # Errors
    /// As [`Client::task_status`].
    pub async fn task_log_tail(&self, upid: &Upid, lines: u32) -> Result<Vec<String>, ApiError> {
        let path = ApiPath::new("/nodes/{}/tasks/{}/log", &[&upid.node, upid]);
        let page = |start: u64| {
            Request::get(path.clone()).parameter("start", start).parameter("limit", lines)
        };
        // limit=0 would mean all of it.
        if lines == 0 {
            return Ok(Vec::new());
        }
        let mut log = self.get_page::<Vec<LogLine>>(&page(0)).await?;
        let total = log.total.unwrap_or_default();
        if total > u64::from(lines) {
            log = self.get_page(&page(total - u64::from(lines))).await?;
        }
        let mut texts: Vec<String> = log.rows.into_iter().map(|line| line.t).collect();
        // What Proxmox puts in the place of an empty log (PVE::Tools::dump_logfile).
        if texts == ["no content"] {
            texts.clear();
        }
        Ok(texts)
    }
}

pub(super) fn status_request(upid: &Upid) -> Request {
    Request::get(ApiPath::new("/nodes/{}/tasks/{}/status", &[&upid.node, upid]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exit_texts() {
        let cases = [
            ("OK", TaskOutcome::Ok),
            ("WARNINGS: 3", TaskOutcome::Warnings(3)),
            ("unexpected status", TaskOutcome::Unknown),
            ("", TaskOutcome::Unknown),
            ("unable to get last line from task log - sysread failed", TaskOutcome::Unknown),
            ("received interrupt", TaskOutcome::Failed("received interrupt".to_owned())),
            ("WARNINGS: many", TaskOutcome::Failed("WARNINGS: many".to_owned())),
        ];
        for (text, outcome) in cases {
            assert_eq!(TaskOutcome::of(text), outcome, "{text}");
        }
    }

    #[test]
    fn a_running_task_has_no_end() {
        let status = |status: &str, exitstatus: Option<&str>| TaskStatus {
            status: status.to_owned(),
            exitstatus: exitstatus.map(str::to_owned),
        };
        assert_eq!(status("running", None).end(), None);
        assert!(status("stopped", Some("OK")).end().unwrap().is_success());
        assert!(status("stopped", Some("WARNINGS: 1")).end().unwrap().is_success());
        assert!(!status("stopped", Some("no")).end().unwrap().is_success());
        assert_eq!(status("stopped", None).end().unwrap().outcome, TaskOutcome::Unknown);
    }
}
