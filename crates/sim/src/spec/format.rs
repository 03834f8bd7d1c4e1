//! What may be written in a world file. The comments are the descriptions of the JSON schema.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::people::{AclSpec, GroupSpec, OperatorSpec, UserSpec};
use super::value::{Many, Size, Text, WordOr};
use crate::fault::Fault;
use crate::world::files::SshAccess;

/// A simulated Proxmox VE cluster. Everything is optional: without anything it is three nodes with
/// the storages of the world `lab` and no guests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WorldFile {
    /// The built-in world to start from, `lab` or `truth`; what is written here is added to it or
    /// changes it. Without it a cluster is made from nothing.
    pub(crate) from: Option<String>,
    /// Name of the cluster; `lab` without it.
    pub(crate) cluster: Option<String>,
    /// Domain of the nodes, for cloud-init's search list.
    pub(crate) domain: Option<String>,
    /// How many nodes (`pve1`, `pve2`, …), or a list of names or nodes. Three without it.
    pub(crate) nodes: Option<Many<WordOr<NodeSpec>, BTreeMap<String, NodeSpec>>>,
    /// Storages: by id, a type (`tank: zfspool`) or all of it; or a list of `ID:TYPE` and of ids
    /// of the world `lab` (`local`, `local-lvm`, `shared`). Without it those of `lab`.
    pub(crate) storages: Option<Many<String, BTreeMap<String, WordOr<StorageSpec>>>>,
    /// ISOs, images to import, snippets, backups, disks that no guest has: `STORAGE:VOLUME`, or
    /// all of it. Disks of guests need no entry.
    pub(crate) volumes: Vec<WordOr<VolumeSpec>>,
    /// Virtual machines.
    pub(crate) guests: Vec<GuestSpec>,
    /// Many nodes and guests that are alike.
    pub(crate) generate: Option<GenerateSpec>,
    /// Pools by name.
    pub(crate) pools: BTreeMap<String, PoolSpec>,
    /// Users by `name@realm`; `root@pam` is always there.
    pub(crate) users: BTreeMap<String, UserSpec>,
    /// Groups by name: members, or all of it.
    pub(crate) groups: BTreeMap<String, Many<String, GroupSpec>>,
    /// Roles of your own by name: their privileges.
    pub(crate) roles: BTreeMap<String, Vec<String>>,
    /// Who may do what where.
    pub(crate) acl: Vec<AclSpec>,
    /// The token that `pvx sim serve` prints and that opens `/sim`: `USER@REALM!TOKEN`, or with its
    /// secret. Without it `root@pam!pvx`.
    pub(crate) operator: Option<WordOr<OperatorSpec>>,
    /// High availability.
    pub(crate) ha: HaSpec,
    /// Devices and directories of nodes under one name, for `hostpciN`, `usbN` and `virtiofsN`.
    pub(crate) mappings: MappingsSpec,
    /// Options of the datacenter, as in `datacenter.cfg`.
    pub(crate) options: BTreeMap<String, Text>,
    /// Who may log in by SSH. Without it root may, by any key or password.
    pub(crate) ssh: Option<SshAccess>,
    /// What URLs answer that a node is told to fetch, by URL, beside some images that are known.
    pub(crate) urls: BTreeMap<String, UrlSpec>,
    /// Size of volume groups, pools and servers that no storage uses yet, by name.
    pub(crate) resources: BTreeMap<String, Size>,
    /// Tasks that ended before the simulator started: what its task lists begin with.
    pub(crate) tasks: Vec<TaskSpec>,
    /// Replication jobs: they are known, and never run.
    pub(crate) replication: Vec<ReplicationSpec>,
    /// Faults on demand.
    pub(crate) faults: Vec<Fault>,
    /// `/cluster/resources` lags 10 s behind, as on a real cluster.
    pub(crate) lag: Option<bool>,
}

/// A node.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NodeSpec {
    /// Host name.
    pub(crate) name: Option<String>,
    /// Number in the cluster, from 1; in the order of the file without it.
    pub(crate) id: Option<u32>,
    /// Address; of 192.0.2.0/24 without it.
    pub(crate) ip: Option<String>,
    /// Whether it runs; true without it.
    pub(crate) online: Option<bool>,
    /// Logical processors; 16 without it.
    pub(crate) cpus: Option<u32>,
    /// Memory; 64GiB without it.
    pub(crate) memory: Option<Size>,
    /// Size of the root file system; 100GiB without it.
    pub(crate) rootfs: Option<Size>,
    /// Bridges: names, or bridges; `vmbr0` without it.
    pub(crate) bridges: Option<Vec<WordOr<BridgeSpec>>>,
}

/// A replication job.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplicationSpec {
    /// The guest.
    pub(crate) guest: u32,
    /// The node that it is replicated to.
    pub(crate) target: String,
}

/// A Linux bridge.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BridgeSpec {
    /// Its name.
    pub(crate) name: String,
    /// Every VLAN passes (`bridge-vlan-aware`); without it a tag needs a port.
    pub(crate) vlan_aware: bool,
    /// Physical interfaces that are its ports; `eth0` of the node's first bridge, none of others
    /// without it.
    pub(crate) ports: Option<Vec<String>>,
}

/// A storage.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StorageSpec {
    /// Type as in `storage.cfg`: `dir`, `nfs`, `cifs`, `btrfs`, `lvm`, `lvmthin`, `zfspool`, `zfs`,
    /// `rbd`, `cephfs`, `iscsi`, `iscsidirect`, `pbs`, `esxi`. May be left out to change a storage
    /// that is there.
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// What it may hold: `images`, `rootdir`, `iso`, `vztmpl`, `import`, `snippets`, `backup`. All
    /// that the type can hold without it.
    pub(crate) content: Option<Vec<String>>,
    /// One content for all nodes. By nature for `nfs`, `rbd` and others.
    pub(crate) shared: Option<bool>,
    /// The nodes that have it; all without it.
    pub(crate) nodes: Option<Vec<String>>,
    /// Size; 1TiB when shared, else 100GiB.
    pub(crate) capacity: Option<Size>,
    /// Taken by what is no volume of it.
    pub(crate) reserved: Option<Size>,
    /// Directory, for `dir` and `btrfs`.
    pub(crate) path: Option<String>,
    /// Further properties of `storage.cfg`: `vgname`, `thinpool`, `pool`, `server`, `export`,
    /// `prune-backups`, `disable`. Those that a type demands are made up when they are not given.
    pub(crate) options: BTreeMap<String, Text>,
    /// The nodes from which it cannot be reached; `*` for all.
    pub(crate) unreachable: Option<Vec<String>>,
}

/// A volume.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VolumeSpec {
    /// `STORAGE:VOLUME`: `local:iso/debian.iso`, `shared:import/debian.qcow2`,
    /// `local-lvm:vm-100-disk-1`.
    pub(crate) volid: String,
    /// The nodes that have it, on a storage that is not shared; all that have the storage without
    /// it.
    pub(crate) nodes: Option<Vec<String>>,
    /// Size of the disk in it, or of the file; 1GiB without it.
    pub(crate) size: Option<Size>,
    /// What it takes of the storage; for a disk image a tenth of the size without it.
    pub(crate) used: Option<Size>,
    /// Format of a disk image, where the name does not tell.
    pub(crate) format: Option<String>,
    /// A guest that boots from it answers the power button and runs the guest agent.
    #[serde(default)]
    pub(crate) bootable: bool,
    /// Text of a snippet, or the guest's configuration in a backup.
    pub(crate) text: Option<String>,
    /// Checksums of the file by algorithm, lower-case hex.
    #[serde(default)]
    pub(crate) checksums: BTreeMap<String, String>,
    /// Notes of a backup.
    pub(crate) notes: Option<String>,
    /// A backup that is neither removed nor pruned.
    #[serde(default)]
    pub(crate) protected: bool,
}

/// A virtual machine.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GuestSpec {
    /// Id; the next free one from 100 without it.
    pub(crate) vmid: Option<u32>,
    /// Its node; the first without it.
    pub(crate) node: Option<String>,
    /// Name.
    pub(crate) name: Option<String>,
    /// Keys of the configuration, as `qm config` shows them. A disk is one that is named with its
    /// size (`local-lvm:vm-100-disk-0,size=32G`) or asked for as with `qm set` (`local-lvm:32`,
    /// `local-lvm:cloudinit`, `local-lvm:0,import-from=shared:import/debian.qcow2`).
    pub(crate) config: BTreeMap<String, Text>,
    /// Whether it runs.
    pub(crate) running: bool,
    /// Whether it is a template.
    pub(crate) template: bool,
    /// Whether a system is installed that answers the power button and runs the guest agent; true
    /// without it.
    pub(crate) bootable: Option<bool>,
    /// Its pool.
    pub(crate) pool: Option<String>,
}

/// Many nodes and guests that are alike.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GenerateSpec {
    /// So many nodes in all: those of `nodes`, then `pveN`.
    pub(crate) nodes: u32,
    /// What the nodes that are made have.
    pub(crate) node: NodeSpec,
    /// So many guests, spread over the nodes.
    pub(crate) guests: u32,
    /// The id of the first; 1000 without it.
    pub(crate) first_vmid: Option<u32>,
    /// Names are this, `-` and the id; `vm` without it.
    pub(crate) name: Option<String>,
    /// The share that runs, 0 to 1; 0.8 without it.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub(crate) running: Option<f64>,
    /// Where their disk is; the first storage for images without it.
    pub(crate) storage: Option<String>,
    /// Size of the disk; 8GiB without it.
    pub(crate) disk: Option<Size>,
    /// What the disk takes; nothing without it.
    pub(crate) used: Option<Size>,
    /// Further keys of their configuration.
    pub(crate) config: BTreeMap<String, Text>,
    /// So many pools (`pool1`, …) that share them.
    pub(crate) pools: u32,
}

/// A pool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PoolSpec {
    /// Comment.
    pub(crate) comment: String,
    /// Its guests, by id.
    pub(crate) guests: Vec<u32>,
    /// Its storages.
    pub(crate) storages: Vec<String>,
}

/// High availability.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HaSpec {
    /// Managed guests: by `vm:ID`, or a list of ids.
    pub(crate) resources: Option<Many<u32, BTreeMap<String, HaResourceSpec>>>,
    /// Rules by name.
    pub(crate) rules: BTreeMap<String, HaRuleSpec>,
}

/// A managed guest.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HaResourceSpec {
    /// `started`, `stopped`, `disabled`, `ignored`.
    pub(crate) state: Option<String>,
    /// Whether it goes back to a better node.
    pub(crate) failback: Option<bool>,
    /// How often it is started again on its node.
    pub(crate) max_restart: Option<i64>,
    /// How often it is tried on another node.
    pub(crate) max_relocate: Option<i64>,
    /// Comment.
    pub(crate) comment: Option<String>,
}

/// A rule: of node affinity with `nodes`, of resource affinity with `affinity`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HaRuleSpec {
    /// `vm:ID`.
    pub(crate) resources: Vec<String>,
    /// Names of nodes, with a priority as in `pve1:2`.
    pub(crate) nodes: Option<Vec<String>>,
    /// No other node will do.
    pub(crate) strict: Option<bool>,
    /// `positive` keeps the resources together, `negative` apart.
    pub(crate) affinity: Option<String>,
    /// Switched off.
    pub(crate) disable: bool,
    /// Comment.
    pub(crate) comment: Option<String>,
}

/// Devices and directories of nodes under one name, by kind and id. What a mapping names is there.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MappingsSpec {
    /// PCI devices: `node=pve1,path=0000:01:00.0,id=8086:1521`.
    pub(crate) pci: BTreeMap<String, Many<String, MappingSpec>>,
    /// USB devices: `node=pve1,id=1234:abcd`, with or without `path=1-2`.
    pub(crate) usb: BTreeMap<String, Many<String, MappingSpec>>,
    /// Directories: `node=pve1,path=/srv/share`.
    pub(crate) dir: BTreeMap<String, Many<String, MappingSpec>>,
}

/// A mapping: an entry for each device.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MappingSpec {
    /// The devices, as in the API.
    pub(crate) map: Vec<String>,
    /// Description.
    pub(crate) description: Option<String>,
    /// PCI devices that can be divided.
    pub(crate) mdev: Option<bool>,
    /// PCI devices that can be moved while they work.
    #[serde(rename = "live-migration-capable")]
    pub(crate) live: Option<bool>,
}

/// A task that ended.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskSpec {
    /// `vzdump`, `qmstart`, `aptupdate`, …
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// What it was about, usually the id of a guest.
    pub(crate) id: Option<Text>,
    /// Its node; the first without it.
    pub(crate) node: Option<String>,
    /// Who started it, a user or a token; `root@pam` without it.
    pub(crate) user: Option<String>,
    /// How long ago it began; 60 without it.
    pub(crate) minutes_ago: Option<u64>,
    /// Its exit status: `OK` (without it), `WARNINGS: 1`, or an error.
    pub(crate) status: Option<String>,
}

/// What a URL answers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UrlSpec {
    /// Size of the file; 1MiB without it.
    pub(crate) size: Option<Size>,
    /// Size of the disk in it.
    pub(crate) virtual_size: Option<Size>,
    /// `qcow2`, `raw` or `vmdk`, when it holds a disk.
    pub(crate) format: String,
    /// Checksums by algorithm, lower-case hex.
    pub(crate) checksums: BTreeMap<String, String>,
    /// A guest that boots from it runs the guest agent.
    pub(crate) bootable: bool,
    /// `Content-Type`.
    pub(crate) mimetype: String,
    /// Status other than 200, for a URL that refuses.
    pub(crate) status: u16,
}
