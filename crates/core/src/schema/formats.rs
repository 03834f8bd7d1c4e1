//! Property strings: what stands in them.

use super::Shape::{Boolean, Decimal, Integer, Line, List, Token, Word};
use super::{Properties, Property, Shape};

const fn property(name: &'static str, shape: Shape, about: &'static str) -> Property {
    Property { name, shape, default: None, unit: None, about }
}

impl Property {
    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }
}

/// `QemuServer/Agent.pm`
pub(super) static AGENT: Properties = Properties {
    default_key: Some("enabled"),
    required: &["enabled"],
    properties: &[
        property("enabled", Boolean, "Proxmox talks to an agent inside the guest").default("0"),
        property("fstrim_cloned_disks", Boolean, "run fstrim after a disk was moved or migrated")
            .default("0"),
        property("freeze-fs", Boolean, "freeze file systems for consistent copies").default("1"),
        property("type", Word(&["virtio", "isa"]), "the device it is reached through")
            .default("virtio"),
    ],
};

/// `QemuServer.pm` `$audio_fmt`
pub(super) static AUDIO: Properties = Properties {
    default_key: None,
    required: &["device"],
    properties: &[
        property("device", Word(&["ich9-intel-hda", "intel-hda", "AC97"]), "the sound card"),
        property("driver", Word(&["spice", "none"]), "where the sound goes").default("spice"),
    ],
};

/// `QemuServer.pm` `$boot_fmt`
pub(super) static BOOT: Properties = Properties {
    default_key: Some("order"),
    required: &[],
    properties: &[property(
        "order",
        List(';'),
        "devices that may be booted from, the first one first; all others are not bootable",
    )],
};

/// `QemuServer/CPUConfig.pm` `$cpu_fmt`
pub(super) static CPU: Properties = Properties {
    default_key: Some("cputype"),
    required: &[],
    properties: &[
        property(
            "cputype",
            Token,
            "the CPU that the guest sees; `custom-NAME` for one of your own",
        )
        .default("kvm64"),
        property("flags", List(';'), "CPU flags, each with + or - before it"),
        property("hidden", Boolean, "do not tell the guest that it runs on KVM").default("0"),
        property("hv-vendor-id", Token, "Hyper-V vendor that Windows guests see"),
        property("guest-phys-bits", Integer(32, 64), "physical address bits of the guest")
            .unit("bits"),
        property("phys-bits", Token, "physical address bits that are reported: 8 to 64, or host"),
        property("level", Integer(0, 4_294_967_295), "highest basic CPUID leaf"),
        property("reported-model", Token, "model that a custom CPU reports").default("kvm64"),
    ],
};

/// `QemuServer/PCI.pm` `$hostpci_fmt`
pub(super) static HOSTPCI: Properties = Properties {
    default_key: Some("host"),
    required: &[],
    properties: &[
        property("mapping", Token, "a PCI mapping of the cluster"),
        property("host", List(';'), "PCI addresses on the node (01:00.0); root@pam only"),
        property("rombar", Boolean, "the device's ROM is visible").default("1"),
        property("romfile", Token, "ROM file in /usr/share/kvm; root@pam only"),
        property("pcie", Boolean, "on the PCI Express bus; needs machine q35").default("0"),
        property("x-vga", Boolean, "it is the primary graphics card").default("0"),
        property("legacy-igd", Boolean, "Intel graphics in legacy mode").default("0"),
        property("mdev", Token, "type of a mediated device"),
        property("vendor-id", Token, "vendor that the guest sees (0x8086)"),
        property("device-id", Token, "device that the guest sees"),
        property("sub-vendor-id", Token, "subsystem vendor that the guest sees"),
        property("sub-device-id", Token, "subsystem device that the guest sees"),
        property("driver", Word(&["vfio", "keep"]), "keep: leave the node's driver bound")
            .default("vfio"),
    ],
};

/// `QemuServer.pm` `$ivshmem_fmt`
pub(super) static IVSHMEM: Properties = Properties {
    default_key: None,
    required: &["size"],
    properties: &[
        property("size", Integer(1, 1_048_576), "size of the memory").unit("MiB"),
        property("name", Token, "name of the file, without pve-shm-; the VMID unless given"),
    ],
};

/// `QemuServer/Machine.pm` `$machine_fmt`
pub(super) static MACHINE: Properties = Properties {
    default_key: Some("type"),
    required: &[],
    properties: &[
        property("type", Token, "chipset, newest version (q35, pc) or a fixed one (pc-q35-9.2)")
            .default("pc"),
        property("viommu", Word(&["intel", "virtio"]), "virtual IOMMU; intel needs q35"),
        property("aw-bits", Integer(32, 64), "address width of the virtual IOMMU").unit("bits"),
        property("enable-s3", Boolean, "S3 power state"),
        property("enable-s4", Boolean, "S4 power state"),
    ],
};

/// `QemuServer/Memory.pm` `$numa_fmt`
pub(super) static NUMA_NODE: Properties = Properties {
    default_key: None,
    required: &["cpus"],
    properties: &[
        property("cpus", List(';'), "vCPUs of this NUMA node (0-3)"),
        property("memory", Integer(1, 16_777_216), "its memory").unit("MiB"),
        property("hostnodes", List(';'), "NUMA nodes of the host it lies on"),
        property("policy", Word(&["preferred", "bind", "interleave"]), "how memory is taken there"),
    ],
};

/// `QemuServer/RNG.pm` `$rng_fmt`
pub(super) static RNG: Properties = Properties {
    default_key: Some("source"),
    required: &["source"],
    properties: &[
        property(
            "source",
            Word(&["/dev/urandom", "/dev/random", "/dev/hwrng"]),
            "where the node takes entropy from; /dev/hwrng needs Mapping.Use on /mapping/hwrng",
        ),
        property("max_bytes", Integer(0, 1 << 30), "bytes in each period; 0: no limit")
            .default("1024")
            .unit("bytes"),
        property("period", Integer(0, 1 << 30), "length of a period").default("1000").unit("ms"),
    ],
};

/// `QemuServer/CPUConfig.pm` `$sev_fmt`
pub(super) static SEV: Properties = Properties {
    default_key: Some("type"),
    required: &["type"],
    properties: &[
        property("type", Word(&["std", "es", "snp"]), "SEV, SEV-ES or SEV-SNP"),
        property("no-debug", Boolean, "no debugging of the guest").default("0"),
        property("no-key-sharing", Boolean, "no key shared with other guests").default("0"),
        property("allow-smt", Boolean, "simultaneous multithreading").default("1"),
        property("kernel-hashes", Boolean, "hashes for a measured kernel launch").default("0"),
    ],
};

/// `QemuServer.pm` `$spice_enhancements_fmt`
pub(super) static SPICE: Properties = Properties {
    default_key: None,
    required: &[],
    properties: &[
        property("foldersharing", Boolean, "share a folder of the viewer").default("0"),
        property("videostreaming", Word(&["off", "all", "filter"]), "compress video streams")
            .default("off"),
    ],
};

/// pve-guest-common, `pve-startup-order`
pub(super) static STARTUP: Properties = Properties {
    default_key: Some("order"),
    required: &[],
    properties: &[
        property("order", Integer(0, 1_000_000), "lower ones start first, and stop last"),
        property("up", Integer(0, 1_000_000), "pause before the next guest starts").unit("s"),
        property("down", Integer(0, 1_000_000), "time it has to shut down").unit("s"),
    ],
};

/// `QemuServer/USB.pm` `$usb_fmt`
pub(super) static USB: Properties = Properties {
    default_key: Some("host"),
    required: &[],
    properties: &[
        property("mapping", Token, "a USB mapping of the cluster"),
        property(
            "host",
            Token,
            "spice; a device (1234:abcd) or port (1-2) of the node is root@pam only",
        ),
        property("usb3", Boolean, "it is a USB 3 device").default("0"),
    ],
};

/// `QemuServer.pm` `$vga_fmt`
pub(super) static VGA: Properties = Properties {
    default_key: Some("type"),
    required: &[],
    properties: &[
        property(
            "type",
            Word(&[
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
            "the graphics card; serialN: the console is on that serial port",
        )
        .default("std"),
        property("memory", Integer(4, 512), "its memory").unit("MiB"),
        property("clipboard", Word(&["vnc"]), "clipboard of the VNC console"),
    ],
};

/// `QemuServer/Virtiofs.pm` `$virtiofs_fmt`
pub(super) static VIRTIOFS: Properties = Properties {
    default_key: Some("dirid"),
    required: &["dirid"],
    properties: &[
        property("dirid", Token, "a directory mapping of the cluster; its name is the mount tag"),
        property("cache", Word(&["auto", "always", "metadata", "never"]), "caching policy")
            .default("auto"),
        property("direct-io", Boolean, "honour O_DIRECT").default("0"),
        property("expose-xattr", Boolean, "extended attributes").default("0"),
        property("expose-acl", Boolean, "POSIX ACLs, and extended attributes with them")
            .default("0"),
    ],
};

/// `QemuServer.pm` `$watchdog_fmt`
pub(super) static WATCHDOG: Properties = Properties {
    default_key: Some("model"),
    required: &[],
    properties: &[
        property("model", Word(&["i6300esb", "ib700"]), "the device").default("i6300esb"),
        property(
            "action",
            Word(&["reset", "shutdown", "poweroff", "pause", "debug", "none"]),
            "what happens when the guest stops polling it",
        ),
    ],
};

/// Models of a network device (`QemuServer/Network.pm`, `$nic_model_list`).
pub const NIC_MODELS: &[&str] = &[
    "virtio",
    "e1000",
    "e1000e",
    "e1000-82540em",
    "e1000-82544gc",
    "e1000-82545em",
    "rtl8139",
    "vmxnet3",
    "i82551",
    "i82557b",
    "i82559er",
    "ne2k_isa",
    "ne2k_pci",
    "pcnet",
];

/// Properties of a network device beside model, bridge and MAC (`QemuServer/Network.pm`
/// `$net_fmt`).
pub static NIC: Properties = Properties {
    default_key: None,
    required: &[],
    properties: &[
        property("tag", Integer(1, 4094), "VLAN"),
        property("trunks", List(';'), "VLANs that are passed through (10;20-30)"),
        property("firewall", Boolean, "Proxmox's firewall works on it").default("0"),
        property("rate", Decimal(0, 1_000_000), "limit in each direction").unit("MB/s"),
        property("mtu", Integer(1, 65_520), "MTU of a virtio device; 1: the bridge's"),
        property("queues", Integer(0, 64), "packet queues"),
        property("link_down", Boolean, "as if its cable were pulled").default("0"),
        property("host-tunnel", Boolean, "host offload of UDP tunnels (virtio)"),
    ],
};

const LIMIT: Shape = Integer(0, 1 << 50);
const MEGABYTES: Shape = Decimal(0, 1 << 30);
const SECONDS: Shape = Integer(1, 1 << 30);

/// Options of a disk beside size, storage and format (`QemuServer/Drive.pm`).
pub static DRIVE: Properties = Properties {
    default_key: None,
    required: &[],
    properties: &[
        property("aio", Word(&["native", "threads", "io_uring"]), "how QEMU does I/O"),
        property("backup", Boolean, "backups take it along").default("1"),
        property(
            "cache",
            Word(&["none", "writethrough", "writeback", "unsafe", "directsync"]),
            "cache mode",
        ),
        property("detect_zeroes", Boolean, "writes of zeroes are made cheap").default("1"),
        property("discard", Word(&["ignore", "on"]), "trim reaches the storage").default("ignore"),
        property("iothread", Boolean, "an I/O thread of its own (virtio, virtio-scsi-single)")
            .default("0"),
        property("replicate", Boolean, "replication jobs take it along").default("1"),
        property("ssd", Boolean, "the guest sees an SSD (not virtio)").default("0"),
        property("ro", Boolean, "read-only (scsi, virtio)").default("0"),
        property("queues", Integer(2, 256), "queues (scsi)"),
        property("scsiblock", Boolean, "full passthrough of a host device (scsi)").default("0"),
        property("shared", Boolean, "the volume is on all nodes, whatever the storage says")
            .default("0"),
        property("serial", Token, "serial number that the guest sees, 20 bytes"),
        property("model", Token, "model that the guest sees, 40 bytes (ide, sata)"),
        property("product", Line(16), "product that the guest sees, 16 bytes (scsi)"),
        property("vendor", Line(8), "vendor that the guest sees, 8 bytes (scsi)"),
        property("wwn", Token, "worldwide name, 16 hex digits after 0x (ide, sata, scsi)"),
        property("rerror", Word(&["ignore", "report", "stop"]), "after a failed read"),
        property("werror", Word(&["enospc", "ignore", "report", "stop"]), "after a failed write"),
        property("mbps", MEGABYTES, "throughput limit").unit("MB/s"),
        property("mbps_rd", MEGABYTES, "read throughput limit").unit("MB/s"),
        property("mbps_wr", MEGABYTES, "write throughput limit").unit("MB/s"),
        property("mbps_max", MEGABYTES, "throughput limit of bursts").unit("MB/s"),
        property("mbps_rd_max", MEGABYTES, "read throughput limit of bursts").unit("MB/s"),
        property("mbps_wr_max", MEGABYTES, "write throughput limit of bursts").unit("MB/s"),
        property("bps", LIMIT, "throughput limit").unit("bytes/s"),
        property("bps_rd", LIMIT, "read throughput limit").unit("bytes/s"),
        property("bps_wr", LIMIT, "write throughput limit").unit("bytes/s"),
        property("bps_max_length", SECONDS, "length of throughput bursts").unit("s"),
        property("bps_rd_max_length", SECONDS, "length of read bursts").unit("s"),
        property("bps_wr_max_length", SECONDS, "length of write bursts").unit("s"),
        property("iops", LIMIT, "operations limit").unit("1/s"),
        property("iops_rd", LIMIT, "read operations limit").unit("1/s"),
        property("iops_wr", LIMIT, "write operations limit").unit("1/s"),
        property("iops_max", LIMIT, "operations limit of bursts").unit("1/s"),
        property("iops_rd_max", LIMIT, "read operations limit of bursts").unit("1/s"),
        property("iops_wr_max", LIMIT, "write operations limit of bursts").unit("1/s"),
        property("iops_max_length", SECONDS, "length of operations bursts").unit("s"),
        property("iops_rd_max_length", SECONDS, "length of read operations bursts").unit("s"),
        property("iops_wr_max_length", SECONDS, "length of write operations bursts").unit("s"),
    ],
};
