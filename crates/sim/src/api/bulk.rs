//! `/cluster/bulk-action`, and `startall`, `stopall`, `suspendall`, `migrateall` of a node
//! (`PVE::API2::Cluster::BulkAction::Guest`, `PVE::API2::Nodes`).

use std::collections::BTreeMap;

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::{Endpoint, Param, optional, required};
use super::refusal::Refusal;
use crate::guest::format::{self, Format, Kind, list};
use crate::work::Work;
use crate::work::bulk::{self, Bulk};
use crate::work::node_bulk::{self, NodeBulk};

const WORKERS: Kind = Kind::between(1, 64);
const VMS: Param = optional("vms", Kind::TEXT).array();
const MAXWORKERS: Param = optional("maxworkers", WORKERS);
const MAX_WORKERS: Param = optional("max-workers", WORKERS);
const LISTED: Param = optional("vms", Kind::Formatted(vmid_list)).list();
const POWER: &[&str] = &["VM.PowerMgmt"];

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/cluster/bulk-action", index),
    Endpoint::get("/cluster/bulk-action/guest", guest_index),
    Endpoint::post("/cluster/bulk-action/guest/start", start).with(&[
        VMS,
        optional("timeout", Kind::INT),
        MAXWORKERS,
        MAX_WORKERS,
    ]),
    Endpoint::post("/cluster/bulk-action/guest/shutdown", shutdown).with(&[
        VMS,
        optional("timeout", Kind::INT),
        optional("force-stop", Kind::Bool),
        MAXWORKERS,
        MAX_WORKERS,
    ]),
    Endpoint::post("/cluster/bulk-action/guest/suspend", suspend).with(&[
        VMS,
        optional("statestorage", Kind::Format(Format::StorageId)),
        optional("to-disk", Kind::Bool),
        MAXWORKERS,
        MAX_WORKERS,
    ]),
    Endpoint::post("/cluster/bulk-action/guest/migrate", migrate).with(&[
        VMS,
        required("target", Kind::Format(Format::Node)),
        optional("online", Kind::Bool),
        optional("with-local-disks", Kind::Bool),
        MAXWORKERS,
        MAX_WORKERS,
    ]),
    Endpoint::post("/nodes/{node}/startall", start_all).with(&[
        optional("force", Kind::Bool),
        LISTED,
        MAX_WORKERS,
    ]),
    Endpoint::post("/nodes/{node}/stopall", stop_all).with(&[
        LISTED,
        optional("force-stop", Kind::Bool),
        optional("timeout", Kind::between(0, 7200)),
        MAX_WORKERS,
    ]),
    Endpoint::post("/nodes/{node}/suspendall", suspend_all).with(&[LISTED, MAX_WORKERS]),
    Endpoint::post("/nodes/{node}/migrateall", migrate_all).with(&[
        required("target", Kind::Format(Format::Node)),
        MAXWORKERS,
        MAX_WORKERS,
        LISTED,
        optional("with-local-disks", Kind::Bool),
    ]),
];

fn vmid_list(value: &str) -> Result<(), String> {
    list(value).try_for_each(|vmid| format::check_format(Format::Vmid, vmid))
}

fn index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(subdirs(&["guest"], "name").into())
}

fn guest_index(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(subdirs(&["start", "shutdown", "migrate", "suspend"], "name").into())
}

/// The parameter `vms` as an array: every item is an id.
fn items(call: &Call<'_>) -> Result<Option<Vec<u32>>, Refusal> {
    let Some(text) = call.params.get("vms") else { return Ok(None) };
    let (mut found, mut errors) = (Vec::new(), BTreeMap::new());
    for (index, item) in text.split('\0').enumerate() {
        match format::check(Kind::Format(Format::Vmid), "vms", item) {
            Ok(()) => found.extend(item.parse::<u32>()),
            Err(error) => {
                errors.insert(format!("vms[{index}]"), error);
            }
        }
    }
    if errors.is_empty() { Ok(Some(found)) } else { Err(Refusal::Params(errors)) }
}

/// `check_guest_permissions`: on each guest that is listed, or on all.
fn check(call: &Call<'_>, vms: Option<&[u32]>, wanted: &[&str]) -> Result<(), Refusal> {
    match vms {
        Some(vms) if !vms.is_empty() => {
            vms.iter().try_for_each(|vmid| call.require(&format!("/vms/{vmid}"), wanted))
        }
        _ if wanted.iter().all(|privilege| call.may("/", &[privilege])) => Ok(()),
        _ => Err(Refusal::permission(&format!("/, {}", wanted.join(", ")))),
    }
}

/// How many tasks at a time: as asked, as the datacenter says, or as usual.
fn workers(call: &Call<'_>, usual: i64) -> usize {
    let asked = call.params.int("max-workers").filter(|number| *number > 0);
    let asked = asked.or_else(|| call.params.int("maxworkers").filter(|number| *number > 0));
    let datacenter = || call.world.options.get("max_workers").and_then(|text| text.parse().ok());
    usize::try_from(asked.or_else(datacenter).unwrap_or(usual)).unwrap_or(1)
}

fn fork(
    call: &mut Call<'_>,
    kind: &str,
    action: bulk::Action,
    vms: Option<Vec<u32>>,
    usual: i64,
) -> Result<Reply, Refusal> {
    let workers = workers(call, usual);
    let node = call.world.answering().unwrap_or_default().to_owned();
    let vms = vms.filter(|vms| !vms.is_empty());
    Ok(call.fork(&node, kind, "", Work::Bulk(Bulk::new(action, vms, workers))))
}

fn start(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = items(call)?;
    check(call, vms.as_deref(), POWER)?;
    let action = bulk::Action::Start { timeout: call.params.int("timeout") };
    fork(call, "bulk-start", action, vms, 4)
}

fn shutdown(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = items(call)?;
    check(call, vms.as_deref(), POWER)?;
    let force = call.params.flag("force-stop").unwrap_or(true);
    let action = bulk::Action::Shutdown { timeout: call.params.int("timeout"), force };
    fork(call, "bulk-shutdown", action, vms, 4)
}

fn suspend(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = items(call)?;
    let storage = call.params.get("statestorage").map(str::to_owned);
    if storage.is_some() && call.params.get("to-disk").is_none() {
        return Err(Refusal::param("to-disk", "missing property required by 'statestorage'"));
    }
    check(call, vms.as_deref(), POWER)?;
    let to_disk = call.params.flag("to-disk").unwrap_or(false);
    if to_disk {
        check(call, vms.as_deref(), &["VM.Config.Disk"])?;
        if let Some(storage) = &storage {
            call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
        }
    }
    fork(call, "bulk-suspend", bulk::Action::Suspend { to_disk, storage }, vms, 4)
}

fn migrate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = items(call)?;
    check(call, vms.as_deref(), &["VM.Migrate"])?;
    let action = bulk::Action::Migrate {
        target: call.params.get("target").unwrap_or_default().to_owned(),
        online: call.params.flag("online"),
        local_disks: call.params.flag("with-local-disks"),
    };
    fork(call, "bulk-migrate", action, vms, 1)
}

/// The listed guests of a node's action, once the caller may.
fn listed(
    call: &Call<'_>,
    wanted: &[&str],
    on_guests: &[&str],
) -> Result<Option<Vec<u32>>, Refusal> {
    let vms: Option<Vec<u32>> = call
        .params
        .get("vms")
        .map(|text| list(text).filter_map(|vmid| vmid.parse().ok()).collect());
    if wanted.iter().all(|privilege| call.may("/", &[privilege])) {
        return Ok(vms);
    }
    match &vms {
        Some(vms) if !vms.is_empty() => {
            for vmid in vms {
                call.require(&format!("/vms/{vmid}"), on_guests)?;
            }
        }
        _ => return Err(Refusal::permission(&format!("/, {}", wanted.join(" && ")))),
    }
    Ok(vms)
}

fn fork_node(
    call: &mut Call<'_>,
    kind: &str,
    action: node_bulk::Action,
    vms: Option<Vec<u32>>,
) -> Result<Reply, Refusal> {
    let node = call.node();
    let cpus = call.world.nodes.get(&node).map_or(1, |node| i64::from(node.cpus));
    let workers = workers(call, (cpus - 1).clamp(1, 8));
    Ok(call.fork(&node, kind, "", Work::NodeBulk(NodeBulk::new(action, vms, workers))))
}

fn start_all(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = listed(call, POWER, POWER)?;
    let force = call.params.flag("force").unwrap_or(false);
    fork_node(call, "startall", node_bulk::Action::Start { force }, vms)
}

fn stop_all(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = listed(call, POWER, POWER)?;
    let force = call.params.flag("force-stop").unwrap_or(true);
    let timeout = call.params.int("timeout");
    fork_node(call, "stopall", node_bulk::Action::Stop { timeout, force }, vms)
}

fn suspend_all(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = listed(call, &["VM.PowerMgmt", "VM.Config.Disk"], POWER)?;
    fork_node(call, "suspendall", node_bulk::Action::Suspend, vms)
}

fn migrate_all(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vms = listed(call, &["VM.Migrate"], &["VM.Migrate"])?;
    let target = call.params.get("target").unwrap_or_default().to_owned();
    if target == call.node() {
        return Err(Refusal::param("target", "target is local node."));
    }
    call.check_quorum()?;
    super::call::check_node(call.world, &target)?;
    if workers(call, 0) == 0 {
        return Err(Refusal::die(
            "either 'max-workers' parameter or max_workers in datacenter.cfg must be set!",
        ));
    }
    let local_disks = call.params.flag("with-local-disks");
    fork_node(call, "migrateall", node_bulk::Action::Migrate { target, local_disks }, vms)
}
