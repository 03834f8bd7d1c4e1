//! Keys that hold one value: the table of what documents call them and what Proxmox does.

use pvx_core::desired::GuestSpec;

use super::differ::Differ;
use crate::codec::{Agent, format_boolean};

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
    machine(differ);
    agent(differ);
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
