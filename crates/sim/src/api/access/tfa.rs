//! `/access/tfa` (`PVE::API2::TFA`): nobody has a second factor.

use serde_json::{Value, json};

use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional};
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
    Endpoint::get("/access/users/{userid}/tfa", types)
        .may(SEE)
        .with(&[optional("multiple", Kind::Bool)]),
    Endpoint::put("/access/users/{userid}/unlock-tfa", unlock)
        .may(Permission::UserGroup(&["User.Modify"], Groups::OfUser)),
];

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
    if super::domains::kind(realm).is_none() {
        return Err(Refusal::die(format!("auth domain '{realm}' does not exist")));
    }
    let multiple = call.params.flag("multiple").unwrap_or(false);
    Ok(if multiple { json!({ "user": [] }) } else { json!({}) }.into())
}

/// Nobody was locked.
fn unlock(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(Value::from(0).into())
}
