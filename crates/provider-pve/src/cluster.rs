//! A live cluster, as the core's reader and writer of it.

use std::time::Duration;

use pvx_core::provider::{ErrorClass, ProviderError};

use crate::client::{ApiError, Client, WaitOptions};

/// A cluster behind its REST API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    pub(crate) waiting: WaitOptions,
}

impl Cluster {
    /// The cluster that `client` talks to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, waiting: WaitOptions::new(Duration::ZERO) }
    }

    /// Waits for tasks with the intervals of `options`. Its deadline is not used: every wait is
    /// given its own.
    #[must_use]
    pub fn waiting(self, options: WaitOptions) -> Self {
        Self { waiting: options, ..self }
    }

    /// The client, for counts.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Turns an API error into what the executor and the user need to know of it.
pub(crate) fn provider_error(error: &ApiError) -> ProviderError {
    let plain = ProviderError::new(class(error), error.to_string());
    match help(error) {
        Some(text) => plain.help(text),
        None => plain,
    }
}

fn class(error: &ApiError) -> ErrorClass {
    match error {
        e if e.is_outcome_unknown() => ErrorClass::OutcomeUnknown,
        e if e.is_busy() => ErrorClass::Busy,
        e if e.is_digest_mismatch() => ErrorClass::Changed,
        e if e.is_missing_guest() => ErrorClass::Missing,
        e if e.is_already_exists() => ErrorClass::Exists,
        ApiError::Unreachable { .. } | ApiError::Tls { .. } | ApiError::NodeUnreachable { .. } => {
            ErrorClass::Unreachable
        }
        ApiError::Unauthorized { .. } | ApiError::Forbidden { .. } => ErrorClass::Denied,
        ApiError::Decode { .. } | ApiError::NotImplemented { .. } => ErrorClass::Protocol,
        ApiError::TaskDeadline { .. } => ErrorClass::OutcomeUnknown,
        _ => ErrorClass::Refused,
    }
}

fn help(error: &ApiError) -> Option<String> {
    let text = match error {
        ApiError::Tls { .. } => {
            "compare the fingerprint with the node's own (pvenode cert info) and give it with --fingerprint, or the cluster's CA with --ca-file"
        }
        ApiError::Unreachable { .. } => {
            "are the addresses in cluster.nodes right, and is port 8006 open from here?"
        }
        ApiError::Unauthorized { .. } => {
            "check the token id and secret; `pveum user token list` shows what exists"
        }
        ApiError::Forbidden { .. } => "give the token's user or the token itself that privilege",
        e if e.is_digest_mismatch() => {
            "someone changed the guest since the plan was made: plan again"
        }
        e if e.is_already_exists() => {
            "the VMID was taken after the plan was made, or belongs to a guest that the token cannot see: plan again, or give the guest another VMID"
        }
        e if e.guest_lock().is_some() => {
            "another operation works on the guest: wait until its lock is gone, then run the command again"
        }
        e if e.is_no_quorum() => "bring nodes back until `pvecm status` says Quorate: Yes",
        e if e.is_outcome_unknown() => "run the command again: it looks at the cluster first",
        _ => return None,
    };
    Some(text.to_owned())
}
