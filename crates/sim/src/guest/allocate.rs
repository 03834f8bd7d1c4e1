//! Volumes that drives ask for: made, imported, found (`create_disks` of `PVE::API2::Qemu`).

use std::collections::BTreeMap;

use super::drive::{Drive, Wish, drive_order, is_cloudinit_volume, owner};
use super::keys;
use super::size;
use crate::storage::alloc::{NewImage, alloc, rounded};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::storage::{Storage, Volume};
use crate::world::volumes::split_volid;

/// Bytes of a cloud-init drive.
pub(crate) const CLOUDINIT_SIZE: u64 = 4 << 20;
/// Bytes of the EFI variables of a 4 MiB firmware.
const EFI_SIZE: u64 = 540_672;
/// Bytes of the EFI variables of a 2 MiB firmware.
const EFI_SMALL: u64 = 131_072;
/// Bytes of TPM state.
const TPM_SIZE: u64 = 4 << 20;

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
                // The variables are copied in; `qemu-img dd` tells of the end twice.
                let [first, last] = transferred(size);
                before.extend([first, last.clone(), last]);
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
    let fs = crate::shell::fs::Fs { world, node, now: now / 1000, umask: crate::shell::fs::UMASK };
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
    crate::storage::activate::enabled(world, storage, node)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
