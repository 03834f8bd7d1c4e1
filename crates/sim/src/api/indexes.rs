//! Folders of the API: a GET lists what is below. The names and their order are those of the
//! `index` methods in the sources; they are not all that is below.

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::Endpoint;
use super::permission::Permission;
use super::refusal::Refusal;

const AUDIT: Permission = Permission::All("/", &["Sys.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/access/openid", |_| list("subdir", &["auth-url", "login"])),
    Endpoint::get("/cluster/acme", |_| {
        list("name", &["account", "tos", "meta", "directories", "plugins", "challenge-schema"])
    }),
    Endpoint::get("/cluster/backup-info", |call| {
        // It names no permission: for root@pam alone, not even for a token of it.
        if call.caller.authid != "root@pam" {
            return Err(Refusal::permission("user != root@pam"));
        }
        list("subdir", &["not-backed-up"])
    }),
    Endpoint::get("/cluster/config", |_| {
        list("name", &["nodes", "totem", "join", "qdevice", "apiversion"])
    })
    .may(AUDIT),
    Endpoint::get("/cluster/firewall", |_| {
        list("name", &["aliases", "rules", "options", "groups", "ipset", "macros", "refs"])
    }),
    Endpoint::get("/cluster/jobs", |_| list("subdir", &["schedule-analyze", "realm-sync"])),
    Endpoint::get("/cluster/mapping", |_| list("name", &["dir", "pci", "usb"])),
    Endpoint::get("/cluster/metrics", |_| list("name", &["server"])),
    Endpoint::get("/cluster/notifications", |_| {
        list(
            "name",
            &["endpoints", "matchers", "targets", "matcher-fields", "matcher-field-values"],
        )
    }),
    Endpoint::get("/cluster/notifications/endpoints", |_| {
        list("name", &["gotify", "sendmail", "smtp", "webhook"])
    }),
    Endpoint::get("/cluster/qemu", |_| list("name", &["cpu-flags", "custom-cpu-models"])),
    Endpoint::get("/cluster/sdn", |_| {
        list("id", &["vnets", "zones", "controllers", "ipams", "dns", "fabrics"])
    })
    .may(Permission::All("/sdn", &["SDN.Audit"])),
    Endpoint::get("/cluster/sdn/fabrics", |_| list("subdir", &["fabric", "node", "all"]))
        .may(Permission::All("/sdn/fabrics", &["SDN.Audit"])),
    Endpoint::get("/nodes/{node}/apt", |_| {
        list("id", &["changelog", "repositories", "update", "versions"])
    }),
    Endpoint::get("/nodes/{node}/capabilities", |_| list("name", &["qemu"])),
    Endpoint::get("/nodes/{node}/capabilities/qemu", |_| {
        list("name", &["cpu", "cpu-flags", "machines", "migration"])
    }),
    Endpoint::get("/nodes/{node}/certificates", |_| list("name", &["acme", "custom", "info"])),
    Endpoint::get("/nodes/{node}/certificates/acme", |_| list("name", &["certificate"])),
    Endpoint::get("/nodes/{node}/disks", |_| {
        let names = ["list", "initgpt", "smart", "lvm", "lvmthin", "directory", "wipedisk", "zfs"];
        list("name", &names)
    }),
    Endpoint::get("/nodes/{node}/firewall", |_| list("name", &["rules", "options", "log"])),
    Endpoint::get("/nodes/{node}/hardware", |_| list("type", &["pci", "usb"])),
    Endpoint::get("/nodes/{node}/qemu/{vmid}", |_| list("subdir", GUEST)),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/firewall", |_| {
        list("name", &["rules", "aliases", "ipset", "refs", "options"])
    }),
    Endpoint::get("/nodes/{node}/qemu/{vmid}/status", |call| {
        call.guest()?;
        list("subdir", &["current", "start", "stop", "reset", "shutdown", "suspend", "reboot"])
    }),
    Endpoint::get("/nodes/{node}/scan", |_| {
        list("method", &["cifs", "iscsi", "lvm", "nfs", "pbs", "zfs"])
    }),
    Endpoint::get("/nodes/{node}/sdn", |_| list("name", &["fabrics", "vnets", "zones"])),
];

/// `PVE::API2::Qemu::vmdiridx`.
const GUEST: &[&str] = &[
    "config",
    "cloudinit",
    "pending",
    "status",
    "unlink",
    "vncproxy",
    "termproxy",
    "migrate",
    "resize",
    "move",
    "rrd",
    "rrddata",
    "monitor",
    "agent",
    "snapshot",
    "spiceproxy",
    "sendkey",
    "firewall",
    "mtunnel",
    "remote_migrate",
];

/// `PVE::API2::Nodes::Nodeinfo::index`.
pub(crate) const NODE: &[&str] = &[
    "aplinfo",
    "apt",
    "capabilities",
    "ceph",
    "certificates",
    "config",
    "disks",
    "dns",
    "firewall",
    "hardware",
    "hosts",
    "journal",
    "lxc",
    "migrateall",
    "netstat",
    "network",
    "qemu",
    "query-oci-repo-tags",
    "query-url-metadata",
    "replication",
    "report",
    "rrd",
    "rrddata",
    "scan",
    "sdn",
    "services",
    "spiceshell",
    "startall",
    "status",
    "stopall",
    "storage",
    "subscription",
    "suspendall",
    "syslog",
    "tasks",
    "termproxy",
    "time",
    "version",
    "vncshell",
    "vzdump",
    "wakeonlan",
];

/// `PVE::API2::Cluster::index`.
pub(crate) const CLUSTER: &[&str] = &[
    "acme",
    "backup",
    "backup-info",
    "bulk-action",
    "ceph",
    "config",
    "firewall",
    "ha",
    "jobs",
    "log",
    "mapping",
    "metrics",
    "notifications",
    "nextid",
    "options",
    "qemu",
    "replication",
    "resources",
    "status",
    "tasks",
    "sdn",
];

fn list(key: &str, names: &[&str]) -> Result<Reply, Refusal> {
    Ok(subdirs(names, key).into())
}

/// `GET /nodes/{node}`.
pub(crate) fn node(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    list("name", NODE)
}

/// `GET /cluster`.
pub(crate) fn cluster(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    list("name", CLUSTER)
}
