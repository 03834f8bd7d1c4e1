//! The check of a server's certificate. Whatever is accepted, the handshake's signatures are
//! verified: the server must hold the certificate's key.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};

use super::Fingerprint;

/// A certificate that was not accepted, with what the reader needs to decide about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsRefusal {
    /// Fingerprint of the certificate that the server showed.
    pub presented: Fingerprint,
    /// The fingerprints that would have been accepted; empty when a CA decides.
    pub expected: Vec<Fingerprint>,
    /// Why it was not accepted.
    pub reason: String,
}

impl fmt::Display for TlsRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; the server shows SHA-256 {}", self.reason, self.presented)?;
        if !self.expected.is_empty() {
            let expected: Vec<String> = self.expected.iter().map(ToString::to_string).collect();
            write!(f, ", expected {}", expected.join(" or "))?;
        }
        f.write_str(
            "; compare it with `pvenode cert info` on the node, and pin it if it is the same",
        )
    }
}

impl std::error::Error for TlsRefusal {}

/// What is required of a certificate.
#[derive(Debug)]
pub(super) enum Check {
    /// A chain to a root, and the host name.
    Chain {
        /// Does the work.
        verifier: Arc<dyn ServerCertVerifier>,
        /// Who has to have signed, in words.
        authority: &'static str,
    },
    /// One of these fingerprints.
    Pinned(Vec<Fingerprint>),
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
pub(super) struct Verifier {
    check: Check,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(check: Check, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { check, algorithms }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = Fingerprint::of(end_entity);
        let refuse = |expected: &[Fingerprint], reason: String| {
            let refusal = TlsRefusal { presented, expected: expected.to_vec(), reason };
            let other = CertificateError::Other(OtherError(Arc::new(refusal)));
            Err(Error::InvalidCertificate(other))
        };
        match &self.check {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::Pinned(pins) if pins.contains(&presented) => Ok(ServerCertVerified::assertion()),
            Check::Pinned(pins) => refuse(pins, "the certificate is not the pinned one".to_owned()),
            Check::Chain { verifier, authority } => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .or_else(|error| refuse(&[], in_words(&error, authority, server_name))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn in_words(error: &Error, authority: &str, name: &ServerName<'_>) -> String {
    let Error::InvalidCertificate(problem) = error else { return error.to_string() };
    match problem {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("the certificate was not signed by {authority}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!(
                "the certificate is not made out for '{}'; use a name or address that it holds",
                name.to_str()
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired; `pvecm updatecerts --force` renews it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet; compare the clocks of both machines".to_owned()
        }
        other => format!("the certificate was refused: {other}"),
    }
}
