//! Users, tokens, groups, roles and the ACL tree, after `PVE::AccessControl::roles` and
//! `PVE::RPCEnvironment::permissions`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::privileges;

/// An API token of a user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Token {
    /// The secret; a real server shows it once.
    pub secret: String,
    /// Privilege separation: the token has the intersection of its own and the user's rights.
    pub privsep: bool,
    /// Unix seconds, 0 for never.
    #[serde(default)]
    pub expire: i64,
    /// Comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// A user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct User {
    /// Disabled users cannot log in.
    pub enable: bool,
    /// Unix seconds, 0 for never.
    #[serde(default)]
    pub expire: i64,
    /// Password, when one is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Further properties (`comment`, `email`, `firstname`, `lastname`).
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Tokens by name.
    #[serde(default)]
    pub tokens: BTreeMap<String, Token>,
}

/// Whom an ACL entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AclKind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A token, `user@realm!name`.
    Token,
}

impl AclKind {
    /// The word in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Token => "token",
        }
    }
}

/// One line of the ACL.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AclEntry {
    /// `/`, `/vms/100`, `/storage/local`, …
    pub path: String,
    /// Kind of `id`.
    pub kind: AclKind,
    /// Who.
    pub id: String,
    /// Role.
    pub role: String,
    /// Holds below the path too.
    pub propagate: bool,
}

/// Who may do what.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Access {
    /// By `name@realm`.
    pub users: BTreeMap<String, User>,
    /// Members by group.
    #[serde(default)]
    pub groups: BTreeMap<String, BTreeSet<String>>,
    /// Comments by group.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub group_comments: BTreeMap<String, String>,
    /// Privileges by own role; the built-in roles are in `privileges`.
    #[serde(default)]
    pub roles: BTreeMap<String, BTreeSet<String>>,
    /// The ACL.
    #[serde(default)]
    pub acl: Vec<AclEntry>,
    /// `domains.cfg`, once it was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) realms: BTreeMap<String, Realm>,
}

/// A realm of `domains.cfg`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Realm {
    /// `pam`, `pve`, `ad`, `ldap`, `openid`.
    pub(crate) kind: String,
    pub(crate) options: BTreeMap<String, String>,
}

/// Who calls: a user, perhaps through a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// `name@realm` or `name@realm!token`.
    pub(crate) authid: String,
}

impl Caller {
    /// root@pam itself; a token of root@pam is not.
    pub(crate) fn is_root(&self) -> bool {
        self.authid == "root@pam"
    }
}

impl Access {
    /// Adds an ACL entry that propagates.
    pub fn grant(&mut self, path: &str, kind: AclKind, id: &str, role: &str) {
        let (path, id, role) = (path.to_owned(), id.to_owned(), role.to_owned());
        self.acl.push(AclEntry { path, kind, id, role, propagate: true });
    }

    /// Adds or replaces a role.
    pub fn add_role(&mut self, name: &str, privileges: &[&str]) {
        let privileges = privileges.iter().map(|&name| name.to_owned()).collect();
        self.roles.insert(name.to_owned(), privileges);
    }

    /// Adds an enabled user with one token.
    pub fn add_token(&mut self, user: &str, token: &str, secret: &str, privsep: bool) {
        let entry = self.users.entry(user.to_owned()).or_default();
        entry.enable = true;
        let token_value = Token { secret: secret.to_owned(), privsep, ..Token::default() };
        entry.tokens.insert(token.to_owned(), token_value);
    }

    /// The privileges of a role, own or built in; none when it does not exist.
    pub(crate) fn role(&self, name: &str) -> Option<BTreeSet<&str>> {
        match privileges::builtin(name) {
            Some(special) => Some(special.clone()),
            None => Some(self.roles.get(name)?.iter().map(String::as_str).collect()),
        }
    }

    fn role_holds(&self, role: &str, privilege: &str) -> bool {
        match privileges::builtin(role) {
            Some(special) => special.contains(privilege),
            None => self.roles.get(role).is_some_and(|own| own.contains(privilege)),
        }
    }

    /// The groups of a user, sorted.
    pub(crate) fn groups_of<'a>(&'a self, user: &'a str) -> impl Iterator<Item = &'a str> {
        let groups = self.groups.iter().filter(move |(_, members)| members.contains(user));
        groups.map(|(name, _)| name.as_str())
    }

    /// Forgets ACL entries whose role or token is gone: reading `user.cfg` skips their lines.
    pub(crate) fn forget_stale(&mut self) {
        let mut acl = std::mem::take(&mut self.acl);
        acl.retain(|entry| {
            let there = entry.kind != AclKind::Token || self.token(&entry.id).is_some();
            there && self.role(&entry.role).is_some()
        });
        self.acl = acl;
    }

    pub(crate) fn token(&self, authid: &str) -> Option<&Token> {
        let (user, token) = authid.split_once('!')?;
        self.users.get(user)?.tokens.get(token)
    }

    /// Role names (and whether they propagate) that `authid` has at `path`.
    fn roles_at(&self, authid: &str, path: &str) -> Roles<'_> {
        if authid == "root@pam" {
            return BTreeMap::from([("Administrator", true)]);
        }
        if authid.contains('!') {
            let Some(token) = self.token(authid) else { return BTreeMap::new() };
            if !token.privsep {
                return self.roles_at(authid.split('!').next().unwrap_or_default(), path);
            }
        }
        let mut roles = BTreeMap::new();
        for (node, last) in walk(path) {
            if let Some(found) = self.roles_on(authid, &node, last) {
                roles = found;
            }
        }
        if let Some(&propagate) = roles.get("NoAccess") {
            return BTreeMap::from([("NoAccess", propagate)]);
        }
        roles
    }

    /// What the entries at exactly `path` say of `authid`: its own before its groups'.
    fn roles_on(&self, authid: &str, path: &str, last: bool) -> Option<Roles<'_>> {
        let here = self.acl.iter().filter(|entry| entry.path == path && (last || entry.propagate));
        let (mut own, mut groups) = (BTreeMap::new(), BTreeMap::new());
        for entry in here {
            let member = || self.groups.get(&entry.id).is_some_and(|group| group.contains(authid));
            match entry.kind {
                AclKind::User | AclKind::Token if entry.id == authid => {
                    own.insert(entry.role.as_str(), entry.propagate);
                }
                AclKind::Group if member() => {
                    groups.insert(entry.role.as_str(), entry.propagate);
                }
                _ => {}
            }
        }
        [own, groups].into_iter().find(|found| !found.is_empty())
    }

    /// The roles at `path` with those that the pools of its guest or storage give.
    fn roles_with_pools(&self, authid: &str, path: &str, pools: &[&str]) -> Roles<'_> {
        let mut roles = self.roles_at(authid, path);
        if roles.contains_key("NoAccess") {
            return roles;
        }
        for pool in pools {
            let found = self.roles_at(authid, &format!("/pool/{pool}"));
            // NoAccess on a pool trumps what the path itself gives.
            if found.contains_key("NoAccess") {
                return BTreeMap::from([("NoAccess", false)]);
            }
            for role in found.into_keys() {
                roles.entry(role).or_insert(false);
            }
        }
        roles
    }

    /// Whether `authid` has a privilege at `path`; `pools` are those of the guest or storage that
    /// the path names.
    pub(crate) fn holds(&self, authid: &str, path: &str, pools: &[&str], privilege: &str) -> bool {
        let roles = self.roles_with_pools(authid, path, pools);
        roles.keys().any(|role| self.role_holds(role, privilege))
            && (!self.separated(authid) || self.holds(user_of(authid), path, pools, privilege))
    }

    fn separated(&self, authid: &str) -> bool {
        authid.contains('!') && self.token(authid).is_some_and(|token| token.privsep)
    }

    /// The privileges of `authid` at `path`, with whether they propagate.
    pub(crate) fn privileges(
        &self,
        authid: &str,
        path: &str,
        pools: &[&str],
    ) -> BTreeMap<&str, bool> {
        let mut found = BTreeMap::new();
        for (role, propagate) in self.roles_with_pools(authid, path, pools) {
            for privilege in self.role(role).unwrap_or_default() {
                *found.entry(privilege).or_insert(propagate) |= propagate;
            }
        }
        if self.separated(authid) {
            let limit = self.privileges(user_of(authid), path, pools);
            found.retain(|privilege, propagate| {
                let other = limit.get(privilege);
                *propagate &= other.is_some_and(|other| *other);
                other.is_some()
            });
        }
        found
    }

    /// All nodes of the ACL tree, sorted: the paths of entries and what is above them.
    pub(crate) fn tree(&self) -> BTreeSet<String> {
        let paths = self.acl.iter().flat_map(|entry| walk(&entry.path));
        std::iter::once("/".to_owned()).chain(paths.map(|(path, _)| path)).collect()
    }
}

/// Roles with whether they propagate.
type Roles<'a> = BTreeMap<&'a str, bool>;

fn user_of(authid: &str) -> &str {
    authid.split('!').next().unwrap_or_default()
}

/// The paths from `/` down to `path`, and whether each is the last. A path that does not begin at
/// `/` passes it by (`split` in `PVE::AccessControl::roles`).
fn walk(path: &str) -> Vec<(String, bool)> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut here = String::new();
    let mut all = Vec::new();
    if path.starts_with('/') {
        all.push(("/".to_owned(), parts.is_empty()));
    }
    for (index, part) in parts.iter().enumerate() {
        here.push('/');
        here.push_str(part);
        all.push((here.clone(), index + 1 == parts.len()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        let mut access = Access::default();
        access.add_token("pvx@pve", "cli", "s", false);
        access.add_token("pvx@pve", "sep", "s", true);
        access.roles.insert("Op".into(), BTreeSet::from(["VM.Audit".into(), "VM.Clone".into()]));
        access.roles.insert("See".into(), BTreeSet::from(["VM.Audit".into(), "Sys.Audit".into()]));
        access.grant("/", AclKind::User, "pvx@pve", "Op");
        access.grant("/vms", AclKind::Token, "pvx@pve!sep", "See");
        access
    }

    fn names(access: &Access, who: &str, path: &str) -> Vec<String> {
        access.privileges(who, path, &[]).into_keys().map(str::to_owned).collect()
    }

    #[test]
    fn tokens_and_privilege_separation() {
        let access = access();
        assert_eq!(names(&access, "pvx@pve!cli", "/vms/100"), ["VM.Audit", "VM.Clone"]);
        assert_eq!(names(&access, "pvx@pve!sep", "/vms/100"), ["VM.Audit"]);
        assert!(names(&access, "pvx@pve!sep", "/storage/x").is_empty());
        assert!(names(&access, "pvx@pve!gone", "/vms/100").is_empty());
    }

    #[test]
    fn a_deeper_entry_replaces_and_does_not_always_propagate() {
        let mut access = access();
        assert!(names(&access, "pvx@pve", "vms").is_empty());
        access.grant("/vms/100", AclKind::User, "pvx@pve", "NoAccess");
        assert!(names(&access, "pvx@pve", "/vms/100").is_empty());
        assert_eq!(names(&access, "pvx@pve", "/vms/101").len(), 2);
        for entry in &mut access.acl {
            entry.propagate = false;
        }
        assert!(names(&access, "pvx@pve", "/vms/101").is_empty());
        assert_eq!(names(&access, "pvx@pve", "/").len(), 2);
    }

    #[test]
    fn pools_and_groups_give_rights() {
        let mut access = Access::default();
        access.groups.insert("ops".into(), BTreeSet::from(["a@pve".into()]));
        access.roles.insert("Op".into(), BTreeSet::from(["VM.Audit".into()]));
        access.grant("/pool/p", AclKind::Group, "ops", "Op");
        assert!(access.privileges("a@pve", "/vms/1", &[]).is_empty());
        assert_eq!(access.privileges("a@pve", "/vms/1", &["p"]).len(), 1);
    }
}
