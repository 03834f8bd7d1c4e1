//! `POST /nodes/{node}/qemu`.

use super::call::{Call, Reply};
use super::endpoint::{Endpoint, optional, required};
use super::guest_checks::{
    Settings, alias_cdrom, blank, check_blank, check_bridges, check_devices, check_drives,
    check_keys, check_ssh_keys, check_storage_access, check_volume, vm_privilege,
};
use super::quorum::Writes;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::guest::keys;
use crate::work::Work;
use crate::work::create::Create;
use crate::work::restore::Restore;
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::lock::LockName;

pub(crate) const ENDPOINTS: &[Endpoint] = &[Endpoint::post("/nodes/{node}/qemu", create)
    .writes(Writes::Checked)
    .with_config_keys()
    .with(&[
        required("vmid", Kind::Format(Format::Vmid)),
        optional("archive", Kind::Text { max: 255 }),
        optional("bwlimit", Kind::NATURAL),
        optional("force", Kind::Bool).requires("archive"),
        optional("ha-managed", Kind::Bool),
        optional("import-working-storage", Kind::Format(Format::StorageId)),
        optional("live-restore", Kind::Bool),
        optional("pool", super::names::POOL),
        optional("start", Kind::Bool),
        optional("storage", Kind::Format(Format::StorageId)),
        optional("unique", Kind::Bool).requires("archive"),
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
    let mut set: Settings = call.params.0.clone();
    set.retain(|key, _| !NO_KEYS.contains(&key.as_str()));
    let blank = blank(&call.params, NO_KEYS);
    check_ssh_keys(&set)?;
    clamp_cpu_units(&mut set);
    check_pool(call.world, pool.as_deref())?;
    if let Some(storage) = call.params.get("storage") {
        call.require(&format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    }
    if call.params.flag("ha-managed") == Some(true) {
        call.require("/", &["Sys.Console"])?;
    }
    if start {
        vm_privilege(call.world, &call.caller, vmid, pool.as_deref(), &["VM.PowerMgmt"])?;
    }
    // Who may back up a guest may bring it back.
    let over = call.params.get("archive").is_some()
        && call.params.flag("force") == Some(true)
        && call.world.guest(vmid).is_some_and(|guest| guest.node == node)
        && call.world.may_any(&call.caller, &format!("/vms/{vmid}"), &["VM.Backup"]);
    if !over {
        check_allocate(call.world, &call.caller, vmid, pool.as_deref())?;
    }
    if let Some(archive) = call.params.get("archive") {
        let archive = archive.to_owned();
        let work = Restore { vmid, archive, start, pool, set, ..Restore::default() };
        return restore(call, work);
    }
    alias_cdrom(&mut set);
    check_settings(call, vmid, pool.as_deref(), &mut set, &blank)?;
    claim(call, vmid)?;
    if let Some(found) = call.world.guest(vmid) {
        let text = format!(
            "unable to create VM {vmid} - VM {vmid} already exists on node '{}'",
            found.node
        );
        return Err(Refusal::die(text));
    }
    let guest = Guest::new(vmid, &node, &[("lock", "create")]);
    call.world.add_guest(guest);
    let mut work = Create::new(vmid, set, start, pool);
    work.blank = blank;
    work.managed = call.params.flag("ha-managed").unwrap_or(false);
    Ok(call.fork(&node, "qmcreate", &vmid.to_string(), Work::Create(work)))
}

/// `create_and_lock_config` waits for the flock before it looks whether the id is taken.
fn claim(call: &Call<'_>, vmid: u32) -> Result<(), Refusal> {
    let lock = LockName::Config(vmid);
    let elsewhere = call.world.guest(vmid).is_some_and(|guest| guest.node != call.node());
    if elsewhere || call.world.locks.free(&lock, true, None) {
        return Ok(());
    }
    let before = format!("unable to create VM {vmid} - ");
    Err(Refusal::Blocked { lock, wait_ms: 5_000, before })
}

/// The checks of keys and values, in the order of the real ones.
fn check_settings(
    call: &Call<'_>,
    vmid: u32,
    pool: Option<&str>,
    set: &mut Settings,
    blank: &[String],
) -> Result<(), Refusal> {
    let (world, caller) = (&*call.world, &call.caller);
    check_storage_access(world, caller, vmid, set)?;
    check_keys(world, caller, vmid, pool, set.keys().chain(blank).map(String::as_str))?;
    check_devices(world, caller, vmid, pool, set)?;
    check_bridges(world, caller, set.iter())?;
    check_blank(blank)?;
    check_drives(world, &call.node(), set)
}

/// A guest out of a backup.
fn restore(call: &mut Call<'_>, mut work: Restore) -> Result<Reply, Refusal> {
    let (node, vmid, archive) = (call.node(), work.vmid, work.archive.clone());
    if let Some(key) = work.set.keys().find(|key| keys::is_drive(key)) {
        return Err(Refusal::param(key, "option conflicts with option 'archive'"));
    }
    if archive == "-" {
        return Err(Refusal::die("pipe requires cli environment"));
    }
    check_volume(call.world, &call.caller, Some(vmid), &archive, Some("backup"))?;
    let storage = archive.split(':').next().unwrap_or_default();
    crate::storage::activate::active(call.world, storage, &node)?;
    if call.world.volume(&node, &archive).is_none() {
        return Err(Refusal::die(format!("volume '{archive}' does not exist")));
    }
    let mut set = std::mem::take(&mut work.set);
    check_settings(call, vmid, work.pool.as_deref(), &mut set, &[])?;
    work.set = set;
    work.storage = call.params.get("storage").map(str::to_owned);
    work.live = call.params.flag("live-restore").unwrap_or(false);
    work.unique = call.params.flag("unique").unwrap_or(false);
    let emsg = format!("unable to restore VM {vmid} -");
    let force = call.params.flag("force").unwrap_or(false);
    match call.world.guests.get_mut(&vmid) {
        None => call.world.add_guest(Guest::new(vmid, &node, &[("lock", "create")])),
        Some(found) if !force || found.node != node => {
            let error = format!("{emsg} VM {vmid} already exists on node '{}'", found.node);
            return Err(Refusal::die(error));
        }
        Some(found) => {
            if let Some(lock) = found.get("lock") {
                return Err(Refusal::die(format!("{emsg} VM is locked ({lock})")));
            }
            found.config.insert("lock".to_owned(), "create".to_owned());
        }
    }
    Ok(call.fork(&node, "qmrestore", &vmid.to_string(), Work::Restore(Box::new(work))))
}

/// `clamp_cpu_shares`, for control groups of version 2.
pub(crate) fn clamp_cpu_units(set: &mut Settings) {
    if let Some(value) = set.get_mut("cpuunits")
        && value.parse::<u64>().is_ok_and(|units| units >= 10_000)
    {
        "10000".clone_into(value);
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
