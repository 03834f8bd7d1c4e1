//! Servers in processes of their own, so that their memory and start can be measured: this binary
//! again, told by its environment what to serve.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use pvx_sim::{Options, Sim, TimeScale, World};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use crate::Failure;
use crate::client::Server;

/// Names what a child serves: `lab`, `bare`, or the file of a world.
pub(crate) const WHAT: &str = "PVX_BENCH_SERVES";

/// A server in a process of its own, which ends with this.
pub(crate) struct Served {
    child: Child,
    pub(crate) server: Server,
    /// From the start of the process until it said that it answers.
    pub(crate) start: Duration,
    /// How much of that was spent on reading the world.
    pub(crate) load: Duration,
}

impl Served {
    pub(crate) fn start(what: &str) -> Result<Self, Failure> {
        let began = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .env(WHAT, what)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let start = began.elapsed();
        let told: Value = serde_json::from_str(&line)?;
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or_default();
        let server = Server::new(text("address").parse()?, text("token"), text("ca"))?;
        let load = told.get("load_us").and_then(Value::as_u64).unwrap_or(0);
        Ok(Self { child, server, start, load: Duration::from_micros(load) })
    }

    /// Its resident memory now and at its highest, in MiB.
    pub(crate) fn memory(&self) -> Result<(f64, f64), Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = |name: &str| -> f64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next());
            kib.and_then(|kib| kib.parse().ok()).unwrap_or(f64::NAN) / 1024.0
        };
        Ok((value("VmRSS:"), value("VmHWM:")))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The child: serves until its input ends.
#[tokio::main]
pub(crate) async fn serve(what: &str) -> Result<(), Failure> {
    if what == "bare" {
        return bare().await;
    }
    let began = Instant::now();
    let world = match World::builtin(what) {
        Some(world) => world,
        None => World::load(Path::new(what))?,
    };
    let load = began.elapsed();
    let options = Options { time_scale: TimeScale::INSTANT, ..Options::default() };
    let sim = Sim::start(world, options).await?;
    let (id, secret) = sim.token();
    ready(&sim.addr().to_string(), &format!("{id}={secret}"), &sim.ca_pem(), load).await
}

async fn ready(address: &str, token: &str, ca: &str, load: Duration) -> Result<(), Failure> {
    let load_us = u64::try_from(load.as_micros())?;
    let told = json!({ "address": address, "token": token, "ca": ca, "load_us": load_us });
    writeln!(std::io::stdout(), "{told}")?;
    let wait = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(wait).await??;
    Ok(())
}

/// The lower bound: nothing but hyper and rustls. `/N` is answered with N bytes; connections end
/// after as many requests as the simulator's.
async fn bare() -> Result<(), Failure> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
    let certificate = CertificateDer::from_pem_slice(made.cert.pem().as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let tls = tls.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(stream) = tls.accept(stream).await else { return };
                let count = AtomicU32::new(0);
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let last = count.fetch_add(1, Ordering::Relaxed) == 99;
                    async move { Ok::<_, Infallible>(constant(&request, last)) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    ready(&address, "", &made.cert.pem(), Duration::ZERO).await
}

fn constant(request: &Request<Incoming>, last: bool) -> Response<Full<Bytes>> {
    let size = request.uri().path().trim_start_matches('/').parse().unwrap_or(0);
    let mut response = Response::new(Full::new(Bytes::from(vec![b'x'; size])));
    if last {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
