//! `/access/tfa` (`PVE::API2::TFA`): nobody has a second factor, and none is added.

use serde_json::{Value, json};

use super::password::confirm_own;
use super::users::find;
use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, Param, optional, required};
use crate::api::names;
use crate::api::permission::{Groups, Permission};
use crate::api::refusal::Refusal;
use crate::guest::format::Kind;

const SEE: Permission = Permission::Or(&[
    Permission::OneSelf,
    Permission::UserGroup(&["User.Modify", "Sys.Audit"], Groups::OfUser),
]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/tfa", empty),
    Endpoint::get("/access/tfa/{userid}", empty).may(SEE),
    Endpoint::get("/access/tfa/{userid}/{id}", entry).may(SEE),
    Endpoint::post("/access/tfa/{userid}", add).may(CHANGE).no_token().with(&[
        required("type", Kind::Enum(&["totp", "u2f", "webauthn", "recovery", "yubico"])),
        optional("challenge", Kind::TEXT),
        optional("description", Kind::Text { max: 255 }),
        PASSWORD,
        optional("totp", Kind::TEXT),
        optional("value", Kind::TEXT),
    ]),
    Endpoint::put("/access/tfa/{userid}/{id}", change).may(CHANGE).no_token().with(&[
        optional("description", Kind::Text { max: 255 }),
        optional("enable", Kind::Bool),
        PASSWORD,
    ]),
    Endpoint::delete("/access/tfa/{userid}/{id}", change).may(CHANGE).no_token().with(&[PASSWORD]),
    Endpoint::get("/access/users/{userid}/tfa", types)
        .may(SEE)
        .with(&[optional("multiple", Kind::Bool)]),
    Endpoint::put("/access/users/{userid}/unlock-tfa", unlock)
        .may(Permission::UserGroup(&["User.Modify"], Groups::OfUser)),
];

const CHANGE: Permission =
    Permission::Or(&[Permission::OneSelf, Permission::UserGroup(&["User.Modify"], Groups::OfUser)]);
const PASSWORD: Param = optional("password", names::OWN_PASSWORD);

/// Who changes a second factor gives the own password again.
fn confirmed(call: &Call<'_>) -> Result<(), Refusal> {
    let id = call.params.get("userid").unwrap_or_default();
    find(call.world, id)?;
    if call.caller.is_root() { Ok(()) } else { confirm_own(call, id, "password") }
}

fn add(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    confirmed(call)?;
    Err(Refusal::message(501, "adding a second factor is not simulated"))
}

fn change(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    confirmed(call)?;
    Err(Refusal::die("no such entry"))
}

fn empty(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(json!([]).into())
}

fn entry(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("id").unwrap_or_default();
    // The real text has no line end.
    Err(Refusal::Message { status: 404, message: format!("No such tfa entry '{id}'") })
}

fn types(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("userid").unwrap_or_default();
    let realm = id.rsplit('@').next().unwrap_or_default();
    if super::domains::kind(call.world, realm).is_none() {
        return Err(Refusal::die(format!("auth domain '{realm}' does not exist")));
    }
    let multiple = call.params.flag("multiple").unwrap_or(false);
    Ok(if multiple { json!({ "user": [] }) } else { json!({}) }.into())
}

/// Nobody was locked.
fn unlock(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(Value::from(0).into())
}
