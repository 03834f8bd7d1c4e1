//! Fetching URLs: those of the world answer without a network, loopback ones are really asked, all
//! others fail as a node without a network fails. Log lines are those of `wget`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::storage::probe::{File, Image};
use crate::world::World;
use crate::world::urls::UrlAnswer;

/// Bytes that come in a millisecond (50 MiB/s).
const BYTES_PER_MS: u64 = 52_429;

/// What came of fetching.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) log: Vec<String>,
    pub(crate) error: Option<String>,
    pub(crate) file: Option<File>,
    pub(crate) mimetype: String,
    /// Of `Content-Disposition`.
    pub(crate) filename: Option<String>,
}

impl Outcome {
    pub(crate) fn failed(log: Vec<String>, error: impl Into<String>) -> Self {
        Self { log, error: Some(error.into()), ..Self::default() }
    }
}

/// Where the answer is.
pub(crate) enum Source {
    /// Here, after so many milliseconds.
    Known { outcome: Box<Outcome>, ms: i64 },
    /// On this machine: to be asked.
    Loopback,
}

/// `http://host:port/path` taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With query.
    pub(crate) path: String,
}

impl Url {
    /// None when it is no URL of http or https.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (tls, rest) = match text.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("http://")?),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, path) = rest.split_at(end);
        let place = place.rsplit('@').next().unwrap_or(place);
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let default = if tls { 443 } else { 80 };
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (place, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        (!host.is_empty()).then_some(Self { tls, host, port, path })
    }

    fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.ip().is_some_and(|ip| ip.is_loopback())
    }

    /// The address to connect to, on this machine.
    pub(crate) fn address(&self) -> std::net::SocketAddr {
        let ip = self.ip().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
        (ip, self.port).into()
    }

    /// The lines of `wget` until it connects: the last one without its end.
    pub(crate) fn connecting(&self) -> (Vec<String>, String) {
        if self.ip().is_some() {
            return (Vec::new(), format!("Connecting to {}:{}...", self.host, self.port));
        }
        let (host, ip) = (&self.host, if self.is_loopback() { "127.0.0.1" } else { "192.0.2.80" });
        let line = format!("Resolving {host} ({host})... {ip}");
        (vec![line], format!("Connecting to {host} ({host})|{ip}|:{}...", self.port))
    }
}

/// `2026-11-22 20:25:26`.
pub(crate) fn stamp(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The lines of a file that came.
pub(crate) fn saved(
    status: &str,
    size: u64,
    mimetype: &str,
    part: &str,
    seconds: i64,
) -> Vec<String> {
    let human = match size {
        0..1024 => String::new(),
        1024..1_048_576 => format!(" ({:.1}K)", size as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!(" ({:.1}M)", size as f64 / 1_048_576.0),
        _ => format!(" ({:.1}G)", size as f64 / 1_073_741_824.0),
    };
    vec![
        format!("HTTP request sent, awaiting response... {status}"),
        format!("Length: {size}{human} [{mimetype}]"),
        format!("Saving to: '{part}'"),
        format!("{} (50.0 MB/s) - '{part}' saved [{size}/{size}]", stamp(seconds)),
    ]
}

/// Where a URL's answer is, and the first lines of the log.
pub(crate) fn plan(world: &World, url: &str, seconds: i64, part: &str) -> (Source, Vec<String>) {
    let lines = vec![format!("--{}--  {url}", stamp(seconds))];
    let known = |outcome, ms| Source::Known { outcome: Box::new(outcome), ms };
    let parsed = Url::parse(url);
    if let Some(answer) = world.urls.get(url) {
        let ms = i64::try_from(answer.size / BYTES_PER_MS).unwrap_or(i64::MAX / 2);
        return (
            known(declared(answer, parsed.as_ref(), seconds + ms / 1000, part), 200 + ms),
            lines,
        );
    }
    let Some(parsed) = parsed else {
        return (
            known(Outcome::failed(Vec::new(), format!("{url}: Invalid host name.")), 0),
            lines,
        );
    };
    if parsed.is_loopback() {
        return (Source::Loopback, lines);
    }
    let outcome = if parsed.ip().is_some() {
        let (_, connecting) = parsed.connecting();
        Outcome::failed(Vec::new(), format!("{connecting} failed: No route to host."))
    } else {
        let host = &parsed.host;
        let line = format!("Resolving {host} ({host})... failed: Name or service not known.");
        Outcome::failed(vec![line], format!("wget: unable to resolve host address '{host}'"))
    };
    (known(outcome, 100), lines)
}

/// The answer of a URL of the world.
pub(crate) fn declared(answer: &UrlAnswer, url: Option<&Url>, seconds: i64, part: &str) -> Outcome {
    let (mut log, connecting) = url.map(Url::connecting).unwrap_or_default();
    log.push(format!("{connecting} connected."));
    if !matches!(answer.status, 0 | 200) {
        let reason = reason(answer.status);
        log.push(format!("HTTP request sent, awaiting response... {} {reason}", answer.status));
        let error = format!("{} ERROR {}: {reason}.", stamp(seconds), answer.status);
        return Outcome::failed(log, error);
    }
    let mimetype = match answer.mimetype.as_str() {
        "" => "application/octet-stream",
        other => other,
    };
    log.extend(saved("200 OK", answer.size, mimetype, part, seconds));
    let format = if answer.format.is_empty() { "raw" } else { answer.format.as_str() };
    let size = if answer.virtual_size > 0 { answer.virtual_size } else { answer.size };
    let file = File {
        size: answer.size,
        image: Image { format: format.to_owned(), size, ..Image::default() },
        archive: format == "ova",
        has_ovf: format == "ova",
        checksums: answer.checksums.clone(),
        bootable: answer.bootable,
    };
    Outcome { log, file: Some(file), mimetype: mimetype.to_owned(), ..Outcome::default() }
}

/// The usual words of a status.
pub(crate) fn reason(status: u16) -> &'static str {
    hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = |text| Url::parse(text).map(|url| (url.tls, url.host, url.port, url.path));
        let own =
            |tls, host: &str, port, path: &str| Some((tls, host.to_owned(), port, path.to_owned()));
        assert_eq!(url("http://127.0.0.1:9/none.iso"), own(false, "127.0.0.1", 9, "/none.iso"));
        assert_eq!(url("https://a.example/x?y=1#z"), own(true, "a.example", 443, "/x?y=1"));
        assert_eq!(url("http://[::1]:80"), own(false, "::1", 80, "/"));
        for bad in ["ftp://a/b", "http://", "http://a:b/"] {
            assert_eq!(url(bad), None, "{bad}");
        }
    }

    #[test]
    fn without_a_network_names_are_not_resolved() {
        let world = World::lab();
        let error = |url| match plan(&world, url, 0, "/p").0 {
            Source::Known { outcome, .. } => outcome.error,
            Source::Loopback => None,
        };
        assert_eq!(
            error("https://nosuch.example/x.iso").as_deref(),
            Some("wget: unable to resolve host address 'nosuch.example'")
        );
        assert_eq!(
            error("http://192.0.2.77/x.iso").as_deref(),
            Some("Connecting to 192.0.2.77:80... failed: No route to host.")
        );
        assert_eq!(error("http://localhost:1/x"), None);
    }
}
