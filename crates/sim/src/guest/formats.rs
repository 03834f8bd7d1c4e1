//! The formats of property strings (`PVE::QemuServer` and its modules).

use super::format::{Format, Kind};
use super::patterns;
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
const fn text(name: &'static str, fits: fn(&str) -> bool) -> Property {
    Property::new(name, Kind::pattern(fits))
}
const fn int(name: &'static str) -> Property {
    Property::new(name, Kind::INT)
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
    opt("rate", Kind::Num { min: Some(0.0), max: None }),
    opt("tag", Kind::between(1, 4094)),
    text("trunks", patterns::ranges),
    flag("firewall"),
    flag("link_down"),
    opt("mtu", Kind::between(1, 65520)),
    flag("host-tunnel"),
];

/// `memory`.
pub(crate) const MEMORY: &[Property] =
    &[opt("current", Kind::Int { min: Some(16), max: None }).default_key().required()];

/// `ipconfigN`.
pub(crate) const IPCONFIG: &[Property] = &[
    format("ip", Format::Ipv4Cidr),
    format("gw", Format::Ipv4).requires("ip"),
    format("ip6", Format::Ipv6Cidr),
    format("gw6", Format::Ipv6).requires("ip6"),
];

/// `agent`.
pub(crate) const AGENT: &[Property] = &[
    flag("enabled").default_key().required(),
    flag("fstrim_cloned_disks"),
    flag("freeze-fs"),
    Property::alias("freeze-fs-on-backup", "freeze-fs"),
    Property::alias("guest-fsfreeze", "freeze-fs"),
    opt("type", Kind::Enum(&["virtio", "isa"])),
];

/// `vga`.
pub(crate) const VGA: &[Property] = &[
    opt(
        "type",
        Kind::Enum(&[
            "cirrus",
            "qxl",
            "qxl2",
            "qxl3",
            "qxl4",
            "none",
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
    text("uuid", patterns::uuid),
    text("version", patterns::base64),
    text("serial", patterns::base64),
    text("manufacturer", patterns::base64),
    text("product", patterns::base64),
    text("sku", patterns::base64),
    text("family", patterns::base64),
    flag("base64"),
];

/// `cpu`.
pub(crate) const CPU: &[Property] = &[
    opt("cputype", Kind::TEXT).default_key(),
    opt("reported-model", Kind::Enum(super::cpu::REPORTED)),
    flag("hidden"),
    text("hv-vendor-id", patterns::hv_vendor),
    text("flags", patterns::cpu_flags),
    format("phys-bits", Format::PhysBits),
    opt("guest-phys-bits", Kind::between(32, 64)),
    opt("level", Kind::between(0, 4_294_967_295)),
];

/// `machine`.
pub(crate) const MACHINE: &[Property] = &[
    opt("type", Kind::Pattern { fits: patterns::machine, max: 40 }).default_key(),
    opt("viommu", Kind::Enum(&["intel", "virtio"])),
    flag("enable-s3"),
    flag("enable-s4"),
    opt("aw-bits", Kind::Num { min: Some(32.0), max: Some(64.0) }),
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
    &[text("legacy", patterns::legacy_boot).default_key(), format("order", Format::BootList)];

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
pub(crate) const USB: &[Property] = &[
    text("host", patterns::usb_host).default_key(),
    format("mapping", Format::ConfigId),
    flag("usb3"),
];

/// `hostpciN`.
pub(crate) const HOSTPCI: &[Property] = &[
    text("host", patterns::pci_hosts).default_key(),
    format("mapping", Format::ConfigId),
    flag("rombar"),
    text("romfile", patterns::rom_file),
    flag("pcie"),
    flag("x-vga"),
    flag("legacy-igd"),
    text("mdev", patterns::mdev),
    text("vendor-id", patterns::pci_id),
    text("device-id", patterns::pci_id),
    text("sub-vendor-id", patterns::pci_id),
    text("sub-device-id", patterns::pci_id),
    opt("driver", Kind::Enum(&["vfio", "keep"])),
];

/// `virtiofsN`.
pub(crate) const VIRTIOFS: &[Property] = &[
    format("dirid", Format::ConfigId).default_key().required(),
    opt("cache", Kind::Enum(&["auto", "always", "metadata", "never"])),
    flag("direct-io"),
    flag("expose-xattr"),
    flag("expose-acl"),
];

/// `numaN`.
pub(crate) const NUMA: &[Property] = &[
    text("cpus", patterns::ranges).required(),
    opt("memory", Kind::Num { min: None, max: None }),
    text("hostnodes", patterns::ranges),
    opt("policy", Kind::Enum(&["preferred", "bind", "interleave"])),
];

/// `ivshmem`.
pub(crate) const IVSHMEM: &[Property] =
    &[opt("size", Kind::POSITIVE).required(), text("name", patterns::shared_memory)];

/// `spice_enhancements`.
pub(crate) const SPICE: &[Property] =
    &[flag("foldersharing"), opt("videostreaming", Kind::Enum(&["off", "all", "filter"]))];

/// `amd-sev`.
pub(crate) const SEV: &[Property] = &[
    opt("type", Kind::Enum(&["std", "es", "snp"])).default_key().required(),
    flag("no-debug"),
    flag("no-key-sharing"),
    flag("allow-smt"),
    flag("kernel-hashes"),
];

/// `intel-tdx`.
pub(crate) const TDX: &[Property] = &[
    opt("type", Kind::Enum(&["tdx"])).default_key().required(),
    flag("attestation").required(),
    opt("vsock-cid", Kind::Int { min: Some(2), max: None }),
    opt("vsock-port", Kind::NATURAL),
];

/// `meta`.
pub(crate) const META: &[Property] =
    &[opt("ctime", Kind::NATURAL), opt("creation-qemu", Kind::TEXT)];
