//! Drives: `scsi0: local:100/vm-100-disk-0.raw,size=4G` taken apart, allocated and freed.

use std::collections::BTreeMap;

use crate::guest::keys;
use crate::guest::property::{self, Values};
use crate::guest::size;
use crate::storage::alloc::{NewImage, alloc, rounded};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::storage::{Storage, Volume};
use crate::world::volumes::{own_name, split_volid};

/// Bytes of a cloud-init drive.
pub(crate) const CLOUDINIT_SIZE: u64 = 4 << 20;
/// Bytes of the EFI variables of a 4 MiB firmware.
const EFI_SIZE: u64 = 540_672;
/// Bytes of the EFI variables of a 2 MiB firmware.
const EFI_SMALL: u64 = 131_072;
/// Bytes of TPM state.
const TPM_SIZE: u64 = 4 << 20;

/// A drive's volume and options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drive {
    pub(crate) values: Values,
}

impl Drive {
    pub(crate) fn parse(value: &str) -> Self {
        let mut values = Values::parse(value, "file");
        if let Some(volume) = values.0.remove("volume") {
            values.0.insert("file".to_owned(), volume);
        }
        Self { values }
    }

    /// Reads what a request gives (`parse_drive`): none when options exclude each other. The format
    /// of the bus has been checked.
    pub(crate) fn read(key: &str, value: &str) -> Option<Self> {
        let mut values = property::parse(super::drive_formats::of(key), value).ok()?;
        for name in ["bps", "bps_rd", "bps_wr"] {
            if values.0.remove(name).is_some() {
                let mega = format!("m{name}");
                // The real one stores 1/1048576, whatever was given.
                let double = values.0.insert(mega, "0.000".to_owned()).is_some();
                if double {
                    return None;
                }
            }
        }
        let set = |name: &str| values.get(name).is_some_and(|value| value != "0");
        let lacks = |option: &str, needs: &str| set(option) && !set(needs);
        let bursts = ["", "_rd", "_wr"].iter().any(|way| {
            lacks(&format!("mbps{way}_max"), &format!("mbps{way}"))
                || lacks(&format!("bps{way}_max_length"), &format!("mbps{way}_max"))
                || lacks(&format!("iops{way}_max_length"), &format!("iops{way}_max"))
        });
        let both = ["mbps", "iops"]
            .iter()
            .any(|kind| set(kind) && ["_rd", "_wr"].iter().any(|way| set(&format!("{kind}{way}"))));
        let medium = values.get("media") == Some("cdrom")
            && (set("snapshot") || set("format") || key.starts_with("virtio"));
        if bursts || both || medium {
            return None;
        }
        if let Some(size) = values.get("size") {
            let size = size::print(size::parse(size)?);
            values.0.insert("size".to_owned(), size);
        }
        Some(Self { values })
    }

    /// Volume first, then options by name.
    pub(crate) fn print(&self) -> String {
        self.values.print("file")
    }

    /// Volume id, `none`, `cdrom` or a path.
    pub(crate) fn file(&self) -> &str {
        self.values.get("file").unwrap_or_default()
    }

    pub(crate) fn set(&mut self, key: &str, value: impl Into<String>) {
        self.values.0.insert(key.to_owned(), value.into());
    }

    pub(crate) fn is_cdrom(&self) -> bool {
        self.values.get("media") == Some("cdrom")
    }

    pub(crate) fn is_cloudinit(&self) -> bool {
        let file = self.file();
        file.ends_with(":cloudinit") || is_cloudinit_volume(file)
    }

    /// Size in bytes as the configuration says.
    pub(crate) fn size(&self) -> Option<u64> {
        self.values.get("size").and_then(size::parse)
    }

    /// What a new value asks for: `STORAGE:SIZE`, `STORAGE:cloudinit` or an existing volume.
    pub(crate) fn wish(&self) -> Wish<'_> {
        let file = self.file();
        let Some((storage, rest)) = split_volid(file) else { return Wish::Existing };
        if rest == "cloudinit" {
            return Wish::Cloudinit { storage };
        }
        // `$NEW_DISK_RE`.
        let number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let digits = match rest.split_once('.') {
            Some((whole, part)) => number(whole) && number(part),
            None => number(rest),
        };
        match (self.values.get("import-from"), digits) {
            (Some(source), _) => Wish::Import { storage, gib: rest, source },
            (None, true) => Wish::New { storage, gib: rest.parse().unwrap_or(0.0) },
            (None, false) => Wish::Existing,
        }
    }
}

/// What a drive's value asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wish<'a> {
    /// A new volume of so many GiB.
    New { storage: &'a str, gib: f64 },
    /// A cloud-init drive.
    Cloudinit { storage: &'a str },
    /// A copy of a volume or file.
    Import { storage: &'a str, gib: &'a str, source: &'a str },
    /// Something that is there, or nothing.
    Existing,
}

impl<'a> Wish<'a> {
    /// The storage that something is to be allocated on.
    pub(crate) fn storage(self) -> Option<&'a str> {
        match self {
            Self::New { storage, .. }
            | Self::Cloudinit { storage }
            | Self::Import { storage, .. } => Some(storage),
            Self::Existing => None,
        }
    }
}

/// The guest that a volume's name gives it to (`vm_is_volid_owner`).
pub(crate) fn owner(volid: &str) -> Option<u32> {
    let (_, name) = split_volid(volid)?;
    let last = own_name(name).rsplit('/').next()?;
    let rest = ["vm-", "base-", "subvol-"].iter().find_map(|prefix| last.strip_prefix(prefix));
    let id = rest.and_then(|rest| rest.split('-').next());
    let folder = own_name(name).split_once('/').map(|(folder, _)| folder);
    folder.and_then(|folder| folder.parse().ok()).or(id.and_then(|id| id.parse().ok()))
}

/// `vm-100-cloudinit` in any of its forms.
fn is_cloudinit_volume(volid: &str) -> bool {
    let Some((_, name)) = split_volid(volid) else { return false };
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = last.split('.').next().unwrap_or(last);
    stem.strip_prefix("vm-")
        .and_then(|rest| rest.strip_suffix("-cloudinit"))
        .is_some_and(|id| id.parse::<u32>().is_ok())
}

/// What came of allocating a drive.
pub(crate) struct Allocated {
    /// The value to store.
    pub(crate) value: String,
    /// The volume that was made.
    pub(crate) volid: Option<String>,
    /// Lines for the task log.
    pub(crate) log: Vec<String>,
    /// Bytes copied.
    pub(crate) copied: u64,
}

/// A guest has one cloud-init drive: refuses a second one beside those in `others`.
fn only_cloudinit(key: &str, others: &BTreeMap<String, String>) -> Result<(), String> {
    let mut drives: Vec<&String> = others
        .iter()
        .filter(|(name, value)| keys::is_drive(name) && Drive::parse(value).is_cloudinit())
        .map(|(name, _)| name)
        .filter(|name| *name != key)
        .collect();
    drives.sort_by_key(|name| drive_order(name));
    match drives.first() {
        Some(other) => Err(format!("{key} - cloud-init drive is already attached at '{other}'")),
        None => Ok(()),
    }
}

/// `create_disks` for one drive: allocates what the value asks for. `others` are the drives that
/// the guest has or gets too.
pub(crate) fn allocate(
    world: &mut World,
    node: &str,
    vmid: u32,
    key: &str,
    value: &str,
    others: &BTreeMap<String, String>,
    now: i64,
) -> Result<Allocated, String> {
    let mut drive = Drive::parse(value);
    match drive.wish() {
        Wish::Existing => existing(world, node, key, drive, others),
        Wish::Cloudinit { storage } => {
            let storage = storage.to_owned();
            only_cloudinit(key, others)?;
            let format = drive.values.get("format").map(str::to_owned);
            let volid = cloudinit_volume(world, node, vmid, &storage, format.as_deref(), now)?;
            drive.set("file", &volid);
            drive.set("media", "cdrom");
            drive.values.0.remove("format");
            let value = drive.print();
            let mut log: Vec<String> = formatting(world, node, &volid).into_iter().collect();
            log.push(format!("{key}: successfully created disk '{value}'"));
            Ok(Allocated { value, volid: Some(volid), log, copied: 0 })
        }
        Wish::New { storage, gib } => {
            // Sizes are whole KiB (`PVE::Tools::convert_size`).
            let kib = (gib * (1u64 << 20) as f64).ceil() as u64;
            let (storage, size) = (storage.to_owned(), kib.saturating_mul(1024));
            let found = storage_of(world, &storage)?;
            let four = drive.values.get("efitype") == Some("4m");
            let size = match key {
                "efidisk0" if four => rounded(found, EFI_SIZE),
                "efidisk0" => rounded(found, EFI_SMALL),
                "tpmstate0" => TPM_SIZE,
                _ => size,
            };
            let format = wanted_format(found, drive.values.get("format"), found.default_format());
            if four && drive.values.flag("pre-enrolled-keys") {
                drive.set("ms-cert", "2023k");
            }
            let volume = image(vmid, &format, size, now, false);
            let mut volid = place_image(world, node, &storage, vmid, volume)?;
            let mut before: Vec<String> = formatting(world, node, &volid).into_iter().collect();
            if others.get("template").is_some_and(|flag| flag == "1") {
                volid = super::base::make(world, node, vmid, &volid)?;
            }
            let mut made = finish(drive, key, volid, size, 0);
            if key == "efidisk0" {
                // The variables are copied in.
                before.extend(transferred(size));
            }
            made.log.splice(0..0, before);
            Ok(made)
        }
        Wish::Import { storage, source, .. } => {
            let (storage, source) = (storage.to_owned(), source.to_owned());
            import(world, node, vmid, key, drive, &storage, &source, now)
        }
    }
}

fn finish(mut drive: Drive, key: &str, volid: String, size: u64, copied: u64) -> Allocated {
    drive.values.0.remove("format");
    drive.values.0.remove("import-from");
    drive.set("file", &volid);
    drive.set("size", size::print(size));
    let value = drive.print();
    let log = vec![format!("{key}: successfully created disk '{value}'")];
    Allocated { value, volid: Some(volid), log, copied }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one drive value")]
fn import(
    world: &mut World,
    node: &str,
    vmid: u32,
    key: &str,
    drive: Drive,
    storage: &str,
    source: &str,
    now: i64,
) -> Result<Allocated, String> {
    let by_path = source.starts_with('/');
    let found = if by_path {
        file_to_import(world, node, source, now)?
    } else {
        import_source(world, node, source)?
    };
    let named =
        if by_path { None } else { super::import_from::importable(world, vmid, key, source)? };
    let target = storage_of(world, storage)?;
    // A file is imported in the storage's own format, a volume in the one it has.
    let known = if by_path { target.default_format() } else { &found.format };
    let format = wanted_format(target, drive.values.get("format"), known);
    let copy = Volume { used: found.used, ..image(vmid, &format, found.size, now, found.bootable) };
    let volid = place_image(world, node, storage, vmid, copy)?;
    let mut before: Vec<String> = formatting(world, node, &volid).into_iter().collect();
    if !by_path {
        let named = named.map(|key| key + " ").unwrap_or_default();
        before.insert(0, format!("create full clone of drive {named}({source})"));
        before.push(format!("allocated target volume '{volid}'"));
    }
    before.extend(transferred(found.size));
    let mut made = finish(drive, key, volid, found.size, found.used);
    made.log.splice(0..0, before);
    Ok(made)
}

/// The lines that a copy prints, without those between.
pub(crate) fn transferred(bytes: u64) -> [String; 2] {
    let whole = human(bytes);
    [
        format!("transferred 0.0 B of {whole} (0.00%)"),
        format!("transferred {whole} of {whole} (100.00%)"),
    ]
}

/// Bytes that are copied for a drive: those of what it imports, if that is there.
pub(crate) fn to_copy(world: &mut World, node: &str, drive: &Drive, now: i64) -> u64 {
    let Wish::Import { source, .. } = drive.wish() else { return 0 };
    let found = match source.starts_with('/') {
        true => file_to_import(world, node, source, now),
        false => import_source(world, node, source),
    };
    found.map_or(0, |found| found.used)
}

/// A file of the node that is imported by its path.
fn file_to_import(world: &mut World, node: &str, source: &str, now: i64) -> Result<Volume, String> {
    let fs = crate::shell::fs::Fs { world, node, now: now / 1000 };
    let image = fs.image(source).map_err(|_| format!("can't find file '{source}'"))?;
    Ok(Volume {
        format: image.format,
        size: image.size,
        used: image.used,
        bootable: image.bootable,
        ..Volume::default()
    })
}

/// What is imported: a file of an import folder, an image (of another guest).
fn import_source(world: &World, node: &str, source: &str) -> Result<Volume, String> {
    let failed = |text: String| format!("cannot import from '{source}' - {text}");
    let Some(found) = world.volume(node, source).cloned() else {
        let import = split_volid(source).is_some_and(|(_, name)| name.starts_with("import/"));
        return Err(if import {
            format!("failed to stat '{}'", path_of(world, source))
        } else {
            failed(format!("could not get size of {source}"))
        });
    };
    if is_cloudinit_volume(source) {
        return Err(failed("cannot import from cloudinit disk".to_owned()));
    }
    let elsewhere = |guest: &Guest| guest.node != node;
    match owner(source).and_then(|vmid| world.guest(vmid)).filter(|guest| elsewhere(guest)) {
        Some(guest) => Err(failed(format!("owner VM {} not on local node", guest.vmid))),
        None => Ok(found),
    }
}

fn existing(
    world: &World,
    node: &str,
    key: &str,
    mut drive: Drive,
    others: &BTreeMap<String, String>,
) -> Result<Allocated, String> {
    let file = drive.file().to_owned();
    if matches!(file.as_str(), "none" | "cdrom") {
        drive.values.0.remove("size");
    }
    if split_volid(&file).is_some() {
        let kind = crate::api::guest_checks::volume_type(world, &file)?;
        if !matches!(kind, "images" | "iso") {
            return Err(format!(
                "cannot use volume {file} - content type needs to be 'images' or 'iso' at /usr/share/perl5/PVE/API2/Qemu.pm line 688."
            ));
        }
        let volume = crate::storage::activate::volume(world, node, &file)?;
        let stored = if kind == "iso" { "raw" } else { volume.format.as_str() };
        if let Some(asked) = drive.values.get("format").filter(|asked| *asked != stored) {
            return Err(format!(
                "drive '{key}' - volume '{file}' - 'format={asked}' option different from storage format '{stored}'"
            ));
        }
        if drive.is_cloudinit() {
            only_cloudinit(key, others)?;
        }
        drive.set("size", size::print(volume.size));
    }
    Ok(Allocated { value: drive.print(), volid: None, log: Vec::new(), copied: 0 })
}

/// The storage, or the error of `PVE::Storage::storage_config`.
pub(crate) fn storage_of<'a>(world: &'a World, id: &str) -> Result<&'a Storage, String> {
    world.storages.get(id).ok_or_else(|| format!("storage '{id}' does not exist"))
}

/// The format of a new image: as asked, else as the source, when the storage can hold it.
pub(crate) fn wanted_format(storage: &Storage, asked: Option<&str>, source: &str) -> String {
    if !storage.kind.has_files() {
        return "raw".to_owned();
    }
    asked.unwrap_or(source).to_owned()
}

pub(crate) fn image(vmid: u32, format: &str, size: u64, now: i64, bootable: bool) -> Volume {
    Volume {
        content: "images".to_owned(),
        format: format.to_owned(),
        size,
        used: if format == "qcow2" { 197_120 } else { 0 },
        vmid: Some(vmid),
        ctime: now / 1000,
        bootable,
        ..Volume::default()
    }
}

/// Puts an image on a storage under the next free name; refuses when the storage is full.
pub(crate) fn place_image(
    world: &mut World,
    node: &str,
    storage: &str,
    vmid: u32,
    volume: Volume,
) -> Result<String, String> {
    place_named(world, node, storage, vmid, None, volume)
}

/// Puts an image on a storage under a name.
pub(crate) fn place_named(
    world: &mut World,
    node: &str,
    storage: &str,
    vmid: u32,
    name: Option<&str>,
    volume: Volume,
) -> Result<String, String> {
    let found = crate::storage::activate::enabled(world, storage, node)?;
    if !found.holds("images") {
        return Err(format!("storage '{storage}' does not support content-type 'images'"));
    }
    let format = Some(volume.format.as_str());
    let size = volume.size;
    let new = NewImage { vmid, format, name, size, ctime: volume.ctime };
    let volid = alloc(world, node, storage, &new)?;
    let thick = world.storages.get(storage).is_some_and(Storage::is_thick);
    if let Some(placed) = world.volume_mut(node, &volid) {
        // A linked clone takes nothing yet; a copy brings what it copied, beyond a fresh image.
        placed.used = match (thick, volume.parent.is_some()) {
            (true, true) => 0,
            (true, false) => placed.used,
            (false, _) => volume.used.max(placed.used),
        };
        placed.bootable = volume.bootable;
        placed.parent = volume.parent;
    }
    Ok(volid)
}

/// What making a volume prints: the line of `qemu-img create`, or of `lvcreate`.
pub(crate) fn formatting(world: &World, node: &str, volid: &str) -> Option<String> {
    let volume = world.volume(node, volid)?;
    let (storage, name) = split_volid(volid)?;
    let kind = world.storages.get(storage)?.kind;
    if !kind.has_files() {
        let lvm = kind == crate::world::storage::StorageKind::LvmThin;
        return lvm.then(|| format!("  Logical volume \"{name}\" created."));
    }
    let (path, format, size) = (path_of(world, volid), volume.format.as_str(), volume.size);
    if let (Some(parent), "qcow2") = (&volume.parent, format) {
        let base = parent.rsplit('.').next().unwrap_or("raw");
        return Some(format!(
            "Formatting '{path}', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation=off compression_type=zlib size={size} backing_file=../{parent} backing_fmt={base} lazy_refcounts=off refcount_bits=16"
        ));
    }
    Some(match format {
        "qcow2" => format!(
            "Formatting '{path}', fmt=qcow2 cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size={size} lazy_refcounts=off refcount_bits=16"
        ),
        "raw" => format!("Formatting '{path}', fmt=raw size={size} preallocation=off"),
        other => format!("Formatting '{path}', fmt={other} size={size}"),
    })
}

/// Bytes as `PVE::Format::render_bytes` shows them.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].iter().peekable();
    while let Some(unit) = units.next() {
        if value < 1024.0 || units.peek().is_none() {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{bytes} B")
}

/// A cloud-init drive on a storage.
pub(crate) fn cloudinit_volume(
    world: &mut World,
    node: &str,
    vmid: u32,
    storage: &str,
    format: Option<&str>,
    now: i64,
) -> Result<String, String> {
    let found = storage_of(world, storage)?;
    let files = found.kind.has_files();
    let format = if files { format.unwrap_or("qcow2") } else { "raw" };
    let suffix = if files { format!(".{format}") } else { String::new() };
    let volume = image(vmid, format, CLOUDINIT_SIZE, now, false);
    let name = format!("vm-{vmid}-cloudinit{suffix}");
    place_named(world, node, storage, vmid, Some(&name), volume)
}

/// The path of a volume on a node, for messages.
pub(crate) fn path_of(world: &World, volid: &str) -> String {
    world.path_of(volid).unwrap_or_else(|_| volid.to_owned())
}

/// The order in which Proxmox walks drives (`valid_drive_names`).
pub(crate) fn drive_order(key: &str) -> (usize, u32) {
    let (stem, number) = keys::split_number(key).unwrap_or((key, 0));
    let buses = ["ide", "scsi", "virtio", "sata", "efidisk", "tpmstate"];
    (buses.iter().position(|bus| *bus == stem).unwrap_or(buses.len()), number)
}

/// All names of drives (`valid_drive_names`), for the error that lists them.
pub(crate) fn names() -> Vec<String> {
    let buses = [("ide", 4), ("scsi", 31), ("virtio", 16), ("sata", 6)];
    let disks = buses
        .iter()
        .flat_map(|(bus, count)| (0..*count).map(move |number| format!("{bus}{number}")));
    disks.chain(["efidisk0".to_owned(), "tpmstate0".to_owned()]).collect()
}

/// And those of unused volumes.
pub(crate) fn names_with_unused() -> Vec<String> {
    names().into_iter().chain((0..256).map(|number| format!("unused{number}"))).collect()
}

/// The drives of a configuration in Proxmox's order.
pub(crate) fn drives(guest: &Guest) -> Vec<(String, Drive)> {
    let mut found: Vec<(String, Drive)> = guest
        .config
        .iter()
        .filter(|(key, _)| keys::is_drive(key))
        .map(|(key, value)| (key.clone(), Drive::parse(value)))
        .collect();
    found.sort_by_key(|(key, _)| drive_order(key));
    found
}

/// Whether another drive, or a snapshot, has the volume (`is_volume_in_use`); `skip` names a key
/// that does not count.
pub(crate) fn in_use(guest: &Guest, skip: &str, volid: &str) -> bool {
    let has = |(key, value): (&String, &String)| {
        let drive = Drive::parse(value);
        keys::is_drive(key) && drive.file() == volid && !drive.is_cdrom()
    };
    guest.config.iter().filter(|(key, _)| *key != skip).any(has)
        || guest.snapshots.values().flatten().any(has)
}

/// The boot order of a new guest: first disk, first CD-ROM, first network card.
pub(crate) fn default_boot(config: &BTreeMap<String, String>) -> String {
    let mut drives: Vec<&String> = config.keys().filter(|key| keys::is_drive(key)).collect();
    drives.retain(|key| !key.starts_with("efidisk") && !key.starts_with("tpmstate"));
    drives.sort_by_key(|key| drive_order(key));
    let cdrom =
        |key: &&&String| config.get(**key).is_some_and(|value| Drive::parse(value).is_cdrom());
    let disk = drives.iter().find(|key| !cdrom(key));
    let medium = drives.iter().find(cdrom);
    let mut cards: Vec<&String> =
        config.keys().filter(|key| keys::is_numbered(key, "net")).collect();
    cards.sort_by_key(|key| keys::split_number(key));
    let order = disk.into_iter().chain(medium).chain(cards.first());
    print_order(order.map(|key| key.as_str()))
}

/// `print_bootorder`: nothing for no device.
pub(crate) fn print_order<'a>(devices: impl Iterator<Item = &'a str>) -> String {
    let devices: Vec<&str> = devices.collect();
    if devices.is_empty() { String::new() } else { format!("order={}", devices.join(";")) }
}

/// The devices of a stored boot order.
pub(crate) fn boot_order(value: &str) -> Vec<String> {
    let order = Values::parse(value, "legacy");
    let order = order.get("order").unwrap_or_default();
    order.split(';').filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The disk that a guest boots from: the first of its boot order, else its first disk.
pub(crate) fn boots(world: &World, guest: &Guest) -> bool {
    let order = boot_order(guest.get("boot").unwrap_or_default());
    let all = drives(guest);
    let bootable = |drive: &Drive| {
        world.volume(&guest.node, drive.file()).is_some_and(|volume| volume.bootable)
    };
    if order.is_empty() {
        return all.iter().any(|(_, drive)| bootable(drive));
    }
    order.iter().any(|key| all.iter().any(|(name, drive)| name == key && bootable(drive)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes() {
        let cases = [
            ("vmdata:1", Wish::New { storage: "vmdata", gib: 1.0 }),
            ("vmdata:1.", Wish::Existing),
            ("vmdata:10G", Wish::Existing),
            ("vmdata:cloudinit", Wish::Cloudinit { storage: "vmdata" }),
            ("vmdata:100/vm-100-disk-0.raw,size=1G", Wish::Existing),
            ("none,media=cdrom", Wish::Existing),
            (
                "a1:0,import-from=l:import/x",
                Wish::Import { storage: "a1", gib: "0", source: "l:import/x" },
            ),
        ];
        for (value, wish) in cases {
            assert_eq!(Drive::parse(value).wish(), wish, "{value}");
        }
        assert!(Drive::parse("x:9/vm-9-cloudinit.qcow2,media=cdrom").is_cloudinit());
        assert!(Drive::parse("lvm:vm-9-cloudinit").is_cloudinit());
        assert!(!Drive::parse("x:9/vm-9-disk-0.raw").is_cloudinit());
    }

    fn make(world: &mut World, vmid: u32, key: &str, value: &str) -> Result<Allocated, String> {
        allocate(world, "pve1", vmid, key, value, &BTreeMap::new(), 0)
    }

    #[test]
    fn a_second_cloudinit_drive_is_refused() {
        let mut world = World::truth();
        let others = BTreeMap::from([("ide2".to_owned(), "local:cloudinit".to_owned())]);
        let made = allocate(&mut world, "pve1", 1, "ide0", "local:cloudinit", &others, 0);
        let text = "ide0 - cloud-init drive is already attached at 'ide2'";
        assert_eq!(made.err().as_deref(), Some(text));
        assert!(allocate(&mut world, "pve1", 1, "ide2", "local:cloudinit", &others, 0).is_ok());
    }

    #[test]
    fn owners_are_in_the_names() {
        for (volid, vmid) in [
            ("local:100/vm-100-disk-0.raw", Some(100)),
            ("lvm:vm-101-disk-0", Some(101)),
            ("local:9/base-9-disk-0.raw/10/vm-10-disk-0.qcow2", Some(10)),
            ("zfs:base-9-disk-0/vm-10-disk-0", Some(10)),
            ("local:iso/x.iso", None),
            ("none", None),
        ] {
            assert_eq!(owner(volid), vmid, "{volid}");
        }
    }

    #[test]
    fn new_disks_are_named_and_sized() {
        let mut world = World::truth();
        let made = make(&mut world, 4030, "scsi1", "vmdata:1,ssd=1,discard=on").unwrap();
        assert_eq!(made.value, "vmdata:4030/vm-4030-disk-0.raw,discard=on,size=1G,ssd=1");
        let again = make(&mut world, 4030, "efidisk0", "vmdata:1,efitype=4m").unwrap();
        assert_eq!(again.value, "vmdata:4030/vm-4030-disk-1.raw,efitype=4m,size=528K");
        use crate::world::storage::StorageKind::{LvmThin, ZfsPool};
        for (id, kind, size) in [("tank", ZfsPool, "1M"), ("thin", LvmThin, "4M")] {
            world.add_storage(Storage::new(id, kind, false, &["images"], 1 << 40));
            let made = make(&mut world, 4031, "efidisk0", &format!("{id}:1,efitype=4m")).unwrap();
            assert_eq!(made.value, format!("{id}:vm-4031-disk-0,efitype=4m,size={size}"));
        }
        let missing = make(&mut world, 1, "ide0", "local:iso/nosuch.iso,media=cdrom");
        assert_eq!(missing.err().as_deref(), Some("volume 'local:iso/nosuch.iso' does not exist"));
        let iso = make(&mut world, 1, "ide2", "local:iso/truth.iso,media=cdrom").unwrap();
        assert_eq!(iso.value, "local:iso/truth.iso,media=cdrom,size=1M");
    }

    #[test]
    fn a_new_disk_of_a_template_is_a_base_volume() {
        let mut world = World::truth();
        let others = BTreeMap::from([("template".to_owned(), "1".to_owned())]);
        let made = allocate(&mut world, "pve1", 9, "scsi1", "vmdata:0.1", &others, 0).unwrap();
        assert_eq!(made.value, "vmdata:9/base-9-disk-0.raw,size=104858K");
        assert!(world.volume("pve1", "vmdata:9/base-9-disk-0.raw").is_some());
    }

    #[test]
    fn imports_copy_what_boots() {
        let mut world = World::truth();
        let value = "shared:0,import-from=local:import/truth-guest.qcow2";
        let made = make(&mut world, 4110, "scsi0", value).unwrap();
        assert_eq!(made.value, "shared:4110/vm-4110-disk-0.qcow2,size=40M");
        assert!(
            world.volume("pve2", "shared:4110/vm-4110-disk-0.qcow2").is_some_and(|v| v.bootable)
        );
        let error = make(&mut world, 1, "scsi0", "vmdata:0,import-from=local:import/nosuch.qcow2");
        assert_eq!(
            error.err().as_deref(),
            Some("failed to stat '/var/lib/vz/import/nosuch.qcow2'")
        );
    }

    #[test]
    fn a_full_storage_refuses() {
        let mut world = World::truth();
        if let Some(storage) = world.storages.get_mut("vmdata") {
            storage.capacity = 1000;
        }
        let value = "vmdata:0,import-from=local:import/truth-guest.qcow2";
        let error = make(&mut world, 1, "scsi0", value).err().unwrap();
        assert!(error.contains("No space left"), "{error}");
    }

    #[test]
    fn boot_orders() {
        let config = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        let all = config(&[
            ("scsi0", "a:b"),
            ("scsi1", "a:c,media=cdrom"),
            ("net0", "virtio"),
            ("efidisk0", "a:d"),
        ]);
        assert_eq!(default_boot(&all), "order=scsi0;scsi1;net0");
        assert_eq!(default_boot(&config(&[("net1", "x")])), "order=net1");
        assert_eq!(boot_order("order=scsi0;net0"), ["scsi0", "net0"]);
    }
}
