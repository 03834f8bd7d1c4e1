//! Paths of the API, with every segment percent-encoded.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays readable in a path segment: the unreserved characters of RFC 3986, and `:`, `@` and
/// `!`, which UPIDs and volume ids are full of and which are legal there.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@')
    .remove(b'!');

/// A path below `/api2/json`, for instance `/nodes/pve1/qemu/100/config`.
///
/// A value that cannot stand in a path (empty, `.` or `..`) does not fail here: the request that
/// is made with it does, before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath {
    encoded: String,
    node: Option<String>,
    problem: Option<String>,
}

impl ApiPath {
    /// Fills each `{}` of `template` with the next of `values`, percent-encoded.
    ///
    /// `ApiPath::new("/nodes/{}/qemu/{}/config", &[&"pve1", &100])`
    #[must_use]
    pub fn new(template: &str, values: &[&dyn fmt::Display]) -> Self {
        let mut values = values.iter();
        let mut path = Self { encoded: String::new(), node: None, problem: None };
        let mut previous = String::new();
        for segment in template.split('/').filter(|s| !s.is_empty()) {
            let text = if segment == "{}" {
                values.next().map(ToString::to_string).unwrap_or_default()
            } else {
                segment.to_owned()
            };
            if matches!(text.as_str(), "" | "." | "..") {
                path.problem = Some(format!("'{text}' cannot stand in the path {template}"));
            }
            path.encoded.push('/');
            path.encoded.extend(utf8_percent_encode(&text, SEGMENT));
            if previous == "nodes" && path.node.is_none() {
                path.node = Some(text.clone());
            }
            previous = text;
        }
        if values.next().is_some() {
            path.problem = Some(format!("more values than places in the path {template}"));
        }
        if path.encoded.is_empty() {
            path.encoded.push('/');
        }
        path
    }

    /// The encoded path, which begins with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.encoded
    }

    /// The node that the path names (`/nodes/{node}/…`), if it names one.
    #[must_use]
    pub fn node(&self) -> Option<&str> {
        self.node.as_deref()
    }

    /// Why no request can be made with this path, if none can.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl From<&str> for ApiPath {
    fn from(path: &str) -> Self {
        Self::new(path, &[])
    }
}

impl fmt::Display for ApiPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encoded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_values_and_finds_the_node() {
        let path = ApiPath::new("/nodes/{}/qemu/{}/config", &[&"pve1", &100]);
        assert_eq!(path.as_str(), "/nodes/pve1/qemu/100/config");
        assert_eq!(path.node(), Some("pve1"));

        let upid = "UPID:pve1:00000F2A:000862E8:6B034FBE:qmcreate:4000:root@pam!lab:";
        let path = ApiPath::new("/nodes/{}/tasks/{}/status", &[&"pve1", &upid]);
        assert_eq!(path.as_str(), format!("/nodes/pve1/tasks/{upid}/status"));

        let path = ApiPath::new("/nodes/{}/storage/{}", &[&"a/../b", &"x?y=1&z#%ü;+ "]);
        assert_eq!(path.as_str(), "/nodes/a%2F..%2Fb/storage/x%3Fy%3D1%26z%23%25%C3%BC%3B%2B%20");
        assert_eq!(ApiPath::from("/version").node(), None);
        assert_eq!(ApiPath::from("/nodes").node(), None);
        assert_eq!(ApiPath::from("/").as_str(), "/");
    }

    #[test]
    fn notes_what_cannot_stand_in_a_path() {
        assert!(ApiPath::new("/nodes/{}", &[&".."]).problem().is_some());
        assert!(ApiPath::new("/nodes/{}", &[&""]).problem().is_some());
        assert!(ApiPath::new("/nodes/{}", &[]).problem().is_some());
        assert!(ApiPath::new("/nodes", &[&1]).problem().is_some());
        assert!(ApiPath::new("/nodes/{}", &[&"..."]).problem().is_none());
    }
}
