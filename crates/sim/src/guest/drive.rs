//! Drives: `scsi0: local:100/vm-100-disk-0.raw,size=4G` taken apart, allocated and freed.

use std::collections::BTreeMap;

use crate::guest::keys;
use crate::guest::property::{self, Values};
use crate::guest::size;
use crate::world::World;
use crate::world::guest::Guest;
use crate::world::volumes::{own_name, split_volid};

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
pub(super) fn is_cloudinit_volume(volid: &str) -> bool {
    let Some((_, name)) = split_volid(volid) else { return false };
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = last.split('.').next().unwrap_or(last);
    stem.strip_prefix("vm-")
        .and_then(|rest| rest.strip_suffix("-cloudinit"))
        .is_some_and(|id| id.parse::<u32>().is_ok())
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
