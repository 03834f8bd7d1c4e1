//! A minimal HTTPS client of the tests' own: one request per connection.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part")]

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// An answer as it came over the wire.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    pub body: Value,
}

/// Who calls.
#[derive(Clone, Debug, Default)]
pub struct Who {
    pub headers: Vec<(String, String)>,
}

impl Who {
    pub fn token(id: &str, secret: &str) -> Self {
        let value = format!("PVEAPIToken={id}={secret}");
        Self { headers: vec![("Authorization".to_owned(), value)] }
    }
}

/// A client of one server.
pub struct Client {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything))
            .with_no_client_auth();
        Self { address, tls: TlsConnector::from(Arc::new(config)) }
    }

    /// A request with parameters as a form or, without a body, in the query.
    pub async fn call(
        &self,
        who: &Who,
        method: &str,
        path: &str,
        params: &[(&str, &str)],
    ) -> Answer {
        let pairs: Vec<String> = params
            .iter()
            .map(|(key, value)| format!("{}={}", encode(key), encode(value)))
            .collect();
        let form = pairs.join("&");
        if matches!(method, "POST" | "PUT") {
            self.raw(who, method, path, "application/x-www-form-urlencoded", &form).await
        } else if form.is_empty() {
            self.raw(who, method, path, "", "").await
        } else {
            self.raw(who, method, &format!("{path}?{form}"), "", "").await
        }
    }

    /// A request with a body as it is.
    pub async fn raw(&self, who: &Who, method: &str, path: &str, kind: &str, body: &str) -> Answer {
        self.answered(who, method, path, kind, body).await.unwrap()
    }

    /// The same; none when the connection was closed without an answer.
    pub async fn answered(
        &self,
        who: &Who,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Option<Answer> {
        let whole = path.starts_with("/api2/") || path.starts_with("/sim");
        let target = if whole { path.to_owned() } else { format!("/api2/json{path}") };
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in &who.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !kind.is_empty() {
            head.push_str(&format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.push_str(body);
        let bytes = self.exchange(&head).await;
        (!bytes.is_empty()).then(|| parse(&bytes))
    }

    /// What comes back for a text over one connection, until it is closed.
    pub async fn exchange(&self, text: impl AsRef<[u8]>) -> Vec<u8> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = self.tls.connect(name, stream).await.unwrap();
        stream.write_all(text.as_ref()).await.unwrap();
        let mut bytes = Vec::new();
        // A close without close_notify is how some servers end; the length is checked by JSON.
        let _ = stream.read_to_end(&mut bytes).await;
        bytes
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let line = head.lines().next().unwrap();
    let mut parts = line.splitn(3, ' ').skip(1);
    let status = parts.next().unwrap().parse().unwrap();
    let reason = parts.next().unwrap_or_default().to_owned();
    Answer { status, reason, body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Waits for a task; its status.
pub async fn wait_task(client: &Client, who: &Who, upid: &str) -> Value {
    let node = upid.split(':').nth(1).unwrap();
    let path = format!("/nodes/{node}/tasks/{}/status", encode(upid));
    for _ in 0..5000 {
        let answer = client.call(who, "GET", &path, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.body["data"]["status"] == "stopped" {
            return answer.body["data"].clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    panic!("{upid} does not end");
}

/// Accepts any certificate: loopback.
#[derive(Debug)]
struct Anything;

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
