//! `/access/roles` (`PVE::API2::Role`).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, Param, optional, required};
use crate::api::names;
use crate::api::permission::Permission;
use crate::api::refusal::Refusal;
use crate::api::user_config::locked;
use crate::guest::format::{Kind, list};
use crate::world::privileges::{BUILTIN_ROLES, builtin};

const MODIFY: Permission = Permission::All("/access", &["Sys.Modify"]);
const PRIVS: Param = optional("privs", names::PRIVILEGES).list();

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/roles", index),
    Endpoint::post("/access/roles", create)
        .may(MODIFY)
        .with(&[required("roleid", names::ROLE), PRIVS]),
    Endpoint::get("/access/roles/{roleid}", read),
    Endpoint::put("/access/roles/{roleid}", update)
        .may(MODIFY)
        .with(&[PRIVS, optional("append", Kind::Bool).requires("privs")]),
    Endpoint::delete("/access/roles/{roleid}", delete).may(MODIFY),
];

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let own = call.world.access.roles.keys().map(String::as_str);
    let all: BTreeSet<&str> = own.chain(BUILTIN_ROLES.iter().copied()).collect();
    let items = all.into_iter().map(|name| {
        let privileges = call.world.access.role(name).unwrap_or_default();
        let privileges: Vec<&str> = privileges.into_iter().collect();
        let special = u8::from(builtin(name).is_some());
        json!({ "roleid": name, "privs": privileges.join(","), "special": special })
    });
    Ok(Value::Array(items.collect()).into())
}

fn named(call: &Call<'_>) -> String {
    call.params.get("roleid").unwrap_or_default().to_owned()
}

fn missing(name: &str) -> Refusal {
    Refusal::die(format!("role '{name}' does not exist"))
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = named(call);
    let found = call.world.access.role(&name).ok_or_else(|| missing(&name))?;
    let members = found.into_iter().map(|privilege| (privilege.to_owned(), json!(1)));
    Ok(Value::Object(members.collect()).into())
}

/// The privileges of the request; they were verified.
fn asked(call: &Call<'_>) -> BTreeSet<String> {
    list(call.params.get("privs").unwrap_or_default()).map(str::to_owned).collect()
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = named(call);
    if name.get(..3).is_some_and(|prefix| prefix.eq_ignore_ascii_case("PVE")) {
        let text = "cannot use role ID starting with the (case-insensitive) 'PVE' namespace";
        return Err(Refusal::param("roleid", text));
    }
    locked(call, "create role failed", |call| {
        if call.world.access.role(&name).is_some() {
            return Err(Refusal::die(format!("role '{name}' already exists")));
        }
        let privileges = asked(call);
        call.world.access.roles.insert(name, privileges);
        Ok(())
    })?;
    Ok(Value::Null.into())
}

/// Refuses the built-in roles.
fn own(name: &str, what: &str) -> Result<(), Refusal> {
    match builtin(name) {
        Some(_) => Err(Refusal::die(format!("auto-generated role '{name}' cannot be {what}"))),
        None => Ok(()),
    }
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = named(call);
    own(&name, "modified")?;
    locked(call, "update role failed", |call| {
        let privileges = asked(call);
        let append = call.params.flag("append").unwrap_or(false);
        let role = call.world.access.roles.get_mut(&name).ok_or_else(|| missing(&name))?;
        if !append {
            role.clear();
        }
        role.extend(privileges);
        Ok(())
    })?;
    Ok(Value::Null.into())
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = named(call);
    own(&name, "deleted")?;
    locked(call, "delete role failed", |call| {
        call.world.access.roles.remove(&name).map(|_| ()).ok_or_else(|| missing(&name))
    })?;
    Ok(Value::Null.into())
}
