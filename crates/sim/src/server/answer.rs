//! Answers as `PVE::APIServer::AnyEvent::response` and its formatters write them.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::ext::ReasonPhrase;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::compress::{self, Encoding};
use crate::api::call::{Data, Reply};
use crate::api::refusal::Refusal;

/// The shape of answers, by the word after `/api2/` (`PVE::APIServer::Formatter::Standard`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `json`: errors have their own status.
    Json,
    /// `extjs`: errors have status 200 and `success: 0`.
    ExtJs,
    /// `htmljs`: as `extjs`, escaped, as a page.
    HtmlJs,
}

impl Shape {
    /// None for the formats that only the web interface's own pages ask for.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "extjs" => Self::ExtJs,
            "htmljs" => Self::HtmlJs,
            _ => return None,
        })
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Json | Self::ExtJs => "application/json;charset=UTF-8",
            Self::HtmlJs => "text/html;charset=UTF-8",
        }
    }
}

/// An answer before it is written.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Empty for the usual words of the status.
    pub(crate) reason: String,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// What `error` sends: the message is the reason, its first line, and the body.
    pub(crate) fn text(status: u16, text: impl Into<String>) -> Self {
        let text = text.into();
        let reason = text.lines().next().unwrap_or_default().to_owned();
        Self { status, reason, content_type: None, location: None, body: text.into_bytes() }
    }

    /// What the API found out.
    pub(crate) fn of(shape: Shape, result: &Result<Reply, Refusal>) -> Self {
        if let Ok(Reply { data: Data::File(bytes), .. }) = result {
            return Self {
                status: 200,
                reason: String::new(),
                content_type: Some("text/plain"),
                location: None,
                body: bytes.clone(),
            };
        }
        let (status, reason, body) = match result {
            Ok(reply) => (200, String::new(), success(reply, shape)),
            Err(Refusal::Bare { status, reason }) => {
                return Self {
                    status: *status,
                    reason: reason.clone(),
                    content_type: None,
                    location: None,
                    body: Vec::new(),
                };
            }
            Err(Refusal::Text { status, text }) => return Self::text(*status, text.clone()),
            Err(refusal) if shape == Shape::Json => {
                (refusal.status(), refusal.reason(), failure(refusal))
            }
            Err(refusal) => (200, String::new(), failure_extjs(refusal)),
        };
        let body = if shape == Shape::HtmlJs { escape(&body) } else { body };
        Self { status, reason, content_type: Some(shape.content_type()), location: None, body }
    }

    /// The response, and the bytes of its body before compression. `keep` is false when the
    /// connection ends here; it ends after every error in any case.
    pub(crate) fn write(self, encoding: Encoding, keep: bool) -> (Response<Full<Bytes>>, u64) {
        let size = self.body.len() as u64;
        let (body, encoded) = compress::body(self.body, encoding);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let phrase = ReasonPhrase::try_from(self.reason.into_bytes()).ok();
        if let Some(phrase) = phrase.filter(|phrase| !phrase.as_bytes().is_empty()) {
            response.extensions_mut().insert(phrase);
        }
        let headers = response.headers_mut();
        let mut set = |name: HeaderName, value: &'static str| {
            headers.insert(name, HeaderValue::from_static(value));
        };
        if let Some(kind) = self.content_type {
            set(header::CONTENT_TYPE, kind);
        }
        if let Some(encoded) = encoded {
            set(header::CONTENT_ENCODING, encoded);
        }
        set(header::CACHE_CONTROL, "max-age=0");
        set(header::PRAGMA, "no-cache");
        set(header::SERVER, "pve-api-daemon/3.0");
        let keep = keep && self.status < 400;
        set(header::CONNECTION, if keep { "Keep-Alive" } else { "close" });
        let location = self.location.and_then(|location| HeaderValue::try_from(location).ok());
        if let Some(location) = location {
            headers.insert(header::LOCATION, location);
        }
        (response, size)
    }
}

/// The compression that a client takes.
pub(crate) fn accepted(headers: &HeaderMap) -> Encoding {
    let value = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    Encoding::accepted(value.unwrap_or_default())
}

fn success(reply: &Reply, shape: Shape) -> Vec<u8> {
    let mut body = b"{\"data\":".to_vec();
    match &reply.data {
        // Writing a value into memory does not fail.
        Data::Value(value) => serde_json::to_writer(&mut body, value).unwrap_or_default(),
        Data::Text(text) | Data::File(text) => {
            body.reserve_exact(text.len() + 1);
            body.extend_from_slice(text);
        }
    }
    // A total of none is false in Perl.
    if let Some(total) = reply.total.filter(|total| *total > 0) {
        body.extend_from_slice(format!(",\"total\":{total}").as_bytes());
    }
    if shape != Shape::Json {
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

/// As `HTML::Entities::encode_entities` does for ASCII.
fn escape(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out.into_bytes()
}
