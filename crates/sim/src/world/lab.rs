//! The world `lab`: three nodes, node-local and shared storage, cloud-image templates.

use super::World;
use super::access::{AclKind, User};
use super::guest::Guest;
use super::node::Node;
use super::storage::{Storage, StorageKind, Volume};

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;

/// The privileges of the role that pvx needs.
pub(crate) const OPERATOR_PRIVILEGES: &[&str] = &[
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "Mapping.Audit",
    "Mapping.Use",
    "Pool.Allocate",
    "Pool.Audit",
    "SDN.Audit",
    "SDN.Use",
    "Sys.AccessNetwork",
    "Sys.Audit",
    "Sys.Modify",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Console",
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.Unrestricted",
    "VM.Migrate",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
];

/// What a lab-like world is made of.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Name of the cluster.
    pub cluster: String,
    /// Names of the nodes; the templates live on the first.
    pub nodes: Vec<String>,
    /// Further shared storages (type dir, all content, 1 TiB), beside the built-in `local`,
    /// `local-lvm` and `shared`. A name that is built in is skipped.
    pub storages: Vec<String>,
    /// Bridges of every node.
    pub bridges: Vec<String>,
}

impl Default for LabOptions {
    fn default() -> Self {
        let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            cluster: "lab".to_owned(),
            nodes: own(&["pve1", "pve2", "pve3"]),
            storages: Vec::new(),
            bridges: own(&["vmbr0"]),
        }
    }
}

/// A qcow2 to import from.
pub(crate) fn import_image(size: u64, used: u64, bootable: bool) -> Volume {
    let (content, format) = ("import".to_owned(), "qcow2".to_owned());
    Volume { content, format, size, used, bootable, ..Volume::default() }
}

/// An ISO.
pub(crate) fn iso_image(size: u64) -> Volume {
    let (content, format) = ("iso".to_owned(), "iso".to_owned());
    Volume { content, format, size, used: size, ..Volume::default() }
}

impl World {
    /// The default world: nodes pve1 to pve3, storages `local`, `local-lvm` and `shared`, and the
    /// templates 100 `debian-13`, 101 `talos-1` (both on `shared`) and 102 `debian-13-local` (on
    /// `local-lvm` of pve1).
    #[must_use]
    pub fn lab() -> Self {
        Self::lab_with(LabOptions::default())
    }

    /// The world `lab` with other names.
    #[must_use]
    pub fn lab_with(options: LabOptions) -> Self {
        let mut world = Self::empty(&options.cluster);
        for (index, name) in options.nodes.iter().enumerate() {
            let mut node = Node::new(name, u32::try_from(index).unwrap_or(0) + 1);
            if !options.bridges.is_empty() {
                node.bridges.clone_from(&options.bridges);
            }
            world.add_node(node);
        }
        world.lab_storages();
        world.usual_urls();
        for id in &options.storages {
            if !world.storages.contains_key(id) {
                let content =
                    ["images", "rootdir", "iso", "vztmpl", "import", "snippets", "backup"];
                let size = 1024 * GIB;
                world.add_storage(Storage::new(id, StorageKind::Dir, true, &content, size));
            }
        }
        for name in &options.nodes {
            world.add_volume(name, "local:iso/debian-13.iso", iso_image(700 * MIB));
        }
        let image = import_image(3 * GIB, 400 * MIB, true);
        if let Some(first) = options.nodes.first() {
            world.add_volume(first, "shared:import/debian-13-cloud.qcow2", image);
            world.lab_templates(first, options.bridges.first().map_or("vmbr0", String::as_str));
        }
        world.lab_people();
        world
    }

    fn lab_storages(&mut self) {
        let files = ["iso", "vztmpl", "import", "snippets", "backup"];
        let mut local = Storage::new("local", StorageKind::Dir, false, &files, 100 * GIB);
        local.path = Some("/var/lib/vz".to_owned());
        let images = ["images", "rootdir"];
        let mut thin = Storage::new("local-lvm", StorageKind::LvmThin, false, &images, 200 * GIB);
        thin.options.insert("vgname".to_owned(), "pve".to_owned());
        thin.options.insert("thinpool".to_owned(), "data".to_owned());
        let content = ["images", "rootdir", "iso", "import", "snippets"];
        let mut shared = Storage::new("shared", StorageKind::Nfs, true, &content, 1024 * GIB);
        shared.options.insert("server".to_owned(), "192.0.2.5".to_owned());
        shared.options.insert("export".to_owned(), "/srv/pve".to_owned());
        for storage in [local, thin, shared] {
            self.add_storage(storage);
        }
    }

    fn lab_templates(&mut self, node: &str, bridge: &str) {
        let debian = Template {
            name: "debian-13",
            tags: "cloudinit;template",
            gib: 4,
            uefi: false,
            cloudinit: true,
        };
        let talos = Template {
            name: "talos-1",
            tags: "talos;template",
            gib: 10,
            uefi: true,
            cloudinit: false,
        };
        let local = Template { name: "debian-13-local", ..debian };
        self.lab_template(node, 100, "shared", bridge, &debian);
        self.lab_template(node, 101, "shared", bridge, &talos);
        self.lab_template(node, 102, "local-lvm", bridge, &local);
    }

    fn lab_template(
        &mut self,
        node: &str,
        vmid: u32,
        storage: &str,
        bridge: &str,
        what: &Template,
    ) {
        let files = self.storages.get(storage).is_some_and(|storage| storage.kind.has_files());
        let name = |stem: &str| if files { format!("{vmid}/{stem}.raw") } else { stem.to_owned() };
        let image = |size: u64, used: u64, bootable: bool| Volume {
            content: "images".to_owned(),
            format: "raw".to_owned(),
            size,
            used,
            vmid: Some(vmid),
            ctime: 1_790_000_000,
            bootable,
            ..Volume::default()
        };
        let system = format!("{storage}:{}", name(&format!("base-{vmid}-disk-0")));
        let mut config: Vec<(&str, String)> = vec![
            ("agent", "enabled=1".to_owned()),
            ("boot", "order=scsi0".to_owned()),
            ("cores", "2".to_owned()),
            ("cpu", "x86-64-v2-AES".to_owned()),
            ("machine", "q35".to_owned()),
            ("memory", "2048".to_owned()),
            ("meta", "creation-qemu=10.2.2,ctime=1790000000".to_owned()),
            ("name", what.name.to_owned()),
            ("net0", format!("virtio=BC:24:11:00:00:{:02X},bridge={bridge}", vmid % 256)),
            ("ostype", "l26".to_owned()),
            ("scsi0", format!("{system},size={}G", what.gib)),
            ("scsihw", "virtio-scsi-single".to_owned()),
            ("serial0", "socket".to_owned()),
            ("smbios1", format!("uuid=00000000-0000-4000-8000-{vmid:012}")),
            ("tags", what.tags.to_owned()),
            ("template", "1".to_owned()),
            ("vga", "serial0".to_owned()),
            ("vmgenid", format!("00000000-0000-4000-9000-{vmid:012}")),
        ];
        self.add_volume(node, &system, image(what.gib * GIB, 400 * MIB, true));
        if what.uefi {
            let volid = format!("{storage}:{}", name(&format!("base-{vmid}-disk-1")));
            config.push(("bios", "ovmf".to_owned()));
            config.push(("efidisk0", format!("{volid},efitype=4m,size=528K")));
            self.add_volume(node, &volid, image(540_672, 540_672, false));
        }
        if what.cloudinit {
            let stem = format!("vm-{vmid}-cloudinit");
            let file = if files { format!("{vmid}/{stem}.qcow2") } else { stem };
            let volid = format!("{storage}:{file}");
            config.push(("scsi1", format!("{volid},media=cdrom")));
            let format = if files { "qcow2" } else { "raw" }.to_owned();
            self.add_volume(node, &volid, Volume { format, ..image(4 * MIB, 4 * MIB, false) });
        }
        let config: Vec<(&str, &str)> =
            config.iter().map(|(key, value)| (*key, value.as_str())).collect();
        self.add_guest(Guest::new(vmid, node, &config));
    }

    fn lab_people(&mut self) {
        let root = User { enable: true, password: Some("lab-root".to_owned()), ..User::default() };
        self.access.users.insert("root@pam".to_owned(), root);
        self.access.add_token("root@pam", "sim", "5f0c1d1e-0000-4000-8000-000000000001", false);
        let secret = "5f0c1d1e-0000-4000-8000-000000000002";
        self.access.add_token("pvx@pve", "sim", secret, false);
        // HA needs Sys.Console, and nothing else that is tried here does.
        let privileges = OPERATOR_PRIVILEGES.iter().chain(&["Sys.Console"]);
        let privileges = privileges.map(|&name| name.to_owned()).collect();
        self.access.roles.insert("PvxOperator".to_owned(), privileges);
        self.access.grant("/", AclKind::User, "pvx@pve", "PvxOperator");
        self.operator = ("pvx@pve!sim".to_owned(), secret.to_owned());
    }
}

#[derive(Clone, Copy)]
struct Template {
    name: &'static str,
    tags: &'static str,
    gib: u64,
    uefi: bool,
    cloudinit: bool,
}
