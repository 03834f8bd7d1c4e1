//! One address at which the API answers.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The port of pveproxy.
pub const DEFAULT_PORT: u16 = 8006;

/// One address at which the API answers, normally one per node of the cluster. Any of them serves
/// requests for every node (pveproxy passes them on), the node's own one without the detour.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name of the node that answers there (`pve1`), when it is known.
    pub node: Option<String>,
    /// Host name or IP address; IPv6 without brackets.
    pub host: String,
    /// TCP port, normally [`DEFAULT_PORT`].
    pub port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is no API address: {problem}; write a host such as pve1.lab.example, 10.0.0.1:8006, \
     [fd00::1]:8006 or https://pve1.lab.example:8006"
)]
pub struct EndpointError {
    text: String,
    problem: &'static str,
}

impl Endpoint {
    /// The same endpoint, known to be the node of that name.
    #[must_use]
    pub fn with_node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// `https://host:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("https://{}", self.authority())
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            Some(node) => write!(f, "{node} ({})", self.authority()),
            None => f.write_str(&self.authority()),
        }
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        parse(text).map_err(|problem| EndpointError { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<Endpoint, &'static str> {
    let text = text.trim();
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => rest,
        Some(_) => return Err("the API is spoken over https only"),
        None => text,
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let rest = rest.strip_suffix("/api2/json").unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("an address has no path");
    }
    if rest.contains('@') {
        return Err("an address names no user; the token says who calls");
    }
    let (host, port) = split_port(rest)?;
    Ok(Endpoint { node: None, host, port })
}

fn split_port(text: &str) -> Result<(String, u16), &'static str> {
    if let Some(inner) = text.strip_prefix('[') {
        let (address, rest) = inner.split_once(']').ok_or("the bracket is not closed")?;
        let address: Ipv6Addr = address.parse().map_err(|_| "the brackets hold no IPv6 address")?;
        let port = match rest.strip_prefix(':') {
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => DEFAULT_PORT,
            None => return Err("only a port may follow the bracket"),
        };
        return Ok((address.to_string(), port));
    }
    // A bare IPv6 address has more than one colon and no port.
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Ok((address.to_string(), DEFAULT_PORT));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, parse_port(port)?),
        None => (text, DEFAULT_PORT),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() {
        return Err("the host is missing");
    }
    if !host.chars().all(legal) {
        return Err("the host has characters that no host name has");
    }
    Ok((host.to_owned(), port))
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("the port is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_shows() {
        let cases = [
            ("pve1.lab.example", "https://pve1.lab.example:8006"),
            ("10.0.0.1:443", "https://10.0.0.1:443"),
            ("https://pve1:8006", "https://pve1:8006"),
            ("HTTPS://pve1/", "https://pve1:8006"),
            ("https://pve1:8006/api2/json", "https://pve1:8006"),
            ("[fd00::1]:8443", "https://[fd00::1]:8443"),
            ("[FD00::0001]", "https://[fd00::1]:8006"),
            ("fd00::1", "https://[fd00::1]:8006"),
            (" pve1 ", "https://pve1:8006"),
        ];
        for (text, url) in cases {
            assert_eq!(text.parse::<Endpoint>().unwrap().base_url(), url, "{text}");
        }
        let named = "10.0.0.1".parse::<Endpoint>().unwrap().with_node("pve1");
        assert_eq!(named.to_string(), "pve1 (10.0.0.1:8006)");
    }

    #[test]
    fn refuses_with_the_text_and_a_way_out() {
        for text in [
            "",
            "http://pve1",
            "pve1:0",
            "pve1:http",
            "pve1:70000",
            "https://pve1/x",
            "root@pve1",
            "[fd00::1",
            "[pve1]",
            "[fd00::1]x",
            "pve 1",
            "pve1:8006:8006",
        ] {
            let error = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(error.contains(&format!("'{text}'")) && error.contains("write"), "{error}");
        }
    }
}
