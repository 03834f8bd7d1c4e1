//! Keys that hold one value: the table of what documents call them and what Proxmox does.

use pvx_core::desired::GuestSpec;
use pvx_core::plan::Finding;

use super::differ::Differ;
use crate::codec::{self, Agent, format_boolean};

/// One key.
struct Scalar {
    /// The path in documents, and in state.
    path: &'static str,
    /// Proxmox's key.
    key: &'static str,
    /// What Proxmox takes when the key is absent (qemu-server `$confdesc`).
    default: Option<&'static str>,
    /// The wanted value, in Proxmox's spelling.
    wanted: fn(&GuestSpec) -> Option<String>,
}

const fn scalar(
    path: &'static str,
    default: Option<&'static str>,
    wanted: fn(&GuestSpec) -> Option<String>,
) -> Scalar {
    Scalar { path, key: path, default, wanted }
}

fn flag(value: Option<bool>) -> Option<String> {
    value.map(|v| format_boolean(v).to_owned())
}

const SCALARS: &[Scalar] = &[
    scalar("cores", Some("1"), |s| s.cores.map(|v| v.to_string())),
    scalar("sockets", Some("1"), |s| s.sockets.map(|v| v.to_string())),
    scalar("memory", Some("512"), |s| s.memory.map(|v| v.to_string())),
    scalar("cpu", Some("kvm64"), |s| s.cpu.clone()),
    scalar("bios", Some("seabios"), |s| s.bios.clone()),
    scalar("scsihw", Some("lsi"), |s| s.scsihw.clone()),
    scalar("ostype", Some("other"), |s| s.ostype.clone()),
    scalar("onboot", Some("0"), |s| flag(s.onboot)),
    scalar("protection", Some("0"), |s| flag(s.protection)),
    // An empty description is stored as none.
    scalar("description", Some(""), |s| s.description.clone()),
];

pub(super) fn compare(differ: &mut Differ<'_>) {
    let spec = differ.wanted.spec;
    for scalar in SCALARS {
        match (scalar.wanted)(spec) {
            Some(wanted) => differ.value(scalar.path, scalar.key, &wanted, scalar.default),
            None if differ.is_dropped(scalar.path) => differ.reset(scalar.path, scalar.key),
            None => {}
        }
    }
    balloon(differ);
    machine(differ);
    agent(differ);
}

/// The balloon's lower bound stays as it was set by hand, and Proxmox refuses memory below it:
/// `balloon value too large (must be smaller than assigned memory)`, which is not quite true, as
/// it may be the same (qemu-server `API2/Qemu.pm`, `$update_vm_api`). Both in MiB.
fn balloon(differ: &mut Differ<'_>) {
    let Some(wanted) = differ.wanted.spec.memory else { return };
    let stored = differ.stored("balloon").and_then(|text| text.trim().parse::<u64>().ok());
    let Some(bound) = stored.filter(|bound| *bound > wanted) else { return };
    let memory = differ.stored("memory");
    if memory.is_some_and(|memory| codec::equal("memory", memory, &wanted.to_string())) {
        return; // nothing is written, so nothing refused
    }
    let text = format!("memory {wanted} MiB is below the guest's `balloon` of {bound} MiB");
    // A clone that is not made yet has no VMID, and what it has is its template's.
    let lower = match differ.live.vmid {
        0 => "the template's".to_owned(),
        vmid => format!("it: qm set {vmid} --balloon {wanted}"),
    };
    let help = format!("give at least {bound} MiB, or lower {lower}");
    differ.finding(Finding::error("balloon", text).help(help));
}

/// A type without a version means the newest of its family; for Windows Proxmox pins it when the
/// guest is made (`pc-q35-9.2`, qemu-server `windows_get_pinned_machine_version`), which is no
/// difference.
fn machine(differ: &mut Differ<'_>) {
    let Some(wanted) = differ.wanted.spec.machine.as_deref() else {
        if differ.is_dropped("machine") {
            differ.reset("machine", "machine");
        }
        return;
    };
    let family = match wanted {
        "q35" => "pc-q35-",
        "pc" => "pc-i440fx-",
        versioned => versioned,
    };
    let pinned = differ.stored("machine").is_some_and(|stored| stored.starts_with(family));
    if pinned && family != wanted {
        differ.manage("machine");
    } else {
        differ.value("machine", "machine", wanted, Some("pc"));
    }
}

/// `agent` is a property string of which documents say only whether it is on.
fn agent(differ: &mut Differ<'_>) {
    let Some(wanted) = differ.wanted.spec.agent else {
        if differ.is_dropped("agent") {
            differ.reset("agent", "agent");
        }
        return;
    };
    let stored = differ.stored("agent").and_then(|text| Agent::parse(text).ok());
    if stored.as_ref().is_some_and(|a| a.enabled() == wanted) || (stored.is_none() && !wanted) {
        differ.manage("agent");
        return;
    }
    let kept =
        stored.and_then(|mut agent| agent.set_enabled(wanted).is_ok().then(|| agent.to_string()));
    let value = kept.unwrap_or_else(|| format!("enabled={}", format_boolean(wanted)));
    differ.value("agent", "agent", &value, None);
}
