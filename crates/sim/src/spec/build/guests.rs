//! Guests, and the disks that their configuration names.

use std::collections::BTreeMap;

use super::Builder;
use crate::guest::allocate;
use crate::guest::drive::{self, Drive, Wish};
use crate::guest::format::{Kind, check, parse_bool};
use crate::guest::{keys, network, size};
use crate::spec::format::{GuestSpec, WorldFile};
use crate::spec::problem::{At, nearest};
use crate::spec::value::Text;
use crate::storage::alloc::{rounded, used_when_new};
use crate::storage::volname;
use crate::world::guest::{Guest, Running};
use crate::world::storage::Volume;
use crate::world::volumes::split_volid;

/// When the disks were made, Unix seconds; the world has no clock yet.
const MADE: i64 = 1_790_000_000;

type Config = BTreeMap<String, String>;

impl Builder<'_> {
    pub(super) fn guests(&mut self, file: &WorldFile) {
        let top = At::top("guests");
        let given: Vec<u32> = file.guests.iter().filter_map(|guest| guest.vmid).collect();
        let mut next = 100;
        for (index, spec) in file.guests.iter().enumerate() {
            let vmid = spec.vmid.unwrap_or_else(|| {
                while given.contains(&next) || self.world.guests.contains_key(&next) {
                    next += 1;
                }
                next
            });
            self.guest(&top.item(index), vmid, spec);
        }
    }

    fn guest(&mut self, at: &At<'_>, vmid: u32, spec: &GuestSpec) {
        if !(100..=999_999_999).contains(&vmid) {
            let help = Some("ids go from 100 to 999999999".to_owned());
            return self.wrong(&at.key("vmid"), format!("{vmid} is no guest id"), help);
        }
        if let Some(other) = self.world.guests.get(&vmid) {
            let message = format!("guest {vmid} is there already: '{}'", other.name());
            return self.wrong(&at.key("vmid"), message, Some("ids are unique".to_owned()));
        }
        let first = self.world.nodes.keys().next().cloned().unwrap_or_default();
        let node = spec.node.clone().unwrap_or(first);
        if !self.knows_node(&at.key("node"), &node) {
            return;
        }
        let (before, mut config) = (self.problems.len(), self.config(at, &spec.config));
        if let Some(name) = &spec.name {
            let name = Text(name.clone());
            self.setting(at, "name", &name, &mut config);
        }
        if self.problems.len() > before {
            return;
        }
        complete(&mut config, vmid);
        self.drives(at, &node, vmid, spec, &mut config);
        if spec.template {
            config.insert("template".to_owned(), "1".to_owned());
        }
        self.place(at, vmid, node, config, spec);
    }

    fn place(&mut self, at: &At<'_>, vmid: u32, node: String, config: Config, spec: &GuestSpec) {
        let mut guest = Guest { vmid, node, config, ..Guest::default() };
        if spec.running && guest.template() {
            let help = Some("take out 'running' or 'template'".to_owned());
            return self.wrong(at, format!("guest {vmid} is a template and cannot run"), help);
        }
        if spec.running {
            let node_runs = self.world.nodes.get(&guest.node).is_some_and(|node| node.online);
            if !node_runs {
                let message = format!("guest {vmid} runs on node '{}', which is off", guest.node);
                return self.wrong(at, message, None);
            }
            guest.running = Some(self.running(drive::boots(&self.world, &guest)));
        }
        self.world.add_guest(guest);
        if let Some(pool) = &spec.pool {
            self.world.pools.entry(pool.clone()).or_default().guests.insert(vmid);
        }
    }

    /// A process that has run for a while: sim time 0 becomes an hour before the start of the
    /// simulator ([`crate::world::World::wake`]).
    pub(super) fn running(&mut self, boots: bool) -> Running {
        self.world.next_pid += 1;
        let booted_ms = boots.then_some(0);
        Running { since_ms: 0, booted_ms, pid: self.world.next_pid, paused: false }
    }

    /// Checked keys of a configuration.
    pub(super) fn config(&mut self, at: &At<'_>, given: &BTreeMap<String, Text>) -> Config {
        let (at, mut config) = (at.key("config"), Config::new());
        for (key, value) in given {
            self.setting(&at, key, value, &mut config);
        }
        config
    }

    fn setting(&mut self, at: &At<'_>, key: &str, value: &Text, config: &mut Config) {
        let at = at.key(key);
        let Some(known) = keys::settable(key) else {
            let names: Vec<String> = keys::names().collect();
            let near = nearest(key, names.iter().map(String::as_str));
            let help = match near {
                Some(near) => format!("did you mean '{near}'?"),
                None => "the keys are those of `qm config`".to_owned(),
            };
            let message = format!("a guest's configuration has no key '{key}'");
            return self.wrong(&at, message, Some(help));
        };
        let text = match (known.kind, parse_bool(&value.0)) {
            (Kind::Bool, Some(flag)) => u8::from(flag).to_string(),
            _ => value.0.trim_end_matches('\n').to_owned(),
        };
        if let Err(error) = check(known.kind, key, &text) {
            let message = format!("{key}: {}", error.trim().replace('\n', "; "));
            return self.wrong(&at, message, None);
        }
        config.insert(key.to_owned(), text);
    }

    /// Makes the volumes of all drives, in Proxmox's order.
    fn drives(
        &mut self,
        at: &At<'_>,
        node: &str,
        vmid: u32,
        spec: &GuestSpec,
        config: &mut Config,
    ) {
        let at = at.key("config");
        let mut names: Vec<String> =
            config.keys().filter(|key| keys::is_drive(key)).cloned().collect();
        names.sort_by_key(|key| drive::drive_order(key));
        for key in names {
            let value = config.get(&key).cloned().unwrap_or_default();
            match self.drive(node, vmid, &key, &value, config) {
                Ok(value) => {
                    let value = self.base(node, &key, value, spec.template);
                    config.insert(key, value);
                }
                Err((text, help)) => self.wrong(&at.key(&key), format!("{key}: {text}"), help),
            }
        }
        let boot = drive::default_boot(config);
        if !boot.is_empty() && config.keys().any(|key| keys::is_drive(key)) {
            config.entry("boot".to_owned()).or_insert(boot);
        }
        if spec.bootable.unwrap_or(true) {
            self.install(node, config);
        }
    }

    fn drive(
        &mut self,
        node: &str,
        vmid: u32,
        key: &str,
        value: &str,
        config: &Config,
    ) -> Result<String, (String, Option<String>)> {
        let plain = |text: String| (text.trim().to_owned(), None);
        let drive = Drive::read(key, value)
            .ok_or_else(|| plain("these options exclude each other".to_owned()))?;
        let storage = split_volid(drive.file()).map(|(id, _)| id.to_owned());
        if let Some(id) = storage.filter(|id| !self.world.storages.contains_key(id)) {
            let help = super::suggest(&id, self.world.storages.keys().map(String::as_str));
            return Err((format!("there is no storage '{id}'"), help));
        }
        if drive.wish() == Wish::Existing && !self.has(node, &drive) {
            self.named_disk(node, vmid, &drive)?;
        }
        let others: Config = config
            .iter()
            .filter(|(name, _)| *name != key)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        let made =
            allocate::allocate(&mut self.world, node, vmid, key, value, &others, MADE * 1000);
        made.map(|made| made.value).map_err(plain)
    }

    fn has(&self, node: &str, drive: &Drive) -> bool {
        split_volid(drive.file()).is_none() || self.world.volume(node, drive.file()).is_some()
    }

    /// A disk that is named with its size and not there yet.
    fn named_disk(
        &mut self,
        node: &str,
        vmid: u32,
        drive: &Drive,
    ) -> Result<(), (String, Option<String>)> {
        let volid = drive.file();
        let Some((id, name)) = split_volid(volid) else { return Ok(()) };
        let plain = |text: String| (text.trim().to_owned(), None);
        let storage = crate::storage::activate::enabled(&self.world, id, node).map_err(plain)?;
        let parsed = volname::parse(storage.kind, name).map_err(plain)?;
        if parsed.content != "images" {
            let help = format!("list it under 'volumes': - {volid}");
            return Err((format!("there is no volume '{volid}' on {node}"), Some(help)));
        }
        if !storage.holds("images") {
            return Err(plain(format!("storage '{id}' does not hold images")));
        }
        if parsed.vmid != Some(vmid) {
            let help = "a disk's name has the id of its guest; list others under 'volumes'";
            return Err((format!("'{volid}' is no disk of guest {vmid}"), Some(help.to_owned())));
        }
        let wanted = match (drive.size(), drive.is_cloudinit()) {
            (Some(size), _) => size,
            (None, true) => allocate::CLOUDINIT_SIZE,
            (None, false) => {
                let help = format!("write {volid},size=32G");
                return Err((format!("the size of '{volid}' is not known"), Some(help)));
            }
        };
        let size = if parsed.vmid.is_some() { rounded(storage, wanted) } else { wanted };
        let used = used_when_new(storage, &parsed.format, size);
        if used > crate::storage::alloc::free_bytes(&self.world, storage, node) {
            let text = format!("there is no room for {} on storage '{id}'", size::print(size));
            return Err((text, Some("raise its 'capacity'".to_owned())));
        }
        let volume = Volume {
            content: "images".to_owned(),
            format: parsed.format,
            size,
            used,
            vmid: parsed.vmid,
            parent: parsed.base.map(|(base, _)| base),
            ctime: MADE,
            ..Volume::default()
        };
        self.world.add_volume(node, volid, volume);
        Ok(())
    }

    /// Disks of templates are base volumes.
    fn base(&mut self, node: &str, key: &str, value: String, template: bool) -> String {
        let mut drive = Drive::parse(&value);
        let volid = drive.file().to_owned();
        let (stem, name) = volid.rsplit_once(['/', ':']).unwrap_or(("", ""));
        if !template || drive.is_cdrom() || key.starts_with("unused") || !name.starts_with("vm-") {
            return value;
        }
        let separator = volid.get(stem.len()..=stem.len()).unwrap_or(":");
        let based = format!("{stem}{separator}base-{}", name.trim_start_matches("vm-"));
        if let Some(volume) = self.world.remove_volume(node, &volid) {
            self.world.add_volume(node, &based, volume);
        }
        drive.set("file", &based);
        drive.print()
    }

    /// A system on the first disk that the guest boots from.
    fn install(&mut self, node: &str, config: &Config) {
        let order = drive::boot_order(config.get("boot").map_or("", String::as_str));
        let disk = order.iter().filter_map(|key| config.get(key)).map(|value| Drive::parse(value));
        let Some(disk) = disk.into_iter().find(|drive| !drive.is_cdrom()) else { return };
        if let Some(volume) = self.world.volume_mut(node, disk.file()) {
            volume.bootable = true;
        }
    }
}

/// What the real server would have made: addresses and ids, here of the guest's id, so that a file
/// always gives the same world.
pub(super) fn complete(config: &mut Config, vmid: u32) {
    let own = |config: &mut Config, key: &str, value: String| {
        config.entry(key.to_owned()).or_insert(value);
    };
    own(config, "smbios1", format!("uuid=00000000-0000-4000-8000-{vmid:012}"));
    own(config, "vmgenid", format!("00000000-0000-4000-9000-{vmid:012}"));
    own(config, "meta", format!("creation-qemu=10.2.2,ctime={MADE}"));
    for (key, value) in config.iter_mut().filter(|(key, _)| keys::is_numbered(key, "net")) {
        let card = keys::split_number(key).map_or(0, |(_, number)| number);
        let [_, a, b, c] = vmid.wrapping_mul(32).wrapping_add(card).to_be_bytes();
        let address = format!("BC:24:11:{a:02X}:{b:02X}:{c:02X}");
        *value = network::normalise(value, &address, false);
    }
}
