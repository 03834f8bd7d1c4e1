//! The world of the recordings of a real cluster.

use super::World;
use super::access::{AclKind, User};
use super::lab::{GIB, MIB, OPERATOR_PRIVILEGES, import_image, iso_image};
use super::node::Node;
use super::past::Past;
use super::storage::{Storage, StorageKind};

const ALL_CONTENT: &[&str] =
    &["images", "rootdir", "iso", "vztmpl", "import", "snippets", "backup"];

/// What the two nodes that joined had done before the recordings began, as far as their task
/// lists showed it (`tasks.json`): node, type, id, user, minutes before.
const PAST: &[(&str, &str, &str, &str, u64)] = &[
    ("pve3", "startall", "", "root@pam", 62),
    ("pve3", "clusterjoin", "", "root@pam", 50),
    ("pve3", "stopall", "", "root@pam", 48),
    ("pve2", "qmclone", "200", "root@pam!lab", 46),
    ("pve2", "qmstart", "200", "root@pam!lab", 39),
    ("pve2", "hamigrate", "200", "root@pam!lab", 38),
    ("pve2", "qmigrate", "200", "root@pam", 37),
    ("pve3", "qmstop", "200", "root@pam!lab", 30),
    ("pve3", "qmdestroy", "200", "root@pam!lab", 29),
];

impl World {
    /// The empty three-node cluster that the recordings of a real Proxmox VE 9.2 were made on,
    /// with its users and secrets.
    #[must_use]
    pub fn truth() -> Self {
        let mut world = Self::empty("pvelab");
        world.domain = "pvelab.test".to_owned();
        // The corosync ids are in the order in which the nodes joined.
        for (name, id, last) in [("pve1", 1, 11), ("pve2", 3, 12), ("pve3", 2, 13)] {
            let mut node = Node::new(name, id);
            node.ip = format!("10.99.7.{last}");
            node.cpus = 2;
            node.memory = 25_276_514_304;
            node.rootfs = 270_553_174_016;
            world.add_node(node);
        }
        let size = 270_553_174_016;
        let mut local = Storage::new("local", StorageKind::Dir, false, ALL_CONTENT, size);
        local.path = Some("/var/lib/vz".to_owned());
        local.options.insert("prune-backups".to_owned(), "keep-all=1".to_owned());
        let images = ["images", "rootdir"];
        let mut vmdata = Storage::new("vmdata", StorageKind::Dir, false, &images, size);
        vmdata.path = Some("/var/lib/vmdata".to_owned());
        let mut shared = Storage::new("shared", StorageKind::Dir, true, ALL_CONTENT, size);
        shared.path = Some("/mnt/shared".to_owned());
        for storage in [local, vmdata, shared] {
            world.add_storage(storage);
        }
        for node in ["pve1", "pve2", "pve3"] {
            world.add_volume(node, "local:import/truth.qcow2", import_image(GIB, 196_624, false));
            let guest = import_image(40 * MIB, 16_912_896, true);
            world.add_volume(node, "local:import/truth-guest.qcow2", guest);
            world.add_volume(node, "local:iso/truth.iso", iso_image(MIB));
        }
        // What the recorded lists show besides.
        world.add_volume(
            "pve1",
            "shared:import/pvelab-guest.qcow2",
            import_image(40 * MIB, 16_912_896, true),
        );
        world.people();
        for &(node, kind, id, user, minutes_ago) in PAST {
            world.add_past(&Past { node, kind, id, user, minutes_ago, status: "OK" });
        }
        world
    }

    fn people(&mut self) {
        let secret = |last: u32| format!("11111111-2222-4333-8444-{last:012}");
        let root =
            User { enable: true, password: Some("truth-root".to_owned()), ..User::default() };
        self.access.users.insert("root@pam".to_owned(), root);
        for (user, token, last, privsep) in [
            ("root@pam", "lab", 1, false),
            ("pvx@pve", "cli", 2, false),
            ("pvx@pve", "sep", 3, true),
            ("viewer@pve", "ro", 4, false),
            ("nobody@pve", "none", 5, false),
            ("admin@pve", "adm", 6, false),
        ] {
            self.access.add_token(user, token, &secret(last), privsep);
        }
        let privileges = OPERATOR_PRIVILEGES.iter().map(|&name| name.to_owned()).collect();
        self.access.roles.insert("PvxOperator".to_owned(), privileges);
        self.access.grant("/", AclKind::User, "pvx@pve", "PvxOperator");
        self.access.grant("/vms", AclKind::Token, "pvx@pve!sep", "PVEVMUser");
        self.access.grant("/", AclKind::User, "viewer@pve", "PVEAuditor");
        self.access.grant("/", AclKind::User, "admin@pve", "Administrator");
        self.operator = ("pvx@pve!cli".to_owned(), secret(2));
    }
}
