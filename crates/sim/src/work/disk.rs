//! Disks: `resize`, `qmmove`, `imgdel`.

use serde::{Deserialize, Serialize};

use super::copying::{Copying, SIGNAL};
use super::create::copy_ms;
use super::freeing::{Freeing, Progress};
use super::template::convert_disk;
use super::{Next, Stage, config_lock};
use crate::api::qemu_disk::unlocked;
use crate::api::refusal::Refusal;
use crate::guest::allocate;
use crate::guest::drive::{self, Drive};
use crate::guest::written::written;
use crate::guest::{drive_formats, keys, pending, property, size};
use crate::world::World;
use crate::world::access::Caller;
use crate::world::guest::Guest;
use crate::world::storage::{Storage, StorageKind, Volume};
use crate::world::volumes::{base_name, own_name, split_volid};

const MODIFIED: &str = "checksum mismatch (file change by other user?)";
/// `PVE::Tools::assert_if_modified`.
const DIFFERENT: &str = "detected modified configuration - file changed by other user? Try again.";

/// A disk to grow.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Resize {
    pub(crate) vmid: u32,
    pub(crate) disk: String,
    /// `+1G` or `2G`.
    pub(crate) size: String,
    pub(crate) digest: Option<String>,
    pub(crate) skiplock: bool,
}

impl Resize {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => match self.plan(stage.world, &node, &stage.user)? {
                Some(_) => Ok(Next::After(200)),
                None => Ok(Next::Done),
            },
            _ => {
                if let Some((drive, wanted)) = self.plan(stage.world, &node, &stage.user)? {
                    self.apply(stage.world, &node, drive, wanted);
                    stage.say("Image resized.");
                }
                Ok(Next::Done)
            }
        }
    }

    /// The drive and its new size (none: it has that), or the errors of the worker.
    fn plan(&self, world: &World, node: &str, user: &str) -> Result<Option<(Drive, u64)>, String> {
        let guest = crate::api::call::load_config(world, node, self.vmid).map_err(|e| e.exit())?;
        if self.digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
            return Err(MODIFIED.to_owned());
        }
        if !self.skiplock {
            crate::api::call::check_lock(guest)?;
        }
        let disk = &self.disk;
        let Some(drive) = guest.get(disk).map(Drive::parse) else {
            return Err(format!("disk '{disk}' does not exist"));
        };
        let file = drive.file();
        if split_volid(file).is_none() {
            return Err(format!("unable to parse volume ID '{file}'"));
        }
        if drive.is_cdrom() {
            return Err("you can't resize a cdrom".to_owned());
        }
        let storage = split_volid(file).map_or("", |(storage, _)| storage);
        let caller = Caller { authid: user.to_owned() };
        world
            .require(&caller, &format!("/storage/{storage}"), &["Datastore.AllocateSpace"])
            .map_err(|refusal| refusal.exit())?;
        let volume = crate::storage::activate::volume(world, node, file)?;
        let (relative, text) = match self.size.strip_prefix('+') {
            Some(text) => (true, text),
            None => (false, self.size.as_str()),
        };
        let asked = size::parse(text).ok_or_else(|| format!("invalid size '{}'", self.size))?;
        let wanted = if relative { volume.size.saturating_add(asked) } else { asked };
        if wanted < volume.size {
            return Err("shrinking disks is not supported".to_owned());
        }
        if wanted == volume.size {
            return Ok(None);
        }
        self.growable(world, file, guest.running.is_some(), wanted)?;
        room(world, node, file, wanted - volume.size)?;
        Ok(Some((drive, wanted)))
    }

    /// `volume_resize` of the file plugins and `PVE::QemuServer::Blockdev::resize`: no vmdk; no
    /// base, which is immutable; no TPM state of a running guest, which QEMU does not have.
    fn growable(&self, world: &World, file: &str, runs: bool, wanted: u64) -> Result<(), String> {
        let (id, name) = split_volid(file).unwrap_or_default();
        let storage = allocate::storage_of(world, id)?;
        if storage.kind.has_files() {
            let Some((_, format)) =
                name.rsplit_once('.').filter(|(_, end)| matches!(*end, "raw" | "qcow2"))
            else {
                return Err("can't resize this image format".to_owned());
            };
            if !runs && is_base(name) {
                let preallocation = storage.preallocation(format);
                let path = allocate::path_of(world, file);
                return Err(format!(
                    "command '/usr/bin/qemu-img resize '--preallocation={preallocation}' -f {format} {path} {wanted}' failed: exit code 1"
                ));
            }
        }
        if runs && self.disk == "tpmstate0" {
            return Err(format!("no block node inserted for drive '{}'", self.disk));
        }
        Ok(())
    }

    fn apply(&self, world: &mut World, node: &str, mut drive: Drive, wanted: u64) {
        let storage = split_volid(drive.file()).and_then(|(id, _)| world.storages.get(id));
        let thick = storage.is_some_and(Storage::is_thick);
        if let Some(volume) = world.volume_mut(node, drive.file()) {
            let more = wanted.saturating_sub(volume.size);
            volume.size = wanted;
            volume.used = volume.used.saturating_add(if thick { more } else { 0 });
        }
        drive.set("size", size::print(wanted));
        if let Some(guest) = world.guests.get_mut(&self.vmid) {
            guest.config.insert(self.disk.clone(), drive.print());
        }
    }
}

/// A volume that takes its whole size grows only into free space.
fn room(world: &World, node: &str, volid: &str, more: u64) -> Result<(), String> {
    let (id, name) = split_volid(volid).unwrap_or_default();
    let storage = allocate::storage_of(world, id)?;
    let free = crate::storage::alloc::free_bytes(world, storage, node);
    if !storage.is_thick() || more <= free {
        return Ok(());
    }
    let option = |key: &str| storage.options.get(key).map(String::as_str).unwrap_or_default();
    Err(match storage.kind {
        StorageKind::Lvm => {
            let (group, extent) = (option("vgname"), 4 << 20);
            format!(
                "error resizing volume '/dev/{group}/{name}': command '/sbin/lvextend' failed: Insufficient free space: {} extents needed, but only {} available",
                more / extent,
                free / extent
            )
        }
        _ => {
            let pool = option("pool");
            format!(
                "zfs error: cannot set property for '{pool}/{name}': size is greater than available space"
            )
        }
    })
}

/// A disk to copy to another storage.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Move {
    pub(crate) vmid: u32,
    pub(crate) disk: String,
    pub(crate) storage: String,
    pub(crate) format: Option<String>,
    pub(crate) delete: bool,
    #[serde(default)]
    pub(crate) digest: Option<String>,
    /// The copy, as long as the configuration does not name it.
    #[serde(default)]
    pub(crate) made: Option<String>,
    /// The source, once the guest uses the copy.
    #[serde(default)]
    pub(crate) freeing: Option<Freeing>,
}

impl Move {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let result = self.step(stage);
        if result.is_err() {
            self.undo(stage.world, &stage.node.clone());
        }
        result
    }

    fn step(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => {
                let (drive, _) = self.check(stage.world, &node).map_err(|error| error.exit())?;
                let from = split_volid(drive.file()).map_or("", |(storage, _)| storage);
                stage.say(format!(
                    "copying volume '{}' from current storage '{from}' to target storage '{}'",
                    drive.file(),
                    self.storage
                ));
                Ok(stage.storage_lock(&self.storage))
            }
            2 => Ok(Next::After(180)),
            3 => {
                let bytes = self.allocate(stage).map_err(failed)?;
                stage.unlock_storage(&self.storage);
                Ok(Next::After(copy_ms(bytes)))
            }
            _ if self.freeing.is_some() => Ok(self.free(stage)),
            _ => self.switch(stage),
        }
    }

    /// The lock for the source was not to be had in time: it stays.
    pub(super) fn goes_on(&mut self, why: &str) -> bool {
        self.freeing.as_mut().is_some_and(|freeing| freeing.refuse(why))
    }

    fn free(&mut self, stage: &mut Stage<'_>) -> Next {
        while let Some(freeing) = &mut self.freeing {
            match freeing.step(stage) {
                Progress::Wait(next) => return next,
                Progress::Free(volid) => {
                    let node = stage.node.clone();
                    stage.world.remove_volume(&node, &volid);
                }
                Progress::Refused(_, why) => stage.say(why),
                Progress::Done => self.freeing = None,
            }
        }
        Next::Done
    }

    /// `$load_and_check_move`: the drive and its volume.
    pub(crate) fn check(&self, world: &World, node: &str) -> Result<(Drive, Volume), Refusal> {
        let guest = unlocked(world, node, self.vmid)?;
        if self.digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
            return Err(Refusal::die(DIFFERENT));
        }
        let Some(drive) = guest.get(&self.disk).map(Drive::parse) else {
            return Err(Refusal::die(format!("disk '{}' does not exist", self.disk)));
        };
        let file = drive.file();
        if drive.is_cdrom() && !drive.is_cloudinit() {
            return Err(Refusal::die("you can't move a cdrom"));
        }
        let Some((from, _)) = split_volid(file) else {
            return Err(Refusal::die(format!("unable to parse volume ID '{file}'")));
        };
        let volume = world.volume(node, file);
        let format = volume.map_or("raw", |volume| volume.format.as_str());
        if from == self.storage && self.format.as_deref().is_none_or(|asked| asked == format) {
            return Err(Refusal::die("you can't move to the same storage with same format"));
        }
        let target = enabled(world, &self.storage, node)?;
        if !target.holds("images") {
            let text = format!("storage '{}' does not support vm images", self.storage);
            return Err(Refusal::param("storage", text));
        }
        if self.delete && drive::in_use(guest, &self.disk, file) {
            let text = "you can't move a disk with snapshots and delete the source";
            return Err(Refusal::die(text));
        }
        match volume {
            Some(volume) => Ok((drive.clone(), volume.clone())),
            None => Err(Refusal::die(format!("volume '{file}' does not exist"))),
        }
    }

    /// How it ends when it is interrupted now.
    pub(crate) fn interrupted(&self, world: &World, node: &str) -> String {
        let guest = world.guest(self.vmid);
        let from = guest.and_then(|guest| guest.get(&self.disk)).map(Drive::parse);
        let copy = from.as_ref().zip(self.made.as_deref()).map(|(from, to)| Copying {
            from: from.file(),
            to,
            snapshot: None,
            limit: None,
            mirror: guest.is_some_and(|guest| guest.running.is_some()),
        });
        failed(copy.map_or_else(|| SIGNAL.to_owned(), |copy| copy.interrupted(world, node)))
    }

    /// Makes the volume that the copy goes to; the bytes to copy.
    fn allocate(&mut self, stage: &mut Stage<'_>) -> Result<u64, String> {
        let node = stage.node.clone();
        let (drive, from) = self.check(stage.world, &node).map_err(|error| error.exit())?;
        let guest = stage.world.guest(self.vmid);
        let runs = guest.is_some_and(|guest| guest.running.is_some());
        if guest.is_some_and(|guest| drive::in_use(guest, &self.disk, drive.file())) {
            stage.say("moving disk with snapshots, snapshots will not be moved!");
        }
        if runs && self.disk == "tpmstate0" {
            return Err("cannot move TPM state while VM is running".to_owned());
        }
        let target = allocate::storage_of(stage.world, &self.storage)?;
        let format = allocate::wanted_format(target, self.format.as_deref(), &from.format);
        let other = self.format.as_ref().filter(|asked| **asked != format);
        let unsupported = other.map(|asked| {
            format!(
                "format '{asked}' is not supported by the target storage '{}' - using '{format}' instead",
                self.storage
            )
        });
        stage.say(format!("create full clone of drive {} ({})", self.disk, drive.file()));
        unsupported.into_iter().for_each(|line| stage.say(line));
        let (volid, bytes) = if drive.is_cloudinit() {
            let now = stage.moment.now;
            let made = allocate::cloudinit_volume(
                stage.world,
                &node,
                self.vmid,
                &self.storage,
                Some(&format),
                now,
            )?;
            (made, 0)
        } else {
            let now = stage.moment.now;
            let image = allocate::image(self.vmid, &format, from.size, now, from.bootable);
            let copy = Volume { used: from.used.max(image.used), ..image };
            let made = allocate::place_image(stage.world, &node, &self.storage, self.vmid, copy)?;
            (made, from.used)
        };
        stage.say(format!("allocated target volume '{volid}'"));
        self.made = Some(volid);
        Ok(bytes)
    }

    /// The guest uses the copy from now on.
    fn switch(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let (mut drive, from) = self.check(stage.world, &node).map_err(|error| error.exit())?;
        let old = drive.file().to_owned();
        let Some(new) = self.made.take() else { return Ok(Next::Done) };
        drive.set("file", &new);
        // What no slot has is known by its name alone.
        if !keys::is_numbered(&self.disk, "unused") {
            drive.set("size", size::print(from.size));
        }
        drive.values.0.remove("format");
        let mut kept = None;
        if let Some(guest) = stage.world.guests.get_mut(&self.vmid) {
            guest.config.insert(self.disk.clone(), drive.print());
            if !self.delete {
                kept = pending::add_unused(guest, &old);
            }
        }
        // A cloud-init drive is no base (`template_create` leaves it out).
        if !drive.is_cdrom() && stage.world.guest(self.vmid).is_some_and(Guest::template) {
            convert_disk(stage.world, &node, self.vmid, &self.disk, drive).map_err(failed)?;
        }
        if let Some(key) = kept {
            stage.say(format!("adding source volume '{old}' as '{key}' to config"));
        }
        if self.delete {
            stage.say(format!("removing source volume '{old}' after successful copy"));
            if stage.world.clones_of(&node, &old).is_empty() {
                self.freeing = Some(Freeing::of([old]));
                return Ok(self.free(stage));
            }
            let name = split_volid(&old).map_or("", |(_, name)| name);
            stage.say(format!("base volume '{name}' is still in use by linked clones"));
        }
        Ok(Next::Done)
    }

    fn undo(&mut self, world: &mut World, node: &str) {
        if let Some(made) = self.made.take() {
            world.remove_volume(node, &made);
        }
    }

    pub(crate) fn abandon(mut self, world: &mut World) {
        let Some(node) = world.guest(self.vmid).map(|guest| guest.node.clone()) else { return };
        self.undo(world, &node);
    }
}

/// Whether it is the volume of a template, not what stands on one.
fn is_base(volname: &str) -> bool {
    own_name(volname).rsplit('/').next().is_some_and(|file| file.starts_with("base-"))
}

pub(super) fn failed(error: String) -> String {
    format!("storage migration failed: {error}")
}

/// `storage_check_enabled`.
pub(crate) fn enabled<'a>(
    world: &'a World,
    id: &str,
    node: &str,
) -> Result<&'a crate::world::storage::Storage, String> {
    let found = allocate::storage_of(world, id)?;
    if found.options.get("disable").is_some_and(|value| value == "1") {
        return Err(format!("storage '{id}' is disabled"));
    }
    if !found.on_node(node) {
        return Err(format!("storage '{id}' is not available on node '{node}'"));
    }
    Ok(found)
}

/// A disk that another guest gets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reassign {
    pub(crate) vmid: u32,
    pub(crate) disk: String,
    pub(crate) target: u32,
    pub(crate) target_disk: String,
    pub(crate) digest: Option<String>,
    pub(crate) target_digest: Option<String>,
    pub(crate) caller: String,
}

impl Reassign {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        match stage.number {
            0 => Ok(config_lock(self.vmid, 10_000)),
            1 => Ok(config_lock(self.target, 10_000)),
            2 => Ok(Next::After(100)),
            _ => self.hand_over(stage),
        }
    }

    /// `$load_and_check_reassign_configs`: the drive.
    pub(crate) fn check(&self, world: &World, node: &str) -> Result<Drive, String> {
        let (vmid, target) = (self.vmid, self.target);
        let Some(source) = world.guest(vmid) else {
            return Err(format!("could not find VM {vmid}"));
        };
        let Some(other) = world.guest(target) else {
            return Err(format!("could not find target VM {target}"));
        };
        if source.node != other.node {
            return Err(format!(
                "Both VMs need to be on the same node ({} != {})",
                source.node, other.node
            ));
        }
        let source = unlocked(world, node, vmid)?;
        let other = unlocked(world, node, target)?;
        if source.template() || other.template() {
            return Err("Can't move disks from or to template VMs".to_owned());
        }
        for (guest, digest) in [(source, &self.digest), (other, &self.target_digest)] {
            if digest.as_ref().is_some_and(|digest| *digest != guest.digest()) {
                return Err(format!("VM {}: {DIFFERENT}", guest.vmid));
            }
        }
        let (disk, slot) = (&self.disk, &self.target_disk);
        let Some(drive) = source.get(disk).map(Drive::parse) else {
            return Err(format!("Disk '{disk}' for VM '{vmid}' does not exist"));
        };
        if other.get(slot).is_some() {
            return Err(format!("Target disk key '{slot}' is already in use for VM '{target}'"));
        }
        if drive.is_cdrom() && !drive.is_cloudinit() {
            return Err("CD drive contents can't be moved to another VM".to_owned());
        }
        if split_volid(drive.file()).is_none() {
            return Err(format!("Volume '{}' not managed by PVE", drive.file()));
        }
        if drive::in_use(source, disk, drive.file()) {
            return Err("Can't move disk used by a snapshot to another VM".to_owned());
        }
        // A linked clone can be renamed, a base cannot (`volume_has_feature`, `rename`).
        if split_volid(drive.file()).is_some_and(|(_, name)| is_base(name)) {
            return Err("Storage does not support moving of this disk to another VM".to_owned());
        }
        if source.running.is_some() && !keys::is_numbered(disk, "unused") {
            return Err(
                "Cannot move disk to another VM while the source VM is running - detach first"
                    .to_owned(),
            );
        }
        self.fits(&drive)?;
        Ok(drive)
    }

    /// The drive's options are those of the bus that it goes to.
    fn fits(&self, drive: &Drive) -> Result<(), String> {
        let (slot, value) = (&self.target_disk, drive.print());
        if !keys::is_drive(slot) {
            return Ok(());
        }
        let wrong = match property::check(drive_formats::of(slot), "", &value) {
            // The properties are named without the drive.
            Err(text) => text.replace("\n.", "\n"),
            Ok(_) if Drive::read(slot, &value).is_some() => return Ok(()),
            Ok(_) => String::new(),
        };
        Err(format!("failed to parse source disk for target disk format - {wrong}\n"))
    }

    fn hand_over(&self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let node = stage.node.clone();
        let mut drive = self.check(stage.world, &node)?;
        let (vmid, target, disk) = (self.vmid, self.target, &self.disk);
        stage.say(format!(
            "reassign disk '{disk}' from VM '{vmid}' as '{}' to VM '{target}'",
            self.target_disk
        ));
        let old = drive.file().to_owned();
        let (storage, name) = split_volid(&old).unwrap_or_default();
        let Some(volume) = stage.world.remove_volume(&node, &old) else {
            return Err(format!("volume '{old}' does not exist"));
        };
        let volume = Volume { vmid: Some(target), ..volume };
        let mut new = allocate::place_image(stage.world, &node, storage, target, volume)?;
        // `rename_volume`: the name of a linked clone keeps its base.
        if let (Some(base), Some((_, own))) = (base_name(name), split_volid(&new)) {
            new = format!("{storage}:{base}/{own}");
        }
        drive.set("file", &new);
        if let Some(guest) = stage.world.guests.get_mut(&vmid) {
            guest.config.remove(disk);
            let mut order = drive::boot_order(guest.get("boot").unwrap_or_default());
            if order.iter().any(|device| device == disk) {
                order.retain(|device| device != disk);
                let value = drive::print_order(order.iter().map(String::as_str));
                if let Some(value) = written("boot", &value)? {
                    guest.config.insert("boot".to_owned(), value);
                }
                stage.log.push(format!("removing disk '{disk}' from boot order config"));
            }
            stage.log.push(format!("removing disk '{disk}' from VM '{vmid}' config"));
        }
        if keys::is_numbered(&self.target_disk, "unused") {
            if let Some(guest) = stage.world.guests.get_mut(&target) {
                guest.config.insert(self.target_disk.clone(), new);
            }
            return Ok(Next::Done);
        }
        let value = drive.print();
        let update = super::config::Update {
            vmid: target,
            set: [(self.target_disk.clone(), value.clone())].into(),
            caller: self.caller.clone(),
            line: format!("update VM {target}: -{} {value}", self.target_disk),
            ..super::config::Update::default()
        };
        let now = stage.moment.now;
        super::config::apply(stage.world, &node, &update, now, &mut stage.log)
            .map_err(|refusal| refusal.exit())?;
        Ok(Next::Done)
    }
}

/// A volume to remove.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Free {
    pub(crate) volid: String,
}

impl Free {
    pub(crate) fn advance(&mut self, stage: &mut Stage<'_>) -> Result<Next, String> {
        let storage =
            split_volid(&self.volid).map(|(storage, _)| storage.to_owned()).unwrap_or_default();
        match stage.number {
            0 => Ok(stage.storage_lock(&storage)),
            _ => {
                let node = stage.node.clone();
                let warnings = crate::storage::free::free(stage.world, &node, &self.volid)?;
                stage.log.extend(warnings);
                stage.say(format!("Removed volume '{}'", self.volid));
                Ok(Next::Done)
            }
        }
    }
}
