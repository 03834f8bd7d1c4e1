//! `wget` and `curl`: HTTP to loopback is really done, other hosts are not found.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes as Body;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::super::Shell;
use super::super::io::Io;
use super::Flags;
use crate::shell::fs::spool::Spool;

/// Why nothing came.
enum Failed {
    /// Not a loopback address.
    Host,
    Connect,
    /// Not `http://`.
    Scheme,
}

struct Answer {
    status: u16,
    head: String,
    location: Option<String>,
    body: Spool,
}

/// Host, port and path of an URL.
fn parts(url: &str) -> Result<(String, u16, String), Failed> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(("https", rest)) => {
            let host = rest.split(['/', ':']).next().unwrap_or_default();
            return Err(if is_loopback(host) { Failed::Connect } else { Failed::Host });
        }
        Some(_) => return Err(Failed::Scheme),
        None => url,
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => {
            (host, port.parse().map_err(|_| Failed::Scheme)?)
        }
        _ => (authority, 80),
    };
    Ok((host.to_owned(), port, path.to_owned()))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

struct Query<'a> {
    method: &'a str,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

async fn once(url: &str, query: &Query<'_>) -> Result<Answer, Failed> {
    let (host, port, path) = parts(url)?;
    if !is_loopback(&host) {
        return Err(Failed::Host);
    }
    let address = host.trim_matches(['[', ']']).to_owned();
    let connect = TcpStream::connect((address.as_str(), port));
    let stream = tokio::time::timeout(Duration::from_secs(10), connect).await;
    let stream = stream.map_err(|_| Failed::Connect)?.map_err(|_| Failed::Connect)?;
    let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|_| Failed::Connect)?;
    let connection = tokio::spawn(connection);
    let mut request = hyper::Request::builder()
        .method(query.method)
        .uri(path)
        .header("host", format!("{host}:{port}"))
        .header("accept", "*/*")
        .header("user-agent", "pvx-sim");
    for (name, value) in &query.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    let body = Full::new(Body::from(query.body.clone().unwrap_or_default()));
    let request = request.body(body).map_err(|_| Failed::Scheme)?;
    let answer = sender.send_request(request).await.map_err(|_| Failed::Connect)?;
    let (head, body) = answer.into_parts();
    let mut body = body;
    let mut spool = Spool::default();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Failed::Connect)?.into_data() {
            spool.push(&data);
        }
    }
    connection.abort();
    let text =
        |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let reason = head.status.canonical_reason().unwrap_or_default();
    let mut lines = format!("HTTP/1.1 {} {reason}\r\n", head.status.as_u16());
    for (name, value) in &head.headers {
        lines.push_str(&format!("{name}: {}\r\n", text(value)));
    }
    Ok(Answer {
        status: head.status.as_u16(),
        head: lines + "\r\n",
        location: head.headers.get("location").map(text),
        body: spool,
    })
}

async fn get(url: &str, query: &Query<'_>, follow: bool) -> Result<Answer, Failed> {
    let mut url = url.to_owned();
    for _ in 0..20 {
        let answer = once(&url, query).await?;
        match (&answer.location, answer.status) {
            (Some(to), 301..=308) if follow => {
                url = if to.starts_with('/') {
                    let (host, port, _) = parts(&url)?;
                    format!("http://{host}:{port}{to}")
                } else {
                    to.clone()
                };
            }
            _ => return Ok(answer),
        }
    }
    Err(Failed::Connect)
}

fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', ':']).next().unwrap_or(rest).to_owned()
}

fn file_name(url: &str) -> String {
    let path = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => name.to_owned(),
        _ => "index.html".to_owned(),
    }
}

impl Shell {
    pub(super) async fn fetch_command(&mut self, name: &str, words: &[String], io: &Io) -> i32 {
        if name == "wget" { self.wget(words, io).await } else { self.curl(words, io).await }
    }

    fn keep(&self, file: &str, spool: Spool, io: &Io) -> bool {
        if file == "-" {
            let bytes = spool.whole();
            io.out.write(bytes.as_deref().unwrap_or_default());
            return bytes.is_some();
        }
        let path = self.path(file);
        self.fs(|fs| fs.write(&path, spool.finish())).is_ok()
    }

    async fn wget(&self, words: &[String], io: &Io) -> i32 {
        let words: Vec<String> = words
            .iter()
            .flat_map(|word| match word.split_once('=') {
                Some(("--output-document", file)) => vec!["-O".to_owned(), file.to_owned()],
                Some(("--directory-prefix", folder)) => vec!["-P".to_owned(), folder.to_owned()],
                _ if word == "--output-document" => vec!["-O".to_owned()],
                _ => vec![word.clone()],
            })
            .collect();
        let flags = Flags::of(&words, "OPtTU");
        let quiet = flags.has('q') || flags.long("quiet");
        let spider = flags.long("spider");
        let mut status = 0;
        if flags.words.is_empty() {
            io.err.line("wget: missing URL\nUsage: wget [OPTION]... [URL]...");
            return 1;
        }
        for url in &flags.words {
            let file = match (flags.value('O'), flags.value('P')) {
                (Some(file), _) => file.to_owned(),
                (None, Some(folder)) => format!("{folder}/{}", file_name(url)),
                (None, None) => file_name(url),
            };
            // The file is opened before anything is asked for.
            if flags.value('O').is_some() && file != "-" && !self.keep(&file, Spool::default(), io)
            {
                io.err.line(&format!("{file}: No such file or directory"));
                return 1;
            }
            let query = Query { method: "GET", headers: Vec::new(), body: None };
            let (code, text) = match get(url, &query, true).await {
                Ok(answer) if answer.status < 400 => {
                    if !spider && !self.keep(&file, answer.body, io) {
                        (3, format!("{file}: No such file or directory"))
                    } else if quiet || flags.has('n') {
                        continue;
                    } else {
                        (0, format!("‘{file}’ saved"))
                    }
                }
                Ok(answer) => (8, format!("ERROR {}.", answer.status)),
                Err(Failed::Host) => {
                    let host = host_of(url);
                    (4, format!("wget: unable to resolve host address ‘{host}’"))
                }
                Err(Failed::Connect) => {
                    (4, format!("Connecting to {}... failed: Connection refused.", host_of(url)))
                }
                Err(Failed::Scheme) => (1, format!("{url}: Unsupported scheme.")),
            };
            if !quiet {
                io.err.line(&text);
            }
            status = code;
        }
        status
    }

    async fn curl(&self, words: &[String], io: &Io) -> i32 {
        let Some(options) = Curl::parse(words) else {
            io.err.line("curl: (2) no URL specified");
            return 2;
        };
        let query = Query {
            method: &options.method,
            headers: options.headers.clone(),
            body: options.data.clone(),
        };
        let speak = !options.silent || options.show;
        let say = |code: i32, text: &str| {
            if speak {
                io.err.line(&format!("curl: ({code}) {text}"));
            }
            code
        };
        let answer = match get(&options.url, &query, options.follow).await {
            Ok(answer) => answer,
            Err(Failed::Host) => {
                return say(6, &format!("Could not resolve host: {}", host_of(&options.url)));
            }
            Err(Failed::Connect) => {
                return say(
                    7,
                    &format!(
                        "Failed to connect to {}: Could not connect to server",
                        host_of(&options.url)
                    ),
                );
            }
            Err(Failed::Scheme) => return say(1, "Protocol not supported"),
        };
        if options.fail && answer.status >= 400 {
            return say(22, &format!("The requested URL returned error: {}", answer.status));
        }
        let bytes = match (options.head, options.include) {
            (true, _) => Spool::from(answer.head.into_bytes()),
            (false, false) => answer.body,
            (false, true) => {
                let body = answer.body.whole().unwrap_or_default();
                Spool::from([answer.head.as_bytes(), body.as_slice()].concat())
            }
        };
        match &options.output {
            Some(file) if file == "/dev/null" => {}
            Some(file) => {
                if !self.keep(file, bytes, io) {
                    return say(
                        23,
                        &format!("Failed to open the file {file}: No such file or directory"),
                    );
                }
            }
            None => {
                self.keep("-", bytes, io);
            }
        }
        if let Some(format) = &options.format {
            let text = format.replace("%{http_code}", &format!("{:03}", answer.status));
            io.out.text(&super::printf::unescape(&text));
        }
        0
    }
}

#[derive(Default)]
struct Curl {
    url: String,
    method: String,
    output: Option<String>,
    headers: Vec<(String, String)>,
    data: Option<String>,
    format: Option<String>,
    fail: bool,
    silent: bool,
    show: bool,
    follow: bool,
    head: bool,
    include: bool,
}

impl Curl {
    fn parse(words: &[String]) -> Option<Self> {
        let mut curl = Self { method: "GET".to_owned(), ..Self::default() };
        let mut remote = false;
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            if let Some(letters) =
                word.strip_prefix('-').filter(|rest| !rest.starts_with('-') && !rest.is_empty())
            {
                for (at, letter) in letters.char_indices() {
                    let attached = letters.get(at + 1..).unwrap_or_default().to_owned();
                    if !"oXHdwumA".contains(letter) {
                        remote |= letter == 'O';
                        curl.flag(letter);
                        continue;
                    }
                    let value = if attached.is_empty() { rest.next()?.clone() } else { attached };
                    curl.value(letter, value);
                    break;
                }
                continue;
            }
            match word.as_str() {
                "--fail" => curl.flag('f'),
                "--silent" => curl.flag('s'),
                "--show-error" => curl.flag('S'),
                "--location" => curl.flag('L'),
                "--head" => curl.flag('I'),
                "--include" => curl.flag('i'),
                "--remote-name" => remote = true,
                "--output" => curl.value('o', rest.next()?.clone()),
                "--request" => curl.value('X', rest.next()?.clone()),
                "--header" => curl.value('H', rest.next()?.clone()),
                "--data" | "--data-raw" => curl.value('d', rest.next()?.clone()),
                "--write-out" => curl.value('w', rest.next()?.clone()),
                "--max-time" | "--retry" | "--connect-timeout" | "--retry-delay" => {
                    rest.next();
                }
                other if other.starts_with("--") => {}
                url => url.clone_into(&mut curl.url),
            }
        }
        if remote {
            curl.output = Some(file_name(&curl.url));
        }
        (!curl.url.is_empty()).then_some(curl)
    }

    fn flag(&mut self, letter: char) {
        match letter {
            'f' => self.fail = true,
            's' => self.silent = true,
            'S' => self.show = true,
            'L' => self.follow = true,
            'i' => self.include = true,
            'I' => {
                self.head = true;
                "HEAD".clone_into(&mut self.method);
            }
            _ => {}
        }
    }

    fn value(&mut self, letter: char, value: String) {
        match letter {
            'o' => self.output = Some(value),
            'X' => self.method = value,
            'H' => {
                if let Some((name, value)) = value.split_once(':') {
                    self.headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
            'd' => {
                if self.method == "GET" {
                    "POST".clone_into(&mut self.method);
                    self.headers.push((
                        "content-type".to_owned(),
                        "application/x-www-form-urlencoded".to_owned(),
                    ));
                }
                self.data = Some(value);
            }
            'w' => self.format = Some(value),
            _ => {}
        }
    }
}
