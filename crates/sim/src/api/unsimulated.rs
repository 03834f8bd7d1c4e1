//! What Proxmox VE has and the simulator has not: who may not call it learns that, as on a real
//! node, and who may learns that it is not simulated.

use std::collections::BTreeMap;

use super::dispatch::check_node_name;
use super::endpoint::Method;
use super::params::Params;
use super::permission::place;
use super::refusal::Refusal;
use crate::world::World;
use crate::world::access::Caller;

/// Method, path and permission, a line each; `#` starts a comment.
const GUARDS: &str = include_str!("guards.txt");

/// Refuses a call of a method that Proxmox VE has.
pub(crate) fn refuse(
    world: &World,
    caller: &Caller,
    method: Method,
    path: &str,
    given: &Params,
) -> Refusal {
    match check(world, caller, method, path, given) {
        // Nothing is waited for.
        Err(Refusal::Late { refusal, .. }) => *refusal,
        Err(refusal) => refusal,
        Ok(()) => Refusal::missing(method, path),
    }
}

/// Permission and node, in this order.
fn check(
    world: &World,
    caller: &Caller,
    method: Method,
    path: &str,
    given: &Params,
) -> Result<(), Refusal> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if let Some((words, values)) = find(method, &parts) {
        let mut params = given.clone();
        params.override_with(values.into());
        permitted(world, caller, &words, &params)?;
    }
    match parts.as_slice() {
        ["nodes", node, _, ..] => {
            let local = world.answering().filter(|_| *node == "localhost");
            check_node_name(world, local.unwrap_or(node))
        }
        _ => Ok(()),
    }
}

/// The permission of a path, and the values in the path.
fn find(method: Method, parts: &[&str]) -> Option<(Vec<&'static str>, BTreeMap<String, String>)> {
    GUARDS.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut words = line.split(' ');
        let values = (words.next()? == method.name())
            .then(|| values(words.next().unwrap_or_default(), parts))??;
        Some((words.collect(), values))
    })
}

fn values(template: &str, parts: &[&str]) -> Option<BTreeMap<String, String>> {
    let wanted: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    if wanted.len() != parts.len() {
        return None;
    }
    let mut found = BTreeMap::new();
    for (wanted, part) in wanted.iter().zip(parts) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => {
                found.insert(name.to_owned(), (*part).to_owned());
            }
            None if wanted == part => {}
            None => return None,
        }
    }
    Some(found)
}

fn permitted(
    world: &World,
    caller: &Caller,
    words: &[&str],
    params: &Params,
) -> Result<(), Refusal> {
    match words {
        _ if caller.is_root() => Ok(()),
        ["root"] => Err(Refusal::permission("user != root@pam")),
        ["all", path, privileges @ ..] => world.require(caller, &place(path, params), privileges),
        ["any", path, privileges @ ..] => {
            world.require_any(caller, &place(path, params), privileges)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::methods::table;

    #[test]
    fn guards_are_of_methods_that_exist() {
        let known: BTreeMap<&str, Vec<Method>> = table().collect();
        for line in GUARDS.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            let method = Method::parse(words[0]).unwrap();
            assert!(known.get(words[1]).is_some_and(|all| all.contains(&method)), "{line}");
            assert!(matches!(words[2..], ["root"] | ["all" | "any", _, _, ..]), "{line}");
        }
    }

    #[test]
    fn who_may_not_learns_that_first() {
        let world = World::truth();
        for (who, method, path, status) in [
            ("viewer@pve", Method::Post, "/cluster/sdn/zones", 403),
            ("viewer@pve", Method::Put, "/nodes/pve1/network", 403),
            ("admin@pve", Method::Put, "/nodes/pve1/network", 501),
            ("admin@pve", Method::Put, "/nodes/none/network", 500),
            ("admin@pve", Method::Post, "/cluster/acme/account", 403),
            ("root@pam", Method::Post, "/cluster/acme/account", 501),
        ] {
            let caller = Caller { authid: who.to_owned() };
            let refusal = refuse(&world, &caller, method, path, &Params::default());
            assert_eq!(refusal.status(), status, "{who} {path}");
        }
    }
}
