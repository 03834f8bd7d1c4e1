//! Carrying out actions. What is sent is in the action; nothing is decided here.

use std::time::Duration;

use pvx_core::plan::{Action, ActionKind};
use pvx_core::provider::{Begun, ErrorClass, ProviderError, TaskEnd, Writer};
use serde_json::Value;

use crate::client::{ApiPath, Request, TaskOutcome, Upid, WaitOptions};
use crate::cluster::{Cluster, provider_error};

/// How much of a failed task's log is shown.
const LOG_LINES: u32 = 8;

impl Writer for Cluster {
    async fn begin(&self, action: &Action, digest: Option<&str>) -> Result<Begun, ProviderError> {
        let request = request(action, digest);
        let answer = self.client.send(&request).await.map_err(|e| provider_error(&e))?;
        begun(action, &answer)
    }

    async fn wait(&self, upid: &str, deadline: Duration) -> Result<TaskEnd, ProviderError> {
        let upid: Upid = upid.parse().map_err(|e: crate::client::UpidError| {
            ProviderError::new(ErrorClass::Protocol, e.to_string())
        })?;
        let end = self.client.wait_task(&upid, WaitOptions::new(deadline), |_| {}).await;
        let end = end.map_err(|e| unknown(&upid, &provider_error(&e)))?;
        match &end.outcome {
            TaskOutcome::Ok => Ok(TaskEnd { warnings: 0 }),
            TaskOutcome::Warnings(n) => Ok(TaskEnd { warnings: *n }),
            TaskOutcome::Failed(text) => Err(self.failed(&upid, text).await),
            TaskOutcome::Unknown => {
                let mut error = self.failed(&upid, "it ended, and nobody knows how").await;
                error.class = ErrorClass::OutcomeUnknown;
                Err(error)
            }
        }
    }
}

impl Cluster {
    async fn failed(&self, upid: &Upid, text: &str) -> ProviderError {
        // The log is for people: that it cannot be read must not hide the failure itself.
        let log = self.client.task_log_tail(upid, LOG_LINES).await.unwrap_or_default();
        let locked = text.contains("can't lock file") && text.contains("got timeout");
        let class = if locked { ErrorClass::Busy } else { ErrorClass::Failed };
        let message = format!("task {} on {} failed: {text}", upid.kind, upid.node);
        let mut error = ProviderError::new(class, message);
        error.upid = Some(upid.to_string());
        error.log = log;
        error
    }
}

/// Whatever keeps us from watching a task, the task itself goes on.
fn unknown(upid: &Upid, error: &ProviderError) -> ProviderError {
    let text = format!("task {} on {} cannot be watched: {}", upid.kind, upid.node, error.message);
    let mut unknown = ProviderError::new(ErrorClass::OutcomeUnknown, text)
        .help("the task may still run; run the command again: it looks at the cluster first");
    unknown.upid = Some(upid.to_string());
    unknown
}

fn begun(action: &Action, answer: &Value) -> Result<Begun, ProviderError> {
    match answer {
        Value::Null => Ok(Begun::Done),
        Value::String(text) if text.starts_with("UPID:") => Ok(Begun::Task(text.clone())),
        _ => {
            let text = format!(
                "{} of {} was accepted with an answer that is neither a task nor nothing",
                action.kind.verb(),
                action.vmid
            );
            Err(ProviderError::new(ErrorClass::OutcomeUnknown, text))
        }
    }
}

fn request(action: &Action, digest: Option<&str>) -> Request {
    let (node, vmid) = (&action.node, &action.vmid);
    let at = |tail: &str| ApiPath::new(&format!("/nodes/{{}}/qemu/{{}}{tail}"), &[node, vmid]);
    let with_digest = |request: Request| match digest {
        Some(digest) => request.parameter("digest", digest),
        None => request,
    };
    match &action.kind {
        ActionKind::Create { config } => {
            let request = Request::post(ApiPath::new("/nodes/{}/qemu", &[node]));
            let request = request.parameter("vmid", vmid);
            config.iter().fold(request, |r, (key, value)| r.parameter(key, value))
        }
        ActionKind::Clone { source, full, storage, target, name, note } => {
            let path = ApiPath::new("/nodes/{}/qemu/{}/clone", &[node, source]);
            let mut request = Request::post(path)
                .parameter("newid", vmid)
                .parameter("name", name)
                .parameter("description", note)
                .flag("full", *full);
            if let Some(storage) = storage {
                request = request.parameter("storage", storage);
            }
            if let Some(target) = target {
                request = request.parameter("target", target);
            }
            request
        }
        ActionKind::Configure { set, delete, background } => {
            let path = at("/config");
            let request = if *background { Request::post(path) } else { Request::put(path) };
            let mut request = with_digest(request);
            if !delete.is_empty() {
                request = request.parameter("delete", delete.join(","));
            }
            set.iter().fold(request, |r, (key, value)| r.parameter(key, value))
        }
        ActionKind::Resize { disk, size } => with_digest(Request::put(at("/resize")))
            .parameter("disk", disk)
            .parameter("size", crate::codec::Size::from_bytes(*size)),
        ActionKind::Migrate { target, online, with_local_disks } => {
            let mut request = Request::post(at("/migrate")).parameter("target", target);
            if *online {
                request = request.flag("online", true);
            }
            if *with_local_disks {
                request = request.flag("with-local-disks", true);
            }
            request
        }
        ActionKind::Start => Request::post(at("/status/start")),
        ActionKind::Shutdown { timeout, force } => Request::post(at("/status/shutdown"))
            .parameter("timeout", timeout)
            .flag("forceStop", *force),
        ActionKind::Destroy => Request::delete(at("")).flag("purge", true),
    }
}
