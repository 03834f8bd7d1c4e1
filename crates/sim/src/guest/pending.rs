//! Pending changes: applied to a stopped guest at once (`vmconfig_apply_pending`); what hot-plugs
//! into a running one is in [`super::hotplug`].

use super::drive::Drive;
use super::hotplug::Errors;
use super::keys::{self, Effect};
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::volumes::split_volid;

/// Drops pending values that change nothing and removals of what is not there.
pub(crate) fn cleanup(guest: &mut Guest) {
    let config = &guest.config;
    guest.pending.retain(|key, value| config.get(key) != Some(value));
    guest.pending_delete.retain(|key, _| config.contains_key(key));
}

/// A volume that another drive or a snapshot has is not freed, nor one that `denied` has an error
/// for: who asks may not (`try_deallocate_drive`).
pub(crate) fn may_go(guest: &Guest, key: &str, force: bool, denied: &Errors) -> Result<(), String> {
    let drive = guest.get(key).filter(|_| force && keys::is_drive(key)).map(Drive::parse);
    let Some(drive) = drive.filter(|drive| !drive.is_cdrom() || drive.is_cloudinit()) else {
        return Ok(());
    };
    let volid = drive.file();
    let own = super::drive::owner(volid) == Some(guest.vmid);
    if let Some(text) = denied.get(key).filter(|_| own) {
        return Err(text.clone());
    }
    if own && super::drive::in_use(guest, key, volid) {
        return Err(format!("unable to delete '{volid}' - volume is still in use (snapshot?)"));
    }
    Ok(())
}

/// Makes all pending changes of a stopped guest real; what cannot be waits on. Errors by key.
pub(crate) fn apply(world: &mut World, vmid: u32) -> Errors {
    apply_but(world, vmid, &Errors::new())
}

/// The same; of volumes that may not be freed the errors are known.
pub(crate) fn apply_but(world: &mut World, vmid: u32, denied: &Errors) -> Errors {
    let mut errors = Errors::new();
    let Some(mut guest) = world.guests.remove(&vmid) else { return errors };
    cleanup(&mut guest);
    for (key, force) in std::mem::take(&mut guest.pending_delete) {
        if let Err(error) = may_go(&guest, &key, force, denied) {
            let text = format!("unable to apply pending change {key} : {error}\n");
            errors.insert(key.clone(), text);
            guest.pending_delete.insert(key, force);
            continue;
        }
        let Some(value) = guest.config.remove(&key) else { continue };
        if keys::is_drive(&key) {
            release(world, &mut guest, &Drive::parse(&value), force);
        }
    }
    for (key, value) in std::mem::take(&mut guest.pending) {
        set(world, &mut guest, &key, value);
    }
    super::written::retire_smp(&mut guest.config);
    drop_used(&mut guest);
    world.guests.insert(vmid, guest);
    errors
}

/// Sets a key; a drive's old volume becomes unused.
pub(crate) fn set(world: &mut World, guest: &mut Guest, key: &str, value: String) {
    let new = Drive::parse(&value);
    let old = guest.config.insert(key.to_owned(), value);
    if !keys::is_drive(key) {
        return;
    }
    let old = old.map(|old| Drive::parse(&old)).filter(|old| old.file() != new.file());
    if let Some(old) = old {
        release(world, guest, &old, false);
    }
    if new.is_cloudinit() {
        // A new drive is written with what the configuration says.
        guest.cloudinit.clear();
    }
    drop_used(guest);
}

/// A volume that a drive has, or is to have, is no unused one (`write_vm_config`).
pub(crate) fn drop_used(guest: &mut Guest) {
    let drives = guest.config.iter().chain(&guest.pending).filter(|(key, _)| keys::is_drive(key));
    let used: Vec<String> =
        drives.map(|(_, value)| Drive::parse(value).file().to_owned()).collect();
    guest.config.retain(|key, volume| !(keys::is_numbered(key, "unused") && used.contains(volume)));
}

/// A pending drive that comes to nothing (`vmconfig_register_unused_drive`).
pub(crate) fn give_up(world: &mut World, vmid: u32, key: &str) {
    let Some(mut guest) = world.guests.remove(&vmid) else { return };
    if let Some(value) = guest.pending.remove(key) {
        release(world, &mut guest, &Drive::parse(&value), false);
    }
    world.guests.insert(vmid, guest);
}

/// Notes what the cloud-init drive of a running guest does not have yet
/// (`cloudinit_record_changed`): the value that it has, or nothing for a key that is new.
pub(crate) fn record(guest: &mut Guest, key: &str, old: Option<&str>, new: Option<&str>) {
    let written = keys::find(key).is_some_and(|found| found.effect == Effect::Cloudinit)
        || key == "name"
        || keys::is_numbered(key, "net");
    if !written {
        return;
    }
    let recorded = guest.cloudinit.get(key).map(String::as_str);
    match (new, old, recorded) {
        // Back to what the drive has.
        (Some(new), _, Some(recorded)) if !recorded.is_empty() && new == recorded => {
            guest.cloudinit.remove(key);
        }
        // Added since, and gone again.
        (None, Some(_), Some("")) => {
            guest.cloudinit.remove(key);
        }
        (_, _, Some(_)) | (None, None, None) => {}
        (_, Some(old), None) => {
            guest.cloudinit.insert(key.to_owned(), old.to_owned());
        }
        (Some(_), None, None) => {
            guest.cloudinit.insert(key.to_owned(), String::new());
        }
    }
}

/// A drive that is no longer attached: its volume becomes `unusedN`, or is freed.
pub(crate) fn release(world: &mut World, guest: &mut Guest, drive: &Drive, force: bool) {
    let volid = drive.file().to_owned();
    if split_volid(&volid).is_none() {
        return;
    }
    if drive.is_cloudinit() {
        world.remove_volume(&guest.node, &volid);
        guest.cloudinit.clear();
        return;
    }
    // What belongs to another guest is neither freed nor listed.
    if drive.is_cdrom() || super::drive::owner(&volid) != Some(guest.vmid) {
        return;
    }
    if force {
        world.remove_volume(&guest.node, &volid);
        return;
    }
    add_unused(guest, &volid);
}

/// `unusedN` for a volume: the new key, or that under which it is listed; none when a drive uses
/// it.
pub(crate) fn add_unused(guest: &mut Guest, volid: &str) -> Option<String> {
    let uses = |value: &String| Drive::parse(value).file() == volid;
    let listed =
        |(key, value): &(&String, &String)| keys::is_numbered(key, "unused") && uses(value);
    if let Some((key, _)) = guest.config.iter().find(listed) {
        return Some(key.clone());
    }
    let mut drives = guest.config.iter().chain(&guest.pending);
    if drives.any(|(key, value)| keys::is_drive(key) && uses(value)) {
        return None;
    }
    let free = (0..256)
        .map(|number| format!("unused{number}"))
        .find(|key| !guest.config.contains_key(key))?;
    guest.config.insert(free.clone(), volid.to_owned());
    Some(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        let mut world = World::truth();
        let guest = Guest::new(
            100,
            "pve1",
            &[
                ("cores", "1"),
                ("memory", "128"),
                ("scsi0", "vmdata:100/vm-100-disk-0.raw,size=1G"),
                ("scsi1", "vmdata:100/vm-100-disk-1.raw,size=1G"),
                ("ide2", "none,media=cdrom"),
            ],
        );
        world.add_guest(guest);
        world
    }

    #[test]
    fn a_cold_boot_applies_everything() {
        let mut world = world();
        let guest = world.guest_mut(100).unwrap();
        guest.pending.insert("cores".into(), "2".into());
        guest.pending_delete.extend([("scsi0".into(), false), ("absent".into(), false)]);
        apply(&mut world, 100);
        let guest = world.guest(100).unwrap();
        assert!(guest.pending.is_empty() && guest.pending_delete.is_empty());
        assert_eq!(guest.get("cores"), Some("2"));
        assert_eq!(guest.get("unused0"), Some("vmdata:100/vm-100-disk-0.raw"));
    }

    #[test]
    fn the_volume_of_another_guest_is_left_alone() {
        let mut world = world();
        let guest = world.guest_mut(100).unwrap();
        guest.config.insert("scsi0".into(), "vmdata:200/vm-200-disk-0.raw,size=1G".into());
        guest.pending_delete.insert("scsi0".into(), false);
        apply(&mut world, 100);
        let guest = world.guest(100).unwrap();
        assert_eq!((guest.get("scsi0"), guest.get("unused0")), (None, None));
    }

    #[test]
    fn a_pending_drive_that_comes_to_nothing() {
        for (value, unused) in [
            ("none,media=cdrom", None),
            ("vmdata:100/vm-100-cloudinit.qcow2,media=cdrom", None),
            ("vmdata:200/vm-200-disk-0.raw,size=1G", None),
            ("vmdata:100/vm-100-disk-7.raw,size=1G", Some("vmdata:100/vm-100-disk-7.raw")),
        ] {
            let mut world = world();
            let guest = world.guest_mut(100).unwrap();
            guest.pending.insert("sata0".into(), value.into());
            give_up(&mut world, 100, "sata0");
            let guest = world.guest(100).unwrap();
            assert_eq!((guest.get("unused0"), guest.pending.len()), (unused, 0), "{value}");
        }
    }

    #[test]
    fn a_volume_that_is_to_be_used_is_not_unused() {
        let mut world = world();
        let guest = world.guest_mut(100).unwrap();
        let volume = |number: u32| format!("vmdata:100/vm-100-disk-{number}.raw");
        for number in 0..4 {
            guest.config.insert(format!("unused{number}"), volume(number));
        }
        guest.pending.insert("sata0".into(), format!("{},size=1G", volume(2)));
        drop_used(guest);
        let left: Vec<_> = guest.config.keys().filter(|key| key.starts_with("unused")).collect();
        assert_eq!(left, ["unused3"]);
    }

    #[test]
    fn what_the_cloudinit_drive_lacks() {
        // Old value, new value, recorded before and after (an empty text: added).
        type Text = Option<&'static str>;
        let table: &[(Text, Text, Text, Text)] = &[
            (Some("a"), Some("b"), None, Some("a")),
            (Some("b"), Some("c"), Some("a"), Some("a")),
            (Some("b"), Some("a"), Some("a"), None),
            (None, Some("a"), None, Some("")),
            (Some("a"), Some("b"), Some(""), Some("")),
            (Some("a"), None, Some(""), None),
            (Some("a"), None, None, Some("a")),
            (None, Some("a"), Some("a"), None),
            (None, None, None, None),
        ];
        for (old, new, before, after) in table {
            let mut guest = Guest::new(100, "pve1", &[]);
            guest.cloudinit.extend(before.map(|text| ("ciuser".to_owned(), text.to_owned())));
            record(&mut guest, "ciuser", *old, *new);
            let found = guest.cloudinit.get("ciuser").map(String::as_str);
            assert_eq!(found, *after, "{old:?} {new:?} {before:?}");
            record(&mut guest, "cores", *old, *new);
            assert_eq!(guest.cloudinit.get("cores"), None);
        }
    }
}
