//! Resize and move.

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::drive::Drive;
use crate::guest::format::{Format, Kind};
use crate::guest::keys;
use crate::work::Work;
use crate::work::disk::{Move, Resize};

const DISK: Permission = Permission::All("/vms/{vmid}", &["VM.Config.Disk"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::put("/nodes/{node}/qemu/{vmid}/resize", resize).may(DISK).with(&[
        required("disk", Kind::TEXT),
        required("size", Kind::TEXT),
        optional("digest", Kind::Format(Format::Digest)),
        optional("skiplock", Kind::Bool),
    ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/move_disk", move_disk).may(DISK).with(MOVE),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/move-disk", move_disk).may(DISK).with(MOVE),
];

const MOVE: &[super::endpoint::Param] = &[
    required("disk", Kind::TEXT),
    optional("bwlimit", Kind::NATURAL),
    optional("delete", Kind::Bool),
    optional("digest", Kind::Format(Format::Digest)),
    optional("format", Kind::Enum(&["raw", "qcow2", "vmdk"])),
    optional("storage", Kind::Format(Format::StorageId)),
    optional("target-digest", Kind::Format(Format::Digest)),
    optional("target-disk", Kind::TEXT),
    optional("target-vmid", Kind::Format(Format::Vmid)),
];

fn disk_param(call: &Call<'_>) -> Result<String, Refusal> {
    let disk = call.params.get("disk").unwrap_or_default();
    if keys::is_drive(disk) || disk.starts_with("unused") {
        return Ok(disk.to_owned());
    }
    Err(Refusal::param("disk", format!("value '{disk}' does not have a value in the enumeration")))
}

fn resize(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (vmid, disk) = (call.vmid(), disk_param(call)?);
    let size = call.params.get("size").unwrap_or_default().to_owned();
    let digits = size.strip_prefix('+').unwrap_or(&size);
    if crate::guest::size::parse(digits).is_none() {
        return Err(Refusal::param(
            "size",
            r"value does not match the regex pattern '\+?\d+(\.\d+)?[KMGT]?'",
        ));
    }
    let guest = call.guest()?;
    let skiplock = call.params.flag("skiplock").unwrap_or(false);
    if skiplock && !call.caller.is_root() {
        return Err(Refusal::param("skiplock", "Only root may use this option."));
    }
    let storage = guest.get(&disk).map(Drive::parse);
    let storage = storage
        .and_then(|drive| drive.file().split_once(':').map(|(storage, _)| storage.to_owned()));
    if let Some(storage) = storage {
        call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    }
    let digest = call.params.get("digest").map(str::to_owned);
    call.fork_guest("resize", Work::Resize(Resize { vmid, disk, size, digest, skiplock }))
}

fn move_disk(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (vmid, disk) = (call.vmid(), disk_param(call)?);
    if call.params.get("target-vmid").is_some() {
        return Err(Refusal::die("moving a disk to another guest is not simulated"));
    }
    let Some(storage) = call.params.get("storage").map(str::to_owned) else {
        let text = "requires target storage or target vmid";
        return Err(Refusal::param("storage", text));
    };
    call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    let guest = call.guest()?;
    call.check_lock(guest)?;
    if call.params.get("digest").is_some_and(|digest| digest != guest.digest()) {
        return Err(Refusal::die("checksum mismatch (file change by other user?)"));
    }
    let Some(drive) = guest.get(&disk).map(Drive::parse) else {
        return Err(Refusal::die(format!("disk '{disk}' does not exist")));
    };
    let found = crate::guest::drive::storage_of(call.world, &storage).map_err(Refusal::die)?;
    let same_format =
        match (call.params.get("format"), call.world.volume(&guest.node, drive.file())) {
            (Some(format), Some(volume)) => volume.format == format,
            _ => true,
        };
    if drive.file().split_once(':').is_some_and(|(own, _)| own == found.id) && same_format {
        return Err(Refusal::die("you can't move to the same storage with same format"));
    }
    let work = Move {
        vmid,
        disk,
        storage,
        format: call.params.get("format").map(str::to_owned),
        delete: call.params.flag("delete").unwrap_or(false),
    };
    call.fork_guest("qmmove", Work::Move(work))
}
