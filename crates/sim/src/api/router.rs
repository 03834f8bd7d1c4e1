//! From method and path to an endpoint.

use std::collections::BTreeMap;

use super::endpoint::{Endpoint, Method};
use super::params::Params;

/// All endpoints, by path template.
pub(crate) struct Router {
    paths: matchit::Router<BTreeMap<Method, &'static Endpoint>>,
}

/// The tables of all groups.
pub(crate) const TABLES: &[&[Endpoint]] = &[
    super::absent::ENDPOINTS,
    super::access::ENDPOINTS,
    super::access::acl::ENDPOINTS,
    super::access::domains::ENDPOINTS,
    super::access::groups::ENDPOINTS,
    super::access::password::ENDPOINTS,
    super::access::permissions::ENDPOINTS,
    super::access::roles::ENDPOINTS,
    super::access::tfa::ENDPOINTS,
    super::access::ticket::ENDPOINTS,
    super::access::tokens::ENDPOINTS,
    super::access::users::ENDPOINTS,
    super::agent::ENDPOINTS,
    super::agent::WITH_PARAMETERS,
    super::appliances::ENDPOINTS,
    super::backup_jobs::ENDPOINTS,
    super::capabilities::ENDPOINTS,
    super::bulk::ENDPOINTS,
    super::cluster::ENDPOINTS,
    super::cluster_info::ENDPOINTS,
    super::console::ENDPOINTS,
    super::cluster_options::ENDPOINTS,
    super::create::ENDPOINTS,
    super::empty::ENDPOINTS,
    super::file_restore::ENDPOINTS,
    super::indexes::ENDPOINTS,
    super::mapping::ENDPOINTS,
    super::ha_resources::ENDPOINTS,
    super::ha_rules::ENDPOINTS,
    super::ha_status::ENDPOINTS,
    super::node::ENDPOINTS,
    super::node_config::ENDPOINTS,
    super::node_info::ENDPOINTS,
    super::pools::ENDPOINTS,
    super::qemu_clone::ENDPOINTS,
    super::qemu_cloudinit::ENDPOINTS,
    super::qemu_config::ENDPOINTS,
    super::qemu_console::ENDPOINTS,
    super::qemu_disk::ENDPOINTS,
    super::qemu_list::ENDPOINTS,
    super::qemu_migrate::ENDPOINTS,
    super::qemu_power::ENDPOINTS,
    super::qemu_snapshot::ENDPOINTS,
    super::replication::ENDPOINTS,
    super::resources::ENDPOINTS,
    super::rrd::ENDPOINTS,
    super::schedule::ENDPOINTS,
    super::services::ENDPOINTS,
    super::storage::ENDPOINTS,
    super::storage_content::ENDPOINTS,
    super::storage_files::ENDPOINTS,
    super::storage_prune::ENDPOINTS,
    super::storage_scan::ENDPOINTS,
    super::storage_status::ENDPOINTS,
    super::tasks::ENDPOINTS,
    super::vzdump::ENDPOINTS,
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

    /// The endpoint of a request and the parameters in its path, which is decoded already. Empty
    /// parts of a path do not count (`PVE::RESTHandler::find_handler`).
    pub(crate) fn find(&self, method: Method, path: &str) -> Option<(&'static Endpoint, Params)> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let path = format!("/{}", parts.join("/"));
        let found = self.paths.at(&path).ok()?;
        let endpoint = found.value.get(&method)?;
        let mut params = Params::default();
        for (name, value) in found.params.iter() {
            params.0.insert(name.to_owned(), value.to_owned());
        }
        Some((endpoint, params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_endpoint_is_there_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for endpoint in TABLES.iter().copied().flatten() {
            let name = endpoint.method.name();
            assert!(seen.insert((name, endpoint.path)), "{name} {}", endpoint.path);
        }
    }

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
    fn paths_have_parameters() {
        let router = Router::new();
        let path = "//nodes/pve1/tasks/UPID:pve1:1:1:1:x:1:root@pam:/status/";
        let (_, params) = router.find(Method::Get, path).unwrap();
        assert_eq!(params.get("upid"), Some("UPID:pve1:1:1:1:x:1:root@pam:"));
        assert!(router.find(Method::Get, "/no/such").is_none());
        assert!(router.find(Method::Post, "/version").is_none());
    }
}
