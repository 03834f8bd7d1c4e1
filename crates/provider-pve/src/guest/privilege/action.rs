//! The checks of each kind of request, in the order of `write.rs`.

use pvx_core::plan::{Action, ActionKind, Privilege};

use super::course::{Config, Course};
use super::key::{self, ALLOCATE_SPACE};
use super::{Checks, Seen};
use crate::codec::Drive;
use crate::guest::disk::is_slot;

const DISK: &[&str] = &["VM.Config.Disk"];
const POWER: &[&str] = &["VM.PowerMgmt"];
const OPTIONS: &[&str] = &["VM.Config.Options"];

/// One of these must be there whatever a write changes (`$vm_config_perm_list`).
const CHANGE: &[&str] = &[
    "VM.Config.Disk",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.HWType",
    "VM.Config.Options",
    "VM.Config.Cloudinit",
];

/// The checks that Proxmox makes of an action. What goes over SSH as root meets none.
pub(super) fn check(
    checks: &mut Checks<'_>,
    action: &Action,
    course: &Course<'_>,
    seen: &Seen<'_>,
) {
    let now = course.config(action.vmid);
    match &action.kind {
        ActionKind::Create { config, pool } => create(checks, config, pool.as_deref(), seen),
        ActionKind::Clone { source, storage, pool, .. } => {
            clone(checks, *source, course.config(*source), storage.as_deref(), pool.as_deref());
        }
        ActionKind::Configure { set, delete, .. } => {
            configure(checks, set, delete, now, seen);
        }
        ActionKind::Resize { disk, .. } => {
            checks.guest(DISK, disk);
            on_storage_of(checks, now, disk);
        }
        ActionKind::Migrate { .. } => checks.guest(&["VM.Migrate"], ""),
        ActionKind::Start | ActionKind::Shutdown { .. } | ActionKind::Reboot { .. } => {
            checks.guest(POWER, "");
        }
        ActionKind::MoveDisk { disk, storage, .. } => {
            checks.guest(DISK, disk);
            checks.storage(storage, &[ALLOCATE_SPACE], disk);
        }
        ActionKind::Reassign { disk, target, .. } => {
            checks.guest(DISK, disk);
            let mut there = Privilege::new(format!("/vms/{target}"), DISK);
            there.pool = course.pool(*target).map(|pool| format!("/pool/{pool}"));
            checks.add(there, disk);
            on_storage_of(checks, now, disk);
        }
        ActionKind::Detach { disk } => {
            checks.guest(CHANGE, disk);
            key::drive(checks, disk, now.get(disk).map_or("", String::as_str));
        }
        ActionKind::Erase { disk } => {
            checks.guest(DISK, disk);
            on_storage_of(checks, now, disk);
        }
        ActionKind::Pool { join, leave } => pool(checks, join.as_deref(), leave.as_deref()),
        ActionKind::Ha { .. } => checks.on("/".to_owned(), &["Sys.Console"], "HA"),
        ActionKind::Destroy => checks.guest(&["VM.Allocate"], ""),
        ActionKind::ConfigureAsRoot { .. } | ActionKind::Snippet { .. } => {}
    }
}

/// `POST /nodes/N/qemu`.
fn create(checks: &mut Checks<'_>, config: &Config, pool: Option<&str>, seen: &Seen<'_>) {
    checks.pool = pool.map(str::to_owned);
    checks.guest(&["VM.Allocate"], "");
    for (name, value) in config {
        key::storage_access(checks, name, value);
        key::modify(checks, name);
        key::device(checks, name, value);
        key::bridge(checks, name, value);
    }
    key::cpu_model(checks, config, None);
    // Tags are looked at before the guest comes to its pool.
    checks.pool = None;
    if let Some(tags) = config.get("tags") {
        checks.guest(OPTIONS, "tags");
        key::tags(checks, "", tags, seen);
    }
}

/// `POST …/clone`.
fn clone(
    checks: &mut Checks<'_>,
    source: u32,
    template: &Config,
    storage: Option<&str>,
    pool: Option<&str>,
) {
    checks.on(format!("/vms/{source}"), &["VM.Clone"], "");
    checks.pool = pool.map(str::to_owned);
    checks.guest(&["VM.Allocate"], "");
    for (name, value) in template {
        if let Some(drive) = is_slot(name).then(|| Drive::parse(value).ok()).flatten() {
            match drive.storage() {
                _ if drive.file() == "cdrom" => checks.on("/".to_owned(), &["Sys.Console"], name),
                Some(own) if !drive.is_cdrom() => {
                    checks.storage(storage.unwrap_or(own), &[ALLOCATE_SPACE], name);
                }
                _ => {}
            }
        }
        if name == "vmstatestorage" {
            checks.storage(value, &[ALLOCATE_SPACE], name);
        }
        key::bridge(checks, name, value);
        key::mapping(checks, name, value);
    }
    key::cpu_model(checks, template, None);
}

/// `PUT …/config` and `POST …/config`.
fn configure(
    checks: &mut Checks<'_>,
    set: &Config,
    delete: &[String],
    now: &Config,
    seen: &Seen<'_>,
) {
    let first = set.keys().chain(delete).next().map_or("", String::as_str);
    checks.guest(CHANGE, first);
    for name in delete {
        key::modify(checks, name);
        if let Some(value) = now.get(name) {
            if is_slot(name) {
                key::drive(checks, name, value);
            }
            key::device(checks, name, value);
            key::bridge(checks, name, value);
        }
        if name == "tags" {
            change_tags(checks, now, "", seen);
        }
    }
    for (name, value) in set {
        key::modify(checks, name);
        key::storage_access(checks, name, value);
        // What was there is looked at like what comes.
        for value in now.get(name).into_iter().chain([value]) {
            if is_slot(name) {
                key::drive(checks, name, value);
            }
            key::device(checks, name, value);
            key::bridge(checks, name, value);
        }
        if name == "tags" {
            change_tags(checks, now, value, seen);
        }
    }
    key::cpu_model(checks, set, Some(now));
}

fn change_tags(checks: &mut Checks<'_>, now: &Config, after: &str, seen: &Seen<'_>) {
    checks.guest(OPTIONS, "tags");
    let before = now.get("tags").map_or("", String::as_str);
    key::tags(checks, before, after, seen);
}

/// Space on the storage that a disk is on.
fn on_storage_of(checks: &mut Checks<'_>, config: &Config, disk: &str) {
    let drive = config.get(disk).and_then(|value| Drive::parse(value).ok());
    if let Some(storage) = drive.as_ref().and_then(Drive::storage) {
        checks.storage(storage, &[ALLOCATE_SPACE], disk);
    }
}

/// `PUT /pools`: the pools, and the right to change permissions on the guest.
fn pool(checks: &mut Checks<'_>, join: Option<&str>, leave: Option<&str>) {
    for pool in join.into_iter().chain(leave) {
        checks.on(format!("/pool/{pool}"), &["Pool.Allocate"], "the pool");
    }
    checks.guest(&["VM.Allocate", "Permissions.Modify"], "the pool");
}
