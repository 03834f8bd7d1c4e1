//! Asking loopback URLs: HTTP/1.1, each piece looked at as it passes by. No other address is asked.

use std::sync::Arc;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Shared;
use crate::fetch::{Outcome, Url, reason, saved, stamp};
use crate::storage::hash::ALGORITHMS;
use crate::storage::probe::Probe;
use crate::work::Work;

/// The most redirections (`wget` follows 20).
const REDIRECTIONS: usize = 20;

/// Something to fetch, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Fetch {
    pub(crate) url: String,
    /// Whether the certificate of an https server is checked.
    pub(crate) verify: bool,
    /// The checksum to calculate, besides SHA-256.
    pub(crate) algorithm: Option<String>,
    pub(crate) asker: Asker,
}

/// Who waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A task, by number.
    Task(u64),
    /// A request for the head alone.
    Head,
}

/// Starts what is to be fetched.
pub(crate) fn start(shared: &Arc<Shared>) {
    let all = std::mem::take(&mut shared.world().fetches);
    for fetch in all {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let seconds = shared.clock.moment().seconds();
            let outcome = ask(&fetch, seconds).await;
            deliver(&shared, &fetch, outcome);
        });
    }
}

fn deliver(shared: &Shared, fetch: &Fetch, outcome: Outcome) {
    let now = shared.clock.moment().now;
    {
        let mut world = shared.world();
        match fetch.asker {
            Asker::Head => {
                world.heads.insert(fetch.url.clone(), Some(outcome));
            }
            Asker::Task(key) => {
                let Some(task) = world.tasks.get_mut(key) else { return };
                if let Some(Work::Download(work)) = &mut task.work {
                    work.outcome = Some(outcome);
                    task.due_ms = now;
                }
            }
        }
    }
    shared.changed.notify_waiters();
}

/// Asks, following redirections.
async fn ask(fetch: &Fetch, seconds: i64) -> Outcome {
    let mut url = fetch.url.clone();
    let mut log = Vec::new();
    for _ in 0..REDIRECTIONS {
        let Some(parsed) = Url::parse(&url).filter(Url::is_loopback) else {
            return Outcome::failed(
                log,
                format!("wget: unable to resolve host address of '{url}'"),
            );
        };
        let (lines, connecting) = parsed.connecting();
        log.extend(lines);
        if parsed.tls && fetch.verify {
            // No certificate authority that a node knows signs loopback servers.
            log.push(format!("{connecting} connected."));
            let host = &parsed.host;
            return Outcome::failed(
                log,
                format!("ERROR: The certificate of '{host}' is not trusted."),
            );
        }
        let stream = match TcpStream::connect(parsed.address()).await {
            Ok(stream) => stream,
            Err(error) => {
                let text = match error.kind() {
                    std::io::ErrorKind::ConnectionRefused => "Connection refused".to_owned(),
                    _ => error.to_string(),
                };
                return Outcome::failed(log, format!("{connecting} failed: {text}."));
            }
        };
        log.push(format!("{connecting} connected."));
        let talked = if parsed.tls {
            match super::anycert::connect(stream).await {
                Ok(stream) => exchange(fetch, &parsed, stream, seconds, &mut log).await,
                Err(error) => Err(format!("OpenSSL: {error}")),
            }
        } else {
            exchange(fetch, &parsed, stream, seconds, &mut log).await
        };
        match talked {
            Ok(Answered::Whole(outcome)) => return Outcome { log, ..*outcome },
            Ok(Answered::Elsewhere(next)) => url = next,
            Err(error) => return Outcome::failed(log, error),
        }
    }
    Outcome::failed(log, format!("{REDIRECTIONS} redirections exceeded."))
}

enum Answered {
    Whole(Box<Outcome>),
    /// A redirection.
    Elsewhere(String),
}

async fn exchange(
    fetch: &Fetch,
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    seconds: i64,
    log: &mut Vec<String>,
) -> Result<Answered, String> {
    let broken = |_: hyper::Error| "No data received.".to_owned();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let method = if fetch.asker == Asker::Head { "HEAD" } else { "GET" };
    let request = hyper::Request::builder()
        .method(method)
        .uri(&url.path)
        .header(header::HOST, format!("{}:{}", url.host, url.port))
        .header(header::USER_AGENT, "Wget/1.25.0")
        .body(Empty::<Bytes>::new())
        .map_err(|_| "invalid URL".to_owned())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let (head, mut body) = response.into_parts();
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let status = head.status.as_u16();
    let line = format!("{status} {}", reason(status));
    if head.status.is_redirection()
        && let Some(location) = text(header::LOCATION)
    {
        log.push(format!("HTTP request sent, awaiting response... {line}"));
        log.push(format!("Location: {location} [following]"));
        let next = match location.starts_with('/') {
            true => {
                let scheme = if url.tls { "https" } else { "http" };
                format!("{scheme}://{}:{}{location}", url.host, url.port)
            }
            false => location.to_owned(),
        };
        return Ok(Answered::Elsewhere(next));
    }
    if !head.status.is_success() {
        log.push(format!("HTTP request sent, awaiting response... {line}"));
        return Err(format!("{} ERROR {status}: {}.", stamp(seconds), reason(status)));
    }
    let mimetype = text(header::CONTENT_TYPE).unwrap_or("application/octet-stream").to_owned();
    let filename = text(header::CONTENT_DISPOSITION).and_then(disposition);
    let length = text(header::CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
    let mut algorithms = vec!["sha256"];
    algorithms.extend(
        ALGORITHMS
            .iter()
            .filter(|name| fetch.algorithm.as_deref() == Some(**name) && **name != "sha256"),
    );
    let mut probe = Probe::with(&algorithms);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("Read error ({error}) in headers."))?;
        if let Ok(bytes) = frame.into_data() {
            probe.feed(&bytes);
        }
    }
    let mut file = probe.finish();
    if fetch.asker == Asker::Head {
        file.size = length.unwrap_or(0);
    }
    log.extend(saved(&line, file.size, &mimetype, "file", seconds));
    let outcome = Outcome { file: Some(file), mimetype, filename, ..Outcome::default() };
    Ok(Answered::Whole(Box::new(outcome)))
}

/// The file name of a `Content-Disposition`.
fn disposition(value: &str) -> Option<String> {
    let (_, rest) = value.split_once("filename=")?;
    let name = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split(';').next(),
    };
    name.map(str::to_owned)
}
