//! Clone and template.

use super::call::{Call, Reply, check_lock, check_node};
use super::create::check_pool;
use super::endpoint::{Endpoint, optional, required};
use super::guest_checks::check_bridges;
use super::permission::Permission;
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::drive::{Drive, drives};
use crate::guest::format::{Format, Kind};
use crate::work::Work;
use crate::work::clone::CloneGuest;
use crate::work::template::Template;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::snapshot::Feature;
use crate::world::volumes::split_volid;

const CLONE: Permission = Permission::And(&[
    Permission::All("/vms/{vmid}", &["VM.Clone"]),
    Permission::Or(&[
        Permission::All("/vms/{newid}", &["VM.Allocate"]),
        Permission::With("pool", "/pool/{pool}", &["VM.Allocate"]),
    ]),
]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post("/nodes/{node}/qemu/{vmid}/clone", clone)
        .may(CLONE)
        .writes(Writes::Checked)
        .with(&[
            required("newid", Kind::Format(Format::Vmid)),
            optional("bwlimit", Kind::NATURAL),
            optional("description", Kind::TEXT),
            optional("format", Kind::Enum(&["raw", "qcow2", "vmdk"])),
            optional("full", Kind::Bool),
            optional("name", Kind::Format(Format::DnsName)),
            optional("pool", super::names::POOL),
            optional("snapname", Kind::SNAPSHOT),
            optional("storage", Kind::Format(Format::StorageId)),
            optional("target", Kind::Format(Format::Node)),
        ]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/template", template)
        .may(Permission::All("/vms/{vmid}", &["VM.Allocate"]))
        .with(&[optional("disk", Kind::TEXT)]),
];

fn clone(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, vmid) = (call.node(), call.vmid());
    let newid: u32 = call.params.get("newid").and_then(|text| text.parse().ok()).unwrap_or(0);
    let pool = call.params.get("pool").map(str::to_owned);
    call.checked_guest()?;
    check_pool(call.world, pool.as_deref())?;
    let own = |name: &str| call.params.get(name).map(str::to_owned);
    let (storage, format) = (own("storage"), own("format"));
    let target = own("target").filter(|target| *target != node && target != "localhost");
    if let Some(target) = &target {
        check_node(call.world, target)?;
    }
    if let Some(storage) = &storage {
        check_storage(call, storage, target.is_some())?;
    }
    let guest = call.guest()?;
    check_lock(guest).map_err(Refusal::die)?;
    let snapname = own("snapname").filter(|name| !name.is_empty());
    let view = match &snapname {
        None => guest.clone(),
        Some(name) => guest
            .at_snapshot(name)
            .ok_or_else(|| Refusal::die(format!("snapshot '{name}' does not exist")))?,
    };
    let full = call.params.flag("full").unwrap_or(!guest.template());
    if !full && storage.is_some() {
        return Err(Refusal::die("parameter 'storage' not allowed for linked clones"));
    }
    if !full && format.is_some() {
        return Err(Refusal::die("parameter 'format' not allowed for linked clones"));
    }
    let shared = check_volumes(call, &view, storage.as_deref())?;
    check_bridges(call.world, &call.caller, view.config.iter())?;
    if let Some(target) = target.as_ref().filter(|_| !shared) {
        return Err(Refusal::die(format!(
            "can't clone VM to node '{target}' (VM uses local storage)"
        )));
    }
    if call.world.guests.contains_key(&newid) {
        return Err(Refusal::die(format!(
            "unable to create VM {newid}: config file already exists"
        )));
    }
    let running = guest.running.is_some();
    check_features(call.world, &view, full, snapname.is_some(), running)?;
    let work = CloneGuest {
        source: vmid,
        vmid: newid,
        name: own("name"),
        description: own("description"),
        full,
        storage,
        format,
        target,
        pool,
        snapname,
        ..CloneGuest::default()
    };
    call.fork_guest("qmclone", Work::Clone(work))
}

fn check_storage(call: &Call<'_>, id: &str, elsewhere: bool) -> Result<(), Refusal> {
    let found = crate::guest::drive::storage_of(call.world, id).map_err(Refusal::die)?;
    let node = call.node();
    if !found.on_node(&node) {
        return Err(Refusal::die(format!("storage '{id}' is not available on node '{node}'")));
    }
    if !found.holds("images") {
        return Err(Refusal::param(
            "storage",
            format!("storage '{id}' does not support vm images"),
        ));
    }
    if elsewhere && !found.shared {
        return Err(Refusal::die(format!("can't clone to non-shared storage '{id}'")));
    }
    Ok(())
}

/// `check_storage_access_clone`: may allocate, and whether every disk is on shared storage.
fn check_volumes(call: &Call<'_>, guest: &Guest, storage: Option<&str>) -> Result<bool, Refusal> {
    let mut shared = true;
    for (_, drive) in drives(guest) {
        let Some((own, _)) = split_volid(drive.file()) else { continue };
        let found = crate::guest::drive::storage_of(call.world, own).map_err(Refusal::die)?;
        let cdrom = drive.is_cdrom() && !drive.is_cloudinit();
        shared &= found.shared;
        if cdrom {
            call.world.require_any(
                &call.caller,
                &format!("/storage/{own}"),
                &["Datastore.AllocateSpace", "Datastore.Audit"],
            )?;
            continue;
        }
        let to = storage.unwrap_or(own);
        call.require(&format!("/storage/{to}"), &["Datastore.AllocateSpace"])?;
    }
    if let Some(state) = guest.get("vmstatestorage") {
        call.require(&format!("/storage/{state}"), &["Datastore.AllocateSpace"])?;
    }
    Ok(shared)
}

/// Whether each volume, or the snapshot of it, can be cloned: most only by copying.
fn check_features(
    world: &World,
    guest: &Guest,
    full: bool,
    snapshot: bool,
    running: bool,
) -> Result<(), Refusal> {
    for (key, drive) in by_name(drives(guest)) {
        if full && running && !snapshot && key == "tpmstate0" {
            return Err(Refusal::die("cannot clone TPM state while VM is running"));
        }
        if drive.is_cdrom() && !drive.is_cloudinit() {
            continue;
        }
        let file = drive.file();
        let whole = full || drive.is_cloudinit() || key == "tpmstate0";
        let (feature, how) =
            if whole { (Feature::Copy, "Full") } else { (Feature::Clone, "Linked") };
        // The cloud-init drive is made anew, but it is asked like the others.
        if !world.volume_has_feature(feature, file, snapshot)? {
            let of = if snapshot { " a snapshot of" } else { "" };
            let text = format!("{how} clone feature is not supported for{of} '{file}' ({key})");
            return Err(Refusal::die(text));
        }
    }
    Ok(())
}

/// In the order of their keys, which is not that of the buses.
fn by_name(mut drives: Vec<(String, Drive)>) -> Vec<(String, Drive)> {
    drives.sort_by(|(left, _), (right, _)| left.cmp(right));
    drives
}

fn template(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let vmid = call.vmid();
    let guest = call.guest()?;
    check_lock(guest).map_err(Refusal::die)?;
    if !guest.snapshots.is_empty() {
        return Err(Refusal::die(crate::work::template::HAS_SNAPSHOTS));
    }
    let disk = call.params.get("disk").map(str::to_owned);
    if guest.template() && disk.is_none() {
        return Err(Refusal::die("you can't convert a template to a template"));
    }
    if guest.running.is_some() {
        return Err(Refusal::die("you can't convert a VM to template if VM is running"));
    }
    if let Some(disk) = disk.as_ref().filter(|disk| guest.get(disk).is_none()) {
        return Err(Refusal::param("disk", format!("disk '{disk}' does not exist")));
    }
    call.fork_guest("qmtemplate", Work::Template(Template { vmid, disk }))
}
