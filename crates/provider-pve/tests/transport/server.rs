//! A small HTTPS server on loopback whose answers are written byte by byte.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pvx_provider_pve::client::{
    Client, ClientOptions, Endpoint, Fingerprint, RetryOptions, TlsTrust,
};
use pvx_provider_pve::credentials::ApiToken;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

pub(crate) const SECRET: &str = "5eC4e7aa-0bad-4333-8444-555566667777";

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// How many came before it.
    pub(crate) nth: usize,
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// What the server does with a request.
pub(crate) enum Reply {
    /// An answer with a body.
    Answer(u16, &'static str, String),
    /// These bytes, and then the connection is closed.
    Raw(&'static str),
    /// The connection is closed without a word.
    Drop,
    /// Nothing, ever.
    Silence,
}

pub(crate) fn data(json: &serde_json::Value) -> Reply {
    Reply::Answer(200, "OK", serde_json::json!({ "data": json }).to_string())
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) certificate: CertificateDer<'static>,
    seen: Arc<Mutex<Vec<Seen>>>,
    serves: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A certificate and its key for these names.
pub(crate) fn self_signed(names: &[&str]) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (certificate.der().clone(), PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(self_signed(&["127.0.0.1"]), reply).await
    }

    pub(crate) async fn start_with(
        (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
        reply: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let reply = Arc::new(reply);
        let serves = Arc::new(AtomicBool::new(true));
        let is_up = Arc::clone(&serves);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if !is_up.load(Ordering::Relaxed) {
                    continue;
                }
                let (acceptor, log, reply) =
                    (acceptor.clone(), Arc::clone(&log), Arc::clone(&reply));
                tokio::spawn(async move { serve(stream, acceptor, log, &*reply).await });
            }
        });
        Self { port, certificate, seen, serves, task }
    }

    /// Whether new connections are served, or closed before TLS begins.
    pub(crate) fn serve(&self, serves: bool) {
        self.serves.store(serves, Ordering::Relaxed);
    }

    /// A server that closes every connection before TLS begins.
    pub(crate) async fn dead() -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { while listener.accept().await.is_ok() {} });
        Endpoint { node: None, host: "127.0.0.1".to_owned(), port }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { node: None, host: "127.0.0.1".to_owned(), port: self.port }
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A client of this server alone.
    pub(crate) fn client(&self) -> Client {
        Client::new(options(
            vec![self.endpoint()],
            TlsTrust::Fingerprints(vec![self.fingerprint()]),
        ))
        .unwrap()
    }
}

pub(crate) fn token() -> ApiToken {
    ApiToken::new("pvx@pve!cli", SECRET.into()).unwrap()
}

/// Options with pauses and time-outs that suit a test.
pub(crate) fn options(endpoints: Vec<Endpoint>, trust: TlsTrust) -> ClientOptions {
    let mut options = ClientOptions::new(endpoints, trust, token());
    options.retry = RetryOptions { first_pause: Duration::ZERO, ..RetryOptions::default() };
    options
}

async fn serve(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    log: Arc<Mutex<Vec<Seen>>>,
    reply: &(impl Fn(&Seen) -> Reply + Send + Sync),
) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    while let Some(mut seen) = read(&mut stream).await {
        {
            let mut log = log.lock().unwrap();
            seen.nth = log.len();
            log.push(seen.clone());
        }
        match reply(&seen) {
            Reply::Answer(status, phrase, body) => {
                let length = body.len();
                let text =
                    format!("HTTP/1.1 {status} {phrase}\r\nContent-Length: {length}\r\n\r\n{body}");
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
            Reply::Raw(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                return;
            }
            Reply::Drop => return,
            Reply::Silence => std::future::pending::<()>().await,
        }
    }
}

/// One request, or `None` when the client has gone.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head
        .lines()
        .find_map(|l| l.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    Some(Seen {
        nth: 0,
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        body: String::from_utf8(body).unwrap(),
        head,
    })
}
