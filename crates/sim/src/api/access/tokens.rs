//! `/access/users/{userid}/token` (`PVE::API2::User`).

use serde_json::{Map, Value, json};

use super::users::find;
use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional};
use crate::api::permission::{Groups, Permission};
use crate::api::refusal::Refusal;
use crate::api::user_config::{locked, stored};
use crate::guest::format::{Format, Kind, list};
use crate::world::World;
use crate::world::access::{Token, User};

const OWN: Permission =
    Permission::Or(&[Permission::OneSelf, Permission::UserGroup(&["User.Modify"], Groups::OfUser)]);
const PATH: &str = "/access/users/{userid}/token/{tokenid}";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/users/{userid}/token", index).may(OWN),
    Endpoint::get(PATH, read).may(OWN),
    Endpoint::post(PATH, create).may(OWN).with(&[
        optional("comment", Kind::TEXT),
        optional("expire", Kind::NATURAL),
        optional("privsep", Kind::Bool),
    ]),
    Endpoint::put(PATH, update).may(OWN).with(&[
        optional("comment", Kind::TEXT),
        optional("delete", Kind::Format(Format::ConfigIdList)),
        optional("expire", Kind::NATURAL),
        optional("privsep", Kind::Bool),
        optional("regenerate", Kind::Bool),
    ]),
    Endpoint::delete(PATH, delete).may(OWN),
];

/// A token as it is read back.
pub(super) fn shown(token: &Token) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("privsep".to_owned(), json!(u8::from(token.privsep)));
    out.insert("expire".to_owned(), json!(token.expire));
    if let Some(comment) = &token.comment {
        out.insert("comment".to_owned(), json!(comment));
    }
    out
}

/// All tokens of a user; null when there is none.
pub(super) fn listed(user: &User) -> Value {
    if user.tokens.is_empty() { Value::Null } else { entries(user) }
}

fn entries(user: &User) -> Value {
    let items = user.tokens.iter().map(|(name, token)| {
        let mut item = shown(token);
        item.insert("tokenid".to_owned(), json!(name));
        Value::Object(item)
    });
    Value::Array(items.collect())
}

/// User and token of the path, as they are named.
fn named(call: &Call<'_>) -> (String, String) {
    let part = |name| call.params.get(name).unwrap_or_default().to_owned();
    (part("userid"), part("tokenid"))
}

/// `check_token_exist`.
fn find_token<'a>(world: &'a World, user: &str, name: &str) -> Result<&'a Token, Refusal> {
    let missing = || Refusal::die(format!("no such token '{name}' for user '{user}'"));
    find(world, user)?.tokens.get(name).ok_or_else(missing)
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("userid").unwrap_or_default();
    Ok(entries(find(call.world, id)?).into())
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (user, name) = named(call);
    Ok(Value::Object(shown(find_token(call.world, &user, &name)?)).into())
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (user, name) = named(call);
    if find(call.world, &user)?.tokens.contains_key(&name) {
        return Err(Refusal::param("tokenid", "Token already exists."));
    }
    let full = format!("{user}!{name}");
    let token = Token {
        secret: secret(),
        privsep: call.params.flag("privsep").unwrap_or(true),
        expire: call.params.int("expire").unwrap_or(0),
        comment: call.params.get("comment").and_then(stored),
    };
    let mut info = as_given(call);
    info.entry("privsep").or_insert(json!(1));
    info.retain(|key, value| key != "comment" || !matches!(value.as_str(), Some("" | "0")));
    let value = token.secret.clone();
    locked(call, "generating token failed", |call| put(call, &user, &name, token))?;
    Ok(json!({ "info": info, "value": value, "full-tokenid": full }).into())
}

fn secret() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Parameters come back as the text that was sent.
fn as_given(call: &Call<'_>) -> Map<String, Value> {
    let names = ["privsep", "expire", "comment"].into_iter();
    let given = names.filter_map(|name| Some((name.to_owned(), json!(call.params.get(name)?))));
    given.collect()
}

fn put(call: &mut Call<'_>, user: &str, name: &str, token: Token) -> Result<(), Refusal> {
    find(call.world, user)?;
    if let Some(user) = call.world.access.users.get_mut(user) {
        user.tokens.insert(name.to_owned(), token);
    }
    Ok(())
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (user, name) = named(call);
    find_token(call.world, &user, &name)?;
    let mut out = Map::new();
    locked(call, "updating token info failed", |call| {
        let mut token = find_token(call.world, &user, &name)?.clone();
        token.privsep = call.params.flag("privsep").unwrap_or(token.privsep);
        token.expire = call.params.int("expire").unwrap_or(token.expire);
        if let Some(comment) = call.params.get("comment") {
            token.comment = stored(comment);
        }
        for key in list(call.params.get("delete").unwrap_or_default()) {
            if key != "comment" {
                return Err(Refusal::param("delete", format!("unknown option '{key}'")));
            }
            token.comment = None;
        }
        out = shown(&token);
        let given = as_given(call);
        out.extend(given.into_iter().filter(|(key, _)| key != "comment"));
        if call.params.flag("regenerate").unwrap_or(false) {
            token.secret = secret();
            out.insert("value".to_owned(), json!(token.secret));
            out.insert("full-tokenid".to_owned(), json!(format!("{user}!{name}")));
        }
        put(call, &user, &name, token)
    })?;
    Ok(Value::Object(out).into())
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (user, name) = named(call);
    find_token(call.world, &user, &name)?;
    locked(call, "deleting token failed", |call| {
        find_token(call.world, &user, &name)?;
        if let Some(user) = call.world.access.users.get_mut(&user) {
            user.tokens.remove(&name);
        }
        Ok(())
    })?;
    Ok(Value::Null.into())
}
