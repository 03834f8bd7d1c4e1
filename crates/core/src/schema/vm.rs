//! The keys of a VM that are not in [`KEYS`](super::KEYS): disks, networks, first boot, membership.

use super::Shape::{Integer, Word};
use super::document::{Form, Mapping, field};
use super::documents::{ADDRESS, ADDRESSES, BOOL, CLONE, MAC, NAME, PATH, TAGS, TEXT, mapping};
use super::{DRIVE, NIC, NIC_MODELS, SCSI_CONTROLLERS};

use Form::{Either, List, Named, Size, Text};

/// Privileges (qemu-server, `API2/Qemu.pm`; pve-ha-manager, `API2/HA`; pve-manager, `API2/Pool.pm`).
pub(super) const DISK_AND_SPACE: &str = "VM.Config.Disk; Datastore.AllocateSpace on its storage";
pub(super) const OF_DISK: &str = "VM.Config.Disk";
pub(super) const OF_NETWORK: &str = "VM.Config.Network";
pub(super) const BRIDGE: &str = "VM.Config.Network; SDN.Use on the bridge";
pub(super) const CLOUD: &str = "VM.Config.Cloudinit or VM.Config.Network";
pub(super) const SNIPPET: &str = "VM.Config.Cloudinit or VM.Config.Network; SSH to the nodes";
pub(super) const OPTIONS: &str = "VM.Config.Options";
pub(super) const MIGRATE: &str = "VM.Migrate";
pub(super) const HA_MANAGER: &str = "Sys.Console on `/`";
pub(super) const NEW_ONLY: &str = "none; it counts when something is made";

const POWER: Form = Form::Shape(Word(&["running", "stopped", "unmanaged"]));
const HA_STATE: Form = Form::Shape(Word(&["started", "stopped", "disabled", "ignored"]));

/// The keys of a VM that are not in [`KEYS`](super::KEYS).
pub(super) static VM: Mapping = mapping(
    "VM keys",
    "In groups and standalone VMs.",
    &[
        field("storage", NAME, "storage of new disks and full clones").costs(NEW_ONLY, "Datastore.AllocateSpace on it")
            .default("the profile's, then `defaults.storage`"),
        field("disk", Size("GiB"), "size of the boot disk; grows, never shrinks").costs("live", DISK_AND_SPACE),
        field(
            "disks",
            Named(
                "slot",
                "(scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|ide[0-3])",
                &Either(&[Size("GiB"), Form::Mapping(&DISK)]),
            ),
            "`scsi0`-`scsi30`, `virtio0`-`virtio15`, `sata0`-`sata5`, `ide0`-`ide3`",
        ).changes("scsi0", DISK_AND_SPACE),
        field(
            "cdroms",
            Named("slot", "(scsi([0-9]|[12][0-9]|30)|sata[0-5]|ide[0-3])", &MEDIUM),
            "what is in the drive; `scsi0`-`scsi30`, `sata0`-`sata5`, `ide0`-`ide3`",
        ).changes("ide2", "VM.Config.CDROM; Datastore.Audit on an ISO's storage"),
        field("efidisk0", Form::Mapping(&EFIDISK), "OVMF's variables").changes("efidisk0", DISK_AND_SPACE),
        field("tpmstate0", Form::Mapping(&TPMSTATE), "the TPM's state").changes("tpmstate0", DISK_AND_SPACE),
        field(
            "networks",
            Named("slot", "net([0-9]|[12][0-9]|3[01])", &Either(&[NAME, Form::Mapping(&NIC_MAPPING)])),
            "a bridge, or a mapping; `net0`-`net31`",
        ).changes("net0", BRIDGE),
        field("cloudinit", Form::Mapping(&CLOUDINIT), "what the guest is told at its first boot").changes("ciuser", CLOUD),
        field("tags", TAGS, "compared as a set").changes("tags", OPTIONS),
        field("scsi_controller", Form::Shape(Word(SCSI_CONTROLLERS)), "another name of `scsihw`").changes("scsihw", "VM.Config.HWType"),
        field("clone", CLONE, "a copy of its own, or one that shares the template's base").costs(NEW_ONLY, "VM.Clone on the template, VM.Allocate")
            .default("the profile's, then `full`"),
        field("power", POWER, "`unmanaged`: left as it is, and not started when it is made").costs("it is started, or shut down", "VM.PowerMgmt")
            .default("what `ha` says, then `running`"),
        field("pool", NAME, "its pool, which must be there; pools in pools as `a/b`").costs("live", "Pool.Allocate and Pool.Audit on `/pool/{pool}`; VM.Allocate or Permissions.Modify"),
        field("ha", Either(&[HA_STATE, Form::Mapping(&HA)]), "high availability of Proxmox VE 9").costs("live", HA_MANAGER),
        field(
            "raw",
            Named("key", "[A-Za-z0-9][A-Za-z0-9_.-]*", &TEXT),
            "keys, or single properties (`net0.host-tunnel`), that pvx does not know; compared as text",
        ).costs("pending", "that of the key"),
    ],
);

static HA: Mapping = mapping(
    "ha",
    "",
    &[
        field("state", HA_STATE, "what the HA manager sees to")
            .costs("`stopped`, `disabled`: the guest is shut down; else live", HA_MANAGER)
            .default("`started`"),
        field("max_restart", Form::Shape(Integer(0, 1000)), "tries to start it on its node")
            .costs("live", HA_MANAGER)
            .default("1"),
        field("max_relocate", Form::Shape(Integer(0, 1000)), "tries on other nodes")
            .costs("live", HA_MANAGER)
            .default("1"),
        field("failback", BOOL, "goes back to the best node when that returns")
            .costs("live", HA_MANAGER)
            .default("`true`"),
        field("comment", TEXT, "for people").costs("live", HA_MANAGER),
        field(
            "nodes",
            Either(&[List(&NAME), Named("node", "[A-Za-z0-9-]+", &Form::Shape(Integer(0, 1000)))]),
            "where it should run; the higher the number, the better",
        )
        .costs("live; the HA manager may move the guest", HA_MANAGER),
        field("strict", BOOL, "on no other node; needs `nodes`")
            .costs("live; the HA manager may move the guest", HA_MANAGER)
            .default("`false`"),
        field(
            "affinity",
            Form::Shape(Word(&["together", "apart"])),
            "groups only: one node, or each its own",
        )
        .costs("live; the HA manager may move guests", HA_MANAGER),
    ],
);

const VOLUME: Form = Text("volume");
const MEDIUM: Form = Either(&[Form::Shape(Word(&["none", "cdrom"])), VOLUME]);

static EFIDISK: Mapping = mapping(
    "an EFI disk",
    "Made when it is missing; later only its storage can be changed.",
    &[
        field("storage", NAME, "where it lies; said here, it is moved there")
            .costs("move", DISK_AND_SPACE)
            .default("the guest's"),
        field("efitype", Form::Shape(Word(&["2m", "4m"])), "size of the variables' store")
            .costs("replace", DISK_AND_SPACE)
            .default("`4m` when it is made"),
        field("pre-enrolled-keys", BOOL, "keys of distributions and Microsoft are enrolled")
            .costs("replace", DISK_AND_SPACE)
            .default("`defaults.efidisk_pre_enrolled_keys`"),
        field(
            "ms-cert",
            Form::Shape(Word(&["2011", "2023", "2023w", "2023k"])),
            "which Microsoft certificates are enrolled",
        )
        .costs("replace", DISK_AND_SPACE),
    ],
);

static TPMSTATE: Mapping = mapping(
    "a TPM state",
    "Made when it is missing; later only its storage can be changed, and not while the guest runs.",
    &[
        field("storage", NAME, "where it lies; said here, it is moved there")
            .costs("offline: moved while the guest is stopped", DISK_AND_SPACE)
            .default("the guest's"),
        field("version", Form::Shape(Word(&["v1.2", "v2.0"])), "version of the TPM")
            .changes("tpmstate0.version", DISK_AND_SPACE)
            .default("`v2.0` when it is made"),
    ],
);

static DISK: Mapping = Mapping {
    title: "a disk",
    about: "",
    vm: false,
    fields: &[
        field("size", Size("GiB"), "grows, never shrinks").costs("live", DISK_AND_SPACE),
        field("storage", NAME, "where it lies; said here, it is moved there").costs("move", DISK_AND_SPACE)
            .default("the guest's"),
        field(
            "format",
            Form::Shape(Word(&["raw", "qcow2", "vmdk"])),
            "on storages that know several; it is moved into it",
        ).costs("move", DISK_AND_SPACE),
        field("import_from", VOLUME, "what a new disk is filled from; read once").costs(NEW_ONLY, "VM.Config.Disk; Datastore.AllocateSpace on its storage, Datastore.Audit on the image's"),
        field("keep", BOOL, "it outlives its guest, and comes back with it").changes("tags", OPTIONS),
        field(
            "on_removal",
            Form::Shape(Word(&["detach", "erase"])),
            "what becomes of its bytes when it leaves the document",
        ).costs("none; it counts when the disk leaves the document", OF_DISK)
        .default("`detach`"),
    ],
};

static NIC_MAPPING: Mapping = Mapping {
    title: "a network device",
    about: "",
    vm: false,
    fields: &[
        field("bridge", NAME, "bridge or VNet")
            .changes("net0.bridge", BRIDGE)
            .default("`defaults.network_bridge`"),
        field("model", Form::Shape(Word(NIC_MODELS)), "device")
            .changes("net0.model", OF_NETWORK)
            .default("`virtio` when it is made"),
        field("mac", MAC, "kept as it is unless it is said").changes("net0.macaddr", OF_NETWORK),
    ],
};

static CLOUDINIT: Mapping = mapping(
    "cloudinit",
    "",
    &[
        field("user", TEXT, "login").changes("ciuser", CLOUD).default("`cloudinit.default_user`"),
        field("ssh_keys", List(&Text("OpenSSH public key")), "who may log in")
            .changes("sshkeys", CLOUD)
            .default("`cloudinit.ssh_keys_source`"),
        field("password", Form::Mapping(&PASSWORD), "where the login's password is, never itself")
            .changes("cipassword", CLOUD),
        field("upgrade", BOOL, "upgrade packages at the first boot")
            .changes("ciupgrade", CLOUD)
            .default("`true`"),
        field(
            "type",
            Form::Shape(Word(&["nocloud", "configdrive2", "opennebula"])),
            "format of the drive",
        )
        .changes("citype", CLOUD)
        .default("`nocloud`, for Windows `configdrive2`"),
        field("cicustom", Form::Mapping(&CICUSTOM), "snippets that are there already")
            .changes("cicustom", CLOUD),
        field("user_data", PATH, "template of the user data").changes("cicustom", SNIPPET),
        field("network_data", PATH, "template of the network data").changes("cicustom", SNIPPET),
        field("meta_data", PATH, "template of the meta data").changes("cicustom", SNIPPET),
        field("vendor_data", PATH, "template of the vendor data").changes("cicustom", SNIPPET),
        field("snippets", NAME, "storage that rendered templates are written to")
            .changes("cicustom", SNIPPET)
            .default("`local`"),
        field("nameservers", ADDRESSES, "DNS servers")
            .changes("nameserver", CLOUD)
            .default("the profile's `network`"),
        field("searchdomain", TEXT, "DNS search domain")
            .changes("searchdomain", CLOUD)
            .default("the profile's `network`"),
        field(
            "ipconfig",
            Named(
                "number",
                "([0-9]|[12][0-9]|3[01])",
                &Either(&[Form::Shape(Word(&["dhcp"])), Form::Mapping(&IPCONFIG)]),
            ),
            "address of `net<number>`",
        )
        .changes("ipconfig0", CLOUD),
    ],
);

static PASSWORD: Mapping = mapping(
    "password",
    "One of the four, and a version.",
    &[
        field("env", TEXT, "variable of the environment")
            .costs("none; read when the password is written", CLOUD),
        field("file", PATH, "file").costs("none; read when the password is written", CLOUD),
        field("pass", TEXT, "entry of `pass`")
            .costs("none; read when the password is written", CLOUD),
        field("var", TEXT, "variable of documents")
            .costs("none; read when the password is written", CLOUD),
        field(
            "version",
            Form::Shape(Integer(1, 4_294_967_295)),
            "raise it when the password changed",
        )
        .changes("cipassword", CLOUD),
    ],
);

static CICUSTOM: Mapping = mapping(
    "cicustom",
    "",
    &[
        field("user", Text("STORAGE:snippets/FILE"), "user data").changes("cicustom", CLOUD),
        field("network", Text("STORAGE:snippets/FILE"), "network data").changes("cicustom", CLOUD),
        field("meta", Text("STORAGE:snippets/FILE"), "meta data").changes("cicustom", CLOUD),
        field("vendor", Text("STORAGE:snippets/FILE"), "vendor data")
            .changes("cicustom", CLOUD)
            .default("`cloudinit.vendor_snippet_path`"),
    ],
);

static IPCONFIG: Mapping = mapping(
    "ipconfig",
    "",
    &[
        field("ip", Text("address with prefix, or dhcp"), "IPv4").changes("ipconfig0", CLOUD),
        field("gw", ADDRESS, "IPv4 gateway").changes("ipconfig0", CLOUD),
        field("ip6", Text("address with prefix, dhcp or auto"), "IPv6").changes("ipconfig0", CLOUD),
        field("gw6", ADDRESS, "IPv6 gateway").changes("ipconfig0", CLOUD),
    ],
);

/// Further keys of a mapping that stand in a table of their own.
pub(super) fn further(mapping: &Mapping) -> Option<&'static super::Properties> {
    match mapping.title {
        "a disk" => Some(&DRIVE),
        "a network device" => Some(&NIC),
        _ => None,
    }
}
