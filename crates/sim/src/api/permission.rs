//! Permission checks of endpoints (`PVE::RPCEnvironment::check_api2_permissions`).

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
}

impl Permission {
    pub(crate) fn check(
        &self,
        world: &World,
        caller: &Caller,
        params: &Params,
    ) -> Result<(), Refusal> {
        match *self {
            Self::World | Self::User => Ok(()),
            Self::All(path, wanted) => world.require(caller, &fill(path, params), wanted),
            Self::Any(path, wanted) => world.require_any(caller, &fill(path, params), wanted),
        }
    }
}

/// Puts parameters into a path.
fn fill(template: &str, params: &Params) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(params.get(name).unwrap_or_default());
        rest = tail;
    }
    out.push_str(rest);
    out
}

impl World {
    /// The pool that a path's guest or storage is in.
    fn pool_for(&self, path: &str) -> Option<&str> {
        if self.pools.is_empty() {
            return None;
        }
        if let Some(vmid) = path.strip_prefix("/vms/").and_then(|vmid| vmid.parse().ok()) {
            return self.pool_of(vmid);
        }
        let storage = path.strip_prefix("/storage/")?;
        let holds = |pool: &&crate::world::Pool| pool.storages.contains(storage);
        let found = self.pools.iter().find(|(_, pool)| holds(pool));
        found.map(|(name, _)| name.as_str())
    }

    /// Whether `caller` has any of the privileges on a path.
    pub(crate) fn may_any(&self, caller: &Caller, path: &str, wanted: &[&str]) -> bool {
        if caller.is_root() {
            return true;
        }
        let have = self.access.privileges(&caller.authid, path, self.pool_for(path));
        wanted.iter().any(|privilege| have.contains_key(*privilege))
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
