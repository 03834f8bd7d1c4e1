//! HTTP/1.1 over TLS: requests in, answers with Proxmox's reason phrases out. The order of checks
//! is that of `PVE::APIServer::AnyEvent`.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::answer::{Answer, Shape, accepted};
use super::auth::{self, Credentials};
use super::log::RequestRecord;
use crate::api::call::Reply;
use crate::api::dispatch::{Request, dispatch};
use crate::api::endpoint::Method;
use crate::api::params::Params;
use crate::api::permission::Permission;
use crate::api::refusal::Refusal;
use crate::world::access::Caller;
use crate::world::lock::LockName;

/// The most bytes of a request's body.
const BODY_LIMIT: usize = 512 * 1024;
/// Every 401 is delayed by so many milliseconds of sim time.
const UNAUTHORIZED_DELAY_MS: i64 = 3000;
/// So many requests go over one connection (`keep_alive` of pveproxy).
const KEEP_ALIVE: u32 = 100;

/// Accepts connections until told to stop.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    tls: TlsAcceptor,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                tokio::spawn(connection(Arc::clone(&shared), stream, tls.clone(), stopped.clone()));
            }
            _ = stopped.changed() => return,
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    tls: TlsAcceptor,
    stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    // TLS starts with 22, the type of a handshake (`tls_autostart`).
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) if first == [22] => {
            let Ok(stream) = tls.accept(stream).await else { return };
            talk(shared, stream, true, stopped).await;
        }
        Ok(1..) => talk(shared, stream, false, stopped).await,
        _ => {}
    }
}

/// Answers the requests of one connection.
async fn talk(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    encrypted: bool,
    mut stopped: watch::Receiver<bool>,
) {
    let requests = Arc::new(AtomicU32::new(0));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let keep = requests.fetch_add(1, Ordering::Relaxed) + 1 < KEEP_ALIVE;
        async move {
            let (head, body) = request.into_parts();
            let encoding = accepted(&head.headers);
            if !encrypted {
                return Ok::<_, Infallible>(elsewhere(&head).write(encoding, false).0);
            }
            Ok(serve(shared, head, body, keep).await)
        }
    });
    let server = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(server);
    tokio::select! {
        _ = server.as_mut() => {}
        _ = stopped.changed() => {
            server.as_mut().graceful_shutdown();
            let _ = server.await;
        }
    }
}

/// Without TLS every request is sent to https (`ensure_tls_connection`).
fn elsewhere(head: &Parts) -> Answer {
    let (status, text) = match head.method.as_str() {
        "GET" | "HEAD" => (301, "Moved Permanently"),
        _ => (308, "Permanent Redirect"),
    };
    let host = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let location = format!("https://{}{path}", host.unwrap_or_default());
    Answer { location: Some(location), ..Answer::text(status, text) }
}

async fn serve(
    shared: Arc<Shared>,
    head: Parts,
    body: Incoming,
    keep: bool,
) -> Response<Full<Bytes>> {
    let encoding = accepted(&head.headers);
    let Some(method) = Method::parse(head.method.as_str()) else {
        let reason = format!("method '{}' not available", head.method);
        let refused = Err(Refusal::Bare { status: 501, reason });
        return Answer::of(Shape::Json, &refused).write(encoding, false).0;
    };
    if let Some(refused) = transfer_encoding(&head.headers) {
        return refused.write(encoding, false).0;
    }
    let full = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy();
    let Some(below) = full.strip_prefix("/api2") else {
        return page(method, &full).write(encoding, keep).0;
    };
    let Some((format, path)) = format_and_path(below) else {
        return Answer::text(501, "no such uri").write(encoding, false).0;
    };
    let mut record = RequestRecord {
        method: head.method.as_str().to_owned(),
        template: path.to_owned(),
        path: path.to_owned(),
        node: None,
        status: 0,
        bytes_in: 0,
        bytes_out: 0,
        write: method != Method::Get,
    };
    let result = handle(&shared, &mut record, &head, format, body).await;
    if result.as_ref().is_err_and(|refusal| refusal.status() == 401) {
        tokio::time::sleep(shared.clock.real(UNAUTHORIZED_DELAY_MS)).await;
    }
    let shape = Shape::parse(format).unwrap_or(Shape::Json);
    let (response, bytes_out) = Answer::of(shape, &result).write(encoding, keep);
    record.status = response.status().as_u16();
    record.bytes_out = bytes_out;
    shared.requests.push(record);
    response
}

/// Bodies in chunks are refused, and so is every other transfer encoding.
fn transfer_encoding(headers: &HeaderMap) -> Option<Answer> {
    let value = headers.get(header::TRANSFER_ENCODING)?.to_str().unwrap_or_default();
    if value.eq_ignore_ascii_case("chunked") {
        return Some(Answer::text(501, "chunked transfer encoding not supported"));
    }
    Some(Answer::text(501, format!("Unknown transfer encoding '{value}'")))
}

/// `json` and `/version` of `/json/version`.
fn format_and_path(below: &str) -> Option<(&str, &str)> {
    let rest = below.strip_prefix('/')?.trim_start_matches('/');
    let (format, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    };
    let word = format.starts_with(|letter: char| letter.is_ascii_lowercase())
        && format.len() > 1
        && format.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit());
    word.then_some((format, path))
}

/// Finds the endpoint, reads the parameters, dispatches, waits for locks.
async fn handle(
    shared: &Shared,
    record: &mut RequestRecord,
    head: &Parts,
    format: &str,
    body: Incoming,
) -> Result<Reply, Refusal> {
    let method = Method::parse(&record.method).unwrap_or(Method::Get);
    let found = shared.router.find(method, &record.path);
    let open = found.as_ref().is_some_and(|(found, _)| found.permission == Permission::World);
    let caller = caller(shared, &head.headers, method);
    // Only who is logged in learns what is wrong with the request.
    if let (Err(reason), false) = (&caller, open) {
        return Err(Refusal::unauthorized(reason));
    }
    let body = read_body(method, &head.headers, body).await?;
    record.bytes_in = body.len() as u64;
    if Shape::parse(format).is_none() {
        return Err(Refusal::text_only(
            501,
            format!("no formatter for uri {}, {format}", record.path),
        ));
    }
    let mut given = read_params(method, &head.headers, head.uri.query(), &body)?;
    given.take("_dc");
    let Some((endpoint, mut params)) = found else {
        return Err(Refusal::not_implemented(&record.method, &record.path));
    };
    record.template = endpoint.path.to_owned();
    params.join(given)?;
    if params.get("node") == Some("localhost") {
        // The node that answers is the first that runs.
        let world = shared.world();
        if let Some(node) = world.nodes().find(|node| node.online) {
            params.0.insert("node".to_owned(), node.name.clone());
        }
    }
    record.node = params.get("node").map(str::to_owned);
    record.write = method != Method::Get && endpoint.path != "/access/ticket";
    let request = Request { endpoint, params, caller };
    let result = attempt(shared, &request).await;
    if record.write {
        shared.run_tasks();
        shared.persist();
        shared.changed.notify_waiters();
    }
    result
}

/// The body, when its length, its type and the method allow one.
async fn read_body(method: Method, headers: &HeaderMap, body: Incoming) -> Result<Bytes, Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let length: usize =
        text(header::CONTENT_LENGTH).and_then(|value| value.parse().ok()).unwrap_or(0);
    if length == 0 {
        return Ok(Bytes::new());
    }
    if !matches!(method, Method::Post | Method::Put) {
        let method = method.name();
        return Err(Refusal::text_only(501, format!("Unexpected content for method '{method}'")));
    }
    if length > BODY_LIMIT {
        return Err(Refusal::text_only(501, "for data too large"));
    }
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    if !matches!(media_type(kind), "" | "application/x-www-form-urlencoded" | "application/json") {
        let text = format!("upload 'Content-Type '{kind}' not implemented");
        return Err(Refusal::text_only(506, text));
    }
    let read = Limited::new(body, BODY_LIMIT).collect().await;
    read.map(http_body_util::Collected::to_bytes)
        .map_err(|_| Refusal::text_only(501, "for data too large"))
}

/// The type of a `Content-Type` without its parameters.
fn media_type(kind: &str) -> &str {
    kind.split([';', ',']).next().unwrap_or_default().trim_end()
}

fn caller(shared: &Shared, headers: &HeaderMap, method: Method) -> Result<Caller, String> {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let credentials = Credentials {
        authorization: text("authorization"),
        cookie: text("cookie"),
        csrf: text("csrfpreventiontoken"),
    };
    let now = shared.clock.moment().seconds();
    auth::authenticate(&shared.world(), &credentials, method != Method::Get, now)
}

/// Body and query; what the query names counts (`extract_params`).
fn read_params(
    method: Method,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<Params, Refusal> {
    let mut given = Params::default();
    if matches!(method, Method::Post | Method::Put) {
        let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type(kind.unwrap_or_default()) == "application/json" {
            given.add_json(body).map_err(|text| Refusal::text_only(500, text))?;
        } else {
            given.add_form(&String::from_utf8_lossy(body));
        }
    }
    let mut asked = Params::default();
    asked.add_form(query.unwrap_or_default());
    given.0.extend(asked.0);
    Ok(given)
}

/// Dispatches, again and again while a lock is held, until its wait is over.
async fn attempt(shared: &Shared, request: &Request) -> Result<Reply, Refusal> {
    let mut deadline: Option<(LockName, i64)> = None;
    loop {
        let changed = shared.changed.notified();
        shared.run_tasks();
        let moment = shared.clock.moment();
        let result = {
            let mut world = shared.world();
            let result = dispatch(&mut world, request, moment, &shared.fingerprint);
            if request.endpoint.method != Method::Get
                && !matches!(result, Err(Refusal::Blocked { .. }))
            {
                world.revision += 1;
            }
            result
        };
        let Err(Refusal::Blocked { lock, wait_ms }) = &result else { return result };
        let until = match &deadline {
            Some((waiting, until)) if waiting == lock => *until,
            _ => moment.now.saturating_add(*wait_ms),
        };
        if until <= moment.now {
            return result;
        }
        deadline = Some((lock.clone(), until));
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(shared.clock.real_until(until)) => {}
        }
    }
}

/// Anything outside `/api2`: the start page, and no other file.
fn page(method: Method, path: &str) -> Answer {
    if method == Method::Get && path == "/" {
        let text = "This is a simulator of the Proxmox VE API, without its web interface. \
                    See /api2/json.\n";
        let content_type = Some("text/html; charset=utf-8");
        return Answer { content_type, reason: String::new(), ..Answer::text(200, text) };
    }
    Answer::text(500, format!("no such file '{path}'\n"))
}
