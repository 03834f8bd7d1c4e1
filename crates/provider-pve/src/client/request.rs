//! A request as data: method, path, node and parameters, encoded without I/O.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};

use super::ApiPath;

/// pveproxy splits a form at `&` and `;` and a pair at every `=`, and reads `+` as a space
/// (`decode_urlencoded` in pve-http-server): everything but the unreserved characters is encoded.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Parameters whose values never reach a log, whoever sets them and however.
const SECRET_KEYS: &[&str] =
    &["cipassword", "password", "new-password", "secret", "token", "value"];

/// HTTP method of a request. All but `Get` write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create, or start a task.
    Post,
    /// Change.
    Put,
    /// Delete. Proxmox refuses a body here (501): parameters stand in the query.
    Delete,
}

impl Method {
    /// The method's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the request can change something.
    #[must_use]
    pub fn is_write(self) -> bool {
        self != Self::Get
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One request to the API. `Debug` masks secret values.
#[derive(Debug, Clone)]
pub struct Request {
    method: Method,
    path: ApiPath,
    node: Option<String>,
    parameters: Vec<(String, Value)>,
}

#[derive(Clone)]
enum Value {
    Plain(String),
    Secret(SecretString),
}

impl Value {
    fn expose(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(text) => text.expose_secret(),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => write!(f, "{text:?}"),
            Self::Secret(_) => f.write_str("***"),
        }
    }
}

impl Request {
    fn new(method: Method, path: ApiPath) -> Self {
        let node = path.node().map(str::to_owned);
        Self { method, path, node, parameters: Vec::new() }
    }

    /// A read.
    #[must_use]
    pub fn get(path: impl Into<ApiPath>) -> Self {
        Self::new(Method::Get, path.into())
    }

    /// A POST; parameters go into a form body.
    #[must_use]
    pub fn post(path: impl Into<ApiPath>) -> Self {
        Self::new(Method::Post, path.into())
    }

    /// A PUT; parameters go into a form body.
    #[must_use]
    pub fn put(path: impl Into<ApiPath>) -> Self {
        Self::new(Method::Put, path.into())
    }

    /// A DELETE; parameters go into the query.
    #[must_use]
    pub fn delete(path: impl Into<ApiPath>) -> Self {
        Self::new(Method::Delete, path.into())
    }

    /// Prefers the endpoint of this node. A path `/nodes/{node}/…` says so by itself.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node = Some(node.into());
        self
    }

    /// Adds a parameter. Those that Proxmox calls `cipassword`, `password` and the like are held
    /// as secrets by their name. An empty value reaches Proxmox as undefined.
    #[must_use]
    pub fn parameter(mut self, key: impl Into<String>, value: impl ToString) -> Self {
        let key = key.into();
        let value = if SECRET_KEYS.contains(&key.as_str()) {
            Value::Secret(value.to_string().into())
        } else {
            Value::Plain(value.to_string())
        };
        self.parameters.push((key, value));
        self
    }

    /// Adds a boolean parameter as `1` or `0`.
    #[must_use]
    pub fn flag(self, key: impl Into<String>, value: bool) -> Self {
        self.parameter(key, u8::from(value))
    }

    /// Adds a parameter whose value is shown nowhere.
    #[must_use]
    pub fn secret(mut self, key: impl Into<String>, value: SecretString) -> Self {
        self.parameters.push((key.into(), Value::Secret(value)));
        self
    }

    /// Puts a secret in place of the parameter `key`, when there is one.
    #[must_use]
    pub fn replace(mut self, key: &str, value: &SecretString) -> Self {
        for (name, held) in &mut self.parameters {
            if name == key {
                *held = Value::Secret(value.clone());
            }
        }
        self
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> Method {
        self.method
    }

    /// The request's path.
    #[must_use]
    pub fn path(&self) -> &ApiPath {
        &self.path
    }

    /// The node whose endpoint is preferred.
    #[must_use]
    pub fn preferred_node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Parameters as `key=value&…`, every key and value percent-encoded. Holds secrets in clear.
    pub(super) fn encoded_parameters(&self) -> String {
        let mut text = String::new();
        for (key, value) in &self.parameters {
            if !text.is_empty() {
                text.push('&');
            }
            text.extend(utf8_percent_encode(key, FORM));
            text.push('=');
            text.extend(utf8_percent_encode(value.expose(), FORM));
        }
        text
    }

    /// Parameters for a log line, secret values masked.
    pub(super) fn masked_parameters(&self) -> String {
        let pairs: Vec<String> =
            self.parameters.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
        pairs.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_awkward_character_is_encoded() {
        let request = Request::put("/nodes/pve1/qemu/100/config")
            .parameter("boot", "order=scsi0;net0")
            .parameter("description", "a+b & c\nü%\r\n")
            .parameter("scsi0", "local:1,ssd=1")
            .flag("onboot", true);
        assert_eq!(
            request.encoded_parameters(),
            "boot=order%3Dscsi0%3Bnet0&description=a%2Bb%20%26%20c%0A%C3%BC%25%0D%0A\
             &scsi0=local%3A1%2Cssd%3D1&onboot=1"
        );
    }

    #[test]
    fn secrets_are_masked_by_name_and_by_type() {
        let request = Request::put("/x")
            .parameter("cipassword", "hunter2")
            .secret("args", SecretString::from("hunter2"))
            .parameter("cores", 2);
        let shown = format!("{request:?} {}", request.masked_parameters());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("cores=\"2\"") && shown.contains("cipassword=***"), "{shown}");
        assert_eq!(request.encoded_parameters(), "cipassword=hunter2&args=hunter2&cores=2");
    }

    #[test]
    fn the_path_names_the_node_unless_the_caller_does() {
        let path = ApiPath::new("/nodes/{}/qemu", &[&"pve2"]);
        assert_eq!(Request::get(path.clone()).preferred_node(), Some("pve2"));
        assert_eq!(Request::get(path).node("pve3").preferred_node(), Some("pve3"));
        assert_eq!(Request::get("/version").preferred_node(), None);
    }
}
