//! What a change costs: the written decision table.
//!
//! From qemu-server `vmconfig_hotplug_pending` (src/PVE/QemuServer.pm): some keys apply at once,
//! some hot-plug when the guest's `hotplug` says so, all others wait for the next cold boot.

use pvx_core::live::Guest;
use pvx_core::plan::Effect;

/// Keys that Proxmox applies at once on a running guest (`$fast_plug_option`), and that are no
/// matter of what runs inside.
const AT_ONCE: &[&str] =
    &["name", "description", "onboot", "protection", "startup", "tags", "hookscript", "template"];

/// Keys of cloud-init beside `ipconfigN` (`$confdesc_cloudinit`). They are stored at once, but the
/// drive with them is written anew only when the guest starts, or at once with `cloudinit` in
/// `hotplug`.
const CLOUDINIT: &[&str] = &[
    "ciuser",
    "cipassword",
    "sshkeys",
    "nameserver",
    "searchdomain",
    "cicustom",
    "ciupgrade",
    "citype",
];

/// Properties of a network device that change on the host's side of it, hot-plug or not
/// (`vmconfig_update_net`). All others are the device itself, which is unplugged and plugged in.
const NIC_AT_ONCE: &[&str] = &["bridge", "tag", "firewall", "trunks", "rate", "link_down"];

/// What is hot-plugged when `hotplug` is not set.
const DEFAULT_HOTPLUG: &str = "network,disk,usb";

/// The effect of changing `key` on this guest.
pub(super) fn of_key(key: &str, guest: &Guest) -> Effect {
    let kind = key.trim_end_matches(|c: char| c.is_ascii_digit());
    if AT_ONCE.contains(&key) {
        return Effect::Live;
    }
    if !guest.running {
        return Effect::Live;
    }
    let hot = match kind {
        _ if CLOUDINIT.contains(&key) || kind == "ipconfig" => hotplugs(guest, "cloudinit"),
        "net" => hotplugs(guest, "network"),
        "scsi" | "virtio" => hotplugs(guest, "disk"),
        "memory" => hotplugs(guest, "memory") && guest.config.get("numa").is_some_and(|v| v == "1"),
        _ => false,
    };
    if hot { Effect::Live } else { Effect::Pending }
}

/// The effect of changing these properties of a network device that is there and stays. They are
/// one value: one property that has to wait makes all of them wait. `bridged`: it has a bridge
/// before and after; coming from or going to QEMU's own NAT is another device.
pub(super) fn of_nic<'a>(
    names: impl IntoIterator<Item = &'a str>,
    bridged: bool,
    guest: &Guest,
) -> Effect {
    let at_once = bridged && names.into_iter().all(|name| NIC_AT_ONCE.contains(&name));
    if guest.running && at_once { Effect::Live } else { of_key("net0", guest) }
}

/// The effect of changing an option of a drive that stays where it is (qemu-server
/// `vmconfig_update_disk`: limits apply at once, as does what only backups, replication and migration
/// read; most others are skipped, and wait; the rest, such as `serial` or `werror`, is stored at once
/// and is read by the next cold boot all the same).
pub(super) fn of_drive_option(name: &str, guest: &Guest) -> Effect {
    let limit = ["mbps", "iops", "bps"].iter().any(|prefix| name.starts_with(prefix));
    if !guest.running || limit || matches!(name, "backup" | "replicate" | "shared") {
        Effect::Live
    } else {
        Effect::Pending
    }
}

/// Does the guest's `hotplug` name this feature? `1` means the default, `0` nothing.
fn hotplugs(guest: &Guest, feature: &str) -> bool {
    let stored = guest.config.get("hotplug").map_or("1", String::as_str);
    let list = match stored {
        "0" => "",
        "1" => DEFAULT_HOTPLUG,
        other => other,
    };
    list.split([',', ';', ' ']).any(|f| f == feature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest(running: bool, hotplug: Option<&str>) -> Guest {
        let mut guest = Guest { running, ..Guest::default() };
        if let Some(value) = hotplug {
            guest.config.insert("hotplug".into(), value.into());
        }
        guest
    }

    #[test]
    fn options_of_a_drive() {
        use Effect::{Live, Pending};
        let table = [
            ("ssd", true, Pending),
            ("discard", true, Pending),
            ("iothread", true, Pending),
            ("ssd", false, Live),
            ("mbps_rd", true, Live),
            ("iops_max", true, Live),
            ("backup", true, Live),
        ];
        for (name, running, effect) in table {
            assert_eq!(of_drive_option(name, &guest(running, None)), effect, "{name} {running}");
        }
    }

    #[test]
    fn properties_of_a_network_device() {
        use Effect::{Live, Pending};
        let table: &[(&[&str], bool, Option<&str>, Effect)] = &[
            (&["bridge"], true, Some("0"), Live),
            (&["tag"], true, Some("disk"), Live),
            (&["firewall", "trunks", "rate", "link_down"], true, Some("0"), Live),
            (&["model"], true, Some("disk"), Pending),
            (&["macaddr"], true, Some("disk"), Pending),
            (&["mtu"], true, Some("disk"), Pending),
            (&["queues"], true, Some("disk"), Pending),
            (&["mtu"], true, None, Live),
            (&["model"], true, Some("network"), Live),
            // One value: all of it waits.
            (&["tag", "mtu"], true, Some("0"), Pending),
            (&["tag", "mtu"], true, None, Live),
            // From or to QEMU's own NAT.
            (&["bridge"], false, Some("0"), Pending),
            (&["bridge"], false, None, Live),
        ];
        for (names, bridged, hotplug, effect) in table {
            let of = |running| of_nic(names.iter().copied(), *bridged, &guest(running, *hotplug));
            assert_eq!(of(true), *effect, "{names:?} {bridged} {hotplug:?}");
            assert_eq!(of(false), Live, "{names:?}");
        }
    }

    #[test]
    fn cloudinit_waits_for_the_next_boot() {
        for key in CLOUDINIT.iter().chain(&["ipconfig0", "ipconfig31"]) {
            let table = [
                (false, None, Effect::Live),
                (true, None, Effect::Pending),
                (true, Some("1"), Effect::Pending),
                (true, Some("network,disk"), Effect::Pending),
                (true, Some("network,cloudinit"), Effect::Live),
            ];
            for (running, hotplug, effect) in table {
                assert_eq!(of_key(key, &guest(running, hotplug)), effect, "{key} {hotplug:?}");
            }
        }
    }

    #[test]
    fn the_decision_table() {
        use Effect::{Live, Pending};
        let table = [
            ("tags", true, None, Live),
            ("tags", false, None, Live),
            ("cores", false, None, Live),
            ("cores", true, None, Pending),
            ("cores", true, Some("network,disk,cpu"), Pending),
            ("memory", true, None, Pending),
            ("memory", true, Some("memory"), Pending), // needs numa
            ("net0", true, None, Live),
            ("net0", true, Some("0"), Pending),
            ("net0", true, Some("disk"), Pending),
            ("scsi1", true, Some("1"), Live),
            ("ide2", true, None, Pending),
            ("sata0", true, None, Pending),
            ("efidisk0", true, None, Pending),
            ("bios", true, None, Pending),
        ];
        for (key, running, hotplug, effect) in table {
            assert_eq!(
                of_key(key, &guest(running, hotplug)),
                effect,
                "{key} {running} {hotplug:?}"
            );
        }
    }
}
