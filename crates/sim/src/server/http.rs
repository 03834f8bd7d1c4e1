//! HTTP/1.1 over TLS: requests in, answers with Proxmox's reason phrases out.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{HeaderMap, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::auth::{self, Credentials};
use super::log::RequestRecord;
use crate::api::call::{Data, Reply};
use crate::api::dispatch::{Request, dispatch};
use crate::api::endpoint::Method;
use crate::api::params::Params;
use crate::api::refusal::Refusal;
use crate::world::lock::LockName;

/// The most bytes of a request's body.
const BODY_LIMIT: usize = 512 * 1024;
/// Every 401 is delayed by so many milliseconds of sim time.
const UNAUTHORIZED_DELAY_MS: i64 = 3000;

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
    mut stopped: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(serve(shared, request).await) }
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

/// The shape of answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    ExtJs,
}

async fn serve(shared: Arc<Shared>, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let method = head.method.as_str().to_owned();
    let full = head.uri.path().to_owned();
    let (shape, path) = match (full.strip_prefix("/api2/json"), full.strip_prefix("/api2/extjs")) {
        (Some(path), _) => (Shape::Json, path.to_owned()),
        (_, Some(path)) => (Shape::ExtJs, path.to_owned()),
        _ => return page(&full),
    };
    let body = match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            let refusal =
                Refusal::Bare { status: 413, reason: "Request Entity Too Large".to_owned() };
            return answer(shape, Err(refusal)).0;
        }
    };
    let bytes_in = body.len() as u64;
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let mut record = RequestRecord {
        method: method.clone(),
        template: path.clone(),
        path,
        node: None,
        status: 0,
        bytes_in,
        bytes_out: 0,
        write: method != "GET",
    };
    let result = handle(&shared, &mut record, &head.headers, head.uri.query(), &body).await;
    if result.as_ref().is_err_and(|refusal| refusal.status() == 401) {
        tokio::time::sleep(shared.clock.real(UNAUTHORIZED_DELAY_MS)).await;
    }
    let (response, bytes_out) = answer(shape, result);
    record.status = response.status().as_u16();
    record.bytes_out = bytes_out;
    shared.requests.push(record);
    response
}

/// Finds the endpoint, reads the parameters, dispatches, waits for locks.
async fn handle(
    shared: &Shared,
    record: &mut RequestRecord,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<Reply, Refusal> {
    let missing = || Refusal::not_implemented(&record.method, &record.path);
    let method = Method::parse(&record.method).ok_or_else(missing)?;
    if !body.is_empty() && !matches!(method, Method::Post | Method::Put) {
        let reason = format!("Unexpected content for method '{}'", record.method);
        return Err(Refusal::Bare { status: 501, reason });
    }
    let (endpoint, mut params) = match shared.router.find(method, &record.path) {
        Some(found) => found,
        None => {
            // Only who is logged in learns that there is no such path.
            caller(shared, headers, method).map_err(|reason| Refusal::unauthorized(&reason))?;
            return Err(missing());
        }
    };
    record.template = endpoint.path.to_owned();
    if params.get("node") == Some("localhost") {
        // The node that answers is the first that runs.
        let world = shared.world();
        if let Some(node) = world.nodes().find(|node| node.online) {
            params.0.insert("node".to_owned(), node.name.clone());
        }
    }
    record.node = params.get("node").map(str::to_owned);
    record.write = method != Method::Get && endpoint.path != "/access/ticket";
    read_params(&mut params, headers, query, body)?;
    let caller = caller(shared, headers, method);
    let request = Request { endpoint, params, caller };
    let result = attempt(shared, &request).await;
    if record.write {
        shared.run_tasks();
        shared.persist();
        shared.changed.notify_waiters();
    }
    result
}

fn caller(
    shared: &Shared,
    headers: &HeaderMap,
    method: Method,
) -> Result<crate::world::access::Caller, String> {
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

fn read_params(
    params: &mut Params,
    headers: &HeaderMap,
    query: Option<&str>,
    body: &[u8],
) -> Result<(), Refusal> {
    let mut given = Params::default();
    given.add_form(query.unwrap_or_default());
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") && !body.is_empty() {
        let failed = |error| Refusal::Bare {
            status: 400,
            reason: format!("malformed JSON string: {error}"),
        };
        given.add_json(body).map_err(failed)?;
    } else {
        given.add_form(&String::from_utf8_lossy(body));
    }
    for (name, value) in given.0 {
        if params.get(&name).is_some() {
            return Err(Refusal::param(&name, "duplicate parameter (already defined in URI)"));
        }
        params.0.insert(name, value);
    }
    Ok(())
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

/// Anything outside `/api2`: a word for people.
fn page(path: &str) -> Response<Full<Bytes>> {
    let text = "This is a simulator of the Proxmox VE API. See /api2/json.\n";
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    if path != "/" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

/// The response and the size of its body.
fn answer(shape: Shape, result: Result<Reply, Refusal>) -> (Response<Full<Bytes>>, u64) {
    let (status, reason, body) = match (&result, shape) {
        (Ok(reply), _) => (200, String::new(), success(reply, shape)),
        (Err(Refusal::Bare { status, reason }), _) => (*status, reason.clone(), Vec::new()),
        (Err(refusal), Shape::Json) => (refusal.status(), refusal.reason(), failure(refusal)),
        (Err(refusal), Shape::ExtJs) => (200, String::new(), failure_extjs(refusal)),
    };
    let size = body.len() as u64;
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let phrase = ReasonPhrase::try_from(reason.into_bytes()).ok();
    if let Some(phrase) = phrase.filter(|phrase| !phrase.as_bytes().is_empty()) {
        response.extensions_mut().insert(phrase);
    }
    let headers = response.headers_mut();
    let json = HeaderValue::from_static("application/json;charset=UTF-8");
    headers.insert(header::CONTENT_TYPE, json);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=0"));
    headers.insert(header::SERVER, HeaderValue::from_static("pve-api-daemon/3.0"));
    headers.insert(HeaderName::from_static("pragma"), HeaderValue::from_static("no-cache"));
    (response, size)
}

fn success(reply: &Reply, shape: Shape) -> Vec<u8> {
    let data = match &reply.data {
        Data::Value(value) => serde_json::to_vec(value).unwrap_or_default(),
        Data::Text(text) => text.clone(),
    };
    let mut body = b"{\"data\":".to_vec();
    body.extend_from_slice(&data);
    if let Some(total) = reply.total {
        body.extend_from_slice(format!(",\"total\":{total}").as_bytes());
    }
    if shape == Shape::ExtJs {
        body.extend_from_slice(b",\"success\":1");
    }
    body.push(b'}');
    body
}

fn failure(refusal: &Refusal) -> Vec<u8> {
    let mut body = serde_json::json!({ "data": null, "message": refusal.text() });
    if let (Refusal::Params(errors), Some(members)) = (refusal, body.as_object_mut()) {
        members.insert("errors".to_owned(), serde_json::json!(errors));
    }
    serde_json::to_vec(&body).unwrap_or_default()
}

fn failure_extjs(refusal: &Refusal) -> Vec<u8> {
    let mut body = serde_json::json!({
        "data": null, "message": refusal.text(), "success": 0, "status": refusal.status(),
    });
    if let (Refusal::Params(errors), Some(members)) = (refusal, body.as_object_mut()) {
        members.insert("errors".to_owned(), serde_json::json!(errors));
    }
    serde_json::to_vec(&body).unwrap_or_default()
}
