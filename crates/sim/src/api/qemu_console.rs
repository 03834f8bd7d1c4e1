//! SPICE, keys, the monitor, and migration to another cluster, which is refused.

use serde_json::{Value, json};

use super::call::{Call, Reply, check_lock};
use super::endpoint::{Endpoint, optional, required};
use super::permission::Permission;
use super::refusal::Refusal;
use crate::guest::format::{Format, Kind};
use crate::guest::formats;
use crate::guest::property::{Property, parse};

const CONSOLE: Permission = Permission::All("/vms/{vmid}", &["VM.Console"]);

pub(crate) const ENDPOINTS: &[Endpoint] = &[
    Endpoint::post("/nodes/{node}/qemu/{vmid}/spiceproxy", spice)
        .may(CONSOLE)
        .with(&[optional("proxy", Kind::TEXT)]),
    Endpoint::put("/nodes/{node}/qemu/{vmid}/sendkey", send_key)
        .may(CONSOLE)
        .with(&[required("key", Kind::TEXT), optional("skiplock", Kind::Bool)]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/monitor", monitor)
        .may(Permission::Any("/vms/{vmid}", &["Sys.Audit", "Sys.Modify"]))
        .with(&[required("command", Kind::TEXT)]),
    Endpoint::post("/nodes/{node}/qemu/{vmid}/remote_migrate", remote_migrate)
        .may(Permission::All("/vms/{vmid}", &["VM.Migrate"]))
        .with(&[
            required("target-endpoint", Kind::Properties(REMOTE)),
            required("target-storage", Kind::Format(Format::StorageMap)),
            required("target-bridge", Kind::TEXT).list(),
            optional("bwlimit", Kind::NATURAL),
            optional("delete", Kind::Bool),
            optional("online", Kind::Bool),
            optional("target-vmid", Kind::Format(Format::Vmid)),
        ]),
];

/// `proxmox-remote`.
const REMOTE: &[Property] = &[
    Property::new("host", Kind::TEXT).required(),
    Property::new("port", Kind::INT),
    Property::new("apitoken", Kind::TEXT).required(),
    Property::new("fingerprint", Kind::pattern(is_sha256)),
];

/// `fingerprint-sha256`.
fn is_sha256(text: &str) -> bool {
    let pair = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(':').count() == 32 && text.split(':').all(pair)
}

fn spice(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let (node, guest) = (call.node(), call.guest()?);
    let vmid = guest.vmid;
    if guest.running.is_none() {
        return Err(Refusal::die(format!("VM {vmid} not running")));
    }
    let vga = parse(formats::VGA, guest.get("vga").unwrap_or_default()).unwrap_or_default();
    if !vga.get("type").is_some_and(|kind| kind.starts_with("qxl") || kind.starts_with("virtio")) {
        return Err(Refusal::die("no spice port"));
    }
    let title = guest
        .get("name")
        .map_or_else(|| format!("VM {vmid}"), |name| format!("VM {vmid} - {name}"));
    let host = call.params.get("proxy").unwrap_or(&node);
    let ticket = uuid::Uuid::new_v4().simple().to_string();
    Ok(json!({
        "type": "spice", "title": title, "proxy": format!("http://{host}:3128"),
        "host": format!("pvespiceproxy:{:08X}:{vmid}:{node}::{ticket}", call.moment.seconds()),
        "tls-port": 61000, "password": ticket, "delete-this-file": 1,
        "secure-attention": "Ctrl+Alt+Ins", "toggle-fullscreen": "Shift+F11",
        "release-cursor": "Ctrl+Alt+R", "host-subject": format!("OU=PVE Cluster Node,O=Proxmox Virtual Environment,CN={node}"),
        "ca": "",
    })
    .into())
}

fn send_key(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    if call.params.flag("skiplock") == Some(true) && !call.caller.is_root() {
        return Err(Refusal::param("skiplock", "Only root may use this option."));
    }
    let vmid = call.vmid();
    call.config_lock(vmid)?;
    let guest = call.guest()?;
    if guest.running.is_none() {
        return Err(Refusal::die(format!("VM {vmid} not running")));
    }
    Ok(Value::Null.into())
}

/// Commands of the monitor that ask for nothing (`HMPPerms.pm`).
#[rustfmt::skip]
const FREE: &[&str] = &[
    "help", "info",
];
/// Commands that ask for `Sys.Modify` on `/`.
#[rustfmt::skip]
const MODIFY: &[&str] = &[
    "announce_self", "backup_cancel", "balloon", "block_job_cancel", "block_job_complete",
    "block_job_pause", "block_job_resume", "block_job_set_speed", "block_resize",
    "block_set_io_throttle", "boot_set", "c", "calc_dirty_rate", "cancel_vcpu_dirty_limit",
    "chardev-send-break", "closefd", "commit", "cont", "cpu", "delvm", "eject", "exit_preconfig",
    "expire_password", "getfd", "i", "loadvm", "log", "migrate_cancel", "migrate_continue",
    "migrate_pause", "migrate_set_capability", "migrate_set_parameter", "migrate_start_postcopy",
    "mouse_button", "mouse_move", "mouse_set", "one-insn-per-tb", "p", "print", "q", "qemu-io",
    "qom-get", "qom-list", "quit", "replay_break", "replay_delete_break", "replay_seek",
    "ringbuf_read", "ringbuf_write", "s", "savevm", "sendkey", "set_link", "set_password",
    "set_vcpu_dirty_limit", "snapshot_blkdev_internal", "snapshot_delete_blkdev_internal", "stop",
    "stopcapture", "sum", "sync-profile", "system_powerdown", "system_reset", "system_wakeup",
    "trace-event", "x", "x_colo_lost_heartbeat", "xp",
];
/// Commands that only root may give.
#[rustfmt::skip]
const ROOT: &[&str] = &[
    "backup", "block_stream", "change", "chardev-add", "chardev-change", "chardev-remove",
    "client_migrate_info", "device_add", "device_del", "drive_add", "drive_backup", "drive_del",
    "drive_mirror", "dump-guest-memory", "dumpdtb", "gdbserver", "hostfwd_add", "hostfwd_remove",
    "logfile", "mce", "memsave", "migrate", "migrate_incoming", "migrate_recover",
    "nbd_server_add", "nbd_server_remove", "nbd_server_start", "nbd_server_stop", "netdev_add",
    "netdev_del", "nmi", "o", "object_add", "object_del", "pcie_aer_inject_error", "pmemsave",
    "qom-set", "savevm-end", "savevm-start", "screendump", "snapshot_blkdev", "watchdog_action",
    "wavcapture", "xen-event-inject", "xen-event-list",
];

/// The human monitor: what it says of the guest's state, and that it knows no more.
fn monitor(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    let command = call.params.get("command").unwrap_or_default().trim().to_owned();
    let name = command.split_whitespace().next().unwrap_or_default();
    let root = call.caller.is_root();
    if name.is_empty() {
        return Err(Refusal::die("no command specified"));
    }
    if MODIFY.contains(&name) {
        call.require("/", &["Sys.Modify"])?;
    } else if ROOT.contains(&name) {
        if !root {
            return Err(Refusal::die(format!("root-only command '{name}'")));
        }
    } else if !FREE.contains(&name) && !root {
        return Err(Refusal::die(format!(
            "command '{name}' non-existent or not assigned a required permission yet, limiting to root user"
        )));
    }
    let guest = call.guest()?;
    let Some(running) = &guest.running else {
        return Ok(json!(format!("ERROR: VM {} not running\n", guest.vmid)).into());
    };
    let text = match command.as_str() {
        "info status" if running.paused => "VM status: paused\n".to_owned(),
        "info status" => "VM status: running\n".to_owned(),
        "info version" => "10.2.2 (pve-qemu-kvm_10.2.2-1)\n".to_owned(),
        "info name" => format!("{},debug-threads=on\n", guest.name()),
        _ => format!("the simulator's monitor does not know '{command}'\n"),
    };
    Ok(json!(text).into())
}

fn remote_migrate(call: &mut Call<'_>) -> Result<Reply, Refusal> {
    check_lock(call.guest()?).map_err(Refusal::die)?;
    if call.world.ha.resources.contains_key(&crate::ha::sid_of(call.vmid())) {
        let text = "cannot remote-migrate VM that is configured for HA";
        return Err(Refusal::param("vmid", text));
    }
    Err(Refusal::message(501, "migration to another cluster is not simulated"))
}
