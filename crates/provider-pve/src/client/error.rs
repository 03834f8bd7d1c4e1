//! What can go wrong with a request, in the words of its reader.

use std::collections::BTreeMap;
use std::fmt;

use super::{Endpoint, Method, TlsRefusal, Upid};

/// The request that an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Encoded path below `/api2/json`.
    pub path: String,
    /// The node it was meant for, when it names one.
    pub node: Option<String>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        match &self.node {
            Some(node) => write!(f, " (node {node})"),
            None => Ok(()),
        }
    }
}

/// One endpoint that was tried, or passed over, and why it did not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Why it did not serve.
    pub reason: String,
    /// Set when its certificate was not accepted.
    pub refusal: Option<TlsRefusal>,
}

/// Why a request failed. Every text says method, path and node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No endpoint could be connected to, or a read got no answer. Nothing was changed.
    #[error("{call}: no API address answered{}", list(attempts))]
    Unreachable {
        /// The request.
        call: Box<Call>,
        /// Each endpoint with its reason.
        attempts: Vec<Attempt>,
    },
    /// Every endpoint was reached and no certificate was accepted. Nothing was sent.
    #[error("{call}: no API address showed a trusted certificate{}", list(attempts))]
    Tls {
        /// The request.
        call: Box<Call>,
        /// Each endpoint with its refusal.
        attempts: Vec<Attempt>,
    },
    /// 401: the token is not known, or expired, or its secret is wrong. Takes 3 s by design.
    #[error(
        "{call}: not logged in (401 {reason}); does the token exist, is it still valid, is its secret right?"
    )]
    Unauthorized {
        /// The request.
        call: Box<Call>,
        /// `Authentication failed!`, `No ticket`, …
        reason: String,
    },
    /// 403: the token may not do this. Also the answer for a guest that does not exist.
    #[error("{call}: not allowed (403): {}", lack(reason, acl_path.as_deref(), privilege.as_deref()))]
    Forbidden {
        /// The request.
        call: Box<Call>,
        /// Proxmox's text.
        reason: String,
        /// The ACL path of `Permission check failed (/vms/100, VM.Audit)`.
        acl_path: Option<String>,
        /// The privilege, or several joined with `|`, of the same.
        privilege: Option<String>,
    },
    /// 400: parameters were not accepted.
    #[error("{call}: not accepted (400 {reason}){}", fields(errors))]
    Invalid {
        /// The request.
        call: Box<Call>,
        /// Proxmox's text, normally `Parameter verification failed.`.
        reason: String,
        /// Text for each parameter.
        errors: BTreeMap<String, String>,
    },
    /// Proxmox refused: most refusals are 500, whatever their reason.
    #[error("{call}: refused ({status} {reason})")]
    Refused {
        /// The request.
        call: Box<Call>,
        /// HTTP status.
        status: u16,
        /// Proxmox's text.
        reason: String,
    },
    /// 501: this version of Proxmox VE has no such path or method.
    #[error("{call}: this Proxmox VE has no such call (501 {reason})")]
    NotImplemented {
        /// The request.
        call: Box<Call>,
        /// Proxmox's text.
        reason: String,
    },
    /// 595, 596 or 599 for a read: the endpoint could not get an answer from the node.
    #[error("{call}: the node did not answer ({status} {reason})")]
    NodeUnreachable {
        /// The request.
        call: Box<Call>,
        /// 595 no connection, 596 TLS or time-out, 599 connection closed.
        status: u16,
        /// The proxy's text, for instance `No route to host`.
        reason: String,
    },
    /// A write was sent and its answer was lost. It may have happened, or happen still.
    #[error(
        "{call}: the answer was lost ({cause}); the change may have been made: look at the cluster before repeating it"
    )]
    OutcomeUnknown {
        /// The request.
        call: Box<Call>,
        /// How the answer was lost.
        cause: String,
    },
    /// An answer that is not what was asked for.
    #[error("{call}: the answer cannot be read: {detail}")]
    Decode {
        /// The request.
        call: Box<Call>,
        /// What is wrong with it; never its content.
        detail: String,
    },
    /// A task still ran at the deadline. It goes on.
    #[error("{call}: the task {upid} has not ended after {seconds} s and goes on{}", last(last_error.as_deref()))]
    TaskDeadline {
        /// The last question about the task.
        call: Box<Call>,
        /// The task.
        upid: Box<Upid>,
        /// How long was waited, in seconds.
        seconds: u64,
        /// The last poll's error, when it failed.
        last_error: Option<String>,
    },
}

fn list(attempts: &[Attempt]) -> String {
    attempts.iter().map(|a| format!("\n  {}: {}", a.endpoint, a.reason)).collect()
}

fn fields(errors: &BTreeMap<String, String>) -> String {
    errors.iter().map(|(field, text)| format!("\n  {field}: {}", text.trim())).collect()
}

fn last(error: Option<&str>) -> String {
    error.map(|e| format!("; the last look at it failed: {e}")).unwrap_or_default()
}

/// Which privilege is missing, and where; Proxmox's own words where they do not tell.
fn lack(reason: &str, acl_path: Option<&str>, privilege: Option<&str>) -> String {
    match (acl_path, privilege) {
        (Some(path), Some(any)) if any.contains('|') => {
            format!("the token lacks, on {path}, one of {}", any.replace('|', ", "))
        }
        (Some(path), Some(privilege)) => format!("the token lacks {privilege} on {path}"),
        _ => reason.to_owned(),
    }
}

impl ApiError {
    /// The request that failed.
    #[must_use]
    pub fn call(&self) -> &Call {
        match self {
            Self::Unreachable { call, .. }
            | Self::Tls { call, .. }
            | Self::Unauthorized { call, .. }
            | Self::Forbidden { call, .. }
            | Self::Invalid { call, .. }
            | Self::Refused { call, .. }
            | Self::NotImplemented { call, .. }
            | Self::NodeUnreachable { call, .. }
            | Self::OutcomeUnknown { call, .. }
            | Self::Decode { call, .. }
            | Self::TaskDeadline { call, .. } => call,
        }
    }

    /// Whether the same request may well succeed a little later. Says nothing of whether it is
    /// safe to repeat: after [`ApiError::OutcomeUnknown`] a write is not.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::NodeUnreachable { .. }
            | Self::OutcomeUnknown { .. } => true,
            Self::Refused { status, .. } => {
                matches!(status, 429 | 502..=504) || self.is_lock_timeout()
            }
            _ => false,
        }
    }

    /// Whether a 500 says nothing of what was asked for, only that something behind it did not answer
    /// in time: a read may well succeed a little later.
    #[must_use]
    pub fn is_hiccup(&self) -> bool {
        let Self::Refused { status: 500, reason, .. } = self else { return false };
        let text = reason.trim().to_lowercase();
        let said =
            ["", "internal error", "internal server error", "got timeout", "communication failure"];
        said.contains(&text.as_str())
            || text.contains("timed out")
            || text.contains("connection refused")
            || text.ends_with(" got timeout")
    }

    /// Whether a write may have been made all the same: its answer was lost, it was accepted and the
    /// answer cannot be read, or its worker did not report.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::OutcomeUnknown { .. } => true,
            Self::Decode { call, .. } => call.method.is_write(),
            Self::Refused { call, reason, .. } => call.method.is_write() && leaves_it_open(reason),
            _ => false,
        }
    }

    /// The guest's config file does not exist on the node that was asked. It can still exist on
    /// another one.
    #[must_use]
    pub fn is_missing_guest(&self) -> bool {
        self.says(is_missing_guest_text)
    }

    /// A lock was not to be had in time: a config's flock, a storage's lock, or a cluster lock.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        self.says(is_lock_timeout_text)
    }

    /// The config was changed since its digest was read.
    #[must_use]
    pub fn is_digest_mismatch(&self) -> bool {
        self.says(is_digest_mismatch_text)
    }

    /// What was to be created exists. After a lost answer this is no proof that it is one's own.
    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.says(|t| t.contains("already exists") || t.contains("already defined"))
    }

    /// The cluster has no quorum: reads go on, writes fail.
    #[must_use]
    pub fn is_no_quorum(&self) -> bool {
        self.says(|t| t.contains("no quorum"))
    }

    /// The config property `lock:` of `VM is locked (backup)`: another operation works on the
    /// guest.
    #[must_use]
    pub fn guest_lock(&self) -> Option<&str> {
        let Self::Refused { reason, .. } = self else { return None };
        guest_lock_of_text(reason)
    }

    /// A lock was held, of whatever kind: nothing was done, and a little later it may be.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.says(is_busy_text)
    }

    /// Whether Proxmox's text, or that of one parameter, fulfils `test`.
    fn says(&self, test: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Refused { reason, .. } => test(reason),
            Self::Invalid { reason, errors, .. } => {
                test(reason) || errors.values().any(|t| test(t))
            }
            _ => false,
        }
    }
}

/// Does this text, of a refusal or of a task's end, say that a lock is held: one that was not to
/// be had in time, or the config property `lock:`? Such a request had no lasting effect.
pub(crate) fn is_busy_text(text: &str) -> bool {
    is_lock_timeout_text(text) || guest_lock_of_text(text).is_some()
}

/// `can't lock file '…' - got timeout` (pve-common `PVE::Tools::lock_file`) or `cfs-lock 'storage-x'
/// error: got lock request timeout` (pve-cluster `PVE::Cluster`), also after `clone failed: `.
fn is_lock_timeout_text(text: &str) -> bool {
    !leaves_it_open(text)
        && ((text.contains("can't lock file ") && text.contains("got timeout"))
            || text.contains("got lock request timeout"))
}

/// Does this refusal come after the work was begun, or perhaps so?
///
/// - `got no worker upid`: the worker did not say that it is there (pve-common
///   `PVE::RESTEnvironment`, fork_worker).
/// - The lock on the list of tasks is asked for when the worker runs already (active_workers, called
///   last in fork_worker): its time-out hides a task that goes on.
/// - Work under a cluster lock is cut off after 60 s, wherever it is (pve-cluster `PVE::Cluster`,
///   `$cfs_lock`; `got lock timeout - aborting command` before PVE 9).
fn leaves_it_open(text: &str) -> bool {
    [
        "got no worker upid",
        "/tasks/.active.lock'",
        "-locked command timed out - aborting",
        "got lock timeout - aborting command",
    ]
    .iter()
    .any(|part| text.contains(part))
}

/// The config file is not on the node (pve-guest-common `PVE::AbstractConfig`, load_config).
pub(crate) fn is_missing_guest_text(text: &str) -> bool {
    (text.starts_with("Configuration file 'nodes/") && text.contains("does not exist"))
        || text.contains("unable to find configuration file for VM ")
}

/// Another digest than the one that was sent. A resize, a move and a change in the background find
/// it out in their task (qemu-server `API2/Qemu.pm`).
pub(crate) fn is_digest_mismatch_text(text: &str) -> bool {
    text.contains("checksum mismatch (file change by other user?)")
        || text.contains("detected modified configuration - file changed by other user?")
}

/// The lock of `VM is locked (backup)` (pve-guest-common `PVE::AbstractConfig::check_lock`).
fn guest_lock_of_text(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("VM is locked (")?;
    rest.split_once(')').map(|(lock, _)| lock)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_held_locks() {
        let table = [
            ("can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout", true),
            ("clone failed: cfs-lock 'storage-shared' error: got lock request timeout", true),
            ("cfs-lock 'file-ha_cfg' error: got lock timeout - aborting command", false),
            ("'storage-shared'-locked command timed out - aborting", false),
            ("can't lock file '/var/log/pve/tasks/.active.lock' - got timeout", false),
            ("VM is locked (backup)", true),
            ("unable to create VM 100 - VM is locked (create)\n", true),
            ("can't lock file '/x' - Permission denied", false),
            ("start failed: command '/usr/bin/kvm' failed: got timeout", false),
            ("VM quit/powerdown failed - got timeout", false),
            ("account is locked (x)", false),
            ("", false),
        ];
        for (text, busy) in table {
            assert_eq!(is_busy_text(text), busy, "{text}");
        }
        assert_eq!(guest_lock_of_text("VM is locked (snapshot-delete)"), Some("snapshot-delete"));
    }
}
