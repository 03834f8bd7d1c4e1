//! The keys of a guest's configuration: type, privilege, and what a change does to a running
//! guest (`$confdesc`, `check_vm_modify_config_perm` and `vmconfig_hotplug_pending`).

use super::format::{Format, Kind};
use super::{cpu, drive_formats, formats, patterns};

/// Who may change a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A privilege on the guest.
    Privilege(&'static str),
    /// `VM.Config.Cloudinit` or `VM.Config.Network`.
    Cloudinit,
    /// A drive: depends on what is on it.
    Drive,
    /// A serial port, a USB, PCI or directory device, tags: depends on the value.
    Value,
    /// `VM.Config.Options`, and `Sys.Modify` on `/`.
    Startup,
    /// `VM.Config.Disk` and `VM.PowerMgmt`.
    State,
    /// root@pam itself.
    Root,
}

/// What a change does to a running guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Applies at once (`$fast_plug_option`).
    Now,
    /// Applies at once and is recorded as not yet on the cloud-init drive.
    Cloudinit,
    /// Depends on the value and on `hotplug`: see [`super::hotplug`].
    Plug,
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
const POWER: Guard = Guard::Privilege("VM.PowerMgmt");

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
    ("affinity", Kind::Format(Format::CpuSet), Guard::Root, Effect::Boot),
    ("agent", Kind::Properties(formats::AGENT), OPTIONS, Effect::Plug),
    ("allow-ksm", Kind::Bool, MEMORY, Effect::Boot),
    ("amd-sev", Kind::Properties(formats::SEV), Guard::Root, Effect::Boot),
    ("arch", Kind::Enum(&["x86_64", "aarch64"]), Guard::Root, Effect::Boot),
    ("args", Kind::TEXT, Guard::Root, Effect::Boot),
    ("audio0", Kind::Properties(formats::AUDIO), HARDWARE, Effect::Boot),
    ("autostart", Kind::Bool, OPTIONS, Effect::Boot),
    ("balloon", Kind::NATURAL, MEMORY, Effect::Plug),
    ("bios", Kind::Enum(&["seabios", "ovmf"]), OPTIONS, Effect::Boot),
    ("boot", Kind::Properties(formats::BOOT), DISK, Effect::Boot),
    ("bootdisk", Kind::Check(boot_disk), DISK, Effect::Boot),
    ("cdrom", Kind::Properties(drive_formats::IDE), Guard::Drive, Effect::Boot),
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
    (
        "cpu",
        Kind::Checked { properties: formats::CPU, max: 0, check: cpu::check },
        CPU,
        Effect::Boot,
    ),
    ("cpulimit", Kind::Num { min: Some(0.0), max: Some(128.0) }, CPU, Effect::Plug),
    ("cpuunits", Kind::between(1, 262_144), CPU, Effect::Plug),
    ("description", Kind::Text { max: 8192 }, OPTIONS, Effect::Now),
    ("freeze", Kind::Bool, POWER, Effect::Boot),
    ("hookscript", Kind::Format(Format::VolumeId), Guard::Root, Effect::Now),
    ("hotplug", Kind::Format(Format::Hotplug), HARDWARE, Effect::Plug),
    ("hugepages", Kind::Enum(&["any", "2", "1024"]), Guard::Root, Effect::Boot),
    ("intel-tdx", Kind::Properties(formats::TDX), Guard::Root, Effect::Boot),
    ("ivshmem", Kind::Properties(formats::IVSHMEM), Guard::Root, Effect::Boot),
    ("keephugepages", Kind::Bool, Guard::Root, Effect::Boot),
    ("keyboard", Kind::Enum(KEYBOARDS), OPTIONS, Effect::Boot),
    ("kvm", Kind::Bool, HARDWARE, Effect::Boot),
    ("localtime", Kind::Bool, OPTIONS, Effect::Boot),
    ("lock", Kind::Enum(LOCKS), Guard::Root, Effect::Now),
    ("machine", Kind::Properties(formats::MACHINE), HARDWARE, Effect::Boot),
    ("memory", Kind::Properties(formats::MEMORY), MEMORY, Effect::Plug),
    ("meta", Kind::Properties(formats::META), Guard::Root, Effect::Boot),
    ("migrate_downtime", Kind::Num { min: Some(0.0), max: None }, OPTIONS, Effect::Now),
    ("migrate_speed", Kind::NATURAL, OPTIONS, Effect::Now),
    ("name", Kind::Format(Format::DnsName), OPTIONS, Effect::Now),
    ("nameserver", Kind::Format(Format::AddressList), Guard::Cloudinit, Effect::Cloudinit),
    ("numa", Kind::Bool, CPU, Effect::Boot),
    ("onboot", Kind::Bool, OPTIONS, Effect::Now),
    ("ostype", Kind::Enum(OSTYPES), OPTIONS, Effect::Boot),
    ("parent", Kind::TEXT, Guard::Root, Effect::Boot),
    ("protection", Kind::Bool, OPTIONS, Effect::Now),
    ("reboot", Kind::Bool, OPTIONS, Effect::Boot),
    ("rng0", Kind::Properties(formats::RNG), HARDWARE, Effect::Boot),
    ("running-nets-host-mtu", Kind::pattern(patterns::host_mtus), NETWORK, Effect::Boot),
    ("runningcpu", Kind::TEXT, CPU, Effect::Boot),
    ("runningmachine", Kind::Properties(formats::MACHINE), HARDWARE, Effect::Boot),
    ("scsihw", Kind::Enum(SCSIHW), HARDWARE, Effect::Boot),
    ("searchdomain", Kind::TEXT, Guard::Cloudinit, Effect::Cloudinit),
    ("shares", Kind::between(0, 50_000), MEMORY, Effect::Now),
    (
        "smbios1",
        Kind::Checked { properties: formats::SMBIOS, max: 512, check: |_| Ok(()) },
        HARDWARE,
        Effect::Boot,
    ),
    ("smp", Kind::POSITIVE, CPU, Effect::Boot),
    ("snaptime", Kind::NATURAL, Guard::Root, Effect::Boot),
    ("sockets", Kind::POSITIVE, CPU, Effect::Boot),
    ("spice_enhancements", Kind::Properties(formats::SPICE), Guard::Root, Effect::Boot),
    ("sshkeys", Kind::Format(Format::Urlencoded), Guard::Cloudinit, Effect::Cloudinit),
    ("startdate", Kind::pattern(patterns::start_date), OPTIONS, Effect::Boot),
    ("startup", Kind::Format(Format::Startup), Guard::Startup, Effect::Now),
    ("tablet", Kind::Bool, HARDWARE, Effect::Plug),
    ("tags", Kind::Format(Format::TagList), Guard::Value, Effect::Now),
    ("tdf", Kind::Bool, OPTIONS, Effect::Boot),
    ("template", Kind::Bool, OPTIONS, Effect::Boot),
    ("vcpus", Kind::POSITIVE, CPU, Effect::Plug),
    ("vga", Kind::Properties(formats::VGA), HARDWARE, Effect::Boot),
    ("vmgenid", Kind::pattern(patterns::generation), Guard::Root, Effect::Boot),
    ("vmstate", Kind::Format(Format::VolumeId), Guard::State, Effect::Boot),
    ("vmstatestorage", Kind::Format(Format::StorageId), DISK, Effect::Now),
    ("watchdog", Kind::Properties(formats::WATCHDOG), HARDWARE, Effect::Boot),
];

/// Keys that a configuration can have but no request can set (`json_config_properties`).
const INTERNAL: &[&str] = &[
    "meta",
    "parent",
    "running-nets-host-mtu",
    "runningcpu",
    "runningmachine",
    "snaptime",
    "vmstate",
];

/// Numbered keys: stem, how many, type.
const NUMBERED: &[(&str, u32, Kind, Guard, Effect)] = &[
    ("net", 32, Kind::Properties(formats::NET), NETWORK, Effect::Plug),
    ("ipconfig", 32, Kind::Properties(formats::IPCONFIG), Guard::Cloudinit, Effect::Cloudinit),
    ("ide", 4, Kind::Properties(drive_formats::IDE), Guard::Drive, Effect::Plug),
    ("sata", 6, Kind::Properties(drive_formats::SATA), Guard::Drive, Effect::Plug),
    ("scsi", 31, Kind::Properties(drive_formats::SCSI), Guard::Drive, Effect::Plug),
    ("virtio", 16, Kind::Properties(drive_formats::VIRTIO), Guard::Drive, Effect::Plug),
    ("efidisk", 1, Kind::Properties(drive_formats::EFI), Guard::Drive, Effect::Boot),
    ("tpmstate", 1, Kind::Properties(drive_formats::TPM), Guard::Drive, Effect::Boot),
    ("unused", 256, Kind::Properties(drive_formats::UNUSED), Guard::Value, Effect::Boot),
    ("serial", 4, Kind::pattern(patterns::serial), Guard::Value, Effect::Boot),
    ("parallel", 3, Kind::pattern(patterns::parallel), Guard::Root, Effect::Boot),
    ("usb", 14, Kind::Properties(formats::USB), Guard::Value, Effect::Plug),
    ("hostpci", 16, Kind::Properties(formats::HOSTPCI), Guard::Value, Effect::Boot),
    ("numa", 8, Kind::Properties(formats::NUMA), CPU, Effect::Boot),
    ("virtiofs", 10, Kind::Properties(formats::VIRTIOFS), Guard::Value, Effect::Boot),
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

/// A drive that is a disk: the format knows more drives than the pattern.
fn boot_disk(name: &str) -> Result<(), String> {
    super::format::check(Kind::Format(Format::BootDisk), "", name)?;
    if name.starts_with("efidisk") || name.starts_with("tpmstate") {
        return Err("value does not match the regex pattern".to_owned());
    }
    Ok(())
}

/// A key that a request can set.
pub(crate) fn settable(name: &str) -> Option<Key> {
    if INTERNAL.contains(&name) { None } else { find(name) }
}

/// The names of all keys, numbered ones written out.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let numbered = NUMBERED
        .iter()
        .flat_map(|(stem, count, ..)| (0..*count).map(move |n| format!("{stem}{n}")));
    FIXED.iter().map(|(name, ..)| (*name).to_owned()).chain(numbered)
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
    name != "cdrom" && find(name).is_some_and(|key| key.guard == Guard::Drive)
}

/// Whether the key is one of a stem, `net3` of `net`.
pub(crate) fn is_numbered(name: &str, stem: &str) -> bool {
    split_number(name).is_some_and(|(found, _)| found == stem)
}

/// A value as the API answers it: whole numbers as such, broken ones as they are written
/// (`check_type`).
pub(crate) fn typed(name: &str, value: &str) -> serde_json::Value {
    let text = || serde_json::Value::String(value.to_owned());
    match find(name).map(|key| key.kind) {
        Some(Kind::Bool | Kind::Int { .. }) => {
            value.parse::<i64>().map_or_else(|_| text(), Into::into)
        }
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
    fn a_boot_disk_is_a_disk() {
        for (name, error) in [
            ("scsi30", None),
            ("scsi31", Some("invalid format - invalid boot disk 'scsi31'\n")),
            ("efidisk0", Some("value does not match the regex pattern")),
        ] {
            assert_eq!(boot_disk(name).err().as_deref(), error, "{name}");
        }
    }

    #[test]
    fn numbers_are_numbers() {
        assert_eq!(typed("cores", "2"), serde_json::json!(2));
        assert_eq!(typed("memory", "2048"), serde_json::json!("2048"));
        assert_eq!(typed("cpulimit", "1.5"), serde_json::json!("1.5"));
        assert_eq!(typed("cpulimit", "1"), serde_json::json!("1"));
        assert_eq!(typed("agent", "1"), serde_json::json!("1"));
    }
}
