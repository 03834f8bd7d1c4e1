//! The checks of keys and values of a configuration (`$check_vm_modify_config_perm`,
//! `$check_storage_access`, `check_bridge_access`, `check_mapping_access` and their neighbours).

use std::collections::BTreeSet;

use pvx_core::schema;

use super::course::Config;
use super::{Checks, Seen};
use crate::codec::{Drive, Nic, PropertyString, Volume};
use crate::guest::disk::is_slot;

const CPU: &str = "VM.Config.CPU";
const DISK: &str = "VM.Config.Disk";
const HARDWARE: &str = "VM.Config.HWType";
const OPTIONS: &str = "VM.Config.Options";
const NETWORK: &str = "VM.Config.Network";
const CDROM: &str = "VM.Config.CDROM";
const CLOUDINIT: &str = "VM.Config.Cloudinit";
pub(super) const ALLOCATE_SPACE: &str = "Datastore.AllocateSpace";

/// Keys that the table of documents' keys does not have under their own names.
const OTHERS: &[(&str, &[&str])] = &[
    ("name", &[OPTIONS]),
    ("description", &[OPTIONS]),
    ("template", &[OPTIONS]),
    ("smbios1", &[HARDWARE]),
    ("scsihw", &[HARDWARE]),
    ("boot", &[DISK]),
    ("bootdisk", &[DISK]),
    ("vmstatestorage", &[DISK]),
    ("cicustom", &[CLOUDINIT, NETWORK]),
    ("cipassword", &[CLOUDINIT, NETWORK]),
    ("citype", &[CLOUDINIT, NETWORK]),
    ("ciuser", &[CLOUDINIT, NETWORK]),
    ("ciupgrade", &[CLOUDINIT, NETWORK]),
    ("nameserver", &[CLOUDINIT, NETWORK]),
    ("searchdomain", &[CLOUDINIT, NETWORK]),
    ("sshkeys", &[CLOUDINIT, NETWORK]),
    ("bios", &[OPTIONS]),
    ("migrate_speed", &[OPTIONS]),
    ("migrate_downtime", &[OPTIONS]),
];

/// The stem of a numbered key: `net` of `net0`.
fn stem(key: &str) -> &str {
    key.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// The privileges of a key whose value does not matter; none for one that only values decide.
fn plain(key: &str) -> Option<Vec<&'static str>> {
    if is_slot(key) {
        return None;
    }
    match (stem(key), key) {
        ("unused" | "serial" | "usb" | "hostpci" | "virtiofs", _) | (_, "tags") => return None,
        ("ipconfig", _) => return Some(vec![CLOUDINIT, NETWORK]),
        ("net", _) => return Some(vec![NETWORK]),
        ("numa", _) => return Some(vec![CPU]),
        _ => {}
    }
    if let Some((_, any_of)) = OTHERS.iter().find(|(name, _)| *name == key) {
        return Some(any_of.to_vec());
    }
    let found = schema::key(key).filter(|key| !key.is_root_only())?;
    Some(vec![found.privilege.split(',').next().unwrap_or(found.privilege)])
}

/// `check_vm_modify_config_perm` of one key that is set or deleted.
pub(super) fn modify(checks: &mut Checks<'_>, key: &str) {
    if let Some(any_of) = plain(key) {
        checks.guest(&any_of, key);
    }
    if key == "startup" {
        checks.on("/".to_owned(), &["Sys.Modify"], key);
    }
}

/// Storages of new volumes, and volumes and sources that are used.
pub(super) fn storage_access(checks: &mut Checks<'_>, key: &str, value: &str) {
    if key == "vmstatestorage" {
        checks.storage(value, &[ALLOCATE_SPACE], key);
    }
    let Some(drive) = is_slot(key).then(|| Drive::parse(value).ok()).flatten() else { return };
    match drive.volume() {
        _ if drive.is_cloudinit() && drive.file().ends_with(":cloudinit") => {}
        Volume::Empty => {}
        Volume::HostCdrom => checks.on("/".to_owned(), &["Sys.Console"], key),
        Volume::Allocate { storage, .. } => checks.storage(storage, &[ALLOCATE_SPACE], key),
        Volume::Id { storage, name } => used_volume(checks, key, storage, name),
        Volume::Path(_) => checks.guest(&[], key),
    }
    if let Some(source) = drive.get("import-from") {
        import(checks, key, source);
    }
}

/// `PVE::Storage::check_volume_access`. A guest's own volumes are its own.
fn used_volume(checks: &mut Checks<'_>, key: &str, storage: &str, name: &str) {
    const READ: &[&str] = &["Datastore.Audit", ALLOCATE_SPACE, "Datastore.Allocate"];
    if ["iso/", "import/", "vztmpl/"].iter().any(|folder| name.starts_with(folder)) {
        checks.storage(storage, READ, key);
    } else if let Some(owner) = owner(name).filter(|owner| *owner != checks.vmid) {
        checks.storage(storage, &["Datastore.Audit", "Datastore.Allocate"], key);
        checks.on(format!("/vms/{owner}"), &[DISK], key);
    }
}

fn import(checks: &mut Checks<'_>, key: &str, source: &str) {
    let Some((storage, name)) = source.split_once(':').filter(|_| !source.starts_with('/')) else {
        return checks.guest(&[], key);
    };
    match owner(name).filter(|_| !name.starts_with("import/")) {
        Some(owner) => checks.on(format!("/vms/{owner}"), &["VM.Clone"], key),
        None => used_volume(checks, key, storage, name),
    }
    // A disk inside an appliance is unpacked on the appliance's storage first.
    if name.to_ascii_lowercase().contains(".ova/") {
        checks.storage(storage, &[ALLOCATE_SPACE], key);
    }
}

/// The guest in a volume's name: `4000/vm-4000-disk-0.raw`, `base-100-disk-0`.
fn owner(name: &str) -> Option<u32> {
    let last = name.rsplit('/').next()?;
    let rest = last.strip_prefix("vm-").or_else(|| last.strip_prefix("base-"))?;
    rest.split('-').next()?.parse().ok()
}

/// `$check_drive_perms`: what is on a drive decides who may change it.
pub(super) fn drive(checks: &mut Checks<'_>, key: &str, value: &str) {
    let Ok(drive) = Drive::parse(value) else { return };
    if drive.is_cloudinit() {
        checks.guest(&[CLOUDINIT], key);
        checks.guest(&[CDROM], key);
    } else if drive.is_cdrom() || matches!(drive.volume(), Volume::Empty | Volume::HostCdrom) {
        checks.guest(&[CDROM], key);
    } else {
        checks.guest(&[DISK], key);
    }
}

/// `check_vnet_access`: the bridge, or each VLAN on it.
pub(super) fn bridge(checks: &mut Checks<'_>, key: &str, value: &str) {
    if stem(key) != "net" {
        return;
    }
    let Ok(nic) = Nic::parse(value) else { return };
    let Some(bridge) = nic.bridge() else { return };
    let zone = checks.access.zones.get(bridge).map_or("localnetwork", String::as_str);
    let path = format!("/sdn/zones/{zone}/{bridge}");
    let mut tags: BTreeSet<u16> = nic.tag().into_iter().collect();
    tags.extend(trunks(nic.get("trunks").unwrap_or_default()));
    if tags.is_empty() {
        checks.on(path, &["SDN.Use"], key);
    } else {
        tags.iter().for_each(|tag| checks.on(format!("{path}/{tag}"), &["SDN.Use"], key));
    }
}

/// `2;5-7` as its tags.
fn trunks(text: &str) -> impl Iterator<Item = u16> {
    text.split(';').flat_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|tag| *tag <= 4095);
        match (number(first), number(last)) {
            (Some(first), Some(last)) => (first..=last).collect::<Vec<_>>(),
            _ => Vec::new(),
        }
    })
}

/// The privilege of a device on the guest itself, by its kind.
fn hardware(key: &str) -> Option<&'static str> {
    match stem(key) {
        "serial" | "usb" | "hostpci" | "rng" => Some(HARDWARE),
        "virtiofs" => Some(DISK),
        _ => None,
    }
}

/// A serial port, a USB or PCI device, a random number generator, a shared directory: set, or
/// there and changed or deleted.
pub(super) fn device(checks: &mut Checks<'_>, key: &str, value: &str) {
    let Some(privilege) = hardware(key) else { return };
    checks.guest(&[privilege], key);
    mapping(checks, key, value);
}

/// `check_mapping_access`: what a device is mapped to. A real device is root@pam's alone.
pub(super) fn mapping(checks: &mut Checks<'_>, key: &str, value: &str) {
    let stem = stem(key);
    let default = match stem {
        "usb" | "hostpci" => Some("host"),
        "rng" => Some("source"),
        "virtiofs" => Some("dirid"),
        _ => None,
    };
    let Some(default) = default else { return };
    let Ok(properties) = PropertyString::parse(value, Some(default)) else { return };
    let mapped = |place: &str, id: &str| format!("/mapping/{place}/{id}");
    let path = match (stem, properties.get("mapping")) {
        ("usb", Some(id)) => mapped("usb", id),
        ("hostpci", Some(id)) => mapped("pci", id),
        ("rng", _) if properties.get("source") == Some("/dev/hwrng") => "/mapping/hwrng".to_owned(),
        ("virtiofs", _) => mapped("dir", properties.get("dirid").unwrap_or_default()),
        _ if schema::needs_root(key, value) => return checks.guest(&[], key),
        _ => return,
    };
    checks.on(path, &["Mapping.Use"], key);
}

/// `$check_cpu_model_access`: custom CPU models are resources too.
pub(super) fn cpu_model(checks: &mut Checks<'_>, config: &Config, before: Option<&Config>) {
    let model = |config: &Config| {
        let cpu = PropertyString::parse(config.get("cpu")?, Some("cputype")).ok()?;
        cpu.get("cputype").map(str::to_owned)
    };
    let Some(wanted) = model(config) else { return };
    if before.and_then(model).as_ref() == Some(&wanted) {
        return;
    }
    if let Some(name) = wanted.strip_prefix("custom-") {
        checks.on(format!("/mapping/cpu/{name}"), &["Mapping.Use"], "cpu");
    }
}

/// `assert_tag_permissions`: who may set and take away these tags.
pub(super) fn tags(checks: &mut Checks<'_>, before: &str, after: &str, seen: &Seen<'_>) {
    let split = |text: &str| -> BTreeSet<String> {
        crate::codec::Tags::parse(text).iter().map(str::to_owned).collect()
    };
    let rules = &checks.access.tags;
    let free = |tag: &String| {
        let mode = rules.mode.as_deref().unwrap_or("free");
        let allowed = match mode {
            "free" => true,
            "none" => false,
            "existing" => rules.listed.contains(tag) || seen.contains(tag.as_str()),
            _ => rules.listed.contains(tag),
        };
        allowed && !rules.registered.contains(tag)
    };
    let (before, after) = (split(before), split(after));
    let guarded = before.symmetric_difference(&after).any(|tag| !free(tag));
    if guarded {
        checks.on("/".to_owned(), &["Sys.Modify"], "tags");
    }
}
