//! `qm disk import` and `qm disk rescan`.

use super::super::Shell;
use super::super::io::Io;
use super::options::Parsed;
use super::own::vmid;
use crate::api::call::{check_lock, load_config};
use crate::api::refusal::Refusal;
use crate::guest::allocate;
use crate::guest::drive::{self, Drive};
use crate::guest::format::{Kind, check};
use crate::guest::{keys, pending, size};
use crate::world::World;
use crate::world::files::Image;
use crate::world::storage::Volume;

const FORMATS: &[&str] = &["raw", "qcow2", "vmdk"];

impl Shell {
    pub(super) async fn import_disk(&self, parsed: &Parsed, io: &Io) -> Result<(), Refusal> {
        let vmid = vmid(parsed)?;
        let (source, storage) =
            (parsed.get("source").unwrap_or_default(), parsed.get("storage").unwrap_or_default());
        let format = parsed.get("format");
        if let Some(format) = format {
            check(Kind::Enum(FORMATS), "format", format)
                .map_err(|error| Refusal::param("format", error))?;
        }
        // `unused3` is taken for none.
        let target = parsed.get("target-disk").filter(|name| keys::is_drive(name));
        self.may_import(vmid, storage, source)?;
        let path = self.path(source);
        let image = self.fs(|fs| fs.image(&path)).map_err(|errno| Refusal::die(errno.text()))?;
        io.out.line(&format!("importing disk '{source}' to VM {vmid} ..."));
        let format = self.target_format(storage, format, io)?;
        let volid = self.place(vmid, storage, &format, &image, io)?;
        let [first, last] = allocate::transferred(image.size);
        io.out.line(&first);
        self.pause(crate::work::create::copy_ms(image.used)).await;
        io.out.line(&last);
        let mut world = self.shared.world();
        world.revision += 1;
        let key = match load_config(&world, &self.node, vmid)
            .and_then(|guest| check_lock(guest).map_err(Refusal::die))
        {
            Ok(()) => attach(&mut world, vmid, target, &volid),
            Err(refusal) => {
                world.remove_volume(&self.node, &volid);
                return Err(refusal);
            }
        };
        let value =
            world.guest(vmid).and_then(|guest| guest.get(&key)).unwrap_or(&volid).to_owned();
        drop(world);
        self.shared.changed.notify_waiters();
        io.out.line(&format!("{key}: successfully imported disk '{value}'"));
        Ok(())
    }

    /// The checks of `importdisk`, in their order.
    fn may_import(&self, vmid: u32, storage: &str, source: &str) -> Result<(), Refusal> {
        let world = self.shared.world();
        let guest = load_config(&world, &self.node, vmid)?;
        check_lock(guest).map_err(Refusal::die)?;
        drop(world);
        let path = self.path(source);
        if !self.fs(|fs| fs.meta(&path).is_ok_and(|meta| !meta.folder)) {
            return Err(Refusal::die(format!("{source}: non-existent or non-regular file")));
        }
        let world = self.shared.world();
        let found = allocate::storage_of(&world, storage).map_err(Refusal::die)?;
        if !found.on_node(&self.node) {
            let text = format!("storage '{storage}' is not available on node '{}'", self.node);
            return Err(Refusal::die(text));
        }
        if !found.holds("images") {
            return Err(Refusal::die(format!("storage {storage} does not support vm images")));
        }
        Ok(())
    }

    /// `resolve_dst_disk_format`: as asked, when the storage can hold it.
    fn target_format(
        &self,
        storage: &str,
        asked: Option<&str>,
        io: &Io,
    ) -> Result<String, Refusal> {
        let world = self.shared.world();
        let found = allocate::storage_of(&world, storage).map_err(Refusal::die)?;
        let default = found.default_format();
        let format = match asked {
            Some(asked) if found.kind.has_files() => asked,
            _ => default,
        };
        if let Some(asked) = asked.filter(|asked| *asked != format) {
            io.err.line(&format!(
                "format '{asked}' is not supported by the target storage - using '{format}' instead"
            ));
        }
        Ok(format.to_owned())
    }

    fn place(
        &self,
        vmid: u32,
        storage: &str,
        format: &str,
        image: &Image,
        io: &Io,
    ) -> Result<String, Refusal> {
        let now = self.shared.clock.moment().now;
        let mut world = self.shared.world();
        let volume = allocate::image(vmid, format, image.size, now, image.bootable);
        let used = volume.used.max(image.used.min(image.size));
        let volume = Volume { used, ..volume };
        let volid = allocate::place_image(&mut world, &self.node, storage, vmid, volume)
            .map_err(Refusal::die)?;
        if let Some(line) = allocate::formatting(&world, &self.node, &volid) {
            io.out.line(&line);
        }
        Ok(volid)
    }

    /// Brings sizes in configurations up to date, and lists volumes that no key names.
    pub(super) fn rescan(&self, parsed: &Parsed, io: &Io) -> Result<(), Refusal> {
        let dry = parsed.flag("dryrun");
        if dry {
            io.out.line("NOTE: running in dry-run mode, won't write changes out!");
        }
        let one = parsed.get("vmid").map(|_| vmid(parsed)).transpose()?;
        io.out.line("rescan volumes...");
        let mut world = self.shared.world();
        let guests: Vec<u32> = match one {
            Some(vmid) => vec![vmid],
            None => {
                let own = world.guests.values().filter(|guest| guest.node == self.node);
                own.map(|guest| guest.vmid).collect()
            }
        };
        for vmid in guests {
            check_lock(load_config(&world, &self.node, vmid)?).map_err(Refusal::die)?;
            for line in rescan_guest(&mut world, &self.node, vmid, dry) {
                io.out.line(&line);
            }
        }
        world.revision += 1;
        Ok(())
    }
}

fn attach(world: &mut World, vmid: u32, target: Option<&str>, volid: &str) -> String {
    let Some(guest) = world.guests.get_mut(&vmid) else { return String::new() };
    if let Some(target) = target {
        if let Some(old) = guest.config.insert(target.to_owned(), volid.to_owned()) {
            pending::add_unused(guest, Drive::parse(&old).file());
        }
        return target.to_owned();
    }
    pending::add_unused(guest, volid);
    let found =
        guest.config.iter().find(|(key, value)| key.starts_with("unused") && *value == volid);
    found.map(|(key, _)| key.clone()).unwrap_or_default()
}

fn rescan_guest(world: &mut World, node: &str, vmid: u32, dry: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(guest) = world.guest(vmid).cloned() else { return lines };
    let mut named = Vec::new();
    for (key, drive) in drive::drives(&guest) {
        named.push(crate::world::volumes::own_name(drive.file()).to_owned());
        let Some(volume) = world.volume(node, drive.file()) else { continue };
        let new = size::print(volume.size);
        if drive.is_cdrom() || drive.values.get("size") == Some(new.as_str()) {
            continue;
        }
        let old = drive.values.get("size").map(str::to_owned).unwrap_or_else(|| "0T".to_owned());
        lines.push(format!(
            "VM {vmid} ({key}): size of disk '{}' updated from {old} to {new}",
            drive.file()
        ));
        let mut drive = drive;
        drive.set("size", new);
        if let Some(guest) = world.guests.get_mut(&vmid).filter(|_| !dry) {
            guest.config.insert(key, drive.print());
        }
    }
    let storages: Vec<String> = world.storages.keys().cloned().collect();
    for storage in storages {
        let all = world.volumes_on(&storage, node);
        let own = all.filter(|(_, volume)| volume.vmid == Some(vmid) && volume.content == "images");
        let missing: Vec<String> = own
            .filter(|(name, _)| {
                let known = named.iter().any(|known| known.ends_with(name))
                    || guest
                        .config
                        .values()
                        .any(|value| value.contains(&format!("{storage}:{name}")));
                !known && !name.contains("-cloudinit") && !name.contains("-state-")
            })
            .map(|(name, _)| format!("{storage}:{name}"))
            .collect();
        for volid in missing {
            lines
                .push(format!("VM {vmid} add unreferenced volume '{volid}' as 'unused' to config"));
            if let Some(guest) = world.guests.get_mut(&vmid).filter(|_| !dry) {
                pending::add_unused(guest, &volid);
            }
        }
    }
    lines
}
