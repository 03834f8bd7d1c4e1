//! One request to one endpoint: encoded, sent, counted, logged, and its answer read.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use super::error::ApiError;
use super::lost::Failure;
use super::options::{ClientError, ClientOptions};
use super::request::{Method, Request};
use super::stats::{Counters, Stats};
use super::transport::call;
use super::{Endpoint, refusal, tls};

/// No answer of the API comes near this; one that is larger is not read on.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// pveproxy closes a connection after 5 s without a request (pve-http-server, AnyEvent.pm). A
/// connection is not used again after less than that, so that no write meets a closing one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

/// The HTTP client, with what every request carries.
#[derive(Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    authorization: HeaderValue,
    counters: Counters,
}

/// An answer of status 2xx.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Wire {
    /// Connects nowhere.
    pub(super) fn new(options: &ClientOptions) -> Result<Self, ClientError> {
        let token = &options.token;
        let authorization =
            token.header_value().ok_or_else(|| ClientError::Token { id: token.id.clone() })?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&options.trust)?)
            .https_only(true)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .connect_timeout(options.connect_timeout)
            .timeout(options.request_timeout)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .user_agent(concat!("pvx/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| ClientError::Http { reason: e.to_string() })?;
        Ok(Self { http, authorization, counters: Counters::default() })
    }

    pub(super) fn stats(&self) -> Stats {
        self.counters.read()
    }

    /// As [`Wire::exchange`], given up after `limit`. For reads: whatever was sent is let go.
    pub(super) async fn exchange_within(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        limit: Option<Duration>,
    ) -> Result<Result<Answer, ApiError>, Failure> {
        let exchange = self.exchange(endpoint, request);
        let Some(limit) = limit else { return exchange.await };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => {
                self.counters.sent(request.method().is_write(), 0);
                Err(Failure::late())
            }
        }
    }

    /// One request to one endpoint. The outer result is about the transport, the inner one about
    /// what Proxmox said.
    pub(super) async fn exchange(
        &self,
        endpoint: &Endpoint,
        request: &Request,
    ) -> Result<Result<Answer, ApiError>, Failure> {
        let began = Instant::now();
        let parameters = request.encoded_parameters();
        let bytes_out = parameters.len();
        tracing::trace!(
            method = %request.method(),
            path = %request.path(),
            parameters = request.masked_parameters(),
            "request"
        );
        let write = request.method().is_write();
        let response = match self.prepare(endpoint, request, parameters).send().await {
            Ok(response) => response,
            Err(error) => {
                let failure = Failure::of(error);
                if matches!(failure, Failure::Lost { .. }) {
                    self.counters.sent(write, bytes_out);
                }
                return Err(failure);
            }
        };
        self.counters.sent(write, bytes_out);
        let status = response.status().as_u16();
        let phrase = reason_phrase(&response);
        let body = read_body(response).await;
        let bytes_in = body.as_ref().map_or(0, Vec::len);
        self.counters.received(bytes_in);
        tracing::debug!(
            method = %request.method(),
            path = %request.path(),
            %endpoint,
            status,
            ms = began.elapsed().as_millis(),
            bytes = bytes_in,
            "answer"
        );
        if !(200..300).contains(&status) {
            let body = body.unwrap_or_default();
            return Ok(Err(refusal::classify(call(request), status, &phrase, &body)));
        }
        body.map(|body| Ok(Answer { status, body }))
    }

    fn prepare(
        &self,
        endpoint: &Endpoint,
        request: &Request,
        parameters: String,
    ) -> reqwest::RequestBuilder {
        let mut url = format!("{}/api2/json{}", endpoint.base_url(), request.path());
        let method = match request.method() {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let form = matches!(request.method(), Method::Post | Method::Put);
        if !form && !parameters.is_empty() {
            url.push('?');
            url.push_str(&parameters);
        }
        let builder =
            self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone());
        if form {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            builder.header(CONTENT_TYPE, kind).body(parameters)
        } else {
            builder
        }
    }
}

/// The phrase of the status line. hyper keeps it when it is not the usual one of the status.
fn reason_phrase(response: &reqwest::Response) -> String {
    match response.extensions().get::<hyper::ext::ReasonPhrase>() {
        Some(phrase) => String::from_utf8_lossy(phrase.as_bytes()).into_owned(),
        None => response.status().canonical_reason().unwrap_or_default().to_owned(),
    }
}

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_BODY_BYTES => {
                let cause = format!("the answer is larger than {MAX_BODY_BYTES} bytes");
                return Err(Failure::broken(cause));
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            // Whatever breaks off here, the request was sent.
            Err(error) => return Err(Failure::lost(error)),
        }
    }
}
