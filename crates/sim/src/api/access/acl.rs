//! `/access/acl` (`PVE::API2::ACL`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional, required};
use crate::api::names;
use crate::api::permission::{Permission, normalize_path};
use crate::api::refusal::Refusal;
use crate::api::user_config::locked;
use crate::guest::format::{Kind, list};
use crate::world::access::{AclEntry, AclKind};

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/acl", index),
    Endpoint::put("/access/acl", update).may(Permission::Modify("{path}")).with(&[
        required("path", Kind::TEXT),
        required("roles", names::ROLES).list(),
        optional("users", names::USERS).list(),
        optional("groups", names::GROUPS).list(),
        optional("tokens", names::TOKENS).list(),
        optional("propagate", Kind::Bool),
        optional("delete", Kind::Bool),
    ]),
];

const KINDS: [(&str, AclKind); 3] =
    [("groups", AclKind::Group), ("users", AclKind::User), ("tokens", AclKind::Token)];

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let audit = call.may("/access", &["Sys.Audit"]);
    let acl = &call.world.access.acl;
    let paths: BTreeSet<&str> = acl.iter().map(|entry| entry.path.as_str()).collect();
    let sees = |path: &str| audit || call.world.require_modify(&call.caller, path).is_ok();
    let visible: BTreeSet<&str> = paths.into_iter().filter(|path| sees(path)).collect();
    let items = acl.iter().filter(|entry| visible.contains(entry.path.as_str())).map(|entry| {
        json!({
            "path": entry.path, "type": entry.kind.name(), "ugid": entry.id, "roleid": entry.role,
            "propagate": u8::from(entry.propagate),
        })
    });
    Ok(Value::Array(items.collect()).into())
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let given = |name: &str| !matches!(call.params.get(name), None | Some("" | "0"));
    if !KINDS.iter().any(|(name, _)| given(name)) {
        let text = "either 'users', 'groups' or 'tokens' is required.";
        let errors = KINDS.iter().map(|(name, _)| ((*name).to_owned(), text.to_owned()));
        return Err(Refusal::Params(errors.collect()));
    }
    let asked = call.params.get("path").unwrap_or_default();
    let delete = call.params.flag("delete").unwrap_or(false);
    let path = normalize_path(asked).filter(|path| delete || check_path(path));
    let Some(path) = path else {
        return Err(Refusal::param("path", format!("invalid ACL path '{asked}'")));
    };
    locked(call, "ACL update failed", |call| change(call, &path, delete))?;
    Ok(Value::Null.into())
}

fn change(call: &mut Call<'_>, path: &str, delete: bool) -> Result<(), Refusal> {
    let propagate = call.params.flag("propagate").unwrap_or(true);
    let words = |call: &Call<'_>, name: &str| -> Vec<String> {
        list(call.params.get(name).unwrap_or_default()).map(str::to_owned).collect()
    };
    for role in words(call, "roles") {
        if call.world.access.role(&role).is_none() {
            return Err(Refusal::die(format!("role '{role}' does not exist")));
        }
        check_delegation(call, path, &role, propagate, delete)?;
        for (name, kind) in KINDS {
            for id in words(call, name) {
                check_exists(call, kind, &id)?;
                let same = |entry: &AclEntry| {
                    entry.path == path && entry.kind == kind && entry.id == id && entry.role == role
                };
                call.world.access.acl.retain(|entry| !same(entry));
                // root@pam is always Administrator; `user.cfg` keeps nothing of it.
                let root = kind == AclKind::User && id == "root@pam";
                if !delete && !root {
                    let (path, role) = (path.to_owned(), role.clone());
                    call.world.access.acl.push(AclEntry { path, kind, id, role, propagate });
                }
            }
        }
    }
    Ok(())
}

/// Who may not modify permissions as such (but may allocate the guest, storage or pool) hands out
/// no more than it has.
fn check_delegation(
    call: &Call<'_>,
    path: &str,
    role: &str,
    propagate: bool,
    delete: bool,
) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    let own = call.world.privileges(&call.caller.authid, path);
    if own.contains_key("Permissions.Modify") {
        return Ok(());
    }
    let verb = if delete { "remove" } else { "add" };
    let refuse =
        |what: &str| Err(Refusal::param("role", format!("Cannot {verb} role '{role}'{what}")));
    for privilege in call.world.access.role(role).unwrap_or_default() {
        match own.get(privilege) {
            None => {
                return refuse(" - requires 'Permissions.Modify' or superset of privileges.");
            }
            Some(false) if propagate && !delete => {
                return refuse(
                    " with propagation - requires 'Permissions.Modify' or propagated superset of privileges.",
                );
            }
            Some(_) => {}
        }
    }
    if role == "NoAccess" { refuse(" - requires 'Permissions.Modify'") } else { Ok(()) }
}

fn check_exists(call: &Call<'_>, kind: AclKind, id: &str) -> Result<(), Refusal> {
    let access = &call.world.access;
    let missing = match kind {
        AclKind::Group if !access.groups.contains_key(id) => format!("group '{id}' does not exist"),
        AclKind::User if !access.users.contains_key(id) => format!("user '{id}' does not exist"),
        AclKind::Token => {
            let (user, name) = names::split_token(id).unwrap_or_default();
            match access.users.get(user) {
                None => format!("no such user ('{user}')"),
                Some(found) if !found.tokens.contains_key(name) => {
                    format!("no such token '{name}' for user '{user}'")
                }
                Some(_) => return Ok(()),
            }
        }
        _ => return Ok(()),
    };
    Err(Refusal::die(missing))
}

/// `PVE::AccessControl::check_path`: the paths that permissions can be set on.
fn check_path(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let only = |part: &str, more: &[u8]| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    let word = |part: &str| only(part, b".-_");
    match parts.as_slice() {
        [] => true,
        ["access" | "nodes" | "pool" | "sdn" | "storage" | "vms" | "mapping"] => true,
        ["access", "groups" | "realm"] => true,
        ["access", "groups" | "realm", name] => word(name),
        ["nodes" | "storage", name] => word(name),
        ["pool", names @ ..] => names.len() <= 3,
        ["mapping", names @ ..] => names.len() <= 2,
        ["vms", vmid] => {
            vmid.len() >= 3 && !vmid.starts_with('0') && vmid.bytes().all(|b| b.is_ascii_digit())
        }
        [
            "sdn",
            "controllers" | "dns" | "fabrics" | "ipams" | "prefix-lists" | "route-maps" | "zones",
        ] => true,
        ["sdn", "controllers", name] => only(name, b"_-"),
        ["sdn", "dns" | "fabrics" | "ipams" | "prefix-lists" | "route-maps", name] => {
            only(name, b"")
        }
        ["sdn", "zones", _] | ["sdn", "zones", _, _] => true,
        ["sdn", "zones", _, _, vlan] => {
            (1..=4).contains(&vlan.len())
                && !vlan.starts_with('0')
                && vlan.bytes().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_check_path() {
        for good in ["/", "/vms/100", "/pool/a/b/c", "/sdn/zones/z/vmbr0/12", "/mapping/pci/x"] {
            assert!(check_path(good), "{good}");
        }
        for bad in
            ["/nope", "/vms/99", "/vms/0100", "/pool/a/b/c/d", "/storage/a/b", "/sdn/dns/a-b"]
        {
            assert!(!check_path(bad), "{bad}");
        }
        assert_eq!(normalize_path("//vms//100/"), Some("/vms/100".to_owned()));
        assert_eq!(normalize_path("vms"), Some("/vms".to_owned()));
        assert_eq!(normalize_path("/vms/ü"), None);
    }
}
