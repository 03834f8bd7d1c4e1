//! `/access/users` (`PVE::API2::User`).

use serde_json::{Map, Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, Param, optional, required};
use crate::api::names;
use crate::api::permission::{Groups, Permission};
use crate::api::refusal::Refusal;
use crate::api::user_config::{locked, stored};
use crate::api::user_permission::groups_with;
use crate::guest::format::{Kind, list};
use crate::world::World;
use crate::world::access::{AclKind, User};

const MODIFY: &[&str] = &["User.Modify"];
const SEE: &[&str] = &["User.Modify", "Sys.Audit"];

const CREATE: Permission =
    Permission::And(&[Permission::Realm, Permission::UserGroup(MODIFY, Groups::Create)]);
const DELETE: Permission =
    Permission::And(&[Permission::Realm, Permission::UserGroup(MODIFY, Groups::OfUser)]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/users", index)
        .with(&[optional("enabled", Kind::Bool), optional("full", Kind::Bool)]),
    Endpoint::post("/access/users", create).may(CREATE).with(&[
        required("userid", names::USER),
        optional("password", names::PASSWORD),
        ENABLE,
        EXPIRE,
        FIRSTNAME,
        LASTNAME,
        EMAIL,
        COMMENT,
        KEYS,
        GROUPS,
    ]),
    Endpoint::get("/access/users/{userid}", read).may(Permission::UserGroup(SEE, Groups::OfUser)),
    Endpoint::put("/access/users/{userid}", update)
        .may(Permission::UserGroup(MODIFY, Groups::Update))
        .with(&[
            ENABLE,
            EXPIRE,
            FIRSTNAME,
            LASTNAME,
            EMAIL,
            COMMENT,
            KEYS,
            GROUPS,
            optional("append", Kind::Bool).requires("groups"),
        ]),
    Endpoint::delete("/access/users/{userid}", delete).may(DELETE),
];

const ENABLE: Param = optional("enable", Kind::Bool);
const EXPIRE: Param = optional("expire", Kind::NATURAL);
const FIRSTNAME: Param = optional("firstname", Kind::Text { max: 1024 });
const LASTNAME: Param = optional("lastname", Kind::Text { max: 1024 });
const EMAIL: Param = optional("email", names::EMAIL);
const COMMENT: Param = optional("comment", Kind::Text { max: 2048 });
const KEYS: Param = optional("keys", names::KEYS);
const GROUPS: Param = optional("groups", names::GROUPS).list();

/// Text properties as `user.cfg` keeps them.
const TEXTS: [&str; 5] = ["firstname", "lastname", "email", "comment", "keys"];

/// A user as it is read back. Perl's `split` leaves empty fields at the end of a line of `user.cfg`
/// out: an empty `email` is there only before a comment or keys.
fn shown(user: &User) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("enable".to_owned(), json!(u8::from(user.enable)));
    out.insert("expire".to_owned(), json!(user.expire));
    if ["comment", "keys"].iter().any(|key| user.options.contains_key(*key)) {
        out.insert("email".to_owned(), json!(""));
    }
    out.extend(user.options.iter().map(|(key, value)| (key.clone(), json!(value))));
    out
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let world = &*call.world;
    let all = call.may("/access/groups", SEE);
    let groups = groups_with(world, &call.caller, SEE);
    let full = call.params.flag("full").unwrap_or(false);
    let enabled = call.params.flag("enabled");
    let mut items = Vec::new();
    for (name, user) in &world.access.users {
        let visible = all
            || *name == call.caller.authid
            || world.access.groups_of(name).any(|group| groups.contains(&group));
        if !visible || enabled.is_some_and(|wanted| wanted != user.enable) {
            continue;
        }
        let mut item = shown(user);
        item.insert("userid".to_owned(), json!(name));
        let realm = name.rsplit('@').next().unwrap_or_default();
        if let Some(kind) = super::domains::kind(world, realm) {
            item.insert("realm-type".to_owned(), json!(kind));
        }
        if full {
            let groups: Vec<&str> = world.access.groups_of(name).collect();
            item.insert("groups".to_owned(), json!(groups.join(",")));
            item.insert("tokens".to_owned(), super::tokens::listed(user));
        }
        items.push(Value::Object(item));
    }
    Ok(Value::Array(items).into())
}

/// The user of the path, or the error of `check_user_exist`.
pub(super) fn find<'a>(world: &'a World, id: &str) -> Result<&'a User, Refusal> {
    let found = world.access.users.get(id);
    found.ok_or_else(|| Refusal::die(format!("no such user ('{id}')")))
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("userid").unwrap_or_default();
    let user = find(call.world, id)?;
    let mut out = shown(user);
    let groups: Vec<&str> = call.world.access.groups_of(id).collect();
    out.insert("groups".to_owned(), json!(groups));
    let tokens = user
        .tokens
        .iter()
        .map(|(name, token)| (name.clone(), Value::Object(super::tokens::shown(token))));
    let tokens: Map<String, Value> = tokens.collect();
    let tokens = if tokens.is_empty() { Value::Null } else { Value::Object(tokens) };
    out.insert("tokens".to_owned(), tokens);
    Ok(Value::Object(out).into())
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "create user failed", |call| {
        let id = call.params.get("userid").unwrap_or_default().to_owned();
        if call.world.access.users.contains_key(&id) {
            return Err(Refusal::die(format!("user '{id}' already exists")));
        }
        let mut user = User {
            enable: call.params.flag("enable").unwrap_or(true),
            expire: call.params.int("expire").unwrap_or(0),
            ..User::default()
        };
        if let Some(password) = call.params.get("password") {
            super::password::may_store(call.world, &id)?;
            user.password = Some(password.to_owned());
        }
        set_texts(call, &mut user);
        call.world.access.users.insert(id.clone(), user);
        join_groups(call, &id)
    })?;
    Ok(Value::Null.into())
}

fn set_texts(call: &Call<'_>, user: &mut User) {
    for key in TEXTS {
        match call.params.get(key).map(stored) {
            Some(Some(value)) => {
                user.options.insert(key.to_owned(), value);
            }
            Some(None) => {
                user.options.remove(key);
            }
            None => {}
        }
    }
}

fn join_groups(call: &mut Call<'_>, id: &str) -> Result<(), Refusal> {
    let asked = call.params.get("groups").unwrap_or_default().to_owned();
    for group in list(&asked) {
        match call.world.access.groups.get_mut(group) {
            Some(members) => members.insert(id.to_owned()),
            None => return Err(Refusal::die(format!("no such group '{group}'"))),
        };
    }
    Ok(())
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "update user failed", |call| {
        let id = call.params.get("userid").unwrap_or_default().to_owned();
        let mut user = find(call.world, &id)?.clone();
        user.enable = call.params.flag("enable").unwrap_or(user.enable);
        user.expire = call.params.int("expire").unwrap_or(user.expire);
        set_texts(call, &mut user);
        call.world.access.users.insert(id.clone(), user);
        let append = call.params.flag("append").unwrap_or(false);
        if !append && call.params.get("groups").is_some() {
            leave_groups(call, &id);
        }
        join_groups(call, &id)
    })?;
    Ok(Value::Null.into())
}

fn leave_groups(call: &mut Call<'_>, id: &str) {
    for members in call.world.access.groups.values_mut() {
        members.remove(id);
    }
}

/// Removing a user that is not there succeeds, for who is not stopped by the permission check.
fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "delete user failed", |call| {
        let id = call.params.get("userid").unwrap_or_default().to_owned();
        let gone = call.world.access.users.remove(&id);
        leave_groups(call, &id);
        let own = |kind: AclKind, of: &str| kind == AclKind::User && of == id;
        call.world.access.acl.retain(|entry| !own(entry.kind, &entry.id));
        if id == "root@pam" {
            // It is always there; its password is the system's.
            let password = gone.and_then(|user| user.password);
            let root = User { enable: true, password, ..User::default() };
            call.world.access.users.insert(id, root);
        }
        Ok(())
    })?;
    Ok(Value::Null.into())
}
