//! What a configuration needs of nodes and storages.

/// The virtual hardware of a configuration, as far as a node or a storage must have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Memory in bytes.
    pub memory: u64,
    /// The largest piece of memory that QEMU asks for at once, in bytes; 0 when it is not known.
    pub piece: u64,
    /// It is made of huge pages.
    pub hugepages: bool,
    /// vCPUs of all sockets.
    pub cpus: u32,
    /// Network devices that come or change are plugged while the guest runs.
    pub plugs_cards: bool,
    /// Network devices.
    pub cards: Vec<Card>,
    /// Drives.
    pub drives: Vec<Drive>,
}

impl Hardware {
    /// The network device in a slot.
    pub fn card(&self, slot: &str) -> Option<&Card> {
        self.cards.iter().find(|card| card.slot == slot)
    }
}

/// A network device, and what cloud-init gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Card {
    /// `net0`
    pub slot: String,
    /// Upper case with colons; none while Proxmox has yet to make one up.
    pub mac: Option<String>,
    /// Bridge or VNet.
    pub bridge: Option<String>,
    /// VLAN, when it is tagged.
    pub tag: Option<u16>,
    /// It carries several VLANs.
    pub trunks: bool,
    /// Static addresses without prefix.
    pub addresses: Vec<std::net::IpAddr>,
}

/// A drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// `scsi0`
    pub slot: String,
    /// What it holds.
    pub medium: Medium,
}

/// What a drive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// A volume that is yet to be made.
    New {
        /// Storage.
        storage: String,
        /// Bytes; none when it is as large as what it is filled from.
        size: Option<u64>,
        /// The volume it is filled from (`local:import/x.qcow2`).
        from: Option<String>,
    },
    /// A volume that is there.
    Volume {
        /// Storage.
        storage: String,
        /// `local-lvm:vm-100-disk-0`
        volid: String,
        /// Bytes, when the configuration tells.
        size: Option<u64>,
    },
    /// An ISO.
    Iso {
        /// Storage.
        storage: String,
        /// `local:iso/x.iso`
        volid: String,
    },
    /// The cloud-init drive: a few megabytes, made anew at every start.
    Cloudinit,
    /// An empty drive, the node's own, or a path on it.
    Other,
}

impl Medium {
    /// The storage that it is on.
    pub fn storage(&self) -> Option<&str> {
        match self {
            Self::New { storage, .. }
            | Self::Volume { storage, .. }
            | Self::Iso { storage, .. } => Some(storage),
            Self::Cloudinit | Self::Other => None,
        }
    }
}
