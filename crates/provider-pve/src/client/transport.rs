//! The client: limits, routing, retries, and the meaning of what comes back.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::Endpoint;
use super::error::{ApiError, Attempt, Call};
use super::gate::Gate;
use super::lost::Failure;
use super::options::{ClientError, ClientOptions, RetryOptions};
use super::poll::Poller;
use super::request::Request;
use super::retry::backoff;
use super::routing::{Candidate, Router, Wanted};
use super::stats::Stats;
use super::wire::{Answer, Wire};

/// How long an endpoint that did not serve a while ago may take to show that it does again, while
/// others wait to serve the read.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// A client of one cluster. Cheap to clone; clones share connections, limits and counters.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    wire: Wire,
    router: Router,
    gate: Gate,
    retry: RetryOptions,
    read_timeout: Duration,
    token_id: String,
    poller: Poller,
}

/// Rows of a list that the API gives in pages.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listing<T> {
    /// The rows.
    #[serde(rename = "data")]
    pub rows: T,
    /// How many there are in all, when the answer says so.
    #[serde(default)]
    pub total: Option<u64>,
    /// What would change on the node if it took over what is written, of network interfaces.
    #[serde(default)]
    pub changes: Option<String>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

impl Client {
    /// Makes a client. Connects nowhere.
    ///
    /// # Errors
    /// [`ClientError`]: no endpoint, a token that no header can carry, or a trust that cannot be
    /// set up.
    pub fn new(options: ClientOptions) -> Result<Self, ClientError> {
        if options.endpoints.is_empty() {
            return Err(ClientError::NoEndpoint);
        }
        let token_id = options.token.id.clone();
        Ok(Self {
            inner: Arc::new(Inner {
                token_id,
                wire: Wire::new(&options)?,
                router: Router::new(options.endpoints, options.skip_after_failure),
                gate: Gate::new(options.per_node_in_flight, options.total_in_flight),
                retry: options.retry,
                read_timeout: options.read_timeout,
                poller: Poller::default(),
            }),
        })
    }

    /// Reads, and gives what stands under `data`.
    ///
    /// # Errors
    /// [`ApiError`]. Transient failures were retried by then.
    pub async fn get<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ApiError> {
        let answer = self.execute(request).await?;
        decode::<Envelope<T>>(request, &answer).map(|envelope| envelope.data)
    }

    /// Reads one page of a list.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_page<T: DeserializeOwned>(
        &self,
        request: &Request,
    ) -> Result<Listing<T>, ApiError> {
        let answer = self.execute(request).await?;
        decode(request, &answer)
    }

    /// Sends a POST, PUT or DELETE once, and gives what stands under `data`: normally a UPID, or
    /// null.
    ///
    /// # Errors
    /// [`ApiError`]; see [`ApiError::is_outcome_unknown`] before repeating anything.
    pub async fn send(&self, request: &Request) -> Result<serde_json::Value, ApiError> {
        let answer = self.execute(request).await?;
        if answer.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(serde_json::Value::Null);
        }
        decode::<Envelope<serde_json::Value>>(request, &answer).map(|envelope| envelope.data)
    }

    /// The id of the token that every request carries: `pvx@pve!cli`.
    #[must_use]
    pub fn token_id(&self) -> &str {
        &self.inner.token_id
    }

    /// What was sent and received since the client was made.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.wire.stats()
    }

    /// What asks about tasks for all who wait for one.
    pub(super) fn poller(&self) -> &Poller {
        &self.inner.poller
    }

    /// One write, or up to `tries` tries of a read.
    async fn execute(&self, request: &Request) -> Result<Answer, ApiError> {
        if let Some(problem) = request.path().problem() {
            let call = Box::new(call(request));
            let errors = [("path".to_owned(), problem.to_owned())].into();
            let reason = "not sent".to_owned();
            return Err(ApiError::Invalid { call, reason, errors });
        }
        let (write, began) = (request.method().is_write(), Instant::now());
        let (mut tried, mut made) = (Vec::new(), 0);
        loop {
            made += 1;
            let error = match self.attempt(request, &mut tried).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if write || !(error.is_transient() || error.is_hiccup()) {
                return Err(error);
            }
            let Some(pause) = self.pause(&error, &tried, made, began) else { return Err(error) };
            tracing::debug!(%error, pause_ms = pause.as_millis(), "trying the read again");
            tokio::time::sleep(pause).await;
        }
    }

    /// The pause before the next try of a read. None when there is no use in one.
    fn pause(
        &self,
        error: &ApiError,
        tried: &[usize],
        made: u32,
        began: Instant,
    ) -> Option<Duration> {
        let retry = &self.inner.retry;
        if made >= retry.tries {
            return None;
        }
        // An answer that one endpoint lost, another one may give at once.
        let lost = matches!(error, ApiError::Unreachable { .. });
        if lost && self.inner.router.has_other(tried) {
            return Some(Duration::ZERO);
        }
        (began.elapsed() < retry.window).then(|| backoff(retry.first_pause, made))
    }

    /// One try: the first endpoint that can be connected to gets the request. The one that gave no
    /// answer is added to `tried`.
    async fn attempt(&self, request: &Request, tried: &mut Vec<usize>) -> Result<Answer, ApiError> {
        let inner = &*self.inner;
        let (node, write) = (request.preferred_node(), request.method().is_write());
        let _pass = inner.gate.enter(node.unwrap_or_default()).await;
        let passed_over = inner.router.passed_over();
        let mut attempts = Vec::new();
        let candidates = inner.router.candidates(Wanted { node, write, tried });
        let mut left = candidates.iter().peekable();
        while let Some(&Candidate { at, endpoint, probe }) = left.next() {
            let another = left.peek().is_some_and(|next| !tried.contains(&next.at));
            let limit = match (write, another, probe) {
                (true, ..) | (_, false, _) => None,
                (_, _, true) => Some(PROBE_TIMEOUT.min(inner.read_timeout)),
                (_, _, false) => Some(inner.read_timeout),
            };
            let (reason, refusal) = match inner.wire.exchange_within(endpoint, request, limit).await
            {
                Ok(result) => {
                    inner.router.mark_up(endpoint);
                    if result.as_ref().is_err_and(ApiError::is_transient) {
                        tried.push(at);
                    }
                    return result;
                }
                Err(Failure::Connect { reason, refusal }) => (reason, refusal),
                Err(Failure::Lost { cause, .. }) if probe && limit.is_some() => (cause, None),
                Err(Failure::Lost { cause, late }) => {
                    tried.push(at);
                    if late && !write && answers_itself(endpoint, node) {
                        inner.router.mark_down(endpoint, &cause);
                        tracing::warn!(%endpoint, cause, "it keeps silent, passing it over for a while");
                    }
                    let error = lost(request, endpoint, cause);
                    tracing::debug!(%error, "no answer");
                    return Err(error);
                }
            };
            inner.router.mark_down(endpoint, &reason);
            tracing::warn!(%endpoint, reason, "cannot connect, passing it over for a while");
            attempts.push(Attempt { endpoint: endpoint.clone(), reason, refusal });
        }
        Err(unreachable(request, attempts, passed_over))
    }
}

/// Whether the endpoint needs no other node for its answer: then its silence is its own.
fn answers_itself(endpoint: &Endpoint, node: Option<&str>) -> bool {
    node.is_none() || endpoint.node.as_deref() == node
}

fn decode<T: DeserializeOwned>(request: &Request, answer: &Answer) -> Result<T, ApiError> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        let (status, bytes) = (answer.status, answer.body.len());
        let detail = format!("status {status}, {bytes} bytes: {}", mismatch(&error));
        ApiError::Decode { call: Box::new(call(request)), detail }
    })
}

/// What is wrong with an answer, without the answer's own text: it can hold secrets, and serde
/// quotes the value that did not fit before it says what was expected.
fn mismatch(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() || text.starts_with("missing field") {
        return text;
    }
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("expected {expected}"),
        None => format!("unfit value at line {} column {}", error.line(), error.column()),
    }
}

pub(super) fn call(request: &Request) -> Call {
    Call {
        method: request.method(),
        path: request.path().to_string(),
        node: request.preferred_node().map(str::to_owned),
    }
}

/// The error after a request was sent and no answer came.
fn lost(request: &Request, endpoint: &Endpoint, cause: String) -> ApiError {
    let call = Box::new(call(request));
    if request.method().is_write() {
        return ApiError::OutcomeUnknown { call, cause: format!("{endpoint}: {cause}") };
    }
    let attempt = Attempt { endpoint: endpoint.clone(), reason: cause, refusal: None };
    ApiError::Unreachable { call, attempts: vec![attempt] }
}

/// The error after no endpoint could be connected to.
fn unreachable(
    request: &Request,
    mut attempts: Vec<Attempt>,
    passed_over: Vec<(&Endpoint, String)>,
) -> ApiError {
    let call = Box::new(call(request));
    for (endpoint, reason) in passed_over {
        if !attempts.iter().any(|a| &a.endpoint == endpoint) {
            let reason = format!("passed over for a while: {reason}");
            attempts.push(Attempt { endpoint: endpoint.clone(), reason, refusal: None });
        }
    }
    if attempts.iter().all(|a| a.refusal.is_some()) {
        ApiError::Tls { call, attempts }
    } else {
        ApiError::Unreachable { call, attempts }
    }
}
