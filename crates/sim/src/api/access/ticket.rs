//! `/access/ticket` (`PVE::API2::AccessControl`).

use serde_json::{Value, json};

use super::permissions::capabilities;
use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional, required};
use crate::api::names;
use crate::api::permission::{Permission, normalize_path};
use crate::api::refusal::Refusal;
use crate::guest::format::{Kind, list};
use crate::server::auth;
use crate::world::access::Caller;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/ticket", nothing).may(Permission::World),
    Endpoint::post("/access/ticket", create).may(Permission::World).no_token().with(&[
        required("username", Kind::Text { max: 64 }),
        required("password", Kind::TEXT),
        optional("realm", names::REALM),
        optional("otp", Kind::TEXT),
        optional("path", Kind::Text { max: 64 }).requires("privs"),
        optional("privs", names::PRIVILEGES).list().requires("path"),
        optional("new-format", Kind::Bool),
        optional("tfa-challenge", Kind::TEXT),
    ]),
];

/// For those who want to show a login page.
fn nothing(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(Value::Null.into())
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut user = call.params.get("username").unwrap_or_default().to_owned();
    if let Some(realm) = given(call, "realm") {
        user = format!("{user}@{realm}");
    }
    let now = call.moment.seconds();
    // Nothing tells why: it would tell who there is.
    let failure = || Refusal::message(401, "authentication failure");
    if !auth::enabled(call.world, &user, now) {
        return Err(failure());
    }
    let mut out = match (given(call, "path"), given(call, "privs")) {
        (Some(path), Some(privs)) => {
            verify(call, &user, path, privs, now).ok_or_else(failure)?;
            json!({ "username": user })
        }
        _ if logs_in(call, &user, now) => json!({
            "username": user,
            "ticket": auth::make_ticket(call.world, &user, now),
            "CSRFPreventionToken": auth::make_csrf(call.world, &user, now),
        }),
        _ => return Err(failure()),
    };
    let caller = Caller { authid: user.clone() };
    if let Some(members) = out.as_object_mut() {
        members.insert("cap".to_owned(), capabilities(call.world, &user));
        let cluster = &call.world.cluster;
        if !cluster.is_empty() && call.world.may_any(&caller, "/", &["Sys.Audit"]) {
            members.insert("clustername".to_owned(), json!(cluster));
        }
    }
    Ok(out.into())
}

/// A parameter that Perl takes for true.
fn given<'a>(call: &'a Call<'_>, name: &str) -> Option<&'a str> {
    call.params.get(name).filter(|value| !matches!(*value, "" | "0"))
}

/// Password or ticket: a ticket renews itself, and one of root@pam makes tickets for others.
fn logs_in(call: &Call<'_>, user: &str, now: i64) -> bool {
    let password = call.params.get("password").unwrap_or_default();
    // There are no second factors here, so an answer to one is wrong.
    if call.params.get("tfa-challenge").is_some() {
        return false;
    }
    let owner = auth::check_ticket(call.world, password, now);
    if owner.is_some_and(|owner| owner == "root@pam" || owner == user) {
        return true;
    }
    call.params.get("otp").is_none() && auth::check_password(call.world, user, password)
}

/// Verifies a password or ticket and privileges, without a new ticket.
fn verify(call: &Call<'_>, user: &str, path: &str, privs: &str, now: i64) -> Option<()> {
    let path = normalize_path(path)?;
    let password = call.params.get("password").unwrap_or_default();
    let own = auth::check_ticket(call.world, password, now).is_some_and(|owner| owner == user);
    let otp = call.params.get("otp").is_some();
    if !own && (otp || !auth::check_password(call.world, user, password)) {
        return None;
    }
    let wanted: Vec<&str> = list(privs).collect();
    let caller = Caller { authid: user.to_owned() };
    call.world.require(&caller, &path, &wanted).ok()?;
    (!wanted.is_empty()).then_some(())
}
