//! The REST client of Proxmox VE: HTTPS, routing over the cluster's nodes, and honest errors.
//!
//! What the client promises:
//! - A write is sent at most once. When its answer is lost the error is
//!   [`ApiError::OutcomeUnknown`]: look at the cluster before repeating anything.
//! - A read is tried up to three times on transient failures, after a lost answer at another endpoint.
//! - An endpoint that cannot be connected to, or keeps silent, is passed over for 30 seconds; then one
//!   read finds out whether it serves again. Connecting comes before any effect, so trying the next
//!   endpoint is safe for writes too.
//! - Reads about no node take turns at the endpoints.
//! - The token's secret and the values of secret parameters are in no log line and no error.

mod endpoint;
mod error;
mod fingerprint;
mod gate;
mod lost;
mod options;
mod path;
mod poll;
mod refusal;
mod request;
mod retry;
mod routing;
mod stats;
mod task;
mod tls;
mod transport;
mod upid;
mod verifier;
mod wait;
mod wire;

pub use endpoint::{DEFAULT_PORT, Endpoint, EndpointError};
pub use error::{ApiError, Attempt, Call};
pub(crate) use error::{is_busy_text, is_digest_mismatch_text, is_missing_guest_text};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use options::{ClientError, ClientOptions, RetryOptions};
pub use path::ApiPath;
pub use request::{Method, Request};
pub use stats::Stats;
pub use task::{TaskEnd, TaskOutcome, TaskStatus};
pub use tls::TlsTrust;
pub use transport::{Client, Listing};
pub use upid::{Upid, UpidError};
pub use verifier::TlsRefusal;
pub use wait::WaitOptions;
