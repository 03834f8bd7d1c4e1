//! The permission checks that look at the user a request names: `userid-group` and
//! `userid-param` of `PVE::RPCEnvironment::exec_api2_perm_check`. They run before parameters are
//! verified.

use super::names;
use super::params::Params;
use super::permission::Groups;
use super::refusal::Refusal;
use crate::guest::format::list;
use crate::world::World;
use crate::world::access::Caller;

/// The user that the request names, if it can be one. Perl's error is no exception: status 500.
fn named(params: &Params) -> Result<(String, String), Refusal> {
    let id = params.get("userid").unwrap_or_default();
    let (_, realm) = names::split_user(id).map_err(Refusal::die)?;
    Ok((id.to_owned(), realm.to_owned()))
}

/// `check_user_exist`; false instead of an error when `quiet`.
fn exists(world: &World, params: &Params, quiet: bool) -> Result<bool, Refusal> {
    let found = named(params).and_then(|(id, _)| {
        let missing = || Refusal::die(format!("no such user ('{id}')"));
        world.access.users.get(&id).map(|_| ()).ok_or_else(missing)
    });
    match found {
        Ok(()) => Ok(true),
        Err(_) if quiet => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

pub(super) fn one_self(
    world: &World,
    caller: &Caller,
    params: &Params,
    quiet: bool,
) -> Result<bool, Refusal> {
    let (id, _) = named(params)?;
    if !exists(world, params, quiet)? {
        return Ok(false);
    }
    if caller.authid == id {
        return Ok(true);
    }
    if quiet { Ok(false) } else { Err(Refusal::permission("")) }
}

pub(super) fn realm(world: &World, caller: &Caller, params: &Params) -> Result<(), Refusal> {
    let (_, realm) = named(params)?;
    world.require(caller, &format!("/access/realm/{realm}"), &["Realm.AllocateUser"])
}

pub(super) fn group(
    world: &World,
    caller: &Caller,
    params: &Params,
    wanted: &[&str],
    groups: Groups,
    quiet: bool,
) -> Result<bool, Refusal> {
    let existing = groups != Groups::Create;
    if existing && !exists(world, params, quiet)? {
        return Ok(false);
    }
    if world.may_any(caller, "/access/groups", wanted) {
        return Ok(true);
    }
    let words = wanted.join("|");
    let own = groups_with(world, caller, wanted);
    if groups != Groups::OfUser {
        let mut asked = list(params.get("groups").unwrap_or_default()).peekable();
        if asked.peek().is_none() {
            return Err(Refusal::permission(&format!("/access/groups, {words}")));
        }
        if let Some(other) = asked.find(|group| !own.contains(group)) {
            return Err(Refusal::permission(&format!("/access/groups/{other}, {words}")));
        }
    }
    let user = params.get("userid").unwrap_or_default();
    if existing && !world.access.groups_of(user).any(|group| own.contains(&group)) {
        return if quiet { Ok(false) } else { Err(Refusal::permission("")) };
    }
    Ok(true)
}

/// `filter_groups`: the groups on which the caller has any of these privileges.
pub(super) fn groups_with<'a>(world: &'a World, caller: &Caller, wanted: &[&str]) -> Vec<&'a str> {
    let names = world.access.groups.keys().map(String::as_str);
    names.filter(|name| world.may_any(caller, &format!("/access/groups/{name}"), wanted)).collect()
}
