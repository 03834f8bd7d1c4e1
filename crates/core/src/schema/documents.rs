//! The mappings of documents, from the outside in; what is in a VM is in [`vm`](super::vm).

use super::Shape::{Boolean, Decimal, Integer, Word};
use super::document::{Field, Form, Mapping, field};
use super::vm::{CLOUD, MIGRATE, NEW_ONLY, OF_NETWORK, OPTIONS};

use Form::{Either, List, Named, Text};

pub(super) const BOOL: Form = Form::Shape(Boolean);
pub(super) const NAME: Form = Text("name");
pub(super) const TAGS: Form = List(&Text("tag"));
pub(super) const ADDRESS: Form = Text("address");
pub(super) const ADDRESSES: Form = List(&ADDRESS);
pub(super) const PATH: Form = Text("path");
pub(super) const TEXT: Form = Text("text");
const TEXTS: Form = List(&TEXT);
const FINGERPRINT: Form = Text("SHA-256");
pub(super) const MAC: Form = Text("MAC address");
const VMID: Form = Form::Shape(Integer(100, 999_999_999));
const VMID_OR_AUTO: Form = Either(&[VMID, Form::Shape(Word(&["auto"]))]);
const TEMPLATE: Form = Either(&[VMID, NAME]);
pub(super) const CLONE: Form = Form::Shape(Word(&["full", "linked"]));
const PLACEMENT: Form = Form::Shape(Word(&["spread", "pack", "pinned"]));
const APPLY_CHANGES: Form = Form::Shape(Word(&["live", "reboot", "manual"]));
const ON_FAILURE: Form = Form::Shape(Word(&["keep", "destroy"]));
const INCLUDE: Form = List(&PATH);
const TIME_ZONE: Form = Text("name of the IANA database");
const CLOCK: Form = Text("22:00");
const DAY: Form = Form::Shape(Word(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"]));
const EXPRESSION: Form = Text("CEL");
const VARIABLES: Form =
    Named("name", "[A-Za-z_][A-Za-z0-9_]*", &Either(&[Form::Mapping(&VARIABLE), TEXT]));
const FOR_EACH: Form =
    Either(&[List(&NAME), Named("name", "[a-z0-9-]+", &Form::Mapping(&ASSIGNMENT))]);
const RATIO: Form = Form::Shape(Decimal(0, 1000));
const COUNT: Form = Form::Shape(Integer(1, 1000));
const START_IP: Form = Text("address with prefix");

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

const fn prevent_destroy() -> Field {
    field("prevent_destroy", BOOL, "`true`: it is neither removed nor made anew").default("`false`")
}

const fn on_failure() -> Field {
    field("on_failure", ON_FAILURE, "what becomes of a guest whose making failed").default("`keep`")
}

const fn placement() -> Field {
    field(
        "placement",
        PLACEMENT,
        "round robin over the nodes, as few nodes as possible, or kept on `node`",
    )
    .default("`spread`")
}

pub(super) const fn mapping(
    title: &'static str,
    about: &'static str,
    fields: &'static [Field],
) -> Mapping {
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
        field("policy", Form::Mapping(&POLICY), "what plans must not do (docs/how-to/policy.md)"),
        field("preflight", Form::Mapping(&PREFLIGHT), "what a plan may promise"),
        field("apply", Form::Mapping(&APPLY), "how much is done at once (docs/how-to/speed.md)"),
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
        prevent_destroy(),
        on_failure(),
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

static POLICY: Mapping = mapping(
    "policy",
    "",
    &[
        field(
            "max_destroy",
            Form::Shape(Integer(0, 1_000_000)),
            "how many guests one plan may destroy or replace",
        )
        .default("any number"),
        field("protected_tags", TAGS, "guests with one of them are neither destroyed nor replaced"),
        field("time_zone", TIME_ZONE, "clocks of windows, of `freeze` and of rules")
            .default("`UTC`"),
        field("windows", List(&Form::Mapping(&WINDOW)), "when changes are allowed")
            .default("always"),
        field("freeze", List(&Form::Mapping(&FREEZE)), "days on which they are not"),
        field("rules", List(&Form::Mapping(&RULE)), "rules of the organisation"),
        field("files", List(&PATH), "files with a list `rules`; the last part may have `*`"),
    ],
);

static WINDOW: Mapping = mapping(
    "a window",
    "",
    &[
        field("days", List(&DAY), "days on which it opens").default("every day"),
        field("from", CLOCK, "when it opens").required(),
        field("to", CLOCK, "when it closes: on the next day unless it is later than `from`")
            .required(),
        field("time_zone", TIME_ZONE, "its clocks").default("`policy.time_zone`"),
    ],
);

static FREEZE: Mapping = mapping(
    "a freeze",
    "",
    &[
        field("from", Text("2026-12-20"), "first day").required(),
        field("to", Text("2027-01-06"), "last day").required(),
        field("reason", TEXT, "for people"),
    ],
);

static RULE: Mapping = mapping(
    "a rule",
    "",
    &[
        field("name", NAME, "what messages call it").required(),
        field(
            "each",
            Form::Shape(Word(&["guest", "change", "plan"])),
            "asked about every guest of the documents, every change, or the plan once",
        )
        .default("`guest`"),
        field("when", EXPRESSION, "asked only where this holds"),
        field("check", EXPRESSION, "what must hold").required(),
        field("message", TEXT, "what is said otherwise; `{{ expression }}` is replaced"),
        field("severity", Form::Shape(Word(&["error", "warning"])), "`error`: nothing is applied")
            .default("`error`"),
        field("at", TEXT, "key of the guest that the message points at"),
    ],
);

/// A file that `policy.files` names.
pub(super) static POLICY_FILE: Mapping = mapping(
    "a policy file",
    "What `policy.files` names. It is no document.",
    &[field("rules", List(&Form::Mapping(&RULE)), "rules of the organisation").required()],
);

static PREFLIGHT: Mapping = mapping(
    "preflight",
    "",
    &[field("overcommit", Form::Mapping(&OVERCOMMIT), "how much may be promised")],
);

static OVERCOMMIT: Mapping = mapping(
    "overcommit",
    "Multiples of what is there. More is an error of the plan; without a ratio, more than there is \
     is a warning.",
    &[field("storage", RATIO, "bytes of storages"), field("memory", RATIO, "memory of nodes")],
);

static APPLY: Mapping = mapping(
    "apply",
    "Bounds of actions in flight. What Proxmox VE does one after the other is held back by itself.",
    &[
        field("parallel", COUNT, "in all; `--parallel` goes before").default("256"),
        field("per_node", COUNT, "asked at one node").default("64"),
        field(
            "per_storage",
            Either(&[COUNT, Named("storage", "[A-Za-z][A-Za-z0-9_.-]*", &COUNT)]),
            "working on one storage, copying included; of a storage that is not shared, on one \
             node. A number for all, or numbers by storage, where `default` is for all others",
        )
        .default("64; 16 of one that is not shared"),
        field("per_template", COUNT, "cloned from one template").default("64"),
        field(
            "lock_wait",
            Form::Shape(Integer(1, 8)),
            "seconds of work that may wait at the lock of a storage; Proxmox VE gives up after 10",
        )
        .default("3"),
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
    fields: &[placement(), apply_changes(), prevent_destroy(), on_failure(), include()],
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
        prevent_destroy(),
        on_failure(),
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
        field("name", NAME, "the guest's name").changes("name", OPTIONS),
        field("node", NAME, "the node it is made on").costs("migrate", MIGRATE),
        field("vmid", VMID, "its VMID").costs("only with `--replace`", "VM.Allocate"),
        field("ip", Text("address, with or without prefix"), "of `net0`")
            .changes("ipconfig0", CLOUD),
        field("mac", MAC, "of `net0`").changes("net0.macaddr", OF_NETWORK),
        field("moved", TEXT, "former name in the profile, or former address")
            .changes("name", "VM.Config.Options, VM.Config.HWType"),
        placement(),
        apply_changes(),
        prevent_destroy(),
        on_failure(),
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
        field("name", NAME, "name in Proxmox VE; the address is `vm/<name>`")
            .changes("name", OPTIONS)
            .required(),
        field("vmid", VMID_OR_AUTO, "its VMID")
            .costs("only with `--replace`", "VM.Allocate")
            .default("`auto`"),
        field("node", NAME, "the node it is made on").costs("migrate", MIGRATE),
        placement(),
        apply_changes(),
        prevent_destroy(),
        on_failure(),
        include(),
        variables(),
        field("moved", TEXT, "former name, or former address")
            .changes("name", "VM.Config.Options, VM.Config.HWType"),
        field("count", Form::Shape(Integer(0, 1000)), "several VMs; `{index}` stands in the name"),
        field("for_each", FOR_EACH, "several VMs by key; `{each}` stands in the name"),
        field("start_vmid", VMID_OR_AUTO, "with `count` or `for_each`: VMIDs count from here"),
        field("start_ip", START_IP, "with `count` or `for_each`: addresses count from here")
            .changes("ipconfig0", CLOUD),
        field(
            "template",
            TEMPLATE,
            "without one, disks are created empty and need sizes; `disk` is then `scsi0`",
        )
        .costs(NEW_ONLY, "VM.Clone on it, VM.Allocate"),
        field(
            "ip",
            Text("address, with or without prefix"),
            "of `net0`; short for `cloudinit.ipconfig.0`",
        )
        .changes("ipconfig0", CLOUD),
        field("mac", MAC, "of `net0`").changes("net0.macaddr", OF_NETWORK),
        field("gateway", ADDRESS, "gateway of `ip`").changes("ipconfig0", CLOUD),
        field("prefix", Form::Shape(Integer(1, 128)), "prefix length of `ip`")
            .changes("ipconfig0", CLOUD)
            .default("24, for IPv6 64"),
        field("nameservers", ADDRESSES, "DNS servers").changes("nameserver", CLOUD),
        field("searchdomain", TEXT, "DNS search domain").changes("searchdomain", CLOUD),
        field(
            "depends_on",
            List(&Text("address of a guest")),
            "started first; must be in the documents of the run",
        )
        .costs("none; the order of starts", ""),
    ],
};
