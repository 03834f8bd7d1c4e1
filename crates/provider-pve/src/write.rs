//! Carrying out actions. What is sent is in the action; nothing is decided here. The one thing
//! looked up are the names of a new clone's volumes, which nobody knows before.

use std::collections::BTreeMap;
use std::time::Duration;

use pvx_core::live::GuestRef;
use pvx_core::plan::{Action, ActionKind};
use pvx_core::provider::{Begun, ErrorClass, ProviderError, Reader, Seen, TaskEnd, Writer};
use serde_json::Value;
use tokio::time::Instant;

use crate::client::{
    ApiPath, Request, TaskOutcome, Upid, WaitOptions, is_busy_text, is_digest_mismatch_text,
    is_missing_guest_text,
};
use crate::cluster::{Cluster, provider_error};
use crate::guest::unnamed;

pub(crate) mod glance;
mod ha;
mod ha_config;
mod look;
mod reboot;
mod root;
mod secret;
mod snippet;

/// How much of a failed task's log is shown.
const LOG_LINES: u32 = 8;

impl Writer for Cluster {
    async fn begin(&self, action: &Action, digest: Option<&str>) -> Result<Begun, ProviderError> {
        let request = match &action.kind {
            ActionKind::Snippet { storage, name, sha256 } => {
                self.write_snippet(&action.node, storage, name, sha256).await?;
                return Ok(Begun::Done);
            }
            ActionKind::ConfigureAsRoot { set, delete } => {
                self.configure_as_root(action, set, delete).await?;
                return Ok(Begun::Done);
            }
            ActionKind::Configure { set, delete, background } if unnamed::any(set) => {
                let set = self.with_volumes(action, set, digest).await?;
                let (delete, background) = (delete.clone(), *background);
                let kind = ActionKind::Configure { set, delete, background };
                request(&Action { kind, ..action.clone() }, digest)
            }
            _ => request(action, digest),
        };
        let request = secret::put_in(action, request, &self.secrets)?;
        match self.client.send(&request).await {
            Ok(answer) => begun(action, &answer),
            Err(error) if is_member_already(&action.kind, &error.to_string()) => Ok(Begun::Done),
            Err(error) => Err(provider_error(&error)),
        }
    }

    async fn look(&self, action: &Action, since: i64) -> Result<Seen, ProviderError> {
        self.look_at(action, since).await
    }

    async fn wait(&self, upid: &str, deadline: Duration) -> Result<TaskEnd, ProviderError> {
        let upid: Upid = upid.parse().map_err(|e: crate::client::UpidError| {
            // The request was accepted: something runs that cannot be asked for.
            ProviderError::new(ErrorClass::OutcomeUnknown, e.to_string())
        })?;
        let (options, began) = (WaitOptions { deadline, ..self.waiting }, Instant::now());
        let end = self.client.wait_task(&upid, options).await;
        let end = end.map_err(|e| unknown(&upid, &provider_error(&e)))?;
        if end.is_success() {
            self.settled(&upid, options, began).await?;
            self.rebooted(&upid, options).await?;
        }
        match &end.outcome {
            TaskOutcome::Ok => Ok(TaskEnd { warnings: 0 }),
            TaskOutcome::Warnings(n) => Ok(TaskEnd { warnings: *n }),
            TaskOutcome::Failed(text) if is_reached(&upid, text) => Ok(TaskEnd { warnings: 0 }),
            TaskOutcome::Failed(text) => Err(reboot::advice(&upid, self.failed(&upid, text).await)),
            TaskOutcome::Unknown => {
                let mut error = self.failed(&upid, "it ended, and nobody knows how").await;
                error.class = ErrorClass::OutcomeUnknown;
                Err(error)
            }
        }
    }
}

impl Cluster {
    /// Puts the names of a new clone's volumes in.
    async fn with_volumes(
        &self,
        action: &Action,
        set: &BTreeMap<String, String>,
        digest: Option<&str>,
    ) -> Result<BTreeMap<String, String>, ProviderError> {
        // The names belong to the digest that is sent along: then they need no second look.
        if let Some(guest) = digest.and_then(|digest| self.latest.get(action.vmid, digest)) {
            return unnamed::named(set, &guest);
        }
        let reference = GuestRef { vmid: action.vmid, node: action.node.clone() };
        let found = self.guests(std::slice::from_ref(&reference), false).await?;
        match found.first() {
            Some(guest) => unnamed::named(set, guest),
            None => {
                let text = format!("guest {} is not on {}", action.vmid, action.node);
                Err(ProviderError::new(ErrorClass::Missing, text).help("plan again"))
            }
        }
    }

    async fn failed(&self, upid: &Upid, text: &str) -> ProviderError {
        // The log is for people: that it cannot be read must not hide the failure itself.
        let log = self.client.task_log_tail(upid, LOG_LINES).await.unwrap_or_default();
        let class = class_of_end(text);
        let message = format!("task {} on {} failed: {text}", upid.kind, upid.node);
        let mut error = ProviderError::new(class, message);
        if is_left_without_pool(text) {
            error = error.help(WITHOUT_POOL);
        }
        error.upid = Some(upid.to_string());
        error.log = log;
        error
    }
}

/// What the end of a failed task says. It did nothing, or undid what it did, unless it is `Failed`.
fn class_of_end(text: &str) -> ErrorClass {
    match text {
        text if is_left_without_pool(text) => ErrorClass::Failed,
        text if is_busy_text(text) => ErrorClass::Busy,
        text if is_taken(text) => ErrorClass::Exists,
        text if is_digest_mismatch_text(text) => ErrorClass::Changed,
        text if is_missing_guest_text(text) => ErrorClass::Missing,
        _ => ErrorClass::Failed,
    }
}

/// A guest that was made and did not get into its pool, for the lock on `user.cfg` perhaps. A clone
/// that went to another node stays there, and its disks are removed; a guest from nothing goes, and
/// its disks stay (qemu-server `API2/Qemu.pm`, clone_vm and create_vm). So it is not made again on top.
fn is_left_without_pool(text: &str) -> bool {
    text.contains("can't add VM ") && text.contains(" to pool ")
}

const WITHOUT_POOL: &str = "Proxmox may have left the guest without its disks, or its disks without \
                            the guest: remove what is there of this VMID, then apply again";

/// A start that fails because the guest runs already has what it wanted: another start, begun by
/// a run that was cut off or by hand, was faster.
fn is_reached(upid: &Upid, text: &str) -> bool {
    upid.kind == "qmstart" && text.contains("already running")
}

/// A pool refuses to take a member once more, and to let one go that it has not (pve-manager
/// `API2/Pool.pm`, update_pool): another request was faster, perhaps one of ours whose answer was
/// lost.
fn is_member_already(kind: &ActionKind, text: &str) -> bool {
    match kind {
        ActionKind::Pool { join: Some(_), .. } => text.contains(" is already a pool member"),
        ActionKind::Pool { join: None, .. } => text.contains(" is not a pool member"),
        _ => false,
    }
}

/// A VMID that somebody else took while the task ran: pmxcfs knows it on one node only.
fn is_taken(text: &str) -> bool {
    let file = text.contains("/qemu-server/") && text.contains(".conf");
    (file && text.contains("File exists")) || text.contains("config file already exists")
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
        ActionKind::Create { config, pool } => {
            let request = Request::post(ApiPath::new("/nodes/{}/qemu", &[node]));
            let request = in_pool(request.parameter("vmid", vmid), pool.as_ref());
            config.iter().fold(request, |r, (key, value)| r.parameter(key, value))
        }
        ActionKind::Clone { source, full, storage, target, name, note, pool } => {
            let path = ApiPath::new("/nodes/{}/qemu/{}/clone", &[node, source]);
            let mut request = Request::post(path)
                .parameter("newid", vmid)
                .parameter("name", name)
                .parameter("description", note)
                .flag("full", *full);
            request = in_pool(request, pool.as_ref());
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
        ActionKind::Reboot { timeout } => {
            Request::post(at("/status/reboot")).parameter("timeout", timeout)
        }
        ActionKind::MoveDisk { disk, storage, format } => {
            let request = with_digest(Request::post(at("/move_disk")))
                .parameter("disk", disk)
                .parameter("storage", storage)
                .flag("delete", true);
            match format {
                Some(format) => request.parameter("format", format),
                None => request,
            }
        }
        ActionKind::Reassign { disk, target, target_disk } => {
            with_digest(Request::post(at("/move_disk")))
                .parameter("disk", disk)
                .parameter("target-vmid", target)
                .parameter("target-disk", target_disk)
        }
        ActionKind::Detach { disk } | ActionKind::Erase { disk } => {
            with_digest(Request::post(at("/config"))).parameter("delete", disk)
        }
        ActionKind::Pool { join, leave } => pool(*vmid, join.as_deref(), leave.as_deref()),
        ActionKind::Ha { change } => ha_config::request(*vmid, change),
        // Written over SSH; `begin` does not come here with it.
        ActionKind::Snippet { .. } | ActionKind::ConfigureAsRoot { .. } => Request::get("/version"),
        ActionKind::Destroy => Request::delete(at("")).flag("purge", true),
    }
}

/// A guest is made in a pool: then VM.Allocate on that one is enough.
fn in_pool(request: Request, pool: Option<&String>) -> Request {
    match pool {
        Some(pool) => request.parameter("pool", pool),
        None => request,
    }
}

/// A pool takes a guest out of the one it was in, when told to (pve-manager `API2/Pool.pm`).
fn pool(vmid: u32, join: Option<&str>, leave: Option<&str>) -> Request {
    let request = Request::put("/pools").parameter("vms", vmid);
    match (join, leave) {
        (Some(pool), _) => request.parameter("poolid", pool).flag("allow-move", true),
        (None, Some(pool)) => request.parameter("poolid", pool).flag("delete", true),
        (None, None) => request,
    }
}

#[cfg(test)]
mod tests;
