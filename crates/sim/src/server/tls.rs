//! A self-signed certificate, kept with the world.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

use crate::error::SimError;
use crate::world::{Identity, World};

/// What the listener needs.
pub(crate) struct Ready {
    pub(crate) acceptor: TlsAcceptor,
    pub(crate) certificate: String,
    pub(crate) fingerprint: String,
}

/// The world's certificate, made when it has none.
pub(crate) fn identity(world: &mut World) -> Result<Ready, SimError> {
    let identity = match &world.identity {
        Some(identity) => identity.clone(),
        None => generate(world)?,
    };
    world.identity = Some(identity.clone());
    let failed = |error: &dyn std::fmt::Display| SimError::Tls(error.to_string());
    let der =
        CertificateDer::from_pem_slice(identity.certificate.as_bytes()).map_err(|e| failed(&e))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).map_err(|e| failed(&e))?;
    let digest = Sha256::digest(der.as_ref());
    let parts: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(&e))?
        .with_no_client_auth()
        .with_single_cert(vec![der], key)
        .map_err(|e| failed(&e))?;
    Ok(Ready {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        certificate: identity.certificate,
        fingerprint: parts.join(":"),
    })
}

fn generate(world: &World) -> Result<Identity, SimError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    names.extend(world.nodes.keys().cloned());
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| SimError::Tls(error.to_string()))?;
    Ok(Identity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() })
}
