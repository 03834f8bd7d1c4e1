//! From method and path to an endpoint.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::endpoint::{Endpoint, Method};
use super::params::Params;

/// All endpoints, by path template.
pub(crate) struct Router {
    paths: matchit::Router<BTreeMap<Method, &'static Endpoint>>,
}

/// The tables of all groups.
pub(crate) const TABLES: &[&[Endpoint]] = &[
    super::access::ENDPOINTS,
    super::agent::ENDPOINTS,
    super::cluster::ENDPOINTS,
    super::create::ENDPOINTS,
    super::node::ENDPOINTS,
    super::pools::ENDPOINTS,
    super::qemu_clone::ENDPOINTS,
    super::qemu_cloudinit::ENDPOINTS,
    super::qemu_config::ENDPOINTS,
    super::qemu_disk::ENDPOINTS,
    super::qemu_list::ENDPOINTS,
    super::qemu_migrate::ENDPOINTS,
    super::qemu_power::ENDPOINTS,
    super::qemu_snapshot::ENDPOINTS,
    super::resources::ENDPOINTS,
    super::storage::ENDPOINTS,
    super::tasks::ENDPOINTS,
];

impl Router {
    pub(crate) fn new() -> Self {
        let mut by_path: BTreeMap<&str, BTreeMap<Method, &'static Endpoint>> = BTreeMap::new();
        for endpoint in TABLES.iter().copied().flatten() {
            by_path.entry(endpoint.path).or_default().insert(endpoint.method, endpoint);
        }
        let mut paths = matchit::Router::new();
        for (path, methods) in by_path {
            if let Err(error) = paths.insert(path, methods) {
                tracing::error!(path, %error, "two endpoints have one path");
            }
        }
        Self { paths }
    }

    /// The endpoint of a request and the parameters in its path.
    pub(crate) fn find(&self, method: Method, path: &str) -> Option<(&'static Endpoint, Params)> {
        let trimmed = path.trim_end_matches('/');
        let found = self.paths.at(if trimmed.is_empty() { "/" } else { trimmed }).ok()?;
        let endpoint = found.value.get(&method)?;
        let mut params = Params::default();
        for (name, value) in found.params.iter() {
            let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
            params.0.insert(name.to_owned(), value);
        }
        Some((endpoint, params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_can_be_reached() {
        let router = Router::new();
        for endpoint in TABLES.iter().copied().flatten() {
            let path = endpoint.path.replace("{*", "{").replace(['{', '}'], "");
            let found = router.find(endpoint.method, &path).map(|(found, _)| found.path);
            assert_eq!(found, Some(endpoint.path), "{path}");
        }
    }

    #[test]
    fn path_parameters_are_decoded() {
        let router = Router::new();
        let path = "/nodes/pve1/tasks/UPID%3Apve1%3A1%3A1%3A1%3Ax%3A1%3Aroot%40pam%3A/status";
        let (_, params) = router.find(Method::Get, path).unwrap();
        assert_eq!(params.get("upid"), Some("UPID:pve1:1:1:1:x:1:root@pam:"));
        assert!(router.find(Method::Get, "/no/such").is_none());
        assert!(router.find(Method::Post, "/version").is_none());
    }
}
