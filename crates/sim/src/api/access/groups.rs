//! `/access/groups` (`PVE::API2::Group`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional, required};
use crate::api::names;
use crate::api::permission::Permission;
use crate::api::refusal::Refusal;
use crate::api::user_config::{locked, stored};
use crate::api::user_permission::groups_with;
use crate::guest::format::Kind;
use crate::world::access::AclKind;

const ALLOCATE: Permission = Permission::All("/access/groups", &["Group.Allocate"]);
const READ: Permission = Permission::Any("/access/groups", &["Sys.Audit", "Group.Allocate"]);
const SEE: &[&str] = &["User.Modify", "Sys.Audit", "Group.Allocate"];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/groups", index),
    Endpoint::post("/access/groups", create)
        .may(ALLOCATE)
        .with(&[required("groupid", names::GROUP), optional("comment", Kind::TEXT)]),
    Endpoint::get("/access/groups/{groupid}", read).may(READ),
    Endpoint::put("/access/groups/{groupid}", update)
        .may(ALLOCATE)
        .with(&[optional("comment", Kind::TEXT)]),
    Endpoint::delete("/access/groups/{groupid}", delete).may(ALLOCATE),
];

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let access = &call.world.access;
    let items = groups_with(call.world, &call.caller, SEE).into_iter().map(|name| {
        let members = access.groups.get(name).into_iter().flatten();
        let members: Vec<&str> = members.map(String::as_str).collect();
        let mut item = json!({ "groupid": name, "users": members.join(",") });
        comment(&mut item, access.group_comments.get(name));
        item
    });
    Ok(Value::Array(items.collect()).into())
}

fn comment(item: &mut Value, comment: Option<&String>) {
    if let (Some(comment), Some(members)) = (comment, item.as_object_mut()) {
        members.insert("comment".to_owned(), json!(comment));
    }
}

fn named(call: &Call<'_>) -> String {
    call.params.get("groupid").unwrap_or_default().to_owned()
}

/// The members of a group.
fn find<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a BTreeSet<String>, Refusal> {
    let missing = || Refusal::die(format!("group '{name}' does not exist"));
    call.world.access.groups.get(name).ok_or_else(missing)
}

fn set_comment(call: &mut Call<'_>, name: &str) {
    match call.params.get("comment").map(stored) {
        Some(Some(value)) => {
            call.world.access.group_comments.insert(name.to_owned(), value);
        }
        Some(None) => {
            call.world.access.group_comments.remove(name);
        }
        None => {}
    }
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "create group failed", |call| {
        let name = named(call);
        if call.world.access.groups.contains_key(&name) {
            return Err(Refusal::die(format!("group '{name}' already exists")));
        }
        call.world.access.groups.insert(name.clone(), BTreeSet::new());
        set_comment(call, &name);
        Ok(())
    })?;
    Ok(Value::Null.into())
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = named(call);
    let mut out = json!({ "members": find(call, &name)? });
    comment(&mut out, call.world.access.group_comments.get(&name));
    Ok(out.into())
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "update group failed", |call| {
        let name = named(call);
        find(call, &name)?;
        set_comment(call, &name);
        Ok(())
    })?;
    Ok(Value::Null.into())
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "delete group failed", |call| {
        let name = named(call);
        find(call, &name)?;
        call.world.access.groups.remove(&name);
        call.world.access.group_comments.remove(&name);
        let acl = &mut call.world.access.acl;
        acl.retain(|entry| entry.kind != AclKind::Group || entry.id != name);
        Ok(())
    })?;
    Ok(Value::Null.into())
}
