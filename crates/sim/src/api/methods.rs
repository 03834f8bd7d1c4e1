//! Every method that Proxmox VE has, simulated or not: so that what is not simulated is told
//! apart from what does not exist.

use super::endpoint::Method;

/// Path and methods, a line each; `#` starts a comment.
const TABLE: &str = include_str!("methods.txt");

/// The paths and their methods.
pub(crate) fn table() -> impl Iterator<Item = (&'static str, Vec<Method>)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?, words.filter_map(Method::parse).collect()))
    })
}

/// Whether Proxmox VE has the method on the path (decoded, below `/api2/json`).
pub(crate) fn exists(method: Method, path: &str) -> bool {
    let given: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    table().any(|(template, methods)| methods.contains(&method) && matches(template, &given))
}

/// Whether the parts of a path fit a template.
pub(crate) fn matches(template: &str, given: &[&str]) -> bool {
    let mut rest = given.iter();
    for wanted in template.split('/').filter(|part| !part.is_empty()) {
        match rest.next() {
            // A volume may have slashes (`fragmentDelimiter` in PVE::API2::Storage::Content).
            Some(_) if wanted == "{volume}" => return true,
            Some(part) if wanted.starts_with('{') || wanted == *part => {}
            _ => return false,
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::router::TABLES;

    #[test]
    fn paths_are_found_as_the_server_finds_them() {
        for (method, path, wanted) in [
            (Method::Get, "/", true),
            (Method::Get, "/nodes/pve1/ceph/status", true),
            (Method::Post, "/nodes/pve1/qemu/100/agent/fstrim", true),
            (Method::Delete, "/nodes/pve1/storage/local/content/local:iso/a.iso", true),
            (Method::Delete, "/nodes/pve1/storage/local/content", false),
            (Method::Get, "/nodes/pve1/qemu/100/agent/exec", false),
            (Method::Put, "/version", false),
            (Method::Get, "/no/such/path", false),
        ] {
            assert_eq!(exists(method, path), wanted, "{path}");
        }
    }

    #[test]
    fn nothing_is_simulated_that_proxmox_has_not() {
        let real: BTreeMap<&str, Vec<Method>> = table().collect();
        for endpoint in TABLES.iter().copied().flatten() {
            let path = endpoint.path.replace("{*", "{");
            let known = real.get(path.as_str()).cloned().unwrap_or_default();
            assert!(known.contains(&endpoint.method), "{} {path}", endpoint.method.name());
        }
    }
}
