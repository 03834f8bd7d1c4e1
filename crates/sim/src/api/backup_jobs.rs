//! `/cluster/backup`: jobs that back up guests (`PVE::API2::Backup`), and which guests have none.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::backup_options::{self, Options};
use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional};
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use super::schedule::EVENT;
use crate::guest::drive::drives;
use crate::guest::format::{Format, Kind, list};
use crate::guest::property::Values;
use crate::world::guest::Guest;
use crate::world::jobs::BackupJob;

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);
const MODIFY: Permission = Permission::All("/", &["Sys.Modify"]);
const ONE: &str = "/cluster/backup/{id}";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/backup", index).may(AUDIT),
    Endpoint::post("/cluster/backup", create)
        .may(MODIFY)
        .with(&CREATE)
        .writes(Writes::Locked("jobs.cfg", "")),
    Endpoint::get(ONE, one).may(AUDIT),
    Endpoint::put(ONE, update).may(MODIFY).with(&UPDATE).writes(Writes::Locked("vzdump.cron", "")),
    Endpoint::delete(ONE, delete).may(MODIFY).writes(Writes::Locked("vzdump.cron", "")),
    Endpoint::get("/cluster/backup/{id}/included_volumes", included).may(AUDIT),
    Endpoint::get("/cluster/backup-info/not-backed-up", not_backed_up).may(AUDIT),
];

/// What jobs have besides the options of a backup.
const OWN: &[Param] = &[
    optional("comment", Kind::Text { max: 512 }),
    optional("dow", Kind::Check(days)).requires("starttime"),
    optional("enabled", Kind::Bool),
    optional("node", Kind::Format(Format::Node)),
    optional("repeat-missed", Kind::Bool),
    optional("schedule", EVENT),
    optional("starttime", Kind::pattern(is_clock)),
    optional("id", Kind::Format(Format::ConfigId)),
];
const CREATE: [Param; backup_options::PARAMS.len() + 8] = backup_options::with(OWN);
const UPDATE: [Param; backup_options::PARAMS.len() + 8] = {
    let mut out: [Param; CREATE.len()] = backup_options::with(OWN);
    if let Some(last) = out.last_mut() {
        *last = optional("delete", Kind::Format(Format::ConfigIdList));
    }
    out
};
const DAYS: &[&str] = &["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const NUMBERS: &[&str] = &[
    "all",
    "bwlimit",
    "enabled",
    "ionice",
    "lockwait",
    "pigz",
    "protected",
    "quiet",
    "remove",
    "repeat-missed",
    "stdexcludes",
    "stop",
    "stopwait",
    "zstd",
];

/// `pve-day-of-week-list`.
fn days(value: &str) -> Result<(), String> {
    match list(value).find(|day| !DAYS.contains(day)) {
        Some(day) => Err(format!("invalid format - invalid day '{day}'\n")),
        None => Ok(()),
    }
}

/// `\d{1,2}:\d{1,2}`.
fn is_clock(value: &str) -> bool {
    let part = |text: &str| {
        (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    value.split_once(':').is_some_and(|(hour, minute)| part(hour) && part(minute))
}

fn item(job: &BackupJob) -> Map<String, Value> {
    let mut out = Map::new();
    for (key, value) in &job.options {
        let shown = match key.as_str() {
            "exclude-path" => value.split('\0').collect(),
            "prune-backups" => keep(value),
            "fleecing" => property(value, "enabled"),
            "performance" => property(value, ""),
            name if NUMBERS.contains(&name) => match value.parse::<i64>() {
                Ok(number) => json!(number),
                Err(_) => json!(value),
            },
            _ => json!(value),
        };
        out.insert(key.clone(), shown);
    }
    out.insert("id".to_owned(), json!(job.id));
    out.insert("type".to_owned(), json!("vzdump"));
    out
}

/// A property string as it was parsed: flags are numbers, all else is text.
fn property(text: &str, flag: &str) -> Value {
    let values = Values::parse(text, flag).0.into_iter().map(|(key, value)| {
        let number = crate::guest::format::parse_bool(&value).filter(|_| key == flag);
        (key, number.map_or(json!(value), |flag| json!(u8::from(flag))))
    });
    Value::Object(values.collect())
}

/// Retention as `validate_prune_backups` leaves it: nothing that counts is all.
fn keep(text: &str) -> Value {
    if crate::storage::prune::Keep::parse(text).limits() {
        let mut values = Values::parse(text, "");
        values.0.remove("keep-all");
        return json!(values.0);
    }
    json!({ "keep-all": 1 })
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let now = call.moment.seconds();
    let items = call.world.backup_jobs.iter().map(|job| {
        let mut item = item(job);
        if let Some(next) = job.calendar().and_then(|calendar| calendar.next(now)) {
            item.insert("next-run".to_owned(), json!(next));
        }
        Value::Object(item)
    });
    Ok(items.collect::<Value>().into())
}

fn id(call: &Call<'_>) -> String {
    call.params.get("id").unwrap_or_default().to_owned()
}

fn unknown(id: &str) -> Refusal {
    Refusal::param("id", format!("No such job '{id}'"))
}

fn one(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = id(call);
    let job = call.world.backup_job(&id).ok_or_else(|| unknown(&id))?;
    Ok(Value::Object(item(job)).into())
}

/// What is refused while the lock is held is text by the time it is answered (`die "$@"`).
fn within_lock(refusal: Refusal) -> Refusal {
    Refusal::die(refusal.as_text())
}

/// `starttime` and `dow` become a schedule.
fn settle_schedule(options: &mut Options, required: bool) -> Result<(), Refusal> {
    let start = options.remove("starttime");
    let days = options.remove("dow");
    match start {
        Some(_) if options.contains_key("schedule") => {
            let text = "'starttime' and 'schedule' cannot both be set";
            return Err(Refusal::param("starttime", text));
        }
        Some(start) => {
            let days: Vec<&str> = list(days.as_deref().unwrap_or_default()).collect();
            let every = days.is_empty() || days == DAYS;
            let schedule = if every { start } else { format!("{} {start}", days.join(",")) };
            options.insert("schedule".to_owned(), schedule);
        }
        None if required && !options.contains_key("schedule") => {
            let text = "neither 'starttime' nor 'schedule' were set";
            return Err(Refusal::param("schedule", text));
        }
        None => {}
    }
    Ok(())
}

fn check_pool(call: &Call<'_>, options: &Options) -> Result<(), Refusal> {
    let Some(pool) = options.get("pool").filter(|pool| !pool.is_empty()) else { return Ok(()) };
    if !call.world.pools.contains_key(pool) {
        return Err(Refusal::permission(&format!("pool '{pool}' does not exist")));
    }
    call.require(&format!("/pool/{pool}"), &["VM.Backup"])
}

/// `Datastore.Allocate` on the storage that backups go to.
fn check_storage(call: &Call<'_>, storage: Option<&str>) -> Result<(), Refusal> {
    match storage {
        Some(id) => call.require(&format!("/storage/{id}"), &["Datastore.Allocate"]),
        None => Ok(()),
    }
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut options: Options = call.params.0.clone();
    let id = options.remove("id");
    backup_options::assert_allowed(call, &options, false)?;
    check_storage(call, backup_options::storage(&options))?;
    check_pool(call, &options)?;
    settle_schedule(&mut options, true)?;
    options.entry("enabled".to_owned()).or_insert_with(|| "1".to_owned());
    let id = id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    if call.world.backup_job(&id).is_some() {
        return Err(Refusal::die(format!("Job '{id}' already exists")));
    }
    backup_options::verify(&mut options, true).map_err(within_lock)?;
    options.retain(|_, value| !value.is_empty());
    call.world.backup_jobs.push(BackupJob::new(id, options, call.moment.seconds()));
    Ok(Value::Null.into())
}

/// `assert_param_permission_update`.
fn assert_update(call: &Call<'_>, set: &Options, deleted: &Options) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    backup_options::assert_allowed(call, set, false)?;
    backup_options::assert_allowed(call, deleted, true)?;
    if let Some(storage) = set.get("storage").filter(|storage| !storage.is_empty()) {
        return check_storage(call, Some(storage));
    }
    check_storage(call, deleted.get("storage").map(|_| "local"))
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut set: Options = call.params.0.clone();
    let id = set.remove("id").unwrap_or_default();
    let deleted = set.remove("delete").unwrap_or_default();
    let deleted: Options = list(&deleted).map(|key| (key.to_owned(), String::new())).collect();
    assert_update(call, &set, &deleted)?;
    check_pool(call, &set)?;
    settle_schedule(&mut set, false)?;
    if set.is_empty() && deleted.is_empty() {
        return Err(Refusal::die("no options specified"));
    }
    let job = changed(call, &id, set, &deleted).map_err(within_lock)?;
    if let Some(stored) = call.world.backup_jobs.iter_mut().find(|stored| stored.id == id) {
        *stored = BackupJob::new(id, job, call.moment.seconds());
    }
    Ok(Value::Null.into())
}

/// The options of a job after a change.
fn changed(
    call: &Call<'_>,
    id: &str,
    mut set: Options,
    deleted: &Options,
) -> Result<Options, Refusal> {
    backup_options::verify(&mut set, false)?;
    let Some(job) = call.world.backup_job(id) else {
        return Err(Refusal::die("no such vzdump job"));
    };
    let mut options = job.options.clone();
    if !call.caller.is_root() {
        if options.contains_key("dumpdir") {
            let text = "only root@pam may edit jobs with a 'dumpdir' option. at /usr/share/perl5/PVE/API2/Backup.pm line 90.";
            return Err(Refusal::die(text));
        }
        check_storage(call, backup_options::storage(&options))?;
    }
    for key in deleted.keys() {
        let known = backup_options::PARAMS.iter().any(|param| param.name == key);
        if !known && !["comment", "node", "repeat-missed"].contains(&key.as_str()) {
            return Err(Refusal::param("delete", format!("unknown option '{key}'")));
        }
        options.remove(key);
    }
    options.extend(set.clone());
    if options.contains_key("exclude") && !options.contains_key("pool") {
        options.insert("all".to_owned(), "1".to_owned());
    }
    let others: &[&str] = if set.contains_key("vmid") {
        &["all", "exclude", "pool"]
    } else if set.get("all").is_some_and(|all| all == "1") {
        &["vmid", "pool"]
    } else if options.get("pool").is_some_and(|pool| !pool.is_empty()) {
        &["vmid", "all", "exclude"]
    } else {
        &[]
    };
    for key in others {
        options.remove(*key);
    }
    backup_options::verify(&mut options, true)?;
    options.retain(|_, value| !value.is_empty());
    Ok(options)
}

fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = id(call);
    if call.world.backup_job(&id).is_none() {
        return Err(within_lock(unknown(&id)));
    }
    call.world.backup_jobs.retain(|job| job.id != id);
    Ok(Value::Null.into())
}

/// The guests of a job and their disks, as a tree.
fn included(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = id(call);
    let job = call.world.backup_job(&id).ok_or_else(|| unknown(&id))?;
    let vmids = backup_options::included_guests(call.world, &job.options)?;
    let sees = call.visible_guests();
    let visible = vmids.into_iter().filter(|vmid| sees(*vmid));
    let children = visible.map(|vmid| match call.world.guest(vmid) {
        Some(guest) => branch(guest),
        None => json!({ "id": vmid, "type": "unknown", "leaf": 1 }),
    });
    Ok(json!({ "children": children.collect::<Value>() }).into())
}

/// A guest and its volumes (`get_backup_volumes`).
fn branch(guest: &Guest) -> Value {
    let volumes = drives(guest).into_iter().filter(|(_, drive)| !drive.is_cdrom());
    let volumes: Vec<Value> = volumes
        .map(|(key, drive)| {
            let backup = drive.values.get("backup").and_then(crate::guest::format::parse_bool);
            let mut included = backup.unwrap_or(true);
            // The reason tells whether the option is there, not what it says.
            let mut reason = if backup.is_some() { "backup=no" } else { "backup=yes" };
            if key.starts_with("efidisk") && guest.get("bios") != Some("ovmf") {
                (included, reason) = (false, "efidisk but no OVMF BIOS");
            }
            json!({
                "id": format!("{}:{key}", guest.vmid), "name": drive.file(),
                "included": u8::from(included), "reason": reason, "leaf": 1,
            })
        })
        .collect();
    json!({
        "id": guest.vmid, "type": "qemu", "name": guest.get("name"),
        "leaf": u8::from(volumes.is_empty()), "children": volumes,
    })
}

/// Guests that no job covers, switched off or not.
fn not_backed_up(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let mut covered = BTreeSet::new();
    for job in &call.world.backup_jobs {
        covered.extend(backup_options::included_guests(call.world, &job.options)?);
    }
    let sees = call.visible_guests();
    let guests = call.world.guests.values();
    let guests = guests.filter(|guest| sees(guest.vmid) && !covered.contains(&guest.vmid));
    let list = guests.map(|guest| {
        let mut item = json!({ "vmid": guest.vmid, "type": "qemu" });
        if let (Some(name), Some(members)) = (guest.get("name"), item.as_object_mut()) {
            members.insert("name".to_owned(), json!(name));
        }
        item
    });
    Ok(list.collect::<Value>().into())
}
