//! What the poller asks, and what the answers say.
//!
//! Each node's daemon keeps a list of its workers: written when one is begun and when one ended,
//! and by pvestatd every 10 s (pve-common `RESTEnvironment::active_workers`). The newest of it, all
//! that run and ended ones up to 25, goes to all nodes at once (`broadcast_tasklist`; no more than
//! 32 KiB, oldest first out): that is `/cluster/tasks`. It shows a token nothing of its own without
//! Sys.Audit on `/`, because user and token are taken apart before they are compared (pve-manager
//! `API2/Cluster.pm`); a user sees its own. `/nodes/N/tasks` shows a token its own tasks always, and
//! reaches back over the archive of some thousand ended ones (`API2/Tasks.pm`).

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::task::{TaskEnd, TaskOutcome, TaskStatus, status_request};
use crate::client::{ApiError, ApiPath, Client, Request, Upid};

/// Rows of a node's list that are asked for. What does not fit in is asked for by itself.
const NODE_ROWS: u32 = 500;

/// One request of the poller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ask {
    /// The cluster's list.
    Cluster,
    /// A node's list.
    Node(String),
    /// One task by itself.
    Task(String),
}

/// What a list says of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed {
    Running,
    Ended(TaskEnd),
}

/// What is known after a request.
#[derive(Debug)]
pub(super) enum Answer {
    /// The tasks of a list.
    List(BTreeMap<String, Listed>),
    /// One task.
    Status(TaskStatus),
}

/// A row of either list.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    upid: String,
    /// The exit text of an ended task. Of a running one: `RUNNING` in a node's list, nothing in the
    /// cluster's.
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    endtime: Option<serde_json::Value>,
}

impl Row {
    fn listed(self) -> (String, Listed) {
        let runs = self.endtime.is_none() && self.status.as_deref().is_none_or(|s| s == "RUNNING");
        let exitstatus = self.status.unwrap_or_default();
        let ended = || TaskEnd { outcome: TaskOutcome::of(&exitstatus), exitstatus };
        (self.upid, if runs { Listed::Running } else { Listed::Ended(ended()) })
    }
}

/// Asks. `since` is when the oldest task that is waited for began, in seconds since 1970 by the
/// clock of its node.
pub(super) async fn send(client: &Client, ask: &Ask, since: u32) -> Result<Answer, ApiError> {
    let request = match ask {
        Ask::Cluster => Request::get("/cluster/tasks"),
        Ask::Node(node) => Request::get(ApiPath::new("/nodes/{}/tasks", &[node]))
            .parameter("source", "all")
            .parameter("since", since)
            .parameter("limit", NODE_ROWS),
        Ask::Task(text) => match text.parse::<Upid>() {
            Ok(upid) => return Ok(Answer::Status(client.get(&status_request(&upid)).await?)),
            // The texts are UPIDs that were written out: this is never so.
            Err(_) => Request::get("/cluster/tasks"),
        },
    };
    Ok(Answer::List(read(client.get(&request).await?)))
}

fn read(rows: Vec<Row>) -> BTreeMap<String, Listed> {
    rows.into_iter().map(Row::listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(json: serde_json::Value) -> String {
        let rows: Vec<Row> = serde_json::from_value(serde_json::json!([json])).unwrap();
        match read(rows).pop_first().unwrap().1 {
            Listed::Running => "running".to_owned(),
            Listed::Ended(end) => format!("{:?}", end.outcome),
        }
    }

    #[test]
    fn rows_of_both_lists() {
        use serde_json::json;
        let table = [
            (json!({ "upid": "a", "pid": 3755, "saved": "0" }), "running"),
            (json!({ "upid": "a", "pid": 3755, "status": "RUNNING" }), "running"),
            (json!({ "upid": "a", "endtime": 1, "status": "OK" }), "Ok"),
            (json!({ "upid": "a", "endtime": 1, "status": "WARNINGS: 2" }), "Warnings(2)"),
            (
                json!({ "upid": "a", "status": "received interrupt" }),
                "Failed(\"received interrupt\")",
            ),
            (json!({ "upid": "a", "endtime": 1, "status": "unexpected status" }), "Unknown"),
            (json!({ "upid": "a", "endtime": 1 }), "Unknown"),
        ];
        for (row, expected) in table {
            assert_eq!(listed(row.clone()), expected, "{row}");
        }
    }
}
