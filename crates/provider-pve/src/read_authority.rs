//! The certificate authority of a cluster: what tells it from another one of the same name.

use pvx_core::provider::ProviderError;
use serde::Deserialize;

use crate::client::{ApiError, ApiPath, Request};
use crate::cluster::{Cluster, provider_error};

/// The authority that a cluster makes for itself, on all of its nodes.
const AUTHORITY: &str = "pve-root-ca.pem";

/// A row of `/nodes/{node}/certificates/info`.
#[derive(Debug, Deserialize)]
struct CertificateRow {
    #[serde(default)]
    filename: String,
    #[serde(default)]
    fingerprint: Option<String>,
}

impl Cluster {
    /// SHA-256 fingerprint of the cluster's own certificate authority, asked of `node`; none when
    /// it may not be read or is not there. Every user may read it (pve-manager
    /// `API2/Certificates.pm`).
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn authority(&self, node: &str) -> Result<Option<String>, ProviderError> {
        let request = Request::get(ApiPath::new("/nodes/{}/certificates/info", &[&node]));
        let rows: Vec<CertificateRow> = match self.client.get(&request).await {
            Err(ApiError::Forbidden { .. }) => return Ok(None),
            answer => answer.map_err(|error| provider_error(&error))?,
        };
        let own = rows.into_iter().find(|row| row.filename == AUTHORITY);
        Ok(own.and_then(|row| row.fingerprint))
    }
}
