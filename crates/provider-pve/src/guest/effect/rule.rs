//! The decision table: what a change of each key does to a running guest. From qemu-server
//! `vmconfig_hotplug_pending` and `$fast_plug_option` (src/PVE/QemuServer.pm); keys that no branch
//! of it names wait for the next cold boot.

use std::fmt;

/// A word of `hotplug`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feature {
    /// `network`
    Network,
    /// `disk`
    Disk,
    /// `usb`
    Usb,
    /// `cpu`
    Cpu,
    /// `memory`
    Memory,
    /// `cloudinit`
    Cloudinit,
}

impl Feature {
    /// As it is written in `hotplug`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Usb => "usb",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Cloudinit => "cloudinit",
        }
    }
}

/// When a change of a key takes effect on a running guest. On a stopped one all of them are live,
/// but for [`Rule::Fixed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// At once, and nothing inside the guest can notice.
    Unnoticed,
    /// At once.
    Live,
    /// At once when `hotplug` names the feature, else at the next cold boot.
    Plug(Feature),
    /// `usbN`, by `hotplug: usb` and the OS type.
    Usb,
    /// `vcpus`, by `hotplug: cpu` and the cores that run.
    Vcpus,
    /// `memory`, by `hotplug: memory`, in modules.
    Memory,
    /// `balloon`, unless the device itself comes or goes.
    Balloon,
    /// `agent`, property by property.
    Agent,
    /// `hotplug` itself, unless cpu or memory is or was in it.
    Hotplug,
    /// Stored at once, written to the cloud-init drive at the next boot, or at once when `hotplug`
    /// says `cloudinit`.
    Cloudinit,
    /// A network device, property by property.
    Nic,
    /// A drive on SCSI or virtio, property by property; it can be plugged.
    Drive,
    /// A drive on IDE or SATA: its properties and its medium change, the drive itself does not.
    FixedDrive,
    /// At the next cold boot.
    Pending,
    /// Stored at once and in effect from the next cold boot, which nothing says later.
    Stored,
    /// Not in place: the volume is made anew.
    Fixed,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unnoticed | Self::Live => "live",
            Self::Plug(feature) => {
                return write!(f, "live with `hotplug: {}`, else pending", feature.word());
            }
            Self::Usb => {
                "live with `hotplug: usb` when the OS is Linux 2.6 (`l26`) or Windows 8 and newer, else pending"
            }
            Self::Vcpus => {
                "live with `hotplug: cpu`, else pending; offline beyond the cores it runs with"
            }
            Self::Memory => {
                "live with `hotplug: memory` and `numa`, else pending; refused when no number of modules gives the size"
            }
            Self::Balloon => "live; pending when it comes from 0 or goes to 0",
            Self::Agent => "pending; live when only `fstrim_cloned_disks` changes",
            Self::Hotplug => "live; pending when cpu or memory is or was named",
            Self::Cloudinit => "live with `hotplug: cloudinit`, else at the next boot",
            Self::Nic => {
                "bridge, tag, trunks, firewall, rate, link: live; the device itself: live with `hotplug: network`, else pending"
            }
            Self::Drive => {
                "limits: live; other options: pending; the drive itself: live with `hotplug: disk`, else pending"
            }
            Self::FixedDrive => {
                "limits and the medium of a CD-ROM drive: live; all else: pending, and offline for another volume with `hotplug: disk`"
            }
            Self::Pending => "pending",
            Self::Stored => "at the next cold boot; Proxmox does not say that it waits",
            Self::Fixed => "replace",
        };
        f.write_str(text)
    }
}

use Feature::Usb as UsbPlug;
use Rule::{Balloon, Cloudinit, Drive, FixedDrive, Live, Nic, Pending, Plug, Unnoticed, Usb};

/// Keys without a number, in order of their names (`$confdesc`).
const KEYS: &[(&str, Rule)] = &[
    ("acpi", Pending),
    ("affinity", Pending),
    ("agent", Rule::Agent),
    ("allow-ksm", Pending),
    ("amd-sev", Pending),
    ("arch", Pending),
    ("args", Pending),
    ("autostart", Pending),
    ("balloon", Balloon),
    ("bios", Pending),
    ("boot", Pending),
    ("bootdisk", Pending),
    ("cdrom", FixedDrive),
    ("cicustom", Cloudinit),
    ("cipassword", Cloudinit),
    ("citype", Cloudinit),
    ("ciupgrade", Cloudinit),
    ("ciuser", Cloudinit),
    ("cores", Pending),
    ("cpu", Pending),
    ("cpulimit", Live),
    ("cpuunits", Live),
    ("description", Unnoticed),
    ("freeze", Pending),
    ("hookscript", Unnoticed),
    ("hotplug", Rule::Hotplug),
    ("hugepages", Pending),
    ("intel-tdx", Pending),
    ("ivshmem", Pending),
    ("keephugepages", Pending),
    ("keyboard", Pending),
    ("kvm", Pending),
    ("localtime", Pending),
    ("lock", Unnoticed),
    ("machine", Pending),
    ("memory", Rule::Memory),
    ("meta", Pending),
    ("migrate_downtime", Unnoticed),
    ("migrate_speed", Unnoticed),
    ("name", Unnoticed),
    ("nameserver", Cloudinit),
    ("numa", Pending),
    ("onboot", Unnoticed),
    ("ostype", Pending),
    ("parent", Pending),
    ("protection", Unnoticed),
    ("reboot", Pending),
    ("running-nets-host-mtu", Pending),
    ("runningcpu", Pending),
    ("runningmachine", Pending),
    ("scsihw", Pending),
    ("searchdomain", Cloudinit),
    ("shares", Live),
    ("smbios1", Pending),
    ("smp", Pending),
    ("snaptime", Pending),
    ("sockets", Pending),
    ("spice_enhancements", Pending),
    ("sshkeys", Cloudinit),
    ("startdate", Pending),
    ("startup", Unnoticed),
    ("tablet", Plug(UsbPlug)),
    ("tags", Unnoticed),
    ("tdf", Pending),
    ("template", Pending),
    ("vcpus", Rule::Vcpus),
    ("vga", Pending),
    ("vmgenid", Pending),
    ("vmstate", Pending),
    ("vmstatestorage", Unnoticed),
    ("watchdog", Pending),
];

/// Keys with a number: the stem.
const NUMBERED: &[(&str, Rule)] = &[
    ("audio", Pending),
    ("efidisk", Pending),
    ("hostpci", Pending),
    ("ide", FixedDrive),
    ("ipconfig", Cloudinit),
    ("net", Nic),
    ("numa", Pending),
    ("parallel", Pending),
    ("rng", Pending),
    ("sata", FixedDrive),
    ("scsi", Drive),
    ("serial", Pending),
    ("tpmstate", Pending),
    ("unused", Pending),
    ("usb", Usb),
    ("virtio", Drive),
    ("virtiofs", Pending),
];

/// The rule of a key; one that the table does not know waits, as those that Proxmox's own does
/// not name.
pub fn rule(key: &str) -> Rule {
    find(key).unwrap_or(Pending)
}

/// The rule of a key that the table names.
fn find(key: &str) -> Option<Rule> {
    let named = KEYS.iter().find(|(name, _)| *name == key);
    let stem = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let numbered = NUMBERED.iter().find(|(name, _)| *name == stem && stem != key);
    named.or(numbered).map(|(_, rule)| *rule)
}

/// Every key of the table with its rule, numbered ones as `scsi[n]`.
pub fn table() -> impl Iterator<Item = (String, Rule)> {
    let named = KEYS.iter().map(|(key, rule)| ((*key).to_owned(), *rule));
    named.chain(NUMBERED.iter().map(|(stem, rule)| (format!("{stem}[n]"), *rule)))
}

/// Options of a drive that the running QEMU keeps as they are, and for which the whole value waits
/// (`vmconfig_update_disk`).
const DRIVE_PENDING: &[&str] =
    &["aio", "cache", "discard", "iothread", "product", "queues", "ro", "ssd", "vendor"];

/// Options that Proxmox itself reads: its backups, its replication, its own notes.
const DRIVE_UNNOTICED: &[&str] = &["backup", "format", "replicate", "shared", "size"];

/// The rule of one property of a drive, a network device or the agent; that of the key for others.
pub fn property(key: &str, name: &str) -> Rule {
    let limit = ["mbps", "iops", "bps"].iter().any(|prefix| name.starts_with(prefix));
    match rule(key) {
        Rule::Drive | Rule::FixedDrive => match name {
            "file" | "volume" | "media" | "import-from" => rule(key),
            _ if limit => Live,
            name if DRIVE_PENDING.contains(&name) => Pending,
            name if DRIVE_UNNOTICED.contains(&name) => Unnoticed,
            _ => Rule::Stored,
        },
        Rule::Nic => match name {
            "model" | "macaddr" | "queues" | "mtu" => Plug(Feature::Network),
            _ => Live,
        },
        Rule::Agent if name == "fstrim_cloned_disks" => Live,
        Rule::Agent => Pending,
        Rule::Pending if key == "tpmstate0" && name == "version" => Rule::Fixed,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_every_key_is_in_it_once() {
        assert!(KEYS.is_sorted_by_key(|(key, _)| *key));
        assert!(NUMBERED.is_sorted_by_key(|(key, _)| *key));
        let names: std::collections::BTreeSet<_> = table().map(|(key, _)| key).collect();
        assert_eq!(names.len(), KEYS.len() + NUMBERED.len());
    }

    /// `$confdesc` and what is added to it (qemu-server 9.2, QemuServer.pm).
    const CONFDESC: &str = "acpi affinity agent allow-ksm amd-sev arch args audio0 autostart \
        balloon bios boot bootdisk cdrom cicustom cipassword citype ciupgrade ciuser cores cpu \
        cpulimit cpuunits description efidisk0 freeze hookscript hostpci15 hotplug hugepages ide3 \
        intel-tdx ipconfig31 ivshmem keephugepages keyboard kvm localtime lock machine memory meta \
        migrate_downtime migrate_speed name nameserver net31 numa numa7 onboot ostype parallel2 \
        parent protection reboot rng0 running-nets-host-mtu runningcpu runningmachine sata5 scsi30 \
        scsihw searchdomain serial3 shares smbios1 smp snaptime sockets spice_enhancements sshkeys \
        startdate startup tablet tags tdf template tpmstate0 unused255 usb13 vcpus vga virtio15 \
        virtiofs9 vmgenid vmstate vmstatestorage watchdog";

    #[test]
    fn every_key_of_proxmox_has_a_rule() {
        let missing: Vec<&str> =
            CONFDESC.split_whitespace().filter(|key| find(key).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert_eq!(CONFDESC.split_whitespace().count(), KEYS.len() + NUMBERED.len());
        assert_eq!(rule("colour"), Pending);
    }

    #[test]
    fn rules_in_words() {
        let lines: Vec<String> = table().map(|(key, rule)| format!("{key}: {rule}")).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    /// Where the table stands in the documentation.
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/how-to/changes.md");

    /// Keys by what a change of them does, in the order of the rules above.
    fn page_table() -> String {
        let mut rows: Vec<(String, Vec<String>)> = Vec::new();
        for (key, rule) in table() {
            let (key, words) = (format!("`{key}`"), rule.to_string());
            match rows.iter_mut().find(|(known, _)| *known == words) {
                Some((_, keys)) => keys.push(key),
                None => rows.push((words, vec![key])),
            }
        }
        rows.sort_by_key(|(words, _)| (words.as_str() == "pending", words.clone()));
        let row =
            |(words, keys): (String, Vec<String>)| format!("| {words} | {} |\n", keys.join(", "));
        let head = "\n| when it changes | key |\n|---|---|\n";
        format!("{head}{}\n", rows.into_iter().map(row).collect::<String>())
    }

    /// With PVX_WRITE_DOCS set the page is written instead of compared.
    #[test]
    fn the_table_in_the_documentation_is_this_one() {
        const MARKS: [&str; 2] = ["<!-- table: begin -->\n", "<!-- table: end -->\n"];
        let page = std::fs::read_to_string(PAGE).unwrap();
        let (before, rest) = page.split_once(MARKS[0]).unwrap();
        let (_, after) = rest.split_once(MARKS[1]).unwrap();
        let wanted = format!("{before}{}{}{}{after}", MARKS[0], page_table(), MARKS[1]);
        if std::env::var_os("PVX_WRITE_DOCS").is_some() {
            std::fs::write(PAGE, &wanted).unwrap();
            return;
        }
        assert_eq!(page, wanted, "PVX_WRITE_DOCS=1 cargo test -p pvx-provider-pve --lib table");
    }

    #[test]
    fn properties_in_words() {
        let drive = "aio backup bps_max_length cache detect_zeroes discard file format iops \
            iops_max iothread mbps_rd media product queues replicate rerror ro serial size ssd \
            vendor werror wwn";
        let nic = "bridge firewall link_down macaddr model mtu queues rate tag trunks";
        let table = [
            ("scsi0", drive),
            ("net0", nic),
            ("agent", "enabled fstrim_cloned_disks type"),
            ("tpmstate0", "version"),
            ("memory", "current"),
        ];
        let lines = table.iter().flat_map(|(key, names)| {
            names
                .split_whitespace()
                .map(move |name| format!("{key}.{name}: {}", property(key, name)))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
