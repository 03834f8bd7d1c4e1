//! Who calls: API tokens, tickets and their CSRF tokens.

use sha2::{Digest, Sha256};

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

/// The caller, or the reason of the 401.
pub(crate) fn authenticate(
    world: &World,
    credentials: &Credentials,
    writes: bool,
    now: i64,
) -> Result<Caller, String> {
    if let Some(token) =
        credentials.authorization.as_deref().and_then(|value| value.strip_prefix("PVEAPIToken="))
    {
        return by_token(world, token, now).ok_or_else(|| "Authentication failed!".to_owned());
    }
    let ticket =
        credentials.authorization.as_deref().and_then(|value| value.strip_prefix("PVEAuthCookie="));
    let ticket =
        ticket.map(str::to_owned).or_else(|| credentials.cookie.as_deref().and_then(cookie_ticket));
    let Some(ticket) = ticket.filter(|ticket| !ticket.is_empty()) else {
        return Err("No ticket".to_owned());
    };
    let user = check_ticket(world, &ticket, now)
        .ok_or_else(|| "permission denied - invalid PVE ticket".to_owned())?;
    if writes
        && !credentials.csrf.as_deref().is_some_and(|token| check_csrf(world, &user, token, now))
    {
        return Err("Permission denied - invalid csrf token".to_owned());
    }
    Ok(Caller { authid: user })
}

fn by_token(world: &World, token: &str, now: i64) -> Option<Caller> {
    // Both `!name=secret` and the older `!name:secret` are accepted.
    let (authid, secret) = token.split_once('=').or_else(|| token.rsplit_once(':'))?;
    let (user, name) = authid.split_once('!')?;
    let user = world.access.users.get(user).filter(|user| alive(user.enable, user.expire, now))?;
    let token = user.tokens.get(name).filter(|token| alive(true, token.expire, now))?;
    (token.secret == secret).then(|| Caller { authid: authid.to_owned() })
}

fn alive(enabled: bool, expire: i64, now: i64) -> bool {
    enabled && (expire == 0 || expire > now)
}

fn cookie_ticket(cookies: &str) -> Option<String> {
    let pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.into_iter().find(|(name, _)| *name == "PVEAuthCookie")?;
    Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn sign(world: &World, text: &str) -> String {
    hex(&Sha256::digest(format!("{}|{text}", world.ticket_key).as_bytes()))
}

/// A ticket: `PVE:user@realm:TIME::signature`.
pub(crate) fn make_ticket(world: &World, user: &str, now: i64) -> String {
    let plain = format!("PVE:{user}:{now:08X}");
    format!("{plain}::{}", sign(world, &plain))
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
    let known =
        world.access.users.get(user).is_some_and(|found| alive(found.enable, found.expire, now));
    (known && (-300..=TICKET_LIFE).contains(&age)).then(|| user.to_owned())
}

fn check_csrf(world: &World, user: &str, token: &str, now: i64) -> bool {
    let Some((time, signature)) = token.split_once(':') else { return false };
    let age = i64::from_str_radix(time, 16).map(|made| now - made);
    signature == sign(world, &format!("{time}:{user}"))
        && age.is_ok_and(|age| (-300..=TICKET_LIFE).contains(&age))
}

/// Whether the password is the user's.
pub(crate) fn check_password(world: &World, user: &str, password: &str, now: i64) -> bool {
    let found = world.access.users.get(user).filter(|user| alive(user.enable, user.expire, now));
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
            "PVEAPIToken=",
            "PVEAPIToken=a=b",
        ] {
            assert_eq!(
                authenticate(&world, &with_token(bad), true, 1),
                Err("Authentication failed!".to_owned())
            );
        }
        assert_eq!(
            authenticate(&world, &Credentials::default(), false, 1),
            Err("No ticket".to_owned())
        );
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
