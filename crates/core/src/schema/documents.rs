//! The mappings of documents, from the outside in.

use super::Shape::{Boolean, Integer, Word};
use super::document::{Field, Form, Mapping, field};
use super::{DRIVE, NIC};

use Form::{Either, List, Named, Size, Text};

const BOOL: Form = Form::Shape(Boolean);
const NAME: Form = Text("name");
const TAGS: Form = List(&Text("tag"));
const ADDRESS: Form = Text("address");
const ADDRESSES: Form = List(&ADDRESS);
const PATH: Form = Text("path");
const TEXT: Form = Text("text");
const TEXTS: Form = List(&TEXT);
const FINGERPRINT: Form = Text("SHA-256");
const MAC: Form = Text("MAC address");
const VMID: Form = Form::Shape(Integer(100, 999_999_999));
const VMID_OR_AUTO: Form = Either(&[VMID, Form::Shape(Word(&["auto"]))]);
const TEMPLATE: Form = Either(&[VMID, NAME]);
const CLONE: Form = Form::Shape(Word(&["full", "linked"]));
const POWER: Form = Form::Shape(Word(&["running", "stopped", "unmanaged"]));
const PLACEMENT: Form = Form::Shape(Word(&["spread", "pack", "pinned"]));
const APPLY_CHANGES: Form = Form::Shape(Word(&["live", "reboot", "manual"]));
const INCLUDE: Form = List(&PATH);
const VARIABLES: Form =
    Named("name", "[A-Za-z_][A-Za-z0-9_]*", &Either(&[Form::Mapping(&VARIABLE), TEXT]));
const FOR_EACH: Form =
    Either(&[List(&NAME), Named("name", "[a-z0-9-]+", &Form::Mapping(&ASSIGNMENT))]);
const START_IP: Form = Text("address with prefix");
const HA_STATE: Form = Form::Shape(Word(&["started", "stopped", "disabled", "ignored"]));

/// Keys of every mapping with VM keys.
const fn include() -> Field {
    field("include", INCLUDE, "files of VM keys that lie beneath this mapping")
}

const fn variables() -> Field {
    field(
        "variables",
        VARIABLES,
        "values with names: a default, or a mapping; used as `{var.NAME}`",
    )
}

const fn apply_changes() -> Field {
    field("apply_changes", APPLY_CHANGES, "what may happen now to a guest that runs")
        .default("what the command says, then `live`")
}

const fn placement() -> Field {
    field(
        "placement",
        PLACEMENT,
        "round robin over the nodes, as few nodes as possible, or kept on `node`",
    )
    .default("`spread`")
}

const SCSIHW: Form = Form::Shape(Word(&[
    "lsi",
    "lsi53c810",
    "virtio-scsi-pci",
    "virtio-scsi-single",
    "megasas",
    "pvscsi",
]));

const fn mapping(title: &'static str, about: &'static str, fields: &'static [Field]) -> Mapping {
    Mapping { title, about, fields, vm: false }
}

/// `cluster-config.yaml`
pub(super) static CONFIG: Mapping = mapping(
    "cluster-config.yaml",
    "Looked for upwards from the documents, then from the working directory, or named with \
     `--config`. Its folder is where `state` lives. Without one, VMIDs are taken from 1000-9999 and \
     node names are not checked.",
    &[
        field("cluster", Form::Mapping(&CLUSTER), "the cluster and its nodes"),
        field("defaults", Form::Mapping(&DEFAULTS), "values of guests whose documents say none"),
        field("vmid_ranges", Form::Mapping(&RANGES), "which VMIDs are for what"),
        field(
            "credentials",
            Form::Mapping(&CREDENTIALS),
            "where credentials are, never themselves",
        ),
        field("tags", Named("name", ".+", &TAGS), "named lists: `templates`, `cloudinit`, `talos`"),
        field(
            "cloudinit",
            Form::Mapping(&CLOUDINIT_CONFIG),
            "first boot of guests that say nothing",
        ),
        field("ansible", Form::Mapping(&ANSIBLE), "read, not used yet"),
        field("talos", Form::Mapping(&TALOS_CONFIG), "read, not used yet"),
        field("tls", Form::Mapping(&TLS), "what the nodes' certificates are checked against"),
        variables(),
    ],
);

static CLUSTER: Mapping = mapping(
    "cluster",
    "",
    &[
        field("name", TEXT, "name for people"),
        field("nodes", List(&Form::Mapping(&NODE)), "its nodes; documents may name no other"),
    ],
);

static NODE: Mapping = mapping(
    "a node of the cluster",
    "",
    &[
        field("name", NAME, "its name in Proxmox VE").required(),
        field("host", Text("DNS name or address, with or without port"), "endpoint of the API")
            .required()
            .default("port 8006"),
        field("ssh_port", Form::Shape(Integer(1, 65_535)), "port of its SSH")
            .default("what `ssh` takes"),
        field("fingerprint", FINGERPRINT, "certificate of this node, pinned"),
    ],
);

static DEFAULTS: Mapping = Mapping {
    title: "defaults",
    about: "A clone keeps its template's hardware: `bios`, `machine`, `scsihw` and the EFI disk of \
            the defaults of a configuration are for guests without a template.",
    vm: true,
    fields: &[
        field("network_bridge", NAME, "bridge of `net0`, and of every listed network without one"),
        field("guest_agent", BOOL, "another name of `agent`"),
        field("efidisk_pre_enrolled_keys", BOOL, "guests without template, with OVMF only"),
        include(),
        placement(),
        apply_changes(),
    ],
};

static VARIABLE: Mapping = mapping(
    "a variable",
    "",
    &[
        field(
            "type",
            Form::Shape(Word(&["text", "number", "bool", "list"])),
            "what values look like",
        )
        .default("that of its default"),
        field("default", Either(&[TEXT, TEXTS]), "its value when nobody gives one"),
        field("description", TEXT, "for people"),
        field("required", BOOL, "`false`: it need not have a value"),
        field("sensitive", BOOL, "never shown; for cloud-init files and passwords only"),
        field("allowed", TEXTS, "all values that it may have"),
    ],
);

static RANGES: Mapping = mapping(
    "vmid_ranges",
    "",
    &[
        field("vms", Text("1000-9999"), "VMIDs of guests, both ends included").default("1000-9999"),
        field("templates", Text("100-999"), "VMIDs of templates, never members"),
    ],
);

static CREDENTIALS: Mapping = mapping(
    "credentials",
    "",
    &[
        field("pass_path", TEXT, "entry of `pass`: token id, then secret"),
        field("token_file", PATH, "file with the same two lines"),
        field("ssh_user", TEXT, "user for SSH to the nodes").default("root"),
    ],
);

static CLOUDINIT_CONFIG: Mapping = mapping(
    "cloudinit",
    "",
    &[
        field("default_user", TEXT, "login"),
        field("ssh_keys_source", PATH, "file of OpenSSH public keys; a warning when it is missing"),
        field("vendor_snippet_path", TEXT, "vendor data (`local:snippets/vendor.yaml`)"),
    ],
);

static ANSIBLE: Mapping = mapping(
    "ansible",
    "",
    &[
        field("fleet_infra_path", PATH, "folder of the playbooks"),
        field("inventory", TEXT, "relative to it"),
    ],
);

static TALOS_CONFIG: Mapping = mapping(
    "talos",
    "",
    &[
        field("default_extensions", TEXTS, "system extensions"),
        field("factory_base_url", TEXT, "image factory"),
        field("default_kubernetes_version", TEXT, "Kubernetes version"),
        field("interface_name", TEXT, "network interface inside the guests"),
    ],
);

static TLS: Mapping = mapping(
    "tls",
    "",
    &[
        field("ca_file", PATH, "PEM file of the authority of the nodes' certificates"),
        field("fingerprints", List(&FINGERPRINT), "certificates that are trusted"),
    ],
);

/// A cluster profile.
pub(super) static PROFILE: Mapping = mapping(
    "a cluster profile",
    "Every guest gets the profile's tags, the tag of its role (`controlplane`; `worker` for \
     `workers`; else the group's name) and the mark `pvx-<profile>`.",
    &[
        field("kind", Form::Shape(Word(&["cluster"])), "says outright what the document is"),
        field("name", NAME, "the file's name without ending (in a file of one document); not `vm`")
            .required(),
        field(
            "type",
            Form::Shape(Word(&["talos", "generic"])),
            "`generic` guests get a cloud-init drive, user and keys; `talos` guests none of them",
        )
        .required(),
        field("template", TEMPLATE, "VMID or name of what guests are cloned from").required(),
        field("tags", TAGS, "on every guest; one of them must be this profile's alone").required(),
        field(
            "nodes",
            Named("group", "[a-z0-9-]+", &Form::Mapping(&GROUP)),
            "groups; `controlplane` is one",
        )
        .required(),
        field("clone", CLONE, "of groups that say none").default("`full`"),
        field("storage", NAME, "of groups that say none").default("`defaults.storage`"),
        field("defaults", Form::Mapping(&DEFAULTS), "VM keys of all groups"),
        include(),
        variables(),
        field("moved", List(&Form::Mapping(&MOVED)), "guests that were renamed in the documents"),
        field("network", Form::Mapping(&NETWORK), "addresses around the guests"),
        field("talos", Form::Mapping(&TALOS), "read, not used yet"),
        field("flux", Form::Mapping(&FLUX), "what the cluster is fed from"),
    ],
);

/// A file that `include` names, as it is written.
pub(super) static INCLUDED: Mapping = Mapping {
    title: "an included file",
    about: "What `include` names; its own `variables`, too. It is no document.",
    vm: true,
    fields: &[placement(), apply_changes(), include()],
};

static MOVED: Mapping = mapping(
    "an item of moved",
    "",
    &[
        field("from", TEXT, "former name in the profile, or former address").required(),
        field("to", NAME, "name now").required(),
    ],
);

static NETWORK: Mapping = mapping(
    "network",
    "",
    &[
        field("api_endpoint", TEXT, "host or address, with or without port; checked for its shape"),
        field("pod_cidr", Text("CIDR"), "must not overlap another"),
        field("service_cidr", Text("CIDR"), "must not overlap another"),
        field("gateway", ADDRESS, "gateway of assigned addresses of the same family"),
        field("prefix", Form::Shape(Integer(1, 128)), "prefix length of addresses without one")
            .default("24, for IPv6 64"),
        field("nameservers", ADDRESSES, "DNS of guests that give none"),
        field("searchdomain", TEXT, "DNS search domain of guests that give none"),
    ],
);

static TALOS: Mapping = mapping(
    "talos",
    "",
    &[
        field("version", TEXT, "read, not used yet"),
        field("kubernetes_version", TEXT, "read, not used yet"),
        field("config_dir", TEXT, "read, not used yet"),
        field("secrets_file", TEXT, "read, not used yet"),
        field("patches_dir", TEXT, "read, not used yet"),
        field("factory", Form::Mapping(&FACTORY), "read, not used yet"),
        field("vip", Form::Mapping(&VIP), "a guest with the same address is a warning"),
    ],
);

static FACTORY: Mapping = mapping(
    "talos.factory",
    "",
    &[
        field("schematic_id", TEXT, "read, not used yet"),
        field("extensions", TEXTS, "read, not used yet"),
    ],
);

static VIP: Mapping = mapping(
    "talos.vip",
    "",
    &[field("interface", TEXT, "read, not used yet"), field("ip", ADDRESS, "the virtual address")],
);

static FLUX: Mapping = mapping(
    "flux",
    "",
    &[
        field("repo", TEXT, "repository; two profiles must not have one path in it"),
        field("path", TEXT, "path in it"),
        field("branch", TEXT, "branch"),
    ],
);

static GROUP: Mapping = Mapping {
    title: "a node group",
    about: "",
    vm: true,
    fields: &[
        field("count", Form::Shape(Integer(0, 1000)), "how many guests; `controlplane` 1 or more")
            .default("number of assignments"),
        field("name_prefix", NAME, "names are the prefix and 01, 02, …")
            .default("`cp`, `worker`, else the group's name"),
        field("start_vmid", VMID_OR_AUTO, "VMIDs count from here; `auto`: the lowest free ones")
            .default("`auto`"),
        placement(),
        apply_changes(),
        include(),
        field("start_ip", START_IP, "address of the first guest, the others count up"),
        field(
            "for_each",
            FOR_EACH,
            "names in place of a count; a mapping gives each its own VM keys",
        ),
        field("assignments", List(&Form::Mapping(&ASSIGNMENT)), "one for each guest, or none"),
        field("depends_on", List(&NAME), "groups whose guests are started first"),
    ],
};

static ASSIGNMENT: Mapping = Mapping {
    title: "an assignment",
    about: "Each key is optional and wins over what the group says.",
    vm: true,
    fields: &[
        field("name", NAME, "the guest's name"),
        field("node", NAME, "the node it is made on"),
        field("vmid", VMID, "its VMID"),
        field("ip", Text("address, with or without prefix"), "of `net0`"),
        field("mac", MAC, "of `net0`"),
        field("moved", TEXT, "former name in the profile, or former address"),
        placement(),
        apply_changes(),
        include(),
    ],
};

/// A standalone VM.
pub(super) static STANDALONE: Mapping = Mapping {
    title: "a standalone VM spec",
    about: "It gets a cloud-init drive, `default_user` and the default keys when it says \
            `cloudinit` or `ip`.",
    vm: true,
    fields: &[
        field("kind", Form::Shape(Word(&["vm"])), "says outright what the document is"),
        field("name", NAME, "name in Proxmox VE; the address is `vm/<name>`").required(),
        field("vmid", VMID_OR_AUTO, "its VMID").default("`auto`"),
        field("node", NAME, "the node it is made on"),
        placement(),
        apply_changes(),
        include(),
        variables(),
        field("moved", TEXT, "former name, or former address"),
        field("count", Form::Shape(Integer(0, 1000)), "several VMs; `{index}` stands in the name"),
        field("for_each", FOR_EACH, "several VMs by key; `{each}` stands in the name"),
        field("start_vmid", VMID_OR_AUTO, "with `count` or `for_each`: VMIDs count from here"),
        field("start_ip", START_IP, "with `count` or `for_each`: addresses count from here"),
        field(
            "template",
            TEMPLATE,
            "without one, disks are created empty and need sizes; `disk` is then `scsi0`",
        ),
        field(
            "ip",
            Text("address, with or without prefix"),
            "of `net0`; short for `cloudinit.ipconfig.0`",
        ),
        field("mac", MAC, "of `net0`"),
        field("gateway", ADDRESS, "gateway of `ip`"),
        field("prefix", Form::Shape(Integer(1, 128)), "prefix length of `ip`")
            .default("24, for IPv6 64"),
        field("nameservers", ADDRESSES, "DNS servers"),
        field("searchdomain", TEXT, "DNS search domain"),
        field(
            "depends_on",
            List(&Text("address of a guest")),
            "started first; must be in the documents of the run",
        ),
    ],
};

/// The keys of a VM that are not in [`KEYS`](super::KEYS).
pub(super) static VM: Mapping = mapping(
    "VM keys",
    "In groups and standalone VMs.",
    &[
        field("storage", NAME, "storage of new disks and full clones")
            .default("the profile's, then `defaults.storage`"),
        field("disk", Size("GiB"), "size of the boot disk; grows, never shrinks"),
        field(
            "disks",
            Named(
                "slot",
                "(scsi|virtio|sata|ide)[0-9]+",
                &Either(&[Size("GiB"), Form::Mapping(&DISK)]),
            ),
            "`scsi0`-`scsi30`, `virtio0`-`virtio15`, `sata0`-`sata5`, `ide0`-`ide3`",
        ),
        field(
            "cdroms",
            Named("slot", "(scsi|sata|ide)[0-9]+", &MEDIUM),
            "what is in the drive; `scsi0`-`scsi30`, `sata0`-`sata5`, `ide0`-`ide3`",
        ),
        field("efidisk0", Form::Mapping(&EFIDISK), "OVMF's variables"),
        field("tpmstate0", Form::Mapping(&TPMSTATE), "the TPM's state"),
        field(
            "networks",
            Named("slot", "net[0-9]+", &Either(&[NAME, Form::Mapping(&NIC_MAPPING)])),
            "a bridge, or a mapping; `net0`-`net31`",
        ),
        field("cloudinit", Form::Mapping(&CLOUDINIT), "what the guest is told at its first boot"),
        field("tags", TAGS, "compared as a set"),
        field("scsi_controller", SCSIHW, "another name of `scsihw`"),
        field("clone", CLONE, "a copy of its own, or one that shares the template's base")
            .default("the profile's, then `full`"),
        field("power", POWER, "`unmanaged`: left as it is, and not started when it is made")
            .default("what `ha` says, then `running`"),
        field("pool", NAME, "its pool, which must be there; pools in pools as `a/b`"),
        field("ha", Either(&[HA_STATE, Form::Mapping(&HA)]), "high availability of Proxmox VE 9"),
        field(
            "raw",
            Named("key", "[A-Za-z0-9][A-Za-z0-9_.-]*", &TEXT),
            "keys, or single properties (`net0.host-tunnel`), that pvx does not know; compared as text",
        ),
    ],
);

static HA: Mapping = mapping(
    "ha",
    "",
    &[
        field("state", HA_STATE, "what the HA manager sees to").default("`started`"),
        field("max_restart", Form::Shape(Integer(0, 1000)), "tries to start it on its node")
            .default("1"),
        field("max_relocate", Form::Shape(Integer(0, 1000)), "tries on other nodes").default("1"),
        field("failback", BOOL, "goes back to the best node when that returns").default("`true`"),
        field("comment", TEXT, "for people"),
        field(
            "nodes",
            Either(&[List(&NAME), Named("node", "[A-Za-z0-9-]+", &Form::Shape(Integer(0, 1000)))]),
            "where it should run; the higher the number, the better",
        ),
        field("strict", BOOL, "on no other node; needs `nodes`").default("`false`"),
        field(
            "affinity",
            Form::Shape(Word(&["together", "apart"])),
            "groups only: one node, or each its own",
        ),
    ],
);

const VOLUME: Form = Text("volume");
const MEDIUM: Form = Either(&[Form::Shape(Word(&["none", "cdrom"])), VOLUME]);

static EFIDISK: Mapping = mapping(
    "an EFI disk",
    "Made when it is missing; later only its storage can be changed.",
    &[
        field("storage", NAME, "where it lies; said here, it is moved there")
            .default("the guest's"),
        field("efitype", Form::Shape(Word(&["2m", "4m"])), "size of the variables' store")
            .default("`4m` when it is made"),
        field("pre-enrolled-keys", BOOL, "keys of distributions and Microsoft are enrolled")
            .default("`defaults.efidisk_pre_enrolled_keys`"),
        field(
            "ms-cert",
            Form::Shape(Word(&["2011", "2023", "2023w", "2023k"])),
            "which Microsoft certificates are enrolled",
        ),
    ],
);

static TPMSTATE: Mapping = mapping(
    "a TPM state",
    "Made when it is missing; later only its storage can be changed, and not while the guest runs.",
    &[
        field("storage", NAME, "where it lies; said here, it is moved there")
            .default("the guest's"),
        field("version", Form::Shape(Word(&["v1.2", "v2.0"])), "version of the TPM")
            .default("`v2.0` when it is made"),
    ],
);

static DISK: Mapping = Mapping {
    title: "a disk",
    about: "",
    vm: false,
    fields: &[
        field("size", Size("GiB"), "grows, never shrinks"),
        field("storage", NAME, "where it lies; said here, it is moved there")
            .default("the guest's"),
        field(
            "format",
            Form::Shape(Word(&["raw", "qcow2", "vmdk"])),
            "on storages that know several; it is moved into it",
        ),
        field("import_from", VOLUME, "what a new disk is filled from; read once"),
        field("keep", BOOL, "it outlives its guest, and comes back with it"),
        field(
            "on_removal",
            Form::Shape(Word(&["detach", "erase"])),
            "what becomes of its bytes when it leaves the document",
        )
        .default("`detach`"),
    ],
};

static NIC_MAPPING: Mapping = Mapping {
    title: "a network device",
    about: "",
    vm: false,
    fields: &[
        field("bridge", NAME, "bridge or VNet").default("`defaults.network_bridge`"),
        field(
            "model",
            Form::Shape(Word(&[
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
            ])),
            "device",
        )
        .default("`virtio` when it is made"),
        field("mac", MAC, "kept as it is unless it is said"),
    ],
};

static CLOUDINIT: Mapping = mapping(
    "cloudinit",
    "",
    &[
        field("user", TEXT, "login").default("`cloudinit.default_user`"),
        field("ssh_keys", List(&Text("OpenSSH public key")), "who may log in")
            .default("`cloudinit.ssh_keys_source`"),
        field("password", Form::Mapping(&PASSWORD), "where the login's password is, never itself"),
        field("upgrade", BOOL, "upgrade packages at the first boot").default("`true`"),
        field(
            "type",
            Form::Shape(Word(&["nocloud", "configdrive2", "opennebula"])),
            "format of the drive",
        )
        .default("`nocloud`, for Windows `configdrive2`"),
        field("cicustom", Form::Mapping(&CICUSTOM), "snippets that are there already"),
        field("user_data", PATH, "template of the user data"),
        field("network_data", PATH, "template of the network data"),
        field("meta_data", PATH, "template of the meta data"),
        field("vendor_data", PATH, "template of the vendor data"),
        field("snippets", NAME, "storage that rendered templates are written to")
            .default("`local`"),
        field("nameservers", ADDRESSES, "DNS servers").default("the profile's `network`"),
        field("searchdomain", TEXT, "DNS search domain").default("the profile's `network`"),
        field(
            "ipconfig",
            Named(
                "number",
                "[0-9]+",
                &Either(&[Form::Shape(Word(&["dhcp"])), Form::Mapping(&IPCONFIG)]),
            ),
            "address of `net<number>`",
        ),
    ],
);

static PASSWORD: Mapping = mapping(
    "password",
    "One of the four, and a version.",
    &[
        field("env", TEXT, "variable of the environment"),
        field("file", PATH, "file"),
        field("pass", TEXT, "entry of `pass`"),
        field("var", TEXT, "variable of documents"),
        field(
            "version",
            Form::Shape(Integer(1, 4_294_967_295)),
            "raise it when the password changed",
        ),
    ],
);

static CICUSTOM: Mapping = mapping(
    "cicustom",
    "",
    &[
        field("user", Text("STORAGE:snippets/FILE"), "user data"),
        field("network", Text("STORAGE:snippets/FILE"), "network data"),
        field("meta", Text("STORAGE:snippets/FILE"), "meta data"),
        field("vendor", Text("STORAGE:snippets/FILE"), "vendor data")
            .default("`cloudinit.vendor_snippet_path`"),
    ],
);

static IPCONFIG: Mapping = mapping(
    "ipconfig",
    "",
    &[
        field("ip", Text("address with prefix, or dhcp"), "IPv4"),
        field("gw", ADDRESS, "IPv4 gateway"),
        field("ip6", Text("address with prefix, dhcp or auto"), "IPv6"),
        field("gw6", ADDRESS, "IPv6 gateway"),
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
