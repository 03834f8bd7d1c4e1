//! The log of requests.

use std::sync::{Mutex, PoisonError};

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// Path below `/api2/json`, without the query.
    pub path: String,
    /// The path of the endpoint, `/nodes/{node}/qemu/{vmid}/config`; the path itself when there
    /// is no such endpoint.
    pub template: String,
    /// The node that the path names.
    pub node: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Whether it could change something: any method but GET, logins apart.
    pub write: bool,
}

/// How many requests are remembered.
const KEPT: usize = 1_000_000;

#[derive(Default)]
pub(crate) struct RequestLog(Mutex<Vec<RequestRecord>>);

impl RequestLog {
    pub(crate) fn push(&self, record: RequestRecord) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < KEPT {
            all.push(record);
        }
    }

    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
