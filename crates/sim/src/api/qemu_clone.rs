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
use crate::guest::formats;
use crate::guest::keys::split_number;
use crate::guest::property::parse;
use crate::work::Work;
use crate::work::clone::CloneGuest;
use crate::work::disk::enabled;
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
        .with(&[optional("disk", Kind::Words(crate::guest::drive::names))]),
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
        check_storage(call, storage, target.as_deref())?;
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
    let copied = [("storage", &storage), ("format", &format)];
    if let Some((name, _)) = copied.iter().find(|(_, said)| !full && said.is_some()) {
        return Err(Refusal::die(format!("parameter '{name}' not allowed for linked clones")));
    }
    let shared = check_volumes(call, &view, storage.as_deref())?;
    check_mappings(call, &view)?;
    check_bridges(call.world, &call.caller, view.config.iter())?;
    if let Some(target) = target.as_ref().filter(|_| !shared) {
        return Err(Refusal::die(format!(
            "can't clone VM to node '{target}' (VM uses local storage)"
        )));
    }
    // On another node it shows only when the configuration is written.
    if call.world.guests.get(&newid).is_some_and(|taken| taken.node == node) {
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
        running,
        bwlimit: call.params.int("bwlimit").and_then(|limit| u64::try_from(limit).ok()),
        ..CloneGuest::default()
    };
    call.fork_guest("qmclone", Work::Clone(Box::new(work)))
}

/// The target storage: enabled here, for images, and when the clone goes to another node, there too
/// and shared.
fn check_storage(call: &Call<'_>, id: &str, target: Option<&str>) -> Result<(), Refusal> {
    let found = enabled(call.world, id, &call.node())?;
    if !found.holds("images") {
        return Err(Refusal::param(
            "storage",
            format!("storage '{id}' does not support vm images"),
        ));
    }
    let Some(target) = target else { return Ok(()) };
    if !enabled(call.world, id, target)?.shared {
        return Err(Refusal::die(format!("can't clone to non-shared storage '{id}'")));
    }
    Ok(())
}

/// `check_storage_access_clone`: may allocate, and whether every volume is on shared storage. ISO
/// images and cloud-init drives ask for nothing.
fn check_volumes(call: &Call<'_>, guest: &Guest, storage: Option<&str>) -> Result<bool, Refusal> {
    let mut shared = true;
    for (_, drive) in drives(guest) {
        let file = drive.file();
        if file.is_empty() || file == "none" {
            continue;
        }
        if drive.is_cdrom() && file == "cdrom" {
            call.require("/", &["Sys.Console"])?;
            continue;
        }
        let Some((own, _)) = split_volid(file) else {
            return Err(Refusal::die(format!("unable to parse volume ID '{file}'")));
        };
        shared &= crate::guest::allocate::storage_of(call.world, own)?.shared;
        if !drive.is_cdrom() {
            let to = storage.unwrap_or(own);
            call.require(&format!("/storage/{to}"), &["Datastore.AllocateSpace"])?;
        }
    }
    if let Some(state) = guest.get("vmstatestorage") {
        call.require(&format!("/storage/{state}"), &["Datastore.AllocateSpace"])?;
    }
    Ok(shared)
}

/// `check_mapping_access`: who may have a copy of the guest's devices.
fn check_mappings(call: &Call<'_>, guest: &Guest) -> Result<(), Refusal> {
    if call.caller.is_root() {
        return Ok(());
    }
    let neither = || Refusal::die("either 'host' or 'mapping' must be set.");
    let real = |key: &str, what: &str| {
        Refusal::die(format!("only root can set '{key}' config for {what} devices"))
    };
    for (key, value) in &guest.config {
        let device = |format| parse(format, value).unwrap_or_default();
        let path = match split_number(key).map_or("", |(stem, _)| stem) {
            "usb" => {
                let usb = device(formats::USB);
                match (usb.get("host"), usb.get("mapping")) {
                    (Some(host), _) if host.eq_ignore_ascii_case("spice") => continue,
                    (Some(_), _) => return Err(real(key, "real")),
                    (None, Some(id)) => format!("/mapping/usb/{id}"),
                    (None, None) => return Err(neither()),
                }
            }
            "hostpci" => {
                let pci = device(formats::HOSTPCI);
                match (pci.get("host"), pci.get("mapping")) {
                    (Some(_), _) => return Err(real(key, "non-mapped")),
                    (None, Some(id)) => format!("/mapping/pci/{id}"),
                    (None, None) => return Err(neither()),
                }
            }
            "rng" if device(formats::RNG).get("source") == Some("/dev/hwrng") => {
                "/mapping/hwrng".to_owned()
            }
            "virtiofs" => {
                let id = device(formats::VIRTIOFS).get("dirid").unwrap_or_default().to_owned();
                format!("/mapping/dir/{id}")
            }
            _ => continue,
        };
        call.require(&path, &["Mapping.Use"])?;
    }
    Ok(())
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
    let disk = call.params.get("disk").filter(|disk| !disk.is_empty()).map(str::to_owned);
    let node = call.node();
    crate::work::template::check(call.world, &node, vmid, disk.is_some()).map_err(Refusal::die)?;
    call.fork_guest("qmtemplate", Work::Template(Template { vmid, disk }))
}
