//! Which certificates are accepted, and the TLS configuration made from that.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::verifier::{Check, Verifier};
use super::{ClientError, Fingerprint};

/// Which certificates are accepted.
#[derive(Debug, Clone)]
pub enum TlsTrust {
    /// Those that the operating system trusts, with the right host name.
    System,
    /// Those that one of these CAs (PEM) signed, with the right host name. A Proxmox cluster's CA
    /// is `/etc/pve/pve-root-ca.pem`; its node certificates name the node's IP, name and FQDN.
    CaPem(Vec<u8>),
    /// Those with one of these fingerprints, whatever they name and whoever signed them.
    Fingerprints(Vec<Fingerprint>),
    /// Any certificate. The connection is encrypted towards anybody at all.
    Insecure,
}

/// The TLS configuration for `trust`, on the ring provider.
pub(super) fn client_config(trust: &TlsTrust) -> Result<ClientConfig, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failed = |reason: String| ClientError::Tls { reason };
    let algorithms = provider.signature_verification_algorithms;
    let check = match trust {
        TlsTrust::System => {
            let inner = rustls_platform_verifier::Verifier::new(Arc::clone(&provider))
                .map_err(|e| failed(format!("the system's certificates: {e}")))?;
            Check::Chain { verifier: Arc::new(inner), authority: "a CA that this system trusts" }
        }
        TlsTrust::CaPem(pem) => ca_check(pem, &provider)?,
        TlsTrust::Fingerprints(pins) if pins.is_empty() => return Err(ClientError::NoFingerprint),
        TlsTrust::Fingerprints(pins) => Check::Pinned(pins.clone()),
        TlsTrust::Insecure => Check::Nothing,
    };
    let verifier = Arc::new(Verifier::new(check, algorithms));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

fn ca_check(pem: &[u8], provider: &Arc<CryptoProvider>) -> Result<Check, ClientError> {
    let failed = |reason: String| ClientError::Ca { reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| failed(format!("it is no valid PEM: {e}")))?;
        roots.add(certificate).map_err(|e| failed(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds no certificate in PEM form".to_owned()));
    }
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|e| failed(e.to_string()))?;
    Ok(Check::Chain { verifier: inner, authority: "the given CA" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_ca_without_certificates_and_an_empty_pin_list() {
        let error = client_config(&TlsTrust::CaPem(b"not a certificate".to_vec())).unwrap_err();
        assert!(error.to_string().contains("no certificate in PEM form"), "{error}");
        assert!(error.to_string().contains("pve-root-ca.pem"), "{error}");
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            client_config(&TlsTrust::CaPem(broken.to_vec())),
            Err(ClientError::Ca { .. })
        ));
        let error = client_config(&TlsTrust::Fingerprints(Vec::new())).unwrap_err();
        assert!(matches!(error, ClientError::NoFingerprint));
    }
}
