//! The privileges and built-in roles of Proxmox VE 9 (`PVE::AccessControl`, `$privgroups`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// A group of privileges; each level includes what stands before it, `audit` apart.
struct Group {
    name: &'static str,
    root: &'static [&'static str],
    admin: &'static [&'static str],
    user: &'static [&'static str],
    audit: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        name: "VM",
        root: &[],
        admin: &[
            "VM.Config.Disk",
            "VM.Config.CPU",
            "VM.Config.Memory",
            "VM.Config.Network",
            "VM.Config.HWType",
            "VM.Config.Options",
            "VM.Allocate",
            "VM.Clone",
            "VM.Migrate",
            "VM.Snapshot",
            "VM.Snapshot.Rollback",
            "VM.Replicate",
            "VM.GuestAgent.Unrestricted",
        ],
        user: &[
            "VM.Config.CDROM",
            "VM.Config.Cloudinit",
            "VM.Console",
            "VM.Backup",
            "VM.GuestAgent.FileRead",
            "VM.GuestAgent.FileSystemMgmt",
            "VM.GuestAgent.FileWrite",
            "VM.PowerMgmt",
        ],
        audit: &["VM.Audit", "VM.GuestAgent.Audit"],
    },
    Group {
        name: "Sys",
        root: &["Sys.PowerMgmt", "Sys.Modify", "Sys.Incoming", "Sys.AccessNetwork"],
        admin: &["Sys.Console", "Sys.Syslog"],
        user: &[],
        audit: &["Sys.Audit"],
    },
    Group {
        name: "Datastore",
        root: &[],
        admin: &["Datastore.Allocate", "Datastore.AllocateTemplate"],
        user: &["Datastore.AllocateSpace"],
        audit: &["Datastore.Audit"],
    },
    Group {
        name: "SDN",
        root: &[],
        admin: &["SDN.Allocate"],
        user: &["SDN.Use"],
        audit: &["SDN.Audit"],
    },
    Group {
        name: "User",
        root: &["Realm.Allocate"],
        admin: &["User.Modify", "Group.Allocate", "Realm.AllocateUser"],
        user: &[],
        audit: &[],
    },
    Group { name: "Pool", root: &[], admin: &["Pool.Allocate"], user: &[], audit: &["Pool.Audit"] },
    Group {
        name: "Mapping",
        root: &[],
        admin: &["Mapping.Modify"],
        user: &["Mapping.Use"],
        audit: &["Mapping.Audit"],
    },
];

/// Which levels of a group a role has.
#[derive(Clone, Copy)]
struct Levels {
    root: bool,
    admin: bool,
    user: bool,
}

const ALL: Levels = Levels { root: true, admin: true, user: true };
const ADMIN: Levels = Levels { root: false, ..ALL };
const USER: Levels = Levels { admin: false, ..ADMIN };
const AUDIT: Levels = Levels { user: false, ..USER };

/// The privileges of one group, or of all.
fn pick(levels: Levels, name: Option<&str>) -> BTreeSet<&'static str> {
    let mut found = BTreeSet::new();
    for group in GROUPS.iter().filter(|group| name.is_none_or(|wanted| wanted == group.name)) {
        let parts = [
            (levels.root, group.root),
            (levels.admin, group.admin),
            (levels.user, group.user),
            (true, group.audit),
        ];
        for (_, names) in parts.iter().filter(|(has, _)| *has) {
            found.extend(names.iter().copied());
        }
    }
    found
}

/// Privileges of one built-in role.
pub(crate) fn builtin(role: &str) -> Option<&'static BTreeSet<&'static str>> {
    static ROLES: OnceLock<BTreeMap<&str, BTreeSet<&str>>> = OnceLock::new();
    let all = || BUILTIN_ROLES.iter().filter_map(|&name| Some((name, special(name)?))).collect();
    ROLES.get_or_init(all).get(role)
}

/// The names of the built-in roles.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    BUILTIN_ROLES.iter().copied()
}

/// Whether there is such a privilege.
pub(crate) fn exists(privilege: &str) -> bool {
    builtin("Administrator").is_some_and(|all| all.contains(privilege))
}

fn special(role: &str) -> Option<BTreeSet<&'static str>> {
    Some(match role {
        "Administrator" => {
            let mut all = pick(ALL, None);
            all.insert("Permissions.Modify");
            all
        }
        "NoAccess" => BTreeSet::new(),
        "PVEAdmin" => {
            // Only Administrator and PVEMappingAdmin change mappings.
            let mut most = pick(ADMIN, None);
            most.remove("Mapping.Modify");
            most
        }
        "PVEAuditor" => pick(AUDIT, None),
        "PVEVMAdmin" => pick(ADMIN, Some("VM")),
        "PVEVMUser" => pick(USER, Some("VM")),
        "PVESysAdmin" => pick(ADMIN, Some("Sys")),
        "PVEDatastoreAdmin" => pick(ADMIN, Some("Datastore")),
        "PVEDatastoreUser" => pick(USER, Some("Datastore")),
        "PVESDNAdmin" => pick(ADMIN, Some("SDN")),
        "PVESDNUser" => pick(USER, Some("SDN")),
        "PVEUserAdmin" => pick(ADMIN, Some("User")),
        "PVEPoolAdmin" => pick(ADMIN, Some("Pool")),
        "PVEPoolUser" => pick(USER, Some("Pool")),
        "PVEMappingAdmin" => pick(ADMIN, Some("Mapping")),
        "PVEMappingUser" => pick(USER, Some("Mapping")),
        "PVETemplateUser" => BTreeSet::from(["VM.Audit", "VM.Clone"]),
        _ => return None,
    })
}

/// The names of the built-in roles.
pub(crate) const BUILTIN_ROLES: &[&str] = &[
    "Administrator",
    "NoAccess",
    "PVEAdmin",
    "PVEAuditor",
    "PVEDatastoreAdmin",
    "PVEDatastoreUser",
    "PVEMappingAdmin",
    "PVEMappingUser",
    "PVEPoolAdmin",
    "PVEPoolUser",
    "PVESDNAdmin",
    "PVESDNUser",
    "PVESysAdmin",
    "PVETemplateUser",
    "PVEUserAdmin",
    "PVEVMAdmin",
    "PVEVMUser",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_role_exists() {
        for role in BUILTIN_ROLES {
            assert!(builtin(role).is_some(), "{role}");
        }
        assert!(builtin("Nope").is_none());
        assert!(builtin("PVEAuditor").is_some_and(|found| found.contains("VM.Audit")));
        assert!(builtin("PVEVMUser").is_some_and(|found| !found.contains("VM.Allocate")));
        assert!(builtin("PVEAdmin").is_some_and(|found| !found.contains("Mapping.Modify")));
        assert!(exists("Permissions.Modify") && !exists("VM.Monitor"));
    }
}
