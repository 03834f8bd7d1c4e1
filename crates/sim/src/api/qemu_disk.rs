//! Resize and move.

use super::call::{Call, Reply, check_lock, load_config};
use super::endpoint::{Endpoint, Param, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::guest::{drive, patterns};
use crate::work::Work;
use crate::work::disk::{Move, Reassign, Resize};

const DISK: Permission = Permission::All("/vms/{vmid}", &["VM.Config.Disk"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::put("/nodes/{node}/qemu/{vmid}/resize", resize).may(DISK).with(&[
        required("disk", Kind::Words(drive::names)),
        required("size", Kind::pattern(patterns::resize)),
        optional("digest", Kind::Text { max: 40 }),
        optional("skiplock", Kind::Bool),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/move_disk", move_disk).may(DISK).with(MOVE),
];

const MOVE: &[Param] = &[
    required("disk", Kind::Words(drive::names_with_unused)),
    optional("bwlimit", Kind::NATURAL),
    optional("delete", Kind::Bool),
    optional("digest", Kind::Text { max: 40 }),
    optional("format", Kind::Enum(&["raw", "qcow2", "vmdk"])),
    optional("storage", Kind::Format(Format::StorageId)),
    optional("target-digest", Kind::Text { max: 40 }),
    optional("target-disk", Kind::Words(drive::names_with_unused)),
    optional("target-vmid", Kind::Format(Format::Vmid)),
];

fn own(call: &Call<'_>, name: &str) -> Option<String> {
    call.params.get(name).filter(|text| !text.is_empty()).map(str::to_owned)
}

/// All that can be wrong is said by the worker.
fn resize(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let skiplock = call.params.flag("skiplock").unwrap_or(false);
    if skiplock && !call.caller.is_root() {
        return Err(Refusal::param("skiplock", "Only root may use this option."));
    }
    let work = Resize {
        vmid: call.vmid(),
        disk: own(call, "disk").unwrap_or_default(),
        size: own(call, "size").unwrap_or_default(),
        digest: own(call, "digest"),
        skiplock,
    };
    call.fork_guest("resize", Work::Resize(work))
}

fn move_disk(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let target = call.params.get("target-vmid").and_then(|text| text.parse().ok());
    match (target, own(call, "storage")) {
        (Some(_), Some(_)) => {
            let text = "either set 'storage' or 'target-vmid', but not both";
            let both = ["storage", "target-vmid"].map(|name| (name.to_owned(), text.to_owned()));
            Err(Refusal::Params(both.into()))
        }
        (Some(target), None) => reassign(call, target),
        (None, Some(storage)) => copy(call, storage),
        (None, None) => {
            let text = "both 'storage' and 'target-vmid' missing, either needs to be set";
            let both = ["storage", "target-vmid"].map(|name| (name.to_owned(), text.to_owned()));
            Err(Refusal::Params(both.into()))
        }
    }
}

fn copy(call: &mut Call<'_>, storage: String) -> Result<Reply, Refusal> {
    call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let work = Move {
        vmid: call.vmid(),
        disk: own(call, "disk").unwrap_or_default(),
        storage,
        format: own(call, "format"),
        delete: call.params.flag("delete").unwrap_or(false),
        digest: own(call, "digest"),
        ..Move::default()
    };
    work.check(call.world, &call.node())?;
    call.fork_guest("qmmove", Work::Move(work))
}

fn reassign(call: &mut Call<'_>, target: u32) -> Result<Reply, Refusal> {
    let (node, vmid) = (call.node(), call.vmid());
    call.require(&format!("/vms/{target}"), &["VM.Config.Disk"])?;
    if target == vmid {
        let text = "must be different than source VMID to reassign disk";
        return Err(Refusal::param("target-vmid", text));
    }
    let disk = own(call, "disk").unwrap_or_default();
    let work = Reassign {
        vmid,
        target,
        target_disk: own(call, "target-disk").unwrap_or_else(|| disk.clone()),
        disk,
        digest: own(call, "digest"),
        target_digest: own(call, "target-digest"),
        caller: call.caller.authid.clone(),
    };
    let drive = work.check(call.world, &node).map_err(Refusal::die)?;
    let storage = drive.file().split_once(':').map_or("", |(storage, _)| storage);
    call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let id = format!("{vmid}-{}>{target}-{}", work.disk, work.target_disk);
    Ok(call.fork(&node, "qmmove", &id, Work::Reassign(work)))
}

/// Loads a guest that no lock protects.
pub(crate) fn unlocked<'a>(
    world: &'a crate::world::World,
    node: &str,
    vmid: u32,
) -> Result<&'a crate::world::guest::Guest, String> {
    let guest = load_config(world, node, vmid).map_err(|refusal| refusal.exit())?;
    check_lock(guest)?;
    Ok(guest)
}
