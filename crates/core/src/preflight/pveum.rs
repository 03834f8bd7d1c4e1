//! The commands that give a token what a plan needs: roles and ACL entries for `pveum`.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Privilege;

/// Commands that give `token` these privileges, one a line, to be run by root on any node. What
/// stands on a path takes the place of what is inherited there, so a path gets all that is named
/// for it. User and token get the same: a token with privilege separation has what both have, one
/// without has what its user has. They can be run twice.
pub fn commands(checks: &[Privilege], token: &str) -> Vec<String> {
    commands_for(checks, token, |_| true)
}

/// The same for some of the paths. Roles have the names that they have among all.
pub(super) fn commands_for(
    checks: &[Privilege],
    token: &str,
    wanted: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (role, privileges, mut paths) in roles(checks) {
        paths.retain(|path| wanted(path));
        if paths.is_empty() {
            continue;
        }
        let list = privileges.into_iter().collect::<Vec<_>>().join(",");
        lines.push(format!(
            "pveum role add {role} --privs \"{list}\" || pveum role modify {role} --append 1 --privs \"{list}\""
        ));
        lines.extend(grants(&paths, &role, token));
    }
    lines
}

/// Each set of privileges with the name of its role and its paths.
fn roles(checks: &[Privilege]) -> Vec<(String, BTreeSet<&str>, Vec<&str>)> {
    let mut by_path: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for check in checks.iter().filter(|check| !check.any_of.is_empty()) {
        let on_path = by_path.entry(&check.path).or_default();
        if !check.any_of.iter().any(|privilege| on_path.contains(privilege.as_str())) {
            on_path.extend(check.any_of.first().map(String::as_str));
        }
    }
    let mut places: BTreeMap<(&str, BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for (path, privileges) in by_path {
        places.entry((kind(path, &privileges), privileges)).or_default().push(path);
    }
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let named = places.into_iter().map(|((kind, privileges), paths)| {
        let number = numbers.entry(kind).or_default();
        *number += 1;
        let role = if *number == 1 { kind.to_owned() } else { format!("{kind}-{number}") };
        (role, privileges, paths)
    });
    named.collect()
}

fn grants(paths: &[&str], role: &str, token: &str) -> Vec<String> {
    let user = token.split('!').next().unwrap_or(token);
    let to = format!("--users {user} --tokens '{token}' --roles {role}");
    let guest = |path: &&str| path.strip_prefix("/vms/").is_some_and(|id| !id.is_empty());
    let (guests, others): (Vec<&str>, Vec<&str>) = paths.iter().copied().partition(guest);
    let mut lines: Vec<String> = match guests.as_slice() {
        [] => Vec::new(),
        [one] => vec![format!("pveum acl modify {one} {to}")],
        several => {
            let ids: Vec<&str> = several.iter().filter_map(|p| p.strip_prefix("/vms/")).collect();
            vec![format!("for id in {}; do pveum acl modify /vms/$id {to}; done", ids.join(" "))]
        }
    };
    // What is needed on the cluster itself is not needed on everything in it.
    let only_here = |path: &str| if path == "/" { " --propagate 0" } else { "" };
    lines.extend(
        others.iter().map(|path| format!("pveum acl modify {path} {to}{}", only_here(path))),
    );
    lines
}

/// What a role for a path is called.
fn kind(path: &str, privileges: &BTreeSet<&str>) -> &'static str {
    let begins = |start: &str| path.starts_with(start);
    match path {
        "/" => "pvx-cluster",
        _ if begins("/vms/") && privileges.contains("VM.Clone") => "pvx-template",
        _ if begins("/vms/") => "pvx-guest",
        _ if begins("/storage/") => "pvx-storage",
        _ if begins("/pool/") => "pvx-pool",
        _ if begins("/sdn/") => "pvx-network",
        _ if begins("/mapping/") => "pvx-mapping",
        _ => "pvx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_entries() {
        let checks = [
            Privilege::new("/", &["Sys.Audit"]),
            Privilege::new("/vms/100", &["VM.Clone"]),
            Privilege::new("/vms/1001", &["VM.Config.Cloudinit", "VM.Config.Network"]),
            Privilege::new("/vms/1001", &["VM.Allocate"]),
            Privilege::new("/vms/1002", &["VM.Allocate"]),
            Privilege::new("/vms/1002", &["VM.Config.Cloudinit"]),
            Privilege::new("/vms/1003", &["VM.PowerMgmt"]),
            Privilege::new("/vms/1004", &[]),
        ];
        insta::assert_snapshot!(commands(&checks, "pvx@pve!cli").join("\n"), @r#"
        pveum role add pvx-cluster --privs "Sys.Audit" || pveum role modify pvx-cluster --append 1 --privs "Sys.Audit"
        pveum acl modify / --users pvx@pve --tokens 'pvx@pve!cli' --roles pvx-cluster --propagate 0
        pveum role add pvx-guest --privs "VM.Allocate,VM.Config.Cloudinit" || pveum role modify pvx-guest --append 1 --privs "VM.Allocate,VM.Config.Cloudinit"
        for id in 1001 1002; do pveum acl modify /vms/$id --users pvx@pve --tokens 'pvx@pve!cli' --roles pvx-guest; done
        pveum role add pvx-guest-2 --privs "VM.PowerMgmt" || pveum role modify pvx-guest-2 --append 1 --privs "VM.PowerMgmt"
        pveum acl modify /vms/1003 --users pvx@pve --tokens 'pvx@pve!cli' --roles pvx-guest-2
        pveum role add pvx-template --privs "VM.Clone" || pveum role modify pvx-template --append 1 --privs "VM.Clone"
        pveum acl modify /vms/100 --users pvx@pve --tokens 'pvx@pve!cli' --roles pvx-template
        "#);
    }
}
