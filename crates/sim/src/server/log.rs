//! The log of requests: totals per method and path template for ever, the last requests in full.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// The node at whose port it was asked; none at the port of all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Status of the answer; 0 when the connection was dropped instead.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Whether it could change something: any method but GET, logins apart.
    pub write: bool,
}

/// What all requests of one method and path template came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestTotals {
    /// `GET`, `POST`, `PUT`, `DELETE`.
    pub method: String,
    /// The path of the endpoint; [`RequestTotals::NO_SUCH_PATH`] for all without one.
    pub template: String,
    /// How many.
    pub count: u64,
    /// Bytes of all requests' bodies.
    pub bytes_in: u64,
    /// Bytes of all answers' bodies.
    pub bytes_out: u64,
    /// How many by status; 0 counts dropped connections.
    pub statuses: BTreeMap<u16, u64>,
    /// Real microseconds from the whole request to the answer, of all.
    pub micros: u64,
    /// The longest of them.
    pub micros_max: u64,
}

impl RequestTotals {
    /// The template of requests that no endpoint is for.
    pub const NO_SUCH_PATH: &'static str = "(no such path)";

    /// How many by class: `2xx`, `4xx`, `5xx`, `dropped`.
    #[must_use]
    pub fn classes(&self) -> BTreeMap<String, u64> {
        let mut classes = BTreeMap::new();
        for (status, count) in &self.statuses {
            let class = match status / 100 {
                0 => "dropped".to_owned(),
                class => format!("{class}xx"),
            };
            *classes.entry(class).or_default() += count;
        }
        classes
    }
}

/// A request on its way into the log.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) method: &'static str,
    pub(crate) path: Box<str>,
    /// None when there is no such endpoint.
    pub(crate) template: Option<&'static str>,
    pub(crate) node: Option<Box<str>>,
    pub(crate) asked: Option<Arc<str>>,
    pub(crate) status: u16,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) write: bool,
}

/// How many requests are remembered in full: some ten megabytes.
const KEPT: usize = 50_000;
/// The longest path that is remembered in full.
const PATH_KEPT: usize = 1024;

#[derive(Default)]
struct Log {
    last: VecDeque<Entry>,
    totals: BTreeMap<(&'static str, &'static str), RequestTotals>,
}

#[derive(Default)]
pub(crate) struct RequestLog(Mutex<Log>);

impl RequestLog {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, mut entry: Entry, micros: u64) {
        let template = entry.template.unwrap_or(RequestTotals::NO_SUCH_PATH);
        if entry.path.len() > PATH_KEPT {
            entry.path = entry.path.chars().take(PATH_KEPT).collect::<String>().into();
        }
        let mut log = self.log();
        let totals = log.totals.entry((entry.method, template)).or_default();
        totals.count += 1;
        totals.bytes_in += entry.bytes_in;
        totals.bytes_out += entry.bytes_out;
        *totals.statuses.entry(entry.status).or_default() += 1;
        totals.micros += micros;
        totals.micros_max = totals.micros_max.max(micros);
        if log.last.len() >= KEPT {
            log.last.pop_front();
        }
        log.last.push_back(entry);
    }

    /// The last requests, at most so many, oldest first.
    pub(crate) fn last(&self, limit: usize) -> Vec<RequestRecord> {
        let log = self.log();
        let skip = log.last.len().saturating_sub(limit);
        log.last.iter().skip(skip).map(Entry::record).collect()
    }

    pub(crate) fn totals(&self) -> Vec<RequestTotals> {
        let log = self.log();
        let named = |((method, template), totals): (&(&str, &str), &RequestTotals)| RequestTotals {
            method: (*method).to_owned(),
            template: (*template).to_owned(),
            ..totals.clone()
        };
        log.totals.iter().map(named).collect()
    }

    pub(crate) fn clear(&self) {
        *self.log() = Log::default();
    }
}

impl Entry {
    fn record(&self) -> RequestRecord {
        RequestRecord {
            method: self.method.to_owned(),
            path: self.path.to_string(),
            template: self.template.map_or_else(|| self.path.to_string(), str::to_owned),
            node: self.node.as_deref().map(str::to_owned),
            asked: self.asked.as_deref().map(str::to_owned),
            status: self.status,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            write: self.write,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, template: Option<&'static str>, status: u16) -> Entry {
        Entry {
            method: "GET",
            path: path.into(),
            template,
            node: None,
            asked: None,
            status,
            bytes_in: 1,
            bytes_out: 10,
            write: false,
        }
    }

    #[test]
    fn totals_are_kept_and_records_are_bounded() {
        let log = RequestLog::default();
        for number in 0..KEPT + 10 {
            log.push(entry(&format!("/x/{number}"), None, 501), 1);
        }
        log.push(entry("/version", Some("/version"), 200), 7);
        log.push(entry("/version", Some("/version"), 0), 3);
        let last = log.last(usize::MAX);
        assert_eq!(last.len(), KEPT);
        assert_eq!(last.last().unwrap().path, "/version");
        assert_eq!(log.last(1).len(), 1);
        let totals = log.totals();
        assert_eq!(totals.len(), 2);
        let version = totals.iter().find(|totals| totals.template == "/version").unwrap();
        assert_eq!((version.count, version.bytes_in, version.bytes_out), (2, 2, 20));
        assert_eq!((version.micros, version.micros_max), (10, 7));
        let classes: Vec<_> = version.classes().into_iter().collect();
        assert_eq!(classes, [("2xx".to_owned(), 1), ("dropped".to_owned(), 1)]);
        log.clear();
        assert!(log.totals().is_empty() && log.last(9).is_empty());
    }
}
