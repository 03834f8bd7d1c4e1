//! A client of the benchmark's own: kept-alive connections, made again when the server ends them,
//! with TLS sessions resumed. It does as little as it can, since it shares the processors.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::Failure;

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Where a server is and how to talk to it.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) authorization: String,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Server {
    pub(crate) fn new(address: SocketAddr, token: &str, ca: &str) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let authorization = format!("PVEAPIToken={token}");
        Ok(Self { address, authorization, tls: Arc::new(tls) })
    }

    pub(crate) fn connect(&self) -> Client {
        Client { server: self.clone(), stream: None, buffer: Vec::new(), tally: Tally::default() }
    }
}

/// What a client did.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// Microseconds of every request.
    pub(crate) micros: Vec<u32>,
    /// Bytes of all answers' bodies.
    pub(crate) bytes: u64,
    pub(crate) handshakes: u64,
    pub(crate) resumed: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.micros.extend(other.micros);
        self.bytes += other.bytes;
        self.handshakes += other.handshakes;
        self.resumed += other.resumed;
    }

    pub(crate) fn requests(&self) -> usize {
        self.micros.len()
    }

    /// Microseconds below which so many hundredths of the requests are.
    pub(crate) fn percentile(&mut self, hundredths: usize) -> u32 {
        self.micros.sort_unstable();
        let at = self.micros.len().saturating_sub(1) * hundredths / 100;
        self.micros.get(at).copied().unwrap_or(0)
    }
}

/// One connection at a time.
pub(crate) struct Client {
    server: Server,
    stream: Option<Stream>,
    buffer: Vec<u8>,
    pub(crate) tally: Tally,
}

impl Client {
    /// A request without a body; the body of its answer.
    pub(crate) fn get(&mut self, target: &str) -> Result<&[u8], Failure> {
        self.send("GET", target, "")
    }

    /// A request; an answer that is no 200 is an error.
    pub(crate) fn send(
        &mut self,
        method: &str,
        target: &str,
        form: &str,
    ) -> Result<&[u8], Failure> {
        let began = Instant::now();
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\n",
            self.server.authorization
        );
        if method != "GET" {
            let length = form.len();
            request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            request.push_str(&format!("Content-Length: {length}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(form);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.open()?,
        };
        stream.write_all(request.as_bytes())?;
        let (start, length, last) = read_answer(&mut stream, &mut self.buffer)?;
        if last {
            let _ = stream.sock.shutdown(std::net::Shutdown::Both);
        } else {
            self.stream = Some(stream);
        }
        let micros = began.elapsed().as_micros();
        self.tally.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
        self.tally.bytes += length as u64;
        let body = self.buffer.get(start..start + length).unwrap_or_default();
        if !self.buffer.starts_with(b"HTTP/1.1 200 ") {
            let text = String::from_utf8_lossy(&self.buffer);
            return Err(format!("{method} {target}: {text}").into());
        }
        Ok(body)
    }

    fn open(&mut self) -> Result<Stream, Failure> {
        let socket = TcpStream::connect(self.server.address)?;
        socket.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        let tls = ClientConnection::new(Arc::clone(&self.server.tls), name)?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        self.tally.handshakes += 1;
        if stream.conn.handshake_kind() == Some(HandshakeKind::Resumed) {
            self.tally.resumed += 1;
        }
        Ok(stream)
    }
}

/// Reads one answer: where its body starts, how long it is, and whether the connection ends.
fn read_answer(stream: &mut Stream, buffer: &mut Vec<u8>) -> io::Result<(usize, usize, bool)> {
    buffer.clear();
    let mut chunk = [0; 16 * 1024];
    let mut found: Option<(usize, usize, bool)> = None;
    loop {
        if let Some((start, length, last)) = found
            && buffer.len() >= start + length
        {
            return Ok((start, length, last));
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if found.is_none()
            && let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default());
            let head = head.to_ascii_lowercase();
            let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            let length = value("content-length: ").and_then(|text| text.parse().ok());
            let last = value("connection: ") == Some("close");
            found = Some((end + 4, length.unwrap_or(0), last));
        }
    }
}

/// Reads from several connections at once, each target in turn, for so long: what was done, and
/// requests per second.
pub(crate) fn load(
    server: &Server,
    connections: usize,
    targets: &[String],
    time: Duration,
) -> Result<(Tally, f64), Failure> {
    let began = Instant::now();
    let mut all = Tally::default();
    let one = |number: usize| {
        let mut client = server.connect();
        for target in targets.iter().cycle().skip(number) {
            client.get(target).map_err(|error| error.to_string())?;
            if began.elapsed() >= time {
                break;
            }
        }
        Ok::<Tally, String>(client.tally)
    };
    let one = &one;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..connections).map(|number| scope.spawn(move || one(number))).collect();
        for thread in threads {
            all.add(thread.join().map_err(|_| "a client panicked")??);
        }
        Ok::<(), Failure>(())
    })?;
    let rate = all.requests() as f64 / began.elapsed().as_secs_f64();
    Ok((all, rate))
}
