//! What is peculiar about single keys.

use pvx_core::plan::Finding;

use super::differ::Differ;
use crate::codec;

/// The balloon's lower bound stays as it was set by hand, and Proxmox refuses memory below it:
/// `balloon value too large (must be smaller than assigned memory)`, which is not quite true, as
/// it may be the same (qemu-server `API2/Qemu.pm`, `$update_vm_api`). Both in MiB.
pub(super) fn balloon(differ: &mut Differ<'_>) {
    let Some(wanted) = differ.wanted.spec.memory() else { return };
    if differ.wanted.spec.settings.contains_key("balloon") {
        return;
    }
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
pub(super) fn is_pinned_machine(
    differ: &Differ<'_>,
    (key, property): (&str, &str),
    wanted: &str,
) -> bool {
    let family = match wanted {
        "q35" => "pc-q35-",
        "pc" => "pc-i440fx-",
        _ => return false,
    };
    let stored = differ.stored("machine").and_then(|text| codec::property(key, text, property));
    (key, property) == ("machine", "type") && stored.is_some_and(|text| text.starts_with(family))
}

/// `vmgenid: 1` has Proxmox make an id, and any id that is there is such a one.
pub(super) fn made_value(differ: &Differ<'_>, key: &str, wanted: &str) -> String {
    let made = differ.stored(key).filter(|stored| *stored != "0");
    match (key, wanted, made) {
        ("vmgenid", "1", Some(stored)) => stored.to_owned(),
        _ => wanted.to_owned(),
    }
}
