//! The table of config keys: what kind of value each one holds. Keys that are not in it hold plain
//! text. From `$confdesc` and the formats it names (qemu-server 9.2, QemuServer.pm and
//! QemuServer/{Agent,CPUConfig,Drive,Machine,Memory,Network,PCI,RNG,USB,Virtiofs}.pm).

/// What kind of value a config key, or a key of a property string, holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Compared letter by letter.
    Text,
    /// Text whose trailing white space Proxmox cuts off.
    Description,
    /// Text whose case means nothing: MAC addresses, uuids.
    NoCase,
    /// 0, 1 and their other spellings.
    Boolean,
    /// A decimal number.
    Number,
    /// A disk size.
    Size,
    /// An IP address, with or without a prefix length, or a word.
    Address,
    /// A list in which order counts.
    List,
    /// A list in which order does not count.
    Set,
    /// Numbers and ranges of them (`0,5,8-11`).
    Numbers,
    /// `hotplug`: a set, with `1` for the default one.
    Hotplug,
    /// Tags of a guest.
    Tags,
    /// Encoded SSH keys.
    SshKeys,
    /// A property string.
    Properties(&'static Properties),
}

/// The format of a property string.
#[derive(Debug)]
pub(super) struct Properties {
    /// The key that may be left out.
    pub(super) default_key: Option<&'static str>,
    /// Other spellings of a key.
    pub(super) aliases: &'static [(&'static str, &'static str)],
    /// Keys that hold something else than plain text.
    pub(super) kinds: &'static [(&'static str, Kind)],
    /// Values that mean the same as no value, in canonical form.
    pub(super) defaults: &'static [(&'static str, &'static str)],
    /// Model and MAC address can be one entry, `virtio=BC:24:…`.
    pub(super) nic: bool,
}

const PLAIN: Properties =
    Properties { default_key: None, aliases: &[], kinds: &[], defaults: &[], nic: false };

use Kind::{
    Address, Boolean, Description, Hotplug, List, NoCase, Number, Numbers, Set, Size, SshKeys,
    Tags, Text,
};

static DRIVE: Properties = Properties {
    default_key: Some("file"),
    aliases: &[
        ("volume", "file"),
        ("bps_rd_length", "bps_rd_max_length"),
        ("bps_wr_length", "bps_wr_max_length"),
        ("iops_rd_length", "iops_rd_max_length"),
        ("iops_wr_length", "iops_wr_max_length"),
    ],
    kinds: &[
        ("size", Size),
        ("snapshot", Boolean),
        ("backup", Boolean),
        ("replicate", Boolean),
        ("detect_zeroes", Boolean),
        ("shared", Boolean),
        ("iothread", Boolean),
        ("ro", Boolean),
        ("scsiblock", Boolean),
        ("ssd", Boolean),
        ("pre-enrolled-keys", Boolean),
        ("queues", Number),
        ("wwn", NoCase),
        ("mbps", Number),
        ("mbps_rd", Number),
        ("mbps_wr", Number),
        ("mbps_max", Number),
        ("mbps_rd_max", Number),
        ("mbps_wr_max", Number),
        ("iops", Number),
        ("iops_rd", Number),
        ("iops_wr", Number),
        ("iops_max", Number),
        ("iops_rd_max", Number),
        ("iops_wr_max", Number),
        ("bps", Number),
        ("bps_rd", Number),
        ("bps_wr", Number),
        ("bps_max_length", Number),
        ("bps_rd_max_length", Number),
        ("bps_wr_max_length", Number),
        ("iops_max_length", Number),
        ("iops_rd_max_length", Number),
        ("iops_wr_max_length", Number),
    ],
    // `backup // 1` in QemuConfig.pm, `detect_zeroes` in Drive.pm; the rest is in the schema or
    // only tested for being true.
    defaults: &[
        ("media", "disk"),
        ("snapshot", "0"),
        ("backup", "1"),
        ("replicate", "1"),
        ("detect_zeroes", "1"),
        ("discard", "ignore"),
        ("shared", "0"),
        ("iothread", "0"),
        ("ro", "0"),
        ("scsiblock", "0"),
        ("ssd", "0"),
        ("pre-enrolled-keys", "0"),
    ],
    nic: false,
};

static NET: Properties = Properties {
    default_key: Some("model"),
    aliases: &[],
    kinds: &[
        ("macaddr", NoCase),
        ("queues", Number),
        ("rate", Number),
        ("tag", Number),
        ("mtu", Number),
        ("trunks", Numbers),
        ("firewall", Boolean),
        ("link_down", Boolean),
        ("host-tunnel", Boolean),
    ],
    defaults: &[("firewall", "0"), ("link_down", "0")],
    nic: true,
};

static AGENT: Properties = Properties {
    default_key: Some("enabled"),
    aliases: &[("freeze-fs-on-backup", "freeze-fs"), ("guest-fsfreeze", "freeze-fs")],
    kinds: &[("enabled", Boolean), ("fstrim_cloned_disks", Boolean), ("freeze-fs", Boolean)],
    defaults: &[
        ("enabled", "0"),
        ("fstrim_cloned_disks", "0"),
        ("freeze-fs", "1"),
        ("type", "virtio"),
    ],
    nic: false,
};

static IP_CONFIG: Properties = Properties {
    kinds: &[("ip", Address), ("gw", Address), ("ip6", Address), ("gw6", Address)],
    ..PLAIN
};

static SMBIOS: Properties = Properties {
    kinds: &[("uuid", NoCase), ("base64", Boolean)],
    defaults: &[("base64", "0")],
    ..PLAIN
};

static BOOT: Properties =
    Properties { default_key: Some("legacy"), kinds: &[("order", List)], ..PLAIN };

static MEMORY: Properties =
    Properties { default_key: Some("current"), kinds: &[("current", Number)], ..PLAIN };

static STARTUP: Properties = Properties {
    default_key: Some("order"),
    kinds: &[("order", Number), ("up", Number), ("down", Number)],
    ..PLAIN
};

static CPU: Properties = Properties {
    default_key: Some("cputype"),
    kinds: &[("hidden", Boolean), ("flags", Set), ("guest-phys-bits", Number), ("level", Number)],
    defaults: &[("hidden", "0")],
    ..PLAIN
};

static VGA: Properties =
    Properties { default_key: Some("type"), kinds: &[("memory", Number)], ..PLAIN };

static MACHINE: Properties = Properties {
    default_key: Some("type"),
    kinds: &[("enable-s3", Boolean), ("enable-s4", Boolean), ("aw-bits", Number)],
    ..PLAIN
};

static WATCHDOG: Properties = Properties { default_key: Some("model"), ..PLAIN };

static RNG: Properties = Properties {
    default_key: Some("source"),
    kinds: &[("max_bytes", Number), ("period", Number)],
    defaults: &[("max_bytes", "1024"), ("period", "1000")],
    ..PLAIN
};

static HOSTPCI: Properties = Properties {
    default_key: Some("host"),
    kinds: &[
        ("host", NoCase),
        ("rombar", Boolean),
        ("pcie", Boolean),
        ("x-vga", Boolean),
        ("legacy-igd", Boolean),
    ],
    defaults: &[("rombar", "1"), ("pcie", "0"), ("x-vga", "0"), ("legacy-igd", "0")],
    ..PLAIN
};

static USB: Properties = Properties {
    default_key: Some("host"),
    kinds: &[("host", NoCase), ("usb3", Boolean)],
    defaults: &[("usb3", "0")],
    ..PLAIN
};

static VIRTIOFS: Properties = Properties {
    default_key: Some("dirid"),
    kinds: &[("direct-io", Boolean), ("expose-xattr", Boolean), ("expose-acl", Boolean)],
    defaults: &[("cache", "auto"), ("direct-io", "0"), ("expose-xattr", "0"), ("expose-acl", "0")],
    ..PLAIN
};

static AUDIO: Properties = Properties { defaults: &[("driver", "spice")], ..PLAIN };

static SPICE: Properties = Properties {
    kinds: &[("foldersharing", Boolean)],
    defaults: &[("foldersharing", "0"), ("videostreaming", "off")],
    ..PLAIN
};

static NUMA_NODE: Properties =
    Properties { kinds: &[("memory", Number), ("cpus", Numbers), ("hostnodes", Numbers)], ..PLAIN };

static SEV: Properties = Properties {
    default_key: Some("type"),
    kinds: &[
        ("no-debug", Boolean),
        ("no-key-sharing", Boolean),
        ("allow-smt", Boolean),
        ("kernel-hashes", Boolean),
    ],
    defaults: &[
        ("no-debug", "0"),
        ("no-key-sharing", "0"),
        ("allow-smt", "1"),
        ("kernel-hashes", "0"),
    ],
    ..PLAIN
};

static TDX: Properties = Properties { default_key: Some("type"), ..PLAIN };

static IVSHMEM: Properties = Properties { kinds: &[("size", Number)], ..PLAIN };

static CUSTOM: Properties = Properties { ..PLAIN };

/// The kind of a config key's value.
pub(super) fn kind_of(key: &str) -> Kind {
    match key {
        "acpi" | "allow-ksm" | "autostart" | "ciupgrade" | "freeze" | "keephugepages" | "kvm"
        | "localtime" | "numa" | "onboot" | "protection" | "reboot" | "tablet" | "tdf"
        | "template" => Boolean,
        "balloon" | "cores" | "cpulimit" | "cpuunits" | "migrate_downtime" | "migrate_speed"
        | "shares" | "smp" | "snaptime" | "sockets" | "vcpus" => Number,
        "affinity" => Numbers,
        "agent" => Kind::Properties(&AGENT),
        "amd-sev" => Kind::Properties(&SEV),
        "intel-tdx" => Kind::Properties(&TDX),
        "ivshmem" => Kind::Properties(&IVSHMEM),
        "boot" => Kind::Properties(&BOOT),
        "cdrom" => Kind::Properties(&DRIVE),
        "cicustom" => Kind::Properties(&CUSTOM),
        "cpu" => Kind::Properties(&CPU),
        "description" => Description,
        "hotplug" => Hotplug,
        "machine" => Kind::Properties(&MACHINE),
        "memory" => Kind::Properties(&MEMORY),
        "nameserver" | "searchdomain" => List,
        "smbios1" => Kind::Properties(&SMBIOS),
        "spice_enhancements" => Kind::Properties(&SPICE),
        "sshkeys" => SshKeys,
        "startup" => Kind::Properties(&STARTUP),
        "tags" => Tags,
        "vga" => Kind::Properties(&VGA),
        "vmgenid" => NoCase,
        "watchdog" => Kind::Properties(&WATCHDOG),
        _ => numbered(key),
    }
}

/// The kind of a key with an index: `scsi0`, `net12`.
fn numbered(key: &str) -> Kind {
    let base = key.trim_end_matches(|c: char| c.is_ascii_digit());
    if base.len() == key.len() {
        return Text;
    }
    match base {
        "ide" | "sata" | "scsi" | "virtio" | "efidisk" | "tpmstate" | "unused" => {
            Kind::Properties(&DRIVE)
        }
        "net" => Kind::Properties(&NET),
        "ipconfig" => Kind::Properties(&IP_CONFIG),
        "hostpci" => Kind::Properties(&HOSTPCI),
        "usb" => Kind::Properties(&USB),
        "rng" => Kind::Properties(&RNG),
        "audio" => Kind::Properties(&AUDIO),
        "numa" => Kind::Properties(&NUMA_NODE),
        "virtiofs" => Kind::Properties(&VIRTIOFS),
        _ => Text,
    }
}
