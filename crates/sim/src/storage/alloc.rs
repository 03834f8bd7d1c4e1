//! New images: names, sizes, space (`vdisk_alloc` and `alloc_image` of the plugins).

use super::activate::active;
use super::{path, volname};
use crate::world::World;
use crate::world::storage::{Storage, StorageKind, Volume};

/// The most volumes of a guest on a storage (`$MAX_VOLUMES_PER_GUEST`).
const MOST: u32 = 1024;
/// Bytes of an LVM extent.
const EXTENT: u64 = 4 << 20;
const MIB: u64 = 1 << 20;

/// An image to make.
#[derive(Clone, Debug)]
pub(crate) struct NewImage<'a> {
    pub(crate) vmid: u32,
    /// None takes the storage's default.
    pub(crate) format: Option<&'a str>,
    /// None takes the next free one.
    pub(crate) name: Option<&'a str>,
    /// Bytes; rounded up as the type rounds.
    pub(crate) size: u64,
    /// Unix seconds.
    pub(crate) ctime: i64,
}

/// Makes an image; the answer is its volume id.
pub(crate) fn alloc(
    world: &mut World,
    node: &str,
    id: &str,
    new: &NewImage<'_>,
) -> Result<String, String> {
    let storage = active(world, id, node)?;
    let format = new.format.unwrap_or(storage.formats().1).to_owned();
    let name = check_name(world, storage, node, new, &format)?;
    let size = rounded(storage, new.size);
    let volname = match storage.kind.has_files() {
        true => format!("{}/{name}", new.vmid),
        false => name,
    };
    let used = used_when_new(storage, &format, size);
    check_space(world, storage, node, &volname, used)?;
    let volume = Volume {
        content: "images".to_owned(),
        format,
        size,
        used,
        vmid: Some(new.vmid),
        ctime: new.ctime,
        ..Volume::default()
    };
    let volid = format!("{id}:{volname}");
    world.add_volume(node, &volid, volume);
    Ok(volid)
}

/// The size that a type makes of `bytes`.
pub(crate) fn rounded(storage: &Storage, bytes: u64) -> u64 {
    let step = match storage.kind {
        StorageKind::Lvm | StorageKind::LvmThin => EXTENT,
        // `zfs_create_zvol` aligns to 1 MiB whatever the block size is.
        StorageKind::ZfsPool | StorageKind::Zfs | StorageKind::Rbd => MIB,
        _ => 1024,
    };
    bytes.div_ceil(step).saturating_mul(step)
}

/// Bytes that a fresh image takes. A qcow2 has its tables allocated (preallocation `metadata`):
/// 256 KiB and 64 KiB for each 512 MiB, as measured on a real server.
pub(crate) fn used_when_new(storage: &Storage, format: &str, size: u64) -> u64 {
    if storage.is_thick() {
        return size;
    }
    let option = storage.options.get("preallocation").map(String::as_str);
    match (format, option) {
        ("qcow2" | "raw", Some("full" | "falloc")) => size,
        ("qcow2", Some("off")) => 200_704,
        ("qcow2", _) => 200_704 + 65_536 * size.div_ceil(512 * MIB),
        ("vmdk", _) => 65_536,
        _ => 0,
    }
}

/// `LvmThinPlugin.pm line 102`: where a `die` without line end happens.
fn at(file: &str, line: u32) -> String {
    format!(" at /usr/share/perl5/PVE/Storage/{file} line {line}.")
}

/// The name of a new image, or what the plugin says of the one asked for.
fn check_name(
    world: &World,
    storage: &Storage,
    node: &str,
    new: &NewImage<'_>,
    format: &str,
) -> Result<String, String> {
    let vmid = new.vmid;
    let next = || free_name(world, storage, node, vmid, format);
    let should = |prefix: &str| match new.name.filter(|name| !name.is_empty()) {
        Some(name) if !name.starts_with(&format!("{prefix}-{vmid}-")) => {
            Err(format!("illegal name '{name}' - should be '{prefix}-{vmid}-*'"))
        }
        Some(name) => Ok(name.to_owned()),
        None => next(),
    };
    let name = match storage.kind {
        StorageKind::Iscsi | StorageKind::IscsiDirect => {
            return Err("can't allocate space in iscsi storage".to_owned());
        }
        StorageKind::Pbs => return Err("can't allocate space in pbs storage".to_owned()),
        StorageKind::Esxi => {
            return Err("creating images is not supported for PVE::Storage::ESXiPlugin".to_owned());
        }
        StorageKind::Lvm => lvm_name(storage, new, format, next)?,
        StorageKind::LvmThin if format != "raw" => {
            return Err(format!("unsupported format '{format}'{}", at("LvmThinPlugin.pm", 102)));
        }
        StorageKind::Zfs if format != "raw" => {
            return Err(format!("unsupported format '{format}'{}", at("ZFSPlugin.pm", 360)));
        }
        StorageKind::ZfsPool if format == "subvol" => should("subvol")?,
        StorageKind::ZfsPool if format != "raw" => {
            return Err(format!("unsupported format '{format}'{}", at("ZFSPoolPlugin.pm", 292)));
        }
        StorageKind::LvmThin | StorageKind::ZfsPool | StorageKind::Zfs | StorageKind::Rbd => {
            should("vm")?
        }
        _ => file_name(new, format, next)?,
    };
    refuse_existing(world, storage, node, vmid, &name)?;
    Ok(name)
}

fn lvm_name(
    storage: &Storage,
    new: &NewImage<'_>,
    format: &str,
    next: impl Fn() -> Result<String, String>,
) -> Result<String, String> {
    let name = match new.name.filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => next()?,
    };
    let parsed = volname::parse(storage.kind, &name);
    if matches!(format, "raw" | "qcow2") {
        let found = parsed.clone()?.format;
        if found != format {
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            let better = if format == "qcow2" { format!("{stem}.qcow2") } else { stem.to_owned() };
            return Err(format!(
                "volume name '{name}' does not match requested format '{format}' (did you mean '{better}'?)"
            ));
        }
    } else {
        return Err(format!("unsupported format '{format}'{}", at("LVMPlugin.pm", 696)));
    }
    if format == "qcow2" && !storage.flag("snapshot-as-volume-chain") {
        return Err(format!(
            "snapshot-as-volume-chain option need to be enabled to use qcow2 format{}",
            at("LVMPlugin.pm", 698)
        ));
    }
    Ok(name)
}

fn file_name(
    new: &NewImage<'_>,
    format: &str,
    next: impl Fn() -> Result<String, String>,
) -> Result<String, String> {
    let name = match new.name.filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => next()?,
    };
    let (found, _) = volname::image_file(&name)?;
    if found != format {
        return Err(format!(
            "illegal name '{name}' - wrong extension for format ('{found} != '{format}')"
        ));
    }
    if format == "subvol" && new.size != 0 {
        return Err("storage does not support subvol quotas".to_owned());
    }
    Ok(name)
}

fn refuse_existing(
    world: &World,
    storage: &Storage,
    node: &str,
    vmid: u32,
    name: &str,
) -> Result<(), String> {
    let option =
        |key: &str, or: &str| storage.options.get(key).cloned().unwrap_or_else(|| or.to_owned());
    let files = storage.kind.has_files();
    let volname = if files { format!("{vmid}/{name}") } else { name.to_owned() };
    if world.volume(node, &format!("{}:{volname}", storage.id)).is_none() {
        return Ok(());
    }
    Err(match storage.kind {
        StorageKind::Lvm | StorageKind::LvmThin => {
            let group = option("vgname", "pve");
            format!(
                "lvcreate '{group}/{name}' error:   Logical Volume \"{name}\" already exists in volume group \"{group}\""
            )
        }
        StorageKind::ZfsPool | StorageKind::Zfs => {
            let pool = option("pool", "rpool");
            format!("zfs error: cannot create '{pool}/{name}': dataset already exists")
        }
        StorageKind::Rbd => {
            format!("rbd create '{name}' error: rbd: create error: (17) File exists")
        }
        _ => {
            let path = path::path(storage, &volname).map(|(path, _)| path)?;
            format!("disk image '{path}' already exists")
        }
    })
}

/// The next free name of a guest's disk, as the type finds it (`find_free_diskname`). NFS and CIFS
/// look only at names of the same format: `vm-100-disk-0.raw` leaves `vm-100-disk-0.qcow2` free.
pub(crate) fn free_name(
    world: &World,
    storage: &Storage,
    node: &str,
    vmid: u32,
    format: &str,
) -> Result<String, String> {
    let files = storage.kind.has_files();
    let filesystems = storage.kind.declared_formats().contains(&"subvol");
    let chained = storage.kind == StorageKind::Lvm && format == "qcow2";
    let suffix = if files || chained { format!(".{format}") } else { String::new() };
    let same_suffix = !filesystems && !suffix.is_empty();
    let taken = |number: u32| {
        let tail = format!("-{vmid}-disk-{number}");
        world.volumes_on(&storage.id, node).any(|(name, _)| {
            let last = name.rsplit('/').next().unwrap_or(name);
            let stem = last.split('.').next().unwrap_or(last);
            let known = ["vm", "base", "subvol", "basevol"];
            let own = stem.strip_suffix(&tail).is_some_and(|prefix| known.contains(&prefix));
            own && (!same_suffix || last.ends_with(&suffix))
        })
    };
    let Some(number) = (0..MOST).find(|number| !taken(*number)) else {
        return Err(format!(
            "unable to allocate an image name for VM {vmid} in storage '{}'",
            storage.id
        ));
    };
    let prefix = if format == "subvol" { "subvol" } else { "vm" };
    Ok(format!("{prefix}-{vmid}-disk-{number}{suffix}"))
}

/// Bytes free on a storage as seen from a node.
pub(crate) fn free_bytes(world: &World, storage: &Storage, node: &str) -> u64 {
    storage.capacity.saturating_sub(world.used(&storage.id, node))
}

/// What allocating says when the storage has not so many bytes left.
fn check_space(
    world: &World,
    storage: &Storage,
    node: &str,
    volname: &str,
    bytes: u64,
) -> Result<(), String> {
    let free = free_bytes(world, storage, node);
    if bytes <= free {
        return Ok(());
    }
    let name = volname.rsplit('/').next().unwrap_or(volname);
    let option = |key: &str| storage.options.get(key).map(String::as_str).unwrap_or_default();
    Err(match storage.kind {
        StorageKind::Lvm => {
            let group = option("vgname");
            format!(
                "lvcreate '{group}/{name}' error:   Volume group \"{group}\" has insufficient free space ({} extents): {} required.",
                free / EXTENT,
                bytes / EXTENT
            )
        }
        StorageKind::ZfsPool | StorageKind::Zfs => {
            format!("zfs error: cannot create '{}/{name}': out of space", option("pool"))
        }
        _ => {
            let path = path::path(storage, volname).map(|(path, _)| path).unwrap_or_default();
            format!(
                "unable to create image: qemu-img: {path}: Could not resize file: No space left on device"
            )
        }
    })
}

/// The byte at which a copy of `bytes` into a volume fails for want of space, when it does. What
/// the volume takes already counts for it.
pub(crate) fn fills_up(world: &World, node: &str, volid: &str, bytes: u64) -> Option<u64> {
    let (id, _) = volid.split_once(':')?;
    let storage = world.storages.get(id)?;
    let have = world.volume(node, volid).map_or(0, |volume| volume.used);
    let free = free_bytes(world, storage, node).saturating_add(have);
    (bytes > free).then_some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(kind: StorageKind) -> World {
        let mut world = World::lab();
        let mut storage = Storage::new("x1", kind, false, &["images"], 10 << 30);
        storage.options.insert("vgname".into(), "vg".into());
        storage.options.insert("pool".into(), "tank".into());
        world.add_storage(storage);
        world
    }

    fn make(
        world: &mut World,
        name: Option<&str>,
        format: Option<&str>,
        size: u64,
    ) -> Result<String, String> {
        alloc(world, "pve1", "x1", &NewImage { vmid: 100, format, name, size, ctime: 1 })
    }

    #[test]
    fn every_type_names_and_rounds() {
        let cases = [
            (StorageKind::Dir, "x1:100/vm-100-disk-0.raw", 1_048_576 + 1024, 0),
            (StorageKind::Lvm, "x1:vm-100-disk-0", 4 << 20, 4 << 20),
            (StorageKind::LvmThin, "x1:vm-100-disk-0", 4 << 20, 0),
            (StorageKind::ZfsPool, "x1:vm-100-disk-0", 2 << 20, 2 << 20),
            (StorageKind::Rbd, "x1:vm-100-disk-0", 2 << 20, 0),
        ];
        for (kind, volid, size, used) in cases {
            let mut world = world(kind);
            assert_eq!(make(&mut world, None, None, (1 << 20) + 1).as_deref(), Ok(volid));
            let volume = world.volume("pve1", volid).unwrap();
            assert_eq!((volume.size, volume.used), (size, used), "{kind:?}");
        }
    }

    #[test]
    fn nfs_counts_each_format_by_itself() {
        let mut nfs = world(StorageKind::Nfs);
        let mut dir = world(StorageKind::Dir);
        for world in [&mut nfs, &mut dir] {
            make(world, None, Some("raw"), 1 << 20).unwrap();
        }
        let second = |world: &mut World| make(world, None, Some("qcow2"), 1 << 20).unwrap();
        assert_eq!(second(&mut nfs), "x1:100/vm-100-disk-0.qcow2");
        assert_eq!(second(&mut dir), "x1:100/vm-100-disk-1.qcow2");
    }

    #[test]
    fn what_is_refused() {
        let mib = 1 << 20;
        let cases = [
            (StorageKind::Dir, Some("x"), Some("raw"), mib, "unable to parse volume filename 'x'"),
            (
                StorageKind::Dir,
                Some("vm-100-a.qcow2"),
                Some("raw"),
                mib,
                "illegal name 'vm-100-a.qcow2' - wrong extension for format ('qcow2 != 'raw')",
            ),
            (
                StorageKind::LvmThin,
                Some("vm-101-x"),
                None,
                mib,
                "illegal name 'vm-101-x' - should be 'vm-100-*'",
            ),
            (
                StorageKind::LvmThin,
                None,
                Some("qcow2"),
                mib,
                "unsupported format 'qcow2' at /usr/share/perl5/PVE/Storage/LvmThinPlugin.pm line 102.",
            ),
            (
                StorageKind::Lvm,
                None,
                None,
                20 << 30,
                "lvcreate 'vg/vm-100-disk-0' error:   Volume group \"vg\" has insufficient free space (2560 extents): 5120 required.",
            ),
            (
                StorageKind::ZfsPool,
                None,
                None,
                20 << 30,
                "zfs error: cannot create 'tank/vm-100-disk-0': out of space",
            ),
        ];
        for (kind, name, format, size, expected) in cases {
            let error = make(&mut world(kind), name, format, size).unwrap_err();
            assert_eq!(error, expected);
        }
        let mut thin = world(StorageKind::LvmThin);
        assert!(make(&mut thin, None, None, 20 << 30).is_ok(), "thin pools promise more");
        make(&mut thin, Some("vm-100-a"), None, mib).unwrap();
        let again = make(&mut thin, Some("vm-100-a"), None, mib).unwrap_err();
        assert!(again.ends_with("already exists in volume group \"vg\""), "{again}");
    }
}
