//! Who calls: API tokens, tickets and their CSRF tokens.

use sha2::{Digest, Sha256};

use crate::api::names;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::hex;

/// Seconds that a ticket lives.
const TICKET_LIFE: i64 = 7200;

/// The headers that tell who calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    pub(crate) authorization: Option<String>,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: Option<String>,
}

/// What a request gives to tell who calls (`PVE::APIServer::AnyEvent`): a cookie, the same in the
/// `Authorization` header, or else an API token there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Given {
    Ticket(String),
    Token(String),
    Nothing,
}

impl Credentials {
    pub(crate) fn given(&self) -> Given {
        let cookie = self.cookie.as_deref().and_then(|text| value(text, "PVEAuthCookie"));
        let header = self.authorization.as_deref();
        let in_header = || header.and_then(|text| value(text, "PVEAuthCookie"));
        if let Some(ticket) = cookie.or_else(in_header) {
            return Given::Ticket(ticket);
        }
        let token = header.and_then(|text| value(text, "PVEAPIToken"));
        token.map_or(Given::Nothing, Given::Token)
    }
}

/// `extract_auth_value`: what stands after `key=` or `key ` up to a semicolon, decoded. Before the
/// key stands white space or nothing.
fn value(text: &str, key: &str) -> Option<String> {
    let found = text.match_indices(key).find_map(|(at, _)| {
        let before = text.get(..at)?.chars().next_back();
        let after = text.get(at + key.len()..)?.strip_prefix(['=', ' '])?;
        before.is_none_or(char::is_whitespace).then_some(after)
    })?;
    let raw = found.split(';').next().unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(raw).decode_utf8_lossy().into_owned();
    (!matches!(decoded.as_str(), "" | "0")).then_some(decoded)
}

/// The caller, or the reason of the 401.
pub(crate) fn authenticate(
    world: &World,
    credentials: &Credentials,
    writes: bool,
    now: i64,
) -> Result<Caller, String> {
    let failed = || "Authentication failed!".to_owned();
    let ticket = match credentials.given() {
        Given::Token(token) => return by_token(world, &token, now).ok_or_else(failed),
        Given::Ticket(ticket) => ticket,
        Given::Nothing => return Err("No ticket".to_owned()),
    };
    let user = check_ticket(world, &ticket, now).filter(|user| enabled(world, user, now));
    let user = user.ok_or_else(failed)?;
    if writes
        && !credentials.csrf.as_deref().is_some_and(|token| check_csrf(world, &user, token, now))
    {
        return Err("Permission denied - invalid csrf token".to_owned());
    }
    Ok(Caller { authid: user })
}

/// `PVE::AccessControl::verify_token`.
fn by_token(world: &World, token: &str, now: i64) -> Option<Caller> {
    let (authid, secret) = token.rsplit_once('=')?;
    let (user, name) = names::split_token(authid)?;
    if !enabled(world, user, now) {
        return None;
    }
    let token = world.access.users.get(user)?.tokens.get(name)?;
    let valid = alive(token.expire, now) && token.secret == secret;
    valid.then(|| Caller { authid: authid.to_owned() })
}

/// Whether what ends at `expire` (0: never) still holds.
fn alive(expire: i64, now: i64) -> bool {
    expire == 0 || expire >= now
}

/// Whether there is such a user, neither disabled nor expired.
pub(crate) fn enabled(world: &World, user: &str, now: i64) -> bool {
    let found = world.access.users.get(user);
    found.is_some_and(|user| user.enable && alive(user.expire, now))
}

fn sign(world: &World, text: &str) -> String {
    hex(&Sha256::digest(format!("{}|{text}", world.ticket_key).as_bytes()))
}

/// A ticket: `PVE:user@realm:TIME::signature`.
pub(crate) fn make_ticket(world: &World, user: &str, now: i64) -> String {
    let plain = format!("PVE:{user}:{now:08X}");
    format!("{plain}::{}", sign(world, &plain))
}

/// What a console's ticket signs: it names neither user nor path.
fn vnc_plain(time: &str, user: &str, path: &str, port: &str) -> String {
    format!("PVEVNC:{time}:{user}:{path}:{port}")
}

/// A ticket for one console: `PVEVNC:TIME::signature`.
pub(crate) fn make_vnc_ticket(
    world: &World,
    user: &str,
    path: &str,
    port: usize,
    now: i64,
) -> String {
    let time = format!("{now:08X}");
    let signed = sign(world, &vnc_plain(&time, user, path, &port.to_string()));
    format!("PVEVNC:{time}::{signed}")
}

/// Whether a console's ticket is for this user, path and port, and less than 40 s old. A password
/// may stand before it.
pub(crate) fn check_vnc_ticket(
    world: &World,
    ticket: &str,
    user: &str,
    path: &str,
    port: &str,
    now: i64,
) -> bool {
    let start = ticket.find("PVEVNC:").filter(|at| matches!(at, 0 | 9)).unwrap_or(0);
    let ticket = ticket.get(start..).unwrap_or_default();
    let parts = ticket.strip_prefix("PVEVNC:").and_then(|rest| rest.split_once("::"));
    let Some((time, signature)) = parts else { return false };
    let age = i64::from_str_radix(time, 16).map(|made| now - made);
    signature == sign(world, &vnc_plain(time, user, path, port))
        && age.is_ok_and(|age| age > -20 && age < 40)
}

/// A CSRF prevention token: `TIME:signature`.
pub(crate) fn make_csrf(world: &World, user: &str, now: i64) -> String {
    format!("{now:08X}:{}", sign(world, &format!("{now:08X}:{user}")))
}

/// The user of a ticket that is ours and young enough.
pub(crate) fn check_ticket(world: &World, ticket: &str, now: i64) -> Option<String> {
    let (plain, signature) = ticket.split_once("::")?;
    if sign(world, plain) != signature {
        return None;
    }
    let (user, time) = plain.strip_prefix("PVE:")?.rsplit_once(':')?;
    let age = now - i64::from_str_radix(time, 16).ok()?;
    young(age).then(|| user.to_owned())
}

/// Seconds of age at which tickets and CSRF tokens hold: clocks may differ by five minutes.
fn young(age: i64) -> bool {
    age > -300 && age < TICKET_LIFE
}

fn check_csrf(world: &World, user: &str, token: &str, now: i64) -> bool {
    let Some((time, signature)) = token.split_once(':') else { return false };
    let age = i64::from_str_radix(time, 16).map(|made| now - made);
    signature == sign(world, &format!("{time}:{user}")) && age.is_ok_and(young)
}

/// Whether the password is the user's.
pub(crate) fn check_password(world: &World, user: &str, password: &str) -> bool {
    let found = world.access.users.get(user).filter(|_| !matches!(password, "" | "0"));
    found.and_then(|user| user.password.as_deref()).is_some_and(|own| own == password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_token(value: &str) -> Credentials {
        Credentials { authorization: Some(value.to_owned()), ..Credentials::default() }
    }

    #[test]
    fn tokens() {
        let world = World::truth();
        let good = "PVEAPIToken=pvx@pve!cli=11111111-2222-4333-8444-000000000002";
        let caller = authenticate(&world, &with_token(good), true, 1).unwrap();
        assert_eq!(caller.authid, "pvx@pve!cli");
        for bad in [
            "PVEAPIToken=pvx@pve!cli=x",
            "PVEAPIToken=pvx@pve!no=x",
            "PVEAPIToken=pvx@pve!cli:11111111-2222-4333-8444-000000000002",
            "PVEAPIToken=a=b",
        ] {
            assert_eq!(
                authenticate(&world, &with_token(bad), true, 1),
                Err("Authentication failed!".to_owned())
            );
        }
        for none in [Credentials::default(), with_token("PVEAPIToken="), with_token("Bearer x")] {
            assert_eq!(authenticate(&world, &none, false, 1), Err("No ticket".to_owned()));
        }
        for same in [
            "PVEAPIToken pvx@pve!cli=11111111-2222-4333-8444-000000000002",
            "PVEAPIToken=pvx%40pve%21cli%3D11111111-2222-4333-8444-000000000002; x",
        ] {
            assert!(authenticate(&world, &with_token(same), true, 1).is_ok(), "{same}");
        }
    }

    #[test]
    fn tickets_need_a_csrf_token_to_write_and_grow_old() {
        let mut world = World::truth();
        world.ticket_key = "k".to_owned();
        let cookie = Some(format!("a=b; PVEAuthCookie={}", make_ticket(&world, "root@pam", 1000)));
        let mut credentials = Credentials { cookie, ..Credentials::default() };
        assert!(
            authenticate(&world, &credentials, false, 1000).is_ok_and(|caller| caller.is_root())
        );
        let reason = authenticate(&world, &credentials, true, 1000).unwrap_err();
        assert_eq!(reason, "Permission denied - invalid csrf token");
        credentials.csrf = Some(make_csrf(&world, "root@pam", 1000));
        assert!(authenticate(&world, &credentials, true, 1000).is_ok());
        assert!(authenticate(&world, &credentials, true, 1000 + TICKET_LIFE + 1).is_err());
        world.ticket_key = "other".to_owned();
        assert!(authenticate(&world, &credentials, false, 1000).is_err());
    }
}
