//! `POST /nodes/{node}/qemu`, and the permission checks that creating and changing share.

use std::collections::BTreeMap;

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::refusal::Refusal;
use crate::guest::drive::{Drive, Wish};
use crate::guest::format::{Format, Kind};
use crate::guest::keys::{self, Guard};
use crate::guest::network;
use crate::work::Work;
use crate::work::create::Create;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::volumes::split_volid;

pub(crate) const ENDPOINTS: &[Endpoint] =
    &[Endpoint::post("/nodes/{node}/qemu", create).with_config_keys().with(&[
        required("vmid", Kind::Format(Format::Vmid)),
        optional("archive", Kind::TEXT),
        optional("bwlimit", Kind::NATURAL),
        optional("force", Kind::Bool),
        optional("ha-managed", Kind::Bool),
        optional("import-working-storage", Kind::Format(Format::StorageId)),
        optional("live-restore", Kind::Bool),
        optional("pool", Kind::TEXT),
        optional("start", Kind::Bool),
        optional("storage", Kind::Format(Format::StorageId)),
        optional("unique", Kind::Bool),
    ])];

const NO_KEYS: &[&str] = &[
    "node",
    "vmid",
    "archive",
    "bwlimit",
    "force",
    "ha-managed",
    "import-working-storage",
    "live-restore",
    "pool",
    "start",
    "storage",
    "unique",
];

fn create(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, vmid) = (call.node(), call.vmid());
    let start = call.params.flag("start").unwrap_or(false);
    let pool = call.params.get("pool").map(str::to_owned);
    let mut set: BTreeMap<String, String> = call.params.0.clone();
    set.retain(|key, _| !NO_KEYS.contains(&key.as_str()));
    alias_cdrom(&mut set);
    if start {
        call.require(&format!("/vms/{vmid}"), &["VM.PowerMgmt"])?;
    }
    check_pool(call.world, pool.as_deref())?;
    check_allocate(call.world, &call.caller, vmid, pool.as_deref())?;
    check_drives(&set)?;
    check_storage_access(call.world, &call.caller, &node, vmid, &set)?;
    check_keys(call.world, &call.caller, vmid, set.keys().map(String::as_str))?;
    check_bridges(call.world, &call.caller, set.iter())?;
    if let Some(found) = call.world.guest(vmid) {
        let text = format!(
            "unable to create VM {vmid} - VM {vmid} already exists on node '{}'",
            found.node
        );
        return Err(Refusal::die(text));
    }
    let guest = Guest::new(vmid, &node, &[("lock", "create")]);
    call.world.add_guest(guest);
    let work = Create::new(vmid, set, start, pool);
    Ok(call.fork(&node, "qmcreate", &vmid.to_string(), Work::Create(work)))
}

/// `cdrom` is another name for `ide2`.
pub(crate) fn alias_cdrom(set: &mut BTreeMap<String, String>) {
    if let Some(value) = set.remove("cdrom") {
        let value = if value.contains("media=") { value } else { format!("{value},media=cdrom") };
        set.insert("ide2".to_owned(), value);
    }
}

/// A pool that does not exist is a permission error.
pub(crate) fn check_pool(world: &World, pool: Option<&str>) -> Result<(), Refusal> {
    match pool {
        Some(pool) if !world.pools.contains_key(pool) => {
            Err(Refusal::permission(&format!("pool '{pool}' does not exist")))
        }
        _ => Ok(()),
    }
}

/// `VM.Allocate` on the guest or on the pool; the error names neither.
pub(crate) fn check_allocate(
    world: &World,
    caller: &Caller,
    vmid: u32,
    pool: Option<&str>,
) -> Result<(), Refusal> {
    let on_pool = |pool: &str| world.may_any(caller, &format!("/pool/{pool}"), &["VM.Allocate"]);
    if world.may_any(caller, &format!("/vms/{vmid}"), &["VM.Allocate"]) || pool.is_some_and(on_pool)
    {
        return Ok(());
    }
    Err(Refusal::permission(""))
}

/// Syntax of drives that a schema cannot say.
pub(crate) fn check_drives(set: &BTreeMap<String, String>) -> Result<(), Refusal> {
    for (key, value) in set.iter().filter(|(key, _)| keys::is_drive(key)) {
        let drive = Drive::parse(value);
        if matches!(drive.wish(), Wish::Import { gib, .. } if gib != "0") {
            let text =
                "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>";
            return Err(Refusal::param(key, text));
        }
    }
    Ok(())
}

/// `check_storage_access`: storages of new volumes, and volumes that are used.
pub(crate) fn check_storage_access(
    world: &World,
    caller: &Caller,
    node: &str,
    vmid: u32,
    set: &BTreeMap<String, String>,
) -> Result<(), Refusal> {
    for value in set.iter().filter(|(key, _)| keys::is_drive(key)).map(|(_, value)| value) {
        let drive = Drive::parse(value);
        match drive.wish() {
            Wish::Cloudinit { storage } => {
                check_images(world, node, storage)?;
            }
            Wish::New { storage, .. } => {
                world.require(
                    caller,
                    &format!("/storage/{storage}"),
                    &["Datastore.AllocateSpace"],
                )?;
                check_images(world, node, storage)?;
            }
            Wish::Import { storage, source, .. } => {
                world.require(
                    caller,
                    &format!("/storage/{storage}"),
                    &["Datastore.AllocateSpace"],
                )?;
                check_images(world, node, storage)?;
                check_volume(world, caller, vmid, source)?;
            }
            Wish::Existing => check_volume(world, caller, vmid, drive.file())?,
        }
    }
    Ok(())
}

fn check_images(world: &World, node: &str, storage: &str) -> Result<(), Refusal> {
    let found = crate::guest::drive::storage_of(world, storage).map_err(Refusal::die)?;
    if !found.on_node(node) {
        return Err(Refusal::die(format!("storage '{storage}' is not available on node '{node}'")));
    }
    if !found.holds("images") {
        return Err(Refusal::die(format!("storage '{storage}' does not support vm images")));
    }
    Ok(())
}

/// `PVE::Storage::check_volume_access`.
fn check_volume(world: &World, caller: &Caller, vmid: u32, volid: &str) -> Result<(), Refusal> {
    if matches!(volid, "none" | "cdrom") {
        return Ok(());
    }
    if volid.starts_with('/') {
        if caller.is_root() {
            return Ok(());
        }
        let text = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.";
        return Err(Refusal::die(text));
    }
    let Some((storage, name)) = split_volid(volid) else { return Ok(()) };
    crate::guest::drive::storage_of(world, storage).map_err(Refusal::die)?;
    let path = format!("/storage/{storage}");
    if ["iso/", "vztmpl/", "import/"].iter().any(|prefix| name.starts_with(prefix)) {
        return world.require_any(caller, &path, &["Datastore.AllocateSpace", "Datastore.Audit"]);
    }
    let own = name.contains(&format!("-{vmid}-"));
    if own || world.may_any(caller, &path, &["Datastore.Allocate"]) {
        return Ok(());
    }
    Err(Refusal::permission(&format!("{path}, Datastore.Allocate")))
}

/// `check_vm_modify_config_perm`: the privilege of each key; drives are checked by what is on
/// them.
pub(crate) fn check_keys<'a>(
    world: &World,
    caller: &Caller,
    vmid: u32,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    if caller.is_root() {
        return Ok(());
    }
    let path = format!("/vms/{vmid}");
    for name in names {
        let Some(key) = keys::find(name) else { continue };
        match key.guard {
            Guard::Privilege(privilege) => world.require(caller, &path, &[privilege])?,
            Guard::Cloudinit => {
                world.require_any(caller, &path, &["VM.Config.Cloudinit", "VM.Config.Network"])?;
            }
            Guard::Startup => {
                world.require(caller, &path, &["VM.Config.Options"])?;
                world.require(caller, "/", &["Sys.Modify"])?;
            }
            Guard::Device => world.require(caller, &path, &["VM.Config.HWType"])?,
            Guard::Drive => {}
            Guard::Root => return Err(Refusal::die(format!("only root can set '{name}' config"))),
        }
    }
    Ok(())
}

/// `SDN.Use` on the bridge of each card.
pub(crate) fn check_bridges<'a>(
    world: &World,
    caller: &Caller,
    set: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<(), Refusal> {
    for (key, value) in set.filter(|(key, _)| keys::is_numbered(key, "net")) {
        let Some(bridge) = network::bridge(value) else { continue };
        let mut path = format!("/sdn/zones/localnetwork/{bridge}");
        if let Some(tag) = network::tag(value) {
            path = format!("{path}/{tag}");
        }
        let _ = key;
        world.require(caller, &path, &["SDN.Use"])?;
    }
    Ok(())
}
