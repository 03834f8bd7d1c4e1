//! `/access/domains` (`PVE::API2::Domains`): the two realms that are always there, and those that
//! were added. Nothing is behind an added one: no server answers.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sha1::{Digest, Sha1};

use super::domain_options::{self, CREATE, UPDATE};
use crate::api::call::{Call, Reply};
use crate::api::endpoint::{Endpoint, optional};
use crate::api::ha_resources::CHANGED;
use crate::api::permission::Permission;
use crate::api::refusal::Refusal;
use crate::guest::format::{Kind, list};
use crate::world::World;
use crate::world::access::Realm;
use crate::world::guest::hex;

const ALLOCATE: Permission = Permission::All("/access/realm", &["Realm.Allocate"]);
const SYNC: Permission = Permission::And(&[
    Permission::All("/access/realm/{realm}", &["Realm.AllocateUser"]),
    Permission::All("/access/groups", &["User.Modify"]),
]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/domains", index).may(Permission::World),
    Endpoint::post("/access/domains", create).may(ALLOCATE).with(CREATE),
    Endpoint::get("/access/domains/{realm}", read)
        .may(Permission::Any("/access/realm", &["Realm.Allocate", "Sys.Audit"])),
    Endpoint::put("/access/domains/{realm}", update).may(ALLOCATE).with(UPDATE),
    Endpoint::delete("/access/domains/{realm}", delete).may(ALLOCATE),
    Endpoint::post("/access/domains/{realm}/sync", sync).may(SYNC).with(&[
        optional("dry-run", Kind::Bool),
        optional("enable-new", Kind::Bool),
        optional("full", Kind::Bool),
        optional("purge", Kind::Bool),
        optional("remove-vanished", Kind::TEXT),
        optional("scope", Kind::Enum(&["users", "groups", "both"])),
    ]),
];

const BUILT_IN: [(&str, &str); 2] =
    [("pam", "Linux PAM standard authentication"), ("pve", "Proxmox VE authentication server")];

/// All realms as they are read: the built-in ones are there whether the file names them or not.
fn realms(world: &World) -> BTreeMap<String, Realm> {
    let mut all = world.access.realms.clone();
    for (name, comment) in BUILT_IN {
        let realm = all.entry(name.to_owned()).or_default();
        name.clone_into(&mut realm.kind);
        let own = realm.options.entry("comment".to_owned()).or_default();
        if own.is_empty() {
            comment.clone_into(own);
        }
    }
    all
}

/// The type of a realm, if it is there.
pub(super) fn kind<'a>(world: &'a World, name: &str) -> Option<&'a str> {
    let own = BUILT_IN.iter().map(|(own, _)| *own).find(|own| *own == name);
    own.or_else(|| world.access.realms.get(name).map(|realm| realm.kind.as_str()))
}

/// The digest of `domains.cfg`, which is not there before the first change.
fn digest(world: &World) -> String {
    let mut text = String::new();
    for (name, realm) in &world.access.realms {
        text.push_str(&format!("{}: {name}\n", realm.kind));
        for (key, value) in &realm.options {
            text.push_str(&format!("\t{key} {value}\n"));
        }
        text.push('\n');
    }
    hex(&Sha1::digest(text.as_bytes()))
}

/// A value as it is read: numbers for numbers and flags.
fn shown(key: &str, value: &str) -> Value {
    let kind = CREATE.iter().find(|param| param.name == key).map(|param| param.kind);
    match kind {
        Some(Kind::Bool | Kind::Int { .. }) => {
            value.parse::<i64>().map_or_else(|_| json!(value), Value::from)
        }
        _ => json!(value),
    }
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let items = realms(call.world).into_iter().map(|(name, realm)| {
        let mut item = Map::new();
        item.insert("realm".to_owned(), json!(name));
        item.insert("type".to_owned(), json!(realm.kind));
        let given = |key: &str| realm.options.get(key).filter(|value| !value.is_empty());
        if let Some(comment) = given("comment") {
            item.insert("comment".to_owned(), json!(comment));
        }
        if given("default").is_some_and(|value| value == "1") {
            item.insert("default".to_owned(), json!(1));
        }
        if let Some(tfa) = given("tfa").and_then(|text| domain_options::factor(text)) {
            item.insert("tfa".to_owned(), json!(tfa));
        }
        Value::Object(item)
    });
    Ok(items.collect::<Value>().into())
}

fn named(call: &Call<'_>) -> String {
    call.params.get("realm").unwrap_or_default().to_owned()
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let name = named(call);
    let Some(realm) = realms(call.world).remove(&name) else {
        return Err(Refusal::die(format!("domain '{name}' does not exist")));
    };
    let options = realm.options.iter().map(|(key, value)| (key.clone(), shown(key, value)));
    let mut out: Map<String, Value> = options.collect();
    out.insert("type".to_owned(), json!(realm.kind));
    out.insert("digest".to_owned(), json!(digest(call.world)));
    if name == "pam" {
        out.insert("plugin".to_owned(), json!("PVE::Auth::PAM"));
    }
    Ok(Value::Object(out).into())
}

/// Carries a change out under the lock of `domains.cfg`.
fn locked(
    call: &mut Call<'_>,
    what: &str,
    change: impl FnOnce(&mut Call<'_>) -> Result<(), String>,
) -> Result<Reply, Refusal> {
    call.cfs_lock("file-domains_cfg", what)?;
    change(call).map_err(|text| Refusal::die(format!("{what}: {text}")))?;
    Ok(Value::Null.into())
}

/// Parameters that are no options of the realm.
const ASIDE: &[&str] = &["realm", "type", "password", "check-connection", "delete", "digest"];

/// The options that a request gives; passwords are kept elsewhere.
fn given(call: &Call<'_>) -> BTreeMap<String, String> {
    let mut set = call.params.0.clone();
    for name in ASIDE {
        set.remove(*name);
    }
    set
}

/// Writes the file: there is one default realm at most, and what is not set is not in it.
fn store(world: &mut World, name: &str, realm: Realm) {
    let mut all = realms(world);
    if realm.options.get("default").is_some_and(|value| value == "1") {
        for other in all.values_mut() {
            other.options.remove("default");
        }
    }
    all.insert(name.to_owned(), realm);
    world.access.realms = all;
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "add auth server failed", |call| {
        let (name, kind) = (named(call), call.params.get("type").unwrap_or_default().to_owned());
        if realms(call.world).contains_key(&name) {
            return Err(format!("domain '{name}' already exists"));
        }
        if BUILT_IN.iter().any(|(own, _)| *own == kind) {
            return Err(format!("unable to create builtin type '{kind}'"));
        }
        let connect = connection(call, &kind)?;
        let options = given(call);
        call.params.check_defined(ASIDE)?;
        domain_options::check(&kind, &options, true)?;
        if connect {
            return Err(UNREACHABLE.to_owned());
        }
        store(call.world, &name, Realm { kind, options });
        Ok(())
    })
}

/// No name is resolved here, and nobody answers.
const UNREACHABLE: &str = "IO::Socket::INET6: connect: Connection timed out";

/// Whether the connection is to be tried.
fn connection(call: &Call<'_>, kind: &str) -> Result<bool, String> {
    let asked = call.params.flag("check-connection");
    if asked.is_some() && !matches!(kind, "ldap" | "ad") {
        return Err(
            "'check-connection' parameter can only be set for realms of type 'ldap' or 'ad'"
                .to_owned(),
        );
    }
    Ok(asked.unwrap_or(false))
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "update auth server failed", |call| {
        let (name, set) = (named(call), given(call));
        let wanted = call.params.get("digest").filter(|text| !text.is_empty());
        if wanted.is_some_and(|wanted| *wanted != digest(call.world)) {
            return Err(CHANGED.to_owned());
        }
        let realm = realms(call.world).remove(&name);
        let kind = realm.as_ref().map(|realm| realm.kind.clone()).unwrap_or_default();
        let connect = connection(call, &kind)?;
        let delete = call.params.get("delete").unwrap_or_default().to_owned();
        let blank = call.params.undefined().any(|name| !ASIDE.contains(&name));
        let nothing = set.is_empty() && !blank && call.params.get("password").is_none();
        if delete.is_empty() && nothing {
            return Err("no options specified".to_owned());
        }
        // Perl has made an empty section by asking for its type: the missing realm shows late.
        let Some(mut realm) = realm else {
            return Err(
                "cannot lookup undefined type! at /usr/share/perl5/PVE/API2/Domains.pm line 261."
                    .to_owned(),
            );
        };
        for key in list(&delete) {
            realm.options.remove(key);
        }
        call.params.check_defined(ASIDE)?;
        domain_options::check(&kind, &set, false)?;
        if connect {
            return Err(UNREACHABLE.to_owned());
        }
        realm.options.extend(set);
        store(call.world, &name, realm);
        Ok(())
    })
}

/// A built-in realm only loses what was set.
fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    locked(call, "delete auth server failed", |call| {
        let name = named(call);
        let mut all = realms(call.world);
        if all.remove(&name).is_none() {
            return Err(format!("authentication domain '{name}' does not exist"));
        }
        call.world.access.realms = all;
        Ok(())
    })
}

fn sync(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let Some(realm) = realms(call.world).remove(&named(call)) else {
        return Err(Refusal::param("realm", "Realm does not exist."));
    };
    if !matches!(realm.kind.as_str(), "ldap" | "ad") {
        return Err(Refusal::die(format!(
            "Cannot sync realm type '{}'! Only LDAP/AD realms can be synced.",
            realm.kind
        )));
    }
    let defaults = realm.options.get("sync-defaults-options").map_or("", String::as_str);
    if call.params.get("scope").is_none() && !defaults.contains("scope=") {
        let text = "Not passed as parameter and not defined in realm default sync options.";
        return Err(Refusal::param("scope", text));
    }
    Err(Refusal::message(501, "synchronising a realm is not simulated"))
}
