//! Permission checks of endpoints (`PVE::RPCEnvironment::check_api2_permissions`).

use std::collections::BTreeMap;

use super::params::Params;
use super::refusal::Refusal;
use crate::world::World;
use crate::world::access::Caller;

/// Who may call an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Permission {
    /// No login needed.
    World,
    /// Anybody who is logged in; the handler checks or filters.
    User,
    /// All these privileges on a path; braces name parameters.
    All(&'static str, &'static [&'static str]),
    /// Any of these privileges.
    Any(&'static str, &'static [&'static str]),
    /// All these privileges on a path that a parameter names; refused without it
    /// (`require_param`).
    With(&'static str, &'static str, &'static [&'static str]),
    /// `perm-modify`: the right to change permissions on a path.
    Modify(&'static str),
    /// `userid-group`: any of these privileges on all groups, or on those of the user and of the
    /// request.
    UserGroup(&'static [&'static str], Groups),
    /// `userid-param self`: the caller is the user that the request names.
    OneSelf,
    /// `userid-param Realm.AllocateUser`.
    Realm,
    And(&'static [Permission]),
    Or(&'static [Permission]),
}

/// What `userid-group` looks at besides the groups that the user is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Groups {
    OfUser,
    /// Those of the request alone: the user is new.
    Create,
    /// Those of the request too.
    Update,
}

impl Permission {
    pub(crate) fn check(
        &self,
        world: &World,
        caller: &Caller,
        params: &Params,
    ) -> Result<(), Refusal> {
        if caller.is_root() {
            return Ok(());
        }
        // What it does not refuse passes, whatever it answers.
        self.test(world, caller, params, false).map(|_| ())
    }

    /// `exec_api2_perm_check`. With `quiet` most refusals are `false` instead; some are not.
    fn test(
        &self,
        world: &World,
        caller: &Caller,
        params: &Params,
        quiet: bool,
    ) -> Result<bool, Refusal> {
        let verdict = match *self {
            Self::World | Self::User => Ok(()),
            Self::All(path, wanted) => world.require(caller, &place(path, params), wanted),
            Self::Any(path, wanted) => world.require_any(caller, &place(path, params), wanted),
            Self::With(param, _, _) if params.get(param).is_none() => Err(Refusal::permission("")),
            Self::With(_, path, wanted) => world.require(caller, &place(path, params), wanted),
            Self::Modify(path) => match normalize_path(&fill(path, params)) {
                Some(path) => world.require_modify(caller, &path),
                None => Ok(()),
            },
            Self::UserGroup(wanted, groups) => {
                return super::user_permission::group(world, caller, params, wanted, groups, quiet);
            }
            Self::OneSelf => return super::user_permission::one_self(world, caller, params, quiet),
            Self::Realm => super::user_permission::realm(world, caller, params),
            Self::And(parts) => {
                for part in parts {
                    part.test(world, caller, params, false)?;
                }
                Ok(())
            }
            Self::Or(parts) => {
                for part in parts {
                    if part.test(world, caller, params, true)? {
                        return Ok(true);
                    }
                }
                Err(Refusal::permission(""))
            }
        };
        let soft = |refusal: &Refusal| refusal.status() == 403 && !matches!(self, Self::And(_));
        match verdict {
            Ok(()) => Ok(true),
            Err(refusal) if quiet && soft(&refusal) => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }
}

/// A path from its template, normalised where it can be.
pub(crate) fn place(template: &str, params: &Params) -> String {
    let path = fill(template, params);
    normalize_path(&path).unwrap_or_default()
}

/// `PVE::AccessControl::normalize_path`: one slash between parts, none at the end.
pub(crate) fn normalize_path(path: &str) -> Option<String> {
    // What is false in Perl is no path.
    if path.is_empty() || path == "0" {
        return None;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let path = format!("/{}", parts.join("/"));
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte);
    path.bytes().all(known).then_some(path)
}

/// Puts parameters into a path.
fn fill(template: &str, params: &Params) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        let value = params.get(name).filter(|value| !matches!(*value, "" | "0"));
        out.push_str(value.unwrap_or("-"));
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl World {
    /// The pools that a path's guest or storage is in.
    fn pools_for(&self, path: &str) -> Vec<&str> {
        if self.pools.is_empty() {
            return Vec::new();
        }
        let guest = path.strip_prefix("/vms/").and_then(|vmid| vmid.parse::<u32>().ok());
        let storage = path.strip_prefix("/storage/");
        let holds = |pool: &crate::world::Pool| {
            guest.is_some_and(|vmid| pool.guests.contains(&vmid))
                || storage.is_some_and(|id| pool.storages.contains(id))
        };
        if guest.is_none() && storage.is_none() {
            return Vec::new();
        }
        let found = self.pools.iter().filter(|(_, pool)| holds(pool));
        found.map(|(name, _)| name.as_str()).collect()
    }

    /// The privileges of a user or token on a path, with whether they propagate
    /// (`PVE::RPCEnvironment::permissions`).
    pub(crate) fn privileges(&self, authid: &str, path: &str) -> BTreeMap<&str, bool> {
        self.access.privileges(authid, path, &self.pools_for(path))
    }

    /// Whether `caller` has any of the privileges on a path.
    pub(crate) fn may_any(&self, caller: &Caller, path: &str, wanted: &[&str]) -> bool {
        if caller.is_root() {
            return true;
        }
        let pools = self.pools_for(path);
        let holds = |privilege| self.access.holds(&caller.authid, path, &pools, privilege);
        wanted.iter().any(|privilege| holds(privilege))
    }

    /// `check_perm_modify`: the right to change permissions, or to allocate what the path names.
    pub(crate) fn require_modify(&self, caller: &Caller, path: &str) -> Result<(), Refusal> {
        let below = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty());
        let allocate = if below("/storage/") {
            "Datastore.Allocate"
        } else if below("/vms/") {
            "VM.Allocate"
        } else if below("/pool/") {
            "Pool.Allocate"
        } else {
            return self.require_any(caller, path, &["Permissions.Modify"]);
        };
        self.require_any(caller, path, &["Permissions.Modify", allocate])
    }

    /// Refuses unless `caller` has all privileges.
    pub(crate) fn require(
        &self,
        caller: &Caller,
        path: &str,
        wanted: &[&str],
    ) -> Result<(), Refusal> {
        let missing = wanted.iter().find(|privilege| !self.may_any(caller, path, &[privilege]));
        match missing {
            Some(privilege) => Err(Refusal::permission(&format!("{path}, {privilege}"))),
            None => Ok(()),
        }
    }

    /// Refuses unless `caller` has one of the privileges.
    pub(crate) fn require_any(
        &self,
        caller: &Caller,
        path: &str,
        wanted: &[&str],
    ) -> Result<(), Refusal> {
        if self.may_any(caller, path, wanted) {
            return Ok(());
        }
        Err(Refusal::permission(&format!("{path}, {}", wanted.join("|"))))
    }
}
