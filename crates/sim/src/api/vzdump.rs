//! `/nodes/{node}/vzdump`: backups, and the configuration in one.

use serde_json::json;

use super::backup_options::{self, Options};
use super::call::{Call, Reply};
use super::endpoint::{Endpoint, Param, optional, required};
use super::guest_checks::check_volume;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::storage::volname;
use crate::work::{Work, backup::Backup};
use crate::world::volumes::split_volid;

const PATH: &str = "/nodes/{node}/vzdump";

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post(PATH, backup).with(&PARAMS),
    Endpoint::get("/nodes/{node}/vzdump/extractconfig", extract)
        .with(&[required("volume", Kind::TEXT)]),
    Endpoint::get("/nodes/{node}/vzdump/defaults", defaults)
        .with(&[optional("storage", Kind::Format(Format::StorageId))]),
];

/// The options, and those of this call alone.
const PARAMS: [Param; backup_options::PARAMS.len() + 2] = backup_options::with(&[
    optional("job-id", Kind::Pattern { fits: word, max: 50 }),
    optional("stdout", Kind::Bool),
]);

fn word(value: &str) -> bool {
    !value.is_empty() && !value.contains(char::is_whitespace)
}

fn backup(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let node = call.node();
    if call.params.flag("stdout").unwrap_or(false) {
        let text = "option is only allowed on the command line interface.";
        return Err(Refusal::param("stdout", text));
    }
    let mut options = call.params.0.clone();
    let storage = backup_options::storage(&options).unwrap_or("local").to_owned();
    assert_allowed(call, &options, &storage)?;
    backup_options::verify(&mut options, true)?;
    let all = options.get("all").is_some_and(|all| all == "1");
    // The node of the path is an option too: guests of other nodes are not even skipped.
    let vmids = backup_options::included_guests(call.world, &options)?;
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
    let work = Backup::of(&options, vmids.clone());
    let id = match vmids.as_slice() {
        [one] => one.to_string(),
        _ => String::new(),
    };
    Ok(call.fork(&node, "vzdump", &id, Work::Backup(Box::new(work))))
}

/// `assert_param_permission_vzdump`.
fn assert_allowed(call: &Call<'_>, options: &Options, storage: &str) -> Result<(), Refusal> {
    backup_options::assert_allowed(call, options, false)?;
    if options.contains_key("prune-backups") {
        call.require(&format!("/storage/{storage}"), &["Datastore.Allocate"])?;
    }
    Ok(())
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

fn extract(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let volid = call.params.get("volume").unwrap_or_default().to_owned();
    check_volume(call.world, &call.caller, None, &volid, Some("backup"))?;
    let (id, name) = split_volid(&volid).unwrap_or_default();
    let storage = crate::storage::activate::find(call.world, id)?;
    let owner = volname::parse(storage.kind, name)?.vmid;
    let owner = owner.map(|vmid| vmid.to_string()).unwrap_or_default();
    call.require(&format!("/vms/{owner}"), &["VM.Backup"])?;
    let node = call.node();
    crate::storage::activate::active(call.world, id, &node)?;
    let Some(text) = call.world.volume(&node, &volid).map(|volume| volume.text.clone()) else {
        return Err(Refusal::die(format!("volume '{volid}' does not exist")));
    };
    let file = name.strip_prefix("backup/").unwrap_or(name);
    if !["lxc", "openvz", "qemu"].iter().any(|kind| file.starts_with(&format!("vzdump-{kind}-"))) {
        let path = call.world.path_of(&volid)?;
        let error = format!("ERROR: couldn't determine archive info from '{path}'");
        return Err(Refusal::die(error));
    }
    match text {
        Some(text) => Ok(json!(text).into()),
        None => Err(Refusal::die("ERROR: no configuration found in backup archive")),
    }
}

/// `read_vzdump_defaults` of a node whose `/etc/vzdump.conf` sets nothing, and what the storage
/// says. Some of it is for those who may look at the node.
fn defaults(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or("local");
    call.world.require_any(
        &call.caller,
        &format!("/storage/{id}"),
        &["Datastore.Audit", "Datastore.AllocateSpace"],
    )?;
    let storage = crate::storage::activate::find(call.world, id)?;
    if !storage.holds("backup") {
        let error = format!("can't use storage '{id}' for backups - wrong content type");
        return Err(Refusal::die(error));
    }
    let keep = storage.options.get("prune-backups").map_or("keep-all=1", String::as_str);
    let mut item = json!({
        "all": 0, "bwlimit": 0, "compress": "0", "fleecing": { "enabled": 0 }, "lockwait": 180,
        "mailnotification": "always", "mode": "snapshot", "notification-mode": "auto",
        "performance": { "max-workers": 16, "pbs-entries-max": 1_048_576 }, "pigz": 0,
        "prune-backups": keep, "quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0,
        "stopwait": 10, "storage": id, "zstd": 1,
    });
    let audits = call.may(&format!("/nodes/{}", call.node()), &["Sys.Audit"]);
    if let Some(members) = item.as_object_mut().filter(|_| audits) {
        members.insert("ionice".to_owned(), json!(7));
        if let Some(folder) = crate::storage::path::folder(storage, "backup") {
            members.insert("dumpdir".to_owned(), json!(folder));
        }
    }
    Ok(item.into())
}
