//! `/access`: tickets, users, roles, ACL, own permissions.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::server::auth;
use crate::world::access::{AclEntry, AclKind, User};
use crate::world::privileges::BUILTIN_ROLES;

const USER: Kind = Kind::Format(Format::UserId);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access", index),
    Endpoint::post("/access/ticket", ticket).may(Permission::World).with(&[
        required("username", Kind::TEXT),
        required("password", Kind::TEXT),
        optional("realm", Kind::TEXT),
        optional("otp", Kind::TEXT),
        optional("path", Kind::TEXT),
        optional("privs", Kind::TEXT),
        optional("new-format", Kind::Bool),
        optional("tfa-challenge", Kind::TEXT),
    ]),
    Endpoint::get("/access/permissions", permissions)
        .with(&[optional("path", Kind::TEXT), optional("userid", Kind::TEXT)]),
    Endpoint::get("/access/roles", roles),
    Endpoint::get("/access/roles/{roleid}", role),
    Endpoint::get("/access/users", users)
        .with(&[optional("enabled", Kind::Bool), optional("full", Kind::Bool)]),
    Endpoint::post("/access/users", create_user).with(&[
        required("userid", USER),
        optional("comment", Kind::TEXT),
        optional("email", Kind::TEXT),
        optional("enable", Kind::Bool),
        optional("expire", Kind::NATURAL),
        optional("firstname", Kind::TEXT),
        optional("lastname", Kind::TEXT),
        optional("groups", Kind::TEXT),
        optional("keys", Kind::TEXT),
        optional("password", Kind::Text { max: 64 }),
    ]),
    Endpoint::get("/access/acl", acl),
    Endpoint::put("/access/acl", change_acl).with(&[
        required("path", Kind::TEXT),
        required("roles", Kind::TEXT),
        optional("users", Kind::TEXT),
        optional("groups", Kind::TEXT),
        optional("tokens", Kind::TEXT),
        optional("propagate", Kind::Bool),
        optional("delete", Kind::Bool),
    ]),
    Endpoint::get("/access/domains", domains).may(Permission::World),
];

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    let names = ["acl", "domains", "permissions", "roles", "ticket", "users"];
    Ok(subdirs(&names, "subdir").into())
}

fn ticket(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = call.params.get("username").unwrap_or_default();
    let user = match (name.contains('@'), call.params.get("realm")) {
        (false, Some(realm)) => format!("{name}@{realm}"),
        _ => name.to_owned(),
    };
    let password = call.params.get("password").unwrap_or_default();
    let now = call.moment.seconds();
    // A ticket renews itself when it is given as the password.
    let renewed = auth::check_ticket(call.world, password, now).is_some_and(|owner| owner == user);
    if !renewed && !auth::check_password(call.world, &user, password, now) {
        return Err(Refusal::message(401, "authentication failure"));
    }
    Ok(json!({
        "username": user,
        "ticket": auth::make_ticket(call.world, &user, now),
        "CSRFPreventionToken": auth::make_csrf(call.world, &user, now),
        "clustername": call.world.cluster,
        "cap": {},
    })
    .into())
}

fn permissions(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let who = match call.params.get("userid") {
        Some(other) if other != call.caller.authid => {
            call.require("/access", &["Sys.Audit"])?;
            other.to_owned()
        }
        _ => call.caller.authid.clone(),
    };
    let paths: BTreeSet<String> = match call.params.get("path") {
        Some(path) => BTreeSet::from([path.to_owned()]),
        None => {
            let fixed = [
                "/",
                "/access",
                "/access/groups",
                "/nodes",
                "/pool",
                "/sdn",
                "/storage",
                "/vms",
                "/mapping",
            ];
            let own = call.world.access.acl.iter().map(|entry| entry.path.clone());
            fixed.iter().map(|&path| path.to_owned()).chain(own).collect()
        }
    };
    let mut out = Map::new();
    for path in paths {
        let found = call.world.access.privileges(&who, &path, None);
        if !found.is_empty() {
            let members =
                found.into_iter().map(|(name, propagate)| (name, json!(u8::from(propagate))));
            out.insert(path, Value::Object(members.collect()));
        }
    }
    Ok(Value::Object(out).into())
}

fn roles(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let own = call.world.access.roles.keys().map(String::as_str);
    let all: BTreeSet<&str> = own.chain(BUILTIN_ROLES.iter().copied()).collect();
    let items = all.into_iter().map(|name| {
        let privileges: Vec<String> =
            call.world.access.role(name).unwrap_or_default().into_iter().collect();
        let special = u8::from(BUILTIN_ROLES.contains(&name));
        json!({ "roleid": name, "privs": privileges.join(","), "special": special })
    });
    Ok(Value::Array(items.collect()).into())
}

fn role(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = call.params.get("roleid").unwrap_or_default();
    let Some(found) = call.world.access.role(name) else {
        return Err(Refusal::die(format!("role '{name}' does not exist")));
    };
    let members = found.into_iter().map(|name| (name, json!(1)));
    Ok(Value::Object(members.collect()).into())
}

fn users(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let all = call.may("/access/groups", &["User.Modify", "Sys.Audit"]);
    let full = call.params.flag("full").unwrap_or(false);
    let visible =
        call.world.access.users.iter().filter(|(name, _)| all || *name == call.caller.user());
    let items = visible.map(|(name, user)| {
        let realm = name.rsplit('@').next().unwrap_or_default();
        let mut item = json!({
            "userid": name, "enable": u8::from(user.enable), "expire": user.expire, "realm-type": realm,
        });
        if let Some(members) = item.as_object_mut() {
            members.extend(user.options.iter().map(|(key, value)| (key.clone(), json!(value))));
            if full {
                let tokens = user.tokens.iter().map(|(token, found)| {
                    json!({ "tokenid": token, "privsep": u8::from(found.privsep), "expire": found.expire })
                });
                members.insert("tokens".to_owned(), Value::Array(tokens.collect()));
            }
        }
        item
    });
    Ok(Value::Array(items.collect()).into())
}

fn create_user(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("userid").unwrap_or_default().to_owned();
    let realm = id.rsplit('@').next().unwrap_or_default().to_owned();
    call.require(&format!("/access/realm/{realm}"), &["Realm.AllocateUser"])?;
    call.require("/access/groups", &["User.Modify"])?;
    if call.world.access.users.contains_key(&id) {
        return Err(Refusal::die(format!("create user failed: user '{id}' already exists")));
    }
    let mut user = User {
        enable: call.params.flag("enable").unwrap_or(true),
        expire: call.params.int("expire").unwrap_or(0),
        password: call.params.get("password").map(str::to_owned),
        ..User::default()
    };
    for key in ["comment", "email", "firstname", "lastname"] {
        if let Some(value) = call.params.get(key) {
            user.options.insert(key.to_owned(), value.to_owned());
        }
    }
    for group in list(call.params.get("groups").unwrap_or_default()) {
        call.world.access.groups.entry(group.to_owned()).or_default().insert(id.clone());
    }
    call.world.access.users.insert(id, user);
    Ok(Value::Null.into())
}

fn acl(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let visible = call.world.access.acl.iter().filter(|entry| {
        call.may(&entry.path, &["Permissions.Modify", "Sys.Audit"])
            || call.may("/access", &["Sys.Audit"])
    });
    let items = visible.map(|entry| {
        json!({
            "path": entry.path, "type": entry.kind.name(), "ugid": entry.id, "roleid": entry.role,
            "propagate": u8::from(entry.propagate),
        })
    });
    Ok(Value::Array(items.collect()).into())
}

fn change_acl(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let path = call.params.get("path").unwrap_or_default().to_owned();
    let path = if path.len() > 1 { path.trim_end_matches('/').to_owned() } else { path };
    call.require(&path, &["Permissions.Modify"])?;
    let propagate = call.params.flag("propagate").unwrap_or(true);
    let delete = call.params.flag("delete").unwrap_or(false);
    let roles: Vec<String> =
        list(call.params.get("roles").unwrap_or_default()).map(str::to_owned).collect();
    if let Some(role) = roles.iter().find(|role| call.world.access.role(role).is_none()) {
        return Err(Refusal::die(format!("role '{role}' does not exist")));
    }
    for (param, kind) in
        [("users", AclKind::User), ("groups", AclKind::Group), ("tokens", AclKind::Token)]
    {
        let ids: Vec<String> =
            list(call.params.get(param).unwrap_or_default()).map(str::to_owned).collect();
        for id in ids {
            for role in &roles {
                let same = |entry: &AclEntry| {
                    entry.path == path
                        && entry.kind == kind
                        && entry.id == id
                        && entry.role == *role
                };
                call.world.access.acl.retain(|entry| !same(entry));
                if !delete {
                    let (path, id, role) = (path.clone(), id.clone(), role.clone());
                    call.world.access.acl.push(AclEntry { path, kind, id, role, propagate });
                }
            }
        }
    }
    Ok(Value::Null.into())
}

fn domains(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!([
        { "realm": "pam", "type": "pam", "comment": "Linux PAM standard authentication" },
        { "realm": "pve", "type": "pve", "comment": "Proxmox VE authentication server" },
    ])
    .into())
}
