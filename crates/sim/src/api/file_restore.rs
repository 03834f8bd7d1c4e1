//! `/nodes/{node}/storage/{storage}/file-restore`: single files of backups, which only a Proxmox
//! Backup Server gives out; none is there.

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::guest_checks::check_volume;
use super::refusal::Refusal;
use crate::guest::format::Kind;
use crate::storage::activate::find;
use crate::world::storage::StorageKind;
use crate::world::volumes::split_volid;

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/storage/{storage}/file-restore/list", refuse)
        .with(&[required("volume", Kind::TEXT), required("filepath", Kind::TEXT)]),
    Endpoint::get("/nodes/{node}/storage/{storage}/file-restore/download", refuse).with(&[
        required("volume", Kind::TEXT),
        required("filepath", Kind::TEXT),
        optional("tar", Kind::Bool),
    ]),
];

fn refuse(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let id = call.params.get("storage").unwrap_or_default();
    let volume = call.params.get("volume").unwrap_or_default();
    let volid = match split_volid(volume) {
        Some((other, _)) if other != id => {
            let text = format!("storage ID mismatch ({other} != {id}).");
            return Err(Refusal::param("volume", text));
        }
        Some(_) => volume.to_owned(),
        None if volume.starts_with("backup/") => format!("{id}:{volume}"),
        None => format!("{id}:backup/{volume}"),
    };
    let kind = find(call.world, id)?.kind;
    check_volume(call.world, &call.caller, None, &volid, Some("backup"))?;
    if kind != StorageKind::Pbs {
        let text = "Only PBS storages supported for file-restore.";
        return Err(Refusal::param("storage", text));
    }
    let server = find(call.world, id)?.options.get("server").cloned().unwrap_or_default();
    Err(Refusal::die(format!("error connecting to {server}: No route to host (os error 113)")))
}
