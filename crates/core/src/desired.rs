//! What the documents ask for, with every name, number and default resolved: the input of the
//! planner. Nothing here knows the live cluster.
//!
//! Absent means not managed (law 5): an `Option` that is `None` is neither read nor written.

mod ha;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::diagnostic::{Span, Spanned};
use crate::secret::Password;
use crate::snippet::{Extra, Part, Template};

pub use ha::{Affinity, Ha, HaState};

/// Everything one run manages.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    /// What `cluster-config.yaml` says of the cluster.
    pub scope: Scope,
    /// Profiles and standalone VMs, in document order.
    pub profiles: Vec<Profile>,
    /// VMIDs that documents beside these claim: not taken for a guest with an `auto` one.
    pub claimed: BTreeSet<u32>,
}

impl Desired {
    /// All guests of all profiles, in document order.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.profiles.iter().flat_map(|profile| profile.guests.iter())
    }

    /// The keys under which state and journals of these guests are kept: those of the profiles,
    /// and of profiles that guests were moved out of.
    pub fn state_keys(&self) -> BTreeSet<String> {
        let own = self.profiles.iter().map(|profile| profile.key().to_owned());
        let moved = self.guests().filter_map(|guest| guest.moved_from.as_ref());
        own.chain(moved.map(Address::key)).collect()
    }
}

/// The part of `cluster-config.yaml` that planning needs.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// `cluster.name`; for people, never an identity.
    pub cluster: Option<String>,
    /// Node names that documents may use; empty without a configuration: then any live node.
    pub nodes: Vec<Spanned<String>>,
    /// `vmid_ranges.vms`: where VMIDs are taken from, both ends included.
    pub vms: VmidRange,
    /// `vmid_ranges.templates`: guests in it are never members, whatever they carry.
    pub templates: Option<VmidRange>,
    /// `preflight.overcommit`
    pub overcommit: Overcommit,
}

/// How much of storages and memory may be promised, as a multiple of what is there: more is an
/// error. Without a ratio more than there is is a warning.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Overcommit {
    /// Bytes of storages.
    pub storage: Option<f64>,
    /// Memory of nodes.
    pub memory: Option<f64>,
}

/// VMIDs `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmidRange {
    /// Lowest VMID, 100 at least.
    pub first: u32,
    /// Highest VMID, 999999999 at most.
    pub last: u32,
    /// Where it is said.
    pub span: Option<Span>,
}

impl VmidRange {
    /// Is `vmid` inside?
    pub fn contains(&self, vmid: u32) -> bool {
        (self.first..=self.last).contains(&vmid)
    }
}

impl Default for VmidRange {
    /// 1000-9999, the range of the configuration's documentation.
    fn default() -> Self {
        Self { first: 1000, last: 9999, span: None }
    }
}

/// What kind of document guests come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProfileKind {
    /// `type: talos`: cloud-init user and keys are not used.
    Talos,
    /// `type: generic`.
    Generic,
    /// A standalone VM spec: a profile of one.
    Vm,
}

/// A cluster profile, or a standalone VM as a profile of one.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The profile's name; for a standalone VM its own name.
    pub name: String,
    /// Kind of document.
    pub kind: ProfileKind,
    /// The tag that marks members in the one read of `/cluster/resources`: `pvx-k3s`, and for a
    /// standalone VM `pvx-vm.gitea` (a dot cannot occur in a profile's name).
    pub mark: String,
    /// Where the name is said.
    pub span: Span,
    /// Its guests: `controlplane` first, `workers` next, further groups in document order.
    pub guests: Vec<Guest>,
}

impl Profile {
    /// The key under which state and journal are kept: `k3s`, `vm.gitea`.
    pub fn key(&self) -> &str {
        self.mark.strip_prefix("pvx-").unwrap_or(&self.mark)
    }
}

/// One guest that must exist.
#[derive(Debug, Clone)]
pub struct Guest {
    /// `k3s/worker02`, `vm/gitea`.
    pub address: Address,
    /// Group inside the profile (`controlplane`, `workers`, …); empty for a standalone VM.
    pub group: String,
    /// Which VMID it gets.
    pub vmid: VmidRequest,
    /// Which node it gets.
    pub placement: Placement,
    /// What it is made from.
    pub origin: Origin,
    /// Its configuration.
    pub spec: GuestSpec,
    /// Addresses it must exist and run before this one is started (`depends_on`, resolved).
    pub after: BTreeSet<Address>,
    /// What it should be doing.
    pub power: Power,
    /// Its placement is kept: moved by hand or by the HA manager, it is brought back.
    pub pinned: bool,
    /// The address it had before it was renamed in the documents (`moved:`).
    pub moved_from: Option<Address>,
    /// What may happen to it now so that changes take effect; the run's own choice without it.
    pub apply_changes: Option<ApplyChanges>,
    /// It is neither removed nor made anew.
    pub prevent_destroy: bool,
    /// What becomes of it when its making fails.
    pub on_failure: OnFailure,
    /// Where the guest is said: its assignment, else its group, else the document's name.
    pub span: Span,
    /// Where single values are said, by path inside the guest (`cores`, `disks.scsi1.size`).
    pub places: BTreeMap<String, Span>,
}

impl Guest {
    /// Where `path` is said, or the guest itself.
    pub fn place(&self, path: &str) -> Span {
        self.places.get(path).copied().unwrap_or(self.span)
    }
}

/// How a guest's VMID is chosen when it does not exist yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VmidRequest {
    /// Exactly this one: an assignment, or `start_vmid` plus the guest's index.
    Fixed(u32),
    /// The lowest free one of `vmid_ranges.vms`.
    Auto,
}

/// How a guest's node is chosen when it does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// This node; a live guest elsewhere is migrated.
    Node(String),
    /// Round robin over the nodes; a live guest stays where it is.
    Spread,
    /// As few nodes as possible; a live guest stays where it is.
    Pack,
}

/// What a guest is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A clone of a template.
    Template {
        /// Which template.
        template: TemplateRef,
        /// Linked or full.
        clone: CloneMode,
    },
    /// Created with empty disks.
    Empty,
}

/// A template by VMID or by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateRef {
    /// `template: 101`
    Vmid(u32),
    /// `template: debian-13`
    Name(String),
}

impl std::fmt::Display for TemplateRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Vmid(vmid) => write!(f, "{vmid}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// How a template is cloned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloneMode {
    /// A copy of its own: the template may go. The default.
    Full,
    /// Shares the template's base volume; falls back to full, and says so, where the storage
    /// cannot be reached from the guest's node.
    Linked,
}

/// Wanted power state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Started when created or found stopped.
    Running,
    /// Shut down when found running.
    Stopped,
    /// Left as it is; not started when created.
    Unmanaged,
}

/// What may happen to a running guest now, so that changes take effect. What may not stays pending
/// and is reported.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ApplyChanges {
    /// A running guest is left as it is: only what no guest can notice is written (name, notes,
    /// tags and the like).
    Manual,
    /// What takes effect at once; the rest is written and waits for the next cold boot.
    #[default]
    Live,
    /// The guest is rebooted, or shut down and started again, where a change needs it.
    Reboot,
}

/// What becomes of a guest whose making fails half-way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// It stays as it is, and the next apply goes on with it.
    #[default]
    Keep,
    /// What the run made of it is removed again.
    Destroy,
}

impl OnFailure {
    /// Is it what documents that do not say it mean?
    pub fn is_keep(&self) -> bool {
        *self == Self::Keep
    }
}

/// The configuration a document asks for, in the document's terms. `provider-pve` knows how
/// Proxmox spells it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GuestSpec {
    /// Guest tags: the profile's, the role's, and the ownership mark. Compared as a set.
    pub tags: BTreeSet<String>,
    /// Keys of the table in [`schema`](crate::schema), by Proxmox's name with its number.
    pub settings: BTreeMap<String, Setting>,
    /// Keys, or single properties of keys (`net0.host-tunnel`), that pvx knows nothing of: written
    /// as they stand and compared as text.
    pub raw: BTreeMap<String, String>,
    /// EFI vars disk, wanted when the guest is made with OVMF; `true`: with Microsoft keys
    /// pre-enrolled.
    pub efidisk_pre_enrolled_keys: Option<bool>,
    /// Storage for new disks and for a full clone.
    pub storage: Option<String>,
    /// Size of the boot disk in bytes; which slot that is, the template's boot order says.
    pub boot_disk: Option<u64>,
    /// Disks by slot (`scsi0`, `virtio1`, `sata0`, `ide3`).
    pub disks: BTreeMap<String, Disk>,
    /// CD-ROM drives by slot: `none`, `cdrom` (the node's own), or a volume (`local:iso/x.iso`).
    pub cdroms: BTreeMap<String, String>,
    /// The disk of OVMF's variables, where documents say it (`efidisk0`).
    pub efidisk: Option<EfiDisk>,
    /// The TPM's state (`tpmstate0`).
    pub tpmstate: Option<TpmState>,
    /// Network devices by slot (`net0`).
    pub networks: BTreeMap<String, Network>,
    /// Cloud-init.
    pub cloudinit: CloudInit,
    /// The pool it is a member of.
    pub pool: Option<String>,
    /// High availability.
    pub ha: Option<Ha>,
}

impl GuestSpec {
    /// The value of a key that holds one, or of a property string's property (`cpu.cputype`).
    pub fn text(&self, path: &str) -> Option<&str> {
        let (key, property) = path.split_once('.').map_or((path, None), |(k, p)| (k, Some(p)));
        match (self.settings.get(key)?, property) {
            (Setting::Value(value), None) => Some(value),
            (Setting::Properties(properties), Some(name)) => {
                properties.get(name).map(String::as_str)
            }
            _ => None,
        }
    }

    /// The same, as a number.
    pub fn number<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.parse().ok()
    }

    /// Memory in MiB.
    pub fn memory(&self) -> Option<u64> {
        self.number("memory")
    }

    /// vCPUs of all sockets, when documents say any of the two.
    pub fn cpus(&self) -> Option<u32> {
        let (cores, sockets) = (self.number::<u32>("cores"), self.number::<u32>("sockets"));
        cores.or(sockets).map(|_| cores.unwrap_or(1).saturating_mul(sockets.unwrap_or(1)))
    }

    /// Sets a key that holds one value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.settings.insert(key.to_owned(), Setting::Value(value.into()));
    }

    /// Sets one property of a key.
    pub fn set_property(&mut self, key: &str, property: &str, value: impl Into<String>) {
        let entry = self.settings.entry(key.to_owned());
        let setting = entry.or_insert_with(|| Setting::Properties(BTreeMap::new()));
        if let Setting::Properties(properties) = setting {
            properties.insert(property.to_owned(), value.into());
        }
    }
}

/// What documents say of one key, in Proxmox's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// One value.
    Value(String),
    /// Properties of a property string, by name; what documents do not say of it stays as it is.
    Properties(BTreeMap<String, String>),
}

impl Setting {
    /// Its one value, or those of its properties.
    pub fn values(&self) -> impl Iterator<Item = &String> {
        let (one, several) = match self {
            Self::Value(value) => (Some(value), None),
            Self::Properties(properties) => (None, Some(properties.values())),
        };
        one.into_iter().chain(several.into_iter().flatten())
    }
}

/// One disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Disk {
    /// Size in bytes.
    pub size: Option<u64>,
    /// Storage, when not the guest's. A disk that is there is moved to it.
    pub storage: Option<String>,
    /// `raw` or `qcow2`, for storages that know formats.
    pub format: Option<String>,
    /// Volume that the disk is filled from when it is made (`local:import/x.qcow2`).
    pub import_from: Option<String>,
    /// The disk outlives its guest: it is kept when the guest goes, and comes back with it.
    pub keep: bool,
    /// Its bytes go when documents no longer name it; otherwise it is detached and they stay.
    pub erase: bool,
    /// Further options as Proxmox names them (`discard: on`, `ssd: 1`, `iothread: 1`, `cache`).
    pub options: BTreeMap<String, String>,
}

/// The disk of OVMF's variables. Only its storage can be changed once it is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EfiDisk {
    /// Storage, when not the guest's.
    pub storage: Option<String>,
    /// `2m` or `4m`.
    pub efitype: Option<String>,
    /// Distribution and Microsoft keys are enrolled when it is made.
    pub pre_enrolled_keys: Option<bool>,
    /// Which Microsoft certificates are enrolled (`2011`, `2023k`).
    pub ms_cert: Option<String>,
}

/// The TPM's state. Only its storage can be changed once it is there, and not while it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TpmState {
    /// Storage, when not the guest's.
    pub storage: Option<String>,
    /// `v1.2` or `v2.0`.
    pub version: Option<String>,
}

/// One network device.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Device model (`virtio` when a device is made).
    pub model: Option<String>,
    /// Bridge (`vmbr0`).
    pub bridge: Option<String>,
    /// MAC address, upper case with colons.
    pub mac: Option<String>,
    /// Further properties as Proxmox names and spells them (`tag: 20`, `firewall: 1`).
    pub options: BTreeMap<String, String>,
}

impl Network {
    /// The same with one more property, in Proxmox's names and spelling.
    #[must_use]
    pub fn with(mut self, property: &str, value: impl Into<String>) -> Self {
        self.options.insert(property.to_owned(), value.into());
        self
    }
}

/// Cloud-init settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CloudInit {
    /// The guest wants a cloud-init drive: one is added where the template has none.
    pub drive: bool,
    /// Login name.
    pub user: Option<String>,
    /// OpenSSH public keys, one a line.
    pub ssh_keys: Option<String>,
    /// Address configuration by NIC index.
    pub ipconfig: BTreeMap<u8, IpConfig>,
    /// DNS servers.
    pub nameservers: Vec<String>,
    /// DNS search domain.
    pub searchdomain: Option<String>,
    /// Password of the login (`cipassword`).
    pub password: Option<Password>,
    /// Upgrade packages at the first boot (`ciupgrade`).
    pub upgrade: Option<bool>,
    /// Format of the drive (`citype`): `nocloud`, `configdrive2`, `opennebula`.
    pub format: Option<String>,
    /// Snippets that are there already (`cicustom`), as `STORAGE:snippets/FILE`.
    pub custom: BTreeMap<Part, String>,
    /// Templates of files that pvx renders and writes.
    pub templates: BTreeMap<Part, Template>,
    /// Storage of the rendered files; [`crate::snippet::STORAGE`] without it.
    pub snippets: Option<String>,
    /// What templates may use beside what the guest itself says.
    pub extra: Extra,
}

/// IPv4 and IPv6 of one NIC. `dhcp` is a value of `ip`; `dhcp` and `auto` of `ip6`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpConfig {
    /// Address with prefix (`10.0.0.62/24`) or `dhcp`.
    pub ip: Option<String>,
    /// IPv4 gateway.
    pub gw: Option<String>,
    /// IPv6 address with prefix, `dhcp` or `auto`.
    pub ip6: Option<String>,
    /// IPv6 gateway.
    pub gw6: Option<String>,
}
