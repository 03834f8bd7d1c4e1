//! Devices that documents want a guest to boot from.

use pvx_core::desired::Setting;
use pvx_core::plan::Finding;

use super::differ::Differ;

/// Proxmox refuses a boot order with a device that is not there (qemu-server, API2/Qemu.pm: "invalid
/// bootorder"), and takes a device out of the order when it goes: without this, documents that name
/// one would differ from the guest for ever. An order that is stored as documents say it is left
/// alone.
pub(super) fn check(differ: &mut Differ<'_>) {
    let Some(Setting::Properties(boot)) = differ.wanted.spec.settings.get("boot") else { return };
    let order = boot.get("order").map(String::as_str).unwrap_or_default();
    let devices = order.split(';').filter(|device| !device.is_empty());
    let missing: Vec<&str> = devices.filter(|device| differ.lacks(device)).collect();
    if !missing.is_empty() {
        let text = format!("boot names {}, which the guest does not have", missing.join(", "));
        let help = "take it out of boot, or give the guest such a device";
        differ.finding(Finding::error("boot-device", text).help(help));
    }
}
