//! The table of keys. Drives, network devices, cloud-init, tags and the name have places of their
//! own in documents and are not in it.

use super::Shape::{
    Boolean, Decimal, Features, Integer, Line, Lines, List, Mebibytes, Properties, Token, Word,
};
use super::{Key, ROOT, Shape, formats};

const CPU: &str = "VM.Config.CPU";
const MEMORY: &str = "VM.Config.Memory";
const HARDWARE: &str = "VM.Config.HWType";
const OPTIONS: &str = "VM.Config.Options";
const DISK: &str = "VM.Config.Disk";

const fn key(
    name: &'static str,
    shape: Shape,
    privilege: &'static str,
    about: &'static str,
    examples: [&'static str; 2],
) -> Key {
    Key { name, slots: 0, shape, default: None, unit: None, privilege, about, examples }
}

impl Key {
    const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    const fn unit(self, unit: &'static str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    const fn slots(self, slots: u8) -> Self {
        Self { slots, ..self }
    }
}

const ON_OFF: [&str; 2] = ["true", "false"];

/// Keyboard layouts (pve-common `PVE::Tools` kvmkeymaplist).
const KEYMAPS: &[&str] = &[
    "da", "de", "de-ch", "en-gb", "en-us", "es", "fi", "fr", "fr-be", "fr-ca", "fr-ch", "hu", "is",
    "it", "ja", "lt", "mk", "nl", "no", "pl", "pt", "pt-br", "sl", "sv", "tr",
];

/// Guest systems.
const OSTYPES: &[&str] = &[
    "other", "wxp", "w2k", "w2k3", "w2k8", "wvista", "win7", "win8", "win10", "win11", "l24",
    "l26", "solaris",
];

/// SCSI controllers.
/// SCSI controllers (`$confdesc`, `scsihw`).
pub const SCSI_CONTROLLERS: &[&str] =
    &["lsi", "lsi53c810", "virtio-scsi-pci", "virtio-scsi-single", "megasas", "pvscsi"];

const HOTPLUG: &[&str] = &["network", "disk", "cpu", "memory", "usb", "cloudinit"];

/// All keys, grouped as a reader looks for them.
pub static KEYS: &[Key] = &[
    // CPU
    key("cores", Integer(1, 8192), CPU, "cores of each socket", ["2", "3"]).default("1"),
    key("sockets", Integer(1, 64), CPU, "sockets", ["2", "3"]).default("1"),
    key("vcpus", Integer(1, 8192), CPU, "vCPUs at start; the others can be plugged in", ["1", "2"]),
    key(
        "cpu",
        Properties(&formats::CPU),
        CPU,
        "CPU that the guest sees",
        ["host", "{ cputype: x86-64-v2-AES, flags: [+aes] }"],
    ),
    key("cpulimit", Decimal(0, 128), CPU, "CPU time that it may use; 0: all", ["1.5", "2"])
        .default("0")
        .unit("CPUs"),
    // More than 10000 is stored as 10000: cgroups v2 know no more (`clamp_cpu_shares`).
    key("cpuunits", Integer(1, 10_000), CPU, "weight against other guests", ["200", "300"]),
    key("affinity", List(','), ROOT, "CPUs of the node that it runs on", ["[0, 1]", "0-1"]),
    key("numa", Boolean, CPU, "NUMA; memory hot-plug needs it", ON_OFF).default("0"),
    key(
        "numa",
        Properties(&formats::NUMA_NODE),
        CPU,
        "a NUMA node of the guest",
        ["{ cpus: 0-1, memory: 2048 }", "{ cpus: 0-1, memory: 2048, policy: preferred }"],
    )
    .slots(8),
    // Memory
    key(
        "memory",
        Mebibytes(16, 16 << 20),
        MEMORY,
        "memory; the most that a balloon leaves",
        ["2048", "3G"],
    )
    .default("512")
    .unit("MiB"),
    key(
        "balloon",
        Mebibytes(0, 16 << 20),
        MEMORY,
        "least memory under pressure; 0: no balloon",
        ["512", "0"],
    )
    .unit("MiB"),
    key("shares", Integer(0, 50_000), MEMORY, "weight of ballooning; 0: none", ["500", "2000"])
        .default("1000"),
    key("allow-ksm", Boolean, MEMORY, "equal pages of guests may be merged", ["false", "true"])
        .default("1"),
    key("hugepages", Word(&["any", "2", "1024"]), ROOT, "size of huge pages", ["any", "2"])
        .unit("MiB"),
    key("keephugepages", Boolean, ROOT, "keep huge pages after it stopped", ON_OFF).default("0"),
    // Firmware and board
    key("bios", Word(&["seabios", "ovmf"]), OPTIONS, "firmware", ["ovmf", "seabios"])
        .default("seabios"),
    key(
        "machine",
        Properties(&formats::MACHINE),
        HARDWARE,
        "chipset and its version",
        ["q35", "{ type: q35, viommu: virtio }"],
    ),
    key("arch", Word(&["x86_64", "aarch64"]), ROOT, "CPU architecture", ["x86_64", "aarch64"]),
    key("acpi", Boolean, HARDWARE, "ACPI", ["false", "true"]).default("1"),
    key("kvm", Boolean, HARDWARE, "hardware virtualisation", ["false", "true"]).default("1"),
    key(
        "scsihw",
        Word(SCSI_CONTROLLERS),
        HARDWARE,
        "SCSI controller",
        ["virtio-scsi-single", "virtio-scsi-pci"],
    )
    .default("lsi"),
    key("boot", Properties(&formats::BOOT), DISK, "boot order", ["[scsi0]", "[scsi0, net0]"]),
    key(
        "amd-sev",
        Properties(&formats::SEV),
        ROOT,
        "memory encryption by AMD CPUs",
        ["std", "{ type: std, no-debug: true }"],
    ),
    key(
        "vmgenid",
        Token,
        ROOT,
        "VM generation id; 1: Proxmox makes one, 0: none",
        ["c0ffee00-0000-4000-8000-000000000001", "c0ffee00-0000-4000-8000-000000000002"],
    ),
    // Devices
    key(
        "vga",
        Properties(&formats::VGA),
        HARDWARE,
        "graphics card",
        ["qxl", "{ type: virtio, memory: 64 }"],
    ),
    key(
        "serial",
        Token,
        HARDWARE,
        "serial port: socket, or (root@pam) /dev/… of the node",
        ["socket", "/dev/ttyS0"],
    )
    .slots(4),
    key("parallel", Token, ROOT, "parallel port of the node", ["/dev/parport0", "/dev/parport1"])
        .slots(3),
    key(
        "audio",
        Properties(&formats::AUDIO),
        HARDWARE,
        "sound",
        ["{ device: ich9-intel-hda }", "{ device: AC97, driver: none }"],
    )
    .slots(1),
    key(
        "rng",
        Properties(&formats::RNG),
        HARDWARE,
        "random numbers from the node",
        ["/dev/urandom", "{ source: /dev/urandom, max_bytes: 2048 }"],
    )
    .slots(1),
    key(
        "usb",
        Properties(&formats::USB),
        "VM.Config.HWType, Mapping.Use",
        "USB device",
        ["spice", "{ host: spice, usb3: true }"],
    )
    .slots(14),
    key(
        "hostpci",
        Properties(&formats::HOSTPCI),
        "VM.Config.HWType, Mapping.Use",
        "PCI device",
        ["{ mapping: gpu }", "{ mapping: gpu, rombar: false }"],
    )
    .slots(16),
    key(
        "virtiofs",
        Properties(&formats::VIRTIOFS),
        "VM.Config.Disk, Mapping.Use",
        "shared folder",
        ["share", "{ dirid: share, cache: never }"],
    )
    .slots(10),
    key(
        "watchdog",
        Properties(&formats::WATCHDOG),
        HARDWARE,
        "watchdog",
        ["{ model: i6300esb, action: reset }", "{ model: i6300esb, action: poweroff }"],
    ),
    key("tablet", Boolean, HARDWARE, "USB tablet for an exact mouse", ["false", "true"])
        .default("1"),
    key(
        "ivshmem",
        Properties(&formats::IVSHMEM),
        ROOT,
        "memory shared between guests",
        ["{ size: 32 }", "{ size: 64, name: shared }"],
    ),
    key(
        "spice_enhancements",
        Properties(&formats::SPICE),
        ROOT,
        "extras of SPICE",
        ["{ foldersharing: true }", "{ videostreaming: filter }"],
    ),
    key("keyboard", Word(KEYMAPS), OPTIONS, "keyboard of the VNC console", ["de", "en-us"]),
    // Guest
    key("ostype", Word(OSTYPES), OPTIONS, "guest system", ["l26", "win11"]).default("other"),
    key(
        "agent",
        Properties(&formats::AGENT),
        OPTIONS,
        "QEMU guest agent",
        ["true", "{ enabled: true, fstrim_cloned_disks: true }"],
    ),
    key(
        "hotplug",
        Features(HOTPLUG),
        HARDWARE,
        "what is plugged in and out while it runs",
        ["[network, disk, cpu]", "false"],
    )
    .default("1"),
    key("localtime", Boolean, OPTIONS, "its clock shows local time", ON_OFF),
    key(
        "startdate",
        Token,
        OPTIONS,
        "first date of its clock",
        ["2026-01-01T00:00:00", "2026-01-02"],
    )
    .default("now"),
    key("tdf", Boolean, OPTIONS, "time drift fix", ON_OFF).default("0"),
    // Operation
    key("description", Lines(8192), OPTIONS, "notes", ["a", "b"]).default(""),
    key("onboot", Boolean, OPTIONS, "starts with its node", ON_OFF).default("0"),
    key(
        "startup",
        Properties(&formats::STARTUP),
        "VM.Config.Options, Sys.Modify on /",
        "order at the node's start and stop",
        ["2", "{ order: 3, up: 30 }"],
    ),
    key("protection", Boolean, OPTIONS, "neither it nor its disks can be removed", ON_OFF)
        .default("0"),
    key("reboot", Boolean, OPTIONS, "a reboot inside does not end it", ["false", "true"])
        .default("1"),
    key("freeze", Boolean, "VM.PowerMgmt", "its CPU waits at the start", ON_OFF),
    key("autostart", Boolean, OPTIONS, "ignored by Proxmox", ON_OFF).default("0"),
    key(
        "migrate_speed",
        Integer(0, 1 << 40),
        OPTIONS,
        "limit of migrations; 0: none",
        ["100", "200"],
    )
    .default("0")
    .unit("MB/s"),
    key(
        "migrate_downtime",
        Decimal(0, 2000),
        OPTIONS,
        "downtime that a migration may cost",
        ["0.5", "1"],
    )
    .default("0.1")
    .unit("s"),
    key("vmstatestorage", Token, DISK, "storage of its saved state", ["local", "shared"]),
    key(
        "hookscript",
        Token,
        ROOT,
        "script that Proxmox runs at its start and stop",
        ["local:snippets/hook.pl", "local:snippets/hook2.pl"],
    ),
    key(
        "args",
        Line(4096),
        ROOT,
        "arguments for QEMU, as they stand",
        ["-no-hpet", "-no-shutdown"],
    ),
];
