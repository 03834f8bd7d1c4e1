//! Requests that got no answer: why, and whether anything can have happened.

use std::error::Error;

use super::TlsRefusal;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection came about: nothing was sent.
    Connect { reason: String, refusal: Option<TlsRefusal> },
    /// The request was sent, in part at least.
    Lost {
        cause: String,
        /// Nothing came in time, rather than the end of the connection.
        late: bool,
    },
}

impl Failure {
    /// The failure of sending a request and of waiting for the head of its answer.
    pub(super) fn of(error: reqwest::Error) -> Self {
        // A URL can hold secret parameters, and no error text may.
        let error = &error.without_url();
        if !error.is_connect() && !error.is_builder() {
            return Self::sent(error);
        }
        let refusal = tls_refusal(error);
        let reason = match &refusal {
            Some(refusal) => refusal.to_string(),
            None if error.is_timeout() => "no connection in time".to_owned(),
            None => innermost(error),
        };
        Self::Connect { reason, refusal }
    }

    /// The failure of reading the rest of an answer.
    pub(super) fn lost(error: reqwest::Error) -> Self {
        Self::sent(&error.without_url())
    }

    /// No answer in time.
    pub(super) fn late() -> Self {
        Self::Lost { cause: "no complete answer in time".to_owned(), late: true }
    }

    /// The answer broke off.
    pub(super) fn broken(cause: String) -> Self {
        Self::Lost { cause, late: false }
    }

    fn sent(error: &reqwest::Error) -> Self {
        if error.is_timeout() { Self::late() } else { Self::broken(innermost(error)) }
    }
}

/// The causes of an error, outermost first. An `io::Error` hides the error that it wraps from
/// `source`, and TLS errors come wrapped in one or two.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| cause_of(*error))
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    match inner {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// The text of the innermost cause: the outer ones only say that something failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn tls_refusal(error: &(dyn Error + 'static)) -> Option<TlsRefusal> {
    causes(error).find_map(|cause| match cause.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other)) => {
            other.0.downcast_ref::<TlsRefusal>().cloned()
        }
        _ => None,
    })
}
