//! Content types and formats of the storage types (`plugindata` of the plugins).

use crate::world::storage::{Storage, StorageKind};

const FILES: &[&str] = &["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import"];
const DIRECTORY: &[&str] =
    &["images", "rootdir", "vztmpl", "iso", "backup", "snippets", "none", "import"];
const GUESTS: &[&str] = &["images", "rootdir"];
const LUNS: &[&str] = &["images", "none"];

impl StorageKind {
    /// All types, by name.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Btrfs,
        Self::CephFs,
        Self::Cifs,
        Self::Dir,
        Self::Esxi,
        Self::Iscsi,
        Self::IscsiDirect,
        Self::Lvm,
        Self::LvmThin,
        Self::Nfs,
        Self::Pbs,
        Self::Rbd,
        Self::Zfs,
        Self::ZfsPool,
    ];

    /// The type of a name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The class of the type's plugin below `PVE::Storage`.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Dir => "DirPlugin",
            Self::Nfs => "NFSPlugin",
            Self::Cifs => "CIFSPlugin",
            Self::Btrfs => "BTRFSPlugin",
            Self::Lvm => "LVMPlugin",
            Self::LvmThin => "LvmThinPlugin",
            Self::ZfsPool => "ZFSPoolPlugin",
            Self::Zfs => "ZFSPlugin",
            Self::Rbd => "RBDPlugin",
            Self::CephFs => "CephFSPlugin",
            Self::Iscsi => "ISCSIPlugin",
            Self::IscsiDirect => "ISCSIDirectPlugin",
            Self::Pbs => "PBSPlugin",
            Self::Esxi => "ESXiPlugin",
        }
    }

    /// Whether making a storage, or asking what is on it, fails when it is not there
    /// (`activate_storage`, `check_connection`). For others that shows in its status, and when
    /// volumes are made.
    pub(crate) fn is_tried(self) -> bool {
        !matches!(self, Self::Lvm | Self::Rbd | Self::IscsiDirect | Self::Zfs)
    }

    /// The content types that a storage of this type may be given.
    pub(crate) fn content(self) -> &'static [&'static str] {
        match self {
            Self::Dir | Self::Btrfs => DIRECTORY,
            Self::Nfs | Self::Cifs => FILES,
            Self::CephFs => &["vztmpl", "iso", "backup", "snippets", "import"],
            Self::Lvm | Self::LvmThin | Self::ZfsPool | Self::Rbd => GUESTS,
            Self::Iscsi | Self::IscsiDirect => LUNS,
            Self::Zfs => &["images"],
            Self::Pbs => &["backup", "none"],
            Self::Esxi => &["import"],
        }
    }

    /// The content types of a storage whose configuration names none.
    pub(crate) fn default_content(self) -> &'static [&'static str] {
        match self {
            Self::Dir | Self::Btrfs | Self::LvmThin | Self::ZfsPool => GUESTS,
            Self::CephFs | Self::Pbs => &["backup"],
            Self::Esxi => &["import"],
            _ => &["images"],
        }
    }

    /// The image formats that the type's plugin declares; none means raw alone.
    pub(crate) fn declared_formats(self) -> &'static [&'static str] {
        match self {
            Self::Dir => &["qcow2", "raw", "subvol", "vmdk"],
            Self::Nfs | Self::Cifs | Self::Esxi => &["qcow2", "raw", "vmdk"],
            Self::Btrfs | Self::ZfsPool => &["raw", "subvol"],
            Self::Lvm => &["qcow2", "raw"],
            _ => &["raw"],
        }
    }

    /// Shared by nature, without the option `shared` (`@SHARED_STORAGE` of the base plugin).
    pub(crate) fn always_shared(self) -> bool {
        matches!(
            self,
            Self::Iscsi
                | Self::Nfs
                | Self::Cifs
                | Self::Rbd
                | Self::CephFs
                | Self::IscsiDirect
                | Self::Zfs
                | Self::Pbs
        )
    }

    /// Volumes take their whole size at once.
    pub(crate) fn is_thick(self, sparse: bool) -> bool {
        match self {
            Self::Lvm => true,
            Self::ZfsPool | Self::Zfs => !sparse,
            _ => false,
        }
    }
}

impl Storage {
    /// The formats that a new image may have, and the one it gets when none is asked for
    /// (`get_formats`).
    pub(crate) fn formats(&self) -> (Vec<&'static str>, &'static str) {
        let declared = self.kind.declared_formats();
        if self.kind == StorageKind::Lvm {
            return if self.flag("snapshot-as-volume-chain") {
                (vec!["qcow2", "raw"], "qcow2")
            } else {
                (vec!["raw"], "raw")
            };
        }
        let asked = self
            .options
            .get("format")
            .and_then(|asked| declared.iter().copied().find(|format| format == asked));
        (declared.to_vec(), asked.unwrap_or("raw"))
    }

    /// A boolean option.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let value = self.options.get(name).map(String::as_str).unwrap_or_default();
        crate::guest::format::parse_bool(value).unwrap_or(false)
    }

    /// Switched off in the configuration.
    pub(crate) fn disabled(&self) -> bool {
        self.flag("disable")
    }

    /// `preallocation_cmd_opt`: how `qemu-img` allocates in files of a format.
    pub(crate) fn preallocation(&self, format: &str) -> &str {
        match (format, self.options.get("preallocation").map(String::as_str)) {
            ("qcow2", None) => "metadata",
            ("raw", None | Some("metadata")) => "off",
            (_, asked) => asked.unwrap_or("off"),
        }
    }

    /// Volumes take their whole size at once.
    pub(crate) fn is_thick(&self) -> bool {
        self.kind.is_thick(self.flag("sparse"))
    }
}
