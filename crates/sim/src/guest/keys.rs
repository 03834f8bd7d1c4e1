//! The keys of a guest's configuration: type, privilege, and what a change does to a running
//! guest (`$confdesc`, `check_vm_modify_config_perm` and `vmconfig_hotplug_pending`).

use super::format::{Format, Kind};
use super::formats;

/// Who may change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A privilege on the guest.
    Privilege(&'static str),
    /// `VM.Config.Cloudinit` or `VM.Config.Network`.
    Cloudinit,
    /// A drive: depends on what is on it.
    Drive,
    /// A serial port, USB or PCI device: raw ones are root's.
    Device,
    /// `VM.Config.Options`, and `Sys.Modify` on `/`.
    Startup,
    /// root@pam itself.
    Root,
}

/// What a change does to a running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Applies at once.
    Now,
    /// Applies at once and is recorded as not yet on the cloud-init drive.
    Cloudinit,
    /// Applies at once when `hotplug` has this feature.
    Hotplug(&'static str),
    /// Waits for a cold boot.
    Boot,
}

/// A key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    pub(crate) guard: Guard,
    pub(crate) effect: Effect,
}

const OPTIONS: Guard = Guard::Privilege("VM.Config.Options");
const HARDWARE: Guard = Guard::Privilege("VM.Config.HWType");
const CPU: Guard = Guard::Privilege("VM.Config.CPU");
const MEMORY: Guard = Guard::Privilege("VM.Config.Memory");
const NETWORK: Guard = Guard::Privilege("VM.Config.Network");
const DISK: Guard = Guard::Privilege("VM.Config.Disk");

const LOCKS: &[&str] = &[
    "backup",
    "clone",
    "create",
    "migrate",
    "rollback",
    "snapshot",
    "snapshot-delete",
    "suspending",
    "suspended",
];
const SCSIHW: &[&str] =
    &["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"];
const OSTYPES: &[&str] = &[
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24",
    "l26", "solaris",
];
const KEYBOARDS: &[&str] = &[
    "de", "de-ch", "da", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is",
    "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sv", "sl", "tr",
];

const FIXED: &[(&str, Kind, Guard, Effect)] = &[
    ("acpi", Kind::Bool, HARDWARE, Effect::Boot),
    ("affinity", Kind::TEXT, Guard::Root, Effect::Now),
    ("agent", Kind::Properties(formats::AGENT), OPTIONS, Effect::Boot),
    ("allow-ksm", Kind::Bool, MEMORY, Effect::Boot),
    ("amd-sev", Kind::TEXT, Guard::Root, Effect::Boot),
    ("arch", Kind::Enum(&["x86_64", "aarch64"]), Guard::Root, Effect::Boot),
    ("args", Kind::TEXT, Guard::Root, Effect::Boot),
    ("audio0", Kind::Properties(formats::AUDIO), HARDWARE, Effect::Boot),
    ("autostart", Kind::Bool, OPTIONS, Effect::Boot),
    ("balloon", Kind::NATURAL, MEMORY, Effect::Now),
    ("bios", Kind::Enum(&["seabios", "ovmf"]), OPTIONS, Effect::Boot),
    ("boot", Kind::Properties(formats::BOOT), DISK, Effect::Boot),
    ("bootdisk", Kind::TEXT, DISK, Effect::Boot),
    ("cicustom", Kind::Properties(formats::CICUSTOM), Guard::Cloudinit, Effect::Cloudinit),
    ("cipassword", Kind::TEXT, Guard::Cloudinit, Effect::Cloudinit),
    (
        "citype",
        Kind::Enum(&["configdrive2", "nocloud", "opennebula"]),
        Guard::Cloudinit,
        Effect::Cloudinit,
    ),
    ("ciupgrade", Kind::Bool, Guard::Cloudinit, Effect::Cloudinit),
    ("ciuser", Kind::TEXT, Guard::Cloudinit, Effect::Cloudinit),
    ("cores", Kind::POSITIVE, CPU, Effect::Boot),
    ("cpu", Kind::Properties(formats::CPU), CPU, Effect::Boot),
    ("cpulimit", Kind::Num { min: Some(0.0), max: Some(128.0) }, CPU, Effect::Now),
    ("cpuunits", Kind::between(1, 262_144), CPU, Effect::Now),
    ("description", Kind::Text { max: 8192 }, OPTIONS, Effect::Now),
    ("freeze", Kind::Bool, HARDWARE, Effect::Boot),
    ("hookscript", Kind::Format(Format::VolumeId), Guard::Root, Effect::Now),
    ("hotplug", Kind::Format(Format::Hotplug), HARDWARE, Effect::Now),
    ("hugepages", Kind::Enum(&["any", "2", "1024"]), MEMORY, Effect::Boot),
    ("intel-tdx", Kind::TEXT, Guard::Root, Effect::Boot),
    ("ivshmem", Kind::TEXT, Guard::Root, Effect::Boot),
    ("keephugepages", Kind::Bool, MEMORY, Effect::Boot),
    ("keyboard", Kind::Enum(KEYBOARDS), OPTIONS, Effect::Boot),
    ("kvm", Kind::Bool, HARDWARE, Effect::Boot),
    ("localtime", Kind::Bool, OPTIONS, Effect::Boot),
    ("lock", Kind::Enum(LOCKS), Guard::Root, Effect::Now),
    ("machine", Kind::Properties(formats::MACHINE), HARDWARE, Effect::Boot),
    ("memory", Kind::Properties(formats::MEMORY), MEMORY, Effect::Hotplug("memory")),
    ("meta", Kind::TEXT, Guard::Root, Effect::Boot),
    ("migrate_downtime", Kind::Num { min: Some(0.0), max: None }, OPTIONS, Effect::Boot),
    ("migrate_speed", Kind::NATURAL, OPTIONS, Effect::Boot),
    ("name", Kind::Format(Format::DnsName), OPTIONS, Effect::Now),
    ("nameserver", Kind::Format(Format::AddressList), Guard::Cloudinit, Effect::Cloudinit),
    ("numa", Kind::Bool, CPU, Effect::Boot),
    ("onboot", Kind::Bool, OPTIONS, Effect::Now),
    ("ostype", Kind::Enum(OSTYPES), OPTIONS, Effect::Boot),
    ("parent", Kind::TEXT, Guard::Root, Effect::Now),
    ("protection", Kind::Bool, OPTIONS, Effect::Now),
    ("reboot", Kind::Bool, OPTIONS, Effect::Boot),
    ("rng0", Kind::Properties(formats::RNG), HARDWARE, Effect::Boot),
    ("scsihw", Kind::Enum(SCSIHW), HARDWARE, Effect::Boot),
    ("searchdomain", Kind::TEXT, Guard::Cloudinit, Effect::Cloudinit),
    ("shares", Kind::between(0, 50_000), MEMORY, Effect::Now),
    ("smbios1", Kind::Properties(formats::SMBIOS), HARDWARE, Effect::Boot),
    ("smp", Kind::POSITIVE, CPU, Effect::Boot),
    ("sockets", Kind::POSITIVE, CPU, Effect::Boot),
    ("spice_enhancements", Kind::TEXT, OPTIONS, Effect::Boot),
    ("sshkeys", Kind::Format(Format::Urlencoded), Guard::Cloudinit, Effect::Cloudinit),
    ("startdate", Kind::TEXT, OPTIONS, Effect::Boot),
    ("startup", Kind::Format(Format::Startup), Guard::Startup, Effect::Now),
    ("tablet", Kind::Bool, HARDWARE, Effect::Boot),
    ("tags", Kind::Format(Format::TagList), OPTIONS, Effect::Now),
    ("tdf", Kind::Bool, HARDWARE, Effect::Boot),
    ("template", Kind::Bool, OPTIONS, Effect::Boot),
    ("vcpus", Kind::POSITIVE, CPU, Effect::Hotplug("cpu")),
    ("vga", Kind::Properties(formats::VGA), HARDWARE, Effect::Boot),
    ("vmgenid", Kind::TEXT, Guard::Root, Effect::Boot),
    ("vmstate", Kind::Format(Format::VolumeId), Guard::Root, Effect::Now),
    ("vmstatestorage", Kind::Format(Format::StorageId), DISK, Effect::Now),
    ("watchdog", Kind::Properties(formats::WATCHDOG), HARDWARE, Effect::Boot),
];

/// Numbered keys: stem, how many, type.
const NUMBERED: &[(&str, u32, Kind, Guard, Effect)] = &[
    ("net", 32, Kind::Properties(formats::NET), NETWORK, Effect::Hotplug("network")),
    ("ipconfig", 32, Kind::Properties(formats::IPCONFIG), Guard::Cloudinit, Effect::Cloudinit),
    ("ide", 4, Kind::Properties(formats::DRIVE), Guard::Drive, Effect::Boot),
    ("sata", 6, Kind::Properties(formats::DRIVE), Guard::Drive, Effect::Boot),
    ("scsi", 31, Kind::Properties(formats::DRIVE), Guard::Drive, Effect::Hotplug("disk")),
    ("virtio", 16, Kind::Properties(formats::DRIVE), Guard::Drive, Effect::Hotplug("disk")),
    ("efidisk", 1, Kind::Properties(formats::DRIVE), Guard::Drive, Effect::Boot),
    ("tpmstate", 1, Kind::Properties(formats::DRIVE), Guard::Drive, Effect::Boot),
    ("unused", 256, Kind::Format(Format::VolumeId), DISK, Effect::Now),
    ("serial", 4, Kind::Format(Format::Serial), Guard::Device, Effect::Boot),
    ("parallel", 3, Kind::TEXT, Guard::Root, Effect::Boot),
    ("usb", 14, Kind::Properties(formats::USB), Guard::Device, Effect::Boot),
    ("hostpci", 16, Kind::TEXT, Guard::Device, Effect::Boot),
    ("numa", 8, Kind::TEXT, CPU, Effect::Boot),
    ("virtiofs", 10, Kind::TEXT, Guard::Device, Effect::Boot),
];

/// A key by name.
pub(crate) fn find(name: &str) -> Option<Key> {
    if let Ok(at) = FIXED.binary_search_by(|(key, ..)| (*key).cmp(name)) {
        return FIXED.get(at).map(|&(_, kind, guard, effect)| Key { kind, guard, effect });
    }
    let (stem, number) = split_number(name)?;
    let found = NUMBERED.iter().find(|(known, count, ..)| *known == stem && number < *count);
    found.map(|&(_, _, kind, guard, effect)| Key { kind, guard, effect })
}

/// `scsi12` is `scsi` and 12; leading zeros are refused.
pub(crate) fn split_number(name: &str) -> Option<(&str, u32)> {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    let digits = name.get(stem.len()..)?;
    let number = digits.parse().ok()?;
    (digits.len() == 1 || !digits.starts_with('0')).then_some((stem, number))
}

/// Whether the key is a drive (`unused` is not).
pub(crate) fn is_drive(name: &str) -> bool {
    find(name).is_some_and(|key| key.guard == Guard::Drive)
}

/// Whether the key is one of a stem, `net3` of `net`.
pub(crate) fn is_numbered(name: &str, stem: &str) -> bool {
    split_number(name).is_some_and(|(found, _)| found == stem)
}

/// A value as the API answers it: numbers for numeric keys.
pub(crate) fn typed(name: &str, value: &str) -> serde_json::Value {
    let text = || serde_json::Value::String(value.to_owned());
    match find(name).map(|key| key.kind) {
        Some(Kind::Bool | Kind::Int { .. }) => {
            value.parse::<i64>().map_or_else(|_| text(), Into::into)
        }
        Some(Kind::Num { .. }) => match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(whole), _) => whole.into(),
            (_, Ok(number)) => number.into(),
            _ => text(),
        },
        _ if name == "snaptime" => value.parse::<i64>().map_or_else(|_| text(), Into::into),
        _ => text(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(FIXED.is_sorted_by_key(|(name, ..)| *name));
    }

    #[test]
    fn numbered_keys_have_bounds() {
        for (name, known) in [
            ("net0", true),
            ("net31", true),
            ("net32", false),
            ("net01", false),
            ("ide4", false),
            ("colour", false),
            ("numa", true),
            ("numa0", true),
            ("scsi", false),
        ] {
            assert_eq!(find(name).is_some(), known, "{name}");
        }
        assert!(is_drive("efidisk0") && !is_drive("unused0") && !is_drive("net0"));
    }

    #[test]
    fn numbers_are_numbers() {
        assert_eq!(typed("cores", "2"), serde_json::json!(2));
        assert_eq!(typed("memory", "2048"), serde_json::json!("2048"));
        assert_eq!(typed("cpulimit", "1.5"), serde_json::json!(1.5));
        assert_eq!(typed("agent", "1"), serde_json::json!("1"));
    }
}
