//! The formats of property strings (`PVE::QemuServer` and its modules).

use super::format::{Format, Kind};
use super::property::Property;

const fn opt(name: &'static str, kind: Kind) -> Property {
    Property::new(name, kind)
}
const fn flag(name: &'static str) -> Property {
    Property::new(name, Kind::Bool)
}
const fn format(name: &'static str, format: Format) -> Property {
    Property::new(name, Kind::Format(format))
}
const fn int(name: &'static str) -> Property {
    Property::new(name, Kind::NATURAL)
}
const fn number(name: &'static str) -> Property {
    Property::new(name, Kind::Num { min: Some(0.0), max: None })
}

const NET_MODELS: &[&str] = &[
    "e1000",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "e1000e",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
    "rtl8139",
    "virtio",
    "vmxnet3",
];

/// `netN`.
pub(crate) const NET: &[Property] = &[
    opt("model", Kind::Enum(NET_MODELS)).default_key().required(),
    format("macaddr", Format::Mac),
    Property::model("e1000"),
    Property::model("e1000-82540em"),
    Property::model("e1000-82544gc"),
    Property::model("e1000-82545em"),
    Property::model("e1000e"),
    Property::model("i82551"),
    Property::model("i82557b"),
    Property::model("i82559er"),
    Property::model("ne2k_isa"),
    Property::model("ne2k_pci"),
    Property::model("pcnet"),
    Property::model("rtl8139"),
    Property::model("virtio"),
    Property::model("vmxnet3"),
    format("bridge", Format::Bridge),
    opt("queues", Kind::between(0, 64)),
    number("rate"),
    opt("tag", Kind::between(1, 4094)),
    opt("trunks", Kind::TEXT),
    flag("firewall"),
    flag("link_down"),
    opt("mtu", Kind::between(1, 65520)),
    opt("host_mtu", Kind::between(1, 65520)),
];

/// Drives of every bus.
pub(crate) const DRIVE: &[Property] = &[
    format("file", Format::DiskVolume).default_key().required(),
    format("volume", Format::DiskVolume),
    opt("media", Kind::Enum(&["cdrom", "disk"])),
    flag("snapshot"),
    opt("cache", Kind::Enum(&["none", "writethrough", "writeback", "unsafe", "directsync"])),
    opt("format", Kind::Enum(&["raw", "qcow", "qed", "qcow2", "vmdk", "cloop"])),
    format("size", Format::DiskSize),
    flag("backup"),
    flag("replicate"),
    opt("rerror", Kind::Enum(&["ignore", "report", "stop"])),
    opt("werror", Kind::Enum(&["enospc", "ignore", "report", "stop"])),
    opt("aio", Kind::Enum(&["native", "threads", "io_uring"])),
    opt("discard", Kind::Enum(&["ignore", "on"])),
    flag("detect_zeroes"),
    format("serial", Format::Urlencoded),
    flag("shared"),
    flag("iothread"),
    opt("product", Kind::Text { max: 16 }),
    opt("vendor", Kind::Text { max: 8 }),
    format("model", Format::Urlencoded),
    opt("queues", Kind::Int { min: Some(2), max: None }),
    flag("ro"),
    flag("scsiblock"),
    flag("ssd"),
    opt("wwn", Kind::TEXT),
    int("bps"),
    int("bps_rd"),
    int("bps_wr"),
    number("mbps"),
    number("mbps_rd"),
    number("mbps_wr"),
    int("iops"),
    int("iops_rd"),
    int("iops_wr"),
    number("mbps_max"),
    number("mbps_rd_max"),
    number("mbps_wr_max"),
    int("iops_max"),
    int("iops_rd_max"),
    int("iops_wr_max"),
    int("bps_max_length"),
    int("bps_rd_max_length"),
    int("bps_wr_max_length"),
    int("iops_max_length"),
    int("iops_rd_max_length"),
    int("iops_wr_max_length"),
    format("import-from", Format::DiskVolume),
    opt("efitype", Kind::Enum(&["2m", "4m"])),
    flag("pre-enrolled-keys"),
    opt("ms-cert", Kind::TEXT),
    opt("version", Kind::Enum(&["v1.2", "v2.0"])),
];

/// `memory`.
pub(crate) const MEMORY: &[Property] =
    &[opt("current", Kind::between(16, 4_178_944)).default_key().required()];

/// `ipconfigN`.
pub(crate) const IPCONFIG: &[Property] = &[
    format("ip", Format::Ipv4Cidr),
    format("gw", Format::Ipv4),
    format("ip6", Format::Ipv6Cidr),
    format("gw6", Format::Ipv6),
];

/// `agent`.
pub(crate) const AGENT: &[Property] = &[
    flag("enabled").default_key().required(),
    flag("fstrim_cloned_disks"),
    flag("freeze-fs-on-backup"),
    flag("guest-fsfreeze"),
    opt("type", Kind::Enum(&["virtio", "isa"])),
];

/// `vga`.
pub(crate) const VGA: &[Property] = &[
    opt(
        "type",
        Kind::Enum(&[
            "cirrus",
            "none",
            "qxl",
            "qxl2",
            "qxl3",
            "qxl4",
            "serial0",
            "serial1",
            "serial2",
            "serial3",
            "std",
            "virtio",
            "virtio-gl",
            "vmware",
        ]),
    )
    .default_key(),
    opt("memory", Kind::between(4, 512)),
    opt("clipboard", Kind::Enum(&["vnc"])),
];

/// `smbios1`.
pub(crate) const SMBIOS: &[Property] = &[
    format("uuid", Format::Uuid),
    opt("version", Kind::TEXT),
    opt("serial", Kind::TEXT),
    opt("manufacturer", Kind::TEXT),
    opt("product", Kind::TEXT),
    opt("sku", Kind::TEXT),
    opt("family", Kind::TEXT),
    flag("base64"),
];

/// `cpu`.
pub(crate) const CPU: &[Property] = &[
    opt("cputype", Kind::TEXT).default_key(),
    opt("reported-model", Kind::TEXT),
    flag("hidden"),
    opt("hv-vendor-id", Kind::TEXT),
    opt("flags", Kind::TEXT),
    opt("phys-bits", Kind::TEXT),
    opt("guest-phys-bits", Kind::between(32, 64)),
    opt("level", Kind::between(1, 99)),
];

/// `machine`.
pub(crate) const MACHINE: &[Property] = &[
    opt("type", Kind::TEXT).default_key(),
    opt("viommu", Kind::Enum(&["intel", "virtio"])),
    opt("enable-s3", Kind::Bool),
    opt("enable-s4", Kind::Bool),
    opt("aw-bits", Kind::NATURAL),
];

/// `cicustom`.
pub(crate) const CICUSTOM: &[Property] = &[
    format("meta", Format::VolumeId),
    format("network", Format::VolumeId),
    format("user", Format::VolumeId),
    format("vendor", Format::VolumeId),
];

/// `rng0`.
pub(crate) const RNG: &[Property] = &[
    opt("source", Kind::Enum(&["/dev/urandom", "/dev/random", "/dev/hwrng"]))
        .default_key()
        .required(),
    int("max_bytes"),
    int("period"),
];

/// `boot`.
pub(crate) const BOOT: &[Property] =
    &[opt("legacy", Kind::TEXT).default_key(), opt("order", Kind::Format(Format::BootList))];

/// `audio0`.
pub(crate) const AUDIO: &[Property] = &[
    opt("device", Kind::Enum(&["ich9-intel-hda", "intel-hda", "AC97"])).required(),
    opt("driver", Kind::Enum(&["spice", "none"])),
];

/// `watchdog`.
pub(crate) const WATCHDOG: &[Property] = &[
    opt("model", Kind::Enum(&["i6300esb", "ib700"])).default_key(),
    opt("action", Kind::Enum(&["reset", "shutdown", "poweroff", "pause", "debug", "none"])),
];

/// `usbN`.
pub(crate) const USB: &[Property] =
    &[opt("host", Kind::TEXT).default_key(), opt("mapping", Kind::TEXT), flag("usb3")];
