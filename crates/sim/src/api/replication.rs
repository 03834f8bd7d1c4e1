//! `/cluster/replication` (`PVE::API2::ReplicationConfig`). Jobs are known, and keep guests from
//! moving; they never run.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::refusal::Refusal;
use super::schedule::EVENT;
use crate::guest::drive::{Drive, drives};
use crate::guest::format::{Format, Kind, list, parse_bool};
use crate::guest::keys;
use crate::world::guest::Guest;
use crate::world::storage::StorageKind;
use crate::world::volumes::split_volid;

const ID: Param = required("id", Kind::Check(id));
const COMMENT: Param = optional("comment", Kind::Text { max: 4096 });
const DISABLE: Param = optional("disable", Kind::Bool);
const RATE: Param = optional("rate", Kind::Num { min: Some(1.0), max: None });
const REMOVE: Param = optional("remove_job", Kind::Enum(&["local", "full"]));
const SCHEDULE: Param = optional("schedule", EVENT);
const SOURCE: Param = optional("source", Kind::Format(Format::Node));

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/replication", index),
    Endpoint::get("/cluster/replication/{id}", one),
    Endpoint::post("/cluster/replication", create).with(&[
        ID,
        required("target", Kind::Format(Format::Node)),
        required("type", Kind::Enum(&["local"])),
        COMMENT,
        DISABLE,
        RATE,
        REMOVE,
        SCHEDULE,
        SOURCE,
    ]),
    Endpoint::put("/cluster/replication/{id}", update).with(&[
        ID,
        COMMENT,
        DISABLE,
        RATE,
        REMOVE,
        SCHEDULE,
        SOURCE,
        optional("delete", Kind::Format(Format::ConfigIdList)),
        optional("digest", Kind::Text { max: 64 }),
    ]),
    Endpoint::delete("/cluster/replication/{id}", delete).with(&[
        ID,
        optional("force", Kind::Bool),
        optional("keep", Kind::Bool),
    ]),
];

/// `pve-replication-id`: a guest and a number.
fn id(value: &str) -> Result<(), String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wrong = format!("invalid format - invalid replication job id '{value}'");
    let Some((guest, number)) =
        value.split_once('-').filter(|(guest, number)| digits(guest) && digits(number))
    else {
        return Err(format!("{wrong}\n"));
    };
    if guest.parse::<u64>().is_ok_and(|guest| guest < 100) {
        return Err(format!("{wrong} (guest IDs < 100 are reserved)\n"));
    }
    let fits = !guest.starts_with('0') && (3..=9).contains(&guest.len()) && number.len() <= 9;
    if fits { Ok(()) } else { Err("value does not match the regex pattern".to_owned()) }
}

/// The guest in the id, which the caller may replicate.
fn guest(call: &Call<'_>) -> Result<u32, Refusal> {
    let id = call.params.get("id").unwrap_or_default();
    let guest = id.split('-').next().unwrap_or_default();
    call.require(&format!("/vms/{guest}"), &["VM.Replicate"])?;
    Ok(guest.parse().unwrap_or(0))
}

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vmid = guest(call)?;
    let world = &*call.world;
    let Some(guest) = world.guest(vmid) else {
        return Err(Refusal::die(format!("Guest '{vmid}' does not exist.")));
    };
    let target = call.params.get("target").unwrap_or_default();
    if !world.nodes.contains_key(target) {
        return Err(Refusal::die(format!("Target '{target}' does not exist.")));
    }
    if let Some(source) = call.params.get("source").filter(|source| *source != guest.node) {
        return Err(Refusal::die(format!(
            "Source '{source}' does not match current node of guest '{vmid}' ({})",
            guest.node
        )));
    }
    if target == guest.node {
        return Err(Refusal::die("Source and target must not be identical"));
    }
    if replicated(call, guest)?.is_empty() {
        return Err(Refusal::die("No replicatable volumes found"));
    }
    let id = call.params.get("id").unwrap_or_default().to_owned();
    if call.world.replication.contains_key(&id) {
        return Err(Refusal::die(format!("replication job '{id}' already exists")));
    }
    let job = call.params.0.iter().filter(|(key, _)| *key != "id");
    let job = job.map(|(key, value)| (key.clone(), value.clone())).collect();
    call.cfs_lock("file-replication_cfg", "")?;
    call.world.replication.insert(id, job);
    Ok(Value::Null.into())
}

/// A job as lists show it.
fn item(id: &str, job: &BTreeMap<String, String>) -> Value {
    let (guest, number) = id.split_once('-').unwrap_or_default();
    let mut out = json!({
        "id": id, "type": "local", "guest": guest.parse::<u32>().unwrap_or(0),
        "jobnum": number.parse::<u32>().unwrap_or(0),
    });
    if let Some(members) = out.as_object_mut() {
        for (key, value) in job {
            members.insert(key.clone(), json!(value));
        }
    }
    out
}

fn sees(call: &Call<'_>, id: &str) -> bool {
    let guest = id.split('-').next().unwrap_or_default();
    call.may(&format!("/vms/{guest}"), &["VM.Audit"])
}

fn index(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let jobs = call.world.replication.iter().filter(|(id, _)| sees(call, id));
    Ok(Value::Array(jobs.map(|(id, job)| item(id, job)).collect()).into())
}

fn one(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("id").unwrap_or_default();
    match call.world.replication.get(id) {
        Some(job) => Ok(item(id, job).into()),
        None => Err(Refusal::die(format!("no such replication job '{id}'"))),
    }
}

/// The volumes that are to be replicated (`get_replicatable_volumes`), in the order of their ids.
fn replicated(call: &Call<'_>, guest: &Guest) -> Result<BTreeSet<String>, Refusal> {
    let unused = guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "unused"));
    let unused = unused.map(|(_, value)| Drive::parse(value));
    let all = drives(guest).into_iter().map(|(_, drive)| drive).chain(unused);
    let wanted = all.filter(|drive| {
        !drive.is_cdrom() && drive.values.get("replicate").and_then(parse_bool) != Some(false)
    });
    let files: BTreeSet<String> = wanted.map(|drive| drive.file().to_owned()).collect();
    let mut found = BTreeSet::new();
    for file in files {
        if file.starts_with('/') {
            let text = format!("unable to replicate local file/device '{file}'");
            return Err(Refusal::die(text));
        }
        let Some((storage, _)) = split_volid(&file) else { continue };
        let storage = crate::storage::activate::find(call.world, storage)?;
        if storage.shared {
            continue;
        }
        if storage.kind != StorageKind::ZfsPool {
            return Err(Refusal::die(format!("missing replicate feature on volume '{file}'")));
        }
        found.insert(file);
    }
    Ok(found)
}

fn no_job(call: &Call<'_>) -> Refusal {
    Refusal::die(format!("no such job '{}'", call.params.get("id").unwrap_or_default()))
}

fn update(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    guest(call)?;
    call.cfs_lock("file-replication_cfg", "")?;
    let params = call.params.0.clone();
    let id = params.get("id").map(String::as_str).unwrap_or_default();
    let Some(job) = call.world.replication.get_mut(id) else { return Err(no_job(call)) };
    let gone = params.get("delete").map(String::as_str).unwrap_or_default();
    list(gone).for_each(|key| drop(job.remove(key)));
    let kept = |key: &&String| !matches!(key.as_str(), "id" | "delete" | "digest");
    for key in params.keys().filter(kept) {
        job.insert(key.clone(), params.get(key).cloned().unwrap_or_default());
    }
    Ok(Value::Null.into())
}

/// The next run of a job would remove it, and with `force` nothing is waited for.
fn delete(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    guest(call)?;
    call.cfs_lock("file-replication_cfg", "")?;
    let id = call.params.get("id").unwrap_or_default().to_owned();
    if call.params.flag("force") != Some(true) {
        return match call.world.replication.remove(&id) {
            Some(_) => Ok(Value::Null.into()),
            None => Err(no_job(call)),
        };
    }
    if call.params.flag("keep") == Some(true) {
        return Err(Refusal::param("keep", "conflicts with parameter 'force'"));
    }
    call.world.replication.remove(&id);
    Ok(Value::Null.into())
}
