//! `/cluster/options` and `/cluster/nextid`: datacenter.cfg (`PVE::DataCenterConfig`,
//! `PVE::API2::Cluster`). The world keeps the text of each key; reading takes it apart.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list, parse_bool, tags};
use crate::guest::property::{self, Property};
use crate::world::World;

/// The prefix of Proxmox; the default, which is not written.
const PREFIX: &str = "BC:24:11";

const CRS: &[Property] = &[
    Property::new("ha", Kind::Enum(&["basic", "static", "dynamic"])),
    Property::new("ha-rebalance-on-start", Kind::Bool),
    Property::new("ha-auto-rebalance", Kind::Bool),
    Property::new("ha-auto-rebalance-threshold", PERCENT).requires("ha-auto-rebalance"),
    Property::new("ha-auto-rebalance-method", Kind::Enum(&["bruteforce", "topsis"]))
        .requires("ha-auto-rebalance"),
    Property::new("ha-auto-rebalance-hold-duration", Kind::Num { min: Some(0.0), max: None })
        .requires("ha-auto-rebalance"),
    Property::new("ha-auto-rebalance-margin", PERCENT).requires("ha-auto-rebalance"),
];
const PERCENT: Kind = Kind::Num { min: Some(0.0), max: Some(100.0) };
const TRANSFER: &[Property] = &[
    Property::new("type", Kind::Enum(&["secure", "insecure"])).required().default_key(),
    Property::new("network", Kind::Formatted(cidr)),
];
const HA: &[Property] =
    &[Property::new("shutdown_policy", Kind::Enum(SHUTDOWN_POLICIES)).required()];
const SHUTDOWN_POLICIES: &[&str] = &["freeze", "failover", "conditional", "migrate"];
// The schema says `min` and `max`, which nobody reads: any whole number goes.
const NEXT_ID: &[Property] =
    &[Property::new("lower", Kind::INT), Property::new("upper", Kind::INT)];
const ALWAYS: Kind = Kind::Enum(&["always", "never"]);
const NOTIFY: &[Property] = &[
    Property::new("package-updates", Kind::Enum(&["auto", "always", "never"])),
    Property::new("target-package-updates", Kind::TEXT),
    Property::new("fencing", ALWAYS),
    Property::new("target-fencing", Kind::TEXT),
    Property::new("replication", ALWAYS),
    Property::new("target-replication", Kind::TEXT),
];
const U2F: &[Property] = &[Property::new("appid", Kind::TEXT), Property::new("origin", Kind::TEXT)];
const WEBAUTHN: &[Property] = &[
    Property::new("rp", Kind::TEXT),
    Property::new("origin", Kind::TEXT),
    Property::new("id", Kind::TEXT),
    Property::new("allow-subdomains", Kind::Bool),
];
const TAG_STYLE: &[Property] = &[
    Property::new("shape", Kind::Enum(&["full", "circle", "dense", "none"])),
    Property::new("color-map", Kind::Pattern { fits: color_map, max: 0 }),
    Property::new("ordering", Kind::Enum(&["config", "alphabetical"])),
    Property::new("case-sensitive", Kind::Bool),
];
const USER_TAGS: &[Property] = &[
    Property::new("user-allow", Kind::Enum(&["none", "list", "existing", "free"])),
    Property::new("user-allow-list", Kind::Pattern { fits: tag_list, max: 0 }),
];
const RATE: Kind = Kind::Num { min: Some(0.0), max: None };
const BWLIMIT: &[Property] = &[
    Property::new("clone", RATE),
    Property::new("default", RATE),
    Property::new("migration", RATE),
    Property::new("move", RATE),
    Property::new("restore", RATE),
];
const LANGUAGES: &[&str] = &[
    "ar", "ca", "da", "de", "en", "es", "eu", "fa", "fr", "hr", "he", "it", "ja", "ka", "kr", "nb",
    "nl", "nn", "pl", "pt_BR", "ru", "sl", "sv", "tr", "ukr", "zh_CN", "zh_TW",
];
const KEYBOARDS: &[&str] = &[
    "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is",
    "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
];
const NOTES: Kind = Kind::Text { max: 64 * 1024 };

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/nextid", nextid).with(&[optional("vmid", Kind::Format(Format::Vmid))]),
    Endpoint::get("/cluster/options", read),
    Endpoint::put("/cluster/options", write)
        .may(Permission::All("/", &["Sys.Modify"]))
        .writes(Writes::Locked("datacenter.cfg", ""))
        .with(&[
            optional("bwlimit", Kind::Properties(BWLIMIT)),
            optional("consent-text", NOTES),
            optional("console", Kind::Enum(&["applet", "vv", "html5", "xtermjs"])),
            optional("crs", Kind::Properties(CRS)),
            optional("delete", Kind::Format(Format::ConfigIdList)),
            optional("description", NOTES),
            optional("email_from", Kind::TEXT),
            optional("fencing", Kind::Enum(&["watchdog", "hardware", "both"])),
            optional("ha", Kind::Properties(HA)),
            optional(
                "http_proxy",
                Kind::Pattern { fits: |value| value.starts_with("http://"), max: 0 },
            ),
            optional("keyboard", Kind::Enum(KEYBOARDS)),
            optional("language", Kind::Enum(LANGUAGES)),
            optional("location", Kind::TEXT),
            optional("mac_prefix", Kind::Formatted(mac_prefix)),
            optional("max_workers", Kind::POSITIVE),
            optional("migration", Kind::Properties(TRANSFER)),
            optional("migration_unsecure", Kind::Bool),
            optional("next-id", Kind::Properties(NEXT_ID)),
            optional("notify", Kind::Properties(NOTIFY)),
            optional("registered-tags", Kind::Pattern { fits: tag_list, max: 0 }),
            optional("replication", Kind::Properties(TRANSFER)),
            optional("tag-style", Kind::Properties(TAG_STYLE)),
            optional("u2f", Kind::Properties(U2F)),
            optional("user-tag-access", Kind::Properties(USER_TAGS)),
            optional("webauthn", Kind::Properties(WEBAUTHN)),
        ]),
];

/// The keys whose text is a property string (`bwlimit` stays text when read).
const PARSED: &[(&str, &[Property])] = &[
    ("crs", CRS),
    ("ha", HA),
    ("migration", TRANSFER),
    ("next-id", NEXT_ID),
    ("notify", NOTIFY),
    ("replication", TRANSFER),
    ("tag-style", TAG_STYLE),
    ("u2f", U2F),
    ("user-tag-access", USER_TAGS),
    ("webauthn", WEBAUTHN),
];

pub(super) fn cidr(value: &str) -> Result<(), String> {
    let fits = value.split_once('/').is_some_and(|(address, length)| {
        let limit = match address.parse() {
            Ok(std::net::IpAddr::V4(_)) => 32,
            Ok(std::net::IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        length.parse::<u8>().is_ok_and(|length| (8..=limit).contains(&length))
    });
    if fits { Ok(()) } else { Err("value does not look like a valid CIDR network".to_owned()) }
}

/// Up to two more bytes and a half after a first one whose multicast bit is not set.
fn mac_prefix(value: &str) -> Result<(), String> {
    let parts: Vec<&str> = value.split(':').collect();
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (first, rest) = parts.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    let unicast = first.len() == 2 && u8::from_str_radix(first, 16).is_ok_and(|byte| byte % 2 == 0);
    let (last, whole) = rest.split_last().map_or(("", &[][..]), |(last, whole)| (*last, whole));
    let whole_fits = whole.len() <= 2 && whole.iter().all(|part| part.len() == 2 && hex(part));
    let last_fits = hex(last)
        && match last.len() {
            0 | 1 => true,
            2 => whole.len() < 2,
            _ => false,
        };
    if unicast && hex(first) && whole_fits && last_fits {
        return Ok(());
    }
    Err("value is not a valid unicast MAC address prefix".to_owned())
}

fn is_tag(tag: &str) -> bool {
    crate::guest::format::check_format(Format::TagList, tag).is_ok()
        && !tag.is_empty()
        && !tag.contains([',', ' '])
}

fn tag_list(value: &str) -> bool {
    value.split(';').all(is_tag)
}

/// `tag:color[:text color];…`.
fn color_map(value: &str) -> bool {
    let color = |text: &str| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    value.split(';').all(|entry| {
        let mut parts = entry.split(':');
        let tag = parts.next().is_some_and(is_tag);
        let colors: Vec<&str> = parts.collect();
        tag && (1..=2).contains(&colors.len()) && colors.iter().all(|part| color(part))
    })
}

/// A key as it reads: property strings and lists taken apart.
fn shown(key: &str, text: &str) -> Value {
    match (key, PARSED.iter().find(|(name, _)| *name == key)) {
        ("registered-tags", _) => json!(text.split(';').collect::<Vec<_>>()),
        ("max_workers" | "migration_unsecure", _) => {
            text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number))
        }
        ("console", _) if text == "applet" => json!("html5"),
        ("description", _) => json!(format!("{text}\n")),
        (_, Some((_, format))) => properties(format, text),
        _ => json!(text),
    }
}

fn properties(format: &'static [Property], text: &str) -> Value {
    let values = property::check(format, "", text).unwrap_or_default();
    let members = values.0.into_iter().map(|(key, value)| {
        let boolean = format
            .iter()
            .any(|property| property.name == key && matches!(property.kind, Kind::Bool));
        let shown = match parse_bool(&value).filter(|_| boolean) {
            Some(flag) => json!(u8::from(flag)),
            None if key == "user-allow-list" => json!(value.split(';').collect::<Vec<_>>()),
            None => json!(value),
        };
        (key, shown)
    });
    Value::Object(members.collect())
}

fn read(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let options = &call.world.options;
    let mut out = Map::new();
    let all = call.may("/", &["Sys.Audit"]);
    for (key, text) in options {
        if all || matches!(key.as_str(), "console" | "tag-style") {
            out.insert(key.clone(), shown(key, text));
        }
    }
    if all {
        out.entry("mac_prefix").or_insert_with(|| json!(PREFIX));
        out.entry("description").or_insert_with(|| json!(""));
    }
    out.insert("allowed-tags".to_owned(), json!(allowed_tags(call)));
    Ok(Value::Object(out).into())
}

/// `PVE::GuestHelpers::get_allowed_tags`.
fn allowed_tags(call: &Call<'_>) -> BTreeSet<String> {
    let world = &*call.world;
    let privileged = call.may("/", &["Sys.Modify"]);
    let split = |text: &str| text.split(';').map(str::to_owned).collect::<BTreeSet<_>>();
    let registered =
        world.options.get("registered-tags").map(|text| split(text)).unwrap_or_default();
    let access = world.options.get("user-tag-access").map_or("", String::as_str);
    let access = property::check(USER_TAGS, "", access).unwrap_or_default();
    let allow = access.get("user-allow").unwrap_or("free");
    let mut out = BTreeSet::new();
    if allow != "none" || privileged {
        out.extend(access.get("user-allow-list").map(split).unwrap_or_default());
    }
    if matches!(allow, "free" | "existing") || privileged {
        let sees = call.visible_guests();
        let guests = world.guests.values().filter(|guest| privileged || sees(guest.vmid));
        out.extend(
            guests.flat_map(|guest| tags(guest.get("tags").unwrap_or_default())).map(str::to_owned),
        );
    }
    if privileged {
        out.extend(registered);
    } else {
        out.retain(|tag| !registered.contains(tag));
    }
    out
}

fn write(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut options = call.world.options.clone();
    for (key, value) in &call.params.0 {
        if key != "delete" {
            options.insert(key.clone(), value.clone());
        }
    }
    // What has no value is written without one, and not read back.
    for key in call.params.undefined().chain(list(call.params.get("delete").unwrap_or_default())) {
        options.remove(key);
    }
    if let Some(range) = options.get("next-id") {
        let (lower, upper) = bounds(range);
        if lower > upper {
            return Err(Refusal::die(format!(
                "lower ({lower}) <= upper ({upper}) boundary rule broken"
            )));
        }
    }
    if options.get("mac_prefix").is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX)) {
        options.remove("mac_prefix");
    }
    // What is stored in order, and what an old name means today.
    if let Some(tags) = options.get_mut("registered-tags") {
        let sorted: BTreeSet<&str> = tags.split(';').collect();
        *tags = sorted.into_iter().collect::<Vec<_>>().join(";");
    }
    if let Some(unsecure) = options.remove("migration_unsecure")
        && !options.contains_key("migration")
    {
        let word = if parse_bool(&unsecure) == Some(true) { "insecure" } else { "secure" };
        options.insert("migration".to_owned(), word.to_owned());
    }
    options.retain(|_, value| !value.is_empty());
    call.world.options = options;
    Ok(Value::Null.into())
}

/// The range of `next-id`; the upper end is not part of it.
fn bounds(text: &str) -> (i64, i64) {
    let values = property::check(NEXT_ID, "", text).unwrap_or_default();
    let number = |key| values.get(key).and_then(|value| value.parse().ok());
    (number("lower").unwrap_or(100), number("upper").unwrap_or(1_000_000))
}

fn free_id(world: &World) -> Option<i64> {
    let (lower, upper) = bounds(world.options.get("next-id").map_or("", String::as_str));
    let taken = |id: &i64| u32::try_from(*id).is_ok_and(|vmid| world.guests.contains_key(&vmid));
    (lower..upper).find(|id| !taken(id))
}

fn nextid(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if let Some(asked) = call.params.get("vmid") {
        let vmid: u32 = asked.parse().unwrap_or(0);
        if call.world.guests.contains_key(&vmid) {
            return Err(Refusal::param("vmid", format!("VM {vmid} already exists")));
        }
        return Ok(json!(asked).into());
    }
    match free_id(call.world) {
        Some(vmid) => Ok(json!(vmid.to_string()).into()),
        None => {
            let range = call.world.options.get("next-id").map_or("", String::as_str);
            let (lower, upper) = bounds(range);
            Err(Refusal::die(format!("unable to get any free VMID in range [{lower}, {upper}]")))
        }
    }
}
