//! `/nodes/{node}/vzdump`: backups, and the configuration in one.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::guest_checks::check_volume;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind, list};
use crate::guest::property::{self, Property};
use crate::storage::options::PRUNE;
use crate::work::{Work, backup::Backup};
use crate::world::volumes::split_volid;

const PATH: &str = "/nodes/{node}/vzdump";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post(PATH, backup).with(PARAMS),
    Endpoint::get("/nodes/{node}/vzdump/extractconfig", extract)
        .with(&[required("volume", Kind::TEXT)]),
    Endpoint::get("/nodes/{node}/vzdump/defaults", defaults)
        .with(&[optional("storage", Kind::Format(Format::StorageId))]),
];

const PARAMS: &[Param] = &[
    optional("all", Kind::Bool),
    optional("bwlimit", Kind::NATURAL),
    optional("compress", Kind::Enum(&["0", "1", "gzip", "lzo", "zstd"])),
    optional("dumpdir", Kind::TEXT),
    optional("exclude", Kind::Check(vmids)).list(),
    optional("exclude-path", Kind::TEXT).array(),
    optional("fleecing", Kind::Checked { properties: FLEECING, max: 0, check: fleecing }),
    optional("ionice", Kind::between(0, 8)),
    optional("job-id", Kind::Pattern { fits: word, max: 50 }),
    optional("lockwait", Kind::NATURAL),
    optional("mailnotification", Kind::Enum(&["always", "failure"])),
    optional("mailto", Kind::TEXT).list(),
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
    optional("stdout", Kind::Bool),
    optional("stop", Kind::Bool),
    optional("stopwait", Kind::NATURAL),
    optional("storage", Kind::Format(Format::StorageId)),
    optional("tmpdir", Kind::TEXT),
    optional("vmid", Kind::Check(vmids)).list(),
    optional("zstd", Kind::INT),
];

/// `pve-vmid-list`.
/// `backup-fleecing`.
const FLEECING: &[Property] = &[
    Property::new("enabled", Kind::Bool).default_key(),
    Property::new("storage", Kind::Format(Format::StorageId)),
];

fn fleecing(values: &property::Values) -> Result<(), String> {
    if values.get("enabled") == Some("1") && values.get("storage").is_none() {
        return Err("'storage' parameter is required when 'enabled' is set".to_owned());
    }
    Ok(())
}

/// `backup-performance`.
const PERFORMANCE: &[Property] = &[
    Property::new("max-workers", Kind::between(1, 256)),
    Property::new("pbs-entries-max", Kind::POSITIVE),
];

fn word(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::is_whitespace)
}

fn vmids(value: &str) -> Result<(), String> {
    let one = |vmid| crate::guest::format::check_format(Format::Vmid, vmid);
    list(value).try_for_each(one).map_err(|text| format!("invalid format - {text}\n"))
}

/// `assert_param_permission_common` of `PVE::API2::Backup`, and pruning.
fn check_params(call: &Call<'_>, storage: &str) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    for name in ["tmpdir", "dumpdir", "script", "job-id"] {
        if call.params.get(name).is_some() {
            let text = "Only root may set this option.";
            return Err(Refusal::param(name, text));
        }
    }
    let slows = ["bwlimit", "ionice", "performance"];
    if slows.iter().any(|name| call.params.get(name).is_some()) {
        call.require("/", &["Sys.Modify"])?;
    }
    if call.params.get("prune-backups").is_some() {
        call.require(&format!("/storage/{storage}"), &["Datastore.Allocate"])?;
    }
    Ok(())
}

/// The options that exclude each other (`verify_vzdump_parameters`).
fn check_choice(call: &Call<'_>) -> Result<(), Refusal> {
    let given = |name: &str| call.params.get(name).is_some_and(|value| !matches!(value, "" | "0"));
    if given("vmid") {
        for name in ["all", "exclude", "pool"] {
            if given(name) {
                return Err(Refusal::param(name, "option conflicts with option 'vmid'"));
            }
        }
    }
    if let Some(notes) = call.params.get("notes-template") {
        check_template(notes)?;
    }
    let any = ["all", "exclude", "stop", "pool", "vmid"].iter().any(|name| given(name));
    if any { Ok(()) } else { Err(Refusal::param("vmid", "property is missing")) }
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

/// The guests to back up, those of this node and those that are nowhere, and those of other nodes
/// (`get_included_guests`).
fn guests(call: &Call<'_>, node: &str, all: bool) -> (Vec<u32>, Vec<u32>) {
    let numbers = |name: &str| -> Vec<u32> {
        let text = call.params.get(name).unwrap_or_default();
        list(text).filter_map(|vmid| vmid.parse().ok()).collect()
    };
    let mut wanted = if let Some(pool) = call.params.get("pool") {
        let pool = call.world.pools.get(pool);
        pool.map(|pool| pool.guests.iter().copied().collect()).unwrap_or_default()
    } else if call.params.get("vmid").is_some() {
        numbers("vmid")
    } else if all {
        let excluded = numbers("exclude");
        call.world.guests.keys().copied().filter(|vmid| !excluded.contains(vmid)).collect()
    } else {
        Vec::new()
    };
    wanted.sort_unstable();
    wanted.dedup();
    let here = |vmid: &u32| call.world.guest(*vmid).is_none_or(|guest| guest.node == node);
    wanted.into_iter().partition(here)
}

fn backup(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    if call.params.flag("stdout").unwrap_or(false) {
        let text = "option is only allowed on the command line interface.";
        return Err(Refusal::param("stdout", text));
    }
    let storage = call.params.get("storage").unwrap_or("local").to_owned();
    check_params(call, &storage)?;
    check_choice(call)?;
    let excludes = call.params.get("exclude").is_some() && call.params.get("pool").is_none();
    let all = call.params.flag("all").unwrap_or(false) || excludes;
    let (vmids, skipped) = guests(call, &node, all);
    if call.params.flag("stop").unwrap_or(false) {
        call.require(&format!("/nodes/{node}"), &["Sys.Modify"])?;
        stop_running(call, &node);
        if vmids.is_empty() {
            return Ok(json!("OK").into());
        }
    }
    if vmids.is_empty() && !all {
        return Ok(json!("OK").into());
    }
    call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let text = |name: &str| call.params.get(name).map(str::to_owned);
    let work = Backup {
        vmids: vmids.clone(),
        storage,
        mode: text("mode").unwrap_or_else(|| "snapshot".to_owned()),
        compress: text("compress").unwrap_or_default(),
        keep: text("prune-backups"),
        remove: call.params.flag("remove").unwrap_or(true),
        notes: text("notes-template"),
        protected: call.params.flag("protected").unwrap_or(false),
        all,
        skipped,
        lockwait: text("lockwait").and_then(|text| text.parse().ok()),
        stopwait: text("stopwait").and_then(|text| text.parse().ok()),
        ionice: text("ionice"),
        bwlimit: text("bwlimit"),
        command: command_line(call),
        ..Backup::default()
    };
    let id = match vmids.as_slice() {
        [one] => one.to_string(),
        _ => String::new(),
    };
    Ok(call.fork(&node, "vzdump", &id, Work::Backup(Box::new(work))))
}

/// `stop_running_backups`.
fn stop_running(call: &mut Call<'_>, node: &str) {
    let running = |key: &u64| {
        let task = call.world.tasks.get(*key);
        task.is_some_and(|task| task.kind == "vzdump" && task.node == node)
    };
    let found: Vec<u64> = call.world.tasks.active().into_iter().filter(running).collect();
    for key in found {
        crate::work::stop(call.world, call.moment, key);
    }
}

/// `vzdump 100 --storage local …`, as the log shows it.
fn command_line(call: &Call<'_>) -> String {
    let mut line = "vzdump".to_owned();
    for vmid in list(call.params.get("vmid").unwrap_or_default()) {
        line.push_str(&format!(" {vmid}"));
    }
    for (name, value) in call.params.0.iter().filter(|(name, value)| {
        !matches!(name.as_ref(), "vmid" | "stdout" | "job-id") && !value.is_empty()
    }) {
        let plain =
            value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./=,:@".contains(&byte));
        let value = if plain { value.clone() } else { format!("'{value}'") };
        line.push_str(&format!(" --{name} {value}"));
    }
    line
}

fn extract(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let volid = call.params.get("volume").unwrap_or_default().to_owned();
    check_volume(call.world, &call.caller, None, &volid, Some("backup"))?;
    let owner = crate::storage::prune::standard_name(volid.rsplit('/').next().unwrap_or(&volid));
    if let Some((_, vmid, _)) = owner {
        call.require(&format!("/vms/{vmid}"), &["VM.Backup"])?;
    }
    let (id, _) = split_volid(&volid).unwrap_or_default();
    let node = call.node();
    crate::storage::activate::active(call.world, id, &node)?;
    let path = call.world.path_of(&volid)?;
    match call.world.volume(&node, &volid).map(|volume| volume.text.clone()) {
        Some(Some(text)) => Ok(json!(text).into()),
        Some(None) => Err(Refusal::die("ERROR: no configuration found in backup archive")),
        None => Err(Refusal::die(format!("ERROR: archive '{path}' does not exist"))),
    }
}

fn defaults(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or("local");
    call.world.require_any(
        &call.caller,
        &format!("/storage/{id}"),
        &["Datastore.Audit", "Datastore.AllocateSpace"],
    )?;
    let storage = crate::storage::activate::find(call.world, id)?;
    let keep = storage.options.get("prune-backups");
    Ok(json!({
        "compress": "0", "ionice": 7, "lockwait": 180, "mode": "snapshot",
        "prune-backups": keep.cloned().map_or(Value::Null, Value::String), "remove": 1,
        "stdexcludes": 1, "stopwait": 10, "storage": id, "zstd": 1,
    })
    .into())
}
