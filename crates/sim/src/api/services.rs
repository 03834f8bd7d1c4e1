//! `/nodes/{node}/services` (`PVE::API2::Services`): what runs on a node that is well.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::cluster::subdirs;
use super::endpoint::Endpoint;
use super::permission::Permission;
use super::refusal::Refusal;

const AUDIT: Permission = Permission::All("/nodes/{node}", &["Sys.Audit"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::get("/nodes/{node}/services", list).may(AUDIT),
    Endpoint::get("/nodes/{node}/services/{service}", |call| {
        find(call)?;
        Ok(subdirs(&["state", "start", "stop", "restart", "reload"], "subdir").into())
    })
    .may(AUDIT),
    Endpoint::get("/nodes/{node}/services/{service}/state", |call| Ok(find(call)?.into()))
        .may(AUDIT),
];

/// Name, description, and whether it is there and runs.
const SERVICES: &[(&str, &str, State)] = &[
    ("chrony", "chrony, an NTP client/server", State::Running),
    ("corosync", "Corosync Cluster Engine", State::Running),
    ("cron", "Regular background program processing daemon", State::Running),
    ("ksmtuned", "Kernel Samepage Merging (KSM) Tuning Daemon", State::Running),
    ("lxcfs", "FUSE filesystem for LXC", State::Running),
    ("postfix", "Postfix Mail Transport Agent (main/default instance)", State::Running),
    ("proxmox-firewall", "Proxmox nftables firewall", State::Running),
    ("pve-cluster", "The Proxmox VE cluster filesystem", State::Running),
    ("pve-firewall", "Proxmox VE firewall", State::Running),
    ("pve-ha-crm", "PVE Cluster HA Resource Manager Daemon", State::Running),
    ("pve-ha-lrm", "PVE Local HA Resource Manager Daemon", State::Running),
    ("pve-lxc-syscalld", "Proxmox VE LXC Syscall Daemon", State::Running),
    ("pvedaemon", "PVE API Daemon", State::Running),
    ("pvefw-logger", "Proxmox VE firewall logger", State::Running),
    ("pveproxy", "PVE API Proxy Server", State::Running),
    ("pvescheduler", "Proxmox VE scheduler", State::Running),
    ("pvestatd", "PVE Status Daemon", State::Running),
    ("qmeventd", "PVE Qemu Event Daemon", State::Running),
    ("spiceproxy", "PVE SPICE Proxy Server", State::Running),
    ("sshd", "OpenBSD Secure Shell server", State::Running),
    ("syslog", "syslog.service", State::NotFound),
    ("systemd-journald", "Journal Service", State::Static),
    ("systemd-timesyncd", "systemd-timesyncd.service", State::NotFound),
];

#[derive(Clone, Copy)]
enum State {
    Running,
    /// Runs, and is started by others.
    Static,
    NotFound,
}

fn item((name, description, state): &(&str, &str, State)) -> Value {
    let (sub, active, unit) = match state {
        State::Running => ("running", "active", "enabled"),
        State::Static => ("running", "active", "static"),
        State::NotFound => ("dead", "inactive", "not-found"),
    };
    json!({
        "service": name, "name": name, "desc": description, "state": sub, "active-state": active,
        "unit-state": unit,
    })
}

fn list(_: &mut Call<'_>) -> Result<Reply, Refusal> {
    Ok(SERVICES.iter().map(item).collect::<Value>().into())
}

/// The service of the path, whose parameter is an enumeration.
fn find(call: &Call<'_>) -> Result<Value, Refusal> {
    let wanted = call.params.get("service").unwrap_or_default();
    let found = SERVICES.iter().find(|(name, ..)| *name == wanted);
    found.map(item).ok_or_else(|| {
        let names: Vec<&str> = SERVICES.iter().map(|(name, ..)| *name).collect();
        let text = format!(
            "value '{wanted}' does not have a value in the enumeration '{}'",
            names.join(", ")
        );
        Refusal::param("service", text)
    })
}
