//! What creating and changing a guest check alike: drives, storages, privileges of keys and
//! devices, bridges (the closures at the head of `PVE::API2::Qemu`).

use std::collections::BTreeMap;

use super::params::Params;
use super::refusal::Refusal;
use crate::guest::allocate::storage_of;
use crate::guest::drive::{Drive, Wish, owner};
use crate::guest::keys::{self, Guard};
use crate::guest::property::parse;
use crate::guest::{format, formats};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::volumes::split_volid;

/// Keys and values of a request.
pub(crate) type Settings = BTreeMap<String, String>;

/// `cdrom` is another name for `ide2`.
pub(crate) fn alias_cdrom(set: &mut Settings) {
    if let Some(value) = set.remove("cdrom") {
        let value = if value.contains("media=") { value } else { format!("{value},media=cdrom") };
        set.insert("ide2".to_owned(), value);
    }
}

/// `check_vm_perm`: on the pool that a new guest goes to, or on the guest.
pub(crate) fn vm_privilege(
    world: &World,
    caller: &Caller,
    vmid: u32,
    pool: Option<&str>,
    wanted: &[&str],
) -> Result<(), Refusal> {
    if let Some(pool) = pool
        && world.require(caller, &format!("/pool/{pool}"), wanted).is_ok()
    {
        return Ok(());
    }
    world.require(caller, &format!("/vms/{vmid}"), wanted)
}

/// The content type in a volume's name (`PVE::Storage::parse_volname`).
pub(crate) fn volume_type(world: &World, volid: &str) -> Result<&'static str, String> {
    let Some((storage, name)) = split_volid(volid) else {
        return Err(format!("unable to parse volume ID '{volid}'"));
    };
    let found = storage_of(world, storage)?;
    crate::storage::volname::parse(found.kind, name).map(|parsed| parsed.content)
}

/// `$check_drive_param`: options that exclude each other, imports, media. Values are printed anew.
pub(crate) fn check_drives(world: &World, node: &str, set: &mut Settings) -> Result<(), Refusal> {
    for (key, value) in set.iter_mut().filter(|(key, _)| keys::is_drive(key)) {
        let Some(mut drive) = Drive::read(key, value) else {
            return Err(Refusal::param(key, "unable to parse drive options"));
        };
        if drive.values.get("import-from").is_some() {
            check_import(key, &drive)?;
        }
        drive_path(world, node, key, &mut drive)?;
        let file = drive.file();
        if matches!(drive.wish(), Wish::Existing) && split_volid(file).is_some() {
            let kind = volume_type(world, file).map_err(Refusal::die)?;
            if kind == "iso" && !drive.is_cdrom() {
                let text = "explicit 'media=cdrom' is required for iso images";
                return Err(Refusal::param(key, text));
            }
        }
        *value = drive.print();
    }
    Ok(())
}

/// The keys that were given without a value (`undef`): a drive cannot be read from that.
pub(crate) fn blank(params: &Params, others: &[&str]) -> Vec<String> {
    params.undefined().filter(|name| !others.contains(name)).map(str::to_owned).collect()
}

/// `$check_drive_param` of drives without a value.
pub(crate) fn check_blank(blank: &[String]) -> Result<(), Refusal> {
    match blank.iter().find(|key| keys::is_drive(key)) {
        Some(key) => Err(Refusal::param(key, "unable to parse drive options")),
        None => Ok(()),
    }
}

/// What `write_vm_config` says of the first key without a value, `fine` ones apart.
pub(crate) fn unwritable(blank: &[String], fine: &[&str]) -> Result<(), String> {
    match blank.iter().find(|key| !fine.contains(&key.as_str())) {
        Some(key) => Err(format!("unable to parse value of '{key}' - got undefined value")),
        None => Ok(()),
    }
}

fn check_import(key: &str, drive: &Drive) -> Result<(), Refusal> {
    let size = match drive.wish() {
        Wish::Import { gib, .. } => gib.parse::<f64>().ok(),
        _ => None,
    };
    if size != Some(0.0) {
        let text =
            "'import-from' requires special syntax - use <storage ID>:0,import-from=<source>";
        return Err(Refusal::param(key, text));
    }
    let needs: &[&str] = match key {
        "efidisk0" => &["efitype", "pre-enrolled-keys"],
        "tpmstate0" => &["version"],
        _ => &[],
    };
    match needs.iter().find(|name| drive.values.get(name).is_none()) {
        Some(name) => {
            let text = format!("need to specify '{name}' when using 'import-from'");
            Err(Refusal::param(key, text))
        }
        None => Ok(()),
    }
}

/// `cleanup_drive_path`: a path below a storage becomes a volume id.
fn drive_path(world: &World, node: &str, key: &str, drive: &mut Drive) -> Result<(), Refusal> {
    let file = drive.file().to_owned();
    if file.starts_with('/') && !file.starts_with("/dev/") && !file.contains(':') {
        let Some((kind, volid)) = path_to_volume(world, node, &file) else {
            let text = format!("unable to associate path '{file}' to any storage");
            return Err(Refusal::param(key, text));
        };
        if kind == "iso" && drive.values.get("media").is_none() {
            drive.set("media", "cdrom");
        }
        let wanted = match drive.values.get("media") {
            Some("cdrom") => "iso",
            Some(_) => "images",
            None => kind,
        };
        if wanted != kind {
            let text = format!("unexpected media type ({kind} != {wanted})");
            return Err(Refusal::param(key, text));
        }
        drive.set("file", volid);
    }
    if matches!(file.as_str(), "none" | "cdrom") && drive.values.get("media").is_none() {
        drive.set("media", "cdrom");
    }
    Ok(())
}

/// Folders of a storage, what they hold, and how the names in them end.
const FOLDERS: &[(&str, &str, &[&str])] = &[
    ("/template/iso/", "iso", &[".iso", ".img"]),
    ("/template/cache/", "vztmpl", &[".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2"]),
    ("/snippets/", "snippets", &[""]),
    ("/import/", "import", &[".ova", ".ovf", ".qcow2", ".raw", ".vmdk"]),
];

/// `path_to_volume_id`: images have to be there, of other files the name is enough.
fn path_to_volume(world: &World, node: &str, path: &str) -> Option<(&'static str, String)> {
    world.storages.values().find_map(|storage| {
        let rest = path.strip_prefix(storage.path.as_deref()?)?;
        if let Some(name) = rest.strip_prefix("/images/") {
            let volid = format!("{}:{name}", storage.id);
            return world.volume(node, &volid).map(|_| ("images", volid));
        }
        FOLDERS.iter().find_map(|(folder, content, ends)| {
            let name = rest.strip_prefix(folder).filter(|name| !name.contains('/'))?;
            let lower = name.to_ascii_lowercase();
            let known = ends.iter().any(|end| lower.ends_with(end));
            known.then(|| (*content, format!("{}:{content}/{name}", storage.id)))
        })
    })
}

/// `$check_storage_access`: storages of new volumes, volumes and sources that are used.
pub(crate) fn check_storage_access(
    world: &World,
    caller: &Caller,
    vmid: u32,
    set: &Settings,
) -> Result<(), Refusal> {
    for (key, value) in set.iter().filter(|(key, _)| keys::is_drive(key)) {
        let Some(drive) = Drive::read(key, value) else { continue };
        let file = drive.file();
        match drive.wish() {
            Wish::Cloudinit { .. } => {}
            Wish::New { storage, .. } | Wish::Import { storage, .. } if !drive.is_cdrom() => {
                let path = format!("/storage/{storage}");
                world.require(caller, &path, &["Datastore.AllocateSpace"])?;
                if !storage_of(world, storage).map_err(Refusal::die)?.holds("images") {
                    let text = format!("storage '{storage}' does not support vm images");
                    return Err(Refusal::param("storage", text));
                }
            }
            _ if file == "none" => {}
            _ if file == "cdrom" && drive.is_cdrom() => {
                world.require(caller, "/", &["Sys.Console"])?;
            }
            _ => {
                check_volume(world, caller, Some(vmid), file, None)?;
                if split_volid(file).is_some() {
                    let kind = volume_type(world, file).map_err(Refusal::die)?;
                    if !matches!(kind, "images" | "iso") {
                        let text = "content type needs to be 'images' or 'iso'";
                        return Err(Refusal::param(key, text));
                    }
                }
            }
        }
        if let Some(source) = drive.values.get("import-from") {
            check_source(world, caller, vmid, key, source)?;
        }
    }
    for (key, value) in set.iter().filter(|(key, _)| keys::is_numbered(key, "unused")) {
        check_volume(world, caller, Some(vmid), Drive::parse(value).file(), Some("images"))
            .map_err(|refusal| refusal.of(key))?;
    }
    if let Some(storage) = set.get("vmstatestorage") {
        world.require(caller, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"])?;
    }
    Ok(())
}

/// What is imported: an image of a guest needs `VM.Clone` there.
fn check_source(
    world: &World,
    caller: &Caller,
    vmid: u32,
    key: &str,
    source: &str,
) -> Result<(), Refusal> {
    if split_volid(source).is_some() && !source.starts_with('/') {
        let kind = volume_type(world, source).map_err(Refusal::die)?;
        if !matches!(kind, "images" | "import") {
            let text =
                format!("{source} has wrong type '{kind}' - needs to be 'images' or 'import'");
            return Err(Refusal::param(key, text));
        }
        if kind == "images"
            && let Some(owner) = owner(source)
        {
            return world.require(caller, &format!("/vms/{owner}"), &["VM.Clone"]);
        }
    }
    check_volume(world, caller, Some(vmid), source, None)
}

/// `PVE::Storage::check_volume_access`.
pub(crate) fn check_volume(
    world: &World,
    caller: &Caller,
    vmid: Option<u32>,
    volid: &str,
    wanted: Option<&str>,
) -> Result<(), Refusal> {
    if volid.starts_with('/') || split_volid(volid).is_none() {
        if caller.is_root() {
            return Ok(());
        }
        let text = "Only root can pass arbitrary filesystem paths. at /usr/share/perl5/PVE/Storage.pm line 651.";
        return Err(Refusal::die(text));
    }
    let (storage, name) = split_volid(volid).unwrap_or_default();
    let parsed = crate::storage::volname::parse(storage_of(world, storage)?.kind, name)?;
    let kind = parsed.content;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != kind) {
        let text = format!("unable to use volume {volid} - content type needs to be '{wanted}'");
        return Err(Refusal::die(text));
    }
    let path = format!("/storage/{storage}");
    if world.may_any(caller, &path, &["Datastore.Allocate"]) {
        return Ok(());
    }
    match (kind, parsed.vmid) {
        ("iso" | "vztmpl" | "import", _) => {
            world.require_any(caller, &path, &["Datastore.AllocateSpace", "Datastore.Audit"])
        }
        (_, Some(owner)) if Some(owner) == vmid => Ok(()),
        ("backup", Some(owner)) => {
            world.require(caller, &path, &["Datastore.AllocateSpace"])?;
            world.require(caller, &format!("/vms/{owner}"), &["VM.Backup"])
        }
        ("images", Some(owner)) => {
            world.require(caller, &path, &["Datastore.Audit"])?;
            world.require(caller, &format!("/vms/{owner}"), &["VM.Config.Disk"])
        }
        _ => Err(Refusal::die(format!("missing privileges to access {volid}"))),
    }
}

/// `$check_vm_modify_config_perm`: the privilege of each key whose value does not matter.
pub(crate) fn check_keys<'a>(
    world: &World,
    caller: &Caller,
    vmid: u32,
    pool: Option<&str>,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    if caller.is_root() {
        return Ok(());
    }
    let need = |wanted: &[&str]| vm_privilege(world, caller, vmid, pool, wanted);
    for name in names {
        let Some(key) = keys::find(name) else { continue };
        match key.guard {
            Guard::Privilege(privilege) => need(&[privilege])?,
            Guard::Cloudinit => {
                let any = ["VM.Config.Cloudinit", "VM.Config.Network"];
                let on_pool =
                    pool.is_some_and(|pool| world.may_any(caller, &format!("/pool/{pool}"), &any));
                if !on_pool {
                    world.require_any(caller, &format!("/vms/{vmid}"), &any)?;
                }
            }
            Guard::Startup => {
                need(&["VM.Config.Options"])?;
                world.require(caller, "/", &["Sys.Modify"])?;
            }
            Guard::State => need(&["VM.Config.Disk", "VM.PowerMgmt"])?,
            Guard::Drive | Guard::Value => {}
            Guard::Root => return Err(Refusal::die(format!("only root can set '{name}' config"))),
        }
    }
    Ok(())
}

/// What is done with a device: its error says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Set,
    Modify,
    Delete,
}

/// Who may have a serial port, a USB or PCI device, a random number generator or a shared
/// directory of this value.
pub(crate) fn check_device(
    world: &World,
    caller: &Caller,
    vmid: u32,
    pool: Option<&str>,
    key: &str,
    value: &str,
    deed: Deed,
) -> Result<(), Refusal> {
    if caller.is_root() {
        return Ok(());
    }
    let need = |wanted: &[&str]| vm_privilege(world, caller, vmid, pool, wanted);
    let neither = || Refusal::die("either 'host' or 'mapping' must be set.");
    match keys::split_number(key).map_or(key, |(stem, _)| stem) {
        "serial" if value == "socket" => need(&["VM.Config.HWType"]),
        "serial" => {
            let verb = match deed {
                Deed::Set => "set",
                Deed::Modify => "modify",
                Deed::Delete => "delete",
            };
            Err(Refusal::die(format!("only root can {verb} '{key}' config for real devices")))
        }
        "usb" => {
            need(&["VM.Config.HWType"])?;
            let device = parse(formats::USB, value).unwrap_or_default();
            match (device.get("host"), device.get("mapping")) {
                (Some(host), _) if host.eq_ignore_ascii_case("spice") => Ok(()),
                (Some(_), _) => {
                    Err(Refusal::die(format!("only root can set '{key}' config for real devices")))
                }
                (None, Some(mapping)) => {
                    world.require(caller, &format!("/mapping/usb/{mapping}"), &["Mapping.Use"])
                }
                (None, None) => Err(neither()),
            }
        }
        "hostpci" => {
            let device = parse(formats::HOSTPCI, value).unwrap_or_default();
            match (device.get("host"), device.get("mapping")) {
                (Some(_), _) => {
                    return Err(Refusal::die(format!(
                        "only root can set '{key}' config for non-mapped devices"
                    )));
                }
                (None, Some(mapping)) => {
                    world.require(caller, &format!("/mapping/pci/{mapping}"), &["Mapping.Use"])?;
                    need(&["VM.Config.HWType"])?;
                }
                (None, None) => return Err(neither()),
            }
            if device.get("romfile").is_some() {
                return Err(Refusal::param(key, "only root@pam can set 'romfile' option"));
            }
            Ok(())
        }
        "rng" => {
            need(&["VM.Config.HWType"])?;
            let device = parse(formats::RNG, value).unwrap_or_default();
            if device.get("source") == Some("/dev/hwrng") {
                world.require(caller, "/mapping/hwrng", &["Mapping.Use"])?;
            }
            Ok(())
        }
        "virtiofs" => {
            need(&["VM.Config.Disk"])?;
            let device = parse(formats::VIRTIOFS, value).unwrap_or_default();
            let id = device.get("dirid").unwrap_or_default();
            world.require(caller, &format!("/mapping/dir/{id}"), &["Mapping.Use"])
        }
        _ => Ok(()),
    }
}

/// The devices of a new guest, kind by kind.
pub(crate) fn check_devices(
    world: &World,
    caller: &Caller,
    vmid: u32,
    pool: Option<&str>,
    set: &Settings,
) -> Result<(), Refusal> {
    for stem in ["serial", "usb", "hostpci", "rng", "virtiofs"] {
        for (key, value) in set.iter().filter(|(key, _)| keys::is_numbered(key, stem)) {
            check_device(world, caller, vmid, pool, key, value, Deed::Set)?;
        }
    }
    Ok(())
}

/// `SDN.Use` on the bridge of each card, or on each of its VLANs.
pub(crate) fn check_bridges<'a>(
    world: &World,
    caller: &Caller,
    set: impl Iterator<Item = (&'a String, &'a String)>,
) -> Result<(), Refusal> {
    if caller.is_root() {
        return Ok(());
    }
    for (_, value) in set.filter(|(key, _)| keys::is_numbered(key, "net")) {
        let card = parse(formats::NET, value).unwrap_or_default();
        let Some(bridge) = card.get("bridge") else { continue };
        let path = format!("/sdn/zones/localnetwork/{bridge}");
        if let Some(tag) = card.get("tag") {
            world.require(caller, &format!("{path}/{tag}"), &["SDN.Use"])?;
        }
        for tag in trunk_tags(card.get("trunks").unwrap_or_default()) {
            world.require(caller, &format!("{path}/{tag}"), &["SDN.Use"])?;
        }
        if card.get("tag").is_none() && card.get("trunks").is_none() {
            world.require(caller, &path, &["SDN.Use"])?;
        }
    }
    Ok(())
}

/// `2;5-7` as its tags.
fn trunk_tags(text: &str) -> Vec<u16> {
    let parts = text.split(';').filter(|part| !part.is_empty());
    let ranges = parts.map(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u16>().unwrap_or(0).min(4095);
        number(from)..=number(to)
    });
    let mut tags: Vec<u16> = ranges.flatten().collect();
    tags.sort_unstable_by_key(ToString::to_string);
    tags.dedup();
    tags
}

/// `assert_tag_permissions`: who may add and take away these tags.
pub(crate) fn check_tags(
    world: &World,
    caller: &Caller,
    vmid: u32,
    old: &str,
    new: &str,
) -> Result<(), Refusal> {
    vm_privilege(world, caller, vmid, None, &["VM.Config.Options"])?;
    if world.may_any(caller, "/", &["Sys.Modify"]) {
        return Ok(());
    }
    let option = |name: &str| world.options.get(name).map_or("", String::as_str);
    let access = crate::guest::property::Values::parse(option("user-tag-access"), "user-allow");
    let registered: Vec<&str> = format::list(option("registered-tags")).collect();
    let mode = access.get("user-allow").unwrap_or("free");
    let listed: Vec<&str> = format::list(access.get("user-allow-list").unwrap_or("")).collect();
    let exists = |tag: &str| {
        let mut seen = world
            .guests
            .values()
            .filter(|guest| world.may_any(caller, &format!("/vms/{}", guest.vmid), &["VM.Audit"]));
        mode == "existing" && seen.any(|guest| guest.tags().contains(&tag))
    };
    let allowed = |tag: &str| {
        !registered.contains(&tag)
            && (mode == "free" || (mode != "none" && listed.contains(&tag)) || exists(tag))
    };
    let (old, new): (Vec<&str>, Vec<&str>) =
        (format::tags(old).collect(), format::tags(new).collect());
    let count = |tags: &[&str], tag: &str| tags.iter().filter(|found| **found == tag).count();
    for tag in old.iter().chain(&new) {
        if count(&old, tag) != count(&new, tag) && !allowed(tag) {
            let text = format!("/, Sys.Modify for modifying tag '{tag}'");
            return Err(Refusal::permission(&text));
        }
    }
    Ok(())
}

/// `validate_ssh_public_keys`: each line is options, type, base64 and a comment.
pub(crate) fn check_ssh_keys(set: &Settings) -> Result<(), Refusal> {
    let Some(encoded) = set.get("sshkeys") else { return Ok(()) };
    let decoded = percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned();
    for line in decoded.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let key = words.iter().position(|word| ssh_type(word)).and_then(|at| words.get(at + 1));
        if !key.is_some_and(|key| ssh_blob(key)) {
            return Err(Refusal::die("SSH public key validation error"));
        }
    }
    Ok(())
}

fn ssh_type(word: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
}

/// Base64 that begins with the length of a type's name, as every key does.
fn ssh_blob(text: &str) -> bool {
    let class = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    text.len() >= 16 && text.starts_with("AAAA") && text.bytes().all(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_keys_are_looked_at() {
        let set = |value: &str| Settings::from([("sshkeys".to_owned(), value.to_owned())]);
        let good = "ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIMyH%20me%0A";
        assert!(check_ssh_keys(&set(good)).is_ok());
        for bad in ["nonsense", "ssh-ed25519%20short", "%23%20note", "ssh-rsa%20notbase64notbase64"]
        {
            assert!(check_ssh_keys(&set(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn volumes_tell_their_type() {
        let world = World::truth();
        for (volid, kind) in [
            ("local:100/vm-100-disk-0.raw", Ok("images")),
            ("local:iso/x.iso", Ok("iso")),
            ("local:import/x.qcow2", Ok("import")),
            ("local:snippets/x.yaml", Ok("snippets")),
            ("local:iso/x.txt", Err("unable to parse directory volume name 'iso/x.txt'")),
            ("local:x", Err("unable to parse directory volume name 'x'")),
            ("local:100/x", Err("unable to parse volume filename 'x'")),
            ("nosuch:x", Err("storage 'nosuch' does not exist")),
        ] {
            assert_eq!(volume_type(&world, volid), kind.map_err(str::to_owned), "{volid}");
        }
    }

    #[test]
    fn drives_are_printed_anew() {
        let world = World::truth();
        for (key, value, printed) in [
            ("ide2", "none", Ok("none,media=cdrom")),
            ("scsi0", "vmdata:4,ssd=on,backup=no", Ok("vmdata:4,backup=0,ssd=1")),
            ("ide2", "/var/lib/vz/template/iso/truth.iso", Ok("local:iso/truth.iso,media=cdrom")),
            (
                "ide2",
                "local:iso/truth.iso",
                Err("explicit 'media=cdrom' is required for iso images"),
            ),
            ("scsi0", "/var/lib/vz/import/truth.qcow2", Ok("local:import/truth.qcow2")),
            (
                "scsi0",
                "/var/lib/vz/import/truth.qcow2,media=disk",
                Err("unexpected media type (import != images)"),
            ),
            (
                "scsi0",
                "/var/lib/vmdata/images/9/vm-9-disk-0.raw",
                Err(
                    "unable to associate path '/var/lib/vmdata/images/9/vm-9-disk-0.raw' to any storage",
                ),
            ),
            ("scsi0", "/srv/x.raw", Err("unable to associate path '/srv/x.raw' to any storage")),
            ("scsi0", "vmdata:1,mbps_rd=5,mbps=5", Err("unable to parse drive options")),
            ("scsi0", "vmdata:1,iops_max_length=5", Err("unable to parse drive options")),
            ("virtio0", "none,media=cdrom", Err("unable to parse drive options")),
            (
                "tpmstate0",
                "vmdata:0,import-from=local:import/truth.qcow2",
                Err("need to specify 'version' when using 'import-from'"),
            ),
        ] {
            let mut set = Settings::from([(key.to_owned(), value.to_owned())]);
            let result = check_drives(&world, "pve1", &mut set);
            match printed {
                Ok(text) => assert_eq!((result.is_ok(), set[key].as_str()), (true, text)),
                Err(text) => match result {
                    Err(Refusal::Params(errors)) => assert_eq!(errors[key], text, "{value}"),
                    other => panic!("{value}: {other:?}"),
                },
            }
        }
    }
}
