//! How a client is made.

use std::time::Duration;

use super::{Endpoint, TlsTrust};
use crate::credentials::ApiToken;

/// How a client is made. [`ClientOptions::new`] gives the defaults, which suit a real cluster.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Where the API answers. Reads about no node take turns, writes about none take this order.
    pub endpoints: Vec<Endpoint>,
    /// Which certificates are accepted.
    pub trust: TlsTrust,
    /// Who calls.
    pub token: ApiToken,
    /// How long connecting, TLS included, may take (5 s).
    pub connect_timeout: Duration,
    /// How long one request may take in all (60 s, above the 30 s after which pveproxy gives up on
    /// another node, so that its answer is the one that is reported).
    pub request_timeout: Duration,
    /// How long an endpoint may take to answer a read when another one can be asked (10 s).
    pub read_timeout: Duration,
    /// Requests in flight towards one node (6).
    pub per_node_in_flight: usize,
    /// Requests in flight in all (24).
    pub total_in_flight: usize,
    /// How long an endpoint is passed over after it could not be connected to, or kept silent (30 s).
    pub skip_after_failure: Duration,
    /// How reads are tried again. Writes never are.
    pub retry: RetryOptions,
}

/// How reads are tried again after transient failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryOptions {
    /// Tries in all (3).
    pub tries: u32,
    /// Pause before the second try, doubled before each further one, with jitter (200 ms).
    pub first_pause: Duration,
    /// No further try at an endpoint that was tried begins when this much has passed since the first
    /// one began (10 s): a 595 of a dead node takes up to 14 s by itself and gets no better.
    pub window: Duration,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self { tries: 3, first_pause: Duration::from_millis(200), window: Duration::from_secs(10) }
    }
}

impl ClientOptions {
    /// Options with the defaults for a real cluster.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>, trust: TlsTrust, token: ApiToken) -> Self {
        Self {
            endpoints,
            trust,
            token,
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(10),
            per_node_in_flight: 6,
            total_in_flight: 24,
            skip_after_failure: Duration::from_secs(30),
            retry: RetryOptions::default(),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No endpoint was given.
    #[error("no API address is known; name at least one node of the cluster")]
    NoEndpoint,
    /// The token holds characters that an HTTP header cannot carry.
    #[error("the API token '{id}' cannot be sent: it holds characters that a header cannot carry")]
    Token {
        /// The token's id.
        id: String,
    },
    /// The CA file holds no usable certificate.
    #[error(
        "the CA certificate cannot be used: {reason}; a cluster's own CA is /etc/pve/pve-root-ca.pem \
         on every node"
    )]
    Ca {
        /// What is wrong with it.
        reason: String,
    },
    /// Pinning was asked for, with nothing to pin.
    #[error("no certificate fingerprint was given to compare with")]
    NoFingerprint,
    /// TLS could not be set up.
    #[error("TLS cannot be set up: {reason}")]
    Tls {
        /// What the TLS library says.
        reason: String,
    },
    /// The HTTP client could not be made.
    #[error("the HTTP client cannot be made: {reason}")]
    Http {
        /// What the HTTP library says.
        reason: String,
    },
}
