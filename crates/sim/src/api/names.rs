//! Formats of names in access control: users, tokens, groups, roles, pools, privileges
//! (`PVE::Auth::Plugin`, `PVE::AccessControl`).

use crate::guest::format::{Kind, list};

/// `userid`.
pub(crate) const USER: Kind = Kind::Check(user);
pub(crate) const USERS: Kind = Kind::Check(|value| each(value, |id| split_user(id).map(|_| ())));
pub(crate) const GROUP: Kind = Kind::Check(|value| formatted(group(value)));
pub(crate) const GROUPS: Kind = Kind::Check(|value| each(value, group));
pub(crate) const ROLE: Kind = Kind::Check(|value| formatted(role(value)));
pub(crate) const ROLES: Kind = Kind::Check(|value| each(value, role));
pub(crate) const TOKENS: Kind = Kind::Check(|value| each(value, full_token));
pub(crate) const POOL: Kind = Kind::Check(|value| formatted(pool(value)));
pub(crate) const PRIVILEGES: Kind = Kind::Check(|value| each(value, privilege));
pub(crate) const REALM: Kind = Kind::Check(realm);
/// The part of a token's id after the `!`.
pub(crate) const TOKEN: Kind = Kind::Check(|value| pattern(is_realm(value)));
/// A user or a full token id.
pub(crate) const AUTHID: Kind = Kind::Check(|value| pattern(is_authid(value)));
pub(crate) const EMAIL: Kind = Kind::Check(email);
pub(crate) const KEYS: Kind = Kind::Check(|value| {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"!=".contains(&byte);
    pattern(value.len() <= 4096 && value.bytes().all(known))
});
/// A new password: 8 to 64 characters.
pub(crate) const PASSWORD: Kind = Kind::Check(|value| length(value, 8, 64));
/// The caller's own password, as asked for again.
pub(crate) const OWN_PASSWORD: Kind = Kind::Check(|value| length(value, 5, 64));

fn formatted(result: Result<(), String>) -> Result<(), String> {
    result.map_err(|error| format!("invalid format - {error}\n"))
}

fn each(value: &str, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    formatted(list(value).try_for_each(check))
}

fn pattern(ok: bool) -> Result<(), String> {
    if ok { Ok(()) } else { Err("value does not match the regex pattern".to_owned()) }
}

fn length(value: &str, min: usize, max: usize) -> Result<(), String> {
    match value.chars().count() {
        count if count > max => Err(format!("value may only be {max} characters long")),
        count if count < min => Err(format!("value must be at least {min} characters long")),
        _ => Ok(()),
    }
}

fn is_word(value: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !value.is_empty() && value.bytes().all(known)
}

/// `$realm_regex`: a letter and at least one more.
pub(crate) fn is_realm(value: &str) -> bool {
    let letter = value.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    letter && value.len() >= 2 && is_word(value)
}

/// Name and realm of a user id (`verify_username`).
pub(crate) fn split_user(id: &str) -> Result<(&str, &str), String> {
    let count = id.chars().count();
    if count < 3 || id == "0" {
        return Err(format!("user name '{id}' is too short"));
    }
    if count > 64 {
        return Err(format!("user name '{id}' is too long ({count} > 64)"));
    }
    let known = |name: &str| {
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == ':' || c == '/')
    };
    let parts = id.rsplit_once('@').filter(|(name, realm)| known(name) && is_realm(realm));
    parts.ok_or_else(|| format!("value '{id}' does not look like a valid user name"))
}

/// User and name of a full token id.
pub(crate) fn split_token(id: &str) -> Option<(&str, &str)> {
    let (user, token) = id.rsplit_once('!')?;
    let (name, realm) = user.rsplit_once('@')?;
    let known = !name.is_empty() && !name.contains([' ', '\t', '\n', ':', '/']);
    (known && is_realm(realm) && is_realm(token)).then_some((user, token))
}

fn is_authid(value: &str) -> bool {
    split_token(value).is_some() || split_user(value).is_ok()
}

fn user(value: &str) -> Result<(), String> {
    formatted(split_user(value).map(|_| ()))
}

fn group(value: &str) -> Result<(), String> {
    if is_word(value) {
        return Ok(());
    }
    Err(format!("group name '{value}' contains invalid characters"))
}

fn role(value: &str) -> Result<(), String> {
    if is_word(value) {
        Ok(())
    } else {
        Err(format!("role name '{value}' contains invalid characters"))
    }
}

fn full_token(value: &str) -> Result<(), String> {
    match split_token(value) {
        Some(_) => Ok(()),
        None => Err(format!("value '{value}' does not look like a valid token ID")),
    }
}

fn pool(value: &str) -> Result<(), String> {
    // Perl's split leaves empty parts at the end out.
    if value.trim_end_matches('/').split('/').count() > 3 {
        return Err(format!("pool name '{value}' nested too deeply (max levels = 3)"));
    }
    if value.split('/').all(is_word) {
        return Ok(());
    }
    Err(format!("pool name '{value}' contains invalid characters"))
}

fn privilege(value: &str) -> Result<(), String> {
    if crate::world::privileges::exists(value) {
        return Ok(());
    }
    Err(format!("invalid privilege '{value}'"))
}

fn realm(value: &str) -> Result<(), String> {
    if !is_realm(value) {
        return Err("invalid format - value does not look like a valid realm\n".to_owned());
    }
    length(value, 0, 32)
}

fn email(value: &str) -> Result<(), String> {
    let name = |text: &str| {
        let known = |c: char| c.is_alphanumeric() || matches!(c, '_' | '+' | '-' | '~');
        text.split('.').all(|part| !part.is_empty() && part.chars().all(known))
    };
    let host = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        text.split('.').all(|part| !part.is_empty() && part.bytes().all(known))
    };
    let ok = value.split_once('@').is_some_and(|(local, rest)| name(local) && host(rest));
    if !ok && !matches!(value, "" | "0") {
        return Err("invalid format - value does not look like a valid email address\n".to_owned());
    }
    length(value, 0, 254)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::format::check;

    #[test]
    fn names_are_checked_in_proxmoxs_words() {
        let cases: &[(Kind, &str, &str)] = &[
            (USER, "a", "invalid format - user name 'a' is too short\n"),
            (USER, "abc", "invalid format - value 'abc' does not look like a valid user name\n"),
            (USERS, "a@pve,b", "invalid format - user name 'b' is too short\n"),
            (GROUP, "a b", "invalid format - group name 'a b' contains invalid characters\n"),
            (ROLES, "A,b/c", "invalid format - role name 'b/c' contains invalid characters\n"),
            (
                TOKENS,
                "a@pve",
                "invalid format - value 'a@pve' does not look like a valid token ID\n",
            ),
            (
                POOL,
                "a/b/c/d",
                "invalid format - pool name 'a/b/c/d' nested too deeply (max levels = 3)\n",
            ),
            (POOL, "a//b", "invalid format - pool name 'a//b' contains invalid characters\n"),
            (PRIVILEGES, "VM.Fly", "invalid format - invalid privilege 'VM.Fly'\n"),
            (TOKEN, "1a", "value does not match the regex pattern"),
            (EMAIL, "x", "invalid format - value does not look like a valid email address\n"),
            (PASSWORD, "short", "value must be at least 8 characters long"),
        ];
        for (kind, value, expected) in cases {
            assert_eq!(check(*kind, "x", value), Err((*expected).to_owned()), "{value}");
        }
        let good: &[(Kind, &str)] = &[
            (USER, "a@b@pve"),
            (USERS, ""),
            (POOL, "a/b/c"),
            (TOKENS, "a@pve!t1;b@pam!xy"),
            (AUTHID, "root@pam!lab"),
            (EMAIL, "a.b+c@example"),
        ];
        for (kind, value) in good {
            assert_eq!(check(*kind, "x", value), Ok(()), "{value}");
        }
    }
}
