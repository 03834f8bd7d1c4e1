//! Options of the realm types (`options` and `properties` of `PVE::Auth::*`).

use std::collections::BTreeMap;

use crate::api::endpoint::{Param, optional, required};
use crate::api::names;
use crate::guest::format::{Format, Kind, check_format, list};
use crate::guest::property::{self, Property};

/// What a type must have, and what it may.
fn options_of(kind: &str) -> (&'static str, &'static str) {
    const DIRECTORY: &str = "server2 bind_dn password port secure sslversion default comment tfa \
        verify capath cert certkey filter sync_attributes user_classes group_dn group_name_attr \
        group_filter group_classes sync-defaults-options mode case-sensitive";
    match kind {
        // What one of the two must have, the other may.
        "ad" => ("server1 domain", DIRECTORY),
        "ldap" => ("server1 base_dn user_attr", DIRECTORY),
        "openid" => (
            "issuer-url client-id",
            "client-key autocreate username-claim groups-claim groups-autocreate groups-overwrite \
             prompt scopes acr-values audiences default comment query-userinfo",
        ),
        _ => ("", "default comment tfa"),
    }
}

/// `PVE::SectionConfig::check_config`.
pub(super) fn check(
    kind: &str,
    given: &BTreeMap<String, String>,
    create: bool,
) -> Result<(), String> {
    let (needed, more) = options_of(kind);
    let has = |words: &str, name: &str| words.split_whitespace().any(|word| word == name);
    let extra = |name: &str| kind == "ad" && matches!(name, "base_dn" | "user_attr");
    for (name, value) in given {
        if !has(needed, name) && !has(more, name) && !extra(name) {
            return Err(format!("unexpected property '{name}'"));
        }
        if value.contains(['\n', '\r']) {
            return Err("property contains a line feed".to_owned());
        }
    }
    let missing = needed.split_whitespace().find(|name| !given.contains_key(*name));
    match missing.filter(|_| create) {
        Some(name) => Err(format!("missing value for required option '{name}'")),
        None => Ok(()),
    }
}

const FACTOR: &[Property] = &[
    Property::new("type", Kind::Enum(&["yubico", "oath"])).required(),
    Property::new("id", Kind::TEXT),
    Property::new("key", Kind::TEXT),
    Property::new("url", Kind::TEXT),
    Property::new("digits", Kind::between(6, 8)),
    Property::new("step", Kind::Int { min: Some(10), max: None }),
];

/// The type of second factor that a realm asks for.
pub(super) fn factor(text: &str) -> Option<String> {
    property::check(FACTOR, "tfa", text).ok()?.get("type").map(str::to_owned)
}

const SYNC: &[Property] = &[
    Property::new("scope", Kind::Enum(&["users", "groups", "both"])),
    Property::new("remove-vanished", Kind::TEXT),
    Property::new("full", Kind::Bool),
    Property::new("enable-new", Kind::Bool),
    Property::new("purge", Kind::Bool),
];

const ADDRESS: Kind = Kind::Check(|value| {
    let name = check_format(Format::DnsName, value).is_ok();
    if name || check_format(Format::AddressList, value).is_ok() {
        return Ok(());
    }
    Err(format!("invalid format - value does not look like a valid address: {value}\n"))
});
const ATTRIBUTE: Kind = Kind::Formatted(attribute);
const ATTRIBUTES: Kind = Kind::Formatted(|value| list(value).try_for_each(attribute));

fn attribute(value: &str) -> Result<(), String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(format!("value '{value}' does not look like a simple ldap attribute name"))
}

fn no_space(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::is_whitespace)
}

fn long_word(value: &str) -> bool {
    no_space(value) && value.chars().count() > 1
}

fn claim(value: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !value.is_empty() && value.bytes().all(known)
}

fn classes(value: &str) -> bool {
    value.chars().all(|c| !c.is_ascii_control() && !" <>#\"".contains(c))
}

/// What both methods take, with what only one of them does.
macro_rules! with_options {
    ($($own:expr),* $(,)?) => {
        &[
            $($own,)*
            optional("acr-values", Kind::pattern(classes)),
            optional("audiences", Kind::TEXT),
            optional("autocreate", Kind::Bool),
            optional("base_dn", Kind::Text { max: 256 }),
            optional("bind_dn", Kind::Text { max: 256 }),
            optional("capath", Kind::TEXT),
            optional("case-sensitive", Kind::Bool),
            optional("cert", Kind::TEXT),
            optional("certkey", Kind::TEXT),
            optional("check-connection", Kind::Bool),
            optional("client-id", Kind::Text { max: 256 }),
            optional("client-key", Kind::Text { max: 256 }),
            optional("comment", Kind::Text { max: 4096 }),
            optional("default", Kind::Bool),
            optional("domain", Kind::Pattern { fits: no_space, max: 256 }),
            optional("filter", Kind::Text { max: 2048 }),
            optional("group_classes", ATTRIBUTES).list(),
            optional("group_dn", Kind::Text { max: 256 }),
            optional("group_filter", Kind::Text { max: 2048 }),
            optional("group_name_attr", ATTRIBUTE),
            optional("groups-autocreate", Kind::Bool),
            optional("groups-claim", Kind::Pattern { fits: claim, max: 256 }),
            optional("groups-overwrite", Kind::Bool),
            optional("issuer-url", Kind::Text { max: 256 }),
            optional("mode", Kind::Enum(&["ldap", "ldaps", "ldap+starttls"])),
            optional("password", Kind::TEXT),
            optional("port", Kind::between(1, 65_535)),
            optional("prompt", Kind::pattern(no_space)),
            optional("query-userinfo", Kind::Bool),
            optional("scopes", Kind::TEXT),
            optional("secure", Kind::Bool),
            optional("server1", ADDRESS),
            optional("server2", ADDRESS),
            optional("sslversion", Kind::Enum(&["tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3"])),
            optional("sync-defaults-options", Kind::Properties(SYNC)),
            optional("sync_attributes", Kind::TEXT),
            optional("tfa", Kind::Properties(FACTOR)),
            optional("user_attr", Kind::Pattern { fits: long_word, max: 256 }),
            optional("user_classes", ATTRIBUTES).list(),
            optional("verify", Kind::Bool),
        ]
    };
}

/// Parameters of a new realm (`createSchema`).
pub(super) const CREATE: &[Param] = with_options![
    required("realm", names::REALM),
    required("type", Kind::Enum(&["ad", "ldap", "openid", "pam", "pve"])),
    optional("username-claim", Kind::TEXT),
];

/// Parameters of a change (`updateSchema`).
pub(super) const UPDATE: &[Param] = with_options![
    optional("delete", Kind::Format(Format::ConfigIdList)),
    optional("digest", Kind::Text { max: 64 }),
];
