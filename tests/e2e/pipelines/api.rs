//! As much of a forge's REST API as comments need, on loopback: one request, which has number 1, and
//! its comments.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::forge::Forge;

/// The token that may read and write comments.
pub(crate) const TOKEN: &str = "canary-of-the-forge-4d3c2b1a";
/// The token of a run that may only read.
pub(crate) const READ_ONLY: &str = "canary-of-the-forge-read-only";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
}

struct State {
    forge: Forge,
    comments: Vec<Comment>,
    /// Method and path of all requests.
    requests: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct Api {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    token: String,
    body: Value,
}

impl Api {
    /// Serves until the test's process ends.
    pub(crate) fn start(forge: Forge, comments: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let numbered = comments.iter().zip(11..);
        let comments = numbered
            .map(|((author, body), id)| Comment {
                id,
                author: (*author).to_owned(),
                body: (*body).to_owned(),
            })
            .collect();
        let state = Arc::new(Mutex::new(State { forge, comments, requests: Vec::new() }));
        let api = Self { address, state };
        let served = api.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                served.serve(&stream);
            }
        });
        api
    }

    pub(crate) fn url(&self) -> String {
        let state = self.state.lock().unwrap();
        format!("http://{}{}", self.address, state.forge.api_prefix())
    }

    pub(crate) fn comments(&self) -> Vec<Comment> {
        self.state.lock().unwrap().comments.clone()
    }

    /// Method and path of the requests since the last look.
    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    fn serve(&self, stream: &TcpStream) {
        let request = read(stream);
        let (status, body) = self.state.lock().unwrap().answer(&request);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            body.len()
        );
        let mut stream = stream;
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    }
}

fn read(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let (mut length, mut token, mut waits) = (0, String::new(), false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" | "private-token" => token = format!("{name}: {value}"),
            "expect" => waits = true,
            _ => {}
        }
    }
    if waits {
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        token,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    }
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        self.requests.push(format!("{} {}", request.method, request.path));
        let forge = self.forge;
        let may_write = request.token == forge.header(TOKEN);
        if !may_write && request.token != forge.header(READ_ONLY) {
            return (401, json!({ "message": "Unauthorized" }));
        }
        let Some(path) = request.path.strip_prefix(forge.api_prefix()) else {
            return (404, json!({ "message": "Not Found" }));
        };
        let one = path.strip_prefix(forge.comment_path()).and_then(|id| id.parse().ok());
        match (request.method.as_str(), one) {
            ("GET", _) if path == forge.comments_path() => (200, self.list(&request.query)),
            ("GET", _) if forge == Forge::GitLab && path == "/user" => {
                (200, forge.author(forge.bot()))
            }
            ("POST", _) if path == forge.comments_path() => {
                if !may_write {
                    return (403, json!({ "message": "Resource not accessible by integration" }));
                }
                let id = 100 + self.comments.len() as u64;
                self.write(request, id)
            }
            (method, Some(id)) if method == forge.update_method() => self.write(request, id),
            _ => (404, json!({ "message": "Not Found" })),
        }
    }

    /// A page of comments, oldest first; as long as it was asked for.
    fn list(&self, query: &str) -> Value {
        let asked = query.split('&').find_map(|pair| pair.strip_prefix("per_page="));
        let length = match (asked, self.forge) {
            (Some(asked), _) => asked.parse().unwrap(),
            (None, Forge::Forgejo) => usize::MAX,
            (None, _) => 20,
        };
        let page = self.comments.iter().take(length);
        page.map(|comment| self.forge.comment(comment)).collect()
    }

    /// Writes a comment of the bot, new or again. Those of others stay as they are.
    fn write(&mut self, request: &Request, id: u64) -> (u16, Value) {
        let Some(body) = request.body["body"].as_str().filter(|body| !body.is_empty()) else {
            return (422, json!({ "message": "body is missing" }));
        };
        let bot = self.forge.bot();
        let author = bot.to_owned();
        match self.comments.iter_mut().find(|comment| comment.id == id) {
            Some(comment) if comment.author == bot => body.clone_into(&mut comment.body),
            Some(_) => return (403, json!({ "message": "not yours" })),
            None if request.method == "POST" => {
                self.comments.push(Comment { id, author, body: body.to_owned() });
            }
            None => return (404, json!({ "message": "Not Found" })),
        }
        (if request.method == "POST" { 201 } else { 200 }, json!({ "id": id }))
    }
}
