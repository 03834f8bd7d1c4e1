//! Devices of a node that a guest asks for, as they are looked for when it starts
//! (`config_to_command` of `PVE::QemuServer`, and the modules that it calls). Nodes have serial
//! ports; they have no PCI devices to give away, no parallel ports and no mappings.

use super::property::parse;
use super::{formats, keys};
use crate::world::guest::Guest;

/// USB ports from this on need a system that knows the newer controller.
const OLD_USB_PORTS: u32 = 5;

/// Values of numbered keys, by number.
fn numbered<'a>(guest: &'a Guest, stem: &'static str) -> Vec<(u32, &'a str)> {
    let mut found: Vec<(u32, &str)> = guest
        .config
        .iter()
        .filter_map(|(key, value)| match keys::split_number(key) {
            Some((known, number)) if known == stem => Some((number, value.as_str())),
            _ => None,
        })
        .collect();
    found.sort_unstable();
    found
}

/// A Linux, or a Windows after 7: they know the xHCI controller.
pub(crate) fn knows_xhci(guest: &Guest) -> bool {
    matches!(guest.get("ostype"), Some("l26" | "win8" | "win10" | "win11"))
}

/// `parse_usb_device`: a mapping has to be there.
pub(crate) fn usb(value: &str) -> Result<(), String> {
    let device = parse(formats::USB, value).unwrap_or_default();
    match (device.get("host"), device.get("mapping")) {
        (None, Some(mapping)) => Err(format!("USB device mapping not found for '{mapping}'")),
        _ => Ok(()),
    }
}

/// `parse_hostpci`.
fn pci(value: &str) -> Result<(), String> {
    let device = parse(formats::HOSTPCI, value).unwrap_or_default();
    match (device.get("host"), device.get("mapping")) {
        (Some(_), Some(_)) => Err("Cannot set both 'host' and 'mapping'.".to_owned()),
        (None, Some(mapping)) => Err(format!("PCI device mapping not found for '{mapping}'")),
        (Some(host), None) => {
            let first = host.split(';').next().unwrap_or_default();
            Err(format!("no PCI device found for '{first}'"))
        }
        (None, None) => Err("Either 'host' or 'mapping' must be set.".to_owned()),
    }
}

/// Those that are looked for first.
pub(crate) fn check(guest: &Guest) -> Result<(), String> {
    let ports = numbered(guest, "usb");
    if let Some((number, _)) = ports.iter().find(|(number, _)| *number >= OLD_USB_PORTS)
        && !knows_xhci(guest)
    {
        return Err(format!(
            "using usb{number} is only possible with machine type >= 7.1 and ostype l26 or windows > 7"
        ));
    }
    numbered(guest, "hostpci").iter().try_for_each(|(_, value)| pci(value))?;
    ports.iter().try_for_each(|(_, value)| usb(value))?;
    let port = |value: &str| value == "socket" || value.starts_with("/dev/ttyS");
    if numbered(guest, "serial").iter().any(|(_, value)| !port(value)) {
        return Err("no such serial device".to_owned());
    }
    if !numbered(guest, "parallel").is_empty() {
        return Err("no such parallel device".to_owned());
    }
    Ok(())
}

/// Nodes have no libraries to render on.
pub(crate) fn check_display(guest: &Guest) -> Result<(), String> {
    let display = parse(formats::VGA, guest.get("vga").unwrap_or_default()).unwrap_or_default();
    match display.get("type") {
        Some("virtio-gl") => {
            Err("missing libraries for 'virtio-gl' detected! Please install 'libgl1' and 'libegl1'"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// Shared directories, which come last.
pub(crate) fn check_directories(guest: &Guest) -> Result<(), String> {
    match numbered(guest, "virtiofs").first() {
        None => Ok(()),
        Some((_, value)) => {
            let directory = parse(formats::VIRTIOFS, value).unwrap_or_default();
            let id = directory.get("dirid").unwrap_or_default();
            Err(format!("Directory ID {id} does not exist."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_does_not_have() {
        let port =
            "using usb5 is only possible with machine type >= 7.1 and ostype l26 or windows > 7";
        for (config, error) in [
            (&[("usb0", "spice"), ("usb1", "host=1234:5678")][..], None),
            (&[("usb0", "mapping=stick")], Some("USB device mapping not found for 'stick'")),
            (&[("usb5", "spice")], Some(port)),
            (&[("usb5", "spice"), ("ostype", "l26")], None),
            (&[("hostpci0", "mapping=card")], Some("PCI device mapping not found for 'card'")),
            (&[("hostpci0", "01:00.0;01:00.1")], Some("no PCI device found for '01:00.0'")),
            (&[("serial0", "socket"), ("serial1", "/dev/ttyS0")], None),
            (&[("serial0", "/dev/ttyUSB0")], Some("no such serial device")),
            (&[("parallel0", "/dev/parport0")], Some("no such parallel device")),
            (&[("vga", "virtio,memory=64")], None),
            (
                &[("vga", "virtio-gl,memory=64")],
                Some(
                    "missing libraries for 'virtio-gl' detected! Please install 'libgl1' and 'libegl1'",
                ),
            ),
            (&[("virtiofs0", "share,cache=auto")], Some("Directory ID share does not exist.")),
        ] {
            let guest = Guest::new(100, "pve1", config);
            let found = check(&guest)
                .and_then(|()| check_display(&guest))
                .and_then(|()| check_directories(&guest))
                .err();
            assert_eq!(found.as_deref(), error, "{config:?}");
        }
    }
}
