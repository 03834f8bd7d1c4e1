//! Users, groups, roles, the ACL, and the operator's token.

use super::Builder;
use crate::spec::format::WorldFile;
use crate::spec::people::{AclSpec, UserSpec};
use crate::spec::problem::{At, suggest};
use crate::spec::value::{Many, WordOr};
use crate::world::access::{AclEntry, AclKind, Token};
use crate::world::privileges;

/// The password of root@pam when a file gives none, as in the world `lab`.
const ROOT_PASSWORD: &str = "lab-root";
/// The operator's token when a file names none, and its secret.
const TOKEN: &str = "root@pam!pvx";
const SECRET: &str = "5f0c1d1e-0000-4000-8000-000000000003";

impl Builder<'_> {
    pub(super) fn people(&mut self, file: &WorldFile) {
        let root = self.world.access.users.entry("root@pam".to_owned()).or_default();
        root.enable = true;
        root.password.get_or_insert_with(|| ROOT_PASSWORD.to_owned());
        for (name, privileges) in &file.roles {
            self.role(name, privileges);
        }
        for (name, group) in &file.groups {
            self.group(name, group);
        }
        for (name, user) in &file.users {
            self.user(name, user);
        }
        self.check_members(file);
        let top = At::top("acl");
        for (index, entry) in file.acl.iter().enumerate() {
            self.acl(&top.item(index), entry);
        }
        self.operator(file);
    }

    fn role(&mut self, name: &str, given: &[String]) {
        let top = At::top("roles");
        let at = top.key(name);
        if privileges::builtin(name).is_some() {
            let help = Some("choose another name".to_owned());
            return self.wrong(&at, format!("role '{name}' is built in"), help);
        }
        for (index, privilege) in given.iter().enumerate() {
            if !privileges::exists(privilege) {
                let all = privileges::builtin("Administrator").into_iter().flatten().copied();
                let help = suggest(privilege, all);
                self.wrong(&at.item(index), format!("there is no privilege '{privilege}'"), help);
            }
        }
        self.world.access.roles.insert(name.to_owned(), given.iter().cloned().collect());
    }

    fn group(&mut self, name: &str, group: &Many<String, crate::spec::people::GroupSpec>) {
        let (members, comment) = match group {
            Many::Count(_) => {
                let help = Some(format!("as in '{name}: [alice@pve]'"));
                let top = At::top("groups");
                return self.wrong(&top.key(name), "a group is a list of its members", help);
            }
            Many::List(members) => (members, ""),
            Many::Map(spec) => (&spec.members, spec.comment.as_str()),
        };
        let access = &mut self.world.access;
        access.groups.entry(name.to_owned()).or_default().extend(members.iter().cloned());
        if !comment.is_empty() {
            access.group_comments.insert(name.to_owned(), comment.to_owned());
        }
    }

    /// Members are users; told once all users are known.
    fn check_members(&mut self, file: &WorldFile) {
        let top = At::top("groups");
        for (name, group) in &file.groups {
            let at = top.key(name);
            let members = at.key("members");
            let (list, at) = match group {
                Many::Count(_) => continue,
                Many::List(list) => (list, &at),
                Many::Map(spec) => (&spec.members, &members),
            };
            for (index, user) in list.iter().enumerate() {
                self.knows_user(&at.item(index), user);
            }
        }
    }

    fn knows_user(&mut self, at: &At<'_>, name: &str) {
        if !self.world.access.users.contains_key(name) {
            let help = suggest(name, self.world.access.users.keys().map(String::as_str));
            self.wrong(at, format!("there is no user '{name}'"), help);
        }
    }

    fn user(&mut self, name: &str, spec: &UserSpec) {
        let top = At::top("users");
        let at = top.key(name);
        let parts =
            name.split_once('@').filter(|(user, realm)| !user.is_empty() && !realm.is_empty());
        if parts.is_none() || name.contains(['!', ' ', ':', '/']) {
            let help = Some("users are name@realm, as in alice@pve".to_owned());
            return self.wrong(&at, format!("'{name}' is no user"), help);
        }
        let groups = at.key("groups");
        for (index, group) in spec.groups.iter().enumerate() {
            match self.world.access.groups.get_mut(group) {
                Some(members) => {
                    members.insert(name.to_owned());
                }
                None => {
                    let help = suggest(group, self.world.access.groups.keys().map(String::as_str));
                    self.wrong(&groups.item(index), format!("there is no group '{group}'"), help);
                }
            }
        }
        let user = self.world.access.users.entry(name.to_owned()).or_default();
        user.enable = spec.enable.unwrap_or(true);
        user.expire = spec.expire.unwrap_or(user.expire);
        if spec.password.is_some() {
            user.password.clone_from(&spec.password);
        }
        for (key, value) in [
            ("comment", &spec.comment),
            ("email", &spec.email),
            ("firstname", &spec.firstname),
            ("lastname", &spec.lastname),
        ] {
            if let Some(value) = value {
                user.options.insert(key.to_owned(), value.clone());
            }
        }
        for (token, spec) in &spec.tokens {
            let value = match spec {
                WordOr::Word(secret) => {
                    Token { secret: secret.clone(), privsep: true, ..Token::default() }
                }
                WordOr::Full(spec) => Token {
                    secret: spec.secret.clone(),
                    privsep: spec.privsep,
                    expire: spec.expire,
                    comment: spec.comment.clone(),
                },
            };
            user.tokens.insert(token.clone(), value);
        }
    }

    fn acl(&mut self, at: &At<'_>, spec: &AclSpec) {
        let given = [
            (AclKind::User, &spec.user),
            (AclKind::Group, &spec.group),
            (AclKind::Token, &spec.token),
        ];
        let mut given = given.into_iter().filter_map(|(kind, id)| Some((kind, id.as_ref()?)));
        let (Some((kind, id)), None) = (given.next(), given.next()) else {
            let help = Some("give one of 'user', 'group' and 'token'".to_owned());
            return self.wrong(at, "whom is this entry for?", help);
        };
        if !spec.path.starts_with('/') {
            let help = Some("as in /vms/100 or /storage/local".to_owned());
            self.wrong(&at.key("path"), format!("'{}' is no path", spec.path), help);
        }
        match kind {
            AclKind::User => self.knows_user(&at.key("user"), id),
            AclKind::Group if !self.world.access.groups.contains_key(id) => {
                let help = suggest(id, self.world.access.groups.keys().map(String::as_str));
                self.wrong(&at.key("group"), format!("there is no group '{id}'"), help);
            }
            AclKind::Token if self.world.access.token(id).is_none() => {
                let help = Some("tokens are USER@REALM!NAME, made under 'users'".to_owned());
                self.wrong(&at.key("token"), format!("there is no token '{id}'"), help);
            }
            AclKind::Group | AclKind::Token => {}
        }
        if self.world.access.role(&spec.role).is_none() {
            let built_in = privileges::names().map(str::to_owned);
            let all: Vec<String> =
                built_in.chain(self.world.access.roles.keys().cloned()).collect();
            let help = suggest(&spec.role, all.iter().map(String::as_str));
            self.wrong(&at.key("role"), format!("there is no role '{}'", spec.role), help);
        }
        let (path, role) = (spec.path.clone(), spec.role.clone());
        let entry = AclEntry { path, kind, id: id.clone(), role, propagate: spec.propagate };
        self.world.access.acl.push(entry);
    }

    fn operator(&mut self, file: &WorldFile) {
        let at = At::top("operator");
        let (id, secret) = match &file.operator {
            None if !self.fresh => return,
            None => (TOKEN.to_owned(), None),
            Some(WordOr::Word(id)) => (id.clone(), None),
            Some(WordOr::Full(spec)) => (spec.token.clone(), spec.secret.clone()),
        };
        let Some((user, token)) = id.split_once('!').filter(|(_, token)| !token.is_empty()) else {
            let help = Some("as in root@pam!pvx".to_owned());
            return self.wrong(&at, format!("'{id}' is no token"), help);
        };
        self.knows_user(&at, user);
        let known = self.world.access.token(&id).map(|token| token.secret.clone());
        let secret = match (known, secret) {
            (Some(known), Some(other)) if known != other => {
                let message = format!("'{id}' has another secret under 'users'");
                return self.wrong(&at.key("secret"), message, None);
            }
            (Some(known), _) => known,
            (None, given) => {
                let secret = given.unwrap_or_else(|| SECRET.to_owned());
                if let Some(user) = self.world.access.users.get_mut(user) {
                    let made = Token { secret: secret.clone(), ..Token::default() };
                    user.tokens.insert(token.to_owned(), made);
                }
                secret
            }
        };
        self.world.operator = (id, secret);
    }
}
