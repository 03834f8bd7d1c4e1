//! `/access/password` (`PVE::API2::AccessControl`).

use serde_json::Value;

use super::users::find;
use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional, required};
use crate::api::names;
use crate::api::permission::{Groups, Permission};
use crate::api::refusal::Refusal;
use crate::server::auth;
use crate::world::World;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::put("/access/password", change)
    .may(Permission::Or(&[
        Permission::OneSelf,
        Permission::And(&[
            Permission::Realm,
            Permission::UserGroup(&["User.Modify"], Groups::OfUser),
        ]),
    ]))
    .no_token()
    .with(&[
        required("userid", names::USER),
        required("password", names::PASSWORD),
        optional("confirmation-password", names::OWN_PASSWORD),
    ])];

fn change(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("userid").unwrap_or_default().to_owned();
    find(call.world, &id)?;
    if !call.caller.is_root() {
        confirm(call, &id)?;
    }
    may_store(call.world, &id)?;
    let password = call.params.get("password").map(str::to_owned);
    if let Some(user) = call.world.access.users.get_mut(&id) {
        user.password = password;
    }
    Ok(Value::Null.into())
}

/// Others than root@pam give their own password again, and leave users of the system alone.
fn confirm(call: &Call<'_>, id: &str) -> Result<(), Refusal> {
    confirm_own(call, id, "confirmation-password")?;
    if call.caller.authid != id && id.ends_with("@pam") {
        return Err(Refusal::permission(""));
    }
    Ok(())
}

/// `reauth_user_for_user_modification`, of others than root@pam.
pub(super) fn confirm_own(call: &Call<'_>, id: &str, param: &str) -> Result<(), Refusal> {
    if id == "root@pam" {
        return Err(Refusal::permission(""));
    }
    let Some(own) = call.params.get(param) else {
        return Err(Refusal::param(param, "password is required to modify user"));
    };
    let caller = &call.caller.authid;
    if !auth::check_password(call.world, caller, own) {
        let has = find(call.world, caller)?.password.is_some();
        let text = match (caller.ends_with("@pam"), has) {
            (true, _) => "Authentication failure",
            (false, true) => "invalid credentials",
            (false, false) => "no password set",
        };
        return Err(Refusal::die(text));
    }
    Ok(())
}

/// Whether the realm of a user can keep a password (`domain_set_password`). The system has no
/// user but root.
pub(super) fn may_store(world: &World, id: &str) -> Result<(), Refusal> {
    let (name, realm) = names::split_user(id).map_err(Refusal::die)?;
    match realm {
        "pve" => Ok(()),
        "pam" if name == "root" => Ok(()),
        "pam" => {
            let text = format!("change password failed: user '{name}' does not exist");
            Err(Refusal::die(text))
        }
        _ => Err(Refusal::die(match super::domains::kind(world, realm) {
            Some(kind) => format!("can't set password on auth type '{kind}'"),
            None => format!("auth domain '{realm}' does not exist"),
        })),
    }
}
