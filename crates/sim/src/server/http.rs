//! HTTP/1.1 over TLS: requests in, answers with Proxmox's reason phrases out. The order of checks
//! is that of `PVE::APIServer::AnyEvent`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{HeaderMap, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::admin;
use super::answer::{Answer, Shape, accepted};
use super::auth::Credentials;
use super::fetch;
use super::log::Entry;
use super::ports::Line;
use super::request::{Pending, Step, media_type};
use super::upload;
use super::workers::{self, PROXY_MS};
use crate::api::call::Reply;
use crate::api::endpoint::Method;
use crate::api::refusal::Refusal;

/// The most bytes of a request's body.
const BODY_LIMIT: usize = 512 * 1024;
/// Every 401 is delayed by so many milliseconds of sim time.
const UNAUTHORIZED_DELAY_MS: i64 = 3000;
/// Longer than any run of the simulator.
const FOR_EVER: Duration = Duration::from_secs(365 * 86_400);
/// So many requests go over one connection (`keep_alive` of pveproxy).
const KEEP_ALIVE: u32 = 100;

/// The connection is closed without an answer: a fault on demand.
#[derive(Debug, thiserror::Error)]
#[error("dropped by a fault on demand")]
struct Dropped;

/// Accepts connections until told to stop, at the port of a node or of them all.
pub(crate) async fn accept(
    shared: Arc<Shared>,
    node: Option<Arc<str>>,
    listener: TcpListener,
    tls: TlsAcceptor,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { continue };
                let door = Door { shared: Arc::clone(&shared), node: node.clone(), peer };
                tokio::spawn(enter(door, stream, tls.clone(), stopped.clone()));
            }
            _ = stopped.changed() => return,
        }
    }
}

/// Where a connection came in.
#[derive(Clone)]
struct Door {
    shared: Arc<Shared>,
    /// None at the port that is for all nodes.
    node: Option<Arc<str>>,
    peer: SocketAddr,
}

/// Serves a connection; one to a node, as long as that runs.
async fn enter(door: Door, stream: TcpStream, tls: TlsAcceptor, stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let Some(node) = door.node.clone() else {
        connection(door, stream, tls, stopped).await;
        return;
    };
    let Ok((line, stream)) = Line::of(&door.shared, &node, stream) else { return };
    line.serve(connection(door, stream, tls, stopped)).await;
}

async fn connection(
    door: Door,
    stream: TcpStream,
    tls: TlsAcceptor,
    stopped: watch::Receiver<bool>,
) {
    // TLS starts with 22, the type of a handshake (`tls_autostart`).
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1..) if first == [22] => {
            let Ok(stream) = tls.accept(stream).await else { return };
            talk(door, stream, true, stopped).await;
        }
        Ok(1..) => talk(door, stream, false, stopped).await,
        _ => {}
    }
}

/// Answers the requests of one connection.
async fn talk(
    door: Door,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    encrypted: bool,
    mut stopped: watch::Receiver<bool>,
) {
    let requests = Arc::new(AtomicU32::new(0));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let door = door.clone();
        let keep = requests.fetch_add(1, Ordering::Relaxed) + 1 < KEEP_ALIVE;
        async move {
            let (head, body) = request.into_parts();
            let encoding = accepted(&head.headers);
            if !encrypted {
                return Ok(elsewhere(&head).write(encoding, false).0);
            }
            if head.uri.path() == "/sim" || head.uri.path().starts_with("/sim/") {
                let body = Limited::new(body, BODY_LIMIT).collect().await;
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                return Ok(admin::serve(&door.shared, door.peer, &head, &body));
            }
            serve(door, head, body, keep).await.ok_or(Dropped)
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
    door: Door,
    head: Parts,
    body: Incoming,
    keep: bool,
) -> Option<Response<Full<Bytes>>> {
    let (began, shared) = (Instant::now(), door.shared);
    let encoding = accepted(&head.headers);
    let Some(method) = Method::parse(head.method.as_str()) else {
        let reason = format!("method '{}' not available", head.method);
        let refused = Err(Refusal::Bare { status: 501, reason });
        return Some(Answer::of(Shape::Json, &refused).write(encoding, false).0);
    };
    if let Some(refused) = transfer_encoding(&head.headers) {
        return Some(refused.write(encoding, false).0);
    }
    let full = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy();
    let Some(below) = full.strip_prefix("/api2") else {
        return Some(page(method, &full).write(encoding, keep).0);
    };
    let Some((format, path)) = format_and_path(below) else {
        return Some(Answer::text(501, "no such uri").write(encoding, false).0);
    };
    let pending = Pending::route(&shared.router, method, path).at(door.node);
    let Handled { result, mut entry } = handle(&shared, pending, &head, format, body).await;
    if result.as_ref().is_some_and(is_401) {
        tokio::time::sleep(shared.clock.real(UNAUTHORIZED_DELAY_MS)).await;
    }
    let shape = Shape::parse(format).unwrap_or(Shape::Json);
    let answered = result.map(|result| Answer::of(shape, &result).write(encoding, keep));
    if let Some((response, bytes_out)) = &answered {
        (entry.status, entry.bytes_out) = (response.status().as_u16(), *bytes_out);
    }
    shared.requests.push(entry, u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    answered.map(|(response, _)| response)
}

fn is_401(result: &Result<Reply, Refusal>) -> bool {
    result.as_ref().is_err_and(|refusal| refusal.status() == 401)
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

/// What came of a request, and its line of the log.
struct Handled {
    /// None when the connection is to be dropped.
    result: Option<Result<Reply, Refusal>>,
    entry: Entry,
}

impl Handled {
    fn refused(pending: &Pending, refusal: Refusal, bytes_in: u64) -> Self {
        Self { result: Some(Err(refusal)), entry: pending.entry(bytes_in) }
    }
}

/// Who calls, what is asked, and what comes of it.
async fn handle(
    shared: &Arc<Shared>,
    mut pending: Pending,
    head: &Parts,
    format: &str,
    body: Incoming,
) -> Handled {
    let logged_in =
        pending.log_in(&shared.world(), &credentials(&head.headers), shared.clock.moment());
    if let Err(refusal) = logged_in {
        return Handled::refused(&pending, refusal, 0);
    }
    if pending.is_upload() {
        return upload(shared, pending, head, body).await;
    }
    let body = match read_body(pending.method(), &head.headers, body).await {
        Ok(body) => body,
        Err(refusal) => return Handled::refused(&pending, refusal, 0),
    };
    let bytes_in = body.len() as u64;
    if Shape::parse(format).is_none() {
        let text = format!("no formatter for uri {}, {format}", pending.path());
        return Handled::refused(&pending, Refusal::text_only(501, text), bytes_in);
    }
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Err(refusal) = pending.read(head.uri.query(), kind.unwrap_or_default(), &body) {
        return Handled::refused(&pending, refusal, bytes_in);
    }
    carry_out(shared, pending, bytes_in).await
}

/// An upload: who may is asked before the body is read, which is looked at as it comes.
async fn upload(
    shared: &Arc<Shared>,
    mut pending: Pending,
    head: &Parts,
    body: Incoming,
) -> Handled {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let query = head.uri.query();
    let refused = pending.may_upload(&shared.world());
    if let Err(refusal) = refused {
        tokio::time::sleep(shared.clock.real(UNAUTHORIZED_DELAY_MS)).await;
        return Handled::refused(&pending, refusal, 0);
    }
    let length: u64 =
        text(header::CONTENT_LENGTH).and_then(|value| value.parse().ok()).unwrap_or(0);
    if length == 0 {
        return match pending.read(query, "", b"") {
            Ok(()) => carry_out(shared, pending, 0).await,
            Err(refusal) => Handled::refused(&pending, refusal, 0),
        };
    }
    // The real server dies in a place where nobody answers.
    let kind = text(header::CONTENT_TYPE).unwrap_or_default();
    let Some(boundary) = upload::boundary(kind) else {
        return Handled { result: None, entry: pending.entry(0) };
    };
    let read = match upload::read(body, boundary).await {
        Ok(read) => read,
        Err(refusal) => return Handled::refused(&pending, refusal, 0),
    };
    let bytes_in = read.bytes;
    let number = uuid::Uuid::new_v4().simple().to_string();
    let temporary = format!("/var/tmp/pveupload-{number}");
    let given = read.params;
    if let Err(refusal) = pending.take_upload(query, given, &temporary) {
        return Handled::refused(&pending, refusal, bytes_in);
    }
    shared.world().uploads.insert(temporary, read.file);
    carry_out(shared, pending, bytes_in).await
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

fn credentials(headers: &HeaderMap) -> Credentials {
    let text =
        |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Credentials {
        authorization: text("authorization"),
        cookie: text("cookie"),
        csrf: text("csrfpreventiontoken"),
    }
}

/// Reads are done here. What writes is done whether or not whoever asked still waits, as by the
/// daemon behind the proxy, which waits 30 s for it.
async fn carry_out(shared: &Arc<Shared>, mut pending: Pending, bytes_in: u64) -> Handled {
    if !pending.writes() {
        let result = steps(shared, &mut pending, &mut Asked::default()).await;
        return Handled { result, entry: pending.entry(bytes_in) };
    }
    let entry = pending.entry(bytes_in);
    let (answer, answered) = oneshot::channel();
    tokio::spawn(write(Arc::clone(shared), pending, bytes_in, answer));
    // Without an answer the server is going down.
    answered.await.unwrap_or(Handled { result: None, entry })
}

/// Carries out what writes, by one of the node's workers.
async fn write(
    shared: Arc<Shared>,
    mut pending: Pending,
    bytes_in: u64,
    answer: oneshot::Sender<Handled>,
) {
    let entry = pending.entry(bytes_in);
    let node = pending.node(&shared.world());
    let worker = match shared.workers.take(&node, &shared.clock).await {
        Ok(worker) => worker,
        Err(refusal) => {
            forget_upload(&shared, &pending);
            let _ = answer.send(Handled { result: Some(Err(refusal)), entry });
            return;
        }
    };
    let gives_up = shared.clock.moment().now.saturating_add(PROXY_MS);
    let mut asked = Asked(Some(Proxy { answer, entry, gives_up }));
    let result = steps(&shared, &mut pending, &mut asked).await;
    drop(worker);
    forget_upload(&shared, &pending);
    shared.persist();
    shared.changed.notify_waiters();
    if let Some(proxy) = asked.0 {
        let _ = proxy.answer.send(Handled { result, entry: pending.entry(bytes_in) });
    }
}

/// What was uploaded is where it belongs, or refused.
fn forget_upload(shared: &Shared, pending: &Pending) {
    if let Some(temporary) = &pending.temporary {
        shared.world().uploads.remove(temporary);
    }
}

/// The proxy in front of a daemon, as long as it waits for an answer.
struct Proxy {
    answer: oneshot::Sender<Handled>,
    /// The request in the log, should it give up.
    entry: Entry,
    /// Sim ms at which it does.
    gives_up: i64,
}

/// Whoever waits; reads have nobody in between.
#[derive(Default)]
struct Asked(Option<Proxy>);

impl Asked {
    /// The proxy loses its patience; the daemon goes on.
    fn give_up(&mut self) {
        if let Some(Proxy { answer, entry, .. }) = self.0.take() {
            let _ = answer.send(Handled { result: Some(Err(workers::timed_out())), entry });
        }
    }

    /// Sim ms at which the proxy gives up, as long as it waits.
    fn deadline(&self) -> Option<i64> {
        self.0.as_ref().map(|proxy| proxy.gives_up)
    }

    /// A fault holds the daemon back, in real time.
    async fn hold(&mut self, ms: u64) {
        let patience = PROXY_MS.unsigned_abs();
        if self.0.is_some() && ms > patience {
            tokio::time::sleep(Duration::from_millis(patience)).await;
            self.give_up();
            tokio::time::sleep(Duration::from_millis(ms - patience)).await;
        } else {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
    }
}

/// Steps until there is a result; none when the connection is to be dropped.
async fn steps(
    shared: &Arc<Shared>,
    pending: &mut Pending,
    asked: &mut Asked,
) -> Option<Result<Reply, Refusal>> {
    loop {
        let changed = shared.changed.notified();
        let moment = shared.clock.moment();
        let (step, stirred) = {
            let mut world = shared.world();
            let before = world.revision;
            let step = pending.step(&mut world, moment, &shared.fingerprint);
            (step, world.revision != before)
        };
        // Others may wait for what happened, and the scheduler has something to do.
        if stirred {
            shared.changed.notify_waiters();
        }
        match step {
            Step::Done(result) => return Some(result),
            Step::Drop => return None,
            Step::Delay(ms) => asked.hold(ms).await,
            Step::Held(until) => {
                let pause = until.map_or(FOR_EVER, |until| shared.clock.real_until(until));
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(pause.max(Duration::from_millis(1))) => {}
                }
            }
            Step::Blocked(until) => {
                fetch::start(shared);
                if asked.deadline().is_some_and(|deadline| deadline <= moment.now) {
                    asked.give_up();
                }
                let until = until.min(asked.deadline().unwrap_or(i64::MAX));
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep(shared.clock.real_until(until)) => {}
                }
            }
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
