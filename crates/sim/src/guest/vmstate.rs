//! The RAM of a guest in a volume: for snapshots and for suspending to disk
//! (`__snapshot_save_vmstate` and `find_vmstate_storage` of `PVE::QemuConfig`).

use super::allocate::{image, path_of, place_named, storage_of};
use super::drive::drives;
use super::status::{memory_mib, running_machine};
use super::{agent, keys};
use crate::guest::property::Values;
use crate::world::World;
use crate::world::guest::{Guest, Section};
use crate::world::storage::StorageKind;
use crate::world::volumes::split_volid;

/// Bytes that the state of the devices and of an idle system takes, measured once on a real guest
/// of 256 MiB (91.8 MiB in all).
const DEVICES: u64 = 28 << 20;
/// Bytes that are saved in a second.
const SPEED: u64 = 500 << 20;
/// Bytes that the first look at a save in progress shows.
const FIRST: u64 = 5_253_366;

/// The keys that go with a saved state.
pub(crate) const KEYS: &[&str] =
    &["vmstate", "runningmachine", "runningcpu", "running-nets-host-mtu"];

/// The storage for the state: `vmstatestorage`, else one that holds a disk of the guest, shared
/// before local and files before anything else, else `local`.
pub(crate) fn find_storage(world: &World, guest: &Guest) -> Result<String, String> {
    if let Some(storage) = guest.get("vmstatestorage") {
        return Ok(storage.to_owned());
    }
    let all = drives(guest);
    let disks = all.iter().filter(|(_, drive)| !drive.is_cdrom());
    let mut ids: Vec<&str> =
        disks.filter_map(|(_, drive)| Some(split_volid(drive.file())?.0)).collect();
    ids.sort_unstable();
    ids.dedup();
    let (mut shared, mut local) = (None, None);
    for id in ids {
        let storage = storage_of(world, id)?;
        let best = if storage.shared { &mut shared } else { &mut local };
        if best.is_none() || storage.path.is_some() {
            *best = Some(id);
        }
    }
    Ok(shared.or(local).unwrap_or("local").to_owned())
}

/// Makes the volume and answers what the configuration says of it, and lines for the log. `name`
/// is what stands after `vm-100-state-`.
pub(crate) fn allocate(
    world: &mut World,
    guest: &Guest,
    storage: &str,
    name: &str,
    now: i64,
) -> Result<(Section, Vec<String>), String> {
    let (node, vmid) = (guest.node.clone(), guest.vmid);
    let found = storage_of(world, storage)?;
    let (files, thin) = (found.kind.has_files(), found.kind == StorageKind::LvmThin);
    let size = (memory_mib(guest.get("memory")) * 2 + 500) << 20;
    let suffix = if files { ".raw" } else { "" };
    let name = format!("vm-{vmid}-state-{name}{suffix}");
    let stored = if files { format!("{vmid}/{name}") } else { name.clone() };
    let volid = format!("{storage}:{stored}");
    if world.volume(&node, &volid).is_some() {
        return Err(format!("disk image '{}' already exists", path_of(world, &volid)));
    }
    // What was up when it was saved is up when it is loaded.
    let booted = agent::booted(guest, now);
    let volume = image(vmid, "raw", size, now, booted);
    let volid = place_named(world, &node, storage, vmid, Some(&name), volume)?;
    let mut log = Vec::new();
    if files {
        let path = path_of(world, &volid);
        log.push(format!("Formatting '{path}', fmt=raw size={size} preallocation=off"));
    } else if thin {
        log.push(format!("  Logical volume \"{stored}\" created."));
    }
    let mut keys = Section::from([
        ("vmstate".to_owned(), volid),
        ("runningmachine".to_owned(), running_machine(guest).to_owned()),
        ("runningcpu".to_owned(), running_cpu(guest)),
    ]);
    let mut mtu = host_mtu(guest);
    if mtu.is_empty() {
        // Written as nothing, the line is read back as the space that follows its colon.
        mtu.push(' ');
    }
    keys.insert("running-nets-host-mtu".to_owned(), mtu);
    Ok((keys, log))
}

/// Bytes that saving the RAM of a guest writes.
pub(crate) fn saved_bytes(guest: &Guest) -> u64 {
    DEVICES + (memory_mib(guest.get("memory")) << 20) / 4
}

/// Seconds that saving takes, since it is looked at once a second.
pub(crate) fn save_seconds(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(SPEED).max(1)).unwrap_or(1)
}

/// The lines of a save, one a second.
pub(crate) fn progress(bytes: u64) -> Vec<String> {
    let seconds = save_seconds(bytes);
    let at = |second: i64| {
        let so_far = FIRST + SPEED * u64::try_from(second).unwrap_or(0);
        format!("{} in {second}s", mib(so_far.min(bytes)))
    };
    let mut lines = Vec::new();
    for second in 0..seconds {
        // Every tenth second after the first minute.
        let round = second + 1;
        if round < 60 || round % 10 == 0 {
            lines.push(at(second));
        }
        if round == 60 {
            lines.push("reducing reporting rate to every 10s".to_owned());
        }
    }
    lines.push(format!("completed saving the VM state in {}s, saved {}", seconds - 1, mib(bytes)));
    lines
}

/// Writes what was saved; refuses when the storage is full.
pub(crate) fn fill(world: &mut World, node: &str, volid: &str, bytes: u64) -> Result<(), String> {
    let storage = split_volid(volid).map(|(storage, _)| storage).unwrap_or_default();
    let full = storage_of(world, storage)?.capacity;
    if world.used(storage, node).saturating_add(bytes) > full {
        return Err("unable to save VM state and RAM - No space left on device".to_owned());
    }
    if let Some(volume) = world.volume_mut(node, volid) {
        volume.used = bytes;
    }
    Ok(())
}

/// Bytes as `render_bytes` of pve-common shows them.
fn mib(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit < 4 {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.2} {}", ["B", "KiB", "MiB", "GiB", "TiB"].get(unit).unwrap_or(&"TiB"))
}

/// The argument of `-cpu` (`PVE::QemuServer::CPUConfig`, roughly).
fn running_cpu(guest: &Guest) -> String {
    let values = Values::parse(guest.get("cpu").unwrap_or("kvm64"), "cputype");
    match values.get("cputype").unwrap_or("kvm64") {
        "host" => "host,+kvm_pv_eoi,+kvm_pv_unhalt".to_owned(),
        "kvm64" => "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep".to_owned(),
        "x86-64-v2-AES" => {
            let flags = "+kvm_pv_eoi,+kvm_pv_unhalt,+pni,+popcnt,+sse4.1,+sse4.2,+ssse3";
            format!("qemu64,+aes,enforce,{flags}")
        }
        other => format!("{other},enforce,+kvm_pv_eoi,+kvm_pv_unhalt"),
    }
}

/// `net0=1500` for every card of the model `virtio`.
fn host_mtu(guest: &Guest) -> String {
    let cards = guest.config.iter().filter(|(key, _)| keys::is_numbered(key, "net"));
    let of = |(key, value): (&String, &String)| {
        let values = Values::parse(value, "model");
        let is_virtio = values.get("virtio").is_some() || values.get("model") == Some("virtio");
        let mtu = values.get("mtu").filter(|mtu| *mtu != "1").unwrap_or("1500");
        is_virtio.then(|| format!("{key}={mtu}"))
    };
    cards.filter_map(of).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::storage::Storage;

    #[test]
    fn shared_storage_goes_before_local_and_files_before_blocks() {
        let mut world = World::empty("x");
        for (id, kind, shared) in [
            ("a-rbd", StorageKind::Rbd, true),
            ("b-nfs", StorageKind::Nfs, true),
            ("c-rbd", StorageKind::Rbd, true),
            ("d-thin", StorageKind::LvmThin, false),
            ("e-dir", StorageKind::Dir, false),
        ] {
            world.add_storage(Storage::new(id, kind, shared, &["images"], 1 << 40));
        }
        let table: &[(&[(&str, &str)], &str)] = &[
            (&[], "local"),
            (&[("scsi0", "d-thin:vm-1-disk-0")], "d-thin"),
            (&[("scsi0", "e-dir:1/vm-1-disk-0.raw"), ("scsi1", "d-thin:x")], "e-dir"),
            (&[("scsi0", "e-dir:1/x.raw"), ("scsi1", "c-rbd:x")], "c-rbd"),
            (&[("scsi0", "a-rbd:x"), ("scsi1", "b-nfs:1/x.raw"), ("scsi2", "c-rbd:x")], "b-nfs"),
            (&[("ide2", "b-nfs:iso/x.iso,media=cdrom"), ("scsi0", "d-thin:x")], "d-thin"),
            (&[("scsi0", "a-rbd:x"), ("vmstatestorage", "d-thin")], "d-thin"),
        ];
        for (config, expected) in table {
            let guest = Guest::new(1, "a", config);
            assert_eq!(find_storage(&world, &guest).as_deref(), Ok(*expected), "{config:?}");
        }
    }

    #[test]
    fn saving_is_told_once_a_second() {
        let guest = Guest::new(1, "a", &[("memory", "256")]);
        assert_eq!(saved_bytes(&guest), 92 << 20);
        let lines = progress(92 << 20);
        assert_eq!(
            lines,
            ["5.01 MiB in 0s", "completed saving the VM state in 0s, saved 92.00 MiB"]
        );
        let lines = progress(70 * SPEED);
        assert_eq!((lines.len(), lines[1].as_str()), (63, "505.01 MiB in 1s"));
    }

    #[test]
    fn what_ran_is_written_down() {
        let guest = Guest::new(
            1,
            "a",
            &[
                ("cpu", "host"),
                ("net0", "virtio=BC:24:11:00:00:01,bridge=vmbr0"),
                ("net1", "e1000=BC:24:11:00:00:02,bridge=vmbr0"),
                ("net2", "virtio=BC:24:11:00:00:03,bridge=vmbr0,mtu=9000"),
            ],
        );
        assert_eq!(host_mtu(&guest), "net0=1500,net2=9000");
        assert!(running_cpu(&guest).starts_with("host,"));
    }
}
