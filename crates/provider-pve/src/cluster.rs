//! A live cluster, as the core's reader and writer of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pvx_core::address::Address;
use pvx_core::provider::{ErrorClass, ProviderError};
use pvx_core::snippet::Contents;
use secrecy::SecretString;

use crate::client::{ApiError, Client, WaitOptions};
use crate::read::latest::Latest;
use crate::ssh::Ssh;
use crate::write::glance::Glance;

/// A cluster behind its REST API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    pub(crate) waiting: WaitOptions,
    pub(crate) glance: Arc<Glance>,
    pub(crate) latest: Arc<Latest>,
    pub(crate) ssh: Option<Arc<Ssh>>,
    pub(crate) secrets: Arc<Secrets>,
}

/// What a plan names and does not hold: put in right before it is sent.
#[derive(Debug, Default)]
pub struct Secrets {
    /// Contents of snippets by SHA-256.
    pub contents: Contents,
    /// Cloud-init passwords.
    pub passwords: BTreeMap<Address, SecretString>,
}

impl Cluster {
    /// The cluster that `client` talks to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            waiting: WaitOptions::new(Duration::ZERO),
            glance: Arc::default(),
            latest: Arc::default(),
            ssh: None,
            secrets: Arc::default(),
        }
    }

    /// Waits for tasks with the intervals of `options`. Its deadline is not used: every wait is
    /// given its own.
    #[must_use]
    pub fn waiting(self, options: WaitOptions) -> Self {
        Self { waiting: options, ..self }
    }

    /// The intervals with which it waits.
    #[must_use]
    pub fn waits(&self) -> WaitOptions {
        self.waiting
    }

    /// Writes files on nodes over SSH.
    #[must_use]
    pub fn with_ssh(self, ssh: Ssh) -> Self {
        Self { ssh: Some(Arc::new(ssh)), ..self }
    }

    /// The nodes over SSH, when it is set up.
    #[must_use]
    pub fn ssh(&self) -> Option<&Ssh> {
        self.ssh.as_deref()
    }

    /// Knows what plans only name.
    #[must_use]
    pub fn with_secrets(self, secrets: Secrets) -> Self {
        Self { secrets: Arc::new(secrets), ..self }
    }

    /// Ends connections that are still open, in good order.
    pub async fn close(&self) {
        if let Some(ssh) = &self.ssh {
            ssh.close().await;
        }
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
