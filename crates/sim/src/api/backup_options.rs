//! The options of backups, as `vzdump` and backup jobs take them (`PVE::VZDump`,
//! `PVE::VZDump::Common`, `PVE::API2::Backup`).

use std::collections::BTreeMap;

use super::call::Call;
use super::endpoint::{Param, optional};
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list, parse_bool};
use crate::guest::property::{Property, Values};
use crate::storage::options::PRUNE;
use crate::world::World;

/// Options by name.
pub(crate) type Options = BTreeMap<String, String>;

pub(crate) const PARAMS: &[Param] = &[
    optional("all", Kind::Bool),
    optional("bwlimit", Kind::NATURAL),
    optional("compress", Kind::Enum(&["0", "1", "gzip", "lzo", "zstd"])),
    optional("dumpdir", Kind::TEXT),
    optional("exclude", Kind::Check(vmids)).list(),
    optional("exclude-path", Kind::TEXT).array(),
    optional("fleecing", Kind::Checked { properties: FLEECING, max: 0, check: fleecing }),
    optional("ionice", Kind::between(0, 8)),
    optional("lockwait", Kind::NATURAL),
    optional("mailnotification", Kind::Enum(&["always", "failure"])),
    optional("mailto", Kind::Check(mail_addresses)).list(),
    optional("mode", Kind::Enum(&["snapshot", "suspend", "stop"])),
    optional("notes-template", Kind::Text { max: 1024 }).requires("storage"),
    optional("notification-mode", Kind::Enum(&["auto", "legacy-sendmail", "notification-system"])),
    optional("pbs-change-detection-mode", Kind::Enum(&["legacy", "data", "metadata"])),
    optional("performance", Kind::Properties(PERFORMANCE)),
    optional("pigz", Kind::INT),
    optional("pool", Kind::TEXT),
    optional("protected", Kind::Bool).requires("storage"),
    optional("prune-backups", PRUNE),
    optional("quiet", Kind::Bool),
    optional("remove", Kind::Bool),
    optional("script", Kind::TEXT),
    optional("stdexcludes", Kind::Bool),
    optional("stop", Kind::Bool),
    optional("stopwait", Kind::NATURAL),
    optional("storage", Kind::Format(Format::StorageId)),
    optional("tmpdir", Kind::TEXT),
    optional("vmid", Kind::Check(vmids)).list(),
    optional("zstd", Kind::INT),
];

/// [`PARAMS`] and others.
#[expect(clippy::indexing_slicing, reason = "the compiler checks it: for constants")]
pub(crate) const fn with<const N: usize>(others: &[Param]) -> [Param; N] {
    let mut out = [optional("", Kind::TEXT); N];
    let mut at = 0;
    while at < N {
        out[at] = if at < PARAMS.len() { PARAMS[at] } else { others[at - PARAMS.len()] };
        at += 1;
    }
    out
}

/// `pve-vmid-list`.
fn vmids(value: &str) -> Result<(), String> {
    let one = |vmid| crate::guest::format::check_format(Format::Vmid, vmid);
    list(value).try_for_each(one).map_err(|text| format!("invalid format - {text}\n"))
}

/// `backup-fleecing`.
const FLEECING: &[Property] = &[
    Property::new("enabled", Kind::Bool).default_key(),
    Property::new("storage", Kind::Format(Format::StorageId)),
];
/// `backup-performance`.
const PERFORMANCE: &[Property] = &[
    Property::new("max-workers", Kind::between(1, 256)),
    Property::new("pbs-entries-max", Kind::POSITIVE),
];

fn fleecing(values: &Values) -> Result<(), String> {
    if values.flag("enabled") && values.get("storage").is_none() {
        return Err("'storage' parameter is required when 'enabled' is set".to_owned());
    }
    Ok(())
}

/// `email-or-username-list`.
fn mail_addresses(value: &str) -> Result<(), String> {
    let plain = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+-~._".contains(&byte);
        !text.is_empty() && text.bytes().all(known)
    };
    let fits = |one: &str| match one.split_once('@') {
        Some((user, host)) => plain(user) && plain(host) && !host.contains('+'),
        None => plain(one),
    };
    if list(value).all(fits) {
        return Ok(());
    }
    let text = "value does not look like a valid email address or user name";
    Err(format!("invalid format - {text}\n"))
}

/// Whether an option is set to anything that Perl takes for true.
fn is_true(options: &Options, name: &str) -> bool {
    options.get(name).is_some_and(|value| !matches!(value.as_str(), "" | "0"))
}

/// Where the backups go (`get_storage_param`); none when they go to a folder.
pub(crate) fn storage(options: &Options) -> Option<&str> {
    if is_true(options, "dumpdir") {
        return None;
    }
    let named = options.get("storage").map(String::as_str).filter(|id| !id.is_empty());
    Some(named.unwrap_or("local"))
}

/// What only some may set (`assert_param_permission_common` of `PVE::API2::Backup`). Options that
/// are deleted are there without a value.
pub(crate) fn assert_allowed(
    call: &Call<'_>,
    options: &Options,
    deleted: bool,
) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    for name in ["tmpdir", "dumpdir", "script", "job-id"] {
        if options.contains_key(name) {
            return Err(Refusal::param(name, "Only root may set this option."));
        }
    }
    if ["bwlimit", "ionice", "performance"].iter().any(|name| options.contains_key(*name)) {
        call.require("/", &["Sys.Modify"])?;
    }
    if let Some(text) = options.get("fleecing").filter(|_| !deleted)
        && let Some(id) = Values::parse(text, "enabled").get("storage")
    {
        call.require(&format!("/storage/{id}"), &["Datastore.AllocateSpace"])?;
    }
    Ok(())
}

/// `verify_vzdump_parameters`: options that exclude each other. `exclude` means all others.
/// `missing` asks for a choice of guests.
pub(crate) fn verify(options: &mut Options, missing: bool) -> Result<(), Refusal> {
    if is_true(options, "vmid") {
        for name in ["all", "exclude", "pool"] {
            if is_true(options, name) {
                return Err(Refusal::param(name, "option conflicts with option 'vmid'"));
            }
        }
    }
    if let Some(notes) = options.get("notes-template").filter(|notes| !notes.is_empty()) {
        check_template(notes)?;
    }
    if options.contains_key("exclude") && !is_true(options, "pool") {
        options.insert("all".to_owned(), "1".to_owned());
    }
    let chosen = ["all", "stop", "pool", "vmid"].iter().any(|name| is_true(options, name));
    if missing && !chosen {
        return Err(Refusal::param("vmid", "property is missing"));
    }
    Ok(())
}

/// The guests that options choose, by id (`get_included_guests`); those that are nowhere are
/// among them.
pub(crate) fn included_guests(world: &World, options: &Options) -> Result<Vec<u32>, String> {
    let numbers = |name: &str| -> Vec<u32> {
        let text = options.get(name).map(String::as_str).unwrap_or_default();
        list(text).filter_map(|vmid| vmid.parse().ok()).collect()
    };
    let mut wanted: Vec<u32> = if is_true(options, "pool") {
        let name = options.get("pool").map(String::as_str).unwrap_or_default();
        let pool = world.pools.get(name).ok_or_else(|| format!("pool '{name}' does not exist"))?;
        pool.guests.iter().copied().filter(|vmid| world.guest(*vmid).is_some()).collect()
    } else if is_true(options, "vmid") {
        numbers("vmid")
    } else if options.get("all").and_then(|text| parse_bool(text)) == Some(true) {
        let excluded = numbers("exclude");
        world.guests.keys().copied().filter(|vmid| !excluded.contains(vmid)).collect()
    } else {
        Vec::new()
    };
    if let Some(node) = options.get("node") {
        wanted.retain(|vmid| world.guest(*vmid).is_none_or(|guest| guest.node == *node));
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted)
}

/// `$verify_notes_template`.
fn check_template(text: &str) -> Result<(), Refusal> {
    let wrong = |error: String| Refusal::param("notes-template", error);
    if text.contains('\n') {
        return Err(wrong("contains a line feed\n".to_owned()));
    }
    let mut unknown = Vec::new();
    let mut at = 0;
    while let Some(slash) = text.get(at..).and_then(|rest| rest.find('\\')).map(|found| at + found)
    {
        let Some(letter) = text.get(slash + 1..).and_then(|rest| rest.chars().next()) else {
            break;
        };
        if !matches!(letter, 'n' | '\\') {
            let place = text.get(..slash).map_or(slash, |before| before.chars().count());
            unknown.push(format!("escape sequence '\\{letter}' at char {place}"));
        }
        at = slash + 1 + letter.len_utf8();
    }
    let mut at = 0;
    while let Some(open) = text.get(at..).and_then(|rest| rest.find("{{")).map(|found| at + found) {
        let inner = text.get(open + 2..).unwrap_or_default();
        let end = inner.find(|c: char| c.is_whitespace() || matches!(c, '{' | '}'));
        let name = end.and_then(|end| inner.get(..end)).filter(|name| !name.is_empty());
        match name.filter(|name| inner.get(name.len()..).is_some_and(|rest| rest.starts_with("}}")))
        {
            Some(name) => {
                at = open + 4 + name.len();
                if !matches!(name, "cluster" | "guestname" | "node" | "vmid") {
                    // Perl counts from the end of the match.
                    unknown.push(format!("variable '{name}' at char {}", at - name.len()));
                }
            }
            None => at = open + 1,
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    Err(wrong(format!("found unknown: {}\n", unknown.join(", "))))
}
