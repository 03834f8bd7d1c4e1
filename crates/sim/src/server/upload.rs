//! Uploads: a multipart form whose file is looked at as it passes by, never kept whole
//! (`file_upload_multipart` of `PVE::APIServer::AnyEvent`).
//!
//! The real server reads the fields `content`, `checksum-algorithm`, `checksum` and the file, in
//! this order, with patterns that stop at the next `name=`: another order makes it take a piece of
//! the body for the disposition, die with a text of several lines, and answer 400 without body.

use http_body_util::BodyExt;
use hyper::body::Incoming;

use crate::api::params::Params;
use crate::api::refusal::Refusal;
use crate::storage::hash::ALGORITHMS;
use crate::storage::probe::{File, Probe};

/// The fields before the file, in their order.
const FIELDS: &[&str] = &["content", "checksum-algorithm", "checksum"];
/// The most bytes before the file (`rbuf_max`).
const HEAD_LIMIT: usize = 512 * 1024;
/// So much is read before the first look at it: what one read of the real server brings.
const FIRST_LOOK: usize = 16 * 1024;

/// What came: the parameters, and the file.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) params: Params,
    pub(crate) file: File,
    pub(crate) bytes: u64,
}

/// The boundary of a multipart form.
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let mut parts = content_type.split([';', ',']);
    if parts.next()?.trim() != "multipart/form-data" {
        return None;
    }
    let boundary = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "boundary").then(|| value.trim())
    })?;
    // Quotes are no part of it for any client; the real server would keep them.
    Some(boundary.trim_matches('"')).filter(|boundary| !boundary.is_empty())
}

fn died(text: &str, line: u32) -> Refusal {
    let text = format!("{text} at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line {line}.\n");
    Refusal::text_only(500, text)
}

/// A text of several lines whose first ends in CR: answered as the client's mistake.
fn bad_request() -> Refusal {
    Refusal::Bare { status: 400, reason: "Bad Request".to_owned() }
}

/// Reads a whole upload.
pub(crate) async fn read(body: Incoming, boundary: &str) -> Result<Upload, Refusal> {
    let mut reader = Reader::new(boundary);
    let mut body = body;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| died("upload failed", 1370))?;
        if let Ok(bytes) = frame.into_data() {
            reader.feed(&bytes)?;
        }
    }
    reader.finish()
}

/// The state between two pieces of the body.
struct Reader {
    /// `--BOUNDARY`.
    delimiter: Vec<u8>,
    /// What was read and not looked at.
    rest: Vec<u8>,
    params: Params,
    /// The file, once its part began.
    probe: Option<Probe>,
    /// The closing delimiter was seen.
    closed: bool,
    bytes: u64,
}

impl Reader {
    fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("--{boundary}").into_bytes(),
            rest: Vec::new(),
            params: Params::default(),
            probe: None,
            closed: false,
            bytes: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.bytes += bytes.len() as u64;
        if self.closed {
            return Ok(());
        }
        self.rest.extend_from_slice(bytes);
        if self.probe.is_none() {
            if self.rest.len() < FIRST_LOOK {
                return Ok(());
            }
            self.head()?;
            if self.probe.is_none() && self.rest.len() > HEAD_LIMIT {
                return Err(died("upload failed", 1370));
            }
        }
        self.data(false);
        Ok(())
    }

    fn finish(mut self) -> Result<Upload, Refusal> {
        if self.probe.is_none() {
            self.head()?;
        }
        self.data(true);
        match self.probe {
            Some(probe) if self.closed => {
                let mut file = probe.finish();
                file.bootable = false;
                Ok(Upload { params: self.params, file, bytes: self.bytes })
            }
            _ => Err(died("upload failed", 1370)),
        }
    }

    /// The fields before the file, and the head of the file's part.
    fn head(&mut self) -> Result<(), Refusal> {
        let text = String::from_utf8_lossy(&self.rest).into_owned();
        let delimiter = String::from_utf8_lossy(&self.delimiter).into_owned();
        let parts = parts(&text, &delimiter);
        let mut next = 0;
        for field in FIELDS {
            let later = parts.iter().skip(next).position(|part| part.name == *field);
            match later {
                // Only with a further part behind it is a field found.
                Some(0) if next + 1 < parts.len() => {
                    let value = parts.get(next).map(|part| part.value.trim().to_owned());
                    self.params.0.insert((*field).to_owned(), value.unwrap_or_default());
                    next += 1;
                }
                Some(at) if next + at + 1 < parts.len() => return Err(bad_request()),
                _ => {}
            }
        }
        let Some(file_at) = parts.iter().skip(next).position(|part| part.filename.is_some()) else {
            return Ok(());
        };
        if file_at > 0 {
            return Err(bad_request());
        }
        let Some(part) = parts.get(next) else { return Ok(()) };
        if part.name != "filename" {
            let text =
                format!("wrong field name '{}' for file upload, expected 'filename'", part.name);
            return Err(died(&text, 1325));
        }
        let Some(data_at) = part.data_at else { return Ok(()) };
        let filename = part.filename.unwrap_or_default().trim().to_owned();
        self.params.0.insert("filename".to_owned(), filename);
        // Positions in the text are those of the bytes only where those are UTF-8, as heads are.
        let lossless = std::str::from_utf8(self.rest.get(..data_at).unwrap_or_default()).is_ok();
        let start = if lossless { data_at } else { find(&self.rest, b"\r\n\r\n").unwrap_or(0) };
        self.rest.drain(..start.min(self.rest.len()));
        let mut algorithms = vec!["sha256"];
        let asked = self.params.get("checksum-algorithm").unwrap_or_default();
        algorithms.extend(ALGORITHMS.iter().filter(|name| **name == asked && **name != "sha256"));
        self.probe = Some(Probe::with(&algorithms));
        Ok(())
    }

    /// Passes on what surely belongs to the file.
    fn data(&mut self, last: bool) {
        let Some(probe) = &mut self.probe else { return };
        if self.closed {
            return;
        }
        let mut close = self.delimiter.clone();
        close.extend_from_slice(b"--");
        if let Some(end) = find(&self.rest, &close) {
            let data = self.rest.get(..end).unwrap_or_default();
            let data = data.strip_suffix(b"\n").unwrap_or(data);
            let data = data.strip_suffix(b"\r").unwrap_or(data);
            probe.feed(data);
            self.closed = true;
            self.rest.clear();
            return;
        }
        let keep = if last { 0 } else { close.len() + 2 };
        let sure = self.rest.len().saturating_sub(keep);
        probe.feed(self.rest.get(..sure).unwrap_or_default());
        self.rest.drain(..sure);
    }
}

/// A part of a form, as far as it is there.
struct Part<'a> {
    name: &'a str,
    filename: Option<&'a str>,
    value: &'a str,
    /// Where its data begins, when its head is whole.
    data_at: Option<usize>,
}

/// The parts after each delimiter that a line end follows; nothing behind the head of a file.
fn parts<'a>(text: &'a str, delimiter: &str) -> Vec<Part<'a>> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(delimiter)) {
        let start = at + found + delimiter.len();
        let Some(rest) = text.get(start..) else { break };
        at = start;
        let Some(rest) = rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')) else { continue };
        let begin = text.len() - rest.len();
        let end = rest.find(delimiter).unwrap_or(rest.len());
        let part = rest.get(..end).unwrap_or_default();
        let blank =
            part.find("\r\n\r\n").map(|at| (at, 4)).or_else(|| part.find("\n\n").map(|at| (at, 2)));
        let head = blank.map_or(part, |(at, _)| part.get(..at).unwrap_or_default());
        let quoted = |key: &str| {
            let from = head.find(key)? + key.len();
            head.get(from..)?.split('"').next()
        };
        let value = blank.and_then(|(at, length)| part.get(at + length..)).unwrap_or_default();
        out.push(Part {
            name: quoted("; name=\"").unwrap_or_default(),
            filename: quoted("; filename=\"").filter(|name| !name.is_empty()),
            value,
            data_at: blank.map(|(at, length)| begin + at + length),
        });
    }
    out
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = 0;
    while let Some(step) = bytes.get(at..)?.iter().position(|byte| *byte == first) {
        at += step;
        if bytes.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, value) in fields {
            let part = format!(
                "--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
            out.extend(part.as_bytes());
        }
        if let Some((name, bytes)) = file {
            let head = format!(
                "--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.iso\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            );
            out.extend(head.as_bytes());
            out.extend(bytes);
            out.extend(b"\r\n");
        }
        out.extend(b"--B--\r\n");
        out
    }

    fn run(body: &[u8], piece: usize) -> Result<Upload, Refusal> {
        let mut reader = Reader::new("B");
        for bytes in body.chunks(piece) {
            reader.feed(bytes)?;
        }
        reader.finish()
    }

    #[test]
    fn the_file_is_whole_in_pieces_of_any_size() {
        let content: Vec<u8> = (0..60_000_u32).flat_map(u32::to_le_bytes).collect();
        let sum = |bytes: &[u8]| {
            let mut hash = crate::storage::hash::Hash::new("md5").unwrap();
            hash.feed(bytes);
            hash.finish()
        };
        let fields = [("content", "iso"), ("checksum-algorithm", "md5"), ("checksum", "x")];
        let body = form(&fields, Some(("filename", &content)));
        for piece in [1, 7, 1000, 16_384, 1 << 20] {
            let upload = run(&body, piece).unwrap();
            assert_eq!(upload.file.size, content.len() as u64, "{piece}");
            assert_eq!(upload.file.checksums["md5"], sum(&content));
            assert_eq!(upload.params.get("filename"), Some("a.iso"));
            assert_eq!(upload.params.get("checksum"), Some("x"));
        }
    }

    #[test]
    fn what_the_patterns_of_the_real_server_make_of_other_forms() {
        let file = Some(("filename", &b"x"[..]));
        let ok = run(&form(&[("content", "iso")], file), 4096).unwrap();
        assert_eq!((ok.params.get("content"), ok.file.size), (Some("iso"), 1));
        let brief = |body: &[u8]| match run(body, 4096).unwrap_err() {
            Refusal::Bare { status, reason } => format!("{status} {reason}"),
            Refusal::Text { status, text } => format!("{status} {}", text.trim_end()),
            other => format!("{other:?}"),
        };
        let line = "at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line";
        for (body, expected) in [
            (
                form(&[("checksum", "1"), ("checksum-algorithm", "md5")], file),
                "400 Bad Request".to_owned(),
            ),
            (form(&[("checksum", "1"), ("content", "iso")], file), "400 Bad Request".to_owned()),
            (form(&[("content", "iso"), ("notes", "1")], file), "400 Bad Request".to_owned()),
            (
                form(&[("content", "iso")], Some(("file", b"x"))),
                format!(
                    "500 wrong field name 'file' for file upload, expected 'filename' {line} 1325."
                ),
            ),
            (form(&[("content", "iso")], None), format!("500 upload failed {line} 1370.")),
            (b"nothing".to_vec(), format!("500 upload failed {line} 1370.")),
        ] {
            assert_eq!(brief(&body), expected, "{}", String::from_utf8_lossy(&body));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_panics(
            pieces in proptest::collection::vec(0usize.., 0..14),
            noise in proptest::collection::vec(0u8.., 0..40),
            chunk in 1usize..40_000,
        ) {
            let long = vec![b'-'; 20_000];
            let known: [&[u8]; 16] = [
                b"--B", b"--B\r\n", b"--B\n", b"--B--", b"\r\n", b"\n\n", b"\r\n\r\n", b"\"",
                b"Content-Disposition: form-data; name=\"content\"\r\n\r\niso\r\n",
                b"Content-Disposition: form-data; name=\"checksum-algorithm\"\r\n\r\nmd5\r\n",
                b"Content-Disposition: form-data; name=\"filename\"; filename=\"\xc3\xa4.iso\"\r\n",
                b"; name=\"", b"; filename=\"", "ä".as_bytes(), &noise, &long,
            ];
            let body: Vec<u8> =
                pieces.iter().flat_map(|at| known[at % known.len()]).copied().collect();
            if let Ok(upload) = run(&body, chunk) {
                proptest::prop_assert_eq!(upload.bytes, body.len() as u64);
                proptest::prop_assert!(upload.file.size <= upload.bytes);
            }
        }
    }

    #[test]
    fn boundaries() {
        assert_eq!(boundary("multipart/form-data; boundary=abc"), Some("abc"));
        assert_eq!(boundary("multipart/form-data; boundary=\"a-b\""), Some("a-b"));
        assert_eq!(boundary("multipart/form-data"), None);
        assert_eq!(boundary("application/json; boundary=x"), None);
    }
}
