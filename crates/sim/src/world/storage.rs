//! Storages and the volumes on them.

use serde::{Deserialize, Serialize};

/// The plugin behind a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// A directory; images are files.
    Dir,
    /// An NFS export; images are files.
    Nfs,
    /// A CIFS share; images are files.
    Cifs,
    /// A directory on btrfs; images are raw files.
    Btrfs,
    /// An LVM volume group; images are logical volumes that take their whole size.
    Lvm,
    /// An LVM thin pool; images are raw logical volumes.
    LvmThin,
    /// A ZFS pool; images are raw zvols.
    ZfsPool,
    /// ZFS on another host, by iSCSI.
    Zfs,
    /// A Ceph pool; images are raw RBD images.
    Rbd,
    /// A Ceph file system; no images.
    CephFs,
    /// An iSCSI target.
    Iscsi,
    /// An iSCSI target, used by QEMU itself.
    IscsiDirect,
    /// A Proxmox Backup Server.
    Pbs,
    /// An ESXi host to import from.
    Esxi,
}

impl StorageKind {
    /// The name in `storage.cfg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Nfs => "nfs",
            Self::Cifs => "cifs",
            Self::Btrfs => "btrfs",
            Self::Lvm => "lvm",
            Self::LvmThin => "lvmthin",
            Self::ZfsPool => "zfspool",
            Self::Zfs => "zfs",
            Self::Rbd => "rbd",
            Self::CephFs => "cephfs",
            Self::Iscsi => "iscsi",
            Self::IscsiDirect => "iscsidirect",
            Self::Pbs => "pbs",
            Self::Esxi => "esxi",
        }
    }

    /// Whether volumes are files below a path: images in `images/VMID`, with a suffix that tells
    /// the format.
    #[must_use]
    pub fn has_files(self) -> bool {
        matches!(self, Self::Dir | Self::Nfs | Self::Cifs | Self::Btrfs | Self::CephFs)
    }
}

/// An entry of `storage.cfg`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Storage {
    /// Storage id.
    pub id: String,
    /// Plugin.
    #[serde(rename = "type")]
    pub kind: StorageKind,
    /// Mount point or directory, for kinds with files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// One content for all nodes.
    pub shared: bool,
    /// What may be stored: images, rootdir, iso, vztmpl, import, snippets, backup.
    pub content: Vec<String>,
    /// The nodes that have it; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<String>>,
    /// Bytes in all.
    pub capacity: u64,
    /// Further properties of `storage.cfg` (`vgname`, `thinpool`, `server`, `prune-backups`).
    #[serde(default)]
    pub options: std::collections::BTreeMap<String, String>,
    /// Bytes taken by what is no volume of it (the system, on a root file system).
    #[serde(default)]
    pub reserved: u64,
    /// Its place in `storage.cfg`; 0 until it is in a world.
    #[serde(default)]
    pub order: u32,
    /// The nodes from which it cannot be reached at the moment; `*` stands for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}

impl Storage {
    /// A storage without options.
    #[must_use]
    pub fn new(id: &str, kind: StorageKind, shared: bool, content: &[&str], capacity: u64) -> Self {
        Self {
            id: id.to_owned(),
            kind,
            path: kind.has_files().then(|| format!("/mnt/pve/{id}")),
            shared,
            content: content.iter().map(|&word| word.to_owned()).collect(),
            nodes: None,
            capacity,
            options: std::collections::BTreeMap::new(),
            reserved: 0,
            order: 0,
            unreachable: Vec::new(),
        }
    }

    /// Whether it can be reached from `node` at the moment.
    #[must_use]
    pub fn reachable(&self, node: &str) -> bool {
        !self.unreachable.iter().any(|name| name == node || name == "*")
    }

    /// Whether `node` has it.
    #[must_use]
    pub fn on_node(&self, node: &str) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|name| name == node))
    }

    /// Whether it may hold `kind` (`images`, `iso`, …).
    #[must_use]
    pub fn holds(&self, kind: &str) -> bool {
        self.content.iter().any(|word| word == kind)
    }

    /// The format of a new image when none is asked for.
    #[must_use]
    pub fn default_format(&self) -> &'static str {
        self.formats().1
    }
}

/// A volume: a disk image, an ISO, an import image, a snippet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Volume {
    /// `images`, `iso`, `import`, `snippets`, `vztmpl`, `backup`, `rootdir`.
    pub content: String,
    /// `raw`, `qcow2`, `iso`, `snippet`, `vma.zst`.
    pub format: String,
    /// Virtual size in bytes; of a file that is no disk, its size.
    pub size: u64,
    /// Bytes allocated.
    pub used: u64,
    /// The guest that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// The volume name of the base that a linked clone stands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Unix seconds.
    #[serde(default)]
    pub ctime: i64,
    /// Something on it boots, obeys the power button and runs the guest agent.
    #[serde(default)]
    pub bootable: bool,
    /// Permission bits of its file that were set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
    /// Text, for snippets; of a backup, the guest's configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Snapshots, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<VolumeSnapshot>,
    /// Notes of a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// A backup that is neither removed nor pruned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Checksums of a file's bytes, by algorithm, as far as known.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub checksums: std::collections::BTreeMap<String, String>,
    /// The disks in a backup: drive and volume.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<(String, Volume)>,
}

/// What a volume was when a snapshot was taken of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VolumeSnapshot {
    /// The snapshot's name.
    pub name: String,
    /// Virtual size in bytes.
    pub size: u64,
    /// Bytes allocated.
    pub used: u64,
    /// Something on it boots.
    #[serde(default)]
    pub bootable: bool,
}
